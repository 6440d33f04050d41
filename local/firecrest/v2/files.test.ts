import { beforeEach, describe, expect, it } from "vitest";
import type { Handle } from "../../../shared/firecrest/port.ts";
import { createFirecrest, type MemoryFirecrest } from "../memory.ts";
import type { ClientAccount } from "../oidc.ts";
import { type Rig, rigOn } from "./testing.ts";

const ALICE: ClientAccount = { clientId: "a", clientSecret: "secret-a", user: "alice" };
const BOB: ClientAccount = { clientId: "b", clientSecret: "secret-b", user: "bob" };

let site: MemoryFirecrest;
let host: MemoryFirecrest["host"];
let rig: Rig;
const HOME = "/scratch/alice";

beforeEach(async () => {
  site = await createFirecrest({ accounts: [ALICE, BOB], v2: { maxPartBytes: 6 * 1024 * 1024 } });
  host = site.host;
  rig = rigOn(site, ALICE);
});

const body = async (response: Response) => (await response.json()) as Record<string, never>;
const put = (name: string, content: string | Uint8Array) =>
  rig.client.files.upload(
    "cluster",
    HOME,
    name,
    typeof content === "string" ? new TextEncoder().encode(content) : content,
  );

async function outcome(handle: Handle) {
  for (let second = 0; second < 30; second++) {
    const [state] = await rig.client.observe([handle]);
    if (state?.state !== "working") return state;
    await host.advance(5_000);
  }
  throw new Error("it goes on and on");
}

describe("files on the embedded v2 site", () => {
  it("can be made, read, changed and removed through our client", async () => {
    const { files } = rig.client;
    await files.mkdir("cluster", `${HOME}/d/e`, { parents: true });
    await put("ünï.txt", "eins\nzwei\n");
    expect((await files.ls("cluster", HOME)).map(({ name }) => name)).toEqual(["d", "ünï.txt"]);
    expect(await files.head("cluster", `${HOME}/ünï.txt`, { lines: 1 })).toBe("eins\n");
    expect(await files.tail("cluster", `${HOME}/ünï.txt`, { bytes: 5 })).toBe("zwei\n");
    expect(await files.fileType("cluster", `${HOME}/ünï.txt`)).toMatch(/text/);
    expect(await files.checksum("cluster", `${HOME}/ünï.txt`)).toMatch(/^[0-9a-f]{64}$/);
    expect(new TextDecoder().decode(await files.download("cluster", `${HOME}/ünï.txt`))).toBe("eins\nzwei\n");
    await files.symlink("cluster", `${HOME}/ünï.txt`, `${HOME}/link`);
    await files.chmod("cluster", `${HOME}/d`, "0700");
    await put("leer", "");
    expect((await files.stat("cluster", `${HOME}/leer`)).size).toBe(0);
    await files.compress("cluster", `${HOME}/d`, `${HOME}/d.tar.gz`);
    await files.remove("cluster", `${HOME}/d`);
    await files.extract("cluster", `${HOME}/d.tar.gz`, HOME);
    expect((await files.stat("cluster", `${HOME}/d/e`)).isDirectory).toBe(true);
  });

  it("fail in the words of the tools", async () => {
    const { files } = rig.client;
    await expect(files.stat("cluster", `${HOME}/nope`)).rejects.toMatchObject({ code: "not_found", httpStatus: 404 });
    await expect(files.ls("cluster", "/etc")).rejects.toMatchObject({ code: "invalid_path", httpStatus: 400 });
    await expect(files.mkdir("cluster", HOME)).rejects.toMatchObject({ code: "already_exists" });
    await expect(files.mkdir("cluster", "/home/bob/x")).rejects.toMatchObject({
      code: "permission_denied",
      httpStatus: 403,
    });
    await expect(files.head("cluster", HOME)).rejects.toMatchObject({ code: "is_a_directory" });
    expect(await files.fileType("cluster", `${HOME}/nope`)).toContain("cannot open");
    await put("a b", "x");
    expect(await files.checksum("cluster", `${HOME}/a b`)).toMatch(/^[0-9a-f]{64}$/);
  });

  it("hold to the ceilings of the real server", async () => {
    await put("big", new Uint8Array(3_932_158));
    const download = await rig.api("GET", `/filesystem/cluster/ops/download?path=${HOME}/big`);
    expect([download.status, (await body(download)).message]).toEqual([413, "Command output exceeded buffer limit."]);
    const view = (size: number) => rig.api("GET", `/filesystem/cluster/ops/view?path=${HOME}/big&size=${size}`);
    expect([(await view(1_900_000)).status, (await view(5_242_881)).status]).toEqual([200, 400]);
    const zero = await rig.api("GET", `/filesystem/cluster/ops/head?path=${HOME}/big&bytes=1&lines=1`);
    expect(zero.status).toBe(400);
  });
});

