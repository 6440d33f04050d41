/** J1–J6. */
import type { JobRow } from "../host.ts";
import { ToolError } from "../host.ts";
import { type Call, type Handler, nothing, ok, queryOf, requireHealthy } from "./context.ts";
import { ApiError, invalid, running, slurmError, slurmReadError, unhandled } from "./errors.ts";
import { Input, readJson } from "./input.ts";
import { accountingJob, mergeJobs, queueJob, type WireJob } from "./job-json.ts";
import { hasIntegerIds } from "./options.ts";

const HOUR_MS = 3_600_000;
const WINDOWS = { "1h": 1, "8h": 8, "24h": 24, "3d": 72, "7d": 168 } as const;
const ID_PATTERN = /^[a-z0-9]+$/i;
const INVALID_ID = "Invalid job id specified";

function requireId({ id }: Call): void {
  if (ID_PATTERN.test(id)) return;
  throw invalid([{ location: "path", name: "job_id", message: "String should match pattern '^[a-zA-Z0-9]+$'" }]);
}

/** Older servers gave ids as numbers. */
export const idOnWire = (call: Call, jobId: string): string | number =>
  hasIntegerIds(call.options) && /^\d+$/.test(jobId) ? Number(jobId) : jobId;

export const submit: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  const body = await readJson(call);
  if (typeof body.job !== "object" || body.job === null) {
    throw invalid([{ location: "body", name: "job", message: "Field required" }]);
  }
  const input = new Input("body", body.job as Record<string, unknown>, () => "job");
  const scriptPath = input.optionalText("scriptPath");
  const script = input.optionalText("script", false);
  const workingDirectory = input.text(
    input.has("current_working_directory") ? "current_working_directory" : "workingDirectory",
  );
  const env = environment(input);
  const optional = (name: string) => input.optionalText(name);
  const request = {
    name: optional("name"),
    account: optional("account"),
    partition: optional("partition"),
    reservation: optional("reservation"),
    constraint: optional("constraints"),
    input: optional("standardInput"),
    output: optional("standardOutput"),
    error: optional("standardError"),
  };
  input.done();
  if (scriptPath === undefined && (script === undefined || script === "")) {
    // Sbatch waits for a script on its stdin until its time is over.
    throw new ApiError(408, "Command execution timeout limit exceeded.");
  }
  const { jobId } = await running(slurmError, () =>
    call.seat.jobs.submit({
      script: scriptPath === undefined ? (script ?? "") : { path: scriptPath },
      workingDirectory,
      export: ["ALL", ...Object.entries(env).map(([name, value]) => `${name}=${value}`)].join(","),
      ...Object.fromEntries(Object.entries(request).filter(([, value]) => value !== undefined)),
    }),
  );
  if (call.options.hiddenLooks > 0) call.site.store.set(`v2/hidden/${call.system}/${jobId}`, call.options.hiddenLooks);
  return ok({ jobId: idOnWire(call, jobId) }, 201);
};

function environment(input: Input): Record<string, string> {
  const env = input.raw("env") ?? input.raw("environment") ?? { F7T_version: "v2.0.0" };
  if (Array.isArray(env)) throw unhandled(`"'list' object has no attribute 'items'"`);
  for (const value of Object.values(env as object)) {
    if (typeof value === "string") continue;
    input.fail("env", "Input should be a valid string");
    input.fail("env", "Input should be a valid list");
  }
  return env as Record<string, string>;
}

export const list: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  const input = new Input("query", queryOf(call));
  const allUsers = input.flag("allusers");
  const account = input.optionalText("account") || undefined;
  const name = input.optionalText("name") || undefined;
  const window = input.oneOf("time_window", Object.keys(WINDOWS) as (keyof typeof WINDOWS)[], "24h");
  if (name !== undefined && name.length > 235) input.fail("name", "String should have at most 235 characters");
  input.done();
  const since = call.host.now() - WINDOWS[window] * HOUR_MS;
  const wanted = (job: WireJob) =>
    (account === undefined || job.account === account) &&
    (name === undefined || name.toLowerCase().split(",").includes(job.name.toLowerCase()));
  const jobs = await readMerged(
    call,
    () => call.seat.jobs.accounting({ since, allUsers }),
    () => call.seat.jobs.queue({ allUsers }),
  );
  return ok({ jobs: jobs.filter(wanted) });
};

