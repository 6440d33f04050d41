import { describe, expect, it } from "vitest";
import { TRANSFER_STATUSES } from "../contract/states.ts";
import { receiptOf } from "./receipt.ts";
import type { TransferRecord } from "./transfer.ts";

const T0 = Date.parse("2026-11-22T12:00:00.000Z");
const SHA256 = "ab".repeat(32);
const record = (facts: Partial<TransferRecord> = {}): TransferRecord => ({
  id: "tr_01hqzx3k7m9ta01hqzx3k7m9ta",
  direction: "download",
  system: "cluster",
  path: "/scratch/a",
  key: "a",
  overwrite: false,
  actor: "key:1",
  status: "stored",
  acceptedAt: T0,
  changedAt: T0,
  endedAt: T0 + 5_000,
  copiedBytes: 3,
  size: 3,
  mtime: T0 / 1000 - 60,
  sha256: SHA256,
  proof: "hash",
  restaged: 0,
  link: { state: "released" },
  warnings: [],
  ...facts,
});
const facts = { connection: "lab", links: [], now: T0 + 9_000 };

describe("a receipt", () => {
  it("is for a stored and proven transfer only", () => {
    for (const status of TRANSFER_STATUSES)
      expect(receiptOf(record({ status }), facts) !== undefined).toBe(status === "stored");
    const { proof: _, ...unproven } = record();
    expect(receiptOf(unproven, facts)).toBeUndefined();
  });

  it("never claims a hash for a side that was not hashed", () => {
    expect(receiptOf(record(), facts)).toMatchObject({ site: { sha256: SHA256 }, object: { sha256: SHA256 } });
    const bySize = receiptOf(record({ proof: "size" }), facts);
    expect(bySize?.site).not.toHaveProperty("sha256");
    expect(bySize?.object.sha256).toBe(SHA256);
  });

  it("lists every staged link, and none that never was", () => {
    const links = [
      { state: "none", openedAt: T0 },
      { state: "expires", openedAt: T0 + 1_000, expiresAt: T0 + 60_000 },
      { state: "released", openedAt: T0 + 2_000 },
    ] as const;
    expect(receiptOf(record(), { ...facts, links, releasedAt: T0 + 8_000 })).toMatchObject({
      links: [
        { state: "expires", stagedAt: "2026-11-22T12:00:01.000Z", expiresAt: "2026-11-22T12:01:00.000Z" },
        { state: "released", stagedAt: "2026-11-22T12:00:02.000Z" },
      ],
      releasedAt: "2026-11-22T12:00:08.000Z",
      site: { modifiedAt: "2026-11-22T11:59:00.000Z" },
    });
  });
});
