import type { Job } from "../contract/job.ts";
import { compact, type JobRecord } from "./job.ts";

const time = (ms: number): string => new Date(ms).toISOString();

/** The job as everybody sees it. */
export function viewJob(record: JobRecord, connection: string): Job {
  return compact<Job>({
    id: record.id,
    connection,
    system: record.system,
    status: record.status,
    reason: record.reason,
    detail: record.detail,
    schedulerId: record.schedulerId,
    schedulerState: record.schedulerState,
    exitCode: record.exitCode,
    signal: record.signal,
    run: record.run,
    name: record.name,
    labels: record.labels,
    acceptedAt: time(record.acceptedAt),
    submittedAt: record.submittedAt === undefined ? undefined : time(record.submittedAt),
    startedAt: record.startedAt === undefined ? undefined : time(record.startedAt),
    endedAt: record.endedAt === undefined ? undefined : time(record.endedAt),
    settledAt: record.settledAt === undefined ? undefined : time(record.settledAt),
    timeLimitSeconds: record.timeLimitSeconds,
    array: record.array,
    watched: record.watched,
    inputs: record.inputs?.map(({ transferId, path, status }) => ({ transferId, path, status })),
    operation: record.operation,
    outputs: record.outputs.map(({ transferId, path, key, status }) => ({ transferId, path, key, status })),
    warnings: record.warnings,
  });
}
