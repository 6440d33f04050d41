/** Time and chance as arguments: what the real ones are, and how a time is written. */

/** Milliseconds since the epoch. */
export type Now = () => number;

/** That many random bytes, fit for secrets. */
export type RandomBytes = (count: number) => Uint8Array;

export const systemNow: Now = () => Date.now();

export const systemRandom: RandomBytes = (count) => crypto.getRandomValues(new Uint8Array(count));

/** RFC 3339 in UTC with milliseconds: the only form in which times leave Firewatch. */
export const rfc3339 = (ms: number): string => new Date(ms).toISOString();
