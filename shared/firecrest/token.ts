/**
 * Bearer tokens of one connection. One fetch serves all callers that wait for it, a token is replaced while it still has
 * a minute to live, and neither token nor credential is ever logged or put into an error.
 */
import { FirecrestError } from "./errors.ts";
import { deadline, parseJson, readCapped, retryAfterSeconds } from "./http.ts";
import { siteText } from "./redact.ts";

export type Credential =
  | {
      type: "client_credentials";
      tokenUrl: string;
      clientId: string;
      clientSecret: string;
      /** How the secret is sent; default in the form. */
      method?: "client_secret_post" | "client_secret_basic";
    }
  /** A service account's key, traded for a token by `POST tokenUrl` with `X-API-Key`. */
  | { type: "api_key"; tokenUrl: string; apiKey: string };

/** A secret as a whole: whoever keeps it seals it. Times in milliseconds since the epoch. */
export interface StoredToken {
  accessToken: string;
  obtainedAt: number;
  expiresAt: number;
}

/** Where a token outlives the isolate. A failing cache costs a fetch, nothing else. */
export interface TokenCache {
  get(): Promise<StoredToken | undefined>;
  put(token: StoredToken): Promise<void>;
}

export interface TokenDeps {
  credential: Credential;
  /** The token URL was chosen by a customer: this must be the guarded fetch. */
  fetch(input: string, init: RequestInit): Promise<Response>;
  cache: TokenCache;
  now(): number;
  log(line: Record<string, unknown>): void;
}

const TIMEOUT_MS = 20_000;
const MAX_ANSWER_BYTES = 64 * 1024;
/** Sites use a token again inside a task or job set-up, and refuse one with less than 30 s to live. */
const MARGIN_MS = 60_000;
/** A token that was just fetched and refused will not get better by fetching again. */
const RENEWAL_REST_MS = 10_000;
/** Assumed life of a token whose answer does not say. */
const UNKNOWN_LIFE_SECONDS = 120;

/**
 * `token(renew)` for `ClientDeps`. Throws `token_refused` (`never`: credential or address is wrong) or
 * `token_unavailable` (`later`).
 */
export function createTokenSource(deps: TokenDeps): (renew?: boolean) => Promise<string> {
  let held: StoredToken | undefined;
  let inFlight: Promise<StoredToken> | undefined;

  return async (renew = false) => {
    const now = deps.now();
    if (held !== undefined && isFresh(held, now) && (!renew || now - held.obtainedAt < RENEWAL_REST_MS)) {
      return held.accessToken;
    }
    inFlight ??= obtain(renew).finally(() => {
      inFlight = undefined;
    });
    return (await inFlight).accessToken;
  };

  async function obtain(renew: boolean): Promise<StoredToken> {
    const refused = renew ? held?.accessToken : undefined;
    const cached = await deps.cache.get().catch(() => undefined);
    // After a 401 the cache may hold what another isolate has renewed meanwhile.
    const usable = !renew || (refused !== undefined && cached?.accessToken !== refused);
    if (cached !== undefined && usable && isFresh(cached, deps.now())) {
      held = cached;
      return cached;
    }
    held = await fetchToken(deps);
    await deps.cache.put(held).catch(() => deps.log({ msg: "token_cache", error: "put" }));
    return held;
  }
}

/** Fresh until a minute before its end; a token that lives two minutes or less, for half of its life. */
function isFresh(token: StoredToken, now: number): boolean {
  const margin = Math.min(MARGIN_MS, (token.expiresAt - token.obtainedAt) / 2);
  return now < token.expiresAt - margin;
}

async function fetchToken(deps: TokenDeps): Promise<StoredToken> {
  const obtainedAt = deps.now();
  const signal = AbortSignal.timeout(TIMEOUT_MS);
  const inTime = deadline(signal);
  const line = (fields: Record<string, unknown>) =>
    deps.log({ msg: "token", grant: deps.credential.type, ms: deps.now() - obtainedAt, ...fields });
  let response: Response;
  let bytes: Uint8Array | undefined;
  try {
    response = await inTime(
      deps.fetch(deps.credential.tokenUrl, { method: "POST", redirect: "manual", signal, ...grant(deps.credential) }),
    );
    bytes = await readCapped(response, MAX_ANSWER_BYTES, inTime);
  } catch (cause) {
    line({ error: "network" });
    throw new FirecrestError("the token endpoint does not answer", {
      code: "token_unavailable",
      retry: "later",
      cause,
    });
  }
  line({ status: response.status });
  const body = bytes === undefined ? undefined : parseJson(bytes);
  if (!response.ok) throw refusal(response, body, deps.now());
  const token = readToken(body, obtainedAt);
  if (token === undefined) {
    throw new FirecrestError("the token endpoint's answer holds no bearer token", {
      code: "token_unavailable",
      retry: "later",
      httpStatus: response.status,
    });
  }
  return token;
}

function grant(credential: Credential): { headers: Record<string, string>; body?: string } {
  if (credential.type === "api_key") {
    return { headers: { accept: "application/json", "x-api-key": credential.apiKey } };
  }
  const form = new URLSearchParams({ grant_type: "client_credentials" });
  const headers: Record<string, string> = {
    accept: "application/json",
    "content-type": "application/x-www-form-urlencoded",
  };
  if (credential.method === "client_secret_basic") {
    headers.authorization = `Basic ${basic(credential.clientId, credential.clientSecret)}`;
  } else {
    form.set("client_id", credential.clientId);
    form.set("client_secret", credential.clientSecret);
  }
  return { headers, body: form.toString() };
}

/** RFC 6749 §2.3.1: both are form-encoded before they are joined. */
function basic(id: string, secret: string): string {
  const encode = (text: string) => new URLSearchParams({ v: text }).toString().slice(2);
  return btoa(`${encode(id)}:${encode(secret)}`);
}

function refusal(response: Response, body: unknown, now: number): FirecrestError {
  const { status } = response;
  const fields = typeof body === "object" && body !== null ? (body as Record<string, unknown>) : {};
  const reason = [fields.error, fields.error_description].map(siteText).filter((text) => text !== "");
  const refused = status === 401 || status === 403 || (status === 400 && reason.length > 0);
  const seconds = retryAfterSeconds((name) => response.headers.get(name), now);
  return new FirecrestError([`the token endpoint answered ${status}`, ...reason].join(": "), {
    code: refused ? "token_refused" : "token_unavailable",
    retry: refused ? "never" : "later",
    httpStatus: status,
    ...(refused || seconds === undefined ? {} : { retryAfterSeconds: seconds }),
  });
}

function readToken(body: unknown, obtainedAt: number): StoredToken | undefined {
  if (typeof body !== "object" || body === null) return undefined;
  const { access_token: accessToken, expires_in: life } = body as Record<string, unknown>;
  // Anything else could not stand in a header.
  if (typeof accessToken !== "string" || !/^[\x21-\x7e]{1,16384}$/.test(accessToken)) return undefined;
  const seconds = typeof life === "string" || typeof life === "number" ? Number(life) : Number.NaN;
  const known = Number.isFinite(seconds) && seconds > 0 ? seconds : UNKNOWN_LIFE_SECONDS;
  return { accessToken, obtainedAt, expiresAt: obtainedAt + known * 1000 };
}
