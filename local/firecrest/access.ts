/** How a request gets to a machine: by a system's name, as a user, through the faults that are in force. */
import type { Faults, Occasion } from "./faults.ts";
import { type Host, type JobRow, type Jobs, type Seat, ToolError } from "./host.ts";
import type { Site } from "./site.ts";

/** No system of this name. */
export class UnknownSystemError extends Error {
  override readonly name = "UnknownSystemError";
}

/** Exit codes of an SSH connection that could not be made, as FirecREST has them. */
export const NO_ROUTE = 113;
export const REFUSED = 111;

/** The machine behind a name, reachable or not. Throws `UnknownSystemError`. */
export function hostOf(site: Site, system: string): Host {
  const host = site.systems.get(system);
  if (host === undefined) throw new UnknownSystemError(system);
  return host;
}

/** The machine behind a name. Throws `UnknownSystemError`, or `ToolError` (`ssh`) where it cannot be reached. */
export function reach(site: Site, system: string, occasion: Occasion): Host {
  const host = hostOf(site, system);
  const fault = site.faults.strike(
    "system_unavailable",
    occasion,
    (candidate) => (candidate.system ?? system) === system,
  );
  if (fault?.how === "refused") throw new ToolError("ssh", REFUSED, "Connection refused");
  if (fault !== undefined) throw new ToolError("ssh", NO_ROUTE, "Machine is not available");
  return host;
}

/** A user's seat on a system. Throws like `reach`, and `ToolError` (`ssh`) for a user the machine does not have. */
export async function enter(site: Site, system: string, user: string, occasion: Occasion): Promise<Seat> {
  const host = reach(site, system, occasion);
  const seat = await host.as(user);
  return { ...seat, jobs: faultyJobs(seat.jobs, host, site.faults, occasion) };
}

const NO_CONTROLLER = "Unable to contact slurm controller (connect failure)";

/** Scheduler commands, with the faults `scheduler_down` and `young_accounting`. */
function faultyJobs(jobs: Jobs, host: Host, faults: Faults, occasion: Occasion): Jobs {
  const requireUp = (part: "controller" | "accounting", tool: string, stderr: string) => {
    if (faults.strike("scheduler_down", occasion, (fault) => fault.part === part) !== undefined)
      throw new ToolError(tool, 1, stderr);
  };
  const requireController = (tool: string, prefix: string) =>
    requireUp("controller", tool, `${prefix}: ${NO_CONTROLLER}`);
  return {
    ...jobs,
    submit: async (request) => {
      requireController("sbatch", "sbatch: error: Batch job submission failed");
      return await jobs.submit(request);
    },
    queue: async (query) => {
      requireController("squeue", "slurm_load_jobs error");
      return await jobs.queue(query);
    },
    show: async (id) => {
      requireController("scontrol", "slurm_load_jobs error");
      return await jobs.show(id);
    },
    cancel: async (id) => {
      requireController("scancel", `scancel: error: Kill job error on job id ${id}`);
      return await jobs.cancel(id);
    },
    accounting: async (query) => {
      requireUp("accounting", "sacct", "sacct: error: Problem talking to the database: Connection refused");
      const rows = await jobs.accounting(query);
      const fault = faults.strike("young_accounting", occasion);
      if (fault === undefined) return rows;
      const isYoung = (row: JobRow) => host.now() - row.submittedAt < fault.youngerThanMs;
      return fault.rows === "missing"
        ? rows.filter((row) => !isYoung(row))
        : rows.map((row) => (isYoung(row) ? skeletonOf(row) : row));
    },
  };
}

/** A row as slurmdbd has it before it knows the job. */
function skeletonOf(row: JobRow): JobRow {
  const { startedAt: _start, endedAt: _end, timeLimitSeconds: _limit, ...rest } = row;
  return {
    ...rest,
    name: "allocation",
    group: { name: "root", id: 0 },
    partition: "",
    state: "PENDING",
    reason: "None",
    exitCode: 0,
    signal: 0,
    elapsedSeconds: 0,
    nodeCount: 0,
    nodeList: "",
    workingDirectory: "",
    priority: 0,
    steps: [],
  };
}
