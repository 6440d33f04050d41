import { describe, expect, it } from "vitest";
import { isGlob, segmentMatcher } from "./glob.ts";

describe("a pattern of one segment", () => {
  it.each([
    ["*.csv", "a.csv", true],
    ["*.csv", ".csv", false],
    [".*", ".csv", true],
    ["*.csv", "a.csv.gz", false],
    ["*", "", true],
    ["a*b*c", "abc", true],
    ["a*b*c", "aXbYbZc", true],
    ["a*b*c", "aXcYb", false],
    ["?.nc", "é.nc", true],
    ["?.nc", "😀.nc", true],
    ["?.nc", "ab.nc", false],
    ["run-[0-9].nc", "run-7.nc", true],
    ["run-[0-9].nc", "run-x.nc", false],
    ["run-[!0-9].nc", "run-x.nc", true],
    ["run-[^0-9].nc", "run-7.nc", false],
    ["[]a]", "]", true],
    ["[!]a]", "]", false],
    ["[a-]", "-", true],
    ["[*]", "*", true],
    ["[*]", "a", false],
    ["a[b", "a[b", true],
    ["a[b", "ab", false],
    ["a.b", "axb", false],
    ["$(id)", "$(id)", true],
  ])("%s and the name %j: %s", (pattern, name, expected) => {
    expect(segmentMatcher(pattern)(name)).toBe(expected);
  });

  it("takes no time to speak of, however many stars", () => {
    const began = performance.now();
    expect(segmentMatcher(`${"*a".repeat(60)}b`)("a".repeat(255))).toBe(false);
    expect(performance.now() - began).toBeLessThan(200);
  });

  it("is told from a plain path", () => {
    expect(["a/*.c", "a?", "[a]", "a/b.c", "a]"].map(isGlob)).toEqual([true, true, true, false, false]);
  });
});
