import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { get } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { diskStore } from "./disk-store.ts";
import { type RunningFirecrest, startFirecrest } from "./server.ts";

const folders: string[] = [];
afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "firewatch-server-"));
  folders.push(folder);
  return folder;
}

async function headersOf(site: RunningFirecrest): Promise<Record<string, string>> {
  const body = new URLSearchParams({
    grant_type: "client_credentials",
    client_id: site.clientId,
    client_secret: site.clientSecret,
  });
  const { access_token: token } = (await (await fetch(site.tokenUrl, { method: "POST", body })).json()) as {
    access_token: string;
  };
  return { authorization: `Bearer ${token}`, "x-machine-name": "cluster" };
}

async function stage(site: RunningFirecrest, path: string): Promise<string> {
  const headers = await headersOf(site);
  const created = await fetch(`${site.v1Url}/storage/xfer-external/download`, {
    method: "POST",
    headers,
    body: new URLSearchParams({ sourcePath: path }),
  });
  const { task_id: id } = (await created.json()) as { task_id: string };
  let url = "";
  await expect
    .poll(
      async () => {
        const { task } = (await (await fetch(`${site.v1Url}/tasks/${id}`, { headers })).json()) as {
          task: { status: string; data: { url: string } };
        };
        url = task.data.url;
        return task.status;
      },
      { timeout: 20_000 },
    )
    .toBe("117");
  return url;
}

