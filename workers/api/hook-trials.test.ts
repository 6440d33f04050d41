import { createHmac } from "node:crypto";
import { beforeEach, describe, expect, it } from "vitest";
import { createWorld, problemIn, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const HOOK = "/v1/connections/lab/hooks/build";
const SECRET = "it is a secret to everybody";
const PUSH = { ref: "refs/heads/main", size: 3 };

const hookOf = (change: Record<string, unknown> = {}) => ({
  source: "github",
  secrets: [SECRET],
  filter: [{ from: "header:x-github-event", op: "equals", value: "push" }],
  params: {
    ref: { from: "/ref", type: "string" },
    host: { from: "header:X-Build-Host", type: "string", default: "none" },
  },
  target: { job: { system: "daint", script: "#!/bin/sh\n", env: { REF: "{ref}", HOST: "{host}" } } },
  ...change,
});

const call = async (path: string, body?: unknown, method = "POST") =>
  world.send(`${HOOK}${path}`, { method, token: world.apiKey, ...(body !== undefined && { body }) });
const save = async (change: Record<string, unknown> = {}) =>
  expect([200, 201]).toContain((await call("", hookOf(change), "PUT")).status);

const signatureOf = (text: string, secret = SECRET) =>
  `sha256=${createHmac("sha256", secret).update(text).digest("hex")}`;

async function push(headers: Record<string, string> = {}): Promise<string> {
  const text = JSON.stringify(PUSH);
  const response = await world.send("/hooks/lab/build", {
    method: "POST",
    body: text,
    headers: {
      "content-type": "application/json",
      "x-github-event": "push",
      "x-github-delivery": "guid-1",
      "x-hub-signature-256": signatureOf(text),
      authorization: "Bearer a-proxy-s-own-secret",
      cookie: "session=secret",
      ...headers,
    },
  });
  return ((await response.json()) as { requestId: string }).requestId;
}

describe("a dry run", () => {
  it("says which header cannot exist", async () => {
    await save();
    for (const headers of [{ "two words": "x" }, { "x-line": "a\nb" }]) {
      const problem = await problemIn(await call("/dry-run", { body: PUSH, headers }));
      expect(problem).toMatchObject({ status: 422, errors: [{ field: `/headers/${Object.keys(headers)[0]}` }] });
    }
  });
});

describe("a dry run for the hook's administrators", () => {
  beforeEach(() => save());

  it("says whether the proof holds, and exactly why not", async () => {
    const raw = JSON.stringify(PUSH);
    const headers = { "X-GitHub-Event": "push", "x-github-delivery": "g", "content-type": "application/json" };
    const verdict = async (more: Record<string, string>, text = raw) =>
      (
        (await (await call("/dry-run", { raw: text, headers: { ...headers, ...more } })).json()) as Record<
          string,
          unknown
        >
      ).verification;
    expect(await verdict({ "x-hub-signature-256": signatureOf(raw) })).toEqual({ ok: true, messageId: "g" });
    expect(await verdict({ "x-hub-signature-256": signatureOf(raw, "other") })).toEqual({
      ok: false,
      reason: "bad_signature",
    });
    expect(await verdict({ "x-hub-signature-256": signatureOf(raw) }, `${raw} `)).toEqual({
      ok: false,
      reason: "bad_signature",
    });
    expect(await verdict({})).toEqual({ ok: false, reason: "missing_signature" });
    expect(world.lab.calls).not.toContain("acceptFromHook");
  });

  it("shows verdicts, values, the composed job, and what FirecREST would be sent", async () => {
    const answer = await (await call("/dry-run", { body: PUSH, headers: { "X-GitHub-Event": "push" } })).json();
    const job = { system: "daint", script: "#!/bin/sh\n", env: { REF: "refs/heads/main", HOST: "none" } };
    expect(answer).toEqual({
      outcome: "job",
      params: { ref: "refs/heads/main", host: "none" },
      request: job,
      firecrest: [{ method: "POST", url: "https://site.test/jobs", headers: {}, json: job }],
      errors: [],
    });
    expect(await (await call("/dry-run", { body: PUSH })).json()).toMatchObject({ outcome: "filtered" });
  });

  it("is for them only", async () => {
    const body = { raw: "{}", headers: { "x-hub-signature-256": signatureOf("{}") } };
    const token = await world.keyWith("jobs:write");
    expect((await world.send(`${HOOK}/dry-run`, { method: "POST", token, body })).status).toBe(403);
  });
});

describe("a replay", () => {
  it("goes through the changed hook with the headers that it came with", async () => {
    await save();
    const id = await push({ "x-build-host": "ci-7" });
    await save({ params: { ...hookOf().params, event: { from: "header:x-github-event", type: "string" } } });
    expect((await call(`/requests/${id}/replay`)).status).toBe(202);
    const [first, again] = [...world.lab.heldJobs.values()];
    expect(world.lab.heldJobs.size).toBe(2);
    expect(again?.id).not.toBe(first?.id);
    const [, stored] = [...world.lab.inbound.values()];
    expect(stored?.request).toMatchObject({
      version: 2,
      headers: { "x-github-event": "push", "x-build-host": "ci-7" },
    });
  });

  it("says beforehand where the old and the new hook differ, and starts nothing", async () => {
    await save();
    const id = await push({ "x-build-host": "ci-7" });
    const target = { job: { ...hookOf().target.job, system: "eiger", env: { REF: "{ref}", SIZE: "{size}" } } };
    const params = { ref: { from: "/ref", type: "string" }, size: { from: "/size", type: "integer" } };
    await save({ target, params });
    world.lab.calls.length = 0;
    const compared = (await (await call(`/requests/${id}/replay?dry_run=1`)).json()) as Record<string, unknown>;
    expect(compared).toMatchObject({
      before: { outcome: "job", request: { system: "daint", env: { HOST: "ci-7" } } },
      after: { outcome: "job", request: { system: "eiger", env: { SIZE: "3" } } },
    });
    expect(compared.changes).toEqual([
      { field: "/params/host", before: "ci-7" },
      { field: "/params/size", after: 3 },
      { field: "/request/system", before: "daint", after: "eiger" },
      { field: "/request/env/HOST", before: "ci-7" },
      { field: "/request/env/SIZE", after: "3" },
    ]);
    expect(world.lab.calls).not.toContain("acceptFromHook");
  });

  it("can be compared with a hook that is not saved yet", async () => {
    await save();
    const id = await push();
    const draft = hookOf({ filter: [{ from: "/ref", op: "equals", value: "refs/heads/other" }] });
    const compared = await (await call(`/requests/${id}/replay?dry_run=1`, { hook: draft })).json();
    expect(compared).toMatchObject({
      after: { outcome: "filtered" },
      changes: expect.arrayContaining([{ field: "/outcome", before: "job", after: "filtered" }]),
    });
    expect(await problemIn(await call(`/requests/${id}/replay`, { hook: draft }))).toMatchObject({
      status: 422,
      errors: [{ field: "/hook" }],
    });
    const broken = hookOf({ params: {} });
    expect(await problemIn(await call(`/requests/${id}/replay?dry_run=1`, { hook: broken }))).toMatchObject({
      status: 422,
      errors: expect.arrayContaining([expect.objectContaining({ field: "/hook/target/job/env/REF" })]),
    });
  });

  it("finds nothing of credentials and proofs in what was kept", async () => {
    await save();
    const id = await push();
    const text = await (await call(`/requests/${id}`, undefined, "GET")).text();
    expect(JSON.parse(text).headers).toEqual({ "content-type": "application/json", "x-github-event": "push" });
    for (const secret of ["a-proxy-s-own-secret", "session=", signatureOf(JSON.stringify(PUSH)), SECRET])
      expect(text).not.toContain(secret);
  });

  it("of a body that is gone says so", async () => {
    await save();
    const id = await push();
    for (const held of world.lab.inbound.values()) delete held.request.body;
    expect(await problemIn(await call(`/requests/${id}/replay`))).toMatchObject({ status: 410 });
  });
});
