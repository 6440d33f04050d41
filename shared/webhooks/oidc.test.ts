import { exportJWK, generateKeyPair, type JWTPayload, SignJWT } from "jose";
import { describe, expect, it } from "vitest";
import { claimsMatch } from "./claims.ts";
import { createOidc, issuerOf, type OidcPolicy } from "./oidc.ts";

const ISSUER = "https://issuer.example";
const NOW = 1_795_348_800_000;
const seconds = NOW / 1000;
const policy: OidcPolicy = {
  issuer: ISSUER,
  audiences: ["https://firewatch.example"],
  claims: { repository_id: 42, ref: ["refs/heads/main", "refs/heads/dev"] },
};
const honest: JWTPayload = {
  iss: ISSUER,
  aud: "https://firewatch.example",
  exp: seconds + 300,
  iat: seconds,
  jti: "once-1",
  repository_id: "42",
  ref: "refs/heads/main",
  sub: "repo:a/b",
};

async function issuerWorld() {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const keys = [{ ...(await exportJWK(publicKey)), kid: "k1", alg: "RS256", use: "sig" }];
  const asked: string[] = [];
  const world = {
    keys,
    asked,
    status: 200,
    discovery: { issuer: ISSUER, jwks_uri: `${ISSUER}/keys` } as Record<string, unknown>,
    privateKey,
    token: (payload: JWTPayload, header: Record<string, string> = {}) =>
      new SignJWT(payload).setProtectedHeader({ alg: "RS256", kid: "k1", ...header }).sign(privateKey),
    fetch: async (url: string) => {
      asked.push(url);
      if (world.status !== 200) return new Response("no", { status: world.status });
      return Response.json(url.endsWith("/keys") || url.endsWith("/jwks") ? { keys: world.keys } : world.discovery);
    },
  };
  return { world, oidc: createOidc({ fetch: world.fetch, now: () => NOW }) };
}

describe("an OIDC token", () => {
  it("of the right issuer, audience and claims is believed, and its keys are fetched once", async () => {
    const { world, oidc } = await issuerWorld();
    const token = await world.token(honest);
    expect(await oidc.verify(token, policy)).toEqual({ ok: true, claims: honest, jti: "once-1" });
    expect(await oidc.verify(token, policy)).toMatchObject({ ok: true });
    expect(world.asked).toEqual([`${ISSUER}/.well-known/openid-configuration`, `${ISSUER}/keys`]);
  });

  it("of GitHub needs no discovery", async () => {
    const { world, oidc } = await issuerWorld();
    const issuer = "https://token.actions.githubusercontent.com";
    expect(await oidc.verify(await world.token({ ...honest, iss: issuer }), { ...policy, issuer })).toMatchObject({
      ok: true,
    });
    expect(world.asked).toEqual([`${issuer}/.well-known/jwks`]);
  });

  it.each<[string, JWTPayload, string]>([
    ["of another issuer", { ...honest, iss: "https://evil.example" }, "wrong_issuer"],
    ["without an issuer", { ...honest, iss: undefined as never }, "wrong_issuer"],
    ["for somebody else", { ...honest, aud: "https://github.com/owner" }, "wrong_audience"],
    ["for nobody", { ...honest, aud: undefined as never }, "wrong_audience"],
    ["that has expired", { ...honest, exp: seconds - 5 }, "expired"],
  ])("%s is refused without asking anybody for keys", async (_, payload, reason) => {
    const { world, oidc } = await issuerWorld();
    expect(await oidc.verify(await world.token(payload), policy)).toEqual({ ok: false, reason });
    expect(world.asked).toEqual([]);
  });

  it.each<[string, JWTPayload, string]>([
    ["that never expires", { ...honest, exp: undefined as never }, "missing_claim"],
    ["that is not valid yet", { ...honest, nbf: seconds + 60 }, "not_yet_valid"],
    ["of another repository", { ...honest, repository_id: "43" }, "claims_mismatch"],
    ["of another branch", { ...honest, ref: "refs/heads/evil" }, "claims_mismatch"],
    ["without a bound claim", { ...honest, ref: undefined as never }, "claims_mismatch"],
  ])("%s is refused", async (_, payload, reason) => {
    const { world, oidc } = await issuerWorld();
    expect(await oidc.verify(await world.token(payload), policy)).toEqual({ ok: false, reason });
  });

  it("may be a few seconds late", async () => {
    const { world, oidc } = await issuerWorld();
    expect(await oidc.verify(await world.token({ ...honest, exp: seconds - 4 }), policy)).toMatchObject({ ok: true });
  });

  it("for several audiences is believed when ours is among them", async () => {
    const { world, oidc } = await issuerWorld();
    expect(
      await oidc.verify(await world.token({ ...honest, aud: ["x", "https://firewatch.example"] }), policy),
    ).toMatchObject({ ok: true });
  });

  it("signed by another key of the same name is refused", async () => {
    const { world, oidc } = await issuerWorld();
    const { world: other } = await issuerWorld();
    expect(await oidc.verify(await other.token(honest), policy)).toEqual({ ok: false, reason: "bad_signature" });
    expect(await oidc.verify(await world.token(honest, { kid: "k2" }), policy)).toEqual({
      ok: false,
      reason: "unknown_key",
    });
  });

  it("that is unsigned, or signed with a public key as a secret, is refused", async () => {
    const { world, oidc } = await issuerWorld();
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
    expect(await oidc.verify(`${part({ alg: "none" })}.${part(honest)}.`, policy)).toEqual({
      ok: false,
      reason: "unsupported_algorithm",
    });
    const symmetric = await new SignJWT(honest)
      .setProtectedHeader({ alg: "HS256", kid: "k1" })
      .sign(new TextEncoder().encode(JSON.stringify(world.keys[0])));
    expect(await oidc.verify(symmetric, policy)).toEqual({ ok: false, reason: "unsupported_algorithm" });
  });

  it.each(["", "x", "a.b", "a.b.c", "..", "a.b.c.d.e", "x".repeat(20_000), `${"a".repeat(20_000)}.b.c`])(
    "is not read from junk (%#)",
    async (text) => {
      const { world, oidc } = await issuerWorld();
      expect(await oidc.verify(text, policy)).toEqual({ ok: false, reason: "malformed_token" });
      expect(world.asked).toEqual([]);
    },
  );

  it("is refused while the policy is incomplete", async () => {
    const { world, oidc } = await issuerWorld();
    const token = await world.token(honest);
    for (const half of [{ audiences: [] }, { audiences: [""] }, { issuer: "" }, { claims: {} }]) {
      expect(await oidc.verify(token, { ...policy, ...half })).toEqual({ ok: false, reason: "not_configured" });
    }
  });

  it("leaves the claims to the caller where the policy says so", async () => {
    const { world, oidc } = await issuerWorld();
    expect(
      await oidc.verify(await world.token({ ...honest, ref: "anything" }), { ...policy, claims: "decided_later" }),
    ).toMatchObject({ ok: true, claims: { ref: "anything" } });
  });
});

