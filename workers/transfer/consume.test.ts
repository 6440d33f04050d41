import { beforeAll, describe, expect, it } from "vitest";
import { partBytesFor } from "../../shared/contract/cut.ts";
import type { ByteWork, TrackerWork } from "../../shared/contract/work.ts";
import { type ConsumerDeps, consume } from "./consume.ts";
import type { FetchStaged } from "./source.ts";
import { MemoryBucket } from "./testing/bucket.ts";
import { HeldClock, installWorkerStreams } from "./testing/runtime.ts";
import { stagedFile } from "./testing/store.ts";
import { MemoryTracker } from "./testing/tracker.ts";
import { Turns } from "./turns.ts";

beforeAll(installWorkerStreams);

const IDS = { connection: "lab", transfer: `tr_${"0".repeat(26)}`, effect: `eff_${"0".repeat(26)}` };
const EMPTY: ByteWork = {
  kind: "put_empty",
  transfer: IDS.transfer,
  objectKey: "lab/empty",
  overwrite: false,
  metadata: {},
};
const COPY: ByteWork = {
  kind: "copy",
  transfer: IDS.transfer,
  url: "https://store.example/f?X-Amz-Signature=secret",
  objectKey: "lab/out",
  expectedBytes: 1_000,
  parts: [],
  mode: "hash",
  hashParts: false,
  segmentMs: 60_000,
  metadata: {},
};

/** Consumes one message; answers what became of it and what was logged. */
async function consumed(tracker: TrackerWork, body: unknown = { v: 1, ...IDS }, attempts = 1) {
  const fate: unknown[] = [];
  const lines: Record<string, unknown>[] = [];
  const bucket = new MemoryBucket();
  const store = stagedFile(new Uint8Array(1_000), { etag: '"v1"' });
  const deps: ConsumerDeps = {
    bucket: bucket.asBucket(),
    egress: {
      stream: (url, init) => store.fetch(url, init as Parameters<FetchStaged>[1]),
      open: unreachable,
    },
    trackerOf: () => tracker,
    partBytesFor,
    clock: new HeldClock(5_001),
    turns: new Turns(),
    log: (line) => void lines.push(line),
  };
  const message = {
    body,
    attempts,
    ack: () => void fate.push("ack"),
    retry: (o?: QueueRetryOptions) => void fate.push(o ?? "retry"),
  };
  await consume(message, deps);
  return { fate, lines, bucket };
}

const unreachable = async (): Promise<never> => {
  throw new Error("Network connection lost.");
};

describe("one message of the queue", () => {
  it("is acknowledged once its work is done and reported", async () => {
    const tracker = new MemoryTracker(EMPTY);
    const { fate, bucket } = await consumed(tracker);
    expect(fate).toEqual(["ack"]);
    expect(tracker.outcome).toMatchObject({ kind: "completed", bytes: 0 });
    expect(bucket.objects.has("lab/empty")).toBe(true);
  });

  it("writes one line, with ids, outcome and what was moved, and without the link", async () => {
    const { lines } = await consumed(new MemoryTracker(COPY));
    expect(lines).toEqual([
      expect.objectContaining({ event: "transfer.bytes", ...IDS, kind: "copy", parts: 1, bytes: 1_000 }),
    ]);
    expect(lines[0]).toMatchObject({ outcome: { kind: "copied", totalBytes: 1_000 } });
    expect(JSON.stringify(lines)).not.toMatch(/store\.example|secret/);
  });

  it.each(["not_yet", "already_sent", "over"] as const)(
    "is acknowledged without work when the Tracker says %s",
    async (why) => {
      const tracker: TrackerWork = Object.assign(new MemoryTracker(EMPTY), {
        beginBytes: async () => ({ go: false as const, why }),
      });
      const { fate, bucket, lines } = await consumed(tracker);
      expect(fate).toEqual(["ack"]);
      expect(bucket.objects.size).toBe(0);
      expect(lines[0]).toMatchObject({ skipped: why });
    },
  );

  it("is acknowledged when the work failed: the Tracker decides what comes next", async () => {
    const tracker = new MemoryTracker({
      kind: "complete",
      transfer: IDS.transfer,
      objectKey: "lab/x",
      uploadId: "none",
      parts: [],
      bytes: 5,
      overwrite: true,
      metadata: {},
    });
    const { fate } = await consumed(tracker);
    expect(fate).toEqual(["ack"]);
    expect(tracker.outcome).toMatchObject({ kind: "failed", why: "upload_gone" });
  });

  it.each(["beginBytes", "copyStarted", "partsDone", "finishBytes"] as const)(
    "comes back, later each time, when the Tracker cannot be reached (%s)",
    async (call) => {
      const tracker = Object.assign(new MemoryTracker(COPY), { [call]: unreachable });
      expect((await consumed(tracker)).fate).toEqual([{ delaySeconds: 5 }]);
      expect((await consumed(tracker, undefined, 3)).fate).toEqual([{ delaySeconds: 20 }]);
    },
  );

  it("does not come back for a Tracker that was away for a moment", async () => {
    const tracker = new MemoryTracker(EMPTY);
    let away = 2;
    const begin = tracker.beginBytes.bind(tracker);
    tracker.beginBytes = () => (away-- > 0 ? unreachable() : begin());
    expect((await consumed(tracker)).fate).toEqual(["ack"]);
  });

  it.each([{ v: 2, ...IDS }, { v: 1, ...IDS, effect: "eff_1" }, "text", null])(
    "that cannot be read is never guessed at, and ends in the dead letters (%j)",
    async (body) => {
      const tracker = new MemoryTracker(EMPTY);
      const { fate, lines } = await consumed(tracker, body);
      expect(fate).toEqual(["retry"]);
      expect(lines[0]).toMatchObject({ event: "transfer.message_unreadable" });
      expect(tracker.outcome).toBeUndefined();
    },
  );
});
