/**
 * One HTTP request to a FirecREST site: bearer, deadline, body cap, tolerant decoding, and the answers that mean the same
 * for v1 and v2 (no answer, 401, 429, gateways). Everything else is returned for the client to judge. Nothing is sent
 * twice, except once more with a new token after a 401: that answer is given before anything is done.
 */
import { FirecrestError, type FirecrestErrorDetails } from "./errors.ts";
import { deadline, type InTime, parseJson, readCapped, retryAfterSeconds } from "./http.ts";
import type { ClientDeps } from "./port.ts";
import { siteText } from "./redact.ts";

/** Longer than any site command (5–10 s) plus its queue, see the slowest observed answers (8–18 s). */
const TIMEOUT_MS = 30_000;
const MAX_BODY_BYTES = 8 * 1024 * 1024;

export interface SiteRequest {
  /** A word for the log: route without ids, paths or query. */
  operation: string;
  method: "GET" | "POST" | "PUT" | "DELETE";
  /** Starts with `/`; appended to the base URL as text. */
  path: string;
  /** Absent values are left out. */
  query?: Record<string, string | undefined>;
  headers?: Record<string, string>;
  /** Must be sendable twice: no streams. */
  body?: string | URLSearchParams | FormData | Uint8Array<ArrayBuffer>;
  /** Whether the request changes the far side: then a lost answer is `after_check`, else `later`. */
  effect: boolean;
  /** What a 2xx answer holds. An error answer is always tried as JSON. */
  expect?: "json" | "bytes" | "nothing";
  timeoutMs?: number;
}

export interface SiteAnswer {
  status: number;
  ok: boolean;
  /** Lower-case lookup of one response header. Never log or show headers as they came. */
  header(name: string): string | undefined;
  /** The decoded JSON, or undefined where the body was none. */
  body: unknown;
  bytes: Uint8Array<ArrayBuffer>;
  requestId?: string;
}

export type Send = (request: SiteRequest) => Promise<SiteAnswer>;
type TransportDeps = Pick<ClientDeps, "url" | "token" | "fetch" | "now" | "log">;

/**
 * Throws `FirecrestError`: `network`, `gateway`, `site_error` (5xx page), `rate_limited`, `unauthorized`, `too_large`,
 * `unreadable_answer`, and whatever `token` throws. 4xx and JSON 5xx answers are returned.
 */
export function createTransport(deps: TransportDeps): Send {
  const base = deps.url.replace(/\/+$/, "");

  return async (request) => {
    const first = await exchange(request, await deps.token());
    if (first.status !== 401) return judge(request, first, deps.now());
    return judge(request, await exchange(request, await deps.token(true)), deps.now());
  };

  async function exchange(request: SiteRequest, token: string): Promise<SiteAnswer> {
    const startedAt = deps.now();
    const signal = AbortSignal.timeout(request.timeoutMs ?? TIMEOUT_MS);
    const inTime = deadline(signal);
    const line = (fields: Record<string, unknown>) =>
      deps.log({ msg: "firecrest", operation: request.operation, ms: deps.now() - startedAt, ...fields });
    let response: Response | undefined;
    try {
      response = await inTime(
        deps.fetch(base + request.path + queryText(request.query), {
          method: request.method,
          headers: { accept: "application/json, */*;q=0.5", ...request.headers, authorization: `Bearer ${token}` },
          redirect: "manual",
          signal,
          ...(request.body === undefined ? {} : { body: request.body }),
        }),
      );
      const answer = await readAnswer(request, response, inTime);
      line({ status: answer.status, ...(answer.requestId === undefined ? {} : { requestId: answer.requestId }) });
      return answer;
    } catch (error) {
      if (error instanceof FirecrestError) {
        line({ status: response?.status, error: error.code });
        throw error;
      }
      line({ error: "network" });
      throw lostAnswer(request, error, signal.aborted, response !== undefined);
    }
  }
}

