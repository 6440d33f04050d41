/** One user's scheduler commands: sbatch, squeue, sacct, scontrol, scancel, with their words. */
import type { Files, Identity, JobRequest, JobRow, Jobs, Submitted } from "../host.ts";
import { ToolError } from "../host.ts";
import { isDependency } from "./dependencies.ts";
import { isFinal, type JobRecord, toRow } from "./records.ts";
import { arrayIndices, jobOptions, requireBatchScript, type SbatchOptions, timeLimitSeconds } from "./sbatch.ts";
import type { Scheduler } from "./scheduler.ts";

export interface UserJobsOptions {
  scheduler: Scheduler;
  identity: Identity;
  files: Files;
  /** Where jobs start that say nothing else. */
  home: string;
  /** Accounts the user may name; absent = any. */
  accounts?: readonly string[];
  /** For jobs that ask for none; absent = unlimited. */
  defaultTimeLimitSeconds?: number;
  attach(job: JobRecord, command: string): Promise<string>;
}

const INVALID_ID = "Invalid job id specified";

export function userJobs(options: UserJobsOptions): Jobs {
  const { scheduler, identity } = options;
  const { now } = scheduler.options;
  const uid = identity.user.id;

  /** Records behind an id as users write it: `12`, `12_3`, `12_[4-7]`. */
  const resolve = (id: string): JobRecord[] => {
    const [, base = "", index, list] = /^(\d+)(?:_(\d+)|_\[([0-9,-]+)(?:%\d+)?\])?$/.exec(id) ?? [];
    const elements = scheduler.arrayElements(Number(base));
    if (index !== undefined) return elements.filter(({ array }) => array?.index === Number(index));
    if (list !== undefined) {
      const wanted = new Set(arrayIndices(list).indices);
      return elements.filter(({ array }) => wanted.has(array?.index ?? -1));
    }
    if (elements.length > 0) return elements;
    const single = scheduler.job(Number(base));
    return single === undefined ? [] : [single];
  };

  const require = async (id: string, tool: string, say: (text: string) => string): Promise<JobRecord[]> => {
    await scheduler.settle();
    const found = resolve(id).filter((job) => scheduler.remembers(job));
    if (found.length === 0) throw new ToolError(tool, 1, say(INVALID_ID));
    if (uid !== 0 && found.some(({ user }) => user.id !== uid))
      throw new ToolError(tool, 1, say("Access/permission denied"));
    return found;
  };

  const change = async (verb: string, id: string, work: (job: JobRecord) => Promise<void> | void) => {
    for (const job of await require(id, "scontrol", (text) => `${text} for job ${id}`)) {
      if (verb !== "requeue" && isFinal(job.state))
        throw new ToolError("scontrol", 1, `Job has already finished for job ${id}`);
      await work(job);
    }
    await scheduler.settle();
  };

  return {
    async submit(request): Promise<Submitted> {
      const { text, path } = await readScript(options.files, request);
      requireBatchScript(text);
      const sbatch = jobOptions(text, request);
      const template = toRecord(options, request, sbatch, text, path);
      const { indices, limit } = sbatch.array === undefined ? { indices: [0] } : arrayIndices(sbatch.array);
      const base = scheduler.reserveIds(indices.length);
      for (const [position, index] of indices.entries()) {
        const job: JobRecord = { ...template, steps: [], id: base };
        if (sbatch.array !== undefined) {
          // Slurm gives the base id to the last element and new ids to those before it.
          job.id = position === indices.length - 1 ? base : base + position + 1;
          job.array = { base, index, indices, ...(limit === undefined ? {} : { limit }) };
        }
        await scheduler.options.executor.prepare(job, request);
        scheduler.save(job);
      }
      await scheduler.settle();
      return { jobId: String(base), warning: "" };
    },

    async queue({ ids, allUsers = false, name } = {}) {
      await scheduler.settle();
      if (ids?.length === 1 && ids[0] !== undefined) {
        const [id] = ids;
        if (!resolve(id).some((job) => scheduler.remembers(job))) {
          throw new ToolError("squeue", 1, `slurm_load_jobs error: ${INVALID_ID}`);
        }
      }
      const chosen = ids === undefined ? [...scheduler.jobs] : ids.flatMap(resolve);
      const visible = chosen.filter(
        (job) =>
          (allUsers || job.user.id === uid) && (name === undefined || job.name.toLowerCase() === name.toLowerCase()),
      );
      // Slurm shows waiting jobs before running ones.
      return asRows(visible, (job) => queueState(job, now()), scheduler).sort(
        (left, right) => rank(left) - rank(right),
      );
    },

    async accounting({ ids, since, until, allUsers = false, name } = {}) {
      await scheduler.settle();
      for (const id of ids ?? []) {
        if (!/^\d/.test(id)) throw new ToolError("sacct", 1, `sacct: fatal: Bad job/step specified: ${id}`);
      }
      const chosen =
        ids === undefined ? [...scheduler.jobs].filter((job) => allUsers || job.user.id === uid) : ids.flatMap(resolve);
      const inWindow = chosen.filter(
        (job) =>
          (name === undefined || job.name.toLowerCase() === name.toLowerCase()) &&
          (ids !== undefined || since === undefined || job.endedAt === undefined || job.endedAt >= since) &&
          (ids !== undefined || until === undefined || job.submittedAt < until),
      );
      return asRows(inWindow, (job) => job.state, scheduler);
    },

    async show(id) {
      await scheduler.settle();
      const found = resolve(id).filter((job) => scheduler.remembers(job));
      if (found.length === 0) throw new ToolError("scontrol", 1, `slurm_load_jobs error: ${INVALID_ID}`);
      return asRows(found, (job) => queueState(job, now()) ?? job.state, scheduler);
    },

    async cancel(id) {
      if (!/^\d+(?:_(?:\d+|\[[0-9,-]+(?:%\d+)?\]))?$/.test(id))
        throw new ToolError("scancel", 1, `scancel: error: Invalid job id ${id}`);
      const found = await require(id, "scancel", (text) => killError(id, text));
      // One that is being cancelled is completing: the scheduler says so instead of cancelling it again.
      const live = found.filter((job) => !isFinal(job.state) && job.killing?.cause !== "cancel");
      if (live.length === 0) {
        throw new ToolError("scancel", 1, killError(id, "Job/step already completing or completed"));
      }
      for (const job of live) await scheduler.cancel(job, uid);
      return `scancel: Terminating job ${id}`;
    },

    hold: (id) =>
      change("hold", id, (job) => {
        if (job.state !== "PENDING")
          throw new ToolError("scontrol", 1, `Job is no longer pending execution for job ${id}`);
        Object.assign(job, { held: true, reason: "JobHeldUser" });
        scheduler.save(job);
      }),

    release: (id) =>
      change("release", id, (job) => {
        Object.assign(job, { held: false, reason: "None" });
        scheduler.save(job);
      }),

    requeue: (id) => change("requeue", id, (job) => scheduler.requeue(job)),

    async attach(id, command) {
      const [job] = await require(id, "srun", () =>
        "srun: error: Unable to confirm allocation for job: Invalid job id specified");
      if (job?.state !== "RUNNING" || job.killing !== undefined) {
        const why =
          job === undefined || isFinal(job.state)
            ? INVALID_ID
            : job.killing === undefined
              ? "Job is pending execution"
              : "Job/step already completing or completed";
        throw new ToolError("srun", 1, `srun: error: Unable to confirm allocation for job ${id}: ${why}`);
      }
      const step = job.steps.length - 1;
      job.steps.push({
        id: `${job.id}.${step}`,
        name: command.split(/\s+/)[0] ?? "",
        state: "COMPLETED",
        exitCode: 0,
        signal: 0,
        startedAt: now(),
        endedAt: now(),
      });
      scheduler.save(job);
      return await options.attach(job, command);
    },
  };
}

