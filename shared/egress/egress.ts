/**
 * The only caller of `fetch` for URLs that somebody else chose. Every URL is checked, looked up where a resolver is there, and
 * fetched with one deadline over everything; redirects are followed by hand or not at all; a body is read up to a limit and
 * no further.
 */
import { concat } from "../bytes.ts";
import type { Now } from "../clock.ts";
import { hostRefusal, parseAddress, plainName } from "./address.ts";
import type { Resolve } from "./doh.ts";
import { EgressError } from "./error.ts";
import { type AllowList, createRules, type RefusalReason } from "./rules.ts";

export interface EgressDeps {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  now: Now;
  /** Absent: names are not looked up first; only what a URL spells is checked. */
  resolve?: Resolve | undefined;
  allow?: AllowList | undefined;
  /** Our own host names. */
  ownHosts?: readonly string[] | undefined;
  /** Hears the exact reason of every refusal. */
  log?: ((line: { event: "egress.refused"; purpose: string; host: string; reason: RefusalReason }) => void) | undefined;
}

export interface FetchOptions {
  /** For the log: `callback`, `token`, `jwks`, `input` … */
  purpose: string;
  /** Over look-up, connection, headers, body and every redirect. Default 20 s. */
  deadlineMs?: number;
  /** Of the decoded body. Default 64 KiB. */
  maxBytes?: number;
  /** How many redirects a read may follow. Default 0: a redirect is the answer. */
  redirects?: number;
}

export interface StreamOptions {
  purpose: string;
  /** Until the headers are there; the body is under the caller's own `signal`. Default 20 s. */
  deadlineMs?: number;
  /** Origins of the site's object store: the link must lead to one of them. */
  storageOrigins: readonly string[];
}

export interface OpenOptions {
  purpose: string;
  /** Over look-up, connection and headers of every hop; the body is under the caller's own `signal`. Default 20 s. */
  deadlineMs?: number;
  /** How many redirects the read may follow. */
  redirects: number;
}

export interface EgressAnswer {
  status: number;
  headers: Headers;
  /** At most `maxBytes`. */
  body: Uint8Array;
  /** There was more. */
  truncated: boolean;
  /** Where it came from in the end. */
  url: string;
  durationMs: number;
}

export interface Egress {
  /** Throws EgressError. */
  fetch(url: string, init: RequestInit, options: FetchOptions): Promise<EgressAnswer>;
  /** The unread answer of a staged link or part URL; no redirects, no limit. Throws EgressError. */
  stream(url: string, init: RequestInit, options: StreamOptions): Promise<Response>;
  /** The unread answer of a GET of anybody's URL; its limit is the caller's. Throws EgressError. */
  open(url: string, init: RequestInit, options: OpenOptions): Promise<Response>;
  /** The same as `fetch` for libraries that want a `fetch` of their own; a body over the limit is an error there. */
  fetcher(options: FetchOptions): (url: string, init?: RequestInit) => Promise<Response>;
  /** What can be said about a URL when it is registered: undefined if it may be fetched. The reason is for the log. */
  refusal(url: string): RefusalReason | undefined;
}

export const MAX_REDIRECTS = 5;

const DEFAULTS = { deadlineMs: 20_000, maxBytes: 65_536, redirects: 0 } as const;

