import { describe, expect, it } from "vitest";
import type { Event } from "../contract/event.ts";
import type { Job } from "../contract/job.ts";
import { JOB_REASONS, JOB_STATUSES, TRANSFER_STATUSES } from "../contract/states.ts";
import type { Transfer } from "../contract/transfer.ts";
import { eventMessage, transferMessage } from "./about.ts";
import { actionsOf, type JobExtras, jobMessage, suggestion } from "./about-job.ts";
import { duration, ranges, size, slurmTime } from "./words.ts";

const job = (facts: Partial<Job>): Job => ({
  id: "job_01jd8x0f3q8y2k5v7n9r4t6wzb",
  connection: "cscs-hpc",
  system: "daint",
  status: "running",
  run: 1,
  name: "simulate",
  schedulerId: "4821",
  acceptedAt: "2026-11-22T11:58:00.000Z",
  startedAt: "2026-11-22T12:00:00.000Z",
  timeLimitSeconds: 3600,
  outputs: [],
  warnings: [],
  ...facts,
});
const ended = (facts: Partial<Job>): Job => job({ status: "failed", endedAt: "2026-11-22T13:00:05.000Z", ...facts });
const fact = (facts: { label: string; value: string }[], label: string) =>
  facts.find((one) => one.label === label)?.value;

describe("a job's message", () => {
  it("says for a time limit how much was used, why it ended, and what to ask for next time", () => {
    const message = jobMessage(ended({ reason: "timeout", schedulerState: "TIMEOUT", exitCode: 0 }));
    expect(message.title).toBe("simulate on daint ran out of time");
    expect(message.tone).toBe("bad");
    expect(fact(message.facts, "Time")).toBe("1 h of 1 h");
    expect(message.next).toContain("--time=02:00:00");
  });

  it("never suggests more than the partition allows", () => {
    const timeout = ended({ reason: "timeout" });
    expect(suggestion(timeout, { limits: { timeLimitSeconds: 5400 } })).toEqual({ timeLimitSeconds: 5400 });
    expect(suggestion(timeout, { limits: { timeLimitSeconds: 3600 } })).toEqual({});
    expect(jobMessage(timeout, { limits: { timeLimitSeconds: 3600 } }).next).toContain("all that its partition allows");
    const memory = ended({ reason: "out_of_memory" });
    expect(jobMessage(memory, { memoryMiB: 4096 }).next).toContain("--mem=8192M");
    expect(jobMessage(memory).next).toContain("more memory");
  });

  it("explains exit codes and signals that mean something", () => {
    const text = (facts: Partial<Job>) => jobMessage(ended({ reason: "exit_code", ...facts })).text;
    expect(text({ exitCode: 127 })).toContain("a command was not found");
    expect(text({ exitCode: 137 })).toContain("signal 9");
    expect(jobMessage(ended({ reason: "timeout", exitCode: 0 })).facts.map(({ label }) => label)).not.toContain(
      "Exit code",
    );
    expect(text({ exitCode: 3 })).toBe("It ended with exit code 3.");
    expect(text({ signal: 11 })).toContain("SEGV");
  });

  it("is one for an array, with counts, the elements that failed, and how to run just these again", () => {
    const array = {
      total: 100,
      succeeded: 96,
      failed: 4,
      cancelled: 0,
      running: 0,
      queued: 0,
      failedIndices: [19, 3, 17, 18],
    };
    const message = jobMessage(ended({ array, reason: "exit_code", exitCode: 1 }));
    expect(message.title).toBe("simulate on daint: 4 of 100 failed");
    expect(fact(message.facts, "Array of 100")).toBe("96 succeeded, 4 failed");
    expect(fact(message.facts, "Failed elements")).toBe("3,17-19");
    expect(message.next).toContain("--array=3,17-19");
  });

  it("does not say that a lost job failed, and warns before a second submission of one that may be there", () => {
    expect(jobMessage(job({ status: "lost", reason: "not_seen" })).tone).toBe("warning");
    expect(jobMessage(ended({ reason: "outcome_unknown" })).next).toContain("may run twice");
  });

  it("tells of time that runs out while there is time", () => {
    const warning = jobMessage(job({}), { percent: 90 });
    expect(warning.title).toBe("simulate on daint has used 90 % of its time");
    expect(fact(warning.facts, "Ends by")).toBe("2026-11-22 13:00 UTC");
  });

  it("says what a waiting job waits for in vain, and says it once", () => {
    const warning = {
      code: "never_starts",
      message: "It asks for more time than any of its partition (PartitionTimeLimit)",
    };
    const { startedAt: _, ...waiting } = job({ status: "queued", warnings: [warning] });
    const message = jobMessage(waiting, { warning });
    expect(message).toMatchObject({
      title: "simulate on daint can never start",
      tone: "warning",
      text: warning.message,
    });
    expect(message.facts.map(({ label }) => label)).not.toContain("Note");
    expect(message.next).toContain("Cancel it");
    expect(jobMessage(waiting).facts.map(({ label }) => label)).toContain("Note");
  });

  it("has the buttons that its state allows, and none without a value for them", () => {
    const values = { cancel: "c", resubmit: "r", more: "m", logs: "l", fetch: "f" };
    const actions = (one: Job, extras: JobExtras = { values }) =>
      jobMessage(one, extras).buttons?.map(({ action }) => action);
    expect(actions(job({}))).toEqual(["logs", "cancel"]);
    expect(actions(ended({}))).toEqual(["resubmit", "logs"]);
    expect(actions(job({}), {})).toBeUndefined();
    const timeout = ended({ reason: "timeout" });
    expect(actions(timeout)).toEqual(["more", "resubmit", "logs"]);
    expect(jobMessage(timeout, { values }).buttons?.[0]?.label).toBe("Resubmit with 2 h");
    expect(actions(timeout, { values, limits: { timeLimitSeconds: 3600 } })).toEqual(["resubmit", "logs"]);
    const memory = ended({ reason: "out_of_memory" });
    expect(actions(memory)).toEqual(["resubmit", "logs"]);
    expect(jobMessage(memory, { values, memoryMiB: 65_536 }).buttons?.[0]?.label).toBe("Resubmit with 128 GiB");
    expect(actionsOf({ ...timeout, watched: true })).toEqual(["logs"]);
    expect(actionsOf(job({ watched: true }))).toEqual(["logs"]);
    const { startedAt: _, ...waiting } = job({ status: "queued" });
    expect(actionsOf(waiting)).toEqual(["cancel"]);
  });

  it("exists for every status and every reason", () => {
    for (const status of JOB_STATUSES) {
      for (const reason of [undefined, ...JOB_REASONS]) {
        const { title, tone } = jobMessage(job({ status, ...(reason === undefined ? {} : { reason }) }));
        expect(title.startsWith("simulate on daint ")).toBe(true);
        expect(tone).not.toBe("");
      }
    }
  });
});

