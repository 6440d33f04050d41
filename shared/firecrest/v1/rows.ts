/**
 * From v1's rows to what they prove. v1's dates are the site's local time without zone, so none is used: the start of a
 * running job is "now minus elapsed", and of an ended one only how long it ran is told.
 */
import { given } from "../decode.ts";
import { asUnproven, observeParts, type Part } from "../parts.ts";
import type { JobObservation } from "../port.ts";
import { parseRowId } from "../row-id.ts";
import { isEnd, slurmState } from "../states.ts";
import { neverStarts } from "../waiting.ts";
import type { AccountingRow, QueueRow } from "./wire.ts";

/** `at`: when the request left. */
export function observeQueueRow(row: QueueRow, at: number): Part {
  const { state, schedulerState, reason, revocable } = slurmState(row.state);
  const stuck = state === "queued" && row.pendingReason !== undefined && neverStarts(row.pendingReason);
  const limited = row.elapsedSeconds !== undefined && row.remainingSeconds !== undefined;
  const id = parseRowId(row.id);
  return {
    id,
    seen: {
      schedulerId: id.base,
      state,
      schedulerState,
      revocable,
      skeleton: false,
      ...given({
        name: row.name,
        reason: stuck ? ("never_starts" as const) : reason,
        pendingReason: state === "queued" ? row.pendingReason : undefined,
        ...(state === "running" ? runningFor(row.elapsedSeconds, at) : {}),
        timeLimitSeconds: limited ? (row.elapsedSeconds ?? 0) + (row.remainingSeconds ?? 0) : undefined,
        nodes: row.nodes,
        workingDirectory: row.workingDirectory,
        stdoutPath: row.stdoutPath,
        stderrPath: row.stderrPath,
      }),
    },
  };
}

export function observeAccountingRow(row: AccountingRow, at: number): Part {
  const { state, schedulerState, reason, revocable } = slurmState(row.state, row.exit);
  const id = parseRowId(row.id);
  const ended = isEnd(state);
  const seen: JobObservation = {
    schedulerId: id.base,
    state,
    schedulerState,
    revocable,
    skeleton: row.skeleton,
    ...given({
      name: row.name,
      reason,
      ...(ended ? row.exit : {}),
      ...(state === "running" ? runningFor(row.elapsedSeconds, at) : {}),
      elapsedSeconds: ended || state === "running" ? row.elapsedSeconds : undefined,
      nodes: row.nodes,
    }),
  };
  return { id, seen: row.skeleton ? asUnproven(seen) : seen };
}

const runningFor = (elapsedSeconds: number | undefined, at: number) =>
  elapsedSeconds === undefined ? {} : { elapsedSeconds, startedAt: at - elapsedSeconds * 1_000 };

/** What one job's own rows show; see `mergeSources`. */
export interface Sources {
  accounting: Part[];
  /** Undefined where the queue was not asked about this job, or did not answer. */
  queue?: Part[];
}

export type Verdict = JobObservation | "not_seen" | "unread";

/**
 * Accounting lags behind the queue by seconds and the queue forgets a job at its end, so: an end is believed where
 * accounting has it, life where the queue has it, and a contradiction proves nothing.
 */
export function mergeSources(
  job: { schedulerId: string; arraySize?: number; wasRunning: boolean },
  from: Sources,
): Verdict {
  const { accounting, queue } = from;
  const observe = (parts: Part[]) => observeParts(job.schedulerId, parts, job.arraySize);
  if (!needsQueue(accounting)) return observe(accounting) ?? "unread";
  if (queue === undefined) {
    // Without the queue a waiting job is believed to wait, unless it ran before: then accounting is only late.
    const believable = accounting.length > 0 && !job.wasRunning;
    return believable ? (observe(accounting) ?? "unread") : "unread";
  }
  if (queue.length > 0) return observe([...accounting.filter(({ seen }) => isEnd(seen.state)), ...queue]) ?? "unread";
  if (accounting.length === 0) return "not_seen";
  return accounting.every(({ seen }) => seen.skeleton) ? (observe(accounting) ?? "unread") : "unread";
}

/** Whether accounting alone does not tell how a job is: it lacks the job, or shows it waiting. */
export const needsQueue = (accounting: readonly Part[]): boolean =>
  accounting.length === 0 ||
  accounting.some(({ seen }) => seen.skeleton || seen.state === "queued" || seen.state === "unknown");
