/** The ends of an upload: completed, aborted, or an empty object made directly. */
import type { ByteOutcome, ByteWork } from "../../shared/contract/work.ts";
import { asFailure, CopyFailure } from "./failure.ts";

type WorkOf<Kind extends ByteWork["kind"]> = Extract<ByteWork, { kind: Kind }>;

/** Every object carries its transfer's id: after a lost answer that is how our own object is known again. */
export const objectOptions = (transfer: string, metadata: Record<string, string>) => ({
  customMetadata: { ...metadata, transferId: transfer },
  httpMetadata: { contentType: "application/octet-stream" },
});

/** Makes the object out of its parts. Doing it twice answers the same twice. Throws `CopyFailure`, or what R2 throws. */
export async function complete(work: WorkOf<"complete">, bucket: R2Bucket): Promise<ByteOutcome> {
  const there = await bucket.head(work.objectKey);
  // The answer of an earlier try may have been lost after the object was made.
  if (there !== null && isOurs(there, work, work.bytes)) return completed(there);
  // R2 completes uploads without conditions, so an object that comes between this look and the next line is replaced.
  if (there !== null && !work.overwrite) throw alreadyThere();

  const parts = work.parts.map(({ n, etag }) => ({ partNumber: n, etag })).sort((a, b) => a.partNumber - b.partNumber);
  const object = await bucket.resumeMultipartUpload(work.objectKey, work.uploadId).complete(parts);
  const made = { bytes: object.size, parts: partsMade(object.etag) ?? parts.length };
  if (made.bytes !== work.bytes || made.parts !== parts.length) {
    await bucket.delete(work.objectKey);
    throw new CopyFailure(
      "never",
      `the parts made an object of ${made.bytes} bytes in ${made.parts} parts, not ${work.bytes} in ${parts.length}; it was removed`,
    );
  }
  return completed(object);
}

/** R2 tells with the tag of such an object how many parts it was made of. */
const partsMade = (etag: string): number | undefined => {
  const count = /^[0-9a-f]{32}-(\d+)$/.exec(etag)?.[1];
  return count === undefined ? undefined : Number(count);
};

/**
 * Removes an unfinished upload with its parts, and the object of a transfer that nobody wants any more: an invocation may have
 * made it that had not heard of the end. What R2 does not know counts as removed.
 */
export async function abort(work: WorkOf<"abort">, bucket: R2Bucket): Promise<ByteOutcome> {
  const { objectKey, uploadId, transfer, isUnwanted } = work;
  if (uploadId !== undefined) await forgetUpload(bucket, objectKey, uploadId);
  const there = isUnwanted ? await bucket.head(objectKey) : null;
  if (there?.customMetadata?.transferId === transfer) await bucket.delete(objectKey);
  return { kind: "aborted" };
}

/** Gives an upload back to R2. One that R2 does not know counts as given back. */
export async function forgetUpload(bucket: R2Bucket, objectKey: string, uploadId: string): Promise<void> {
  try {
    await bucket.resumeMultipartUpload(objectKey, uploadId).abort();
  } catch (error) {
    if (asFailure(error).why !== "upload_gone") throw error;
  }
}

/** Makes an empty object. */
export const putEmpty = (work: WorkOf<"put_empty">, bucket: R2Bucket): Promise<ByteOutcome> =>
  putWhole({ ...work, bytes: 0 }, "", bucket);

interface Whole {
  transfer: string;
  objectKey: string;
  bytes: number;
  overwrite: boolean;
  metadata: Record<string, string>;
  /** R2 stores the object only if its bytes have this hash. */
  sha256?: string;
}

/** Makes an object in one step, which R2 takes whole or not at all. Doing it twice answers the same twice. */
export async function putWhole(
  { transfer, objectKey, bytes, overwrite, metadata, sha256 }: Whole,
  value: ReadableStream<Uint8Array> | string,
  bucket: Pick<R2Bucket, "put" | "head">,
): Promise<ByteOutcome> {
  const object = await bucket.put(objectKey, value, {
    ...objectOptions(transfer, metadata),
    onlyIf: new Headers(overwrite ? {} : { "if-none-match": "*" }),
    ...(sha256 !== undefined && { sha256 }),
  });
  if (object !== null) return completed(object);
  const there = await bucket.head(objectKey);
  if (there !== null && isOurs(there, { transfer }, bytes)) return completed(there);
  throw alreadyThere();
}

const completed = ({ etag, size }: R2Object): ByteOutcome => ({ kind: "completed", etag, bytes: size });

const isOurs = (object: R2Object, { transfer }: { transfer: string }, bytes: number): boolean =>
  object.customMetadata?.transferId === transfer && object.size === bytes;

const alreadyThere = () =>
  new CopyFailure("exists", "another object is already under this key; ask with overwrite: true to replace it");
