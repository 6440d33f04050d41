/** Submitting a job the way v1 does, and what it tells about it. */
import { type Host, type JobRequest, type Seat, ToolError } from "../host.ts";
import { requireSignable } from "./task-runner.ts";

const TAIL_BYTES = "1000";

type ScriptSource =
  /** A text, to be put into a directory made for it. */
  | { directory: string; name: string; script: string }
  /** A script on the machine; it runs in its own directory. */
  | { path: string };

export type Submission = ScriptSource & {
  account?: string;
  export?: string;
  withoutShell?: JobRequest["withoutShell"];
};

/** Where the script of a task goes, and its default output: `<base>/<user>/firecrest/<task>`. */
export function submitDirectory(host: Host, seat: Seat, taskId: string): string {
  return `${host.fileSystems[0]?.path ?? ""}/${seat.identity.user.name}/firecrest/${taskId}`;
}

/** Throws `ToolError` with sbatch's text. */
export async function submitJob(seat: Seat, submission: Submission): Promise<Record<string, string>> {
  if (submission.export !== undefined) requireSignable(submission.export);
  const path = "path" in submission ? submission.path : `${submission.directory}/${submission.name}`;
  if ("script" in submission) {
    try {
      await seat.files.mkdir(submission.directory, { parents: true });
      await seat.files.write(path, new TextEncoder().encode(submission.script));
    } catch (error) {
      if (error instanceof ToolError) throw new ToolError("sbatch", 1, "Failed to upload file");
      throw error;
    }
  }
  const { jobId } = await seat.jobs.submit({
    script: { path },
    workingDirectory: path.slice(0, path.lastIndexOf("/")) || "/",
    ...(submission.account === undefined ? {} : { account: submission.account }),
    ...(submission.export === undefined ? {} : { export: submission.export }),
    ...(submission.withoutShell === undefined ? {} : { withoutShell: submission.withoutShell }),
  });
  return { jobid: jobId, result: "Job submitted", ...(await jobInfo(seat, jobId, path)) };
}

/** The look-up after a submission. An array has no output path of its own yet. */
async function jobInfo(seat: Seat, jobId: string, path: string): Promise<Record<string, string>> {
  try {
    const rows = await seat.jobs.show(jobId);
    const row = rows.find((candidate) => candidate.jobId.includes("[")) ?? rows[0];
    return {
      job_file: path,
      job_file_out: row?.standardOutput ?? "stdout-file-not-found",
      job_file_err: row?.standardError ?? "stderr-file-not-found",
      job_data_out: "",
      job_data_err: "",
      job_info_extra: "Job info returned successfully",
    };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    return { job_file_out: "Not available", job_file_err: "Not available", job_info_extra: error.stderr };
  }
}

/** The last 1000 bytes of a log without their very last character; empty where they cannot be read as text. */
export async function tailText(seat: Seat, path: string): Promise<string> {
  try {
    const bytes = await seat.files.tail(path, { bytes: TAIL_BYTES });
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes).slice(0, -1);
  } catch (error) {
    if (error instanceof ToolError || error instanceof TypeError) return "";
    throw error;
  }
}
