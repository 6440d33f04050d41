import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isEndedJob, JOB_STATUSES, type JobStatus } from "../contract/states.ts";
import {
  endedByUs,
  isTracked,
  isWanted,
  type JobRecord,
  LOST_AFTER_MS,
  notSeen,
  observed,
  SCHEDULER_STEPS,
  SECOND_LOOK_MS,
  type SeenJob,
  settle,
  submitted,
} from "./job.ts";
import { viewJob } from "./job-view.ts";

const T0 = 1_800_000_000_000;

const jobIn = (status: JobStatus, facts: Partial<JobRecord> = {}): JobRecord => ({
  id: "job_01hqzx3k7m9ta01hqzx3k7m9ta",
  system: "cluster",
  status,
  run: 1,
  acceptedAt: T0,
  changedAt: T0,
  actor: "key:1",
  tagged: true,
  schedulerId: "42",
  outputs: [],
  warnings: [],
  ...facts,
});

const seenAs = (state: SeenJob["state"], facts: Partial<SeenJob> = {}): SeenJob => ({
  state,
  schedulerState: state.toUpperCase(),
  skeleton: false,
  revocable: false,
  ...facts,
});

const look = (record: JobRecord, seen: SeenJob, at: number) => observed(record, seen, at, at);
const types = (step: { announce: { type: string }[] }) => step.announce.map(({ type }) => type);

describe("every pair of states", () => {
  for (const from of JOB_STATUSES) {
    for (const to of ["queued", "running", "succeeded", "failed", "cancelled"] as const) {
      const listed = (SCHEDULER_STEPS[from] as readonly string[]).includes(to);
      it(`${from} → ${to} is ${listed ? "taken" : "refused"} when the scheduler keeps showing it`, () => {
        let record = jobIn(from, from === "running" ? { startedAt: T0 } : {});
        const announced: string[] = [];
        for (let i = 1; i <= 3; i++) {
          const step = look(record, seenAs(to), T0 + i * SECOND_LOOK_MS);
          record = step.record;
          announced.push(...types(step));
        }
        expect(record.status).toBe(listed ? to : from);
        if (!listed) expect(announced).toEqual([]);
      });
    }
  }
});

