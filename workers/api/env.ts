/** The bindings of api, read here only. What is missing is named, all at once. */

import { systemNow, systemRandom } from "../../shared/clock.ts";
import type { PollerApi } from "../../shared/contract/poller-api.ts";
import { type EgressSettings, egressFrom } from "../../shared/egress/settings.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import type { Deps, Limiter, Tracker } from "./deps.ts";

export interface Env extends EgressSettings {
  TRACKER: DurableObjectNamespace;
  POLLER: Service;
  OBJECTS: R2Bucket;
  CALLERS: RateLimit;
  HOOKS: RateLimit;
  /** Secret: opens everything that belongs to the deployment. */
  ADMIN_TOKEN: string;
  /** Host (and port) of its own for objects. */
  OBJECTS_HOST?: string;
}

const REQUIRED = [
  "TRACKER",
  "POLLER",
  "OBJECTS",
  "CALLERS",
  "HOOKS",
  "ADMIN_TOKEN",
] as const satisfies readonly (keyof Env)[];

/** Key sets of large issuers are tens of kilobytes. */
const JWKS = { purpose: "jwks", deadlineMs: 5_000, maxBytes: 512 * 1024 };

/** Throws an Error that names every binding that is missing and every setting that cannot be read. */
export function depsOf(env: Partial<Env>): Deps {
  if (!isComplete(env)) {
    const missing = REQUIRED.filter((name) => !env[name]);
    throw new Error(
      `api cannot start: ${missing.join(", ")} ${missing.length === 1 ? "is" : "are"} not set; see wrangler.toml and docs/deploy.md`,
    );
  }
  const log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "api" } });
  const egress = egressFrom(env, log);
  const publicUrl = env.PUBLIC_URL?.replace(/\/+$/, "");
  return {
    tracker: (connection) => trackerOf(env.TRACKER, connection),
    poller: pollerOf(env.POLLER),
    objects: env.OBJECTS,
    callers: limiterOf(env.CALLERS),
    hooks: limiterOf(env.HOOKS),
    adminToken: env.ADMIN_TOKEN,
    ...(publicUrl && { publicUrl }),
    ...(env.OBJECTS_HOST && { objectsHost: env.OBJECTS_HOST }),
    fetch: egress.fetcher(JWKS),
    now: systemNow,
    random: systemRandom,
    every(ms, tick) {
      const timer = setInterval(tick, ms);
      return () => clearInterval(timer);
    },
    log,
  };
}

const isComplete = (env: Partial<Env>): env is Env => REQUIRED.every((name) => env[name]);

// Stubs answer every method name, so their types are what we say they are: the contract of the other end. (`DurableObjectStub`
// and `Service` describe the same calls with wrapped types that the contract does not need.)
const trackerOf = (namespace: DurableObjectNamespace, connection: string): Tracker =>
  namespace.get(namespace.idFromName(connection)) as unknown as Tracker;
const pollerOf = (service: Service): PollerApi => service as unknown as PollerApi;
const limiterOf = (binding: RateLimit): Limiter => binding;
