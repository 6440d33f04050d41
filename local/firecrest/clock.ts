/** Time as the site sees it. */
export interface Clock {
  /** Milliseconds since the epoch. */
  now(): number;
  sleep(ms: number): Promise<void>;
}

export const realClock: Clock = {
  now: () => Date.now(),
  sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
};

/** Something that happens by itself as time goes by. */
export interface Actor {
  nextEventAt(): number | undefined;
  settle(): Promise<void>;
}

/** A clock that stands still until it is advanced; then everything due on the way happens in its order. */
export class VirtualClock implements Clock {
  #now: number;
  readonly #actors: Actor[] = [];
  #sleepers: { at: number; wake(): void }[] = [];

  constructor(startAt: number) {
    this.#now = startAt;
  }

  now = (): number => this.#now;

  sleep = (ms: number): Promise<void> =>
    new Promise((resolve) => {
      this.#sleepers.push({ at: this.#now + ms, wake: resolve });
    });

  register(actor: Actor): void {
    this.#actors.push(actor);
  }

  async advance(ms: number): Promise<void> {
    const target = this.#now + ms;
    for (;;) {
      await this.#settle();
      const next = this.#nextEventAt();
      if (next === undefined || next > target) break;
      this.#now = Math.max(this.#now, next);
    }
    this.#now = target;
    await this.#settle();
  }

  #nextEventAt(): number | undefined {
    const moments = [...this.#actors.map((actor) => actor.nextEventAt()), ...this.#sleepers.map(({ at }) => at)];
    const known = moments.filter((moment) => moment !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  /** Wakes who is due, and lets what they started run as far as it goes without more time. */
  async #settle(): Promise<void> {
    const due = this.#sleepers.filter(({ at }) => at <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now);
    for (const sleeper of due) sleeper.wake();
    for (const actor of this.#actors) await actor.settle();
    await new Promise((resolve) => setTimeout(resolve, 0));
  }
}