describe("observed", () => {
  it("announces an end at once", () => {
    const step = look(jobIn("running"), seenAs("succeeded", { exitCode: 0 }), T0 + 1);
    expect(types(step)).toEqual(["job.succeeded"]);
    expect(step.record).toMatchObject({ status: "succeeded", exitCode: 0, endedAt: T0 + 1 });
  });

  it("knows when a job started that was over between two looks, and of none that never ran", () => {
    const startOf = (state: SeenJob["state"], facts: Partial<SeenJob>) =>
      look(jobIn("queued"), seenAs(state, facts), T0 + 9_000).record.startedAt;
    expect(startOf("succeeded", { elapsedSeconds: 4 })).toBe(T0 + 5_000);
    expect(startOf("succeeded", { elapsedSeconds: 0 })).toBe(T0 + 9_000);
    expect(startOf("failed", { elapsedSeconds: 0, reason: "exit_code" })).toBe(T0 + 9_000);
    expect(startOf("cancelled", { elapsedSeconds: 0 })).toBeUndefined();
    expect(startOf("failed", { elapsedSeconds: 0, reason: "boot_fail" })).toBeUndefined();
  });

  it("announces nothing and changes nothing when it sees the same again", () => {
    const running = look(jobIn("queued"), seenAs("running"), T0 + 1).record;
    const again = look(running, seenAs("running"), T0 + 2);
    expect(again.changed).toBe(false);
    expect(again.record).toBe(running);
  });

  it("never applies a look that began before the record changed", () => {
    const record = jobIn("running", { changedAt: T0 + 100 });
    expect(observed(record, seenAs("succeeded"), T0 + 99, T0 + 200).changed).toBe(false);
  });

  it("takes a skeleton row as proof of existence and of nothing else", () => {
    const missing = jobIn("queued", { missingSince: T0 });
    const step = look(missing, seenAs("failed", { skeleton: true }), T0 + 1);
    expect(step.record.status).toBe("queued");
    expect(step.record.missingSince).toBeUndefined();
  });

  it("believes a stale PENDING after RUNNING only when it stays", () => {
    const first = look(jobIn("running", { startedAt: T0 }), seenAs("queued"), T0 + 1);
    expect(types(first)).toEqual([]);
    expect(first.record.status).toBe("running");
    const calm = look(first.record, seenAs("running"), T0 + 2);
    expect(calm.record.suspicion).toBeUndefined();
    const doubted = look(calm.record, seenAs("queued"), T0 + 3);
    const early = look(doubted.record, seenAs("queued"), T0 + 4);
    expect(early.record.status).toBe("running");
    const believed = look(doubted.record, seenAs("queued"), T0 + 3 + SECOND_LOOK_MS);
    expect(types(believed)).toEqual(["job.requeued"]);
    expect(believed.record).toMatchObject({ status: "queued", run: 2 });
    expect(believed.record.startedAt).toBeUndefined();
  });

  it("confirms an end that the scheduler may take back, and announces it once", () => {
    const nodeFail = seenAs("failed", { revocable: true, reason: "node_fail" });
    const first = look(jobIn("running"), nodeFail, T0 + 1);
    expect(types(first)).toEqual([]);
    const second = look(first.record, nodeFail, T0 + 1 + SECOND_LOOK_MS);
    expect(types(second)).toEqual(["job.failed"]);
    expect(second.record.reason).toBe("node_fail");
    expect(isTracked(second.record, T0 + 20_000)).toBe(true);
  });

  it("starts another run when an ended job is seen alive again", () => {
    const ended = jobIn("failed", { reason: "node_fail", endedAt: T0, settledAt: T0, revocableUntil: T0 + 600_000 });
    const first = look(ended, seenAs("running"), T0 + 1);
    const second = look(first.record, seenAs("running"), T0 + 1 + SECOND_LOOK_MS);
    expect(types(second)).toEqual(["job.requeued", "job.running"]);
    expect(second.record).toMatchObject({ run: 2, status: "running" });
    expect(second.record.endedAt).toBeUndefined();
    expect(second.record.settledAt).toBeUndefined();
  });

  it("gives a cancelled job the reason that belongs to it", () => {
    expect(look(jobIn("running", { cancelRequestedAt: T0 }), seenAs("cancelled"), T0 + 1).record.reason).toBe(
      "cancelled_by_request",
    );
    expect(look(jobIn("running"), seenAs("cancelled"), T0 + 1).record.reason).toBe("cancelled_by_scheduler");
  });

  it("warns at 50, 80 and 90 % of the time limit, once each", () => {
    let record = jobIn("running", { startedAt: T0, timeLimitSeconds: 100 });
    const percents: unknown[] = [];
    for (const elapsedSeconds of [10, 50, 55, 81, 85, 92, 99]) {
      const step = look(record, seenAs("running", { elapsedSeconds }), T0 + elapsedSeconds * 1000);
      record = step.record;
      percents.push(...step.announce.map(({ extra }) => extra?.percent));
    }
    expect(percents).toEqual([50, 80, 90]);
  });
});

describe("a job that waits", () => {
  const never = { never: true, words: "It asks for more time than its partition allows." };
  const stuck = (facts: Partial<SeenJob> = {}) =>
    seenAs("queued", { pendingReason: "PartitionTimeLimit", waiting: never, ...facts });

  it("in vain says so once, keeps the reason while it is so, and forgets it when it runs", () => {
    const first = look(jobIn("queued"), stuck(), T0 + 1);
    expect(first.announce).toEqual([
      {
        type: "job.warning",
        extra: {
          pendingReason: "PartitionTimeLimit",
          warning: { code: "never_starts", message: `${never.words} (PartitionTimeLimit)` },
        },
      },
    ]);
    expect(first.record).toMatchObject({ status: "queued", reason: "never_starts", detail: never.words });
    const again = look(first.record, stuck(), T0 + 2);
    expect(again).toMatchObject({ changed: false, announce: [] });
    // Somebody shortened its time limit.
    const other = look(again.record, seenAs("queued", { pendingReason: "Priority" }), T0 + 3);
    expect(types(other)).toEqual([]);
    expect(other.record.reason).toBeUndefined();
    expect(other.record.detail).toBeUndefined();
    const running = look(first.record, seenAs("running"), T0 + 4);
    expect(types(running)).toEqual(["job.running"]);
    expect(running.record.reason).toBeUndefined();
    expect(running.record.warnings).toHaveLength(1);
  });

  it("for a person is told without calling it hopeless", () => {
    const held = { never: false, words: "Its owner holds it back." };
    const step = look(jobIn("queued"), stuck({ pendingReason: "JobHeldUser", waiting: held }), T0 + 1);
    expect(types(step)).toEqual(["job.warning"]);
    expect(step.record).toMatchObject({ detail: held.words, warnings: [{ code: "held_back" }] });
    expect(step.record.reason).toBeUndefined();
  });

  it("is told of in the very look that shows it first, after the step itself", () => {
    expect(types(look(jobIn("accepted", { watched: true }), stuck(), T0 + 1))).toEqual(["job.queued", "job.warning"]);
    expect(types(look(jobIn("lost"), stuck(), T0 + 1))).toEqual(["job.found", "job.queued", "job.warning"]);
  });

  it("is not warned of by a late look, a skeleton, or while it is only said to be requeued", () => {
    expect(observed(jobIn("queued", { changedAt: T0 + 10 }), stuck(), T0 + 9, T0 + 11).changed).toBe(false);
    expect(types(look(jobIn("queued"), stuck({ skeleton: true }), T0 + 1))).toEqual([]);
    expect(types(look(jobIn("running", { startedAt: T0 }), stuck(), T0 + 1))).toEqual([]);
  });

  it("keeps no stale words when it ends", () => {
    const waiting = look(jobIn("queued"), stuck(), T0 + 1).record;
    const ended = look(waiting, seenAs("cancelled"), T0 + 2).record;
    expect(ended).toMatchObject({ status: "cancelled", reason: "cancelled_by_scheduler" });
    expect(ended.detail).toBeUndefined();
  });
});

