/** The v2 site over this machine: real files, real `bash` jobs, real HTTP, and the same transfers with a process for each. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { Firecrest, Handle, HandleState } from "../../../shared/firecrest/port.ts";
import { realClock } from "../clock.ts";
import { type RunningFirecrest, startFirecrest } from "../server.ts";
import { type Rig, rigOn } from "./testing.ts";

let folder: string;
let site: RunningFirecrest;
let rig: Rig;
let client: Firecrest;
let home: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "firewatch-v2-"));
  site = await startFirecrest({ port: 0, dir: folder, v2: { ingressPollMs: 100, maxPartBytes: 6 * 1024 * 1024 } });
  rig = rigOn({ ...site, clock: realClock, fetch }, site);
  client = rig.client;
  home = `${site.host.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir)?.path}/alice`;
});

afterAll(async () => {
  await site.stop();
  await rm(folder, { recursive: true, force: true });
});

async function outcome(handle: Handle): Promise<HandleState | undefined> {
  const look = async () => (await client.observe([handle]))[0];
  await expect.poll(async () => (await look())?.state, { timeout: 20_000, interval: 100 }).not.toBe("working");
  return look();
}

it("runs a job and shows its end and its output", async () => {
  const script = '#!/bin/bash\necho "hello $SLURM_JOB_NAME" > result.txt\nexit 4\n';
  const submitted = await client.submit({
    system: "cluster",
    script,
    name: "real.fw-1",
    workingDirectory: `${home}/run`,
  });
  if (submitted.outcome !== "submitted") expect.fail("pending");
  const { schedulerId } = submitted;
  const look = async () =>
    (
      await client.round("cluster", [{ schedulerId, acceptedAt: Date.now(), status: "running", confirm: true }])
    ).seen.get(schedulerId);
  await expect.poll(async () => (await look())?.state, { timeout: 20_000 }).toBe("failed");
  expect(await look()).toMatchObject({ exitCode: 4, name: "real.fw-1" });
  expect(await client.files.view("cluster", `${home}/run/result.txt`)).toBe("hello real.fw-1\n");
});

it("stages a file of several parts, which comes out as it was", async () => {
  const content = new Uint8Array(14_000_000).map((_, i) => (i * 7) % 253);
  await writeFile(join(home, "big.bin"), content);
  const handle = await client.stage("cluster", `${home}/big.bin`);
  expect(await outcome(handle)).toMatchObject({ state: "done" });
  const got = new Uint8Array(await (await fetch(handle.staging!.url)).arrayBuffer());
  expect(Buffer.compare(got, content)).toBe(0);
  await client.release(handle);
});

it("takes an upload of several parts to its place, and says so only when it is there", async () => {
  const content = new Uint8Array(7_000_000).map((_, i) => (i * 11) % 249);
  const { handle, form } = await client.stageUpload("cluster", `${home}/in.bin`, content.length);
  if (form?.kind !== "parts") expect.fail("no parts");
  const tags = await Promise.all(
    form.partUrls.map(async (url, i) => {
      const body = content.slice(i * form.partBytes, (i + 1) * form.partBytes);
      return `<Part><PartNumber>${i + 1}</PartNumber><ETag>${(await fetch(url, { method: "PUT", body })).headers.get("etag")}</ETag></Part>`;
    }),
  );
  expect((await client.observe([handle]))[0]?.state).toBe("working");
  await fetch(form.completeUrl, {
    method: "POST",
    body: `<CompleteMultipartUpload>${tags.join("")}</CompleteMultipartUpload>`,
  });
  expect(await outcome(handle)).toEqual({ state: "done" });
  expect(Buffer.compare(await readFile(join(home, "in.bin")), content)).toBe(0);
});

it("runs file operations in a shell, with quotes that hold", async () => {
  await writeFile(join(home, "a.txt"), "a");
  expect(
    await outcome(await client.fileJob("cluster", { op: "copy", from: `${home}/a.txt`, to: `${home}/b.txt` })),
  ).toEqual({ state: "done" });
  expect(
    await outcome(await client.fileJob("cluster", { op: "compress", from: `${home}/b.txt`, to: `${home}/b.tar.gz` })),
  ).toEqual({ state: "done" });
  await client.files.mkdir("cluster", `${home}/out`);
  expect(
    await outcome(await client.fileJob("cluster", { op: "extract", from: `${home}/b.tar.gz`, to: `${home}/out` })),
  ).toEqual({ state: "done" });
  expect(await client.files.view("cluster", `${home}/out/b.txt`)).toBe("a");
  const json = { path: `${home}/a.txt`, targetPath: `${home}/x'; touch ${home}/broken; '` };
  const { transferJob } = (await (await rig.api("POST", "/filesystem/cluster/transfer/cp", { json })).json()) as {
    transferJob: { jobId: string };
  };
  await expect
    .poll(
      async () =>
        (await (await rig.api("GET", `/compute/cluster/jobs/${transferJob.jobId}`)).text()).includes('"COMPLETED"'),
      { timeout: 20_000 },
    )
    .toBe(true);
  expect((await client.files.ls("cluster", home)).map(({ name }) => name)).not.toContain("broken");
  expect(
    await outcome(await client.fileJob("cluster", { op: "move", from: `${home}/zzz`, to: `${home}/y` })),
  ).toMatchObject({ state: "failed", code: "not_found" });
});
