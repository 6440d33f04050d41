/**
 * The request budget of one connection: a token bucket with a share that only user work may touch, and a pause that the
 * site asked for. Pure: the Tracker keeps the state. All times are milliseconds since the epoch.
 */

/** `user`: somebody waits for it (submit, cancel, files, logs). `poll`: it may as well come a little later. */
export type Priority = "user" | "poll";

export interface Budget {
  requestsPerMinute: number;
  /** Most requests that may leave at once. */
  burst: number;
  /** Left at `at`; below zero while a batch larger than the bucket is paid off. */
  tokens: number;
  at: number;
  pausedUntil: number;
}

export type Taken = { granted: true; budget: Budget } | { granted: false; budget: Budget; retryAt: number };

/** The part of the bucket that polls leave for user work. */
const USER_SHARE = 0.25;
/** Of a request: refilling in steps adds up to a hair less than it should. */
const ROUNDING = 1e-6;
/** When a site says "too many" without saying until when. */
const DEFAULT_PAUSE_SECONDS = 10;

export function createBudget(requestsPerMinute: number, now: number): Budget {
  const burst = Math.max(6, Math.ceil(requestsPerMinute / 4));
  return { requestsPerMinute, burst, tokens: burst, at: now, pausedUntil: 0 };
}

/**
 * Asks for `n` requests at once. A batch larger than the bucket is granted when the bucket is as full as it gets, and
 * paid off afterwards, so that nothing waits for ever and the rate holds over time.
 */
export function take(budget: Budget, now: number, n: number, priority: Priority): Taken {
  const filled = refill(budget, now);
  const kept = priority === "user" ? 0 : Math.floor(filled.burst * USER_SHARE);
  const needed = Math.min(n, filled.burst - kept) + kept;
  const perMs = filled.requestsPerMinute / 60_000;
  const readyAt = Math.max(filled.pausedUntil, now + Math.ceil(Math.max(0, needed - filled.tokens - ROUNDING) / perMs));
  if (readyAt > now) return { granted: false, budget: filled, retryAt: readyAt };
  return { granted: true, budget: { ...filled, tokens: filled.tokens - n } };
}

/** Requests that were not asked for in advance (a renewal, a by-id confirmation) are paid afterwards. */
export function spend(budget: Budget, now: number, n: number): Budget {
  const filled = refill(budget, now);
  return { ...filled, tokens: filled.tokens - n };
}

/** After a 429: nothing leaves until the site's time is over, and the bucket starts empty then. */
export function pause(budget: Budget, now: number, seconds: number | undefined): Budget {
  const until = now + 1000 * (seconds ?? DEFAULT_PAUSE_SECONDS);
  return { ...refill(budget, now), tokens: 0, pausedUntil: Math.max(budget.pausedUntil, until) };
}

function refill(budget: Budget, now: number): Budget {
  // No credit grows while paused, and a clock that steps back gives none.
  const from = Math.max(budget.at, Math.min(now, budget.pausedUntil));
  const gained = (Math.max(0, now - from) * budget.requestsPerMinute) / 60_000;
  return { ...budget, at: Math.max(now, budget.at), tokens: Math.min(budget.burst, budget.tokens + gained) };
}
