/** Waiting, giving up and trying again, on a clock that tests can hold. */
import { type Now, systemNow } from "../../shared/clock.ts";
import { asFailure } from "./failure.ts";
import { PART_ATTEMPTS } from "./parts.ts";

export interface Clock {
  now: Now;
  /** Ends after that long, or as soon as `signal` is aborted. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  now: systemNow,
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const finish = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", finish);
        resolve();
      };
      const timer = setTimeout(finish, ms);
      signal?.addEventListener("abort", finish);
    }),
};

/** A pause longer than this is the Tracker's to take, not ours: a waiting Worker costs and can be killed. */
const LONGEST_PAUSE_MS = 10_000;

/**
 * Does it up to `PART_ATTEMPTS` times while the failure is of the kind that passes. Gives up at once when `signal` is aborted
 * (and then throws its reason) or when the far side wants more time than we may wait.
 */
export async function retried<T>(clock: Clock, signal: AbortSignal, attempt: (n: number) => Promise<T>): Promise<T> {
  for (let n = 1; ; n++) {
    signal.throwIfAborted();
    try {
      return await attempt(n);
    } catch (error) {
      signal.throwIfAborted();
      const failure = asFailure(error);
      const pauseMs = Math.max(500 * 4 ** (n - 1), (failure.retryAfterSeconds ?? 0) * 1000);
      if (failure.why !== "later" || n === PART_ATTEMPTS || pauseMs > LONGEST_PAUSE_MS) throw failure;
      await clock.sleep(pauseMs, signal);
    }
  }
}

/**
 * Waits for `task` for at most `ms`: throws `late()` after that, and the reason of `signal` as soon as it is aborted. The task
 * itself goes on: whoever gives up on it also ends what it works on.
 */
export async function within<T>(
  { clock, ms, signal, late }: { clock: Clock; ms: number; signal: AbortSignal; late: () => Error },
  task: () => Promise<T>,
): Promise<T> {
  signal.throwIfAborted();
  const over = new AbortController();
  const waiting = AbortSignal.any([signal, over.signal]);
  const givingUp = clock.sleep(ms, waiting).then((): never => {
    signal.throwIfAborted();
    throw late();
  });
  try {
    return await Promise.race([task(), givingUp]);
  } finally {
    over.abort();
  }
}