describe("absence is never an ending", () => {
  it("makes a job lost only after the grace time, and found when it is seen again", () => {
    const first = notSeen(jobIn("running"), T0 + 1, T0 + 1);
    expect(types(first)).toEqual([]);
    const early = notSeen(first.record, T0 + LOST_AFTER_MS, T0 + LOST_AFTER_MS);
    expect(early.changed).toBe(false);
    const lost = notSeen(first.record, T0 + 1 + LOST_AFTER_MS, T0 + 1 + LOST_AFTER_MS);
    expect(types(lost)).toEqual(["job.lost"]);
    expect(isEndedJob(lost.record.status)).toBe(false);
    const found = look(lost.record, seenAs("running"), T0 + LOST_AFTER_MS + 5000);
    expect(types(found)).toEqual(["job.found", "job.running"]);
  });

  it("does not touch an ended job", () => {
    expect(notSeen(jobIn("succeeded"), T0 + 1, T0 + 1).changed).toBe(false);
  });
});

describe("our own steps", () => {
  it("records the scheduler's id once", () => {
    const step = submitted(jobIn("submitting", { schedulerId: undefined as never }), { schedulerId: "7" }, T0 + 1);
    expect(step.record).toMatchObject({ status: "queued", schedulerId: "7", submittedAt: T0 + 1 });
    expect(submitted(step.record, { schedulerId: "8" }, T0 + 2).changed).toBe(false);
  });

  it("ends a job that the site refused, and only one that has not ended", () => {
    expect(types(endedByUs(jobIn("submitting"), "failed", "rejected", "no", T0 + 1))).toEqual(["job.failed"]);
    expect(endedByUs(jobIn("succeeded"), "failed", "rejected", "no", T0 + 1).changed).toBe(false);
  });

  it("settles an ended job when its last output has ended, once", () => {
    const output = { transferId: "tr_1", path: "a", key: "a", when: "always" as const };
    expect(settle(jobIn("succeeded", { outputs: [{ ...output, status: "copying" }] }), T0).changed).toBe(false);
    const settled = settle(jobIn("succeeded", { outputs: [{ ...output, status: "failed" }] }), T0);
    expect(types(settled)).toEqual(["job.settled"]);
    expect(settle(settled.record, T0).changed).toBe(false);
    expect(settle(jobIn("running"), T0).changed).toBe(false);
  });

  it("knows which outputs are wanted after which end", () => {
    expect([
      isWanted("success", "succeeded"),
      isWanted("success", "failed"),
      isWanted("failure", "failed"),
      isWanted("failure", "succeeded"),
      isWanted("always", "cancelled"),
    ]).toEqual([true, false, true, false, true]);
  });

  it("shows no field that a job does not have", () => {
    const view = viewJob(jobIn("queued"), "c");
    expect(Object.values(view)).not.toContain(undefined);
    expect(view).toMatchObject({
      id: "job_01hqzx3k7m9ta01hqzx3k7m9ta",
      connection: "c",
      acceptedAt: new Date(T0).toISOString(),
    });
  });
});