function killError(id: string, text: string): string {
  return `scancel: Terminating job ${id}\nscancel: error: Kill job error on job id ${id}: ${text}`;
}

async function readScript(files: Files, request: JobRequest): Promise<{ text: string; path: string | undefined }> {
  if (typeof request.script === "string") return { text: request.script, path: undefined };
  const { path } = request.script;
  try {
    const { body } = await files.read(path);
    return { text: await new Response(body).text(), path };
  } catch (error) {
    if (!(error instanceof ToolError)) throw error;
    const text = error.stderr.endsWith("Is a directory") ? "Batch script is empty!" : `Unable to open file ${path}`;
    throw new ToolError("sbatch", 1, `sbatch: error: ${text}`);
  }
}

function toRecord(
  options: UserJobsOptions,
  request: JobRequest,
  sbatch: SbatchOptions,
  text: string,
  path: string | undefined,
): JobRecord {
  const { machine, now, startDelayMs } = options.scheduler.options;
  const failed = (reason: string) =>
    new ToolError("sbatch", 1, `sbatch: error: Batch job submission failed: ${reason}`);
  const [defaultPartition] = machine.partitions;
  const partition = sbatch.partition ?? defaultPartition?.name ?? "";
  if (!partition.split(",").some((name) => machine.partitions.some((known) => known.name === name))) {
    throw new ToolError(
      "sbatch",
      1,
      `sbatch: error: invalid partition specified: ${partition}\n${failed("Invalid partition name specified").stderr}`,
    );
  }
  const account = sbatch.account ?? options.identity.group.name;
  if (options.accounts !== undefined && !options.accounts.includes(account)) {
    throw failed("Invalid account or account/partition combination specified");
  }
  if (sbatch.reservation !== undefined) throw failed("Requested reservation is invalid");
  if (sbatch.constraint !== undefined && !machine.features.includes(sbatch.constraint))
    throw failed("Invalid feature specification");
  if (sbatch.dependency !== undefined && !isDependency(sbatch.dependency)) throw failed("Job dependency problem");
  const limit = sbatch.time === undefined ? options.defaultTimeLimitSeconds : timeLimitSeconds(sbatch.time);
  const tasks = positive(sbatch.tasks);
  const cpus = tasks * positive(sbatch.cpusPerTask);
  if (cpus > machine.cpus) throw failed("Requested node configuration is not available");
  const isArray = sbatch.array !== undefined;
  const directory = request.workingDirectory ?? options.home;
  const submittedAt = now();
  return {
    id: 0,
    name: sbatch.name ?? (path === undefined ? "sbatch" : path.slice(path.lastIndexOf("/") + 1)),
    user: options.identity.user,
    group: options.identity.group,
    account,
    partition,
    reservation: "",
    state: "PENDING",
    reason: "None",
    held: sbatch.hold === true,
    exitCode: 0,
    signal: 0,
    submittedAt,
    eligibleAt: submittedAt + Math.max(startDelayMs, beginDelayMs(sbatch.begin)),
    ...(limit === undefined ? {} : { timeLimitSeconds: limit }),
    nodeCount: positive(sbatch.nodes),
    tasks,
    cpus,
    // The script's own --chdir counts unless the command line had one.
    workingDirectory: request.workingDirectory === undefined ? absolute(sbatch.chdir, directory) : directory,
    command: path ?? "",
    scriptText: text,
    input: sbatch.input ?? "/dev/null",
    output: sbatch.output ?? (isArray ? "slurm-%A_%a.out" : "slurm-%j.out"),
    error: sbatch.error ?? "",
    appendOutput: sbatch.appendOutput === true,
    export: sbatch.export ?? "",
    dependency: sbatch.dependency ?? "",
    restarts: 0,
    steps: [],
  };
}

