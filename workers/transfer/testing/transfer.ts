/** One transfer of one file in memory, whose segments are run one after another as the Tracker would send them. */
import { partBytesFor } from "../../../shared/contract/cut.ts";
import type { CopyWork } from "../../../shared/contract/work.ts";
import { copy } from "../copy.ts";
import { complete } from "../finish.ts";
import { Turns } from "../turns.ts";
import { MemoryBucket } from "./bucket.ts";
import { HeldClock } from "./runtime.ts";
import { type StoreHabits, stagedFile } from "./store.ts";
import { MemoryTracker } from "./tracker.ts";

export const KEY = "lab/runs/1/out.nc";
export function content(bytes: number): Uint8Array {
  const made = new Uint8Array(bytes);
  for (let i = 0; i < bytes; i++) made[i] = (i * 31 + (i >> 8)) & 255;
  return made;
}

export class Transfer {
  readonly bucket = new MemoryBucket();
  readonly clock = new HeldClock();
  readonly store: ReturnType<typeof stagedFile>;
  readonly tracker: MemoryTracker;
  readonly work: CopyWork;

  constructor(file: Uint8Array, habits: StoreHabits = {}, work: Partial<CopyWork> = {}) {
    this.store = stagedFile(file, { etag: '"v1"', ...habits });
    this.work = {
      kind: "copy",
      transfer: "tr_1",
      url: "https://store.example/bucket/file?X-Amz-Signature=secret",
      objectKey: KEY,
      expectedBytes: file.byteLength,
      parts: [],
      mode: "parts",
      hashParts: false,
      segmentMs: 60_000,
      metadata: { source: "/scratch/out.nc" },
      ...work,
    };
    this.tracker = new MemoryTracker(this.work);
  }

  /** As if an earlier invocation had started it with parts of this size; R2's minimum does not bind the bucket in memory. */
  async cutInto(partBytes: number, sourceEtag: string | undefined = '"v1"'): Promise<this> {
    const { uploadId } = await this.bucket.createMultipartUpload(KEY, {
      customMetadata: { transferId: this.work.transfer },
    });
    this.tracker.upload = {
      uploadId,
      partBytes,
      totalBytes: this.work.expectedBytes,
      ...(sourceEtag !== undefined && { sourceEtag }),
    };
    return this;
  }

  async segment() {
    const { tracker, clock, bucket, store } = this;
    const work = {
      ...this.work,
      ...(tracker.upload && { upload: tracker.upload }),
      parts: [...tracker.parts.values()],
    };
    const report = {
      started: (upload: NonNullable<CopyWork["upload"]>) => tracker.copyStarted("eff", upload),
      partsDone: (parts: Parameters<MemoryTracker["partsDone"]>[1]) => tracker.partsDone("eff", parts),
    };
    const deps = { bucket: bucket.asBucket(), fetch: store.fetch, clock, report, partBytesFor, turns: new Turns() };
    return (await copy(work, deps)).outcome;
  }

  /** The bytes of the object that the reported parts make. */
  async completed(): Promise<Uint8Array | undefined> {
    const uploadId = this.tracker.upload?.uploadId ?? "none";
    const parts = [...this.tracker.parts.values()];
    await complete(
      {
        kind: "complete",
        transfer: "tr_1",
        objectKey: KEY,
        uploadId,
        parts,
        bytes: this.work.expectedBytes,
        overwrite: true,
        metadata: {},
      },
      this.bucket.asBucket(),
    );
    return this.bucket.objects.get(KEY)?.bytes;
  }
}
