/**
 * The identity provider of the local site: a token endpoint for the client-credentials grant (secret by POST or Basic), a
 * variant for service accounts with an API key (`X-API-Key`), and the public keys. Tokens are RS256 JWTs.
 */
import { errors, exportJWK, exportPKCS8, generateKeyPair, importPKCS8, type JWK, jwtVerify, SignJWT } from "jose";
import { sameText } from "./staging/sigv4.ts";
import type { Store } from "./store.ts";

export interface ClientAccount {
  clientId: string;
  clientSecret: string;
  /** For the API-key variant. */
  apiKey?: string;
  /** Unix user that the client acts as. */
  user: string;
}

export interface OidcOptions {
  accounts: readonly ClientAccount[];
  store: Store;
  now(): number;
  /** Life of new tokens in seconds; asked for each one. */
  tokenLifeSeconds(): number;
  /** Issuer claim; known only once the server listens. */
  issuer(): string;
  /** Makes the key of a store that has none. */
  newKey?: (() => Promise<SigningKey>) | undefined;
}

/** Why a bearer was not accepted. */
export type TokenProblem = "missing" | "malformed" | "expired" | "bad_signature";

export class TokenError extends Error {
  override readonly name = "TokenError";
  readonly problem: TokenProblem;

  constructor(problem: TokenProblem) {
    super(`Bearer token is ${problem}`);
    this.problem = problem;
  }
}

export interface Bearer {
  user: string;
  clientId: string;
  expiresAt: number;
}

export interface Oidc {
  /** `POST` to the token endpoint. */
  token(request: Request): Promise<Response>;
  /** The key set, for `…/protocol/openid-connect/certs`. */
  certs(): Response;
  /** Reads an `Authorization` header. Throws `TokenError`. */
  verify(authorization: string | undefined): Promise<Bearer>;
}

const SERVICE_ACCOUNT_ROLE = "firecrest-sa";

export async function createOidc(options: OidcOptions): Promise<Oidc> {
  const { privateKey, jwk } = await signingKey(options);
  const publicKeys = { keys: [jwk] };

  return {
    async token(request) {
      if (request.method !== "POST") return problem(405, "invalid_request", "Use POST");
      const form = new URLSearchParams(await request.text());
      const account = authenticate(options.accounts, form, request.headers);
      if (account instanceof Response) return account;
      const lifeSeconds = options.tokenLifeSeconds();
      const issuedAt = Math.floor(options.now() / 1000);
      const token = await new SignJWT({
        scope: "firecrest profile email",
        azp: account.clientId,
        clientId: account.clientId,
        preferred_username: `service-account-${account.clientId}`,
        realm_access: { roles: [SERVICE_ACCOUNT_ROLE] },
        resource_access: { [account.clientId]: { roles: [account.user] } },
      })
        .setProtectedHeader({ alg: "RS256", typ: "JWT", kid: jwk.kid ?? "" })
        .setIssuer(options.issuer())
        .setSubject(account.clientId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + lifeSeconds)
        .setJti(crypto.randomUUID())
        .sign(privateKey);
      return json(200, {
        access_token: token,
        expires_in: lifeSeconds,
        refresh_expires_in: 0,
        token_type: "Bearer",
        "not-before-policy": 0,
        scope: "firecrest profile email",
      });
    },

    certs: () => json(200, publicKeys),

    async verify(authorization) {
      if (authorization === undefined || authorization === "") throw new TokenError("missing");
      const token = authorization.replace("Bearer ", "");
      try {
        const { payload } = await jwtVerify(token, jwk, {
          algorithms: ["RS256"],
          currentDate: new Date(options.now()),
        });
        const clientId = String(payload.clientId ?? "");
        const roles = (payload.resource_access as Record<string, { roles?: string[] }> | undefined)?.[clientId]?.roles;
        const user = roles?.[0];
        if (user === undefined || payload.exp === undefined) throw new TokenError("malformed");
        return { user, clientId, expiresAt: payload.exp * 1000 };
      } catch (error) {
        if (error instanceof errors.JWTExpired) throw new TokenError("expired");
        if (error instanceof errors.JWSSignatureVerificationFailed) throw new TokenError("bad_signature");
        throw new TokenError("malformed");
      }
    },
  };
}

function authenticate(
  accounts: readonly ClientAccount[],
  form: URLSearchParams,
  headers: Headers,
): ClientAccount | Response {
  const apiKey = headers.get("x-api-key");
  if (apiKey !== null) {
    const account = accounts.find((candidate) => candidate.apiKey !== undefined && sameText(candidate.apiKey, apiKey));
    return account ?? problem(401, "invalid_client", "Invalid API key");
  }
  if (form.get("grant_type") !== "client_credentials")
    return problem(400, "unsupported_grant_type", "Unsupported grant_type");
  const basic = /^Basic (.+)$/i.exec(headers.get("authorization") ?? "")?.[1];
  const [basicId, basicSecret] = basic === undefined ? [] : decodeBasic(basic);
  const clientId = basicId ?? form.get("client_id") ?? "";
  const secret = basicSecret ?? form.get("client_secret") ?? "";
  const account = accounts.find((candidate) => candidate.clientId === clientId);
  if (account === undefined) return problem(401, "invalid_client", "Invalid client credentials");
  if (!sameText(account.clientSecret, secret)) return problem(401, "unauthorized_client", "Invalid client secret");
  return account;
}

/** Both halves are form-encoded inside Basic (RFC 6749, 2.3.1). */
function decodeBasic(text: string): [string, string] | [] {
  try {
    const [id = "", ...secret] = atob(text).split(":");
    return [decodeURIComponent(id), decodeURIComponent(secret.join(":"))];
  } catch {
    return [];
  }
}

const PRIVATE_KEY = "oidc/private-key";

/** A private key and the public one that belongs to it, as they are kept. */
export interface SigningKey {
  pkcs8: string;
  jwk: JWK;
}

async function signingKey({ store, newKey = makeKey }: OidcOptions): Promise<{ privateKey: CryptoKey; jwk: JWK }> {
  let kept = store.get<SigningKey>(PRIVATE_KEY);
  if (kept === undefined) {
    kept = await newKey();
    store.set(PRIVATE_KEY, kept);
  }
  return { privateKey: await importPKCS8(kept.pkcs8, "RS256"), jwk: kept.jwk };
}

export async function makeKey(): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
  const jwk: JWK = { ...(await exportJWK(publicKey)), kid: crypto.randomUUID(), use: "sig", alg: "RS256" };
  return { pkcs8: await exportPKCS8(privateKey), jwk };
}

function json(status: number, body: unknown): Response {
  return Response.json(body, { status, headers: { "cache-control": "no-store", pragma: "no-cache" } });
}

function problem(status: number, error: string, description: string): Response {
  return json(status, { error, error_description: description });
}
