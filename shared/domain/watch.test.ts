import { describe, expect, it } from "vitest";
import { chooseNamed, type Named, nextNameLookAt } from "./watch.ts";

const T0 = 1_800_000_000_000;
const live = (schedulerId: string): Named => ({ schedulerId, state: "running" });
const ended = (schedulerId: string, endedAt?: number): Named => ({
  schedulerId,
  state: "succeeded",
  ...(endedAt === undefined ? {} : { endedAt }),
});
const watch = (passedOver?: string[]) => ({ acceptedAt: T0, ...(passedOver === undefined ? {} : { passedOver }) });

describe("a job that is watched by its name", () => {
  it("is the only live one that bears it, or the oldest of several, by number and not by letter", () => {
    expect(chooseNamed([live("7")], watch())).toEqual({ found: live("7"), several: false });
    expect(chooseNamed([live("100"), live("99"), ended("3", T0 + 1)], watch())).toEqual({
      found: live("99"),
      several: true,
    });
  });

  it("is not one that had ended before it was asked for", () => {
    expect(chooseNamed([ended("5", T0 - 1)], watch())).toEqual({ passedOver: ["5"] });
    // A site that tells no times: what the first look finds ended had ended before.
    expect(chooseNamed([ended("5")], watch())).toEqual({ passedOver: ["5"] });
    expect(chooseNamed([ended("5")], watch(["5"]))).toEqual({ passedOver: ["5"] });
  });

  it("may have ended between two looks", () => {
    expect(chooseNamed([ended("5", T0 - 1), ended("6", T0 + 1)], watch())).toEqual({
      found: ended("6", T0 + 1),
      several: false,
    });
    expect(chooseNamed([ended("5"), ended("6")], watch(["5"]))).toEqual({ found: ended("6"), several: false });
  });

  it("is looked for soon, then ever less often, and no more after a week", () => {
    const later = (ms: number, names = 1, perMinute = 6_000) =>
      (nextNameLookAt(T0, names, perMinute, T0 + ms) ?? 0) - T0 - ms;
    expect([0, 60_000, 10 * 60_000, 3_600_000].map((ms) => later(ms))).toEqual([10_000, 10_000, 60_000, 300_000]);
    expect(nextNameLookAt(T0, 1, 60, T0 + 7 * 24 * 3_600_000)).toBeUndefined();
    // Ten names share half of 60 requests a minute, at six for each look.
    expect(later(0, 10, 60)).toBe(120_000);
  });
});
