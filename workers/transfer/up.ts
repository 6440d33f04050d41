/** The way up: what the transfer Worker does for a file that goes to the HPC side, while it reports that it lives. */

import type { UpWork } from "../../shared/contract/up.ts";
import type { ByteOutcome, PartDone } from "../../shared/contract/work.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import type { CopyReport } from "./copy.ts";
import type { Ledger } from "./ledger.ts";
import type { Clock } from "./patience.ts";
import { runSegment, type SegmentResult } from "./segment.ts";
import type { Turns } from "./turns.ts";
import { sendForm } from "./up-form.ts";
import { sendParts } from "./up-parts.ts";
import { discard, fetchSource, inspect } from "./up-source.ts";

export interface UpDeps {
  bucket: R2Bucket;
  egress: Pick<Egress, "stream" | "open">;
  clock: Clock;
  turns: Turns;
  report: CopyReport;
}

/** What the steps of the way up work with. */
export interface UpSession extends UpDeps {
  ledger: Ledger;
  /** Aborted by a cancel or a lost Tracker. */
  stop: AbortController;
}

/** Does one piece of work. Throws `TrackerLost` and nothing else. */
export const up = (work: UpWork, deps: UpDeps): Promise<SegmentResult> =>
  runSegment(
    { clock: deps.clock, partsDone: deps.report.partsDone, isWatched: work.kind !== "discard" },
    (ledger, stop) => perform(work, { ...deps, ledger, stop }),
  );

function perform(work: UpWork, session: UpSession): Promise<ByteOutcome> {
  const inTurn = (task: () => Promise<ByteOutcome>) => session.turns.take(session.stop.signal, task);
  switch (work.kind) {
    case "inspect":
      return inTurn(() => inspect(work, session));
    case "fetch":
      return inTurn(() => fetchSource(work, session));
    case "send_form":
      return inTurn(() => sendForm(work, session));
    case "send_parts":
      return sendParts(work, session);
    case "discard":
      return discard(work, session.bucket);
  }
}

/** A part that has arrived, as the Tracker keeps it. */
export const arrivedPart = (n: number, etag: string, bytes: number): PartDone => ({ n, etag, bytes });
