import { beforeAll, describe, expect, it } from "vitest";
import { sha256Hex } from "../../shared/bytes.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { TrackerLost } from "./failure.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import type { StoreHabits } from "./testing/store.ts";
import { content, Transfer } from "./testing/transfer.ts";

beforeAll(installWorkerStreams);

function later(transfer: Transfer, ms: number): Transfer {
  transfer.clock.advance(ms);
  return transfer;
}

const failed = (why: string) => expect.objectContaining({ kind: "failed", why });

describe("what may break meanwhile", () => {
  it("tries a broken part again, alone", async () => {
    const file = content(3_000);
    const transfer = await new Transfer(file, { cut: (n) => (n === 2 ? 300 : undefined) }).cutInto(1_000);
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect(transfer.store.requests).toHaveLength(4);
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("reads on from the last whole piece where an ordered read broke", async () => {
    const file = content(9_000);
    const transfer = await new Transfer(file, { cut: (n) => (n < 3 ? 1_700 : undefined) }, { mode: "hash" }).cutInto(
      1_000,
    );
    expect(await transfer.segment()).toMatchObject({ kind: "copied", sha256: await sha256Hex(file) });
    expect(transfer.store.requests.map(({ headers }) => headers.get("range"))).toEqual([
      "bytes=0-8999",
      "bytes=1000-8999",
      "bytes=2000-8999",
    ]);
  });

  it("starts an ordered read again where the server cannot read on", async () => {
    const file = content(3_000);
    const habits = { ranges: false, cut: (n: number) => (n === 1 ? 1_500 : undefined) };
    const transfer = await new Transfer(file, habits).cutInto(1_000);
    const stored: number[] = [];
    transfer.bucket.onPart = (n) => void stored.push(n);
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect(stored).toEqual([1, 2, 3]);
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("keeps what is stored when the rest fails", async () => {
    const transfer = await new Transfer(content(6_000), {
      answer: (_n, { headers }) =>
        headers.get("range") === "bytes=5000-5999" ? new Response(null, { status: 500 }) : undefined,
    }).cutInto(1_000);
    expect(await transfer.segment()).toEqual(failed("later"));
    expect([...transfer.tracker.parts.keys()].sort()).toEqual([1, 2, 3, 4, 5]);
  });

  it.each(["parts", "hash"] as const)("says so when R2 has lost the upload (mode %s)", async (mode) => {
    const transfer = await new Transfer(content(3_000), {}, { mode }).cutInto(1_000);
    transfer.bucket.uploads.clear();
    expect(await transfer.segment()).toEqual(failed("upload_gone"));
  });

  it.each(["parts", "hash"] as const)("stores a part again after an R2 fault that passes (mode %s)", async (mode) => {
    const file = content(3_000);
    const transfer = await new Transfer(file, {}, { mode, hashParts: true }).cutInto(1_000);
    let faults = 2;
    transfer.bucket.onPart = (n) => {
      if (n === 2 && faults-- > 0) throw new Error("We encountered an internal error. Please try again. (10001)");
    };
    expect(await transfer.segment()).toMatchObject({ kind: "copied" });
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("gives up a part that does not move, and tries it again with more time", async () => {
    const file = content(1_000);
    const habits: StoreHabits = {
      answer: (n, { signal }) => {
        if (n > 1) return undefined;
        const body = new ReadableStream({
          start: (c) => signal.addEventListener("abort", () => c.error(signal.reason)),
        });
        return new Response(body, { status: 206, headers: { "content-range": "bytes 0-999/1000" } });
      },
    };
    const transfer = await new Transfer(file, habits).cutInto(1_000);
    const outcome = transfer.segment();
    await expect.poll(() => later(transfer, 10_000).store.requests.length).toBe(2);
    expect(await outcome).toMatchObject({ kind: "copied" });
    expect(await transfer.completed()).toEqual(Buffer.from(file));
  });

  it("leaves for later what the way out could not reach, and gives up what it refuses", async () => {
    const meeting = async (error: EgressError) => {
      const answer = () => Promise.reject(error);
      return new Transfer(content(1_000), { answer }).segment();
    };
    expect(await meeting(new EgressError({ code: "timeout", reason: "timeout" }))).toEqual(failed("later"));
    expect(await meeting(new EgressError({ code: "unresolved", reason: "unresolved" }))).toEqual(failed("later"));
    expect(await meeting(new EgressError({ code: "refused", reason: "storage_origin" }))).toEqual(failed("never"));
  });
});

describe("being cancelled", () => {
  it("stops at once when a report is answered with no, even while parts hang", async () => {
    const transfer = await new Transfer(content(9_000)).cutInto(1_000);
    const hanging = new Promise<void>(() => {});
    transfer.bucket.onPart = () => hanging;
    let outcome: unknown;
    void transfer.segment().then((got) => (outcome = got));
    await expect.poll(() => transfer.store.requests.length).toBe(3);
    transfer.tracker.go = false;
    transfer.clock.advance(5_000);
    await expect.poll(() => outcome).toEqual({ kind: "paused" });
    expect(transfer.store.requests).toHaveLength(3);
    for (const { signal } of transfer.store.requests) expect(signal.aborted).toBe(true);
  });

  it("leaves no upload behind when it was cancelled before the start", async () => {
    const transfer = new Transfer(content(50_000));
    transfer.tracker.go = false;
    expect(await transfer.segment()).toEqual({ kind: "paused" });
    expect(transfer.bucket.uploads.size).toBe(0);
  });
});

describe("telling the Tracker", () => {
  it("says nothing more once the Tracker is lost", async () => {
    const transfer = new Transfer(content(50_000));
    transfer.tracker.copyStarted = () => Promise.reject(new TrackerLost("gone"));
    await expect(transfer.segment()).rejects.toThrow(TrackerLost);
    transfer.clock.advance(60_000);
    expect(transfer.tracker.reports).toEqual([]);
    expect(transfer.clock.sleeping).toBe(0);
  });

  it("reports parts in batches, every one of them", async () => {
    const transfer = await new Transfer(content(25_000)).cutInto(1_000);
    await transfer.segment();
    expect(transfer.tracker.parts.size).toBe(25);
    expect(transfer.tracker.reports.length).toBeLessThanOrEqual(10);
  });

  it("reports what is stored every five seconds, and that it lives", async () => {
    const transfer = await new Transfer(content(3_000)).cutInto(1_000);
    let release = () => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    transfer.bucket.onPart = (n) => (n === 3 ? held : undefined);
    const outcome = transfer.segment();
    await expect.poll(() => later(transfer, 1_000).tracker.parts.size).toBe(2);
    const before = transfer.tracker.reports.length;
    await expect.poll(() => later(transfer, 1_000).tracker.reports.length).toBeGreaterThan(before);
    release();
    expect(await outcome).toMatchObject({ kind: "copied" });
  });
});
