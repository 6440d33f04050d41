import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { generateApiKey } from "../../shared/api-key.ts";
import { systemRandom } from "../../shared/clock.ts";
import { ADMIN_TOKEN, createWorld, problemIn, type World } from "./testing/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld();
});

const LAB = "/v1/connections/lab";

describe("a request without a good credential", () => {
  it.each([
    ["none", undefined],
    ["a word", "letmein"],
    ["a mistyped key", `fw_lab_${"0".repeat(49)}`],
    ["a key nobody made", generateApiKey("lab", systemRandom)],
    [
      "a token of an issuer nobody bound",
      "eyJhbGciOiJub25lIn0.eyJpc3MiOiJodHRwczovL2V2aWwudGVzdCIsImF1ZCI6ImZpcmV3YXRjaCJ9.x",
    ],
    ["a revoked key", "revoked"],
  ])("%s: gets a 401 that says what to send, and nothing of why", async (_, token) => {
    const shown = token === "revoked" ? await revokedKey() : token;
    for (const path of [`${LAB}/jobs`, "/v1/connections/nowhere/jobs"]) {
      const response = await world.send(path, shown === undefined ? {} : { token: shown });
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await problemIn(response)).toEqual({
        type: "/problems/unauthorized",
        code: "unauthorized",
        status: 401,
        title: "Credentials are missing or not valid",
        detail: expect.stringContaining("Authorization: Bearer"),
      });
    }
  });

  it("is refused before anything is looked up, where that can be seen", async () => {
    await world.send(`${LAB}/jobs`, { token: `fw_lab_${"0".repeat(49)}` });
    expect(world.lab.calls).toEqual([]);
  });

  it("leaves the exact reason in the log, and the credential nowhere", async () => {
    const token = generateApiKey("lab", systemRandom);
    await world.send(`${LAB}/jobs`, { token: token.slice(0, -1) });
    await world.send(`${LAB}/jobs`, { token });
    expect(world.lines).toMatchObject([
      { event: "request", route: "listJobs", reason: "malformed_api_key", status: 401 },
      { event: "request", route: "listJobs", connection: "lab", caller: "key", status: 401 },
    ]);
    expect(JSON.stringify(world.lines)).not.toContain(token.slice(8, 40));
  });

  it.each(["Basic eDp5", "Bearer", "Bearer a b", "bearer\u00a0x", `Bearer ${"x".repeat(17_000)}`])(
    "is refused for a header that is not a bearer token: case %#",
    async (authorization) => {
      expect((await world.send(`${LAB}/jobs`, { headers: { authorization } })).status).toBe(401);
    },
  );

  it("learns that, and not what else is wrong with it", async () => {
    const token = generateApiKey("lab", systemRandom);
    for (const request of [
      { body: { nonsense: true } },
      { body: "not json", headers: { "content-type": "text/plain" } },
    ]) {
      expect((await world.send(`${LAB}/jobs`, { method: "POST", token, ...request })).status).toBe(401);
    }
    expect((await world.send(`${LAB}/jobs?colour=red`, { token })).status).toBe(401);
  });
});

describe("a good key in the wrong place", () => {
  it("gets a 403 on another connection, whether that exists or not", async () => {
    world.tracker("other").exists = true;
    for (const name of ["other", "nowhere", "NOT-A-NAME"]) {
      const problem = await problemIn(await world.send(`/v1/connections/${name}/jobs`, { token: world.apiKey }));
      expect(problem).toEqual({
        type: "/problems/forbidden",
        code: "forbidden",
        status: 403,
        title: "These credentials may not do this",
        detail: "This API key belongs to another connection. Use a key of the connection in the address.",
      });
    }
  });

  it("gets a 401 there once it is revoked at home", async () => {
    expect((await world.send("/v1/connections/other/jobs", { token: await revokedKey() })).status).toBe(401);
  });

  it("gets a 403 without the scope, for what exists and what does not", async () => {
    const token = await world.keyWith("jobs:read");
    for (const id of [world.key.id, "key_nothing"]) {
      expect((await world.send(`${LAB}/keys/${id}`, { method: "DELETE", token })).status).toBe(403);
    }
    expect((await world.send(`${LAB}/jobs`, { method: "POST", token, body: { nonsense: true } })).status).toBe(403);
    expect((await world.send("/v1/connections", { token })).status).toBe(403);
  });

  it("gets a 404 for what is not there, inside its own connection", async () => {
    expect((await world.send(`${LAB}/jobs/job_nothing`, { token: world.apiKey })).status).toBe(404);
  });
});

