/**
 * The life of a file operation that the site runs as a job. It is a job to everybody, but its scheduler's word is no proof:
 * such jobs end COMPLETED when they failed. So its end comes from what its logs and the files show, not from a poll round.
 */
import type { FileOperation } from "../contract/file.ts";
import { endedByUs, type JobRecord, type Step, submitted } from "./job.ts";

/** What a look at the operation showed: the port's `HandleState`, as far as decisions need it. */
export type SeenOperation =
  | { state: "working"; schedulerState?: string; job?: OperationJob }
  | { state: "done"; warning?: string }
  | { state: "failed"; message: string; schedulerState?: string }
  /** The site has forgotten it. */
  | { state: "gone" };

/** The site's job that carries the operation. */
export interface OperationJob {
  schedulerId: string;
  stdoutPath?: string;
  stderrPath?: string;
}

/** States in which the job's commands run. */
const RUNNING = new Set(["RUNNING", "COMPLETING"]);

export function operationSeen(record: JobRecord, seen: SeenOperation, now: number): Step {
  switch (seen.state) {
    case "working":
      return working(record, seen, now);
    case "done":
      return succeeded(record, seen.warning, now);
    case "failed":
      return failed(record, seen, now);
    case "gone":
      return endedByUs(
        record,
        "failed",
        "outcome_unknown",
        unknownOutcome("The site forgot the operation", record),
        now,
      );
  }
}

function working(record: JobRecord, seen: Extract<SeenOperation, { state: "working" }>, now: number): Step {
  const taken =
    record.schedulerId === undefined && seen.job !== undefined ? submitted(record, seen.job, now) : undefined;
  const base = taken?.record ?? record;
  const word = seen.schedulerState;
  if (word === undefined || !RUNNING.has(word) || base.status !== "queued")
    return taken ?? { record, announce: [], changed: false };
  return {
    record: { ...base, status: "running", schedulerState: word, startedAt: now, changedAt: now },
    announce: [...(taken?.announce ?? []), { type: "job.running" }],
    changed: true,
  };
}

function succeeded(record: JobRecord, warning: string | undefined, now: number): Step {
  if (record.status === "succeeded" || record.status === "failed" || record.status === "cancelled")
    return { record, announce: [], changed: false };
  const warnings = warning === undefined ? [] : [{ code: "not_checked", message: warning }];
  return {
    record: {
      ...record,
      status: "succeeded",
      endedAt: now,
      changedAt: now,
      warnings: [...record.warnings, ...warnings],
    },
    announce: [{ type: "job.succeeded" }],
    changed: true,
  };
}

function failed(record: JobRecord, seen: Extract<SeenOperation, { state: "failed" }>, now: number): Step {
  const known: JobRecord =
    seen.schedulerState === undefined ? record : { ...record, schedulerState: seen.schedulerState };
  if (seen.schedulerState === "CANCELLED") {
    const reason = record.cancelRequestedAt === undefined ? "cancelled_by_scheduler" : "cancelled_by_request";
    return endedByUs(known, "cancelled", reason, seen.message, now);
  }
  // The tool's exit code, as it were: its job's own is 0 whatever happened.
  return endedByUs(known, "failed", "exit_code", seen.message, now);
}

/** For a person, who has to look: nobody else can know. */
export function unknownOutcome(what: string, { operation }: Pick<JobRecord, "operation">): string {
  const places = [operation?.from, operation?.to, operation?.path].filter((path) => path !== undefined).join(" and ");
  return `${what}: it may have happened, wholly or in part. Look at ${places} before you repeat it.`;
}

/** Looks after an operation whose start got no answer, in ms after it was sent. */
export const LOOKS_AFTER_MS = [30_000, 120_000, 600_000] as const;

/**
 * Whether the files prove that an operation has happened. Only a move and a removal leave something that nothing else
 * leaves: a copy or an archive may have been there before.
 */
export function provenBy(operation: FileOperation, isThere: { from?: boolean; to?: boolean; path?: boolean }): boolean {
  if (operation.op === "move") return isThere.from === false && isThere.to === true;
  return operation.op === "remove" && isThere.path === false;
}
