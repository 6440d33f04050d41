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
  const call = (method: string, path: string, options: { body?: unknown; raw?: string } = {}) => {
    const { url, apiKey } = firewatch.connections[`local-${api}`] ?? { url: "", apiKey: "" };
    const headers: Record<string, string> =
      options.raw === undefined ? {} : { "content-type": "application/octet-stream" };
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
