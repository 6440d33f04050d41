/** One user's jobs on a real Slurm: each operation is the command that FirecREST would run. */
import { type JobRequest, type JobRow, type Jobs, ToolError } from "../host.ts";
import { readJobs } from "./slurm-blocks.ts";
import { ACCOUNTING_FORMAT, QUEUE_FORMAT, readAccounting, readQueue } from "./slurm-columns.ts";
import type { SlurmCommand } from "./slurm-commands.ts";

const ATTACH_LIMIT_MS = 5_000;

/** `run` runs as that user. */
export function slurmJobs(run: SlurmCommand, user: string): Jobs {
  const change = (verb: string) => async (id: string) => void (await run("scontrol", [verb, id]));

  return {
    async submit(request) {
      const { script } = request;
      const [args, stdin] = typeof script === "string" ? [[], script] : [["--", script.path], ""];
      const { stdout, stderr } = await run("sbatch", ["--parsable", ...options(request), ...args], { stdin });
      const jobId = stdout.trim().split(";")[0] ?? "";
      if (!/^\d+$/.test(jobId)) throw new ToolError("sbatch", 1, stderr || stdout.trim());
      return { jobId, warning: stderr };
    },

    async queue({ ids, allUsers = false, name } = {}) {
      const { stdout } = await run("squeue", [
        "--noheader",
        `--format=${QUEUE_FORMAT}`,
        ...(ids === undefined ? [] : [`--jobs=${ids.join(",")}`]),
        ...(allUsers ? [] : [`--user=${user}`]),
        ...(name === undefined ? [] : [`--name=${name}`]),
      ]);
      const rows = readQueue(stdout);
      return rows.length === 0 ? rows : withFiles(rows, readJobs((await run("scontrol", ["show", "job"])).stdout));
    },

    async accounting({ ids, since, until, allUsers = false, name } = {}) {
      const { stdout } = await run("sacct", [
        "--noheader",
        ...ACCOUNTING_FORMAT,
        ...(ids === undefined ? [] : [`--jobs=${ids.join(",")}`]),
        ...(since === undefined || ids !== undefined ? [] : [`--starttime=${epoch(since)}`]),
        ...(until === undefined || ids !== undefined ? [] : [`--endtime=${epoch(until)}`]),
        ...(ids === undefined && !allUsers ? [`--user=${user}`] : ["--allusers"]),
        ...(name === undefined ? [] : [`--name=${name}`]),
      ]);
      return readAccounting(stdout);
    },

    async show(id) {
      const rows = readJobs((await run("scontrol", ["show", "job", id])).stdout);
      const scriptText = rows.some((row) => row.user.name === user) ? await scriptOf(run, id) : "";
      return rows.map((row) => ({ ...row, scriptText }));
    },

    async cancel(id) {
      // It ends with 0 although it could not: only its words tell.
      const { stderr } = await run("scancel", ["--verbose", id]);
      if (stderr.includes("scancel: error:")) throw new ToolError("scancel", 0, stderr);
      return stderr;
    },

    hold: change("hold"),
    release: change("release"),
    requeue: change("requeue"),

    async attach(id, command) {
      const args = [`--jobid=${id}`, "--overlap", "--ntasks=1", "/bin/bash", "-c", command];
      return (await run("srun", args, { limitMs: ATTACH_LIMIT_MS })).stdout;
    },
  };
}

function options(request: JobRequest): string[] {
  const given: Record<string, string | undefined> = {
    chdir: request.workingDirectory,
    "job-name": request.name,
    account: request.account,
    partition: request.partition,
    reservation: request.reservation,
    constraint: request.constraint,
    time: request.time,
    input: request.input,
    output: request.output,
    error: request.error,
    export: request.export,
    dependency: request.dependency,
    array: request.array,
  };
  const valued = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}=${value}`]));
  return request.hold === true ? [...valued, "--hold"] : valued;
}

/** Paths of the script and the logs, which the queue does not tell. */
function withFiles(rows: JobRow[], shown: JobRow[]): JobRow[] {
  const byId = new Map(shown.map((row) => [row.jobId, row]));
  return rows.map((row) => {
    const known = byId.get(row.jobId);
    if (known === undefined) return row;
    const { workingDirectory, command, standardInput, standardOutput, standardError, restarts } = known;
    return { ...row, workingDirectory, command, standardInput, standardOutput, standardError, restarts };
  });
}

/** Empty once the controller has dropped it. */
async function scriptOf(run: SlurmCommand, id: string): Promise<string> {
  try {
    return (await run("scontrol", ["write", "batch_script", id, "-"])).stdout;
  } catch (error) {
    if (error instanceof ToolError) return "";
    throw error;
  }
}

const epoch = (at: number): string => `uts${Math.floor(at / 1000)}`;
