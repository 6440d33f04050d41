/**
 * The site behind a connection: its settings, its token, its budget, and clients made of them. Everything that this
 * connection sends to FirecREST passes the one budget kept here.
 */
import type { ConnectionRequest, JobLimits, ObjectRules } from "../../shared/contract/connection.ts";
import { PRESETS } from "../../shared/contract/presets.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { type Budget, createBudget, type Priority, pause, spend, take } from "../../shared/firecrest/budget.ts";
import { createFirecrest } from "../../shared/firecrest/client.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Api, Firecrest, SiteParameters, SystemStatus } from "../../shared/firecrest/port.ts";
import { type Credential, createTokenSource, type StoredToken } from "../../shared/firecrest/token.ts";
import type { Seal } from "../../shared/seal.ts";
import type { House } from "./house.ts";

/** A connection's settings without its secret. */
export interface SiteConfig {
  api: Api;
  url: string;
  auth: {
    type: "client_credentials" | "api_key";
    tokenUrl: string;
    clientId?: string;
    method?: "client_secret_post" | "client_secret_basic";
  };
  requestsPerMinute: number;
  account?: string;
  storageOrigins?: string[];
  objects?: ObjectRules;
  limits?: JobLimits;
  createdAt: number;
}

/** As it is handed to whoever talks to the site elsewhere: `credential` is the tag of the one that belongs to this address. */
export type BoundSite = SiteConfig & { credential: string };

/** What the site told about itself, refreshed now and then. */
export interface SiteFacts {
  systems: SystemStatus[];
  parameters: SiteParameters;
  at: number;
}

export const DEFAULT_REQUESTS_PER_MINUTE = 60;
/** KV refuses shorter lives. */
const KV_MIN_TTL_SECONDS = 60;

export class Site {
  readonly #house: House;
  readonly #seal: Seal;
  readonly #egress: Egress;
  readonly #read = new Map<string, { text: string; value: unknown }>();
  #budget: Budget | undefined;
  #token: { sealed: string; source: (renew?: boolean) => Promise<string> } | undefined;

  constructor(house: House, seal: Seal, egress: Egress) {
    this.#house = house;
    this.#seal = seal;
    this.#egress = egress;
  }

  config(): SiteConfig {
    const config = this.#parsed<SiteConfig>("site");
    if (config === undefined) throw new Error("the connection has no site");
    return config;
  }