export const get: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  requireId(call);
  if (takeHiddenLook(call)) throw new ApiError(404, "Job not found.");
  const ids = [call.id];
  const jobs = await readMerged(
    call,
    () => orNone(() => call.seat.jobs.accounting({ ids })),
    () => orNone(() => call.seat.jobs.queue({ ids, allUsers: true })),
  );
  if (jobs.length === 0) throw new ApiError(404, "Job not found.");
  return ok({ jobs });
};

function takeHiddenLook({ site, system, id }: Call): boolean {
  const key = `v2/hidden/${system}/${id}`;
  const left = site.store.get<number>(key) ?? 0;
  if (left > 1) site.store.set(key, left - 1);
  else site.store.delete(key);
  return left > 0;
}

async function orNone(read: () => Promise<JobRow[]>): Promise<JobRow[]> {
  try {
    return await read();
  } catch (error) {
    if (error instanceof ToolError && error.stderr.includes(INVALID_ID)) return [];
    throw error;
  }
}

async function readMerged(
  call: Call,
  accounting: () => Promise<JobRow[]>,
  queue: () => Promise<JobRow[]>,
): Promise<WireJob[]> {
  const [known, waiting] = await running(slurmReadError, async () => [await accounting(), await queue()] as const);
  const jobs = mergeJobs(
    known.map((row) => accountingJob(row, call.system)),
    waiting.map((row) => queueJob(row, call.system)),
  );
  return jobs.map((job) => ({ ...job, jobId: idOnWire(call, String(job.jobId)) }));
}

export const metadata: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  requireId(call);
  let rows: JobRow[];
  try {
    rows = await call.seat.jobs.show(call.id);
  } catch (error) {
    if (error instanceof ToolError) throw new ApiError(404, "Job not found.");
    throw error;
  }
  // Of an array, only the element that has the base id is shown.
  const row = rows.find(({ plainId }) => plainId === call.id) ?? rows[0];
  if (row === undefined) throw new ApiError(404, "Job not found.");
  const own = row.user.name === call.user;
  return ok({
    jobs: [
      {
        jobId: idOnWire(call, call.id),
        script: own ? row.scriptText : "",
        standardInput: row.standardInput,
        standardOutput: row.standardOutput,
        standardError: row.standardError,
      },
    ],
  });
};

export const attach: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  requireId(call);
  const body = await readJson(call);
  const { command } = body;
  if (typeof command !== "string") throw unhandled("'sequence item 3: expected str instance, NoneType found'");
  await running(attachError(call.id), async () => {
    if (command === "") throw new ToolError("srun", 1, "srun: fatal: No command given to execute.");
    await call.seat.jobs.attach(call.id, command);
  });
  return nothing;
};

const attachError = (id: string) => (error: ToolError) => {
  if (error.exitCode === 124) return new ApiError(408, "Command execution timeout limit exceeded.");
  if (!error.stderr.includes("Unable to confirm allocation")) return slurmError(error);
  const why = error.stderr.slice(error.stderr.lastIndexOf(": ") + 2);
  const advice = `srun: Check SLURM_JOB_ID environment variable. Expired or invalid job ${id}`;
  return slurmError(
    new ToolError("srun", 1, `srun: error: Unable to confirm allocation for job ${id}: ${why}\n${advice}`),
  );
};

export const cancel: Handler = async (call) => {
  requireHealthy(call, ["scheduler", "ssh"]);
  requireId(call);
  await running(cancelError, () => call.seat.jobs.cancel(call.id));
  return nothing;
};

/** Scancel ends with 0 when there was nothing to do. */
const cancelError = (error: ToolError) => {
  if (!error.stderr.includes("Kill job error")) return slurmError(error);
  return slurmError(new ToolError("scancel", error.stderr.includes("permission denied") ? 210 : 0, error.stderr));
};
