/** Submitting, cancelling and what is done beside a job: J1, J4–J6. */
import { FirecrestError } from "../errors.ts";
import type { Submission, SubmitResult } from "../port.ts";
import type { Calls } from "./call.ts";
import { safePath } from "./guard.ts";
import { OPERATIONS } from "./operations.ts";

/** Elements of arrays and parts of jobs have ids that the server takes for no id. */
function requireAddressable(schedulerId: string): void {
  if (/^[A-Za-z0-9]+$/.test(schedulerId)) return;
  throw new FirecrestError(`FirecREST v2 cannot address the job id ${schedulerId}`, {
    code: "not_supported",
    retry: "never",
  });
}

/** Scancel's and qdel's words for "there is nothing left to cancel". */
const ALREADY_OVER =
  /Invalid job id specified|already completing or completed|Unknown Job Id|Job has finished|Request invalid for state of job/i;

/**
 * Never resent inside. The working directory is made first, since a job without one fails before its first line; an
 * error from there is never `after_check`, as nothing was submitted.
 */
export async function submitJob(calls: Calls, job: Submission & { workingDirectory: string }): Promise<SubmitResult> {
  const { system, workingDirectory } = job;
  safePath("working_directory", workingDirectory);
  if (job.scriptPath !== undefined) safePath("submit_path", job.scriptPath);
  await makeDirectory(calls, system, workingDirectory);
  const schedulerId = await calls.call(OPERATIONS.J1_submit, {
    system,
    json: {
      job: {
        workingDirectory,
        name: job.name,
        account: job.account,
        env: job.env,
        ...(job.scriptPath === undefined ? { script: job.script } : { scriptPath: job.scriptPath }),
      },
    },
  });
  return { outcome: "submitted", schedulerId, workingDirectory };
}

async function makeDirectory(calls: Calls, system: string, path: string): Promise<void> {
  try {
    await calls.call(OPERATIONS.F9_mkdir, { system, json: { path, parent: true } });
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    // The file operations know fewer directories than the scheduler does: whether this one exists, the job will tell.
    if (error.code === "invalid_path") return;
    throw error.retry === "after_check" ? repeatable(error) : error;
  }
}

/** The same error of something that may be done twice. */
export const repeatable = (error: FirecrestError): FirecrestError =>
  new FirecrestError(error.message, {
    code: error.code,
    retry: "later",
    cause: error,
    ...(error.httpStatus === undefined ? {} : { httpStatus: error.httpStatus }),
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    ...(error.requestId === undefined ? {} : { requestId: error.requestId }),
  });

export async function cancelJob(calls: Calls, system: string, schedulerId: string): Promise<"requested" | "over"> {
  requireAddressable(schedulerId);
  try {
    await calls.call(OPERATIONS.J6_cancel, { system, id: schedulerId });
    return "requested";
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    if (ALREADY_OVER.test(error.message)) return "over";
    // Cancelling twice does no harm.
    throw error.retry === "after_check" ? repeatable(error) : error;
  }
}

/** Srun's words when the command itself did not end with 0. */
const COMMAND_ENDED = /Exited with exit code (\d+)/;

/**
 * The server hands the command to the login node's shell as it is: in single quotes for a shell of its own, all of it runs
 * beside the job, and nothing on the login node. What it prints goes where the server does not look: so the error text of an
 * answer is srun's alone.
 */
export async function attachToJob(
  calls: Calls,
  system: string,
  schedulerId: string,
  command: string,
): Promise<{ exitCode: number }> {
  requireAddressable(schedulerId);
  try {
    const quoted = `bash -c 'exec 2>&1; ${command.replaceAll("'", `'\\''`)}'`;
    await calls.call(OPERATIONS.J5_attach, { system, id: schedulerId, json: { command: quoted } });
    return { exitCode: 0 };
  } catch (error) {
    const ended = error instanceof FirecrestError ? COMMAND_ENDED.exec(error.message)?.[1] : undefined;
    if (ended === undefined) throw error;
    return { exitCode: Number(ended) };
  }
}

/**
 * From the controller's memory of the job, which ends minutes after the job does. PBS names the two files the wrong way
 * round.
 */
export async function readOutputPaths(
  calls: Calls,
  system: string,
  schedulerId: string,
  isPbs: () => Promise<boolean>,
): Promise<{ stdoutPath?: string; stderrPath?: string }> {
  try {
    const rows = await calls.call(OPERATIONS.J4_metadata, { system, id: /^[A-Za-z0-9]*/.exec(schedulerId)?.[0] ?? "" });
    const { stdoutPath, stderrPath } = rows.find((row) => row.jobId === schedulerId) ?? rows[0] ?? {};
    const [output, error] = (await isPbs()) ? [stderrPath, stdoutPath] : [stdoutPath, stderrPath];
    return {
      ...(output === undefined ? {} : { stdoutPath: output }),
      ...(error === undefined ? {} : { stderrPath: error }),
    };
  } catch (error) {
    if (error instanceof FirecrestError && ["not_found", "not_supported"].includes(error.code)) return {};
    throw error;
  }
}
