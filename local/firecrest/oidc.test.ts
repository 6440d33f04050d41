import { decodeProtectedHeader, importJWK, jwtVerify } from "jose";
import { describe, expect, it } from "vitest";
import { createFirecrest, type MemoryFirecrest } from "./memory.ts";
import { TokenError } from "./oidc.ts";
import { memoryStore } from "./store.ts";

async function ask(site: MemoryFirecrest, body: Record<string, string>, headers: Record<string, string> = {}) {
  const response = await site.fetch(
    new Request(site.tokenUrl, { method: "POST", body: new URLSearchParams(body), headers }),
  );
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

const grant = (site: MemoryFirecrest) => ({
  grant_type: "client_credentials",
  client_id: site.clientId,
  client_secret: site.clientSecret,
});

describe("the token endpoint", () => {
  it("gives a signed token for the secret by POST, by Basic and for an API key", async () => {
    const site = await createFirecrest();
    const { clientId, clientSecret, apiKey = "" } = site;
    const basic = { authorization: `Basic ${btoa(`${clientId}:${clientSecret}`)}` };
    for (const answer of [
      await ask(site, grant(site)),
      await ask(site, { grant_type: "client_credentials" }, basic),
      await ask(site, { grant_type: "api_key" }, { "x-api-key": apiKey }),
    ]) {
      expect(answer).toMatchObject({
        status: 200,
        body: { token_type: "Bearer", expires_in: 300, refresh_expires_in: 0 },
      });
      const bearer = await site.site.oidc.verify(`Bearer ${answer.body.access_token}`);
      expect(bearer).toMatchObject({ user: "alice", clientId, expiresAt: site.clock.now() + 300_000 });
    }
  });

  it("signs with a key of its published set", async () => {
    const site = await createFirecrest();
    const token = String((await ask(site, grant(site))).body.access_token);
    const { keys } = (await (await site.fetch(new Request(site.certsUrl))).json()) as { keys: { kid: string }[] };
    const { kid, alg } = decodeProtectedHeader(token);
    const key = keys.find((candidate) => candidate.kid === kid);
    const { payload } = await jwtVerify(token, await importJWK(key ?? {}, alg), {
      currentDate: new Date(site.clock.now()),
    });
    expect(payload.iss).toBe("https://site.test/auth/realms/firewatch");
  });

  it("refuses wrong secrets, unknown clients, other grants and wrong API keys", async () => {
    const site = await createFirecrest();
    expect(await ask(site, { ...grant(site), client_secret: "wrong" })).toMatchObject({
      status: 401,
      body: { error: "unauthorized_client" },
    });
    expect(await ask(site, { ...grant(site), client_id: "nope" })).toMatchObject({
      status: 401,
      body: { error: "invalid_client" },
    });
    expect(await ask(site, { ...grant(site), grant_type: "password" })).toMatchObject({
      status: 400,
      body: { error: "unsupported_grant_type" },
    });
    expect((await ask(site, {}, { "x-api-key": "wrong" })).status).toBe(401);
    expect((await ask(site, { grant_type: "client_credentials" }, { authorization: "Basic %%%" })).status).toBe(401);
  });

  it("gives tokens of another life when asked to", async () => {
    const site = await createFirecrest({ tokenLifeSeconds: 60 });
    expect((await ask(site, grant(site))).body.expires_in).toBe(60);
    site.faults.add({ kind: "token_life", seconds: 2, count: 1 });
    expect((await ask(site, grant(site))).body.expires_in).toBe(2);
  });
});

describe("a bearer", () => {
  it("is told apart when it is missing, expired, forged or garbage", async () => {
    const site = await createFirecrest();
    const other = await createFirecrest({ store: memoryStore() });
    const token = String((await ask(site, grant(site))).body.access_token);
    const problemOf = (authorization?: string) =>
      site.site.oidc.verify(authorization).then(
        () => "none",
        (error: unknown) => (error instanceof TokenError ? error.problem : error),
      );
    expect(await problemOf(`Bearer ${token}`)).toBe("none");
    expect(await problemOf(undefined)).toBe("missing");
    expect(await problemOf("Bearer garbage")).toBe("malformed");
    expect(await problemOf(`Bearer ${(await ask(other, grant(other))).body.access_token}`)).toBe("bad_signature");
    const unsigned = `${btoa('{"alg":"none"}')}.${token.split(".")[1]}.`;
    expect(await problemOf(`Bearer ${unsigned}`)).toBe("malformed");
    await site.clock.advance(301_000);
    expect(await problemOf(`Bearer ${token}`)).toBe("expired");
  });

  it("stays good over a restart, since the key is kept", async () => {
    const store = memoryStore();
    const before = await createFirecrest({ store });
    const token = String((await ask(before, grant(before))).body.access_token);
    const after = await createFirecrest({ store });
    expect((await after.site.oidc.verify(`Bearer ${token}`)).user).toBe("alice");
  });
});
