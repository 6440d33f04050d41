/**
 * The embedded FirecREST in memory: a plain `fetch` over a memory host and a virtual clock, without a port. Runs inside
 * workerd as well as in Node.
 */
import { VirtualClock } from "./clock.ts";
import type { Faults } from "./faults.ts";
import { type MemoryHost, type MemoryHostOptions, memoryHost } from "./memory-host.ts";
import { type ClientAccount, makeKey, type SigningKey } from "./oidc.ts";
import type { Site } from "./site.ts";
import { createSiteServer, type SiteOptions } from "./site-server.ts";
import { memorySegments } from "./staging/segments.ts";
import { memoryStore } from "./store.ts";
import type { V2Options } from "./v2/options.ts";

export interface MemoryFirecrestOptions
  extends Partial<
    Pick<SiteOptions, "accounts" | "quirks" | "limits" | "tokenLifeSeconds" | "seed" | "control" | "v2" | "store">
  > {
  /** Address that the site takes itself to have; requests are sent to `fetch` whatever it is. */
  url?: string;
  /** Milliseconds since the epoch. */
  startAt?: number;
  host?: Omit<MemoryHostOptions, "clock">;
  /** Further systems beside `cluster`, by name. */
  systems?: Record<string, Omit<MemoryHostOptions, "clock">>;
}

export interface MemoryFirecrest extends ClientAccount {
  /** Answers any request to the site: v1, v2, token, staged links. Throws `ConnectionLost` like a broken connection. */
  fetch(request: Request): Promise<Response>;
  v1Url: string;
  v2Url: string;
  tokenUrl: string;
  certsUrl: string;
  stagingUrl: string;
  clock: VirtualClock;
  /** The machine `cluster`. */
  host: MemoryHost;
  faults: Faults;
  site: Site;
  /** What v2 goes by; change it at any time. */
  v2Options: Partial<V2Options>;
}

const ALICE: ClientAccount = {
  clientId: "firewatch",
  clientSecret: "firewatch-secret",
  apiKey: "firewatch-api-key",
  user: "alice",
};
const START_AT = Date.UTC(2026, 0, 5, 9);

let shared: SigningKey | undefined;

/** Making an RSA key takes longer than all else here, so sites that bring no store of their own share one. */
async function sharedKey(): Promise<SigningKey> {
  shared ??= await makeKey();
  return shared;
}

export async function createFirecrest(options: MemoryFirecrestOptions = {}): Promise<MemoryFirecrest> {
  const clock = new VirtualClock(options.startAt ?? START_AT);
  const accounts = options.accounts ?? [ALICE];
  const users = [...new Set(accounts.map(({ user }) => user))].map((name) => ({ name }));
  const host = await memoryHost({ users, ...options.host, clock });
  const systems = new Map([["cluster", host]]);
  for (const [name, more] of Object.entries(options.systems ?? {}))
    systems.set(name, await memoryHost({ users, ...more, clock }));

  const server = await createSiteServer({
    ...options,
    systems,
    clock,
    accounts,
    ...(options.store === undefined ? { store: memoryStore(), newKey: sharedKey } : { store: options.store }),
    segments: memorySegments(),
  });
  server.publish(options.url ?? "https://site.test");
  return {
    ...(accounts[0] ?? ALICE),
    ...server.urls(),
    fetch: async (request) => await server.fetch(await asSent(request)),
    clock,
    host,
    faults: server.site.faults,
    site: server.site,
    v2Options: server.v2Options,
  };
}

/** What a network would add: the length of a body that its sender had whole. */
async function asSent(request: Request): Promise<Request> {
  if (request.body === null || request.headers.has("content-length")) return request;
  const body = await request.arrayBuffer();
  const headers = new Headers(request.headers);
  headers.set("content-length", String(body.byteLength));
  return new Request(request.url, { method: request.method, headers, body });
}
