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
  /** A poll was refused since then, for so many requests, and will ask again before `until`. */
  waiting?: { since: number; until: number; n: number };
}

export type Taken = { granted: true; budget: Budget } | { granted: false; budget: Budget; retryAt: number };

/** The part of the bucket that polls leave for user work. */
const USER_SHARE = 0.25;
/** User work goes first, but not for ever: a poll that was refused for so long gets the next turn. */
const POLL_PATIENCE_MS = 60_000;
/** How much later than promised a refused poll may ask again and still be expected. */
const LATE_MS = 10_000;
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
  const { waiting, ...calm } = filled;
  const isTurnAt = (at: number) =>
    waiting !== undefined && at <= waiting.until && at - waiting.since >= POLL_PATIENCE_MS;
  const readyWith = (kept: number): number => {
    const needed = Math.min(n, filled.burst - kept) + kept;
    const missing = Math.max(0, needed - filled.tokens - ROUNDING);
    return Math.max(filled.pausedUntil, now + Math.ceil((missing * 60_000) / filled.requestsPerMinute));
  };
  const first = readyWith(priority === "user" || isTurnAt(now) ? 0 : Math.floor(filled.burst * USER_SHARE));
  // User work leaves what the poll needs whose turn it is, or will be by then.
  const yields = priority === "user" && isTurnAt(Math.max(now, first));
  const readyAt = yields ? readyWith(Math.min(waiting?.n ?? 0, filled.burst - 1)) : first;
  if (readyAt > now) {
    if (priority === "user") return { granted: false, budget: filled, retryAt: readyAt };
    const since = waiting !== undefined && now <= waiting.until ? waiting.since : now;
    return { granted: false, budget: { ...filled, waiting: { since, until: readyAt + LATE_MS, n } }, retryAt: readyAt };
  }
  const left = priority === "poll" ? calm : filled;
  return { granted: true, budget: { ...left, tokens: filled.tokens - n } };
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
