/** What the entrance is made of. All effects come in through here, so a test can be the Tracker, the clock and the network. */
import type { Now, RandomBytes } from "../../shared/clock.ts";
import type { PollerApi } from "../../shared/contract/poller-api.ts";
import type { TrackerApi } from "../../shared/contract/rpc.ts";
import type { Log } from "../../shared/log.ts";

/** The Durable Object of one connection: calls, and one stream of events over a WebSocket. */
export type Tracker = TrackerApi & { fetch(url: string, init: RequestInit): Promise<Response> };

/** A rate-limit binding. */
export interface Limiter {
  limit(options: { key: string }): Promise<{ success: boolean }>;
}

export interface Deps {
  /** By the connection's name; there is one for every name, and an empty one refuses everything. */
  tracker(connection: string): Tracker;
  poller: PollerApi;
  objects: R2Bucket;
  /** Per address and per credential. */
  callers: Limiter;
  /** Per hook and address. */
  hooks: Limiter;
  adminToken: string;
  /** Where this deployment is reached, without a slash at the end; without it, the address of the request. */
  publicUrl?: string;
  /** The only host that serves objects, where set: their bytes are not ours, so they get an origin of their own. */
  objectsHost?: string;
  /** The egress fetch: OIDC issuers are addresses that somebody else chose. */
  fetch(url: string, init: RequestInit): Promise<Response>;
  now: Now;
  random: RandomBytes;
  /** Calls `tick` every `ms` until the answer is called. */
  every(ms: number, tick: () => void): () => void;
  log: Log;
}
