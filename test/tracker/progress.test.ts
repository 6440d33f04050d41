import { describe, expect, it } from "vitest";
import type { Progress, Transfer } from "../../shared/contract/transfer.ts";
import * as bytes from "../../workers/poller/bytes.ts";
import { copyEnded, copyMoved, withPace } from "../../workers/poller/progress.ts";
import type { Streams } from "../../workers/poller/streams.ts";
import { inWorld, type World } from "./world.ts";

const MIB = 1024 * 1024;
const PART = 5 * MIB;

/** Sockets as the Tracker holds them; what they were sent. */
function reader(attachment: object = {}) {
  const frames: { progress: Progress }[] = [];
  const socket = {
    send: (text: string) => frames.push(JSON.parse(text) as { progress: Progress }),
    deserializeAttachment: () => attachment,
    close: () => {},
  } as unknown as WebSocket;
  return { socket, shown: () => frames.map(({ progress }) => progress) };
}

/** A transfer whose copy has begun, and nobody copies: parts are stored when the test says so. */
async function copying(world: World, parts: number) {
  world.fate = (queue) => (queue === "transfers" ? "drop" : "deliver");
  const path = `/scratch/${world.firecrest.user}/big.dat`;
  const seat = await world.firecrest.host.as(world.firecrest.user);
  await seat.files.write(path, new Uint8Array(parts * PART));
  const { id } = await world.download(path, "big");
  await world.until(() => world.transfer(id).status === "staged");
  const effect = world.house.row<{ id: string }>("SELECT id FROM effects WHERE kind = 'copy'")?.id ?? "";
  const watching = [reader(), reader({ systems: ["elsewhere"] })] as const;
  const streams: Streams = {
    house: world.house,
    state: { acceptWebSocket: () => {}, getWebSockets: () => watching.map(({ socket }) => socket) },
  };
  await bytes.beginBytes(world.desk, effect);
  bytes.copyStarted(world.house, effect, { uploadId: "u", partBytes: PART, totalBytes: parts * PART });
  copyMoved(streams, effect);
  return {
    watching,
    view: (): Transfer => withPace(world.house, world.transfer(id)),
    part: async (n: number, afterMs: number) => {
      await world.firecrest.clock.advance(afterMs);
      bytes.partsDone(world.house, effect, [{ n, etag: `e${n}`, bytes: PART }]);
      copyMoved(streams, effect);
    },
    end: async (outcome: Parameters<typeof bytes.finishBytes>[2], afterMs: number) => {
      await world.firecrest.clock.advance(afterMs);
      bytes.finishBytes(world.house, effect, outcome, 1);
      copyEnded(streams, effect);
    },
  };
}

describe("progress of a copy", () => {
  it("is shown with its rate and what is left, in frames and in the transfer, to those whose business it is", () =>
    inWorld(async (world) => {
      const copy = await copying(world, 4);
      expect(copy.view()).not.toHaveProperty("bytesPerSecond");
      await copy.part(1, 5_000);
      await copy.part(2, 5_000);
      expect(copy.view()).toMatchObject({ bytes: 2 * PART, bytesPerSecond: MIB, remainingSeconds: 10 });
      await copy.part(3, 5_000);
      await copy.part(4, 5_000);
      await copy.end({ kind: "copied", totalBytes: 4 * PART }, 10);
      const [mine, others] = copy.watching;
      expect(mine.shown().map((frame) => frame.bytes)).toEqual([0, 1, 2, 3, 4, 4].map((n) => n * PART));
      expect(mine.shown()[2]).toMatchObject({ totalBytes: 4 * PART, bytesPerSecond: MIB, remainingSeconds: 10 });
      expect(mine.shown().at(-1)).toMatchObject({ remainingSeconds: 0 });
      expect(others.shown()).toEqual([]);
      expect(copy.view()).not.toHaveProperty("bytesPerSecond");
      expect(world.house.moving.size).toBe(0);
      expect(world.events().map(({ type }) => type)).not.toContain("progress");
    }));

  it("comes at most twice a second, and never without the last frame", () =>
    inWorld(async (world) => {
      const copy = await copying(world, 30);
      for (let n = 1; n <= 30; n++) await copy.part(n, 100);
      await copy.end({ kind: "copied", totalBytes: 30 * PART }, 50);
      const shown = copy.watching[0].shown();
      expect(shown.length).toBeLessThanOrEqual(1 + 3_000 / 500 + 1);
      expect(shown.length).toBeGreaterThan(4);
      expect(shown.at(-1)?.bytes).toBe(30 * PART);
    }));

  it("of a file that goes in one put is its beginning and its end", () =>
    inWorld(async (world) => {
      const copy = await copying(world, 1);
      await copy.end({ kind: "completed", etag: "e", bytes: PART }, 2_000);
      const shown = copy.watching[0].shown();
      expect(shown.map((frame) => frame.bytes)).toEqual([0, PART]);
      expect(shown[1]).toMatchObject({ bytesPerSecond: PART / 2, remainingSeconds: 0 });
    }));

  it("goes on after a pause", () =>
    inWorld(async (world) => {
      const copy = await copying(world, 3);
      await copy.part(1, 5_000);
      await copy.end({ kind: "paused" }, 10);
      expect(copy.view()).toMatchObject({ bytes: PART, bytesPerSecond: MIB });
      expect(world.house.moving.size).toBe(1);
    }));

  it("is forgotten with a copy that failed", () =>
    inWorld(async (world) => {
      const copy = await copying(world, 3);
      await copy.part(1, 5_000);
      await copy.end({ kind: "failed", why: "never", detail: "the store refuses the link" }, 10);
      expect(world.house.moving.size).toBe(0);
      expect(copy.watching[0].shown()).toHaveLength(2);
    }));
});
