/** Rate limits: they stand before every call to a Tracker. The numbers are those of the bindings in wrangler.toml. */

import { Problem } from "../../shared/problem.ts";
import type { Limiter } from "./deps.ts";

export interface Policy {
  name: string;
  quota: number;
  windowSeconds: number;
  /** By this isolate's own count; else by a binding. */
  isJudgedHere?: true;
}

/** One address, or one credential. */
export const CALLERS: Policy = { name: "callers", quota: 600, windowSeconds: 60 };
/** One hook from one address, so that nobody can use up what a hook's real sender needs. */
export const HOOKS: Policy = { name: "hooks", quota: 300, windowSeconds: 60 };

/** What is left of a policy, as far as this isolate has seen. */
export interface Quota {
  policy: Policy;
  remaining: number;
  /** Until the window ends. */
  seconds: number;
}

const MAX_COUNTED = 1_000;

/**
 * Counts in this isolate. The binding is the judge of the deployment's limits, so what is told from here is what is left at
 * most; a hook's own `ratePerMinute` is judged here: a brake on one sender, not an exact quota.
 */
export function createTally() {
  const windows = new Map<string, { start: number; count: number }>();
  return {
    /** Throws RateLimited where it is one too many. */
    count(policy: Policy, key: string, now: number): Quota {
      const length = policy.windowSeconds * 1000;
      const start = now - (now % length);
      const place = `${policy.name} ${key}`;
      const kept = windows.get(place);
      const count = kept?.start === start ? kept.count + 1 : 1;
      const seconds = Math.max(1, Math.ceil((start + length - now) / 1000));
      if (count > policy.quota && policy.isJudgedHere === true) throw new RateLimited(policy, seconds);
      const oldest = windows.keys().next();
      if (windows.size >= MAX_COUNTED && !oldest.done) windows.delete(oldest.value);
      windows.set(place, { start, count });
      return { policy, remaining: Math.max(0, policy.quota - count), seconds };
    },
  };
}
export type Tally = ReturnType<typeof createTally>;

/** The fields of the IETF draft "RateLimit header fields for HTTP". */
export function tellQuota(
  headers: Headers,
  { policy: { name, quota, windowSeconds }, remaining, seconds }: Quota,
): void {
  headers.set("ratelimit-policy", `"${name}";q=${quota};w=${windowSeconds}`);
  headers.set("ratelimit", `"${name}";r=${remaining};t=${seconds}`);
}

/** Counts one request. Throws RateLimited when it is one too many. */
export async function spend(limiter: Limiter, policy: Policy, key: string): Promise<void> {
  const { success } = await limiter.limit({ key });
  if (!success) throw new RateLimited(policy);
}

class RateLimited extends Problem {
  readonly quota: Quota;

  constructor(policy: Policy, seconds: number = policy.windowSeconds) {
    super("rate_limited", {
      detail: `At most ${policy.quota} requests in ${policy.windowSeconds} seconds. Wait, then try again.`,
      retryAfterSeconds: seconds,
    });
    this.quota = { policy, remaining: 0, seconds };
  }

  override response(): Response {
    const response = super.response();
    tellQuota(response.headers, this.quota);
    return response;
  }
}

/** The sender's address as Cloudflare saw it; absent where nothing stands in front. */
export const addressOf = (request: Request): string | undefined => request.headers.get("cf-connecting-ip") ?? undefined;
