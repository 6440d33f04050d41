/**
 * One invocation may work on several transfers, which share its connections and its memory: parts that pass through our hands
 * take turns. A Worker may have six connections that wait for an answer, and a stored part holds one until its last byte is in.
 */
export const PARTS_AT_ONCE = 3;

export class Turns {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(atOnce = PARTS_AT_ONCE) {
    this.#free = atOnce;
  }

  /** Does it as soon as it is its turn. Throws the reason of `signal` where that is aborted before. */
  async take<T>(signal: AbortSignal, task: () => Promise<T>): Promise<T> {
    signal.throwIfAborted();
    while (this.#free === 0) {
      await this.#change(signal);
      signal.throwIfAborted();
    }
    this.#free -= 1;
    try {
      return await task();
    } finally {
      this.#free += 1;
      // All of them: one that gives up at this moment must not keep the turn from the others.
      for (const wake of this.#waiting.splice(0)) wake();
    }
  }

  #change(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve);
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
  }
}
