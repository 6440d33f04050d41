import { describe, expect, it } from "vitest";
import { isEnd, parseElapsed, parseExit, pbsState, slurmState } from "./states.ts";
import { neverStarts } from "./waiting.ts";

describe("Slurm states", () => {
  it.each([
    ["PENDING", "queued"],
    ["CONFIGURING", "queued"],
    ["REQUEUE_HOLD", "queued"],
    ["RUNNING", "running"],
    ["COMPLETING", "running"],
    ["SUSPENDED", "running"],
    ["COMPLETED", "succeeded"],
    ["FAILED", "failed"],
    ["OUT_OF_MEMORY", "failed"],
    ["OUT_OF_ME+", "unknown"],
    ["CANCELLED", "cancelled"],
    ["completed+", "succeeded"],
    ["NEW_WORD", "unknown"],
    ["", "unknown"],
    ["constructor", "unknown"],
  ])("%s means %s", (word, state) => {
    expect(slurmState(word).state).toBe(state);
  });

  it("keep the scheduler's first word in upper case", () => {
    expect(slurmState("cancelled by 3001").schedulerState).toBe("CANCELLED");
    expect(slurmState("RUNNING+").schedulerState).toBe("RUNNING");
  });

  it("tell a cancel by the site from one by a person, and say nothing without a uid", () => {
    expect(slurmState("CANCELLED by 0").reason).toBe("cancelled_by_scheduler");
    expect(slurmState("CANCELLED by 3001").reason).toBe("cancelled_by_request");
    expect(slurmState("CANCELLED").reason).toBeUndefined();
  });

  it("give ends that may be taken back as revocable, and only those", () => {
    expect(["PREEMPTED", "NODE_FAIL"].every((word) => slurmState(word).revocable)).toBe(true);
    expect(["TIMEOUT", "FAILED", "COMPLETED", "CANCELLED"].some((word) => slurmState(word).revocable)).toBe(false);
  });

  it("read 0:53 as a job that never ran because its output could not be written", () => {
    expect(slurmState("FAILED", parseExit("0:53")).reason).toBe("launch_failed");
    expect(slurmState("FAILED", parseExit("0:11")).reason).toBe("exit_code");
  });
});

describe("PBS states", () => {
  it("need the exit status to tell how a finished job ended", () => {
    expect(pbsState("F", 0).state).toBe("succeeded");
    expect(pbsState("F", 3)).toMatchObject({ state: "failed", reason: "exit_code" });
    expect(pbsState("F", 271).state).toBe("cancelled");
    expect(pbsState("X", -29)).toMatchObject({ state: "failed", reason: "timeout" });
    expect(pbsState("F").state).toBe("unknown");
  });

  it("never end a running job because of its default exit status 0", () => {
    expect(pbsState("R", 0).state).toBe("running");
    expect(pbsState("E", 0).state).toBe("running");
  });
});

describe("small words", () => {
  it("split an exit status into code and signal", () => {
    expect(parseExit("3:0")).toEqual({ exitCode: 3 });
    expect(parseExit("0:11")).toEqual({ exitCode: 0, signal: 11 });
    expect(parseExit("None")).toEqual({});
  });

  it.each([
    ["1:06", 66],
    ["00:01:25", 85],
    ["1-02:03:04", 93_784],
    ["25:46", 1_546],
    ["2-00", 172_800],
    ["UNLIMITED", undefined],
    ["N/A", undefined],
    ["INVALID", undefined],
    ["2026-11-22T12:50:15", undefined],
    [null, undefined],
  ])("read the duration %s as %s seconds", (text, seconds) => {
    expect(parseElapsed(text)).toBe(seconds);
  });

  it("know which waiting reasons do not pass by themselves", () => {
    expect(neverStarts("DependencyNeverSatisfied")).toBe(true);
    expect(neverStarts("Resources")).toBe(false);
  });

  it("know an end", () => {
    expect((["succeeded", "failed", "cancelled"] as const).every(isEnd)).toBe(true);
    expect((["queued", "running", "unknown"] as const).some(isEnd)).toBe(false);
  });
});
