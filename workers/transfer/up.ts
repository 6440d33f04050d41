/** The way up: what the transfer Worker does for a file that goes to the HPC side, while it reports that it lives. */

import type { UpWork } from "../../shared/contract/up.ts";
import type { ByteOutcome, PartDone } from "../../shared/contract/work.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import type { CopyReport } from "./copy.ts";
import { asFailure, Stopped, TrackerLost } from "./failure.ts";
import { Ledger } from "./ledger.ts";
import type { Clock } from "./patience.ts";
import { sendForm } from "./up-form.ts";
import { sendParts } from "./up-parts.ts";
import { discard, fetchSource, inspect } from "./up-source.ts";

export interface UpDeps {
  bucket: R2Bucket;
  egress: Pick<Egress, "stream" | "open">;
  clock: Clock;
  report: CopyReport;
}

/** What the steps of the way up work with. */
export interface UpSession extends UpDeps {
  ledger: Ledger;
  /** Aborted by a cancel or a lost Tracker. */
  stop: AbortController;
}

export interface UpResult {
  outcome: ByteOutcome;
  parts: number;
  bytes: number;
  cause?: unknown;
}

/** Does one piece of work. Throws `TrackerLost` and nothing else. */
export async function up(work: UpWork, deps: UpDeps): Promise<UpResult> {
  const stop = new AbortController();
  const over = new AbortController();
  const ledger = new Ledger(deps.report.partsDone, stop);
  // Nobody cancels a removal, and nobody asks whether it lives.
  const beating = work.kind === "discard" ? undefined : ledger.beat(deps.clock, over.signal);
  let ended: Pick<UpResult, "outcome" | "cause">;
  try {
    ended = { outcome: await perform(work, { ...deps, ledger, stop }) };
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

function perform(work: UpWork, session: UpSession): Promise<ByteOutcome> {
  switch (work.kind) {
    case "inspect":
      return inspect(work, session);
    case "fetch":
      return fetchSource(work, session);
    case "send_form":
      return sendForm(work, session);
    case "send_parts":
      return sendParts(work, session);
    case "discard":
      return discard(work, session.bucket);
  }
}

function endedBy(error: unknown): Pick<UpResult, "outcome" | "cause"> {
  if (error instanceof TrackerLost) throw error;
  if (error instanceof Stopped) return { outcome: { kind: "paused" } };
  const failure = asFailure(error);
  return { outcome: failure.outcome(), cause: failure.cause };
}

/** A part that has arrived, as the Tracker keeps it. */
export const arrivedPart = (n: number, etag: string, bytes: number): PartDone => ({ n, etag, bytes });