function absolute(path: string | undefined, directory: string): string {
  if (path === undefined) return directory;
  return path.startsWith("/") ? path : `${directory}/${path}`;
}

function positive(text: string | undefined): number {
  const number = Number.parseInt(text ?? "1", 10);
  return Number.isNaN(number) || number < 1 ? 1 : number;
}

/** `now+1hour`, `now+90`, `now+5minutes`; anything else starts at once. */
function beginDelayMs(text: string | undefined): number {
  const [, count = "0", unit = "s"] = /^now\+(\d+)\s*([a-z]?)/.exec(text ?? "") ?? [];
  const seconds: Record<string, number> = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 };
  return Number(count) * (seconds[unit] ?? 1) * 1000;
}

function queueState(job: JobRecord, now: number): JobRow["state"] | undefined {
  if (!isFinal(job.state)) return job.killing === undefined ? job.state : "COMPLETING";
  return job.completingUntil !== undefined && job.completingUntil > now ? "COMPLETING" : undefined;
}

function rank(row: JobRow): number {
  return row.state === "PENDING" ? 0 : 1;
}

/** Rows of jobs, with the waiting elements of each array in one row. `stateOf` undefined = not shown. */
function asRows(
  jobs: JobRecord[],
  stateOf: (job: JobRecord) => JobRow["state"] | undefined,
  scheduler: Scheduler,
): JobRow[] {
  const { machine, now } = scheduler.options;
  const rows: JobRow[] = [];
  const waiting = new Map<number, JobRecord[]>();
  for (const job of new Set(jobs)) {
    const state = stateOf(job);
    if (state === undefined) continue;
    const rest =
      job.array !== undefined &&
      job.startedAt === undefined &&
      (job.state === "PENDING" || job.state === "CANCELLED") &&
      job.restarts === 0;
    if (!rest || job.array === undefined) rows.push({ ...toRow(job, machine, now()), state });
    else waiting.set(job.array.base, [...(waiting.get(job.array.base) ?? []), job]);
  }
  for (const elements of waiting.values()) {
    for (const state of ["PENDING", "CANCELLED"] as const) {
      const same = elements.filter((job) => job.state === state);
      const [first] = same;
      if (first !== undefined)
        rows.push(
          toRow(
            first,
            machine,
            now(),
            same.map(({ array }) => array?.index ?? 0),
          ),
        );
    }
  }
  return rows;
}
