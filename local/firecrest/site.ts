/**
 * One FirecREST deployment: the machines behind it, its staging area, its tokens and its faults. The v1 and the v2 routes
 * are each built from a `Site` and share everything in it.
 */
import type { Clock } from "./clock.ts";
import type { Faults } from "./faults.ts";
import type { Host } from "./host.ts";
import type { Oidc } from "./oidc.ts";
import type { Staging } from "./staging/staging.ts";
import type { Store } from "./store.ts";

/** `"1.16.6"` reproduces the defects of the real servers; `"none"` is how they were meant to work. */
export type Quirks = "none" | "1.16.6";

export interface Site {
  /** By public name, the first one first (`cluster`). */
  readonly systems: ReadonlyMap<string, Host>;
  readonly staging: Staging;
  readonly oidc: Oidc;
  readonly faults: Faults;
  readonly quirks: Quirks;
  /** Small records that survive a restart. */
  readonly store: Store;
  readonly limits: Limits;
  /** Clock of the web services (virtual in tests); the hosts go by the same one. */
  readonly clock: Clock;
  /** Ids and names; injected so that tests can repeat a run. */
  random(): number;
  /** Runs work that goes on after the answer was sent (tasks). Nothing may be thrown out of it. */
  background(work: Promise<unknown>): void;
}

export interface Limits {
  /** `UTILITIES_MAX_FILE_SIZE`, bytes: direct transfers, scripts, command output. */
  directMaxBytes: number;
  /** `UTILITIES_TIMEOUT`, seconds: one synchronous command. */
  commandTimeoutSeconds: number;
  /** `STORAGE_TEMPURL_EXP_TIME`, seconds: life of a presigned URL. */
  stagingTtlSeconds: number;
  /** `STORAGE_MAX_FILE_SIZE`, bytes. */
  stagingMaxBytes: number;
  /** How long compute tasks are shown, seconds. Real sites keep them for a day; every look at the queue makes one. */
  computeTaskSeconds: number;
  /** How often an awaited upload is looked for in the staging area, milliseconds. */
  storagePollMs: number;
}

/** The values of the founding document. */
export const DEFAULT_LIMITS: Limits = {
  directMaxBytes: 5 * 1024 * 1024,
  commandTimeoutSeconds: 5,
  stagingTtlSeconds: 604_800,
  stagingMaxBytes: 5120 * 1024 * 1024,
  computeTaskSeconds: 3_600,
  storagePollMs: 1_000,
};