  /** For a consumer: it gets tokens of this credential only, so none of the next one goes to this address. */
  bound(): BoundSite {
    return { ...this.config(), credential: tagOfSealed(this.#house.meta("credential") ?? "") };
  }

  /** Read anew each time, since others write it, and parsed only when it has changed. */
  #parsed<T>(key: string): T | undefined {
    const text = this.#house.meta(key);
    if (text === undefined) return undefined;
    const kept = this.#read.get(key);
    if (kept?.text === text) return kept.value as T;
    const value: unknown = JSON.parse(text);
    this.#read.set(key, { text, value });
    return value as T;
  }

  /** The site's first staged link tells where its object store is; every later link must lead there too. */
  learnStorage(link: string): void {
    const config = this.config();
    if (config.storageOrigins !== undefined) return;
    const storageOrigins = [new URL(link).origin];
    this.#house.change(() => this.#house.setMeta("site", JSON.stringify({ ...config, storageOrigins })));
  }

  facts(): SiteFacts | undefined {
    return this.#parsed<SiteFacts>("facts");
  }

  /** Forgets what was derived from older settings. */
  changed(): void {
    this.#budget = undefined;
    this.#token = undefined;
  }

  // ---------------------------------------------------------------------------------------------------------------- budget

  #current(): Budget {
    this.#budget ??= {
      ...createBudget(this.config().requestsPerMinute, this.#house.now()),
      pausedUntil: Number(this.#house.meta("paused_until") ?? 0),
    };
    return this.#budget;
  }

  /** Undefined when granted, else the time at which to ask again, in ms. */
  take(n: number, priority: Priority): number | undefined {
    const taken = take(this.#current(), this.#house.now(), n, priority);
    this.#budget = taken.budget;
    if (taken.granted) this.#house.counted.requests += n;
    return taken.granted ? undefined : taken.retryAt;
  }

  /** When so many requests may leave at once if nobody takes any before, in ms; not later than now where they may already. */
  readyAt(n: number): number {
    const now = this.#house.now();
    const taken = take(this.#current(), now, n, "user");
    return taken.granted ? now : taken.retryAt;
  }

  /** Settles a grant against what was really used. */
  settle(granted: number, used: number): void {
    this.#house.counted.requests += used - granted;
    if (granted !== used) this.#budget = spend(this.#current(), this.#house.now(), used - granted);
  }

  /** The site said "too many": nothing leaves until its time is over, also after a restart. */
  pause(seconds: number | undefined): void {
    const now = this.#house.now();
    this.#budget = pause(this.#current(), now, seconds);
    const until = this.#budget.pausedUntil;
    this.#house.change(() => this.#house.setMeta("paused_until", String(until)));
  }

  budgetView(): { requestsPerMinute: number; available: number; pausedUntil?: number } {
    const now = this.#house.now();
    const { budget } = take(this.#current(), now, 0, "user");
    const view = { requestsPerMinute: budget.requestsPerMinute, available: Math.max(0, Math.floor(budget.tokens)) };
    return budget.pausedUntil > now ? { ...view, pausedUntil: budget.pausedUntil } : view;
  }

  // ----------------------------------------------------------------------------------------------------------------- token

  /**
   * A bearer token with at least a minute left. One fetch serves all callers; it outlives the object sealed in KV. Who names a
   * `credential` gets none of another: it asks for an address that the connection may have left.
   */
  async token(renew = false, credential?: string): Promise<string> {
    for (;;) {
      const sealed = this.#house.meta("credential");
      if (sealed === undefined) throw new Error("the connection has no credential");
      if (credential !== undefined && credential !== tagOfSealed(sealed)) throw replaced();
      if (this.#token?.sealed === sealed) return this.#token.source(renew);
      const opened = await this.#credential(sealed);
      // While it was opened another one may have been saved, or another caller may have been first.
      if (this.#house.meta("credential") === sealed && this.#token?.sealed !== sealed)
        this.#token = { sealed, source: this.#source(opened, sealed) };
    }
  }

  async #credential(sealed: string): Promise<Credential> {
    const { auth } = this.config();
    const secret = await this.#seal.open(sealed, {
      purpose: "credential",
      connection: this.#house.name,
      id: "credential",
    });
    if (auth.type === "api_key") return { type: "api_key", tokenUrl: auth.tokenUrl, apiKey: secret };
    return {
      type: "client_credentials",
      tokenUrl: auth.tokenUrl,
      clientId: auth.clientId ?? "",
      clientSecret: secret,
      ...(auth.method === undefined ? {} : { method: auth.method }),
    };
  }

  /**
   * A kept token opens only with the credential that it was made with, known by the tag of its sealing: one that is written
   * late, or read from an old copy, is never used with the next credential, whose site may be somebody else's.
   */
  #source(credential: Credential, sealed: string): (renew?: boolean) => Promise<string> {
    const house = this.#house;
    const binding = { purpose: "token", connection: house.name, id: tagOfSealed(sealed) };
    const key = `token/${house.name}`;
    return createTokenSource({
      credential,
      fetch: (url, init) => this.#egress.stream(url, init, { purpose: "token", storageOrigins: [credential.tokenUrl] }),
      cache: {
        get: async () => {
          const sealed = await house.env.TOKENS.get(key);
          return sealed === null ? undefined : (JSON.parse(await this.#seal.open(sealed, binding)) as StoredToken);
        },
        put: async (token) => {
          const lifeSeconds = Math.floor((token.expiresAt - house.now()) / 1000);
          if (lifeSeconds < KV_MIN_TTL_SECONDS) return;
          await house.env.TOKENS.put(key, await this.#seal.seal(JSON.stringify(token), binding), {
            expirationTtl: lifeSeconds,
          });
        },
      },
      now: house.now,
      log: (line) => house.log({ event: "token", ...line }),
    });
  }

  // ---------------------------------------------------------------------------------------------------------------- client

  /** A client whose requests were granted before (`take`), counted so that the grant can be settled, with the site's ids of them. */
  client(): { firecrest: Firecrest; requests: () => number; requestIds: () => string[] } {
    let requests = 0;
    const requestIds: string[] = [];
    const site = this.bound();
    const firecrest = clientOf(site, this.#egress, {
      token: (renew) => this.token(renew, site.credential),
      now: this.#house.now,
      sleep: this.#house.sleep,
      log: (line) => {
        if (typeof line.requestId === "string") requestIds.push(line.requestId);
        this.#house.log({ event: "firecrest", ...line });
      },
      onRequest: () => requests++,
    });
    return { firecrest, requests: () => requests, requestIds: () => requestIds };
  }
}

/** Each sealing has its own. */
const tagOfSealed = (sealed: string): string => sealed.slice(sealed.lastIndexOf(".") + 1);

/** Nothing has left with this request: whatever it belongs to begins anew, with the address that counts now. */
const replaced = (): FirecrestError =>
  new FirecrestError("the connection's credential was replaced meanwhile", {
    code: "token_unavailable",
    retry: "later",
  });

/** What the Tracker answers to a consumer that needs a token. */
export type TokenAnswer =
  | { ok: true; token: string }
  | {
      ok: false;
      code: FirecrestError["code"];
      retry: FirecrestError["retry"];
      message: string;
      retryAfterSeconds?: number;
    };

/** The Tracker's tokens for a client outside of it. */
export const tokenFrom =
  (ask: (renew?: boolean) => Promise<TokenAnswer>) =>
  async (renew?: boolean): Promise<string> => {
    const answer = await ask(renew);
    if (answer.ok) return answer.token;
    const { code, retry, retryAfterSeconds } = answer;
    throw new FirecrestError(answer.message, {
      code,
      retry,
      ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
    });
  };

/** A client for this site, wherever it runs: in the Tracker, or in a consumer that asks the Tracker for tokens. */
export function clientOf(
  config: Pick<SiteConfig, "api" | "url" | "storageOrigins">,
  egress: Pick<Egress, "stream">,
  deps: {
    token(renew?: boolean): Promise<string>;
    now(): number;
    sleep?(ms: number): Promise<void>;
    log(line: Record<string, unknown>): void;
    onRequest?(): void;
  },
): Firecrest {
  return createFirecrest({
    api: config.api,
    url: config.url,
    token: deps.token,
    fetch: (url, init) => {
      deps.onRequest?.();
      // Its own address and no other: a redirect or a link in an answer leads nowhere.
      return egress.stream(url, init, { purpose: "firecrest", storageOrigins: [config.url] });
    },
    fetchStaged: (url, init) =>
      egress.stream(url, init, { purpose: "staged", storageOrigins: config.storageOrigins ?? [url] }),
    now: deps.now,
    sleep: deps.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms))),
    log: deps.log,
  });
}