describe("transfers on the embedded v2 site", () => {
  it("stage a file through the object store, byte for byte", async () => {
    const content = new Uint8Array(5_000_000).map((_, i) => i % 251);
    await put("small.bin", content.slice(0, 100));
    for (let i = 0; i < 3; i++) await put(`part${i}`, content.slice(0, 3_000_000));
    const handle = await rig.client.stage("cluster", `${HOME}/part0`);
    expect(handle).toMatchObject({ kind: "stage", releasable: false });
    expect(await rig.client.probe(handle.staging!.url)).toMatchObject({ outcome: "dead", status: 404 });
    expect(await outcome(handle)).toMatchObject({ state: "done" });
    expect(await rig.client.probe(handle.staging!.url)).toMatchObject({ outcome: "live", totalBytes: 3_000_000 });
    const got = new Uint8Array(await (await site.fetch(new Request(handle.staging!.url))).arrayBuffer());
    expect(got).toEqual(content.slice(0, 3_000_000));
    await rig.client.release(handle);
    expect(
      (await rig.client.files.ls("cluster", HOME, { hidden: true })).some(({ name }) => name.startsWith(".f7t")),
    ).toBe(false);
  });

  it("fail for what cannot be staged, in the job and not before", async () => {
    const stage = async (path: string) => {
      const response = await rig.api("POST", "/filesystem/cluster/transfer/download", {
        json: { path, transferDirectives: { transferMethod: "s3" } },
      });
      const { transferJob, transferDirectives } = (await response.json()) as {
        transferJob: { jobId: string; logs: { outputLog: string; errorLog: string } };
        transferDirectives: { downloadUrl: string };
      };
      return await outcome({
        kind: "stage",
        ref: { job: transferJob.jobId, system: "cluster" },
        system: "cluster",
        staging: { url: transferDirectives.downloadUrl, expiresAt: host.now() + 1e9 },
        logs: { output: transferJob.logs.outputLog, error: transferJob.logs.errorLog },
        releasable: false,
      });
    };
    await put("empty", "");
    await put("a b", "x");
    expect(await stage(`${HOME}/empty`)).toMatchObject({
      state: "failed",
      message: expect.stringContaining("upload_completion_rejected"),
    });
    expect(await stage(HOME)).toMatchObject({ state: "failed", code: "not_found" });
    expect(await stage(`${HOME}/a b`)).toMatchObject({ state: "failed", code: "not_found" });
    expect(
      (
        await rig.api("POST", "/filesystem/cluster/transfer/download", {
          json: { path: "/scratch/alice/nope", transferDirectives: { transferMethod: "s3" } },
        })
      ).status,
    ).toBe(404);
    expect(
      (
        await rig.api("POST", "/filesystem/cluster/transfer/download", {
          json: { path: "/x", transferDirectives: { transferMethod: "streamer" } },
        })
      ).status,
    ).toBe(400);
  });

  async function send(bytes: number, path: string) {
    const { handle, form } = await rig.client.stageUpload("cluster", path, bytes);
    if (form?.kind !== "parts") expect.fail("no parts");
    const tags: string[] = [];
    for (const [i, url] of form.partUrls.entries()) {
      const part = new Uint8Array(Math.min(form.partBytes, bytes - i * form.partBytes)).fill(i + 1);
      const headers = { "content-length": String(part.length) };
      const answer = await site.fetch(new Request(url, { method: "PUT", body: part, headers }));
      tags.push(`<Part><PartNumber>${i + 1}</PartNumber><ETag>${answer.headers.get("etag")}</ETag></Part>`);
    }
    const xml = `<CompleteMultipartUpload>${tags.join("")}</CompleteMultipartUpload>`;
    expect((await site.fetch(new Request(form.completeUrl, { method: "POST", body: xml }))).status).toBe(200);
    return handle;
  }

  it("bring an upload of several parts to its place", async () => {
    const handle = await send(7_000_000, `${HOME}/in.bin`);
    expect(await outcome(handle)).toEqual({ state: "done" });
    expect((await rig.client.files.stat("cluster", `${HOME}/in.bin`)).size).toBe(7_000_000);
  });

  it("report success for an upload that wrote nothing, which our client notices", async () => {
    site.v2Options.phraseWithoutFile = true;
    expect(await outcome(await send(10, `${HOME}/ghost.bin`))).toMatchObject({
      state: "failed",
      message: expect.stringContaining("does not exist"),
    });
  });

  it("wait for an upload that never comes only as long as their job may run", async () => {
    Object.assign(site.v2Options, { jobMinutes: 1, ingressPollMs: 20_000 });
    const { handle } = await rig.client.stageUpload("cluster", `${HOME}/never.bin`, 10);
    expect(await outcome(handle)).toMatchObject({
      state: "failed",
      message: expect.stringContaining("did not report success"),
    });
  });

  it("run file operations as jobs that end COMPLETED also when they failed", async () => {
    await put("a", "x");
    expect(
      await outcome(await rig.client.fileJob("cluster", { op: "copy", from: `${HOME}/a`, to: `${HOME}/b` })),
    ).toEqual({ state: "done" });
    expect(
      await outcome(await rig.client.fileJob("cluster", { op: "move", from: `${HOME}/b`, to: `${HOME}/c` })),
    ).toEqual({ state: "done" });
    expect(await outcome(await rig.client.fileJob("cluster", { op: "remove", path: `${HOME}/c` }))).toEqual({
      state: "done",
    });
    const missing = await rig.client.fileJob("cluster", { op: "copy", from: `${HOME}/zzz`, to: `${HOME}/b` });
    expect(await outcome(missing)).toMatchObject({ state: "failed", code: "not_found", certain: true });
    const job = "job" in missing.ref ? missing.ref.job : "";
    const { jobs } = (await (await rig.api("GET", `/compute/cluster/jobs/${job}`)).json()) as {
      jobs: { status: object; name: string }[];
    };
    expect(jobs[0]).toMatchObject({ name: "CopyFiles", status: { state: "COMPLETED", exitCode: 0 } });
  });

  it("speak the forms of older releases", async () => {
    await put("a", "x");
    for (const release of ["2.4.2", "2.3.1"]) {
      site.v2Options.release = release;
      expect(await outcome(await rig.client.stage("cluster", `${HOME}/a`)), release).toMatchObject({ state: "done" });
      expect(await outcome(await send(10, `${HOME}/in-${release}`)), release).toEqual({ state: "done" });
    }
    const answer = await rig.api("POST", "/compute/cluster/jobs", {
      json: { job: { working_directory: HOME, script: "#!/bin/sh\n" } },
    });
    expect((await body(answer)).jobId).toBeTypeOf("number");
  });

  it("want an account where the site does", async () => {
    site.v2Options.accountRequired = true;
    await put("a", "x");
    await expect(rig.client.stage("cluster", `${HOME}/a`)).rejects.toMatchObject({
      code: "scheduler_refused",
      httpStatus: 400,
    });
    expect(await outcome(await rig.client.stage("cluster", `${HOME}/a`, "users"))).toMatchObject({ state: "done" });
  });
});
