import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import type { Job } from "../../shared/contract/job.ts";
import { CALLERS, HOOKS } from "./limits.ts";
import { ADMIN_TOKEN, createWorld, problemIn, type Sent, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const LAB = "/v1/connections/lab";
const JOB = { system: "daint", script: "#!/bin/sh\ntrue\n" };
const post = (path: string, body?: unknown, more: Sent = {}) =>
  world.send(LAB + path, { method: "POST", token: world.apiKey, ...(body !== undefined && { body }), ...more });
const get = (path: string, more: Sent = {}) => world.send(LAB + path, { token: world.apiKey, ...more });

async function submitted(): Promise<Job> {
  return (await (await post("/jobs", JOB)).json()) as Job;
}

describe("jobs", () => {
  it("are accepted with 202 and an address where they are read", async () => {
    const response = await post("/jobs", { ...JOB, name: "simulate" });
    const job = (await response.json()) as Job;
    expect(response.status).toBe(202);
    expect(job).toMatchObject({ name: "simulate", status: "accepted" });
    expect(response.headers.get("location")).toBe(`${LAB}/jobs/${job.id}`);
    expect(await (await get(`/jobs/${job.id}`)).json()).toEqual(job);
    expect(await (await get("/jobs?status=accepted&limit=5")).json()).toEqual({ items: [job] });
  });

  it("can be waited for, cancelled, submitted again, watched and read", async () => {
    const { id } = await submitted();
    expect(await (await get(`/jobs/${id}?wait=55`)).json()).toMatchObject({ detail: "waited 55 s until ended" });
    expect(await (await get(`/jobs/${id}?wait=1.5&until=settled`)).json()).toMatchObject({
      detail: "waited 1.5 s until settled",
    });
    expect(await (await get(`/jobs/${id}?wait=0`)).json()).not.toHaveProperty("detail");
    for (const path of [`/jobs/${id}/cancel`, `/jobs/${id}/resubmit`]) {
      const response = await post(path);
      expect([response.status, response.headers.get("location")]).toEqual([
        202,
        expect.stringMatching(/^\/v1\/connections\/lab\/jobs\/job_/),
      ]);
    }
    expect((await post("/watches", { system: "daint", schedulerId: "7" })).status).toBe(202);
    const logs = await get(`/jobs/${id}/logs?stream=stderr&tail=3`);
    expect([await logs.text(), logs.headers.get("content-type")]).toEqual([
      "3 lines of stderr",
      "text/plain; charset=utf-8",
    ]);
    expect(await (await get(`/jobs/${id}/events`)).json()).toMatchObject({ items: [{ type: "job.accepted" }] });
    expect((await get("/jobs/job_nothing/events")).status).toBe(404);
  });

  it.each([
    ["?wait=56", "wait"],
    ["?until=never", "until"],
    ["?colour=red", "colour"],
    ["?wait=1&wait=2", "wait"],
  ])("refuse the query %s, naming the parameter", async (query, field) => {
    const { id } = await submitted();
    expect(await problemIn(await get(`/jobs/${id}${query}`))).toMatchObject({ status: 422, errors: [{ field }] });
  });

  it.each([
    [{ ...JOB, env: { PATH: "x" } }, "/env/PATH"],
    [{ ...JOB, scripts: "" }, "/scripts"],
    [{ ...JOB, resources: { nodes: "4" } }, "/resources/nodes"],
    [{ ...JOB, outputs: [{ path: "../x" }] }, "/outputs/0/path"],
    [{ system: "daint" }, "/script"],
    [[], ""],
  ])("refuse %j, naming the field as a JSON Pointer with a remedy", async (body, field) => {
    const problem = await problemIn(await post("/jobs", body));
    expect(problem).toMatchObject({
      status: 422,
      code: "invalid",
      errors: [{ field, message: expect.stringMatching(/^(is|must|needs) /) }],
    });
    expect(world.lab.heldJobs.size).toBe(0);
  });
});

describe("repeating a write", () => {
  const keyed = (key: string): Sent => ({ headers: { "idempotency-key": key } });

  it("with the same key and body gives the first answer again", async () => {
    const first = await post("/jobs", JOB, keyed("run-1"));
    const again = await post("/jobs", JOB, keyed('"run-1"'));
    expect(await again.json()).toEqual(await first.json());
    expect([again.status, again.headers.get("idempotency-replayed"), again.headers.get("location")]).toEqual([
      202,
      "true",
      first.headers.get("location"),
    ]);
    expect(first.headers.has("idempotency-replayed")).toBe(false);
    expect(world.lab.heldJobs.size).toBe(1);
  });

  it("with another body, down to one byte, is a 422; on another route it is something else", async () => {
    await post("/jobs", JSON.stringify(JOB), {
      headers: { "content-type": "application/json", "idempotency-key": "k" },
    });
    const other = await post("/jobs", ` ${JSON.stringify(JOB)}`, {
      headers: { "content-type": "application/json", "idempotency-key": "k" },
    });
    expect(await problemIn(other)).toMatchObject({ status: 422, code: "idempotency_mismatch" });
    expect((await post("/watches", { system: "daint", schedulerId: "7" }, keyed("k"))).status).toBe(202);
  });

  it.each([
    ["nothing", ""],
    ["a space", "a b"],
    ["too much", "x".repeat(256)],
    ["other letters", "ü"],
    ["an empty string", '""'],
  ])("needs a key that is 1 to 255 visible characters: not %s", async (_, key) => {
    expect(await problemIn(await post("/jobs", JOB, keyed(key)))).toMatchObject({
      status: 422,
      errors: [{ field: "Idempotency-Key" }],
    });
  });
});

describe("bodies", () => {
  it("that are not JSON are a 415, and JSON that is none a 422", async () => {
    for (const type of ["text/plain", "application/xml", "multipart/form-data; boundary=x"]) {
      expect((await post("/jobs", "{}", { headers: { "content-type": type } })).status).toBe(415);
    }
    for (const body of ["{", "\xff", "{} {}"]) {
      expect((await post("/jobs", body, { headers: { "content-type": "application/json" } })).status).toBe(422);
    }
    expect(
      (
        await post("/jobs", JSON.stringify(JOB), {
          headers: { "content-type": "application/vnd.api+json; charset=utf-8" },
        })
      ).status,
    ).toBe(202);
  });

  it("above 1 MiB are a 413, whatever their length claims to be", async () => {
    const chunk = new TextEncoder().encode(" ".repeat(64 * 1024));
    let sent = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        sent++;
        controller.enqueue(chunk);
      },
    });
    const response = await post("/jobs", endless, { headers: { "content-type": "application/json" } });
    expect(await problemIn(response)).toMatchObject({ status: 413, code: "too_large", maxBytes: 1_048_576 });
    expect(sent).toBeLessThan(25);
    expect(
      (await post("/jobs", "{}", { headers: { "content-type": "application/json", "content-length": "99999999" } }))
        .status,
    ).toBe(413);
  });
});

