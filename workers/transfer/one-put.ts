/**
 * A file that fits one part, of which the site has said what it hashes to: one put, which R2 stores only if the bytes hash to the
 * same. So the object appears proven, in one operation instead of three, and nobody has to be asked in between.
 */
import type { ByteOutcome, CopyWork } from "../../shared/contract/work.ts";
import { asFailure, CopyFailure, isDigestRefusal } from "./failure.ts";
import { putWhole } from "./finish.ts";
import { partTimeoutMs } from "./parts.ts";
import { type Clock, retried, within } from "./patience.ts";
import { type FetchStaged, type OpenRead, StagedFile } from "./source.ts";

export type WholeWork = CopyWork & Required<Pick<CopyWork, "whole">>;

interface PutDeps {
  bucket: Pick<R2Bucket, "put" | "head">;
  fetch: FetchStaged;
  clock: Clock;
}

export function copyInOnePut(work: WholeWork, { bucket, fetch, clock }: PutDeps, stop: AbortSignal) {
  const place = { from: 0, bytes: work.expectedBytes };
  const file = new StagedFile(work.url, place, undefined, fetch);
  const late = () => new CopyFailure("later", "the file was not stored in time");
  return retried(clock, stop, async (attempt): Promise<ByteOutcome> => {
    const opened = await file.open(place, stop);
    try {
      const limit = { clock, ms: partTimeoutMs(place.bytes, attempt), signal: stop, late };
      return await within(limit, () => put(work, opened, bucket));
    } finally {
      opened.end();
    }
  });
}

async function put(work: WholeWork, opened: OpenRead, bucket: PutDeps["bucket"]): Promise<ByteOutcome> {
  const { transfer, objectKey, expectedBytes: bytes, whole } = work;
  const body = opened.measured ? opened.body : opened.body.pipeThrough(new FixedLengthStream(bytes));
  const metadata = { ...work.metadata, sha256: whole.sha256 };
  try {
    return await putWhole({ transfer, objectKey, bytes, metadata, ...whole }, body, bucket);
  } catch (error) {
    if (!isDigestRefusal(error)) throw asFailure(error);
    throw new CopyFailure("changed", "the staged file is not the one that the site has hashed", { cause: error });
  }
}
