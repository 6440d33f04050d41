/**
 * Names resolved over HTTPS (RFC 8484's JSON form), because a Worker cannot see the address that `fetch` will connect to.
 * Every A, AAAA and CNAME of the answer is returned: one bad one spoils the name. Between this answer and the connection the
 * name may still change (no runtime lets us pin the address); the check makes that a race, not a door.
 */
import type { Now } from "../clock.ts";
import { z } from "../contract/words.ts";

export interface Resolution {
  /** Every address the name has, as the answers spell them. Never empty. */
  addresses: string[];
  /** The names that it is an alias of. */
  aliases: string[];
}

/** Undefined: not now (no answer, a broken one, no such name, no address). */
export type Resolve = (name: string, signal: AbortSignal) => Promise<Resolution | undefined>;

const A = 1;
const CNAME = 5;
const AAAA = 28;

const Answer = z.object({
  Status: z.number(),
  /** Truncated: there is more than we were told. */
  TC: z.boolean().optional(),
  Answer: z.array(z.object({ type: z.number(), TTL: z.number(), data: z.string() })).optional(),
});

const CACHE_SECONDS = { min: 5, max: 300 } as const;
const MAX_CACHED = 1000;

/** `endpoint`: for example `https://cloudflare-dns.com/dns-query`. The operator's choice, so it is fetched directly. */
export function createDohResolver(deps: {
  fetch: (url: string, init: RequestInit) => Promise<Response>;
  endpoint: string;
  now: Now;
}): Resolve {
  const cache = new Map<string, { until: number; resolution: Resolution }>();

  async function ask(name: string, type: number, signal: AbortSignal): Promise<z.infer<typeof Answer> | undefined> {
    const query = new URLSearchParams({ name, type: String(type) });
    try {
      const response = await deps.fetch(`${deps.endpoint}?${query}`, {
        headers: { accept: "application/dns-json" },
        redirect: "manual",
        signal,
      });
      if (response.status !== 200) return undefined;
      const answer = Answer.safeParse(await response.json());
      return answer.success && answer.data.Status === 0 && answer.data.TC !== true ? answer.data : undefined;
    } catch {
      return undefined;
    }
  }

  return async (name, signal) => {
    const cached = cache.get(name);
    if (cached !== undefined && deps.now() < cached.until) return cached.resolution;
    cache.delete(name);

    const answers = await Promise.all([ask(name, A, signal), ask(name, AAAA, signal)]);
    // Half an answer is none: the other half may be where the private address is.
    if (answers.includes(undefined)) return undefined;
    const records = answers.flatMap((answer) => answer?.Answer ?? []);
    const dataOf = (...types: number[]): string[] => [
      ...new Set(records.filter(({ type }) => types.includes(type)).map(({ data }) => data)),
    ];
    const resolution = { addresses: dataOf(A, AAAA), aliases: dataOf(CNAME) };
    if (resolution.addresses.length === 0) return undefined;

    const shortest = Math.min(...records.map(({ TTL }) => TTL));
    const ttl = Math.min(CACHE_SECONDS.max, Math.max(CACHE_SECONDS.min, shortest));
    const oldest = cache.keys().next();
    if (cache.size >= MAX_CACHED && !oldest.done) cache.delete(oldest.value);
    cache.set(name, { until: deps.now() + ttl * 1000, resolution });
    return resolution;
  };
}
