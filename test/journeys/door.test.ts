import { readdir } from "node:fs/promises";
import { DatabaseSync } from "node:sqlite";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { generateApiKey } from "../../shared/api-key.ts";
import { systemRandom } from "../../shared/clock.ts";
import { type Deployment, deploy } from "./deployment.ts";

let firewatch: Deployment;
beforeAll(async () => {
  firewatch = await deploy();
});
afterAll(() => firewatch?.stop());

const SCRIPT = "#!/bin/bash -l\ntrue\n";

/** Tables in all Durable Objects: an object that was only asked something has a file here, with nothing of ours in it. */
async function tables(): Promise<string[]> {
  const files = (await readdir(firewatch.state.path("state"), { recursive: true })).filter((name) =>
    name.endsWith(".sqlite"),
  );
  return files.flatMap((name) => {
    const database = new DatabaseSync(firewatch.state.path("state", name), { readOnly: true });
    const rows = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all() as { name: string }[];
    database.close();
    return rows.map((row) => row.name).filter((table) => !table.startsWith("_"));
  });
}

describe("who may come in", () => {
  const of = async (token: string | null, path = "jobs") => {
    const answer = await firewatch.call("GET", path, { token });
    return {
      status: answer.status,
      code: answer.body?.code,
      challenge: answer.headers.get("www-authenticate"),
      text: answer.text,
    };
  };

  it("answers 401 with a challenge to no, malformed, unknown, expired and revoked credentials, in the same words", async () => {
    const key = async (body: object) =>
      (await firewatch.call("POST", "keys", { body, token: firewatch.adminToken })).body;
    const expired = await key({ name: "old", expiresAt: new Date(Date.now() - 1000).toISOString() });
    const revoked = await key({ name: "gone" });
    await firewatch.call("DELETE", `keys/${revoked.id}`, { token: firewatch.adminToken });
    const answers = await Promise.all([
      of(null),
      of("nonsense"),
      of(generateApiKey("local-v1", systemRandom)),
      of(expired.apiKey),
      of(revoked.apiKey),
      of(firewatch.connection.apiKey.slice(0, -1)),
      of(`${firewatch.adminToken}x`),
    ]);
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401, 401]);
    for (const { challenge } of answers) expect(challenge).toMatch(/^Bearer/);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  it("answers 403 to a valid key elsewhere, whether the connection exists or not", async () => {
    await firewatch.call("PUT", "/v1/connections/other", {
      token: firewatch.adminToken,
      body: {
        api: "v1",
        url: firewatch.firecrest.v1Url,
        auth: {
          type: "client_credentials",
          tokenUrl: firewatch.firecrest.tokenUrl,
          clientId: firewatch.firecrest.clientId,
          clientSecret: firewatch.firecrest.clientSecret,
        },
      },
    });
    const exists = await of(firewatch.connection.apiKey, "/v1/connections/other/jobs");
    const missing = await of(firewatch.connection.apiKey, "/v1/connections/missing/jobs");
    expect(exists).toMatchObject({ status: 403 });
    expect(missing).toEqual(exists);
  });

  it("answers 403 to a key without the scope", async () => {
    const { body } = await firewatch.call("POST", "keys", {
      body: { name: "reader", scopes: ["jobs:read"] },
      token: firewatch.adminToken,
    });
    expect(body.scopes).toEqual(["jobs:read"]);
    expect(
      (await firewatch.call("POST", "jobs", { body: { system: "cluster", script: SCRIPT }, token: body.apiKey }))
        .status,
    ).toBe(403);
    expect((await firewatch.call("GET", "jobs", { token: body.apiKey })).status).toBe(200);
  });

  it("answers 404 for an unknown connection only to the administrator, and leaves no trace of it", async () => {
    const before = await tables();
    expect((await of(firewatch.adminToken, "/v1/connections/ghost/jobs")).status).toBe(404);
    expect((await of(generateApiKey("ghost", systemRandom), "/v1/connections/ghost/jobs")).status).toBe(401);
    expect((await firewatch.call("POST", "/hooks/ghost/h", { body: {}, token: null })).status).toBe(401);
    const { body } = await firewatch.call("GET", "/v1/connections", { token: firewatch.adminToken });
    expect(body.items.map(({ name }: { name: string }) => name)).not.toContain("ghost");
    expect((await firewatch.call("GET", "/.well-known/webhook-keys/ghost", { token: null })).status).toBe(404);
    expect(await tables()).toEqual(before);
  });
});

