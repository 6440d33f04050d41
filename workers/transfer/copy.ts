/**
 * One segment of a copy: staged file → parts of an R2 multipart upload, of which nothing appears under the key before
 * `complete`; or, in one put, the object itself.
 */
import { MAX_OBJECT_BYTES } from "../../shared/contract/cut.ts";
import type { ByteOutcome, CopyWork, PartDone } from "../../shared/contract/work.ts";
import { copyInAnyOrder } from "./any-order.ts";
import { CopyFailure, Stopped } from "./failure.ts";
import { objectOptions } from "./finish.ts";
import { copyInOrder } from "./in-order.ts";
import type { Ledger } from "./ledger.ts";
import { copyInOnePut } from "./one-put.ts";
import { missingParts, type Part } from "./parts.ts";
import { type Clock, retried } from "./patience.ts";
import { runSegment, type SegmentResult } from "./segment.ts";
import type { Session } from "./session.ts";
import { type FetchStaged, holds, type OpenRead, type Place, type Range, StagedFile } from "./source.ts";
import type { Turns } from "./turns.ts";

type Upload = NonNullable<CopyWork["upload"]>;

/** What the Tracker is told while the copy runs, for one effect. Both throw `TrackerLost` when it cannot be reached. */
export interface CopyReport {
  started(upload: Upload): Promise<{ go: boolean; upload: Upload }>;
  partsDone(parts: PartDone[]): Promise<{ go: boolean }>;
}

export interface CopyDeps {
  bucket: Pick<R2Bucket, "createMultipartUpload" | "resumeMultipartUpload" | "put" | "head">;
  /** How large the parts of a file are. */
  partBytesFor(totalBytes: number): number;
  fetch: FetchStaged;
  clock: Clock;
  turns: Turns;
  report: CopyReport;
}

/** Copies until all of it is stored, the segment is over, or something ends it. Throws `TrackerLost` and nothing else. */
export const copy = (work: CopyWork, deps: CopyDeps): Promise<SegmentResult> =>
  runSegment({ clock: deps.clock, partsDone: deps.report.partsDone }, (ledger, stop) =>
    segment(work, deps, ledger, stop),
  );

async function segment(work: CopyWork, deps: CopyDeps, ledger: Ledger, stop: AbortController): Promise<ByteOutcome> {
  const { clock, turns } = deps;
  const startedAt = clock.now();
  const totalBytes = work.upload?.totalBytes ?? work.expectedBytes;
  if (totalBytes === 0) throw new CopyFailure("never", "an empty file has no parts to copy");
  if (totalBytes > MAX_OBJECT_BYTES) throw new CopyFailure("never", "the file is larger than R2's largest object");

  const { whole, upload, piece } = work;
  const cut = { partBytes: upload?.partBytes ?? deps.partBytesFor(totalBytes), totalBytes };
  if (whole !== undefined && upload === undefined && piece === undefined && totalBytes <= cut.partBytes)
    return copyInOnePut({ ...work, whole }, deps, stop.signal);

  const place = work.piece ?? { from: 0, bytes: totalBytes };
  const missing = missingParts(cut, work.parts).filter((part) => holds(place, part));
  if (missing[0] === undefined && work.mode === "parts") return { kind: "copied", totalBytes };

  // Each piece has a tag of its own, and they are told apart by their places only.
  const etag = work.piece === undefined ? work.upload?.sourceEtag : undefined;
  const file = new StagedFile(work.url, place, etag, deps.fetch);
  const first = await retried(clock, stop.signal, () => file.open(firstRange(work, missing, place), stop.signal));
  try {
    const store = work.upload
      ? deps.bucket.resumeMultipartUpload(work.objectKey, work.upload.uploadId)
      : await begin(work, deps, stop.signal, {
          ...cut,
          ...(work.piece === undefined && file.etag !== undefined && { sourceEtag: file.etag }),
        });
    const session: Session = { work, file, cut, store, stored: work.parts, ledger, clock, turns, stop, startedAt };
    return await run(session, missing, first);
  } finally {
    first.end();
  }
}

/** The read that also tells what the staged file is: the beginning of everything, or the first part that is missing. */
function firstRange({ mode }: CopyWork, [part]: readonly Part[], place: Place): Range {
  return mode === "hash" || part === undefined ? place : part;
}

async function run(session: Session, missing: readonly Part[], first: OpenRead): Promise<ByteOutcome> {
  const { work } = session;
  const copied: ByteOutcome = { kind: "copied", totalBytes: session.cut.totalBytes };
  if (work.mode === "parts" && first.ranged)
    return (await copyInAnyOrder(session, missing, first)) ? copied : { kind: "paused" };
  const end = await copyInOrder(session, first);
  if (!end.done) return { kind: "paused" };
  return { ...copied, ...(end.sha256 !== undefined && { sha256: end.sha256 }) };
}

/**
 * Makes the R2 upload and hears which one counts. A crash between the two leaves an upload that nobody knows; R2 removes such
 * uploads by itself after seven days.
 */
async function begin(
  { objectKey, transfer, metadata }: CopyWork,
  { bucket, clock, report }: CopyDeps,
  signal: AbortSignal,
  seen: Omit<Upload, "uploadId">,
): Promise<R2MultipartUpload> {
  const made = await retried(clock, signal, () =>
    bucket.createMultipartUpload(objectKey, objectOptions(transfer, metadata)),
  );
  const { go, upload } = await report.started({ uploadId: made.uploadId, ...seen });
  if (go && upload.uploadId === made.uploadId) return made;

  await made.abort().catch(() => {});
  if (!go) throw new Stopped("the Tracker said stop");
  if (upload.totalBytes !== seen.totalBytes || upload.sourceEtag !== seen.sourceEtag)
    throw new CopyFailure("changed", "the staged file is another one than at the first start");
  if (upload.partBytes !== seen.partBytes) throw new CopyFailure("later", "another start cut the file in another way");
  return bucket.resumeMultipartUpload(objectKey, upload.uploadId);
}