/** The only headers that go on to another origin: whatever else was set may be a credential. */
const HARMLESS_HEADERS = new Set(["accept", "accept-encoding", "accept-language", "range", "user-agent"]);

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** Throws TypeError for an allow-list that cannot be read. */
export function createEgress(deps: EgressDeps): Egress {
  const rules = createRules(deps.allow ?? { cidrs: [], hosts: [] }, deps.ownHosts ?? []);

  function refuse(purpose: string, url: string, reason: RefusalReason): never {
    deps.log?.({ event: "egress.refused", purpose, host: URL.canParse(url) ? new URL(url).host : "", reason });
    throw new EgressError({ code: "refused", reason });
  }

  /** What a URL spells, and then where its name leads. */
  async function admit(text: string, purpose: string, signal: AbortSignal): Promise<URL> {
    const checked = rules.check(text);
    if (!checked.ok) return refuse(purpose, text, checked.reason);
    const { url, byOperator } = checked;
    if (byOperator || deps.resolve === undefined || parseAddress(url.hostname) !== undefined) return url;
    const resolution = await deps.resolve(plainName(url.hostname), signal).catch((cause: unknown) => {
      throw new EgressError({ code: "unresolved", reason: "unresolved" }, cause);
    });
    if (resolution === undefined) throw new EgressError({ code: "unresolved", reason: "unresolved" });
    const alias = resolution.aliases.map(hostRefusal).find((reason) => reason !== undefined);
    if (alias !== undefined) return refuse(purpose, text, alias);
    const addresses = resolution.addresses.map(parseAddress);
    if (!addresses.every((address) => address !== undefined && rules.mayConnect(address)))
      return refuse(purpose, text, "private_address");
    return url;
  }

  /** One request after another until one is not a redirect that we follow. */
  async function follow(
    first: string,
    init: RequestInit,
    purpose: string,
    redirects: number,
    signal: AbortSignal,
  ): Promise<{ response: Response; url: URL }> {
    let url = await admit(first, purpose, signal);
    let headers = new Headers(init.headers);
    for (let hop = 0; ; hop++) {
      const response = await deps.fetch(url.href, { ...init, headers, redirect: "manual", signal });
      const location = REDIRECTS.has(response.status) ? response.headers.get("location") : null;
      if (redirects === 0 || location === null) return { response, url };
      discard(response);
      if (hop === redirects) return refuse(purpose, url.href, "too_many_redirects");
      const target = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
      if (target === undefined) return refuse(purpose, location, "not_a_url");
      // A fragment belongs to whoever shows the page; on the wire it does not exist.
      target.hash = "";
      if (target.origin !== url.origin)
        headers = new Headers([...headers].filter(([name]) => HARMLESS_HEADERS.has(name)));
      url = await admit(target.href, purpose, signal);
    }
  }

  async function request(url: string, init: RequestInit, options: FetchOptions): Promise<EgressAnswer> {
    const { purpose, deadlineMs, maxBytes, redirects } = { ...DEFAULTS, ...options };
    if (redirects > 0 && !/^(get|head)$/i.test(init.method ?? "GET"))
      return refuse(purpose, url, "redirect_of_a_write");
    const started = deps.now();
    return withinDeadline(deadlineMs, init.signal, async (signal) => {
      const { response, url: last } = await follow(url, init, purpose, Math.min(redirects, MAX_REDIRECTS), signal);
      const { body, truncated } = await readUpTo(response, maxBytes);
      return {
        status: response.status,
        headers: response.headers,
        body,
        truncated,
        url: last.href,
        durationMs: deps.now() - started,
      };
    });
  }

  return {
    fetch: request,

    stream(url, init, { purpose, deadlineMs = DEFAULTS.deadlineMs, storageOrigins }) {
      return withinDeadline(deadlineMs, init.signal, async (signal) => {
        if (!storageOrigins.some((allowed) => originOf(allowed) === originOf(url)))
          return refuse(purpose, url, "storage_origin");
        const { response } = await follow(url, init, purpose, 0, signal);
        return response;
      });
    },

    open(url, init, { purpose, deadlineMs = DEFAULTS.deadlineMs, redirects }) {
      return withinDeadline(deadlineMs, init.signal, async (signal) => {
        const { response } = await follow(url, init, purpose, Math.min(redirects, MAX_REDIRECTS), signal);
        return response;
      });
    },

    fetcher: (options) => async (url, init) => {
      const { status, headers, body, truncated } = await request(url, init ?? {}, options);
      if (truncated) throw new EgressError({ code: "too_large", reason: "too_large" });
      // What is in `body` is decoded already.
      const plain = new Headers(
        [...headers].filter(([name]) => name !== "content-encoding" && name !== "content-length"),
      );
      return new Response(BODYLESS.has(status) ? null : body, { status, headers: plain });
    },

    refusal(url) {
      const checked = rules.check(url);
      return checked.ok ? undefined : checked.reason;
    },
  };
}

const BODYLESS = new Set([204, 205, 304]);

/** Undefined never equals undefined here: an allowed origin that is no URL allows nothing. */
const originOf = (url: string): string | symbol => (URL.canParse(url) ? new URL(url).origin : Symbol("no URL"));

/**
 * Runs `work` under one deadline and the caller's own signal. Neither depends on `work` listening: when time is up the answer
 * is `timeout`, whatever hangs. Everything that is not an EgressError or the caller's own abort comes out as `network`.
 */
async function withinDeadline<T>(
  deadlineMs: number,
  own: AbortSignal | null | undefined,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(new EgressError({ code: "timeout", reason: "timeout" })), deadlineMs);
  const signal = own ? AbortSignal.any([deadline.signal, own]) : deadline.signal;
  const aborted = Promise.withResolvers<never>();
  const onAbort = (): void => aborted.reject(signal.reason);
  signal.addEventListener("abort", onAbort);
  try {
    signal.throwIfAborted();
    return await Promise.race([work(signal), aborted.promise]);
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw error instanceof EgressError ? error : new EgressError({ code: "network", reason: "network" }, error);
  } finally {
    clearTimeout(timer);
    signal.removeEventListener("abort", onAbort);
  }
}

/** The body up to a limit. What lies beyond is cancelled, not read: a receiver cannot make us download. */
async function readUpTo(response: Response, maxBytes: number): Promise<{ body: Uint8Array; truncated: boolean }> {
  const reader = response.body?.getReader();
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  while (reader !== undefined) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value.subarray(0, maxBytes - bytes));
    bytes += value.length;
    if (bytes > maxBytes) {
      // Nobody waits for this, and a source that fails while being cancelled is of no interest any more.
      reader.cancel().catch(() => {});
      return { body: concat(chunks), truncated: true };
    }
  }
  return { body: concat(chunks), truncated: false };
}

const discard = (response: Response): void => void response.body?.cancel().catch(() => {});
