/** FirecREST v2: the file in parts of the site's size, each to its own link, in any order, and then the word that it is whole. */

import type { UpWork } from "../../shared/contract/up.ts";
import type { ByteOutcome } from "../../shared/contract/work.ts";
import { CopyFailure } from "./failure.ts";
import { type Part, partsOf, partTimeoutMs } from "./parts.ts";
import { retried } from "./patience.ts";
import { PARTS_AT_ONCE } from "./turns.ts";
import { arrivedPart, type UpSession } from "./up.ts";
import { judge } from "./up-form.ts";
import { openSource } from "./up-source.ts";

type PartsWork = Extract<UpWork, { kind: "send_parts" }>;

/** Longer answers hold nothing that we need. */
const MAX_ANSWER_CHARS = 16_384;

export async function sendParts(work: PartsWork, session: UpSession): Promise<ByteOutcome> {
  const { clock, ledger, stop, turns } = session;
  const cut = { partBytes: work.partBytes, totalBytes: work.source.bytes };
  const parts = new Map(partsOf(cut).map((part) => [part.n, part]));
  const arrived = new Map(work.parts.map(({ n, etag }) => [n, etag]));
  const startedAt = clock.now();
  const queue = work.partUrls.values();
  const lane = async () => {
    for (const { n, url } of queue) {
      const part = parts.get(n);
      if (part === undefined) continue;
      const send = () => retried(clock, stop.signal, (attempt) => sendPart(work, part, url, attempt, session));
      const etag = await turns.take(stop.signal, send);
      arrived.set(n, etag);
      ledger.add(arrivedPart(n, etag, part.bytes));
      if (clock.now() - startedAt >= work.segmentMs) return;
    }
  };
  const lanes = Array.from({ length: PARTS_AT_ONCE }, lane);
  try {
    await Promise.all(lanes);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(lanes);
    throw error;
  }
  // The Tracker has to know every part before the store puts them together: then the links of parts are dead.
  await ledger.settle();
  stop.signal.throwIfAborted();
  if (arrived.size < parts.size) return { kind: "paused" };
  await retried(clock, stop.signal, () => sayWhole(work, arrived, session));
  return { kind: "sent" };
}

/** Answers the store's tag of the part, as it came: with its quotes. */
async function sendPart(
  { source, storageOrigins }: PartsWork,
  part: Part,
  url: string,
  attempt: number,
  { bucket, egress, stop }: UpSession,
): Promise<string> {
  const body = await openSource(bucket, source, part);
  const answer = await egress.stream(
    url,
    { method: "PUT", body: body.pipeThrough(new FixedLengthStream(part.bytes)), signal: stop.signal },
    { purpose: "staged", storageOrigins, deadlineMs: partTimeoutMs(part.bytes, attempt) },
  );
  await judge(answer);
  const etag = answer.headers.get("etag");
  if (etag === null) throw new CopyFailure("never", "the store gave a part no ETag");
  return etag;
}

/** Saying it twice is answered the same twice, or with "no such upload", which after an earlier try means that it was heard. */
async function sayWhole(
  work: PartsWork,
  arrived: ReadonlyMap<number, string>,
  { egress, stop }: UpSession,
): Promise<void> {
  const parts = [...arrived]
    .sort(([a], [b]) => a - b)
    .map(([n, etag]) => `<Part><PartNumber>${n}</PartNumber><ETag>${escaped(etag)}</ETag></Part>`);
  const xml = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${parts.join("")}</CompleteMultipartUpload>`;
  const answer = await egress.stream(
    work.completeUrl,
    { method: "POST", headers: { "content-type": "application/xml" }, body: xml, signal: stop.signal },
    { purpose: "staged", storageOrigins: work.storageOrigins, deadlineMs: partTimeoutMs(work.source.bytes, 1) },
  );
  if (answer.status === 404 && work.again) return;
  if (answer.status !== 200) {
    await judge(answer);
    return;
  }
  // S3 answers 200 before it knows, and tells of a failure in the text.
  const text = (await answer.text()).slice(0, MAX_ANSWER_CHARS);
  if (/<Error\b/.test(text)) throw new CopyFailure("later", "the store could not put the parts together");
}

const escaped = (text: string): string => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
