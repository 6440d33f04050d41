/**
 * What the rows of J2 and J3 prove about one job. Pure. Accounting and queue disagree for seconds, so nothing here ends a
 * job on a row that does not know the job yet, on a part of an array, or while any row of it lives.
 */

import { asUnproven, observeParts } from "../parts.ts";
import type { JobObservation } from "../port.ts";
import { parseRowId } from "../row-id.ts";
import { isEnd, pbsState, type StateMeaning, slurmState } from "../states.ts";
import { neverStarts } from "../waiting.ts";
import type { JobRow } from "./job-row.ts";
import { given } from "./read.ts";

/** Accounting has heard of the id, but not yet of name, partition and directory (up to about 3 s after the start). */
export const isSkeleton = (row: JobRow): boolean =>
  (row.name === undefined || row.name === "allocation") &&
  row.workingDirectory === undefined &&
  row.partition === undefined;

/**
 * A submission that sbatch refused can leave a FAILED row: nothing was allocated, nothing ran. It is the trace of a
 * refusal, not a job.
 */
export const isRefusalTrace = (row: JobRow): boolean =>
  row.states[0]?.toUpperCase() === "FAILED" &&
  row.exitCode === 1 &&
  row.stepStates.length === 0 &&
  row.nodes === undefined &&
  (row.elapsedSeconds ?? 0) === 0;

/**
 * One job from all rows that belong to it. `arraySize`: elements that the submitted spec implies.
 * Undefined where there are no rows.
 */
export function observeJob(
  schedulerId: string,
  rows: readonly JobRow[],
  arraySize?: number,
): JobObservation | undefined {
  const parts = newestOfEach(rows).map((row) => ({ id: parseRowId(row.id), seen: observeRow(row) }));
  return observeParts(schedulerId, parts, arraySize);
}

/** One row by itself. */
export function observeRow(row: JobRow): JobObservation {
  const meaning = meaningOf(row);
  const skeleton = isSkeleton(row);
  const ended = isEnd(meaning.state);
  const started = ended || meaning.state === "running";
  const pendingReason = meaning.state === "queued" ? row.stateReason : undefined;
  const reason = pendingReason !== undefined && neverStarts(pendingReason) ? "never_starts" : meaning.reason;
  const observation: JobObservation = {
    schedulerId: parseRowId(row.id).base,
    state: meaning.state,
    schedulerState: meaning.schedulerState,
    skeleton,
    revocable: meaning.revocable,
    ...given({
      name: skeleton ? undefined : row.name,
      reason,
      pendingReason,
      exitCode: ended ? row.exitCode : undefined,
      signal: ended && row.signal !== undefined && row.signal > 0 ? row.signal : undefined,
      // A waiting job's times are forecasts, or those of the run before.
      startedAt: started ? row.startedAt : undefined,
      endedAt: ended ? row.endedAt : undefined,
      elapsedSeconds: started ? row.elapsedSeconds : undefined,
      timeLimitSeconds: row.timeLimitSeconds,
      nodes: started ? row.nodes : undefined,
      workingDirectory: row.workingDirectory,
    }),
  };
  return skeleton && ended ? asUnproven(observation) : observation;
}

function meaningOf(row: JobRow): StateMeaning {
  const word = stateWord(row);
  if (/^[A-Z]$/i.test(word)) return pbsState(word, row.exitCode);
  const meaning = slurmState(word, given({ exitCode: row.exitCode, signal: row.signal }));
  // Accounting says PENDING for seconds after the batch step began.
  if (meaning.state === "queued" && row.stepStates.some((step) => slurmState(step).state === "running")) {
    return slurmState("RUNNING");
  }
  return meaning;
}

/** Slurm's REST interface adds flags to the base state: `COMPLETED, COMPLETING` has not ended, `NODE_FAIL, REQUEUED` neither. */
function stateWord({ states }: JobRow): string {
  const lives = (word: string) => ["queued", "running"].includes(slurmState(word).state);
  return states.find(lives) ?? states[0] ?? "";
}

/** A requeued job, or a number that was used again, has several rows under one id: the one that lives, else the last. */
function newestOfEach(rows: readonly JobRow[]): JobRow[] {
  const newest = new Map<string, JobRow>();
  for (const row of rows) {
    const other = newest.get(row.id);
    if (other === undefined || isNewer(row, other)) newest.set(row.id, row);
  }
  return [...newest.values()];
}

function isNewer(row: JobRow, other: JobRow): boolean {
  const lives = !isEnd(meaningOf(row).state);
  if (lives !== !isEnd(meaningOf(other).state)) return lives;
  return (row.startedAt ?? row.endedAt ?? 0) >= (other.startedAt ?? other.endedAt ?? 0);
}
