import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseRowId } from "../row-id.ts";
import { isEnd } from "../states.ts";
import { skeletonJob, wireJob } from "./fake-site.ts";
import type { JobRow } from "./job-row.ts";
import { isRefusalTrace, observeJob } from "./observation.ts";
import { fields } from "./read.ts";
import { Jobs } from "./wire.ts";

const rows = (...jobs: unknown[]): JobRow[] => Jobs.parse({ jobs });
const observe = (id: string, jobs: unknown[], arraySize?: number) => observeJob(id, rows(...jobs), arraySize);

describe("one job's rows", () => {
  it("C8: a row that does not know the job yet never ends it", () => {
    for (const state of ["COMPLETED", "FAILED", "CANCELLED by 3001", "TIMEOUT"]) {
      expect(observe("7", [skeletonJob("7", state)]), state).toMatchObject({ state: "unknown", skeleton: true });
    }
    expect(observe("7", [skeletonJob("7", "FAILED")])).not.toHaveProperty("exitCode");
    expect(observe("7", [skeletonJob("7", "PENDING")])).toMatchObject({ state: "queued", skeleton: true });
  });

  it("fact 2: an end counts only with name and directory of the job's own", () => {
    expect(observe("7", [wireJob({ jobId: "7", name: "allocation", state: "COMPLETED" })])).toMatchObject({
      state: "succeeded",
      skeleton: false,
    });
    expect(observe("7", [wireJob({ jobId: "7", state: "COMPLETED" })])).toMatchObject({ state: "succeeded" });
  });

  it("C9: PENDING with a running step is running", () => {
    expect(observe("7", [wireJob({ jobId: "7", state: "PENDING", steps: ["RUNNING"], start: 100 })])).toMatchObject({
      state: "running",
      schedulerState: "RUNNING",
      startedAt: 100_000,
    });
    expect(observe("7", [wireJob({ jobId: "7", state: "PENDING", steps: [] })])?.state).toBe("queued");
  });

  it("C11: a waiting job's times are forecasts, and an ended job's sticky reason is no reason", () => {
    const waiting = observe("7", [
      wireJob({ jobId: "7", state: "PENDING", reason: "BeginTime", start: 900, end: 950 }),
    ]);
    expect(waiting).toMatchObject({ state: "queued", pendingReason: "BeginTime" });
    expect(waiting).not.toHaveProperty("startedAt");
    expect(waiting).not.toHaveProperty("endedAt");
    const ended = observe("7", [
      wireJob({ jobId: "7", state: "COMPLETED", reason: "JobHeldUser", start: 900, end: 950 }),
    ]);
    expect(ended).toMatchObject({ endedAt: 950_000 });
    expect(ended).not.toHaveProperty("pendingReason");
    expect(observe("7", [wireJob({ jobId: "7", state: "PENDING", reason: "None" })])).not.toHaveProperty(
      "pendingReason",
    );
  });

  it("names what can never start", () => {
    expect(observe("7", [wireJob({ jobId: "7", state: "PENDING", reason: "DependencyNeverSatisfied" })])).toMatchObject(
      {
        state: "queued",
        reason: "never_starts",
      },
    );
  });

  it("reads who cancelled, a signal, and an end that may be taken back", () => {
    expect(observe("7", [wireJob({ jobId: "7", state: "CANCELLED by 26191" })])).toMatchObject({
      state: "cancelled",
      schedulerState: "CANCELLED",
      reason: "cancelled_by_request",
    });
    expect(observe("7", [wireJob({ jobId: "7", state: "FAILED", signal: 9 })])).toMatchObject({
      state: "failed",
      signal: 9,
    });
    expect(observe("7", [wireJob({ jobId: "7", state: "NODE_FAIL" })])).toMatchObject({ revocable: true });
  });

  it("takes flags of Slurm's REST interface into account before the base state", () => {
    expect(observe("7", [wireJob({ jobId: "7", state: ["COMPLETED", "COMPLETING"] })])?.state).toBe("running");
    expect(observe("7", [wireJob({ jobId: "7", state: ["NODE_FAIL", "REQUEUED"] })])?.state).toBe("queued");
    expect(observe("7", [wireJob({ jobId: "7", state: ["COMPLETED", "A_NEW_FLAG"] })])?.state).toBe("succeeded");
  });

  it("reads PBS letters, whose exit code counts only at the end", () => {
    expect(observe("7", [wireJob({ jobId: "7", state: "R", exitCode: 0 })])).toMatchObject({ state: "running" });
    expect(observe("7", [wireJob({ jobId: "7", state: "R", exitCode: 0 })])).not.toHaveProperty("exitCode");
    expect(observe("7", [wireJob({ jobId: "7", state: "F", exitCode: 2 })])).toMatchObject({
      state: "failed",
      exitCode: 2,
    });
    expect(observe("7", [wireJob({ jobId: "7", state: "F", exitCode: 271 })])?.state).toBe("cancelled");
  });

  it("lets the living row of a requeued job speak, and among ended ones the last", () => {
    const first = wireJob({ jobId: "7", state: "NODE_FAIL", start: 100, end: 200 });
    expect(observe("7", [first, wireJob({ jobId: "7", state: "PENDING", exitCode: null })])?.state).toBe("queued");
    expect(observe("7", [wireJob({ jobId: "7", state: "PENDING" }), first])?.state).toBe("queued");
    expect(observe("7", [first, wireJob({ jobId: "7", state: "COMPLETED", start: 300, end: 400 })])?.state).toBe(
      "succeeded",
    );
    expect(observe("7", [wireJob({ jobId: "7", state: "COMPLETED", start: 300, end: 400 }), first])?.state).toBe(
      "succeeded",
    );
  });

  it("joins the components of a heterogeneous job", () => {
    const component = (n: number, state: string) => wireJob({ jobId: `12+${n}`, state });
    expect(observe("12", [component(0, "COMPLETED"), component(1, "RUNNING")])).toMatchObject({
      schedulerId: "12",
      state: "running",
    });
    expect(observe("12", [component(0, "COMPLETED"), component(1, "FAILED")])?.state).toBe("failed");
    expect(observe("12", [component(0, "COMPLETED"), component(1, "COMPLETED")])?.state).toBe("succeeded");
  });

  it("C13: tells the trace of a refused submission from a job that failed", () => {
    const trace = wireJob({ jobId: "7", state: "FAILED", exitCode: 1, nodes: "None assigned", start: 5, end: 5 });
    const failed = wireJob({ jobId: "7", state: "FAILED", exitCode: 1, steps: ["FAILED"] });
    expect([...rows(trace), ...rows(failed)].map(isRefusalTrace)).toEqual([true, false]);
  });
});

