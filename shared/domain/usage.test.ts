import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Amount, beyondQuota, changed, pageCounted, stored, UNCOUNTED, type Usage } from "./usage.ts";

const bytes = (n: number, objects = 1): Amount => ({ objects, bytes: n });

describe("usage", () => {
  it("is what was counted, and what came and went since", () => {
    const counted = pageCounted(UNCOUNTED, { seen: bytes(100, 2), expired: 0 }, 5);
    expect([stored(counted), counted.counted.at]).toEqual([bytes(100, 2), 5]);
    expect(stored(changed(changed(counted, bytes(30)), { objects: -1, bytes: -50 }))).toEqual(bytes(80, 2));
    expect(stored(changed(counted, { objects: -5, bytes: -500 }))).toEqual(bytes(0, 0));
  });

  it("shows the old count until the new one is complete, page by page", () => {
    let usage = pageCounted(UNCOUNTED, { seen: bytes(7), expired: 0 }, 1);
    usage = pageCounted(usage, { seen: bytes(100, 10), expired: 3, after: "k" }, 2);
    expect([stored(usage), usage.count?.after]).toEqual([bytes(7), "k"]);
    usage = pageCounted(usage, { seen: bytes(50, 5), expired: 1 }, 3);
    expect([stored(usage), usage.counted.at, usage.expired, usage.count]).toEqual([bytes(150, 15), 2, 4, undefined]);
  });

  it("is never less than what is there, whenever objects are added while it is being counted", () => {
    const steps = fc.array(
      fc.oneof(
        fc.record({ add: fc.integer({ min: 0, max: 100 }), wasSeen: fc.boolean() }),
        fc.constant("page" as const),
      ),
      { maxLength: 30 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1_000 }), steps, (atFirst, happens) => {
        let there = atFirst;
        let unseen = atFirst;
        let usage: Usage = UNCOUNTED;
        for (const step of happens) {
          if (step === "page") {
            usage = pageCounted(usage, { seen: bytes(Math.floor(unseen / 2), 0), expired: 0, after: "k" }, 1);
            unseen -= Math.floor(unseen / 2);
          } else {
            there += step.add;
            if (step.wasSeen) unseen += step.add;
            usage = changed(usage, bytes(step.add));
          }
        }
        // What was added before the first page was there when the listing began.
        if (usage.count === undefined) unseen = there;
        usage = pageCounted(usage, { seen: bytes(unseen, 0), expired: 0 }, 1);
        expect(stored(usage).bytes).toBeGreaterThanOrEqual(usage.counted.bytes);
        expect(stored(usage).bytes).toBeGreaterThanOrEqual(there - lostBeforeCount(happens));
      }),
    );
  });
});

/** What was added and not listed before any page was asked for: a listing that begins later always shows it. */
function lostBeforeCount(happens: readonly ("page" | { add: number; wasSeen: boolean })[]): number {
  const firstPage = happens.indexOf("page");
  return happens
    .slice(0, firstPage < 0 ? 0 : firstPage)
    .reduce((sum, step) => sum + (step !== "page" && !step.wasSeen ? step.add : 0), 0);
}

describe("a quota", () => {
  it("is kept to the byte, with what is on its way", () => {
    const amounts = { storedBytes: 60, reservedBytes: 30 };
    expect(beyondQuota(100, amounts, 10)).toBeUndefined();
    expect(beyondQuota(100, amounts, 11)).toBe(
      "This connection may hold 100 bytes: 60 are stored, 30 are on their way, and this needs 11 more. Remove objects, or have the quota raised.",
    );
    expect(beyondQuota(undefined, amounts, Number.MAX_SAFE_INTEGER)).toBeUndefined();
  });
});