describe("bad input", () => {
  const post = (body: unknown) => firewatch.call("POST", "jobs", { body });
  const cases: [string, unknown, string][] = [
    ["a missing system", { script: SCRIPT }, "/system"],
    ["a system that the connection does not have", { system: "nowhere", script: SCRIPT }, "/system"],
    ["a wrong type", { system: "cluster", script: 7 }, "/script"],
    ["an unknown field", { system: "cluster", script: SCRIPT, scrpt: 1 }, "/scrpt"],
    ["no script at all", { system: "cluster" }, "/script"],
    ["a script without #!", { system: "cluster", script: "echo hi\n" }, "/script"],
    ["a script with CRLF", { system: "cluster", script: "#!/bin/bash\r\necho\r\n" }, "/script"],
    ["a name that Slurm owns", { system: "cluster", script: SCRIPT, env: { SLURM_JOB_ID: "1" } }, "/env/SLURM_JOB_ID"],
    ["NUL in a value", { system: "cluster", script: SCRIPT, env: { A: "a\u0000b" } }, "/env/A"],
    ["a value that is too long", { system: "cluster", script: SCRIPT, env: { A: "x".repeat(65_537) } }, "/env/A"],
    ["a path that leaves", { system: "cluster", script: SCRIPT, outputs: [{ path: "../x" }] }, "/outputs/0/path"],
    ["a path with a quote", { system: "cluster", script: SCRIPT, outputs: [{ path: "a'b" }] }, "/outputs/0/path"],
    [
      "a callback to a private address",
      { system: "cluster", script: SCRIPT, callbacks: [{ url: "https://10.0.0.1/" }] },
      "/callbacks/0/url",
    ],
    [
      "memory beside --mem-per-cpu",
      { system: "cluster", script: "#!/bin/bash\n#SBATCH --mem-per-cpu=1\ntrue\n", resources: { memoryMiB: 10 } },
      "/resources/memoryMiB",
    ],
  ];
  for (const [what, body, field] of cases) {
    it(`answers ${what} with 422 that names ${field}`, async () => {
      const answer = await post(body);
      expect(answer.status).toBe(422);
      expect(answer.headers.get("content-type")).toContain("application/problem+json");
      expect(answer.body.errors.map((error: { field: string }) => error.field)).toContain(field);
      expect(answer.body.errors[0].message).toMatch(/\w{3,}/);
    });
  }

  it("answers text that is no JSON with 422 or 400, and a body over 1 MiB with 413", async () => {
    const broken = await firewatch.call("POST", "jobs", { raw: "{nope" });
    expect([400, 422]).toContain(broken.status);
    expect(
      (
        await firewatch.call("POST", "jobs", {
          raw: JSON.stringify({ system: "cluster", script: `#!/bin/bash\n${"#".repeat(1_100_000)}` }),
        })
      ).status,
    ).toBe(413);
  });

  it("answers an unknown job with 404 and an unknown route with 404, as problems", async () => {
    for (const path of ["jobs/job_00000000000000000000000000", "nothing"]) {
      const answer = await firewatch.call("GET", path);
      expect(answer.status).toBe(404);
      expect(answer.headers.get("content-type")).toContain("application/problem+json");
    }
  });
});

describe("Idempotency-Key", () => {
  it("makes one job of a hundred concurrent copies, and refuses another body", async () => {
    const body = { system: "cluster", script: SCRIPT, labels: { test: "hundred" } };
    const headers = { "idempotency-key": "hundred" };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () => firewatch.call("POST", "jobs", { body, headers })),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect((await firewatch.call("GET", "jobs?label=test:hundred")).body.items).toHaveLength(1);
    expect((await firewatch.call("POST", "jobs", { body: { ...body, name: "other" }, headers })).status).toBe(422);
  });
});

describe("what describes itself", () => {
  it("serves OpenAPI 3.1 and a docs page that loads nothing from elsewhere", async () => {
    const { body } = await firewatch.call("GET", "/openapi.json", { token: null });
    expect(body.openapi).toMatch(/^3\.1/);
    expect(Object.keys(body.paths).length).toBeGreaterThan(30);
    const docs = await firewatch.call("GET", "/docs", { token: null });
    expect(docs.headers.get("content-type")).toContain("text/html");
    expect(docs.text).not.toMatch(/(src|href)="https?:\/\/(?!127\.0\.0\.1)/);
  });
});