describe("under shuffled, repeated, late and missing observations", () => {
  const anySeen = fc.record({
    state: fc.constantFrom("queued", "running", "succeeded", "failed", "cancelled", "unknown" as const),
    skeleton: fc.boolean(),
    revocable: fc.boolean(),
    elapsedSeconds: fc.option(fc.integer({ min: 0, max: 200 }), { nil: undefined }),
    waiting: fc.option(fc.constantFrom("PartitionTimeLimit", "JobHeldUser"), { nil: undefined }),
  });
  const anyLook = fc.record({
    seen: fc.option(anySeen, { nil: undefined }),
    delayMs: fc.integer({ min: -5_000, max: 700_000 }),
    lateMs: fc.integer({ min: 0, max: 20_000 }),
  });

  it("announces at most one end per run, and an older look never undoes a newer one", () => {
    fc.assert(
      fc.property(fc.array(anyLook, { maxLength: 60 }), (looks) => {
        let record = jobIn("submitting", { timeLimitSeconds: 100 });
        let now = T0;
        const ends = new Map<number, number>();
        const told: string[] = [];
        for (const { seen, delayMs, lateMs } of looks) {
          now += delayMs;
          const requestedAt = now - lateMs;
          const before = record;
          const step =
            seen === undefined
              ? notSeen(record, requestedAt, now)
              : observed(
                  record,
                  seenAs(seen.state, {
                    skeleton: seen.skeleton,
                    revocable: seen.revocable,
                    ...(seen.elapsedSeconds === undefined ? {} : { elapsedSeconds: seen.elapsedSeconds }),
                    ...(seen.waiting === undefined
                      ? {}
                      : { pendingReason: seen.waiting, waiting: { never: true, words: "It waits." } }),
                  }),
                  requestedAt,
                  now,
                );
          record = step.record;
          if (requestedAt < before.changedAt) expect(step.changed).toBe(false);
          for (const { type } of step.announce) {
            if (type === "job.succeeded" || type === "job.failed" || type === "job.cancelled")
              ends.set(record.run, (ends.get(record.run) ?? 0) + 1);
            told.push(type);
          }
          // Nothing is announced that is not on record, and what rests says why.
          if (!step.changed) expect(step.announce).toEqual([]);
          if (record.status === "lost") expect(record.reason).toBe("not_seen");
          if (record.status === "running") expect(record.reason).toBeUndefined();
          expect(record.run).toBeGreaterThanOrEqual(before.run);
        }
        for (const count of ends.values()) expect(count).toBe(1);
        // Each run after the first began with a requeue, each find followed a loss, each reason to wait was told once.
        const times = (type: string) => told.filter((one) => one === type).length;
        expect(times("job.requeued")).toBe(record.run - 1);
        expect(times("job.found")).toBeLessThanOrEqual(times("job.lost"));
        expect(times("job.warning")).toBeLessThanOrEqual(2);
        expect(times("job.walltime_warning")).toBeLessThanOrEqual(3 * record.run);
      }),
      { numRuns: 500 },
    );
  });

  it("comes to the same end whatever was repeated, and an answer that comes late changes nothing any more", () => {
    const path = fc.constantFrom<SeenJob["state"][]>(
      ["queued", "running", "succeeded"],
      ["queued", "queued", "failed"],
      ["running", "cancelled"],
    );
    fc.assert(
      fc.property(path, fc.array(fc.nat(4), { minLength: 3, maxLength: 3 }), fc.nat(2), (states, repeats, late) => {
        const run = (times: number[]) => {
          let record = jobIn("submitting");
          let now = T0;
          const announced: string[] = [];
          const step = (seen: SeenJob, requestedAt: number) => {
            const next = observed(record, seen, requestedAt, now);
            record = next.record;
            announced.push(...types(next));
          };
          states.forEach((state, n) => {
            for (let time = 0; time <= (times[n] ?? 0); time++) {
              now += SECOND_LOOK_MS;
              step(seenAs(state), now);
              // An answer to an older question arrives after a newer one.
              const older = states[Math.max(0, n - late)] ?? state;
              now += 1;
              step(seenAs(older), record.changedAt - 1);
            }
          });
          return { announced, status: record.status, run: record.run };
        };
        expect(run(repeats)).toEqual(run([]));
      }),
      { numRuns: 300 },
    );
  });
});