/** The settings and the secret that a request to make a connection names. */
export function readRequest(request: ConnectionRequest, now: number): { config: SiteConfig; secret: string } {
  const common = {
    requestsPerMinute: request.requestsPerMinute ?? DEFAULT_REQUESTS_PER_MINUTE,
    createdAt: now,
    ...(request.account === undefined ? {} : { account: request.account }),
    ...(request.objects === undefined ? {} : { objects: request.objects }),
    ...(request.limits === undefined ? {} : { limits: request.limits }),
    ...(request.storageOrigins === undefined
      ? {}
      : { storageOrigins: request.storageOrigins.map((url) => new URL(url).origin) }),
  };
  if ("preset" in request) {
    const { url, tokenUrl } = PRESETS[request.preset];
    if ("apiKey" in request.auth)
      return {
        config: {
          api: "v2",
          url,
          auth: { type: "api_key", tokenUrl: request.auth.tokenUrl ?? tokenUrl },
          ...common,
        },
        secret: request.auth.apiKey,
      };
    return {
      config: {
        api: "v2",
        url,
        auth: { type: "client_credentials", tokenUrl, clientId: request.auth.clientId },
        ...common,
      },
      secret: request.auth.clientSecret,
    };
  }
  const { auth } = request;
  const base = { api: request.api, url: request.url.replace(/\/+$/, ""), ...common };
  if (auth.type === "api_key")
    return { config: { ...base, auth: { type: "api_key", tokenUrl: auth.tokenUrl } }, secret: auth.apiKey };
  return {
    config: {
      ...base,
      auth: {
        type: "client_credentials",
        tokenUrl: auth.tokenUrl,
        clientId: auth.clientId,
        ...(auth.method === undefined ? {} : { method: auth.method }),
      },
    },
    secret: auth.clientSecret,
  };
}

/** What is wrong with a site and what to do, in words for the connection's owner. */
export function diagnose(error: unknown): string {
  if (!(error instanceof FirecrestError)) return "The site could not be checked; it will be tried again.";
  const advice: Partial<Record<FirecrestError["code"], string>> = {
    token_refused: "Check clientId, clientSecret and tokenUrl.",
    token_unavailable: "Check tokenUrl, or wait if the identity provider is down.",
    unauthorized: "Check that the credential belongs to this deployment.",
    rate_limited: "Lower requestsPerMinute, or ask the site for a larger plan.",
    network: "Check url, or wait if the site is in maintenance.",
    gateway: "The site may be in maintenance.",
    not_found: "Check url and api (v1 or v2).",
  };
  return [error.message, advice[error.code]].filter(Boolean).join(". ");
}
