import { createHmac } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { utf8 } from "../../shared/bytes.ts";
import { systemRandom } from "../../shared/clock.ts";
import { generateSecret, sign } from "../../shared/webhooks/standard.ts";
import { createWorld, problemIn, type Sent, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const HOOKS = "/v1/connections/lab/hooks";
const SECRET = generateSecret(systemRandom);
const GITHUB_SECRET = "it is a secret to everybody";

const hookOf = (change: Record<string, unknown> = {}) => ({
  source: "standard-webhooks",
  secrets: [SECRET],
  filter: [{ from: "/kind", op: "equals", value: "run" }],
  params: { ref: { from: "/ref", type: "string", maxLength: 50 } },
  target: { job: { system: "daint", script: "#!/bin/sh\n", name: "from-hook", env: { REF: "{ref}" } } },
  ...change,
});

const saved = (hook: Record<string, unknown>, name = "run") =>
  world.send(`${HOOKS}/${name}`, { method: "PUT", token: world.apiKey, body: hook });

async function signed(
  body: unknown,
  { id = "msg_1", secret = SECRET, at = world.clock.now, query = "", name = "run" } = {},
): Promise<Response> {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = await sign({ id, timestampSeconds: Math.floor(at / 1000), body: utf8(text) }, { secrets: [secret] });
  return door(name, { body: text, headers: { "content-type": "application/json", ...headers }, query });
}

const door = (name: string, { query = "", ...sent }: Sent & { query?: string }) =>
  world.send(`/hooks/lab/${name}${query}`, { method: "POST", ...sent });

const github = (body: string, headers: Record<string, string> = {}) => ({
  body,
  headers: {
    "content-type": "application/json",
    "x-hub-signature-256": `sha256=${createHmac("sha256", GITHUB_SECRET).update(body).digest("hex")}`,
    ...headers,
  },
});

const RUN = { kind: "run", ref: "main" };
const REFUSED = {
  type: "/problems/unauthorized",
  code: "unauthorized",
  status: 401,
  title: "Credentials are missing or not valid",
  detail:
    "No hook at this address believes this request. Check the address, the secret, what is signed, and the clock; the hook's owner can see more with a dry run.",
};

describe("the door", () => {
  beforeEach(async () => {
    expect((await saved(hookOf())).status).toBe(201);
    world.lab.calls.length = 0;
  });

  it("answers 202 with the job and where it is read", async () => {
    const response = await signed(RUN);
    const answer = (await response.json()) as { jobId: string };
    expect(response.status).toBe(202);
    expect(answer).toEqual({
      requestId: expect.stringMatching(/^req_/),
      outcome: "accepted",
      jobId: expect.stringMatching(/^job_/),
      url: `https://firewatch.test/v1/connections/lab/jobs/${answer.jobId}`,
    });
    expect(response.headers.get("location")).toBe(`/v1/connections/lab/jobs/${answer.jobId}`);
    expect(world.lab.heldJobs.get(answer.jobId)?.name).toBe("from-hook");
  });

  it("takes one message once, however often it comes", async () => {
    const answers = await Promise.all(Array.from({ length: 20 }, async () => (await signed(RUN)).json()));
    expect(new Set(answers.map((answer) => JSON.stringify(answer))).size).toBe(1);
    expect(world.lab.heldJobs.size).toBe(1);
  });

  it("answers a repeated id with another body with 422", async () => {
    await signed(RUN);
    expect(await problemIn(await signed({ ...RUN, ref: "other" }))).toMatchObject({
      status: 422,
      code: "idempotency_mismatch",
    });
  });

  it("answers 200 to what the filter stops", async () => {
    const response = await signed({ kind: "other" });
    expect([response.status, await response.json()]).toEqual([
      200,
      { requestId: expect.stringMatching(/^req_/), outcome: "filtered" },
    ]);
  });

  it("answers 422 to a missing or mistyped parameter, naming it, and starts nothing", async () => {
    for (const [id, body] of [
      ["a", { kind: "run" }],
      ["b", { kind: "run", ref: 5 }],
    ] as const) {
      expect(await problemIn(await signed(body, { id }))).toMatchObject({
        status: 422,
        errors: [{ field: "/ref", message: expect.stringContaining("parameter ref") }],
      });
    }
    expect(await problemIn(await signed("not json", { id: "c" }))).toMatchObject({
      status: 422,
      errors: [{ message: "must be JSON in UTF-8" }],
    });
    expect(world.lab.heldJobs.size).toBe(0);
  });

  it("answers 422 to a body that is not UTF-8: what it says would not be what was signed, and thrice as long", async () => {
    await saved(hookOf({ source: "github", secrets: [GITHUB_SECRET] }));
    const body = new Uint8Array([...utf8('{"kind":"run","ref":"'), 0xff, 0xfe, ...utf8('"}')]);
    const signature = `sha256=${createHmac("sha256", GITHUB_SECRET).update(body).digest("hex")}`;
    const headers = { "content-type": "application/json", "x-hub-signature-256": signature };
    const answer = await problemIn(await door("run", { body, headers }));
    expect(answer).toMatchObject({ status: 422, errors: [{ message: "must be JSON in UTF-8" }] });
  });

  it("refuses with one and the same 401 whatever the reason, and logs the reason", async () => {
    const text = JSON.stringify(RUN);
    const headers = { "content-type": "application/json" };
    const attempts = [
      () => signed(RUN, { secret: generateSecret(systemRandom) }),
      () => signed(RUN, { at: world.clock.now - 301_000 }),
      () => signed(RUN, { at: world.clock.now + 301_000 }),
      () => door("run", { body: text, headers }),
      () => signed(RUN, { name: "nothing" }),
      () => world.send("/hooks/nowhere/run", { method: "POST", body: text, headers }),
      () => world.send("/hooks/NOT-A-NAME/run", { method: "POST", body: text, headers }),
    ];
    for (const attempt of attempts) expect(await problemIn(await attempt())).toEqual(REFUSED);
    expect(world.lines.map(({ reason }) => reason).slice(1)).toEqual([
      "bad_signature",
      "stale_timestamp",
      "future_timestamp",
      "missing_id",
      "unknown_hook",
      "unknown_hook",
      "unknown_hook",
    ]);
    expect(world.lab.calls).not.toContain("acceptFromHook");
  });

  it("does not find out a secret that was taken away for longer than 5 s", async () => {
    expect((await signed(RUN, { id: "before" })).status).toBe(202);
    const held = world.lab.heldHooks.get("run")!;
    world.lab.heldHooks.set("run", { ...held, secrets: [generateSecret(systemRandom)] });
    world.clock.now += 4_999;
    expect((await signed(RUN, { id: "still" })).status).toBe(202);
    world.clock.now += 1;
    expect((await signed(RUN, { id: "after" })).status).toBe(401);
  });

  it("knows at once when a hook was changed or removed through this Worker", async () => {
    await signed(RUN, { id: "1" });
    await saved(hookOf({ filter: [] }));
    expect((await signed({ ref: "x" }, { id: "2" })).status).toBe(202);
    await world.send(`${HOOKS}/run`, { method: "DELETE", token: world.apiKey });
    expect((await signed(RUN, { id: "3" })).status).toBe(401);
  });

  it("does a dry run for whoever signs: verdicts and names, no values, nothing done", async () => {
    const response = await signed({ ...RUN, ref: "hidden-value" }, { query: "?dry_run=1" });
    const text = await response.text();
    expect([response.status, JSON.parse(text)]).toEqual([
      200,
      { verified: true, outcome: "accepted", params: ["ref"] },
    ]);
    expect(text).not.toContain("hidden-value");
    expect(await (await signed({ kind: "run" }, { query: "?dry_run=1" })).json()).toEqual({
      verified: true,
      outcome: "refused",
      params: [],
    });
    expect((await signed(RUN, { query: "?dry_run=1", secret: generateSecret(systemRandom) })).status).toBe(401);
    expect(world.lab.calls).not.toContain("acceptFromHook");
  });

  it("stops one address with 429 and nobody else", async () => {
    world.limits.hooks.quota = 1;
    const from = (ip: string) =>
      door("run", { body: "{}", headers: { "content-type": "application/json", "cf-connecting-ip": ip } });
    expect([
      (await from("192.0.2.1")).status,
      (await from("192.0.2.1")).status,
      (await from("192.0.2.2")).status,
    ]).toEqual([401, 429, 401]);
  });

  it("reads no other content type and no larger body", async () => {
    expect((await door("run", { body: "<a/>", headers: { "content-type": "application/xml" } })).status).toBe(415);
    expect(
      (await door("run", { body: "x".repeat(1_048_577), headers: { "content-type": "application/json" } })).status,
    ).toBe(413);
    expect((await world.send("/hooks/lab/run")).status).toBe(405);
  });
});

describe("senders", () => {
  const plain = { filter: [], params: { ref: { from: "/ref", type: "string" } } };

  it("GitHub: by its signature, once for each delivery, as JSON or as a form", async () => {
    await saved(hookOf({ source: "github", secrets: [GITHUB_SECRET], ...plain }));
    const body = JSON.stringify({ ref: "main" });
    const first = await door("run", github(body, { "x-github-delivery": "guid-1" }));
    const again = await door("run", github(body, { "x-github-delivery": "guid-1" }));
    expect([first.status, await again.json()]).toEqual([202, await first.json()]);
    const form = `payload=${encodeURIComponent(body)}`;
    expect(
      (
        await door(
          "run",
          github(form, { "x-github-delivery": "guid-2", "content-type": "application/x-www-form-urlencoded" }),
        )
      ).status,
    ).toBe(202);
    expect((await door("run", github(body, { "x-hub-signature-256": "sha256=00" }))).status).toBe(401);
  });

  it("who sign but name no message: the same bytes are the same message", async () => {
    await saved(hookOf({ source: "github", secrets: [GITHUB_SECRET], ...plain }));
    const [first, again] = [await door("run", github('{"ref":"a"}')), await door("run", github('{"ref":"a"}'))];
    expect(await again.json()).toEqual(await first.json());
    expect(world.lab.heldJobs.size).toBe(1);
  });

  it("with a bearer token: each request means itself, and only the token's hash leaves this Worker", async () => {
    await saved(hookOf({ source: "bearer", secrets: ["a-long-token"], ...plain }));
    expect(JSON.stringify(world.lab.heldHooks.get("run"))).not.toContain("a-long-token");
    const send = (token: string) => door("run", { token, body: { ref: "a" } });
    expect([
      (await send("a-long-token")).status,
      (await send("a-long-token")).status,
      (await send("another")).status,
    ]).toEqual([202, 202, 401]);
    expect(world.lab.heldJobs.size).toBe(2);
  });

  it("Slack: also when it asks whether the address is ours", async () => {
    await saved(hookOf({ source: "slack", secrets: ["slack secret"], ...plain }));
    const body = JSON.stringify({ type: "url_verification", challenge: "3eZbrw1aB", token: "x" });
    const timestamp = String(Math.floor(world.clock.now / 1000));
    const signature = `v0=${createHmac("sha256", "slack secret").update(`v0:${timestamp}:${body}`).digest("hex")}`;
    const response = await door("run", {
      body,
      headers: {
        "content-type": "application/json",
        "x-slack-request-timestamp": timestamp,
        "x-slack-signature": signature,
      },
    });
    expect([response.status, await response.text()]).toEqual([200, "3eZbrw1aB"]);
    expect(world.lab.calls).not.toContain("acceptFromHook");
  });

  it("with an OIDC token: by the bound claims, which parameters may read", async () => {
    const issuer = "https://ci.test";
    const { publicKey, privateKey } = await generateKeyPair("ES256");
    const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "k1" }] };
    world = await createWorld({
      fetch: async (url) =>
        Response.json(url.endsWith("openid-configuration") ? { issuer, jwks_uri: `${issuer}/jwks` } : jwks),
    });
    await saved(
      hookOf({
        source: "oidc",
        secrets: undefined,
        oidc: { issuer, audience: "firewatch", claims: { repository_id: "42" } },
        filter: [],
        params: { ref: { from: "claim:ref", type: "string" } },
      }),
    );
    const token = (repository: string, jti: string) =>
      new SignJWT({ repository_id: repository, ref: "refs/heads/main", jti })
        .setProtectedHeader({ alg: "ES256", kid: "k1" })
        .setIssuer(issuer)
        .setAudience("firewatch")
        .setExpirationTime(world.clock.now / 1000 + 60)
        .sign(privateKey);
    const send = async (repository: string, jti: string) => door("run", { token: await token(repository, jti) });
    expect([(await send("42", "a")).status, (await send("42", "a")).status, (await send("43", "b")).status]).toEqual([
      202, 202, 401,
    ]);
    expect(world.lab.heldJobs.size).toBe(1);
  });

  it("only from the addresses that were allowed", async () => {
    await saved(hookOf({ ...plain, source: "bearer", secrets: ["t"], allowFrom: ["192.0.2.0/24", "2001:db8::/32"] }));
    const from = (ip: Record<string, string>) => door("run", { token: "t", body: { ref: "a" }, headers: ip });
    expect((await from({ "cf-connecting-ip": "192.0.2.200" })).status).toBe(202);
    expect((await from({ "cf-connecting-ip": "2001:db8::7" })).status).toBe(202);
    expect((await from({ "cf-connecting-ip": "198.51.100.1" })).status).toBe(401);
    expect((await from({})).status).toBe(401);
  });

  it("no faster than their hook's own rate", async () => {
    await saved(hookOf({ ...plain, source: "bearer", secrets: ["t"], ratePerMinute: 2 }));
    const send = async () => (await door("run", { token: "t", body: { ref: "a" } })).status;
    expect([await send(), await send(), await send()]).toEqual([202, 202, 429]);
    world.clock.now += 60_000;
    expect(await send()).toBe(202);
  });

  it("start transfers too", async () => {
    await saved(
      hookOf({
        ...plain,
        source: "bearer",
        secrets: ["t"],
        target: { transfer: { direction: "download", system: "daint", path: "{ref}", key: "out" } },
      }),
    );
    const response = await door("run", { token: "t", body: { ref: "/scratch/out" } });
    expect(response.headers.get("location")).toMatch(/^\/v1\/connections\/lab\/transfers\/tr_/);
  });
});

