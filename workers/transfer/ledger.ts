/** Tells the Tracker which parts are stored, in small batches, and hears from it whether to go on. */
import type { PartDone } from "../../shared/contract/work.ts";
import { Stopped } from "./failure.ts";
import type { Clock } from "./patience.ts";

/** Reported at once when so many wait, and else with the next beat. */
const BATCH = 4;
/** A beat without parts still renews the effect's deadline, and is how a cancel is heard while parts are on their way. */
const BEAT_MS = 5_000;

export class Ledger {
  /** Parts and bytes that this invocation stored. */
  parts = 0;
  bytes = 0;
  readonly #report: (parts: PartDone[]) => Promise<{ go: boolean }>;
  readonly #stop: AbortController;
  #waiting: PartDone[] = [];
  #reporting: Promise<void> = Promise.resolve();

  /** `stop` is aborted with `Stopped` when the Tracker says so, and with what was thrown when it cannot be reached. */
  constructor(report: (parts: PartDone[]) => Promise<{ go: boolean }>, stop: AbortController) {
    this.#report = report;
    this.#stop = stop;
  }

  /** Writes down a stored part. The report runs beside the copy, which does not wait for it. */
  add(part: PartDone): void {
    this.parts += 1;
    this.bytes += part.bytes;
    this.#waiting.push(part);
    if (this.#waiting.length === BATCH) void this.flush();
  }

  /** Beats until `over`. */
  async beat(clock: Clock, over: AbortSignal): Promise<void> {
    for (;;) {
      await clock.sleep(BEAT_MS, over);
      if (over.aborted) return;
      await this.flush();
    }
  }

  /** Reports what is left, where something is. */
  async settle(): Promise<void> {
    await this.#reporting;
    if (this.#waiting.length > 0) await this.flush();
  }

  /** Reports what waits, after any report that is under way. Never throws: bad news arrives through `stop`. */
  flush(): Promise<void> {
    this.#reporting = this.#reporting.then(async () => {
      const parts = this.#waiting;
      this.#waiting = [];
      try {
        const { go } = await this.#report(parts);
        if (!go) this.#stop.abort(new Stopped("the Tracker said stop"));
      } catch (error) {
        this.#waiting = [...parts, ...this.#waiting];
        this.#stop.abort(error);
      }
    });
    return this.#reporting;
  }
}
