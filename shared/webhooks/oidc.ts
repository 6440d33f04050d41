/**
 * Callers that prove themselves with an OIDC token (CI jobs): no stored secret, a signature that anybody can check, and
 * claims that say which repository or project it was. Our own audience is required: a token made for somebody else, or with
 * an issuer's default audience, opens nothing here.
 */
import { createRemoteJWKSet, customFetch, decodeJwt, errors, type JWTPayload, jwtVerify } from "jose";
import type { Now } from "../clock.ts";
import { z } from "../contract/words.ts";
import { type BoundClaims, claimsMatch } from "./claims.ts";

export interface OidcPolicy {
  issuer: string;
  /** Ours; any one of them. */
  audiences: readonly string[];
  /** `decided_later`: the caller of `verify` matches the claims itself, with `claimsMatch`. */
  claims: BoundClaims | "decided_later";
}

export type OidcRefusal =
  | "not_configured"
  | "malformed_token"
  | "unsupported_algorithm"
  | "wrong_issuer"
  | "wrong_audience"
  | "expired"
  | "not_yet_valid"
  | "unknown_key"
  | "bad_signature"
  | "missing_claim"
  | "claims_mismatch"
  /** The issuer's keys could not be read: not the caller's fault, try again. */
  | "keys_unavailable";

export type OidcVerdict = { ok: true; claims: JWTPayload; jti?: string } | { ok: false; reason: OidcRefusal };

export interface Oidc {
  verify(token: string, policy: OidcPolicy): Promise<OidcVerdict>;
}

/** Where these issuers keep their keys; all others are asked (`/.well-known/openid-configuration`). */
const KNOWN_JWKS: Readonly<Record<string, string>> = {
  "https://token.actions.githubusercontent.com": "https://token.actions.githubusercontent.com/.well-known/jwks",
  "https://gitlab.com": "https://gitlab.com/oauth/discovery/keys",
};

const ALGORITHMS = [
  "RS256",
  "RS384",
  "RS512",
  "PS256",
  "PS384",
  "PS512",
  "ES256",
  "ES384",
  "ES512",
  "EdDSA",
  "Ed25519",
];

/** CI runners and issuers are not quite on the same time. */
const CLOCK_TOLERANCE_SECONDS = 5;

/** Issuers are chosen by connection owners: what is kept of them is bounded. */
const MAX_ISSUERS = 100;
const MAX_TOKEN_CHARACTERS = 16_384;

type KeySource = ReturnType<typeof createRemoteJWKSet>;

/** `fetch` must be an egress fetch: issuers are addresses that somebody else chose. Keys are kept in memory by issuer. */
export function createOidc(deps: { fetch: (url: string, init: RequestInit) => Promise<Response>; now: Now }): Oidc {
  const sources = new Map<string, Promise<KeySource>>();

  /** One key source for an issuer; an issuer that could not be asked is asked again next time. */
  async function keysOf(issuer: string): Promise<KeySource> {
    const known = sources.get(issuer);
    if (known !== undefined) return known;
    const source = findJwks(issuer, deps.fetch).then((url) => createRemoteJWKSet(url, { [customFetch]: deps.fetch }));
    const oldest = sources.keys().next();
    if (sources.size >= MAX_ISSUERS && !oldest.done) sources.delete(oldest.value);
    sources.set(issuer, source);
    source.catch(() => sources.delete(issuer));
    return source;
  }

  return {
    async verify(token, policy) {
      const { issuer, audiences, claims } = policy;
      const unbound = claims !== "decided_later" && Object.keys(claims).length === 0;
      if (issuer === "" || audiences.length === 0 || audiences.includes("") || unbound)
        return { ok: false, reason: "not_configured" };
      // What a token says of itself is checked before its issuer is asked for keys: junk costs no request.
      const said = readUnverified(token);
      if (said === undefined) return { ok: false, reason: "malformed_token" };
      if (said.iss !== issuer) return { ok: false, reason: "wrong_issuer" };
      if (![said.aud].flat().some((aud) => aud !== undefined && audiences.includes(aud)))
        return { ok: false, reason: "wrong_audience" };
      if (said.exp !== undefined && said.exp + CLOCK_TOLERANCE_SECONDS <= deps.now() / 1000)
        return { ok: false, reason: "expired" };

      try {
        const { payload } = await jwtVerify(token, await keysOf(issuer), {
          issuer,
          audience: [...audiences],
          algorithms: ALGORITHMS,
          requiredClaims: ["exp"],
          clockTolerance: CLOCK_TOLERANCE_SECONDS,
          currentDate: new Date(deps.now()),
        });
        if (claims !== "decided_later" && !claimsMatch(payload, claims))
          return { ok: false, reason: "claims_mismatch" };
        return { ok: true, claims: payload, ...(typeof payload.jti === "string" && { jti: payload.jti }) };
      } catch (error) {
        return { ok: false, reason: refusalOf(error) };
      }
    },
  };
}

/** Who a token says made it, unverified: for choosing the policy that it is then verified against. */
export const issuerOf = (token: string): string | undefined => readUnverified(token)?.iss;

function readUnverified(token: string): JWTPayload | undefined {
  if (token.length > MAX_TOKEN_CHARACTERS || token.split(".").length !== 3) return undefined;
  try {
    return decodeJwt(token);
  } catch {
    return undefined;
  }
}

const Discovery = z.object({ issuer: z.string(), jwks_uri: z.url() });

/** Throws KeysUnavailable. */
async function findJwks(issuer: string, fetch: (url: string, init: RequestInit) => Promise<Response>): Promise<URL> {
  const known = Object.hasOwn(KNOWN_JWKS, issuer) ? KNOWN_JWKS[issuer] : undefined;
  if (known !== undefined) return new URL(known);
  const url = `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
  const answer: unknown = await fetch(url, { headers: { accept: "application/json" }, redirect: "manual" })
    .then((response) => (response.status === 200 ? response.json() : undefined))
    .catch(() => undefined);
  const discovery = Discovery.safeParse(answer);
  // OpenID Connect Discovery 4.3: a document that names another issuer is not this issuer's.
  if (!discovery.success || discovery.data.issuer !== issuer) throw new KeysUnavailable();
  return new URL(discovery.data.jwks_uri);
}

class KeysUnavailable extends Error {
  override readonly name = "KeysUnavailable";
}

const CLAIM_REFUSALS: Readonly<Record<string, OidcRefusal>> = {
  iss: "wrong_issuer",
  aud: "wrong_audience",
  nbf: "not_yet_valid",
};

function refusalOf(error: unknown): OidcRefusal {
  if (error instanceof errors.JWTExpired) return "expired";
  if (error instanceof errors.JWTClaimValidationFailed) return CLAIM_REFUSALS[error.claim] ?? "missing_claim";
  if (error instanceof errors.JWSSignatureVerificationFailed) return "bad_signature";
  if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys)
    return "unknown_key";
  if (error instanceof errors.JOSEAlgNotAllowed || error instanceof errors.JOSENotSupported)
    return "unsupported_algorithm";
  if (error instanceof errors.JWSInvalid || error instanceof errors.JWTInvalid) return "malformed_token";
  return "keys_unavailable";
}
