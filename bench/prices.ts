/** Cloudflare's list prices, Workers Paid plan, beyond what the plan includes. US dollars. */

/** When the prices were put together. */
export const PRICES_AS_OF = "November 2026";
/** Where they come from, in words. */
export const PRICES_FROM =
  "Workers, Durable Objects and R2 from Cloudflare's own pages; Queues from quotes of its page; KV as last known to us, not read again";

const MILLION = 1e6;

/** Dollars for one operation of each kind. */
export const PRICES = {
  workerRequest: 0.3 / MILLION,
  cpuMillisecond: 0.02 / MILLION,
  objectRequest: 0.15 / MILLION,
  /** A Durable Object is charged as 128 MB for as long as it works or waits: 12.50 for a million GB-s. */
  objectSecond: (12.5 / MILLION) * 0.125,
  rowRead: 0.001 / MILLION,
  rowWritten: 1 / MILLION,
  queueOperation: 0.4 / MILLION,
  kvRead: 0.5 / MILLION,
  kvWrite: 5 / MILLION,
  r2ClassA: 4.5 / MILLION,
  r2ClassB: 0.36 / MILLION,
} as const;

/** A message is written, read and deleted. */
export const OPERATIONS_OF_A_MESSAGE = 3;

export type Bill = Record<keyof typeof PRICES, number>;

export const dollars = (bill: Bill): number =>
  (Object.keys(PRICES) as (keyof Bill)[]).reduce((sum, kind) => sum + bill[kind] * PRICES[kind], 0);

export const scaled = (bill: Bill, by: number): Bill => mapped((kind) => bill[kind] * by);

export const plus = (a: Bill, b: Bill): Bill => mapped((kind) => a[kind] + b[kind]);

export const NOTHING: Bill = mapped(() => 0);

function mapped(of: (kind: keyof Bill) => number): Bill {
  return Object.fromEntries((Object.keys(PRICES) as (keyof Bill)[]).map((kind) => [kind, of(kind)])) as Bill;
}
