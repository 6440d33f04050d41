/** Rate limits: they stand before every call to a Tracker. The numbers are those of the bindings in wrangler.toml. */

import { Problem } from "../../shared/problem.ts";
import type { Limiter } from "./deps.ts";

export interface Policy {
  name: string;
  quota: number;
  windowSeconds: number;
}

/** One address, or one credential. */
export const CALLERS: Policy = { name: "callers", quota: 600, windowSeconds: 60 };
/** One hook from one address, so that nobody can use up what a hook's real sender needs. */
export const HOOKS: Policy = { name: "hooks", quota: 300, windowSeconds: 60 };

/** Counts one request. Throws RateLimited when it is one too many. */
export async function spend(limiter: Limiter, policy: Policy, key: string): Promise<void> {
  const { success } = await limiter.limit({ key });
  if (!success) throw new RateLimited(policy);
}

/** 429 with the fields of the IETF draft "RateLimit header fields for HTTP". */
export class RateLimited extends Problem {
  readonly policy: Policy;

  constructor(policy: Policy) {
    super("rate_limited", {
      detail: `At most ${policy.quota} requests in ${policy.windowSeconds} seconds. Wait, then try again.`,
      retryAfterSeconds: policy.windowSeconds,
    });
    this.policy = policy;
  }

  override response(): Response {
    const { name, quota, windowSeconds } = this.policy;
    const response = super.response();
    response.headers.set("ratelimit-policy", `"${name}";q=${quota};w=${windowSeconds}`);
    response.headers.set("ratelimit", `"${name}";r=0;t=${windowSeconds}`);
    return response;
  }
}

/** The sender's address as Cloudflare saw it; absent where nothing stands in front. */
export const addressOf = (request: Request): string | undefined => request.headers.get("cf-connecting-ip") ?? undefined;
