/** File operations at the front door: those that a site runs as jobs, and the limits that a site has. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deploy } from "./deployment.ts";

const KIB = 1024;
const DIRECT_BYTES = 128 * KIB;
const STAGING_BYTES = 256 * KIB;

let firewatch: Deployment;
let home: string;
beforeAll(async () => {
  firewatch = await deploy({
    apis: ["v1", "v2"],
    firecrest: { limits: { directMaxBytes: DIRECT_BYTES, stagingMaxBytes: STAGING_BYTES } },
  });
  const scratch = firewatch.firecrest.host.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir)?.path ?? "";
  home = join(scratch, firewatch.firecrest.user);
});
afterAll(() => firewatch?.stop());

/** Counts the requests to the site whose address matches, and lets them pass. */
function countRequests(path: string): () => number {
  const { faults } = firewatch.firecrest;
  const id = faults.add({ kind: "slow", ms: 0, match: { path } });
  return () => faults.list().find((armed) => armed.id === id)?.struck ?? 0;
}

describe.each(["v1", "v2"] as const)("on a %s connection", (api) => {
  const call = (
    method: string,
    path: string,
    options: { body?: unknown; raw?: string; key?: string; token?: string } = {},
  ) => {
    const { url, apiKey } = firewatch.connections[`local-${api}`] ?? { url: "", apiKey: "" };
    const headers: Record<string, string> = {
      ...(options.raw === undefined ? {} : { "content-type": "application/octet-stream" }),
      ...(options.key === undefined ? {} : { "idempotency-key": options.key }),
    };
    return firewatch.call(method, `${url}/${path}`, { token: apiKey, headers, ...options });
  };
  const files = "systems/cluster/files";
  const ended = async (id: string) => (await call("GET", `jobs/${id}?wait=50&until=settled`)).body;

  it("an operation as a job answers 202 with the job, whose events and end are like those of any", async () => {
    await writeFile(join(home, `${api}.txt`), "text");
    const body = { from: `${home}/${api}.txt`, to: `${home}/${api}-copy.txt`, asJob: true };
    const answer = await call("POST", `${files}/copy`, { body });
    expect(answer.status).toBe(202);
    expect(answer.headers.get("location")).toBe(`/v1/connections/local-${api}/jobs/${answer.body.id}`);
    const { from, to } = body;
    expect(await ended(answer.body.id)).toMatchObject({ status: "succeeded", operation: { op: "copy", from, to } });
    const { body: events } = await call("GET", `jobs/${answer.body.id}/events?after=0`);
    const types = events.items.map(({ type }: { type: string }) => type);
    expect([types[0], ...types.slice(-2)]).toEqual(["job.accepted", "job.succeeded", "job.settled"]);
    expect((await call("GET", `${files}/view?path=${to}`)).body).toEqual({ content: "text" });
    expect((await call("POST", `jobs/${answer.body.id}/resubmit`, { body: {} })).status).toBe(409);
  });

  it("an operation that failed as a job says so in the tool's words", async () => {
    const body = { from: `${home}/there-is-none`, to: `${home}/x`, asJob: true };
    const { id } = (await call("POST", `${files}/move`, { body })).body;
    const job = await ended(id);
    expect(job).toMatchObject({ status: "failed" });
    expect(job.detail).toMatch(/No such file/);
  });

  it("an operation with a key is done once: at once, as a job, or with a body of bytes", async () => {
    const twice = async (operation: string, options: { body?: unknown; raw?: string }) => {
      const send = () =>
        call("POST", `${files}/${operation}`, { ...options, key: `${operation} once`.replaceAll(/\W/g, "-") });
      const [first, second] = [await send(), await send()];
      expect(second.status).toBe(first.status);
      expect(second.body).toEqual(first.body);
      expect([first, second].map(({ headers }) => headers.get("idempotency-replayed"))).toEqual([null, "true"]);
      return first;
    };
    const directory = `${home}/${api}-once`;
    // Without its key a second one would be refused, as the directory exists.
    expect((await twice("mkdir", { body: { path: directory } })).status).toBe(200);
    expect((await twice(`upload?path=${directory}/a`, { raw: "bytes" })).status).toBe(200);
    const copy = { from: `${directory}/a`, to: `${directory}/b`, asJob: true };
    const { status, body } = await twice("copy", { body: copy });
    expect(status).toBe(202);
    expect(await ended(body.id)).toMatchObject({ status: "succeeded" });
    const other = await call("POST", `${files}/mkdir`, { body: { path: `${directory}/other` }, key: "mkdir-once" });
    expect([other.status, other.body.code]).toEqual([422, "idempotency_mismatch"]);
  });

  it("an operation with a key that got no answer is not done again, and says so", async () => {
    const path = api === "v1" ? "/utilities/mkdir" : "/ops/mkdir";
    firewatch.firecrest.faults.add({ kind: "lost_answer", match: { path }, count: 1 });
    const send = () => call("POST", `${files}/mkdir`, { body: { path: `${home}/${api}-lost` }, key: "lost" });
    const [first, second] = [await send(), await send()];
    expect([first.status, first.body.uncertain]).toEqual([503, true]);
    expect([second.status, second.body.code]).toEqual([409, "conflict"]);
    expect(second.body.detail).toMatch(/nobody knows whether it happened/);
    // What was refused for certain may be asked for again with the same key.
    const bad = () => call("POST", `${files}/mkdir`, { body: { path: `${home}/none/x` }, key: "refused" });
    expect([(await bad()).status, (await bad()).status]).toEqual([404, 404]);
  });

  it("an operation may wait for a job where the site can make it, and is refused where it cannot", async () => {
    const script = `#!/bin/bash -l\nsleep 2\necho 42 > ${home}/${api}-late\n`;
    const first = (await call("POST", "jobs", { body: { system: "cluster", script } })).body;
    await expect
      .poll(async () => (await call("GET", `jobs/${first.id}`)).body.schedulerId, { timeout: 20_000 })
      .toBeDefined();
    const copy = { from: `${home}/${api}-late`, to: `${home}/${api}-later`, after: first.id };
    const answer = await call("POST", `${files}/copy`, { body: copy });
    if (api === "v2") {
      expect(answer.status).toBe(422);
      expect(answer.body.errors).toMatchObject([{ field: "/after", message: expect.stringContaining("has ended") }]);
    } else {
      expect(answer.status).toBe(202);
      expect(await ended(answer.body.id)).toMatchObject({ status: "succeeded" });
      expect((await call("GET", `${files}/view?path=${copy.to}`)).body.content.trim()).toBe("42");
    }
  });

  it("a command runs beside a running job, once for its key, or the answer says what to do instead", async () => {
    const script = `#!/bin/bash -l\nsleep 600\n`;
    const { id } = (await call("POST", "jobs", { body: { system: "cluster", script } })).body;
    const attach = (command: string, key?: string) =>
      call("POST", `jobs/${id}/attach`, { body: { command }, ...(key === undefined ? {} : { key }) });
    await expect.poll(async () => (await call("GET", `jobs/${id}`)).body.status, { timeout: 30_000 }).toBe("running");
    const first = await attach(`echo "it's here" >> ${home}/${api}-beside`, "beside");
    if (api === "v1") {
      expect(first.status).toBe(422);
      expect(first.body.detail).toMatch(/in the job's own script/);
    } else {
      expect([first.status, first.body]).toEqual([200, { exitCode: 0 }]);
      const again = await attach(`echo "it's here" >> ${home}/${api}-beside`, "beside");
      expect(again.headers.get("idempotency-replayed")).toBe("true");
      expect((await call("GET", `${files}/view?path=${home}/v2-beside`)).body).toEqual({ content: "it's here\n" });
      expect((await attach("exit 7")).body).toEqual({ exitCode: 7 });
      firewatch.firecrest.faults.add({ kind: "lost_answer", match: { path: "/attach" }, count: 1 });
      const lost = await attach("true");
      expect([lost.status, lost.body.uncertain]).toEqual([503, true]);
      expect(lost.body.detail).toMatch(/was not sent again/);
    }
    const { items } = (await call("GET", "audit", { token: firewatch.adminToken })).body;
    expect(items).toContainEqual(expect.objectContaining({ act: "job.attach", subject: `jobs/${id}` }));
    expect((await attach("a\u0007b")).status).toBe(422);
    await call("POST", `jobs/${id}/cancel`);
    await ended(id);
    const late = await attach("true");
    expect([late.status, late.body.detail]).toEqual([409, expect.stringContaining("has ended")]);
  });

  it("what the site consists of is told with its health", async () => {
    const { items } = (await call("GET", "services")).body;
    const name = api === "v1" ? "compute" : "cluster/scheduler";
    expect(items).toContainEqual(expect.objectContaining({ name, available: true, answers: true }));
  });

  it("what must not stand in a batch script is refused before there is a job", async () => {
    const body = { from: `${home}/with space`, to: `${home}/x`, asJob: true };
    const answer = await call("POST", `${files}/copy`, { body });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([{ field: "/from" }]);
  });

  it("an upload above the site's limit is refused with limit, size and remedy, and never sent", async () => {
    const sent = countRequests("/(utilities|ops)/upload");
    const answer = await call("POST", `${files}/upload?path=${home}/large`, { raw: "x".repeat(DIRECT_BYTES + 1) });
    expect(answer.status).toBe(422);
    expect(answer.body.errors[0].message).toMatch(
      new RegExp(`has ${DIRECT_BYTES + 1} bytes; .* at most \\d+ .*transfer`),
    );
    expect(sent()).toBe(0);
  });

  it("a download above the site's limit is refused with limit, size and remedy, and never asked for", async () => {
    await writeFile(join(home, `${api}-large`), "x".repeat(100 * KIB));
    const sent = countRequests("/(utilities|ops)/(download|view)");
    for (const operation of ["download", "view"]) {
      const answer = await call("GET", `${files}/${operation}?path=${home}/${api}-large`);
      expect(answer.status).toBe(422);
      expect(answer.body.errors).toMatchObject([{ field: "path" }]);
      expect(answer.body.errors[0].message).toMatch(/has 102400 bytes; .* at most 98301 .*(transfer|head or tail)/);
    }
    expect(sent()).toBe(0);
  });

  it("a script above the site's limit is refused with what to do instead", async () => {
    const script = `#!/bin/bash\n${"# long\n".repeat(DIRECT_BYTES / 7)}true\n`;
    const answer = await call("POST", "jobs", { body: { system: "cluster", script } });
    expect(answer.status).toBe(422);
    expect(answer.body.errors).toMatchObject([{ field: "/script", message: expect.stringContaining("scriptPath") }]);
  });
});

it("v1 refuses to stage a file of which not one part fits its staging area, before it is staged", async () => {
  const { url, apiKey } = firewatch.connections["local-v1"] ?? { url: "", apiKey: "" };
  await writeFile(join(home, "huge"), "x".repeat(STAGING_BYTES + 1));
  const sent = countRequests("/storage/xfer-external");
  const body = { direction: "download", system: "cluster", path: `${home}/huge`, key: "huge" };
  const { id } = (await firewatch.call("POST", `${url}/transfers`, { token: apiKey, body })).body;
  await expect
    .poll(async () => (await firewatch.call("GET", `${url}/transfers/${id}`, { token: apiKey })).body, {
      timeout: 20_000,
    })
    .toMatchObject({
      status: "failed",
      reason: "too_large",
      detail: expect.stringMatching(/has 262145 bytes.*262144.*compress or split/),
    });
  expect(sent()).toBe(0);
});

it("an operation that runs out of the site's time for one command goes on as a job, and says so", async () => {
  const { url, apiKey } = firewatch.connections["local-v2"] ?? { url: "", apiKey: "" };
  firewatch.firecrest.faults.add({ kind: "error", status: 408, match: { path: "/ops/compress" }, count: 1 });
  const body = { from: `${home}/v2.txt`, to: `${home}/v2.tar.gz` };
  const answer = await firewatch.call("POST", `${url}/systems/cluster/files/compress`, { token: apiKey, body });
  expect(answer.status).toBe(202);
  expect(answer.body.warnings).toMatchObject([{ code: "ran_out_of_time" }]);
  const job = (await firewatch.call("GET", `${url}/jobs/${answer.body.id}?wait=50&until=settled`, { token: apiKey }))
    .body;
  expect(job.status).toBe("succeeded");
});