describe("other messages", () => {
  const transfer: Transfer = {
    id: "tr_01jd8x0f3q8y2k5v7n9r4t6wzb",
    connection: "cscs-hpc",
    direction: "download",
    system: "daint",
    path: "/scratch/out.nc",
    key: "runs/42/out.nc",
    status: "stored",
    totalBytes: 5_000_000_000,
    proof: "hash",
    link: { state: "released" },
    acceptedAt: "2026-11-22T12:00:00.000Z",
    warnings: [],
  };

  it("say what was copied, how it was compared, and that the staged copy is gone", () => {
    const { title, facts } = transferMessage(transfer);
    expect(title).toBe("out.nc is stored");
    expect(facts).toContainEqual({ label: "Size", value: "4.7 GiB" });
    expect(facts).toContainEqual({ label: "Staged copy", value: "released" });
    for (const status of TRANSFER_STATUSES) expect(transferMessage({ ...transfer, status }).title).toContain("out.nc");
  });

  it("never show a receiver's address, which may be a secret", () => {
    const event: Event = {
      id: "evt_01jd8x0f3q8y2k5v7n9r4t6wzb",
      type: "callback.disabled",
      timestamp: "2026-11-22T12:00:00.000Z",
      sequence: 7,
      subject: "subscriptions/sub_01jd8x0f3q8y2k5v7n9r4t6wzb",
      data: {
        subscription: "sub_01jd8x0f3q8y2k5v7n9r4t6wzb",
        url: "https://hooks.example/secret",
        reason: "It is gone.",
      },
    };
    expect(JSON.stringify(eventMessage(event))).not.toContain("hooks.example");
    expect(eventMessage(event).text).toBe("It is gone.");
  });
});

describe("numbers", () => {
  it("are read as people and sbatch read them", () => {
    expect([0, 59, 61, 3600, 5400, 90_000, 86_400].map(duration)).toEqual([
      "0 s",
      "59 s",
      "1 min 1 s",
      "1 h",
      "1 h 30 min",
      "1 d 1 h",
      "1 d",
    ]);
    expect([61, 7200, 93_600].map(slurmTime)).toEqual(["00:02:00", "02:00:00", "1-02:00:00"]);
    expect([0, 512, 1536, 5_368_709_120].map(size)).toEqual(["0 B", "512 B", "1.5 KiB", "5 GiB"]);
    expect(ranges([5, 1, 2, 3, 9, 9])).toBe("1-3,5,9");
  });
});
