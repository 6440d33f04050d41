/** A Tracker in memory. */
import type { ByteOutcome, ByteWork, CopyWork, PartDone, TrackerWork } from "../../../shared/contract/work.ts";

/** A Tracker that knows one piece of work. It keeps what it was told. */
export class MemoryTracker implements TrackerWork {
  upload: CopyWork["upload"];
  readonly parts = new Map<number, PartDone>();
  readonly reports: PartDone[][] = [];
  outcome: ByteOutcome | undefined;
  /** False: the transfer was cancelled. */
  go = true;
  readonly #work: ByteWork;

  constructor(work: ByteWork) {
    this.#work = work;
    if (work.kind === "copy") this.upload = work.upload;
  }

  async beginBytes() {
    return { go: true as const, work: this.#work, attempt: 1 };
  }

  async copyStarted(_effect: string, upload: NonNullable<CopyWork["upload"]>) {
    this.upload ??= upload;
    return { go: this.go, upload: this.upload };
  }

  async partsDone(_effect: string, parts: PartDone[]) {
    this.reports.push(parts);
    for (const part of parts) this.parts.set(part.n, part);
    return { go: this.go };
  }

  async finishBytes(_effect: string, outcome: ByteOutcome) {
    this.outcome = outcome;
  }
}