describe("everything else a connection has", () => {
  it("transfers", async () => {
    const response = await post("/transfers", { direction: "download", system: "daint", path: "/scratch/x", key: "x" });
    const { id } = (await response.json()) as { id: string };
    expect([response.status, response.headers.get("location")]).toEqual([202, `${LAB}/transfers/${id}`]);
    expect((await get(`/transfers/${id}`)).status).toBe(200);
    expect((await post(`/transfers/${id}/cancel`)).headers.get("location")).toBe(`${LAB}/transfers/${id}`);
    expect((await get("/transfers?job=nonsense")).status).toBe(422);
  });

  it("subscriptions and deliveries", async () => {
    const response = await post("/subscriptions", { url: "https://example.org/in", events: ["job.*"] });
    const made = (await response.json()) as { id: string; secret: string };
    expect([response.status, made.secret, response.headers.get("location")]).toEqual([
      201,
      "whsec_…",
      `${LAB}/subscriptions/${made.id}`,
    ]);
    const path = `/subscriptions/${made.id}`;
    expect((await get(path)).status).toBe(200);
    expect(
      (await world.send(LAB + path, { method: "PATCH", token: world.apiKey, body: { status: "paused" } })).status,
    ).toBe(200);
    expect((await post(`${path}/rotate`)).status).toBe(200);
    for (const [step, body] of [["test"], ["recover", { since: "2026-11-22T00:00:00.000Z" }]] as const) {
      const started = await post(`${path}/${step}`, body);
      expect([started.status, started.headers.get("location")]).toEqual([
        202,
        `${LAB}/deliveries?subscription=${made.id}`,
      ]);
    }
    expect((await get("/deliveries?status=pending")).status).toBe(200);
    expect((await post("/deliveries/dlv_x/resend")).headers.get("location")).toContain("/deliveries?subscription=sub_");
    expect((await world.send(LAB + path, { method: "DELETE", token: world.apiKey })).status).toBe(204);
    expect((await get(path)).status).toBe(404);
    expect((await post("/subscriptions", { url: "https://example.org", events: ["jobs.*"] })).status).toBe(422);
  });

  it("keys, identities and the audit, for their administrators", async () => {
    const admin = { token: ADMIN_TOKEN };
    const made = await world.send(`${LAB}/keys`, {
      method: "POST",
      ...admin,
      body: { name: "ci", scopes: ["jobs:*"] },
    });
    const key = (await made.json()) as { id: string; apiKey: string; scopes: string[] };
    expect([made.status, key.scopes, made.headers.get("location")]).toEqual([
      201,
      ["jobs:read", "jobs:write"],
      `${LAB}/keys/${key.id}`,
    ]);
    expect((await get("/jobs", { token: key.apiKey })).status).toBe(200);
    expect(JSON.stringify(await (await world.send(`${LAB}/keys`, admin)).json())).not.toContain(key.apiKey);
    expect((await world.send(`${LAB}/keys/${key.id}`, { method: "DELETE", ...admin })).status).toBe(204);
    expect((await get("/jobs", { token: key.apiKey })).status).toBe(401);

    const identity = { issuer: "https://ci.test", audience: "firewatch", claims: { project_id: 7 } };
    const put = () => world.send(`${LAB}/identities/repo`, { method: "PUT", ...admin, body: identity });
    expect([(await put()).status, (await put()).status]).toEqual([201, 200]);
    expect(await (await world.send(`${LAB}/identities/repo`, admin)).json()).toEqual({ ...identity, name: "repo" });
    expect((await world.send(`${LAB}/identities/a b`, { method: "PUT", ...admin, body: identity })).status).toBe(422);
    expect((await world.send(`${LAB}/identities/repo`, { method: "DELETE", ...admin })).status).toBe(204);
    expect((await world.send(`${LAB}/audit?limit=1`, admin)).status).toBe(200);
    expect((await get("/audit")).status).toBe(403);
  });

  it("the connection itself: 201 when made, 200 when changed, 409 while it owes something", async () => {
    const body = { preset: "cscs-hpc", auth: { clientId: "me", clientSecret: "hush-hush" } };
    const put = (name: string, token: string) => world.send(`/v1/connections/${name}`, { method: "PUT", token, body });
    const made = await put("new", ADMIN_TOKEN);
    expect([made.status, (await put("new", ADMIN_TOKEN)).status, (await put("lab", world.apiKey)).status]).toEqual([
      201, 200, 403,
    ]);
    expect(await made.text()).not.toContain("hush-hush");
    expect(JSON.stringify(world.lines)).not.toContain("hush-hush");
    expect((await world.send("/v1/connections/new", { token: ADMIN_TOKEN })).status).toBe(200);
    const remove = (query: string) =>
      world.send(`/v1/connections/new${query}`, { method: "DELETE", token: ADMIN_TOKEN });
    expect([(await remove("")).status, (await remove("?force=true")).status]).toEqual([409, 204]);
    expect(
      (await world.send("/v1/connections/new", { method: "PUT", token: ADMIN_TOKEN, body: { api: "v3" } })).status,
    ).toBe(422);
  });

  it("systems and files", async () => {
    expect(await (await get("/systems")).json()).toMatchObject({ items: [{ name: "daint" }] });
    expect((await get("/systems/daint")).status).toBe(200);
    const ls = await get("/systems/daint/files/ls?path=/scratch/a%20b&hidden=true");
    expect(await ls.json()).toEqual({ operation: "ls", input: { path: "/scratch/a b", hidden: true } });
    expect(await (await get("/systems/daint/files/head?path=/x&lines=1")).json()).toEqual({
      operation: "head",
      input: { path: "/x", lines: 1 },
    });
    const download = await get("/systems/daint/files/download?path=/scratch/a.bin");
    expect([...new Uint8Array(await download.arrayBuffer())]).toEqual([0, 255, 10]);
    expect(download.headers.get("content-disposition")).toContain('attachment; filename="a.bin"');
    expect(await (await post("/systems/daint/files/move", { from: "/a", to: "/b" })).json()).toMatchObject({
      operation: "move",
    });
    const upload = await post("/systems/daint/files/upload?path=/scratch/x", new Uint8Array([1, 2]), {
      headers: { "content-type": "application/octet-stream" },
    });
    expect(await upload.json()).toMatchObject({ operation: "upload", input: { directory: "/scratch", name: "x" } });
    for (const path of [
      "/systems/daint/files/ls",
      "/systems/daint/files/ls?path=x",
      "/systems/daint/files/ls?path=/a/../b",
    ]) {
      expect(await problemIn(await get(path))).toMatchObject({ status: 422, errors: [{ field: "path" }] });
    }
    expect((await get("/systems/-bad-/files/ls?path=/x")).status).toBe(404);
    expect((await get("/systems/daint/files/reboot?path=/x")).status).toBe(404);
  });
});

