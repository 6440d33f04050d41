import { describe, expect, it } from "vitest";
import { LINK_STATES, TRANSFER_STATUSES } from "../contract/states.ts";
import {
  HASH_MAX_BYTES,
  judge,
  LINK_STEPS,
  linkMoved,
  moved,
  proofFor,
  TRANSFER_STEPS,
  type TransferRecord,
  viewTransfer,
} from "./transfer.ts";

const T0 = 1_800_000_000_000;
const transferIn = (facts: Partial<TransferRecord> = {}): TransferRecord => ({
  id: "tr_01hqzx3k7m9ta01hqzx3k7m9ta",
  direction: "download",
  system: "cluster",
  path: "/scratch/a",
  key: "a",
  overwrite: false,
  actor: "key:1",
  status: "accepted",
  acceptedAt: T0,
  changedAt: T0,
  copiedBytes: 0,
  restaged: 0,
  link: { state: "none" },
  warnings: [],
  ...facts,
});

describe("every pair of states", () => {
  for (const from of TRANSFER_STATUSES) {
    for (const to of TRANSFER_STATUSES) {
      const listed = (TRANSFER_STEPS[from] as readonly string[]).includes(to);
      it(`a transfer ${from} → ${to} is ${listed ? "taken" : "refused"}`, () => {
        const step = moved(transferIn({ status: from }), to, T0 + 1);
        expect(step.changed).toBe(listed);
        expect(step.record.status).toBe(listed ? to : from);
        if (!listed) expect(step.announce).toEqual([]);
      });
    }
  }
  for (const from of LINK_STATES) {
    for (const to of LINK_STATES) {
      const listed = (LINK_STEPS[from] as readonly string[]).includes(to);
      it(`a link ${from} → ${to} is ${listed ? "taken" : "refused"}`, () => {
        const step = linkMoved(transferIn({ link: { state: from } }), to, T0 + 1);
        expect(step.record.link.state).toBe(listed ? to : from);
      });
    }
  }
});

describe("a link", () => {
  it("is announced as released only when its release is proven, and as unreleased when its end is only known", () => {
    expect(linkMoved(transferIn({ link: { state: "releasing" } }), "released", T0).announce).toEqual([
      { type: "transfer.released" },
    ]);
    expect(linkMoved(transferIn({ link: { state: "releasing" } }), "unreleasable", T0, T0 + 5).announce).toEqual([
      { type: "transfer.unreleased" },
    ]);
    expect(linkMoved(transferIn({ link: { state: "owed" } }), "releasing", T0).announce).toEqual([]);
  });

  it("keeps the date of its end", () => {
    const record = linkMoved(transferIn({ link: { state: "owed", expiresAt: T0 + 9 } }), "expires", T0).record;
    expect(viewTransfer(record, "c").link).toEqual({ state: "expires", expiresAt: new Date(T0 + 9).toISOString() });
  });
});

describe("proof", () => {
  it("is the hash up to 1 GiB, size and time above, or what was asked for", () => {
    expect(proofFor({}, HASH_MAX_BYTES)).toBe("hash");
    expect(proofFor({}, HASH_MAX_BYTES + 1)).toBe("size");
    expect(proofFor({ verify: "size" }, 1)).toBe("size");
    expect(proofFor({ verify: "hash" }, 1)).toBe("hash");
  });

  const record = { size: 3, mtime: 7, sha256: "aa" };
  it("holds when the hashes agree, whatever the times say", () => {
    expect(judge(record, { size: 3, mtime: 8, sha256: "aa" }, 3)).toEqual({ ok: true, proof: "hash" });
  });
  it("fails when the hashes differ or bytes are missing", () => {
    expect(judge(record, { size: 3, mtime: 7, sha256: "bb" }, 3)).toEqual({ ok: false, why: "hash_differs" });
    expect(judge(record, { size: 3, mtime: 7, sha256: "aa" }, 2)).toEqual({ ok: false, why: "size_differs" });
  });
  it("falls back to size and time where the site could not hash, and says so", () => {
    expect(judge(record, { size: 3, mtime: 7 }, 3)).toEqual({ ok: true, proof: "size" });
    expect(judge(record, { size: 3, mtime: 8 }, 3)).toEqual({ ok: false, why: "changed_meanwhile" });
  });
});

it("never shows a hash before the object is stored, nor any link", () => {
  const view = viewTransfer(transferIn({ status: "verifying", sha256: "aa" }), "c");
  expect(view.sha256).toBeUndefined();
  expect(JSON.stringify(view)).not.toContain("http");
});
