import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { asFailure } from "./failure.ts";
import { abort, complete, objectOptions, putEmpty } from "./finish.ts";
import { MemoryBucket } from "./testing/bucket.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import { byteStream } from "./testing/store.ts";

beforeAll(installWorkerStreams);

const KEY = "lab/out.nc";
let bucket: MemoryBucket;
let uploadId: string;
let parts: { n: number; etag: string }[];

/** An upload of `ab` + `c`, its parts known in the wrong order. */
beforeEach(async () => {
  bucket = new MemoryBucket();
  const upload = await bucket.createMultipartUpload(KEY, objectOptions("tr_1", {}));
  uploadId = upload.uploadId;
  parts = [];
  for (const [n, text] of [
    [2, "c"],
    [1, "ab"],
  ] as const) {
    const exact = new FixedLengthStream(text.length);
    const [{ etag }] = await Promise.all([
      upload.uploadPart(n, exact.readable as ReadableStream<Uint8Array>),
      byteStream(Buffer.from(text)).pipeTo(exact.writable),
    ]);
    parts.push({ n, etag });
  }
});

const completion = (changes = {}) => ({
  kind: "complete" as const,
  transfer: "tr_1",
  objectKey: KEY,
  uploadId,
  parts,
  bytes: 3,
  overwrite: false,
  metadata: {},
  ...changes,
});

describe("complete", () => {
  it("makes the object out of its parts in order, under our transfer's id", async () => {
    const outcome = await complete(completion(), bucket.asBucket());
    const object = bucket.objects.get(KEY);
    expect(outcome).toEqual({ kind: "completed", etag: object?.etag, bytes: 3 });
    expect(object?.bytes.toString()).toBe("abc");
    expect(object?.customMetadata).toEqual({ transferId: "tr_1" });
  });

  it("answers the same again after the first answer was lost", async () => {
    const first = await complete(completion(), bucket.asBucket());
    expect(await complete(completion(), bucket.asBucket())).toEqual(first);
  });

  it("does not take an object of another transfer, or of another size, for its own", async () => {
    await complete(completion(), bucket.asBucket());
    for (const changes of [{ transfer: "tr_2" }, { bytes: 4 }]) {
      expect(await complete(completion(changes), bucket.asBucket()).catch(asFailure)).toMatchObject({ why: "exists" });
      const replacing = completion({ ...changes, overwrite: true });
      expect(await complete(replacing, bucket.asBucket()).catch(asFailure)).toMatchObject({ why: "upload_gone" });
    }
  });

  it("removes an object that R2 made of another number of parts", async () => {
    bucket.objectEtag = () => `${"a".repeat(32)}-1`;
    const failure = await complete(completion(), bucket.asBucket()).catch(asFailure);
    expect(failure).toMatchObject({ why: "never", message: expect.stringMatching(/in 1 parts, not 3 in 2/) });
    expect(bucket.objects.has(KEY)).toBe(false);
  });

  it("replaces an object under the key only where that is allowed", async () => {
    await bucket.put(KEY, "older");
    expect(await complete(completion(), bucket.asBucket()).catch(asFailure)).toMatchObject({ why: "exists" });
    expect(bucket.objects.get(KEY)?.bytes.toString()).toBe("older");
    expect(await complete(completion({ overwrite: true }), bucket.asBucket())).toMatchObject({
      kind: "completed",
      bytes: 3,
    });
    expect(bucket.objects.get(KEY)?.bytes.toString()).toBe("abc");
  });

  it("says upload_gone for a part that R2 does not have", async () => {
    const wrong = parts.map((part) => ({ ...part, etag: "stale" }));
    expect(await complete(completion({ parts: wrong }), bucket.asBucket()).catch(asFailure)).toMatchObject({
      why: "upload_gone",
    });
  });

  it("leaves no object of a wrong size under the key", async () => {
    const some = parts.filter(({ n }) => n === 1);
    expect(await complete(completion({ parts: some }), bucket.asBucket()).catch(asFailure)).toMatchObject({
      why: "never",
    });
    expect(bucket.objects.size).toBe(0);
  });
});

const abortion = (changes = {}) => ({
  kind: "abort" as const,
  transfer: "tr_1",
  objectKey: KEY,
  uploadId,
  isUnwanted: true,
  ...changes,
});

describe("abort", () => {
  it("removes the upload, and is content when it is gone already", async () => {
    expect(await abort(abortion(), bucket.asBucket())).toEqual({ kind: "aborted" });
    expect(bucket.uploads.size).toBe(0);
    expect(await abort(abortion(), bucket.asBucket())).toEqual({ kind: "aborted" });
  });

  it("removes the object of a transfer that nobody wants any more, and nobody else's", async () => {
    await complete(completion(), bucket.asBucket());
    await abort(abortion({ isUnwanted: false }), bucket.asBucket());
    await abort(abortion({ transfer: "tr_2" }), bucket.asBucket());
    expect(bucket.objects.get(KEY)?.bytes.toString()).toBe("abc");
    await abort(abortion(), bucket.asBucket());
    expect(bucket.objects.has(KEY)).toBe(false);
  });
});

describe("put_empty", () => {
  const work = (overwrite: boolean) => ({
    kind: "put_empty" as const,
    transfer: "tr_1",
    objectKey: KEY,
    overwrite,
    metadata: { source: "/x" },
  });

  it("makes an empty object with its metadata, and the same again", async () => {
    const first = await putEmpty(work(false), bucket.asBucket());
    expect(first).toMatchObject({ kind: "completed", bytes: 0 });
    expect(bucket.objects.get(KEY)).toMatchObject({ size: 0, customMetadata: { source: "/x", transferId: "tr_1" } });
    expect(await putEmpty(work(false), bucket.asBucket())).toEqual(first);
  });

  it("replaces an object under the key only where that is allowed", async () => {
    await bucket.put(KEY, "older");
    expect(await putEmpty(work(false), bucket.asBucket()).catch(asFailure)).toMatchObject({ why: "exists" });
    expect(await putEmpty(work(true), bucket.asBucket())).toMatchObject({ kind: "completed" });
  });
});