describe("limits", () => {
  it("stop a caller with 429 before any Tracker is called", async () => {
    world.limits.callers.quota = 2;
    const headers = { "cf-connecting-ip": "192.0.2.7" };
    await get("/jobs", { headers });
    await get("/jobs", { headers });
    world.lab.calls.length = 0;
    const response = await get("/jobs", { headers });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      "retry-after": "60",
      ratelimit: '"callers";r=0;t=60',
      "ratelimit-policy": '"callers";q=600;w=60',
    });
    expect([(await problemIn(response)).status, world.lab.calls]).toEqual([429, []]);
    // Neither from elsewhere with the same key, nor from there with another one.
    expect((await get("/jobs", { headers: { "cf-connecting-ip": "192.0.2.8" } })).status).toBe(429);
    expect((await get("/jobs", { headers, token: ADMIN_TOKEN })).status).toBe(429);
  });

  it("stand before public addresses that ask a Tracker, too", async () => {
    world.limits.callers.quota = 1;
    const headers = { "cf-connecting-ip": "192.0.2.7" };
    const address = "/.well-known/webhook-keys/lab";
    expect((await world.send(address, { headers })).status).toBe(200);
    expect((await world.send(address, { headers })).status).toBe(429);
  });

  it("are the numbers of the bindings", () => {
    const wrangler = readFileSync(new URL("../../wrangler.toml", import.meta.url).pathname, "utf8");
    for (const [name, { quota, windowSeconds }] of Object.entries({ CALLERS, HOOKS })) {
      expect(wrangler).toMatch(
        new RegExp(`name = "${name}"[^\\[]*simple = \\{ limit = ${quota}, period = ${windowSeconds} \\}`),
      );
    }
  });
});