describe("the server", () => {
  it("takes a service account's key in place of a token, with bodies too, and no wrong one", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    const [{ path = "" } = {}] = site.host.fileSystems;
    const make = (apiKey: string) =>
      fetch(`${site.v1Url}/utilities/mkdir`, {
        method: "POST",
        headers: { "x-api-key": apiKey, "x-machine-name": "cluster" },
        body: new URLSearchParams({ targetPath: `${path}/${site.user}/made` }),
      });
    expect((await make("wrong")).status).toBe(401);
    expect((await make(site.apiKey ?? "")).status).toBe(201);
    const listed = await fetch(`${site.v2Url}/status/systems`, { headers: { "x-api-key": site.apiKey ?? "" } });
    expect(listed.status).toBe(200);
    await site.stop();
  });

  it("writes header names in the case of the real servers, which clients go by", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    const headers = await headersOf(site);
    const namesOf = (url: string) =>
      new Promise<string[]>((resolve, reject) => {
        get(url, { headers }, (answer) => resolve(answer.resume().rawHeaders.filter((_, index) => index % 2 === 0))).on(
          "error",
          reject,
        );
      });
    expect(await namesOf(`${site.v1Url}/utilities/stat?targetPath=/nowhere`)).toEqual(
      expect.arrayContaining(["X-Not-Found", "Content-Type"]),
    );
    expect(await namesOf(`${site.v2Url}/status/systems`)).toEqual(
      expect.arrayContaining(["f7t-appversion", "content-type"]),
    );
    await site.stop();
  });

  it("stages a file and serves it in parallel ranges, byte for byte", async () => {
    const dir = await newFolder();
    const site = await startFirecrest({ port: 0, dir });
    const bytes = Uint8Array.from({ length: 8_000_001 }, (_, index) => (index * 31) % 251);
    const path = join(dir, "cluster/scratch/alice/data.bin");
    await writeFile(path, bytes);
    const url = await stage(site, path);
    const size = 1_000_000;
    const parts = await Promise.all(
      Array.from({ length: 9 }, async (_, index) => {
        const response = await fetch(url, { headers: { range: `bytes=${index * size}-${(index + 1) * size - 1}` } });
        expect(response.status).toBe(206);
        return Buffer.from(await response.arrayBuffer());
      }),
    );
    expect(Buffer.concat(parts).equals(bytes)).toBe(true);
    await site.stop();
  });

  it("is the same after a restart: clients, tokens, tasks and links", async () => {
    const dir = await newFolder();
    const first = await startFirecrest({ port: 0, dir });
    const headers = await headersOf(first);
    const path = join(dir, "cluster/scratch/alice/f");
    await writeFile(path, "content");
    const url = new URL(await stage(first, path));
    await first.stop();
    await expect(fetch(url)).rejects.toThrow();

    const second = await startFirecrest({ port: Number(url.port), dir });
    expect(second.clientSecret).toBe(first.clientSecret);
    expect(await (await fetch(url)).text()).toBe("content");
    const { tasks } = (await (await fetch(`${second.v1Url}/tasks`, { headers })).json()) as { tasks: object };
    expect(Object.keys(tasks)).toHaveLength(1);
    await second.stop();
  });

  it("runs real jobs and file transfers through v1", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    const headers = await headersOf(site);
    const call = async (method: string, path: string, body?: FormData | URLSearchParams) =>
      (await (
        await fetch(site.v1Url + path, { method, headers, ...(body === undefined ? {} : { body }) })
      ).json()) as Record<string, string>;
    const finished = async ({ task_id: id }: Record<string, string>) => {
      const look = async () =>
        (await call("GET", `/tasks/${id}`)) as unknown as { task: { status: string; data: Record<string, string> } };
      await expect.poll(async () => (await look()).task.status).toBe("200");
      return (await look()).task.data;
    };
    const stateOf = async (jobId: string | undefined) => {
      const rows = (await finished(await call("GET", `/compute/acct?jobs=${jobId}`))) as unknown as { state: string }[];
      return rows[0]?.state;
    };
    const form = new FormData();
    form.set("env", '{"GREETING":"hello"}');
    form.set("file", new File(["#!/bin/bash -l\n#SBATCH -o out\necho $GREETING >result; echo done\n"], "job.sh"));
    const job = await finished(await call("POST", "/compute/jobs/upload", form));
    await expect.poll(() => stateOf(job.jobid), { timeout: 10_000 }).toBe("COMPLETED");
    const directory = (job.job_file ?? "").replace("/job.sh", "");
    const transfer = new URLSearchParams({ sourcePath: `${directory}/result`, targetPath: `${directory}/copy` });
    const copy = await finished(await call("POST", "/storage/xfer-internal/cp", transfer));
    await expect.poll(() => stateOf(copy.jobid), { timeout: 10_000 }).toBe("COMPLETED");
    expect(await call("GET", `/utilities/view?targetPath=${directory}/copy`)).toMatchObject({ output: "hello\n" });
    expect(await call("GET", `/utilities/view?targetPath=${directory}/out`)).toMatchObject({ output: "done\n" });
    await site.stop();
  });

  it("says clearly that a port is taken", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    const { port } = new URL(site.url);
    await expect(startFirecrest({ port: Number(port), dir: await newFolder() })).rejects.toThrow(
      `Port ${port} is already in use`,
    );
    await site.stop();
  });

  it("listens on loopback only and answers v1, v2 and strangers", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    expect(new URL(site.url).hostname).toBe("127.0.0.1");
    const headers = await headersOf(site);
    expect((await fetch(`${site.v1Url}/status/systems`, { headers })).status).toBe(200);
    expect((await fetch(`${site.v2Url}/status/systems`, { headers })).status).toBe(200);
    expect((await fetch(`${site.v1Url}/status/systems`)).status).toBe(401);
    expect((await fetch(`${site.url}/nothing`)).status).toBe(404);
    await site.stop();
  });

  it("breaks the connection when an answer is to be lost", async () => {
    const site = await startFirecrest({ port: 0, dir: await newFolder() });
    const headers = await headersOf(site);
    site.faults.add({ kind: "lost_answer", count: 1 });
    await expect(fetch(`${site.v1Url}/tasks`, { headers })).rejects.toThrow("fetch failed");
    expect((await fetch(`${site.v1Url}/tasks`, { headers })).status).toBe(200);
    await site.stop();
  });

  it("lets faults be set over HTTP where that is enabled, and never by a web page", async () => {
    const closed = await startFirecrest({ port: 0, dir: await newFolder() });
    expect((await fetch(`${closed.url}/_control/faults`)).status).toBe(404);
    await closed.stop();

    const site = await startFirecrest({ port: 0, dir: await newFolder(), control: true });
    const control = `${site.url}/_control/faults`;
    const send = (fault: unknown, headers = {}) =>
      fetch(control, {
        method: "POST",
        body: JSON.stringify(fault),
        headers: { "content-type": "application/json", ...headers },
      });
    expect((await send({ kind: "bad_gateway", match: { path: "/tasks" } })).status).toBe(201);
    expect((await send({ kind: "nonsense" })).status).toBe(422);
    expect((await send({ kind: "down" }, { origin: "https://evil.test" })).status).toBe(403);
    const headers = await headersOf(site);
    expect((await fetch(`${site.v1Url}/tasks`, { headers })).status).toBe(502);
    expect(await (await fetch(control)).json()).toMatchObject({
      faults: [{ fault: { kind: "bad_gateway" }, struck: 1 }],
    });
    expect((await fetch(control, { method: "DELETE" })).status).toBe(204);
    expect((await fetch(`${site.v1Url}/tasks`, { headers })).status).toBe(200);
    await site.stop();
  });
});

describe("the store on disk", () => {
  it("survives a torn line and forgets deleted keys", async () => {
    const path = join(await newFolder(), "records");
    const store = diskStore(path);
    store.set("a", { n: 1 });
    store.set("a", { n: 2 });
    store.set("b", "x");
    store.delete("b");
    store.close();
    await appendFile(path, '{"key":"a","val');
    const again = diskStore(path);
    expect(again.get("a")).toEqual({ n: 2 });
    expect(again.entries("")).toHaveLength(1);
    again.close();
  });
});
