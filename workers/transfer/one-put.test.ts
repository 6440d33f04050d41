/** Files of one part that the site has hashed: stored in one step, or not at all. */
import { beforeAll, describe, expect, it } from "vitest";
import { sha256Hex } from "../../shared/bytes.ts";
import type { CopyWork } from "../../shared/contract/work.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import type { StoreHabits } from "./testing/store.ts";
import { content, KEY, Transfer } from "./testing/transfer.ts";

beforeAll(installWorkerStreams);

const FILE = content(10_500);

async function hashed(habits: StoreHabits = {}, whole: Partial<CopyWork["whole"]> = {}, work: Partial<CopyWork> = {}) {
  const sha256 = await sha256Hex(FILE);
  return new Transfer(FILE, habits, { mode: "hash", whole: { sha256, overwrite: false, ...whole }, ...work });
}

describe("a small file that the site has hashed", () => {
  it.each([{}, { ranges: false }, { lengths: false }, { etag: undefined }] as StoreHabits[])(
    "appears in one put, proven, from a store with habits %j",
    async (habits) => {
      const transfer = await hashed(habits);
      expect(await transfer.segment()).toMatchObject({ kind: "completed", bytes: FILE.byteLength });
      const object = transfer.bucket.objects.get(KEY);
      expect(object?.bytes).toEqual(Buffer.from(FILE));
      expect(object?.customMetadata).toEqual({
        source: "/scratch/out.nc",
        sha256: await sha256Hex(FILE),
        transferId: "tr_1",
      });
      expect(transfer.bucket.uploads.size).toBe(0);
      expect(transfer.tracker.upload).toBeUndefined();
    },
  );

  it("does not appear when its bytes are others: it is to be staged anew", async () => {
    const transfer = await hashed({}, { sha256: "0".repeat(64) });
    expect(await transfer.segment()).toMatchObject({ kind: "failed", why: "changed" });
    expect(transfer.bucket.objects.size).toBe(0);
  });

  it("is its own when the first answer was lost, and replaces another's only where it may", async () => {
    const transfer = await hashed();
    const first = await transfer.segment();
    expect(await transfer.segment()).toEqual(first);
    const other = await hashed({}, {}, { transfer: "tr_2" });
    await other.bucket.put(KEY, "older");
    expect(await other.segment()).toMatchObject({ kind: "failed", why: "exists" });
    other.work.whole = { sha256: await sha256Hex(FILE), overwrite: true };
    expect(await other.segment()).toMatchObject({ kind: "completed" });
  });

  it("is read again after a broken connection and a busy store", async () => {
    const transfer = await hashed({
      cut: (n) => (n === 1 ? 100 : undefined),
      answer: (n) => (n === 2 ? new Response(null, { status: 503 }) : undefined),
    });
    expect(await transfer.segment()).toMatchObject({ kind: "completed" });
    expect(transfer.bucket.objects.get(KEY)?.bytes).toEqual(Buffer.from(FILE));
  });

  it("goes on in parts where an upload has begun", async () => {
    const transfer = await (await hashed()).cutInto(4_000);
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect(transfer.bucket.objects.size).toBe(0);
  });
});
