/** The file that goes up: an object that is there, or one that is made of a file from elsewhere. */

import type { UpSource, UpWork } from "../../shared/contract/up.ts";
import type { ByteOutcome } from "../../shared/contract/work.ts";
import { MAX_REDIRECTS } from "../../shared/egress/egress.ts";
import { CopyFailure, Stopped } from "./failure.ts";
import { forgetUpload, objectOptions } from "./finish.ts";
import { type Range, wholeNumber } from "./source.ts";
import { BodyReader, Hash, pump } from "./stream.ts";
import type { UpSession } from "./up.ts";

type WorkOf<Kind extends UpWork["kind"]> = Extract<UpWork, { kind: Kind }>;

/** One part of a file from elsewhere, held in memory until it is full: its length may not be known before its end. */
const PART_BYTES = 8 * 1024 * 1024;

/** Reads the head of the object and, where it is wanted, all of it through a hash. */
export async function inspect(work: WorkOf<"inspect">, { bucket, stop }: UpSession): Promise<ByteOutcome> {
  const object = await bucket.head(work.objectKey);
  if (object === null) throw new CopyFailure("missing", "there is no object under this key");
  const source = { objectKey: work.objectKey, etag: object.etag, bytes: object.size };
  const seen: ByteOutcome = { kind: "inspected", bytes: object.size, etag: object.etag };
  if (object.size > work.hashMaxBytes) return seen;
  const hash = new Hash();
  if (object.size > 0) {
    const body = new BodyReader(await openSource(bucket, source));
    const cancel = () => void body.cancel();
    stop.signal.addEventListener("abort", cancel, { once: true });
    try {
      await pump(body, object.size, [hash]);
    } finally {
      stop.signal.removeEventListener("abort", cancel);
    }
  }
  return { ...seen, sha256: await hash.hex() };
}

/** Reads of one version of an object. Throws `CopyFailure` where that version is no longer there. */
export async function openSource(
  bucket: Pick<R2Bucket, "get">,
  { objectKey, etag }: UpSource,
  range?: Range,
): Promise<ReadableStream<Uint8Array>> {
  const object = await bucket.get(objectKey, {
    onlyIf: { etagMatches: etag },
    ...(range === undefined ? {} : { range: { offset: range.from, length: range.bytes } }),
  });
  if (object === null) throw new CopyFailure("missing", "the object is no longer there");
  if (!("body" in object)) throw new CopyFailure("changed", "the object is another one than was looked at");
  return object.body as ReadableStream<Uint8Array>;
}

/**
 * Makes an object of a file from elsewhere, in one pass. Nothing of it is resumed: a stranger's server promises nothing about
 * its next answer, so a broken read starts over.
 */
export async function fetchSource(work: WorkOf<"fetch">, session: UpSession): Promise<ByteOutcome> {
  const { bucket, stop, egress, report } = session;
  if (work.staleUploadId !== undefined) await forgetUpload(bucket, work.objectKey, work.staleUploadId);
  const response = await egress.open(
    work.url,
    { headers: { "accept-encoding": "identity" }, signal: stop.signal },
    { purpose: "input", redirects: MAX_REDIRECTS },
  );
  const promised = promisedBytes(response, work.maxBytes);
  const hash = work.hashMaxBytes >= 0 ? new Hash() : undefined;
  const parts = new Pieces(response.body ?? new Blob([]).stream(), work.maxBytes);
  const first = await parts.next();
  await hash?.write(first);
  let total = first.byteLength;
  const options = objectOptions(work.transfer, {});
  let object: R2Object;
  if (parts.ended) {
    expectWhole(total, promised);
    object = await bucket.put(work.objectKey, first, options);
  } else {
    const upload = await bucket.createMultipartUpload(work.objectKey, options);
    const { go } = await report.started({
      uploadId: upload.uploadId,
      partBytes: PART_BYTES,
      totalBytes: promised ?? 0,
    });
    if (!go) {
      await upload.abort();
      throw new Stopped("the Tracker said stop");
    }
    const stored = [await upload.uploadPart(1, first)];
    while (!parts.ended) {
      stop.signal.throwIfAborted();
      const piece = await parts.next();
      if (piece.byteLength === 0) break;
      total += piece.byteLength;
      await hash?.write(piece);
      stored.push(await upload.uploadPart(stored.length + 1, piece));
    }
    expectWhole(total, promised);
    object = await upload.complete(stored);
  }
  const seen: ByteOutcome = { kind: "inspected", bytes: total, etag: object.etag };
  // Above this no site could hash its copy, so ours would prove nothing.
  return hash === undefined || total > work.hashMaxBytes ? seen : { ...seen, sha256: await hash.hex() };
}

function expectWhole(total: number, promised: number | undefined): void {
  if (promised !== undefined && total !== promised)
    throw new CopyFailure("later", `the server sent ${total} bytes and had promised ${promised}`);
}

/** Reads the head of the answer: how long the file will be, where the server tells. */
function promisedBytes(response: Response, maxBytes: number): number | undefined {
  const { status, headers } = response;
  if (status === 404 || status === 410) throw new CopyFailure("missing", `the server has no such file (${status})`);
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    throw new CopyFailure("later", `the server is not able to answer now (${status})`, {
      retryAfterSeconds: wholeNumber(headers.get("retry-after")),
    });
  if (status !== 200) throw new CopyFailure("never", `the server does not give the file to everybody (${status})`);
  // The runtime unpacks what came compressed all the same: then the length is that of something else.
  if ((headers.get("content-encoding") ?? "identity") !== "identity") return undefined;
  const promised = wholeNumber(headers.get("content-length"));
  if (promised !== undefined && promised > maxBytes) throw tooLarge(maxBytes);
  return promised;
}

const tooLarge = (maxBytes: number) => new CopyFailure("never", `the file is larger than ${maxBytes} bytes`);

/** Cuts a body of unknown length into pieces of one size, the last one shorter. */
class Pieces {
  ended = false;
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #maxBytes: number;
  #rest: Uint8Array = new Uint8Array();
  #total = 0;

  constructor(body: ReadableStream<Uint8Array>, maxBytes: number) {
    this.#reader = body.getReader();
    this.#maxBytes = maxBytes;
  }

  async next(): Promise<Uint8Array<ArrayBuffer>> {
    const piece = new Uint8Array(PART_BYTES);
    let filled = this.#put(piece, 0, this.#rest);
    while (filled < PART_BYTES) {
      const { done, value } = await this.#reader.read();
      if (done) {
        this.ended = true;
        break;
      }
      this.#total += value.byteLength;
      if (this.#total > this.#maxBytes) {
        this.#reader.cancel().catch(() => {});
        throw tooLarge(this.#maxBytes);
      }
      filled = this.#put(piece, filled, value);
    }
    return piece.subarray(0, filled);
  }

  /** Copies what fits and keeps what does not. */
  #put(piece: Uint8Array, at: number, bytes: Uint8Array): number {
    const fits = bytes.subarray(0, PART_BYTES - at);
    piece.set(fits, at);
    this.#rest = bytes.slice(fits.byteLength);
    return at + fits.byteLength;
  }
}

/** Removes what was made for one upload. What is not there counts as removed. */
export async function discard(work: WorkOf<"discard">, bucket: R2Bucket): Promise<ByteOutcome> {
  if (work.uploadId !== undefined) await forgetUpload(bucket, work.objectKey, work.uploadId);
  await bucket.delete(work.objectKey);
  return { kind: "discarded" };
}