describe("every answer", () => {
  it("carries headers that keep browsers from guessing, framing and caching", async () => {
    for (const path of [`${LAB}/jobs`, "/health", "/nothing"]) {
      const { headers } = await world.send(path);
      expect(Object.fromEntries(headers)).toMatchObject({
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "referrer-policy": "no-referrer",
      });
      expect(headers.get("content-security-policy")).toContain("default-src 'none'");
      expect(headers.has("access-control-allow-origin")).toBe(false);
    }
  });

  it("to another method says which ones there are", async () => {
    const response = await world.send(`${LAB}/jobs`, { method: "DELETE", token: world.apiKey });
    expect([response.status, response.headers.get("allow"), response.headers.get("content-type")]).toEqual([
      405,
      "GET, HEAD, POST",
      "application/problem+json",
    ]);
    expect(
      (await world.send(`${LAB}/jobs`, { method: "OPTIONS", headers: { origin: "https://evil.test" } })).status,
    ).toBe(405);
  });

  it("is found by the fast router, which two routes of the same shape would switch off", async () => {
    await world.send("/health");
    expect(world.app.router.name).toBe("SmartRouter + RegExpRouter");
  });

  it("to an unknown address is a problem too", async () => {
    expect(await problemIn(await world.send("/v2/jobs"))).toMatchObject({ status: 404, code: "not_found" });
  });

  it("to a failure of ours tells nothing of it; the log tells all", async () => {
    world.lab.jobs = () => Promise.reject(new Error("disk of the database is full"));
    const response = await get("/jobs");
    expect(await response.text()).not.toContain("disk");
    expect([response.status, JSON.stringify(world.lines)]).toEqual([500, expect.stringContaining("request.failed")]);
  });

  it("while a Tracker is being moved is a 503 to try again", async () => {
    world.lab.jobs = () => Promise.reject(Object.assign(new Error("moved"), { retryable: true }));
    const response = await get("/jobs");
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
  });
});

describe("public pages", () => {
  it("hold the public keys of a connection that exists", async () => {
    const response = await world.send("/.well-known/webhook-keys/lab");
    expect(await response.json()).toMatchObject({ keys: [{ crv: "Ed25519" }] });
    expect(response.headers.get("cache-control")).toBe("public, max-age=300");
    for (const name of ["nowhere", "BAD"])
      expect((await world.send(`/.well-known/webhook-keys/${name}`)).status).toBe(404);
  });

  it("lead on from the front door", async () => {
    expect(await (await world.send("/")).json()).toMatchObject({ docs: "https://firewatch.test/docs" });
    expect((await world.send("/", { headers: { accept: "text/html,*/*" } })).headers.get("location")).toBe("/docs");
    expect(await (await world.send("/health")).json()).toEqual({ status: "ok" });
  });
});
