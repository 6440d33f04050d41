/** A job is one row, and a row of the Tracker's database holds 2 MB: what would not fit is refused before it is a row. */
import type { FieldProblem } from "../../shared/contract/rpc.ts";
import { utf8Bytes } from "../../shared/contract/words.ts";
import type { JobRecord } from "../../shared/domain/job.ts";
import type { TransferRecord } from "../../shared/domain/transfer.ts";

/** As it is stored; the rest is left for what becomes known of the job later. */
export const JOB_MAX_BYTES = 1_800_000;

const sizeOf = (value: unknown): number => (value === undefined ? 0 : utf8Bytes(JSON.stringify(value)));

/** Names the part of a job that takes the most, where all parts together are too large. */
export function sizeProblems(job: JobRecord, uploads: readonly TransferRecord[]): FieldProblem[] {
  // The job's own list of them, as it will be.
  const listed = uploads.map(({ id, path, status }) => ({ transferId: id, path, status }));
  const bytes = sizeOf({ ...job, inputs: listed });
  if (bytes <= JOB_MAX_BYTES) return [];
  const { script, env, inputs, outputs, callbacks } = job.request ?? {};
  const parts = {
    script: sizeOf(script),
    env: sizeOf(env),
    inputs: sizeOf(inputs) + sizeOf(listed) + sizeOf(job.sealedUrls),
    outputs: sizeOf(outputs) + sizeOf(job.outputs),
    callbacks: sizeOf(callbacks),
  };
  const [largest] = Object.entries(parts).toSorted(([, a], [, b]) => b - a);
  if (largest === undefined) return [];
  const message = `takes ${largest[1]} of the ${bytes} bytes that this job has as it is stored, which may be at most ${JOB_MAX_BYTES}; a long script can be uploaded and named by scriptPath`;
  return [{ field: `/${largest[0]}`, message }];
}
