import { describe, expect, it } from "vitest";
import { LINK_STATES, TRANSFER_STATUSES } from "../contract/states.ts";
import { LINK_STEPS, linkMoved, moved, TRANSFER_STEPS, type TransferRecord, viewTransfer } from "./transfer.ts";

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

it("never shows a hash before the object is stored, nor any link", () => {
  const view = viewTransfer(transferIn({ status: "verifying", sha256: "aa" }), "c");
  expect(view.sha256).toBeUndefined();
  expect(JSON.stringify(view)).not.toContain("http");
});
