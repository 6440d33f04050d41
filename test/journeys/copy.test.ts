/** The transfer Worker in the real runtime: a loopback store on one side, R2 on the other, a stub Tracker between. */
import { createHash } from "node:crypto";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { CopyWork } from "../../shared/contract/work.ts";
import {
  LINK_SECRET,
  type StagedHabits,
  type StagedServer,
  sha256OfStaged,
  stagedServer,
} from "../support/staged-server.ts";
import type { Seen } from "../support/stub-tracker.ts";
import { openTransferHouse, type TransferHouse } from "../support/transfer-house.ts";

const MIB = 1024 * 1024;
/** R2's smallest part: several parts with few bytes. */
const PART_BYTES = 5 * MIB;
const PATIENCE = { timeout: 45_000, interval: 20 };

let house: TransferHouse;
let server: StagedServer | undefined;
let count = 0;

beforeAll(async () => {
  house = await openTransferHouse();
});
afterAll(() => house.close());
afterEach(() => server?.close());

/** Starts the copy of a staged file of that size, cut into small parts, and answers what follows it. */
async function copying(bytes: number, habits: StagedHabits = {}, changes: Partial<CopyWork> = {}) {
  server = await stagedServer(bytes, habits);
  const connection = `c-${++count}`;
  const transfer = `tr_${String(count).padStart(26, "0")}`;
  const objectKey = `${connection}/out/ä file.nc`;
  const { uploadId } = await house.bucket.createMultipartUpload(objectKey, {
    customMetadata: { transferId: transfer },
  });
  const upload = {
    uploadId,
    partBytes: PART_BYTES,
    totalBytes: bytes,
    ...(habits.etag === null ? {} : { sourceEtag: '"staged"' }),
  };
  const work = {
    kind: "copy",
    transfer,
    url: server.url,
    objectKey,
    expectedBytes: bytes,
    upload,
    parts: [],
    mode: "parts",
    hashParts: false,
    segmentMs: 60_000,
    metadata: {},
  };
  await house.start(connection, { ...work, ...changes } as CopyWork);
  return {
    connection,
    objectKey,
    ended: (): Promise<Seen> => house.ended(connection),
  };
}

async function sha256OfObject(key: string): Promise<string> {
  const object = await house.bucket.get(key);
  const hash = createHash("sha256");
  for await (const piece of object!.body as unknown as AsyncIterable<Uint8Array>) hash.update(piece);
  return hash.digest("hex");
}

describe("a staged file", () => {
  const BYTES = 3 * PART_BYTES + 12_345;
  const SHA256 = sha256OfStaged(BYTES);

  it.each([
    ["in parallel parts", {}, { mode: "parts" }],
    ["in parallel parts, each hashed", {}, { mode: "parts", hashParts: true }],
    ["in order, hashed", {}, { mode: "hash" }],
    ["in order, from a server without ranges", { ranges: false }, { mode: "parts" }],
    ["without ETag", { etag: null }, { mode: "parts" }],
    ["over broken connections", { cut: (n: number) => (n <= 2 ? 3 * MIB + 7 : undefined) }, { mode: "parts" }],
    ["in order over broken connections", { cut: (n: number) => (n <= 2 ? 7 * MIB + 7 : undefined) }, { mode: "hash" }],
    [
      "in order over broken connections without ranges",
      { ranges: false, cut: (n: number) => (n === 1 ? 7 * MIB : undefined) },
      { mode: "hash" },
    ],
    [
      "past a store that is busy",
      { status: (n: number) => (n === 1 ? 503 : undefined) },
      { mode: "parts", hashParts: true },
    ],
  ] as [string, StagedHabits, Partial<CopyWork>][])(
    "arrives in R2 byte for byte, %s",
    async (_how, habits, changes) => {
      const copy = await copying(BYTES, habits, changes);
      const { outcomes, parts } = await copy.ended();
      expect(outcomes.map(({ kind }) => kind)).toEqual(["copied", "completed"]);
      expect(outcomes[0]).toEqual({
        kind: "copied",
        totalBytes: BYTES,
        ...(changes.mode === "hash" && { sha256: SHA256 }),
      });
      expect(parts.every(({ sha256 }) => (sha256 !== undefined) === (changes.hashParts === true))).toBe(true);
      expect(await sha256OfObject(copy.objectKey)).toBe(SHA256);
    },
  );

  it("arrives over several segments", async () => {
    const bytes = 7 * PART_BYTES + 1;
    const copy = await copying(bytes, {}, { segmentMs: 0 });
    const { outcomes } = await copy.ended();
    expect(outcomes.map(({ kind }) => kind)).toEqual(["paused", "paused", "copied", "completed"]);
    expect(server?.ranges).toHaveLength(8);
    expect(await sha256OfObject(copy.objectKey)).toBe(sha256OfStaged(bytes));
  });

  it("of one small part begins its own upload", async () => {
    const copy = await copying(4_321, {}, { upload: undefined as never });
    const { outcomes } = await copy.ended();
    expect(outcomes.at(-1)).toMatchObject({ kind: "completed", bytes: 4_321 });
    expect((await house.bucket.head(copy.objectKey))?.customMetadata).toMatchObject({
      transferId: expect.stringMatching(/^tr_/),
    });
  });
});

