/** Job rows on the wire, and how the server merges what accounting and queue say. */
import type { JobRow } from "../host.ts";

const seconds = (ms: number | undefined): number | null => (ms === undefined ? null : Math.floor(ms / 1000));

export interface WireJob {
  jobId: string | number;
  name: string;
  status: { state: string; stateReason: string | null; exitCode: number | null; interruptSignal: number | null };
  [field: string]: unknown;
}

export function accountingJob(row: JobRow, cluster: string): WireJob {
  const state = row.cancelledBy === undefined ? row.state : `CANCELLED by ${row.cancelledBy}`;
  return {
    jobId: row.jobId,
    name: row.name,
    status: { state, stateReason: row.reason, exitCode: row.exitCode, interruptSignal: row.signal },
    tasks: row.steps.map((step) => ({
      id: step.id,
      name: step.name,
      status: { state: step.state, stateReason: null, exitCode: step.exitCode, interruptSignal: step.signal },
      time: {
        elapsed: Math.floor(((step.endedAt ?? step.startedAt) - step.startedAt) / 1000),
        start: seconds(step.startedAt),
        end: seconds(step.endedAt),
        suspended: 0,
        limit: null,
      },
    })),
    time: {
      elapsed: row.elapsedSeconds,
      start: seconds(row.startedAt),
      end: seconds(row.endedAt),
      suspended: 0,
      limit: row.timeLimitSeconds ?? null,
    },
    ...common(row, cluster),
    nodes: row.nodeList === "" ? "None assigned" : row.nodeList,
  };
}

/** Squeue knows no exit code; each array element has the plain number of its own. */
export function queueJob(row: JobRow, cluster: string): WireJob {
  return {
    jobId: row.plainId,
    name: row.name,
    status: { state: row.state, stateReason: row.reason, exitCode: null, interruptSignal: null },
    tasks: [],
    time: {
      elapsed: row.elapsedSeconds,
      start: seconds(row.startedAt),
      end: null,
      suspended: null,
      limit: row.timeLimitSeconds ?? null,
    },
    ...common(row, cluster),
    nodes: row.nodeList,
  };
}

const common = (row: JobRow, cluster: string) => ({
  account: row.account,
  allocationNodes: row.nodeCount,
  cluster,
  group: row.group.name,
  partition: row.partition,
  killRequestUser: null,
  user: row.user.name,
  workingDirectory: row.workingDirectory,
  priority: row.priority,
});

/** Accounting first. The queue adds ids that are unknown so far, and replaces a row where it says PENDING. */
export function mergeJobs(accounting: readonly WireJob[], queue: readonly WireJob[]): WireJob[] {
  const merged = new Map(accounting.map((job) => [String(job.jobId), job]));
  for (const job of queue) {
    const id = String(job.jobId);
    if (!merged.has(id) || job.status.state === "PENDING") merged.set(id, job);
  }
  return [...merged.values()];
}