describe("an array (C10)", () => {
  const element = (n: number, state: string, more = {}) => wireJob({ jobId: `98_${n}`, name: "arr", state, ...more });

  it("does not end on the base id, which is one of its elements until accounting knows better", () => {
    const base = wireJob({ jobId: "98", name: "arr", state: "FAILED", exitCode: 1 });
    expect(observe("98", [base], 2)).toMatchObject({ state: "unknown", skeleton: true });
    expect(observe("98", [base, wireJob({ jobId: "99", state: "RUNNING" })].slice(0, 1), 2)?.state).toBe("unknown");
    expect(observe("98", [wireJob({ jobId: "98", state: "RUNNING" })], 2)?.state).toBe("running");
  });

  it("ends when as many elements as the spec implies have ended", () => {
    expect(observe("98", [element(1, "COMPLETED")], 2)).toMatchObject({
      state: "running",
      array: { total: 2, succeeded: 1, queued: 1 },
    });
    expect(observe("98", [element(1, "COMPLETED"), element(2, "FAILED", { exitCode: 3 })], 2)).toMatchObject({
      state: "failed",
      reason: "exit_code",
      exitCode: 3,
      array: { total: 2, succeeded: 1, failed: 1, failedIndices: [2] },
    });
    expect(observe("98", [element(1, "COMPLETED"), element(2, "COMPLETED")], 2)?.state).toBe("succeeded");
  });

  it("counts the rest that was cancelled or waits as one row of many", () => {
    const rest = (state: string) => wireJob({ jobId: "98_[3-4,9,20-30:5%2]", state, nodes: "None assigned" });
    expect(
      observe("98", [element(1, "CANCELLED by 3001"), element(2, "CANCELLED by 3001"), rest("CANCELLED by 3001")]),
    ).toMatchObject({
      state: "cancelled",
      array: { total: 8, cancelled: 8 },
    });
    expect(observe("98", [element(1, "RUNNING"), rest("PENDING")])).toMatchObject({
      state: "running",
      array: { running: 1, queued: 6 },
    });
  });

  it("is alive while an element that the queue shows a second time is", () => {
    const ended = [element(1, "COMPLETED"), element(2, "COMPLETED")];
    expect(observe("98", [...ended, wireJob({ jobId: "98", state: "RUNNING" })], 2)?.state).toBe("running");
  });

  it("is not ended by elements whose rows are skeletons", () => {
    expect(observe("98", [element(1, "COMPLETED"), skeletonJob("98_2", "FAILED")], 2)?.state).toBe("running");
  });

  it("never ends before every implied element has, whatever rows there are", () => {
    const states = fc.constantFrom("PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED by 1", "COMPLETING");
    fc.assert(
      fc.property(fc.array(states, { maxLength: 6 }), fc.option(states, { nil: undefined }), (elements, base) => {
        const all = elements.map((state, i) => element(i, state));
        const seen = observe("98", base === undefined ? all : [...all, wireJob({ jobId: "98", state: base })], 6);
        if (seen === undefined || !isEnd(seen.state)) return;
        expect(elements).toHaveLength(6);
        expect(elements.every((state) => /^(COMPLETED|FAILED|CANCELLED)/.test(state))).toBe(true);
      }),
    );
  });
});

describe("job ids", () => {
  it.each([
    ["88", "88", { kind: "whole" }],
    ["88_3", "88", { kind: "elements", index: 3, count: 1 }],
    ["88_[4-10]", "88", { kind: "elements", count: 7 }],
    ["88_[0-10:5,12%4]", "88", { kind: "elements", count: 4 }],
    ["12+1", "12", { kind: "component", index: 1 }],
    ["123[]", "123", { kind: "whole" }],
    ["123[7]", "123", { kind: "elements", index: 7, count: 1 }],
    ["weird id", "weird id", { kind: "whole" }],
  ])("%s", (id, base, part) => {
    expect(parseRowId(id)).toEqual({ base, part });
  });

  it("reads any text without harm", () => {
    fc.assert(
      fc.property(fc.string(), (id) => {
        expect(parseRowId(id).base).toBeTypeOf("string");
      }),
    );
    expect(fields("not an object")).toEqual({});
  });
});
