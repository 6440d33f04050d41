/** What Node lacks of the Workers runtime, and a clock that is held. */
import { concat } from "../../../shared/bytes.ts";
import type { Clock } from "../patience.ts";

/** Streams whose length the runtime knows: R2 takes no others. */
export const measuredStreams = new WeakSet<ReadableStream>();

/** Gives Node the two stream classes of the Workers runtime. Pieces are copied: writers use their buffer again. */
export function installWorkerStreams(): void {
  class FixedLengthStream extends TransformStream<Uint8Array, Uint8Array> {
    constructor(expected: number) {
      let left = expected;
      super({
        transform(piece, controller) {
          left -= piece.byteLength;
          if (left < 0) throw new TypeError("Attempt to write too many bytes through a FixedLengthStream.");
          controller.enqueue(piece.slice());
        },
        flush() {
          if (left > 0) throw new TypeError("FixedLengthStream did not see all expected bytes before close().");
        },
      });
      measuredStreams.add(this.readable);
    }
  }
  class DigestStream extends WritableStream<Uint8Array> {
    readonly digest: Promise<ArrayBuffer>;
    constructor() {
      const pieces: Uint8Array[] = [];
      const { promise, resolve, reject } = Promise.withResolvers<ArrayBuffer>();
      super({
        write: (piece) => void pieces.push(piece.slice()),
        close: () => resolve(crypto.subtle.digest("SHA-256", concat(pieces))),
        abort: reject,
      });
      this.digest = promise;
    }
  }
  Object.assign(globalThis, { FixedLengthStream });
  Object.assign(crypto, { DigestStream });
}

/** Pauses shorter than `skip` pass at once and move the clock; all others wait for `advance`. */
export class HeldClock implements Clock {
  #now = 1_800_000_000_000;
  #sleepers: { at: number; wake: () => void }[] = [];
  readonly #skip: number;

  constructor(skip = 5_000) {
    this.#skip = skip;
  }

  now = () => this.#now;

  sleep = (ms: number, signal?: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      if (ms < this.#skip) {
        this.#now += ms;
        return void setImmediate(resolve);
      }
      const sleeper = { at: this.#now + ms, wake: resolve };
      this.#sleepers.push(sleeper);
      const end = () => {
        this.#sleepers = this.#sleepers.filter((other) => other !== sleeper);
        resolve();
      };
      signal?.addEventListener("abort", end, { once: true });
    });

  /** How many still wait. */
  get sleeping(): number {
    return this.#sleepers.length;
  }

  /** Moves the time without waking anybody. */
  jump(ms: number): void {
    this.#now += ms;
  }

  advance(ms: number): void {
    this.jump(ms);
    const due = this.#sleepers.filter(({ at }) => at <= this.#now);
    this.#sleepers = this.#sleepers.filter(({ at }) => at > this.#now);
    for (const { wake } of due) wake();
  }
}
