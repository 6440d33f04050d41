import { describe, expect, it } from "vitest";
import {
  defaultKey,
  keyOfMatch,
  keyOfPattern,
  keyProblem,
  MATCHES_MAX,
  matchProblem,
  shapeOf,
  splitPattern,
} from "./output.ts";

describe("the path of an output", () => {
  it.each([
    ["out.nc", "file", "jobs/job_1/out.nc"],
    ["/scratch/a/out.nc", "file", "jobs/job_1/out.nc"],
    ["results/", "directory", "jobs/job_1/results.tar.gz"],
    ["./", "directory", "jobs/job_1/files.tar.gz"],
    ["results/*.csv", "glob", "jobs/job_1/results"],
    ["*.csv", "glob", "jobs/job_1"],
    ["a/run-[0-9]/out.nc", "glob", "jobs/job_1/a"],
    ["*/", "directory", "jobs/job_1/*.tar.gz"],
  ])("%s is a %s, and comes under %s", (path, shape, key) => {
    expect(shapeOf(path)).toBe(shape);
    expect(defaultKey("job_1", path)).toBe(key);
  });

  it("is split where its wildcards begin, and matches keep their place below", () => {
    expect(splitPattern("/a/b/run-?/c/*.nc")).toEqual({ base: "/a/b", segments: ["run-?", "c", "*.nc"] });
    expect(splitPattern("*.nc")).toEqual({ base: "", segments: ["*.nc"] });
    expect(keyOfPattern("k", "a/b/run-?/*.nc")).toBe("k/run-?/*.nc");
    expect(keyOfMatch("k", "/a/b/run-?/*.nc", "/a/b/run-1/x.nc")).toBe("k/run-1/x.nc");
    expect(keyOfMatch("k", "/*.nc", "/x.nc")).toBe("k/x.nc");
  });

  it("matches something, and not more than fits", () => {
    expect(matchProblem("/a/*", 0, [])).toMatch(/No file matches/);
    expect(matchProblem("/a/*", MATCHES_MAX, [])).toBeUndefined();
    expect(matchProblem("/a/*", MATCHES_MAX + 1, [])).toMatch(/slash/);
    expect(
      matchProblem(
        "/a/*",
        300,
        Array.from({ length: 300 }, () => "x".repeat(4_000)),
      ),
    ).toMatch(/slash/);
  });

  it("makes keys that are looked at like any other", () => {
    expect(keyProblem("k/a.nc")).toBeUndefined();
    expect(keyProblem(`k/${"x".repeat(900)}`)).toMatch(/at most 900 bytes/);
    expect(keyProblem("k/a\nb")).toMatch(/control/);
  });
});
