/**
 * How much a connection has in object storage. Only a count over the whole listing knows it; between two counts it is kept
 * up by what is written and removed through us. While a count runs, whatever is added is counted on top at its end, so the
 * result is never too small; the next count puts right what was added twice.
 */

export interface Amount {
  objects: number;
  /** Of their contents. */
  bytes: number;
}

export interface Usage {
  /** As of the start of the last complete count; `at` in ms since the epoch. */
  counted: Amount & { at?: number };
  /** Since then. */
  since: Amount;
  /** A count that goes on page by page. */
  count?: { startedAt: number; after?: string; seen: Amount; added: Amount };
  /** Objects that a lifetime rule removed, ever. */
  expired: number;
}

const NOTHING: Amount = { objects: 0, bytes: 0 };
const sum = (a: Amount, b: Amount): Amount => ({ objects: a.objects + b.objects, bytes: a.bytes + b.bytes });
const least = (a: Amount): Amount => ({ objects: Math.max(0, a.objects), bytes: Math.max(0, a.bytes) });

export const UNCOUNTED: Usage = { counted: NOTHING, since: NOTHING, expired: 0 };

/** What is there, as far as is known. */
export const stored = (usage: Usage): Amount => least(sum(usage.counted, usage.since));

export function changed(usage: Usage, change: Amount): Usage {
  const { count } = usage;
  return {
    ...usage,
    since: sum(usage.since, change),
    ...(count !== undefined && { count: { ...count, added: sum(count.added, least(change)) } }),
  };
}

/** One more page of the listing, up to the key `after`. Without one it was the last, and the count is complete. */
export function pageCounted(usage: Usage, page: { seen: Amount; expired: number; after?: string }, now: number): Usage {
  const before = usage.count ?? { startedAt: now, seen: NOTHING, added: NOTHING };
  const seen = sum(before.seen, page.seen);
  const { count: _, ...rest } = { ...usage, expired: usage.expired + page.expired };
  if (page.after !== undefined) return { ...rest, count: { ...before, seen, after: page.after } };
  return { ...rest, counted: { ...seen, at: before.startedAt }, since: before.added };
}

/** Why so many more bytes do not fit, in words for people; undefined if they do. */
export function beyondQuota(
  quotaBytes: number | undefined,
  { storedBytes, reservedBytes }: { storedBytes: number; reservedBytes: number },
  bytes: number,
): string | undefined {
  if (quotaBytes === undefined || storedBytes + reservedBytes + bytes <= quotaBytes) return undefined;
  return `This connection may hold ${quotaBytes} bytes: ${storedBytes} are stored, ${reservedBytes} are on their way, and this needs ${bytes} more. Remove objects, or have the quota raised.`;
}
