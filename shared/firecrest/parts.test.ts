import { describe, expect, it } from "vitest";
import { observeParts, type Part } from "./parts.ts";
import type { JobObservation } from "./port.ts";
import { parseRowId } from "./row-id.ts";

const part = (id: string, state: JobObservation["state"], more: Partial<JobObservation> = {}): Part => {
  const parsed = parseRowId(id);
  const seen = {
    schedulerId: parsed.base,
    state,
    schedulerState: state.toUpperCase(),
    skeleton: false,
    revocable: false,
  };
  return { id: parsed, seen: { ...seen, ...more } };
};

describe("the id of a row", () => {
  it.each([
    ["88", "88", { kind: "whole" }],
    ["88_3", "88", { kind: "elements", index: 3, count: 1 }],
    ["88_[4-10%2]", "88", { kind: "elements", count: 7 }],
    ["88_[1,3,10-20:5]", "88", { kind: "elements", count: 5 }],
    ["56+1", "56", { kind: "component", index: 1 }],
    ["123[]", "123", { kind: "whole" }],
    ["123[7]", "123", { kind: "elements", index: 7, count: 1 }],
    ["odd id", "odd id", { kind: "whole" }],
  ])("%s belongs to %s", (id, base, expected) => {
    expect(parseRowId(id)).toEqual({ base, part: expected });
  });
});

describe("a job from its parts", () => {
  it("is nothing without parts", () => {
    expect(observeParts("1", [])).toBeUndefined();
  });

  it("lives while a component lives, and fails when one fails", () => {
    expect(observeParts("56", [part("56+0", "succeeded"), part("56+1", "running")])?.state).toBe("running");
    expect(observeParts("56", [part("56+0", "succeeded"), part("56+1", "failed")])?.state).toBe("failed");
  });

  it("counts an array's elements up to the size that its spec implies", () => {
    const seen = observeParts("8", [part("8_1", "succeeded"), part("8_2", "failed")], 4);
    expect(seen).toMatchObject({
      state: "running",
      array: { total: 4, succeeded: 1, failed: 1, queued: 2, failedIndices: [2] },
    });
  });

  it("ends an array only with all of its elements, and takes an end back where one element's may be", () => {
    expect(observeParts("8", [part("8_1", "succeeded"), part("8_2", "failed", { revocable: true })], 2)).toMatchObject({
      state: "failed",
      revocable: true,
    });
    expect(observeParts("8", [part("8", "succeeded")], 2)).toMatchObject({ state: "unknown", skeleton: true });
    expect(observeParts("8", [part("8_1", "succeeded"), part("8", "running")], 1)?.state).toBe("running");
  });

  it("waits while no element has begun", () => {
    expect(observeParts("8", [part("8_[1-4%1]", "queued", { pendingReason: "Resources" })], 4)).toMatchObject({
      state: "queued",
      pendingReason: "Resources",
    });
  });
});