describe("hooks", () => {
  it("are saved without ever showing their secrets, with the address of their door", async () => {
    const response = await saved(hookOf());
    expect(await response.json()).toMatchObject({
      name: "run",
      secretCount: 1,
      url: "https://firewatch.test/hooks/lab/run",
    });
    expect((await saved(hookOf())).status).toBe(200);
    for (const path of [HOOKS, `${HOOKS}/run`]) {
      const text = await (await world.send(path, { token: world.apiKey })).text();
      expect(text).not.toContain(SECRET);
      expect(text).toContain("https://firewatch.test/hooks/lab/run");
    }
  });

  it.each([
    ["/secrets", { secrets: undefined }],
    ["/secrets/0", { secrets: ["plain text"] }],
    ["/hmac", { source: "hmac", secrets: ["x"] }],
    ["/hmac", { source: "hmac", secrets: ["x"], hmac: { header: "x-sig", content: "{timestamp}.{body}" } }],
    ["/allowFrom/0", { allowFrom: ["everywhere"] }],
    ["/target/job/account", { target: { job: { system: "daint", script: "#!/bin/sh\n", account: "{ref}" } } }],
    ["/params/ref/pattern", { params: { ref: { from: "/ref", type: "string", pattern: "(" } } }],
    ["/sample", { sample: { kind: "x" } }],
    ["/sauce", { sauce: "x" }],
  ])("that could not work are refused, naming %s", async (field, change) => {
    const problem = await problemIn(await saved(hookOf(change)));
    expect(problem).toMatchObject({
      status: 422,
      errors: expect.arrayContaining([expect.objectContaining({ field })]),
    });
  });

  it("show to their administrators what a request would start", async () => {
    await saved(hookOf({ sample: { kind: "run", ref: "sampled" } }));
    const dryRun = async (body?: unknown) =>
      (
        await world.send(`${HOOKS}/run/dry-run`, {
          method: "POST",
          token: world.apiKey,
          ...(body !== undefined && { body }),
        })
      ).json();
    expect(await dryRun()).toMatchObject({
      outcome: "job",
      params: { ref: "sampled" },
      request: { env: { REF: "sampled" } },
      errors: [],
    });
    expect(await dryRun({ body: { kind: "run", ref: 5 } })).toMatchObject({
      outcome: "refused",
      errors: [{ field: "/ref" }],
    });
    expect(await dryRun({ body: {} })).toMatchObject({ outcome: "filtered" });
    expect(world.lab.heldJobs.size).toBe(0);
  });

  it("keep what came in, and send it through again as something new", async () => {
    await saved(hookOf());
    await signed(RUN);
    const { items } = (await (await world.send(`${HOOKS}/run/requests`, { token: world.apiKey })).json()) as {
      items: { id: string }[];
    };
    const path = `${HOOKS}/run/requests/${items[0]?.id}`;
    expect(await (await world.send(path, { token: world.apiKey })).json()).toMatchObject({ body: JSON.stringify(RUN) });
    await saved(hookOf({ filter: [] }));
    const replayed = await world.send(`${path}/replay`, { method: "POST", token: world.apiKey });
    expect([replayed.status, world.lab.heldJobs.size]).toEqual([202, 2]);
    expect(
      (await world.send(`${HOOKS}/run/requests/req_none/replay`, { method: "POST", token: world.apiKey })).status,
    ).toBe(404);
    expect(
      (await world.send(`${path}/replay`, { method: "POST", token: await world.keyWith("jobs:write") })).status,
    ).toBe(403);
  });
});
