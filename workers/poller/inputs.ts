/**
 * Inputs of a job: uploads of their own, on their machine before the job is submitted. The job waits in `staging_in`; one
 * input that fails ends it, and the end of the job ends them.
 */
import type { JobRequest } from "../../shared/contract/job.ts";
import type { FieldProblem } from "../../shared/contract/rpc.ts";
import { isEndedJob, isEndedTransfer } from "../../shared/contract/states.ts";
import { endedByUs, type JobRecord } from "../../shared/domain/job.ts";
import { moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import { targetOf } from "../../shared/domain/upload.ts";
import { resolvePath } from "../../shared/firecrest/paths.ts";
import { newTransfer } from "./accept.ts";
import { type EffectRecord, effectsOf, move, plan, withdraw } from "./effects.ts";
import type { House } from "./house.ts";
import { applyJob, jobRecord, saveJob } from "./jobs.ts";
import { applyTransfer, failTransfer, insertTransfer, isKeyTaken, transferRecord } from "./transfers.ts";
import { startUpload } from "./uploads.ts";

/** The uploads that a job's inputs become, with whole paths as far as they are known. */
export function inputsOf(
  house: House,
  actor: string,
  job: Pick<JobRecord, "id" | "system" | "acceptedAt">,
  { inputs = [], workingDirectory, account }: JobRequest,
): TransferRecord[] {
  return inputs.map(({ key, url, path, overwrite }) => {
    const resolved = resolvePath(workingDirectory, path);
    return {
      ...newTransfer(house.id("tr"), { name: actor }, job.acceptedAt),
      warnings: [],
      jobId: job.id,
      direction: "upload",
      system: job.system,
      path: resolved.ok ? resolved.path : path,
      key: key ?? "",
      overwrite: overwrite ?? false,
      waiting: true,
      ...(url === undefined ? {} : { url }),
      ...(account === undefined ? {} : { account }),
    };
  });
}

/** Inputs that aim at the file of another upload that has not ended, or of each other. */
export function inputConflicts(house: House, inputs: readonly TransferRecord[]): FieldProblem[] {
  const targets = inputs.map(targetOf);
  return targets.flatMap((target, n) =>
    isKeyTaken(house, target) || targets.indexOf(target) !== n
      ? [{ field: `/inputs/${n}/path`, message: "is the target of another upload that has not ended" }]
      : [],
  );
}

/** The job's first step: its inputs, in a directory that is made for them where they need one, or its submission. */
export function beginJob(house: House, job: JobRecord, inputs: readonly TransferRecord[]): void {
  if (inputs.length === 0) {
    plan(house, "submit", job.id);
    return;
  }
  for (const input of inputs) insertTransfer(house, input);
  const staging: JobRecord = {
    ...job,
    status: "staging_in",
    inputs: inputs.map(({ id, path, status }) => ({ transferId: id, path, status })),
  };
  saveJob(house, staging);
  if (inputs.some(({ path }) => !path.startsWith("/"))) plan(house, "prepare", job.id);
  else for (const input of inputs) startUpload(house, input);
}

/** The directory of a job that named none is there: its inputs know where they go. */
export function directoryReady(house: House, record: EffectRecord, workingDirectory: string): void {
  move(house, record, "done");
  const job = jobRecord(house, record.subject);
  if (job?.status !== "staging_in") return;
  saveJob(house, { ...job, workingDirectory });
  for (const { transferId } of job.inputs ?? []) {
    const input = transferRecord(house, transferId);
    if (input?.waiting !== true) continue;
    const resolved = resolvePath(workingDirectory, input.path);
    if (resolved.ok) startUpload(house, { ...input, path: resolved.path });
    else failTransfer(house, input, "invalid_path", `The path ${resolved.message}.`);
  }
}

export function notPrepared(house: House, record: EffectRecord, detail: string): void {
  const job = jobRecord(house, record.subject);
  if (job?.status === "staging_in") failStageIn(house, job, `A directory for the inputs could not be made: ${detail}`);
}

/** An input has ended: the last one that is there lets the job go on, the first one that is not ends it. */
export function inputEnded(house: House, input: TransferRecord): void {
  const before = jobRecord(house, input.jobId ?? "");
  if (before?.inputs === undefined) return;
  const inputs = before.inputs.map((one) =>
    one.transferId === input.id ? { ...one, path: input.path, status: input.status } : one,
  );
  const job: JobRecord = { ...before, inputs, changedAt: house.now() };
  saveJob(house, job);
  if (job.status !== "staging_in") return;
  if (input.status !== "stored") {
    const why = input.status === "cancelled" ? "it was cancelled" : (input.detail ?? input.reason ?? "it failed");
    failStageIn(house, job, `The input ${input.path} is not there: ${why}`);
  } else if (inputs.every(({ status }) => status === "stored")) plan(house, "submit", job.id);
}

function failStageIn(house: House, job: JobRecord, detail: string): void {
  applyJob(house, endedByUs(job, "failed", "stage_in_failed", detail, house.now()));
  cancelInputs(house, job.id, "The job has failed before it was submitted.");
}

/** A job that has ended before its submission wants no inputs any more. */
export function cancelInputs(house: House, jobId: string, detail: string): void {
  withdraw(house, jobId);
  for (const { transferId } of jobRecord(house, jobId)?.inputs ?? []) {
    const input = transferRecord(house, transferId);
    if (input === undefined || isEndedTransfer(input.status)) continue;
    applyTransfer(house, moved(input, "cancelled", house.now(), { reason: "job_ended", detail }));
  }
}

/** Whether a job can still end without the site hearing of it: nothing was submitted, its inputs are on their way. */
export const isStagingIn = (house: House, { id, status }: JobRecord): boolean =>
  !isEndedJob(status) && status === "staging_in" && !effectsOf(house, id).some(({ kind }) => kind === "submit");
