/** One piece of work on bytes, while the Tracker is told that it lives and may stop it. */
import type { ByteOutcome } from "../../shared/contract/work.ts";
import { asFailure, Stopped, TrackerLost } from "./failure.ts";
import { Ledger } from "./ledger.ts";
import type { Clock } from "./patience.ts";

/** An outcome, what this segment moved, and for the log, what was behind a failure. */
export interface SegmentResult {
  outcome: ByteOutcome;
  parts: number;
  bytes: number;
  cause?: unknown;
}

export interface SegmentDeps {
  clock: Clock;
  /** Throws `TrackerLost` when the Tracker cannot be reached. */
  partsDone: ConstructorParameters<typeof Ledger>[0];
  /** False for work that nobody cancels and nobody asks after. */
  isWatched?: boolean;
}

/** Works until `work` ends, however it does, or is stopped. Throws `TrackerLost` and nothing else. */
export async function runSegment(
  { clock, partsDone, isWatched = true }: SegmentDeps,
  work: (ledger: Ledger, stop: AbortController) => Promise<ByteOutcome>,
): Promise<SegmentResult> {
  const stop = new AbortController();
  const over = new AbortController();
  const ledger = new Ledger(partsDone, stop);
  const beating = isWatched ? ledger.beat(clock, over.signal) : undefined;
  let ended: Pick<SegmentResult, "outcome" | "cause">;
  try {
    ended = { outcome: await work(ledger, stop) };
  } catch (error) {
    ended = endedBy(stop.signal.aborted ? stop.signal.reason : error);
  } finally {
    over.abort();
    await beating;
    await ledger.settle();
  }
  if (stop.signal.reason instanceof TrackerLost) throw stop.signal.reason;
  return { ...ended, parts: ledger.parts, bytes: ledger.bytes };
}

function endedBy(error: unknown): Pick<SegmentResult, "outcome" | "cause"> {
  if (error instanceof TrackerLost) throw error;
  // A cancel is the Tracker's own word: there is nothing to tell it but that this segment has ended.
  if (error instanceof Stopped) return { outcome: { kind: "paused" } };
  const failure = asFailure(error);
  return { outcome: failure.outcome(), cause: failure.cause };
}