describe("a file of one part that the site has hashed", () => {
  const BYTES = 3 * MIB + 17;
  const whole = { sha256: sha256OfStaged(BYTES), overwrite: false };

  it.each([
    ["from a store as they usually are", {}],
    ["from one without ranges and ETags", { ranges: false, etag: null }],
    ["over a broken connection", { cut: (n: number) => (n === 1 ? MIB : undefined) }],
  ] as [string, StagedHabits][])("is put at once, and R2 has compared it, %s", async (_how, habits) => {
    const copy = await copying(BYTES, habits, { mode: "hash", whole, upload: undefined as never });
    const { outcomes, parts } = await copy.ended();
    expect(outcomes).toEqual([expect.objectContaining({ kind: "completed", bytes: BYTES })]);
    expect(parts).toEqual([]);
    expect(await sha256OfObject(copy.objectKey)).toBe(whole.sha256);
    expect((await house.bucket.head(copy.objectKey))?.customMetadata?.sha256).toBe(whole.sha256);
  });

  it("does not appear when R2 finds other bytes", async () => {
    const other = { ...whole, sha256: sha256OfStaged(BYTES - 1) };
    const copy = await copying(BYTES, {}, { mode: "hash", whole: other, upload: undefined as never });
    expect((await copy.ended()).outcomes).toEqual([expect.objectContaining({ kind: "failed", why: "changed" })]);
    expect(await house.bucket.head(copy.objectKey)).toBeNull();
  });

  it("does not appear when it is cancelled while its connection hangs", async () => {
    const habits = { stall: () => MIB };
    const copy = await copying(BYTES, habits, { mode: "hash", whole, upload: undefined as never });
    await expect.poll(() => server?.ranges.length, PATIENCE).toBe(1);
    await house.cancel(copy.connection);
    await expect.poll(async () => (await house.seen(copy.connection)).outcomes, PATIENCE).toEqual([{ kind: "paused" }]);
    await expect.poll(() => server?.abandoned(), PATIENCE).toBe(1);
    expect(await house.bucket.head(copy.objectKey)).toBeNull();
  });
});

describe("what goes wrong", () => {
  it.each([
    [403, "link_dead"],
    [404, "link_dead"],
    [412, "changed"],
    [416, "changed"],
    [302, "never"],
    [500, "later"],
  ])("a store that answers %i ends it as %s, with nothing under the key", async (status, why) => {
    const copy = await copying(2 * PART_BYTES, { status: () => status });
    const { outcomes } = await copy.ended();
    expect(outcomes).toEqual([expect.objectContaining({ kind: "failed", why })]);
    expect(await house.bucket.head(copy.objectKey)).toBeNull();
  });

  it.each(["parts", "hash"] as const)(
    "an upload that R2 has forgotten ends it as upload_gone (mode %s)",
    async (mode) => {
      const upload = { uploadId: "forgotten", partBytes: PART_BYTES, totalBytes: 2 * PART_BYTES };
      const copy = await copying(2 * PART_BYTES, {}, { mode, upload });
      expect((await copy.ended()).outcomes).toEqual([expect.objectContaining({ kind: "failed", why: "upload_gone" })]);
    },
  );

  it("a connection that always breaks ends it for later, and keeps the parts that came through", async () => {
    const copy = await copying(3 * PART_BYTES, { cut: (n) => (n > 1 ? MIB : undefined) });
    const { outcomes, parts } = await copy.ended();
    expect(outcomes).toEqual([expect.objectContaining({ kind: "failed", why: "later" })]);
    expect(parts.map(({ n }) => n)).toEqual([1]);
  });

  it.each(["parts", "hash"] as const)("a cancel drops connections that hang (mode %s)", async (mode) => {
    const copy = await copying(3 * PART_BYTES, { stall: () => MIB }, { mode });
    await expect.poll(() => server?.ranges.length, PATIENCE).toBe(mode === "hash" ? 1 : 3);
    await house.cancel(copy.connection);
    await expect.poll(async () => (await house.seen(copy.connection)).outcomes, PATIENCE).toEqual([{ kind: "paused" }]);
    await expect.poll(() => server?.abandoned(), PATIENCE).toBe(server?.ranges.length);
  });

  it("an object that is already there is not replaced", async () => {
    const work = {
      kind: "put_empty" as const,
      transfer: `tr_${"x".repeat(26)}`,
      objectKey: "taken/key",
      overwrite: false,
      metadata: {},
    };
    await house.bucket.put(work.objectKey, "older");
    await house.start("taken", work);
    await expect
      .poll(async () => (await house.seen("taken")).outcomes, PATIENCE)
      .toEqual([expect.objectContaining({ why: "exists" })]);
    await house.start("taken", { ...work, overwrite: true });
    await expect
      .poll(async () => (await house.seen("taken")).outcomes.at(-1), PATIENCE)
      .toMatchObject({ kind: "completed", bytes: 0 });
  });
});

it("writes no line that holds the link's secret", () => {
  const text = house.lines.join("");
  expect(text).toContain('"event":"transfer.bytes"');
  expect(text).not.toContain(LINK_SECRET);
});
