/** Files that come in pieces: each link leads to one of them, and all parts end up in one object. */
import { beforeAll, describe, expect, it } from "vitest";
import { partBytesFor } from "../../shared/contract/cut.ts";
import type { CopyWork } from "../../shared/contract/work.ts";
import { copy } from "./copy.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import { type StoreHabits, stagedFile } from "./testing/store.ts";
import { content, Transfer } from "./testing/transfer.ts";
import { Turns } from "./turns.ts";

beforeAll(installWorkerStreams);

const FILE = content(10_500);
const PIECE = 4_000;

/** A transfer of the whole that is cut into parts of 1,000, and its copy of the piece at `at`. */
async function start() {
  const transfer = await new Transfer(FILE).cutInto(1_000, undefined);
  const piece = async (at: number, habits: StoreHabits = {}, hashParts = false) => {
    const from = at * PIECE;
    const bytes = Math.min(PIECE, FILE.byteLength - from);
    const store = stagedFile(FILE.subarray(from, from + bytes), { etag: `"piece-${at}"`, ...habits });
    const { bucket, clock, tracker } = transfer;
    const work: CopyWork = {
      ...transfer.work,
      hashParts,
      piece: { from, bytes },
      parts: [...tracker.parts.values()],
      ...(tracker.upload && { upload: tracker.upload }),
    };
    const report = {
      started: (upload: NonNullable<CopyWork["upload"]>) => tracker.copyStarted("eff", upload),
      partsDone: (parts: Parameters<typeof tracker.partsDone>[1]) => tracker.partsDone("eff", parts),
    };
    const deps = { bucket: bucket.asBucket(), fetch: store.fetch, clock, report, partBytesFor, turns: new Turns() };
    return (await copy(work, deps)).outcome;
  };
  return { transfer, piece };
}

describe("a file in pieces", () => {
  it.each([
    ["in parallel", {}, false],
    ["hashed", {}, true],
    ["from a store without ranges", { ranges: false }, true],
    ["over broken connections", { cut: (n: number) => (n < 3 ? 700 : undefined) }, false],
  ] as [string, StoreHabits, boolean][])("arrives byte for byte, %s", async (_how, habits, hashParts) => {
    const { transfer, piece } = await start();
    for (const at of [0, 1, 2]) {
      expect(await piece(at, habits, hashParts)).toEqual({ kind: "copied", totalBytes: 10_500 });
      expect(transfer.tracker.parts.size).toBe([4, 8, 11][at]);
    }
    expect(Buffer.from((await transfer.completed()) ?? []).equals(Buffer.from(FILE))).toBe(true);
  });

  it("has only what is missing copied again", async () => {
    const { transfer, piece } = await start();
    for (const at of [0, 1, 2]) await piece(at);
    transfer.tracker.parts.delete(6);
    let asked = 0;
    const answer = () => void asked++ as undefined;
    expect(await piece(1, { answer })).toEqual({ kind: "copied", totalBytes: 10_500 });
    expect(asked).toBe(1);
    expect(transfer.tracker.parts.size).toBe(11);
  });

  it("is not joined from a piece of another length", async () => {
    const { piece } = await start();
    const other = { "content-range": "bytes 0-999/3999", "content-length": "1000" };
    const answer = () => new Response(content(1_000), { status: 206, headers: other });
    expect(await piece(0, { answer })).toMatchObject({ kind: "failed", why: "changed" });
  });
});
