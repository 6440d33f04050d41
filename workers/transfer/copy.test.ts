import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { sha256Hex } from "../../shared/bytes.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import { content, KEY, Transfer } from "./testing/transfer.ts";

beforeAll(installWorkerStreams);

const failed = (why: string) => expect.objectContaining({ kind: "failed", why });

describe("copying a staged file", () => {
  it("starts one upload with our metadata, learns the ETag, and copies every byte", async () => {
    const file = content(70_000);
    const transfer = new Transfer(file);
    expect(await transfer.segment()).toEqual({ kind: "copied", totalBytes: 70_000 });
    expect(transfer.tracker.upload).toMatchObject({
      partBytes: 32 * 1024 * 1024,
      totalBytes: 70_000,
      sourceEtag: '"v1"',
    });
    expect(await transfer.completed()).toEqual(Buffer.from(file));
    expect(transfer.bucket.objects.get(KEY)?.customMetadata).toEqual({ source: "/scratch/out.nc", transferId: "tr_1" });
  });

  it("asks for ranges of the version it began with, uncompressed", async () => {
    const transfer = await new Transfer(content(2_500)).cutInto(1_000);
    await transfer.segment();
    const asked = transfer.store.requests.map(({ headers }) => headers.get("range"));
    expect(asked.sort()).toEqual(["bytes=0-999", "bytes=1000-1999", "bytes=2000-2499"]);
    for (const { headers } of transfer.store.requests) {
      expect(headers.get("if-match")).toBe('"v1"');
      expect(headers.get("accept-encoding")).toBe("identity");
    }
  });

  it("does not put a weak ETag into If-Match, which could never match, but still notices another one", async () => {
    const other = { "content-range": "bytes 1000-1999/9000", etag: 'W/"v2"' };
    const transfer = await new Transfer(content(9_000), {
      etag: 'W/"v1"',
      answer: (n) => (n === 2 ? new Response(content(1_000), { status: 206, headers: other }) : undefined),
    }).cutInto(1_000, 'W/"v1"');
    expect(await transfer.segment()).toEqual(failed("changed"));
    expect(transfer.store.requests[0]?.headers.has("if-match")).toBe(false);
  });

  it("never has more than three parts on their way", async () => {
    let [now, most] = [0, 0];
    const transfer = await new Transfer(content(20_000), {
      answer: () => {
        most = Math.max(most, ++now);
        return undefined;
      },
    }).cutInto(1_000);
    transfer.bucket.onPart = () => void now--;
    await transfer.segment();
    expect(most).toBe(3);
  });

  it("works without ETag, and without lengths", async () => {
    const file = content(5_000);
    const transfer = await new Transfer(file, { etag: undefined, lengths: false }).cutInto(700, undefined);
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("hashes each part where asked", async () => {
    const file = content(2_500);
    const transfer = await new Transfer(file, {}, { hashParts: true }).cutInto(1_000);
    await transfer.segment();
    const hashes = [1, 2, 3].map((n) => transfer.tracker.parts.get(n)?.sha256);
    const pieces = [file.slice(0, 1_000), file.slice(1_000, 2_000), file.slice(2_000)];
    expect(hashes).toEqual(await Promise.all(pieces.map(sha256Hex)));
  });

  it("hashes the whole in order, in one read", async () => {
    const file = content(12_345);
    const transfer = await new Transfer(file, {}, { mode: "hash", segmentMs: 0 }).cutInto(1_000);
    expect(await transfer.segment()).toEqual({ kind: "copied", totalBytes: 12_345, sha256: await sha256Hex(file) });
    expect(transfer.store.requests).toHaveLength(1);
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("falls back to one read in order where the server knows no ranges", async () => {
    const file = content(12_345);
    for (const lengths of [true, false]) {
      const transfer = await new Transfer(file, { ranges: false, lengths }).cutInto(1_000);
      expect(await transfer.segment()).toEqual({ kind: "copied", totalBytes: 12_345 });
      expect(transfer.store.requests).toHaveLength(1);
      expect(await transfer.completed()).toEqual(Buffer.from(file));
    }
  });
});

describe("going on after a pause", () => {
  it("reads only the parts that are missing", async () => {
    const file = content(9_500);
    const transfer = await new Transfer(file, {}, { segmentMs: 0 }).cutInto(1_000);
    let segments = 0;
    while ((await transfer.segment()).kind === "paused") segments++;
    expect(segments).toBeGreaterThan(1);
    expect(transfer.store.requests).toHaveLength(10);
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("in mode hash reads stored parts again, stores only new ones, and stores at least one before it pauses", async () => {
    const file = content(4_500);
    const transfer = await new Transfer(file, {}, { mode: "hash", segmentMs: 0 }).cutInto(1_000);
    const stored: number[] = [];
    transfer.bucket.onPart = (n) => {
      stored.push(n);
      transfer.clock.jump(11 * 60_000);
    };
    const outcomes = [];
    for (let i = 0; i < 5; i++) outcomes.push(await transfer.segment());
    expect(outcomes.map(({ kind }) => kind)).toEqual(["paused", "paused", "paused", "paused", "copied"]);
    expect(outcomes.at(-1)).toMatchObject({ sha256: await sha256Hex(file) });
    expect(stored).toEqual([1, 2, 3, 4, 5]);
  });

  it("hashes a file whose parts are all stored without storing anything", async () => {
    const file = content(3_000);
    const transfer = await new Transfer(file).cutInto(1_000);
    await transfer.segment();
    transfer.bucket.onPart = () => expect.unreachable();
    Object.assign(transfer.work, { mode: "hash" });
    expect(await transfer.segment()).toMatchObject({ kind: "copied", sha256: await sha256Hex(file) });
  });

  it("has nothing to ask when every part is stored", async () => {
    const transfer = await new Transfer(content(3_000)).cutInto(1_000);
    await transfer.segment();
    const asked = transfer.store.requests.length;
    expect(await transfer.segment()).toEqual({ kind: "copied", totalBytes: 3_000 });
    expect(transfer.store.requests).toHaveLength(asked);
  });

  it("gives up its own upload when another start was first, and goes on with that one", async () => {
    const file = content(50_000);
    const transfer = new Transfer(file);
    const theirs = await transfer.bucket.createMultipartUpload(KEY);
    transfer.tracker.copyStarted = async (_effect, upload) => {
      transfer.tracker.upload = { ...upload, uploadId: theirs.uploadId };
      return { go: true, upload: transfer.tracker.upload };
    };
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect([...transfer.bucket.uploads.keys()]).toEqual([theirs.uploadId]);
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });
});

it("makes the same object under any cuts, sizes, modes and broken connections", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.record({
        bytes: fc.integer({ min: 1, max: 60_000 }),
        partBytes: fc.integer({ min: 500, max: 20_000 }),
        mode: fc.constantFrom("parts", "hash"),
        hashParts: fc.boolean(),
        ranges: fc.boolean(),
        lengths: fc.boolean(),
        segmentMs: fc.constantFrom(0, 1_000, 60_000),
        cuts: fc.array(fc.option(fc.nat(20_000), { nil: undefined }), { maxLength: 25 }),
        r2Faults: fc.array(fc.boolean(), { maxLength: 10 }),
      }),
      async ({ bytes, partBytes, mode, hashParts, ranges, lengths, segmentMs, cuts, r2Faults }) => {
        const file = content(bytes);
        const habits = { ranges, lengths, cut: (n: number) => cuts[n - 1] };
        const transfer = await new Transfer(file, habits, { mode, hashParts, segmentMs }).cutInto(partBytes);
        transfer.bucket.onPart = () => {
          if (r2Faults.pop()) throw new Error("We encountered an internal error. Please try again. (10001)");
        };
        let outcome = await transfer.segment();
        for (let i = 0; i < 200 && outcome.kind !== "copied"; i++) {
          if (outcome.kind === "failed") expect(outcome.why).toBe("later");
          outcome = await transfer.segment();
        }
        expect(outcome).toEqual({
          kind: "copied",
          totalBytes: bytes,
          ...(mode === "hash" && { sha256: await sha256Hex(file) }),
        });
        expect(await transfer.completed()).toEqual(Buffer.from(file));
        for (const part of transfer.tracker.parts.values()) {
          const own = file.slice((part.n - 1) * partBytes, part.n * partBytes);
          expect(part.bytes).toBe(own.byteLength);
          expect(part.sha256).toBe(hashParts ? await sha256Hex(own) : undefined);
        }
      },
    ),
    { numRuns: 120 },
  );
});
