/**
 * When a callback is tried again, and when its receiver is left alone. Pure: time and chance come in, a decision goes out.
 *
 * A delivery has 15 attempts over a little more than 80 hours: long enough for a receiver that was broken on Friday evening.
 * Chance only shortens a delay (×0.8 to ×1.0), so no step is ever longer than the schedule says.
 */

/** Seconds between one attempt and the next. */
export const RETRY_DELAYS_SECONDS = [
  5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200,
] as const;

export const MAX_ATTEMPTS = RETRY_DELAYS_SECONDS.length + 1;

const SHORTEST_DELAY_FACTOR = 0.8;

/** An overloaded receiver without a `Retry-After` gets at least this long to recover. */
const OVERLOAD_DELAY_SECONDS = 60;

const MAX_RETRY_AFTER_SECONDS = 24 * 3600;

/** What came of one attempt. */
export type AttemptAnswer =
  | { status: number; headers: Headers }
  | { error: "timeout" | "network" | "unresolved" | "refused" };

export type AttemptVerdict =
  /** `disable`: received, and asked for no more. */
  | { outcome: "delivered"; disable: boolean }
  /** `laneDelayMs`: what the receiver asked for holds for every other delivery to it, too. `location`: of a redirect. */
  | { outcome: "retry"; minDelayMs: number; laneDelayMs: number; location?: string }
  /** The receiver is gone for good, or asked for no more. `reason`: a sentence for its owner, where there is one. */
  | { outcome: "disable"; reason?: string }
  /** The receiver does not want this one message. */
  | { outcome: "abort" };

const retry = (minDelaySeconds = 0, laneDelaySeconds = 0): Extract<AttemptVerdict, { outcome: "retry" }> => ({
  outcome: "retry",
  minDelayMs: minDelaySeconds * 1000,
  laneDelayMs: laneDelaySeconds * 1000,
});

/** What an attempt's answer means. Everything but a 2xx is a failure, a redirect too: it is recorded and never followed. */
export function judgeAttempt(answer: AttemptAnswer, nowMs: number): AttemptVerdict {
  if ("error" in answer) return retry(answer.error === "timeout" ? OVERLOAD_DELAY_SECONDS : 0);
  const { status, headers } = answer;
  const asked = headers.get("webhook-delivery")?.trim().toLowerCase();
  if (status >= 200 && status < 300) return { outcome: "delivered", disable: asked === "disable" };
  if (status === 410 || asked === "disable") return { outcome: "disable" };
  if (asked === "abort-message") return { outcome: "abort" };
  if (status === 429 || status === 503) {
    const seconds = parseRetryAfter(headers.get("retry-after"), nowMs);
    return seconds === undefined ? retry(OVERLOAD_DELAY_SECONDS) : retry(seconds, seconds);
  }
  if (status === 502 || status === 504) return retry(OVERLOAD_DELAY_SECONDS);
  const location = status >= 300 && status < 400 ? headers.get("location") : null;
  return location === null ? retry() : { ...retry(), location };
}

/**
 * When to try again after attempt number `attempt` (from 1) failed; undefined when that was the last one. `chance` is in
 * [0, 1). What the receiver asked for may make it later, never earlier than the schedule.
 */
export function nextAttemptAt(attempt: number, minDelayMs: number, nowMs: number, chance: number): number | undefined {
  const delaySeconds = RETRY_DELAYS_SECONDS[attempt - 1];
  if (delaySeconds === undefined) return undefined;
  const delayMs = delaySeconds * 1000 * (SHORTEST_DELAY_FACTOR + (1 - SHORTEST_DELAY_FACTOR) * chance);
  return nowMs + Math.max(Math.round(delayMs), minDelayMs);
}

/**
 * Seconds that a `Retry-After` asks for, rounded up, at most a day. Undefined for what is neither a number of seconds nor an
 * HTTP date; a date that has passed asks for nothing (0).
 */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  const text = value?.trim() ?? "";
  if (/^\d{1,9}(\.\d{1,9})?$/.test(text)) return Math.min(Math.ceil(Number(text)), MAX_RETRY_AFTER_SECONDS);
  // Both forms that still carry a zone; `Date.parse` alone would read almost anything.
  if (!/^[A-Z][a-z]{2,8}, \d{2}[ -][A-Z][a-z]{2}[ -]\d{2,4} \d{2}:\d{2}:\d{2} GMT$/.test(text)) return undefined;
  const at = Date.parse(text);
  if (Number.isNaN(at)) return undefined;
  return Math.min(Math.max(0, Math.ceil((at - nowMs) / 1000)), MAX_RETRY_AFTER_SECONDS);
}