/** The site's own words for an error, whichever key they are under. "" where there are none. */
export function errorText(body: unknown): string {
  if (typeof body !== "object" || body === null) return "";
  const fields = body as Record<string, unknown>;
  return [fields.description, fields.error, fields.message, fields.exp, fields.error_description]
    .map(siteText)
    .filter((text, i, all) => text !== "" && all.indexOf(text) === i)
    .join(": ");
}

function judge(request: SiteRequest, answer: SiteAnswer, now: number): SiteAnswer {
  const { status } = answer;
  const lost = request.effect ? "after_check" : "later";
  const fail = (message: string, details: FirecrestErrorDetails): never => {
    throw new FirecrestError(message, {
      httpStatus: status,
      ...(answer.requestId === undefined ? {} : { requestId: answer.requestId }),
      ...details,
    });
  };
  if (status === 401) {
    return fail(withText("the site did not accept a new token", answer), { code: "unauthorized", retry: "never" });
  }
  if (status === 429) {
    const seconds = retryAfterSeconds(answer.header, now);
    return fail("the site's request limit is reached", {
      code: "rate_limited",
      retry: "later",
      ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
    });
  }
  if (status >= 300 && status < 400) {
    return fail(`the site redirects ${request.operation}: the base URL is not that of the API`, {
      code: "site_error",
      retry: "never",
    });
  }
  if (status >= 500 && !isObject(answer.body)) {
    const gateway = status === 502 || status === 503 || status === 504;
    const seconds = retryAfterSeconds(answer.header, now);
    return fail(gateway ? `the site's gateway answered ${status}` : `the site answered ${status} without a reason`, {
      code: gateway ? "gateway" : "site_error",
      retry: lost,
      ...(seconds === undefined ? {} : { retryAfterSeconds: seconds }),
    });
  }
  if (answer.ok && (request.expect ?? "json") === "json" && answer.body === undefined) {
    return fail(`the site's answer to ${request.operation} is not JSON`, { code: "unreadable_answer", retry: lost });
  }
  return answer;
}

async function readAnswer(request: SiteRequest, response: Response, inTime: InTime): Promise<SiteAnswer> {
  const header = (name: string) => response.headers.get(name) ?? undefined;
  const requestId = header("x-request-id");
  const shownId = requestId !== undefined && /^[\w.:-]{1,100}$/.test(requestId) ? requestId : undefined;
  const bytes = await readCapped(response, MAX_BODY_BYTES, inTime);
  if (bytes === undefined) {
    throw new FirecrestError(`the site's answer to ${request.operation} is larger than ${MAX_BODY_BYTES} bytes`, {
      code: "too_large",
      retry: request.effect ? "after_check" : "never",
      httpStatus: response.status,
      ...(shownId === undefined ? {} : { requestId: shownId }),
    });
  }
  return {
    status: response.status,
    ok: response.status >= 200 && response.status < 300,
    header,
    body: response.ok && request.expect === "bytes" ? undefined : parseJson(bytes),
    bytes,
    ...(shownId === undefined ? {} : { requestId: shownId }),
  };
}

/** Names of failures that happen before a request can have left. */
const NEVER_LEFT = new Set(["ECONNREFUSED", "ENOTFOUND", "EAI_AGAIN", "UND_ERR_CONNECT_TIMEOUT"]);

function lostAnswer(request: SiteRequest, error: unknown, timedOut: boolean, begun: boolean): FirecrestError {
  const cause = isObject(error) && isObject(error.cause) ? error.cause.code : undefined;
  const left = begun || timedOut || typeof cause !== "string" || !NEVER_LEFT.has(cause);
  const what = timedOut ? "no answer in time" : begun ? "the answer broke off" : "no connection";
  return new FirecrestError(`${request.operation}: ${what}`, {
    code: "network",
    retry: request.effect && left ? "after_check" : "later",
    cause: error,
  });
}

function queryText(query: SiteRequest["query"]): string {
  const given = Object.entries(query ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
  return given.length === 0 ? "" : `?${given.map(([k, v]) => `${k}=${encodeURIComponent(v)}`).join("&")}`;
}

function withText(message: string, answer: SiteAnswer): string {
  const text = errorText(answer.body);
  return text === "" ? message : `${message}: ${text}`;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
