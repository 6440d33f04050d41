import { describe, expect, it } from "vitest";
import { operationSeen, provenBy } from "./file-operation.ts";
import { isTracked, type JobRecord } from "./job.ts";

const RECORD: JobRecord = {
  id: "job_1",
  system: "cluster",
  status: "submitting",
  run: 1,
  acceptedAt: 0,
  changedAt: 0,
  actor: "a",
  tagged: false,
  operation: { op: "move", from: "/a", to: "/b" },
  outputs: [],
  warnings: [],
};
const JOB = { schedulerId: "7", stdoutPath: "/log" };

describe("a file operation that the site runs as a job", () => {
  it("is queued when its job is known, runs when the job does, and says each once", () => {
    const queued = operationSeen(RECORD, { state: "working", job: JOB }, 1);
    expect(queued).toMatchObject({
      record: { status: "queued", schedulerId: "7" },
      announce: [{ type: "job.queued" }],
    });
    expect(operationSeen(queued.record, { state: "working", schedulerState: "PENDING" }, 2).changed).toBe(false);
    const running = operationSeen(queued.record, { state: "working", schedulerState: "RUNNING", job: JOB }, 3);
    expect(running).toMatchObject({ record: { status: "running", startedAt: 3 }, announce: [{ type: "job.running" }] });
    expect(operationSeen(running.record, { state: "working", schedulerState: "RUNNING" }, 4).changed).toBe(false);
  });

  it("seen running at first sight is announced as queued and as running", () => {
    const step = operationSeen(RECORD, { state: "working", schedulerState: "RUNNING", job: JOB }, 1);
    expect(step.announce.map(({ type }) => type)).toEqual(["job.queued", "job.running"]);
  });

  it("is never asked about in poll rounds: its job's COMPLETED proves nothing", () => {
    const { record } = operationSeen(RECORD, { state: "working", job: JOB }, 1);
    expect(isTracked(record, 2)).toBe(false);
  });

  it("ends once, with the words of its log", () => {
    const failed = operationSeen(
      RECORD,
      { state: "failed", message: "cp: cannot stat", schedulerState: "COMPLETED" },
      1,
    );
    expect(failed.record).toMatchObject({ status: "failed", reason: "exit_code", detail: "cp: cannot stat" });
    expect(operationSeen(failed.record, { state: "done" }, 2).changed).toBe(false);
    expect(operationSeen(RECORD, { state: "done", warning: "not looked at" }, 1).record).toMatchObject({
      status: "succeeded",
      warnings: [{ code: "not_checked", message: "not looked at" }],
    });
  });

  it("is cancelled by whom, when its job was", () => {
    const seen = { state: "failed", message: "ended CANCELLED", schedulerState: "CANCELLED" } as const;
    expect(operationSeen({ ...RECORD, cancelRequestedAt: 1 }, seen, 2).record).toMatchObject({
      status: "cancelled",
      reason: "cancelled_by_request",
    });
    expect(operationSeen(RECORD, seen, 2).record.reason).toBe("cancelled_by_scheduler");
  });

  it("that the site has forgotten is for a person, who is told where to look", () => {
    const { record } = operationSeen(RECORD, { state: "gone" }, 1);
    expect(record).toMatchObject({ status: "failed", reason: "outcome_unknown" });
    expect(record.detail).toContain("/a and /b");
  });
});

it("the files prove a move and a removal, and nothing that may have been there before", () => {
  expect(provenBy({ op: "move", from: "/a", to: "/b" }, { from: false, to: true })).toBe(true);
  expect(provenBy({ op: "move", from: "/a", to: "/b" }, { from: true, to: true })).toBe(false);
  expect(provenBy({ op: "remove", path: "/a" }, { path: false })).toBe(true);
  expect(provenBy({ op: "remove", path: "/a" }, { path: true })).toBe(false);
  expect(provenBy({ op: "copy", from: "/a", to: "/b" }, { from: true, to: true })).toBe(false);
});