describe("the administrator", () => {
  it("may everything, and alone is told that a connection does not exist", async () => {
    expect((await world.send(`${LAB}/jobs`, { token: ADMIN_TOKEN })).status).toBe(200);
    expect((await world.send("/v1/connections/nowhere/jobs", { token: ADMIN_TOKEN })).status).toBe(404);
    expect((await world.send("/v1/connections/NOT-A-NAME/jobs", { token: ADMIN_TOKEN })).status).toBe(404);
    const list = await world.send("/v1/connections", { token: ADMIN_TOKEN });
    expect(await list.json()).toEqual({ items: [{ name: "lab", live: false }] });
  });

  it("is not known by a token that only begins like theirs", async () => {
    for (const token of [ADMIN_TOKEN.slice(0, -1), `${ADMIN_TOKEN}x`]) {
      expect((await world.send("/v1/connections", { token })).status).toBe(401);
    }
  });
});

describe("an OIDC token", async () => {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const jwks = { keys: [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256" }] };
  const issuer = "https://ci.test";
  const token = (claims: Record<string, unknown>, audience = "firewatch") =>
    new SignJWT({ ...claims })
      .setProtectedHeader({ alg: "RS256", kid: "k1" })
      .setIssuer(issuer)
      .setAudience(audience)
      .setIssuedAt(world.clock.now / 1000)
      .setExpirationTime(world.clock.now / 1000 + 300)
      .sign(privateKey);

  beforeEach(async () => {
    world = await createWorld({
      fetch: async (url) =>
        Response.json(url.endsWith("openid-configuration") ? { issuer, jwks_uri: `${issuer}/jwks` } : jwks),
    });
    world.lab.identities.set("repo", {
      issuer,
      audience: "firewatch",
      claims: { repository_id: "42" },
      scopes: ["jobs:read"],
    });
  });

  it("is let in by the claims that were bound, with their scopes", async () => {
    const good = await token({ repository_id: "42", who·ever: "naïve" });
    expect((await world.send(`${LAB}/jobs`, { token: good })).status).toBe(200);
    expect((await world.send(`${LAB}/jobs`, { method: "POST", token: good, body: {} })).status).toBe(403);
  });

  it("gets a 401 with other claims, another audience, or at a connection that does not know its issuer", async () => {
    expect((await world.send(`${LAB}/jobs`, { token: await token({ repository_id: "43" }) })).status).toBe(401);
    expect(
      (await world.send(`${LAB}/jobs`, { token: await token({ repository_id: "42" }, "https://github.com/me") }))
        .status,
    ).toBe(401);
    expect(
      (await world.send("/v1/connections/nowhere/jobs", { token: await token({ repository_id: "42" }) })).status,
    ).toBe(401);
  });

  it("calls no Tracker by a name that no connection can have", async () => {
    const asked: string[] = [];
    world = await createWorld({
      tracker: (name) => {
        asked.push(name);
        throw new Error("there is no such Tracker");
      },
    });
    expect((await world.send("/v1/connections/No_Such/jobs", { token: await token({}) })).status).toBe(401);
    expect(asked).toEqual([]);
  });

  it("gets a 503 when its issuer's keys cannot be read: that is not its fault", async () => {
    world = await createWorld({ fetch: async () => Promise.reject(new Error("down")) });
    world.lab.identities.set("repo", { issuer, audience: "firewatch", claims: { repository_id: "42" } });
    expect((await world.send(`${LAB}/jobs`, { token: await token({ repository_id: "42" }) })).status).toBe(503);
  });
});

async function revokedKey(): Promise<string> {
  const { apiKey, key } = await world.lab.issueKey({ name: "old" });
  expect((await world.send(`${LAB}/keys/${key.id}`, { method: "DELETE", token: ADMIN_TOKEN })).status).toBe(204);
  return apiKey;
}