describe("an issuer", () => {
  it("that cannot be reached makes keys unavailable, and is asked again next time", async () => {
    const { world, oidc } = await issuerWorld();
    const token = await world.token(honest);
    world.status = 503;
    expect(await oidc.verify(token, policy)).toEqual({ ok: false, reason: "keys_unavailable" });
    world.status = 200;
    expect(await oidc.verify(token, policy)).toMatchObject({ ok: true });
  });

  it("that speaks for another issuer, or says nothing sensible, is not believed", async () => {
    for (const discovery of [
      { issuer: "https://other.example", jwks_uri: `${ISSUER}/keys` },
      { issuer: ISSUER },
      { issuer: ISSUER, jwks_uri: 5 },
      {},
    ]) {
      const { world, oidc } = await issuerWorld();
      world.discovery = discovery;
      expect(await oidc.verify(await world.token(honest), policy)).toEqual({ ok: false, reason: "keys_unavailable" });
    }
  });

  it("is read off a token without believing it", async () => {
    const { world } = await issuerWorld();
    expect(issuerOf(await world.token(honest))).toBe(ISSUER);
    expect(issuerOf("junk")).toBeUndefined();
  });
});

describe("bound claims", () => {
  it("match the same digits as text or number, any of a list, and all of them together", () => {
    const claims = { id: "42", n: 7, flag: true, list: ["a"], tree: { a: 1 } };
    expect(claimsMatch(claims, { id: 42, n: "7", flag: true })).toBe(true);
    expect(claimsMatch(claims, { id: [1, 42] })).toBe(true);
    expect(claimsMatch(claims, { id: "42", n: 8 })).toBe(false);
  });

  it("match nothing when there are none, when a list is empty, for lists, for trees, and for inherited names", () => {
    const claims = { id: "42", list: ["a"], tree: {} };
    for (const bound of [
      {},
      { id: [] },
      { list: "a" },
      { tree: "[object Object]" },
      { constructor: "x" },
      { missing: "undefined" },
    ]) {
      expect(claimsMatch(claims, bound as never)).toBe(false);
    }
  });
});
