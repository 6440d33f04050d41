/** The environment of a batch job: a clean login-like one, what `--export` adds, and Slurm's own variables. */
import { expandPath, type JobRecord, type Machine } from "./records.ts";

export interface Account {
  home: string;
  /** Directories for `PATH`, the first one wins. */
  path: string;
  shell: string;
}

/**
 * Variables of a job. Nothing of the server's own environment is in it.
 *
 * `--export`: `ALL` (the default) and `NONE` decide about the login-like part, `NAME=value` items are added; items are
 * split at commas, whatever a value may have meant.
 */
export function jobEnvironment(job: JobRecord, machine: Machine, account: Account): Record<string, string> {
  const login = {
    HOME: account.home,
    USER: job.user.name,
    LOGNAME: job.user.name,
    SHELL: account.shell,
    LANG: "C.UTF-8",
  };
  const items = (job.export === "" ? "ALL" : job.export).split(",").filter((item) => item !== "");
  const wantsLogin = items.includes("ALL");
  const added = items
    .filter((item) => item.includes("="))
    .map((item) => [item.slice(0, item.indexOf("=")), item.slice(item.indexOf("=") + 1)]);
  return {
    PATH: account.path,
    HOME: account.home,
    ...(wantsLogin ? login : {}),
    ...Object.fromEntries(added),
    ...slurmVariables(job, machine),
  };
}

function slurmVariables(job: JobRecord, machine: Machine): Record<string, string> {
  const variables: Record<string, string | number> = {
    SLURM_JOB_ID: job.id,
    SLURM_JOBID: job.id,
    SLURM_JOB_NAME: job.name,
    SLURM_JOB_USER: job.user.name,
    SLURM_JOB_UID: job.user.id,
    SLURM_JOB_GID: job.group.id,
    SLURM_JOB_ACCOUNT: job.account,
    SLURM_JOB_PARTITION: job.partition,
    SLURM_JOB_NODELIST: machine.nodeName,
    SLURM_NODELIST: machine.nodeName,
    SLURMD_NODENAME: machine.nodeName,
    SLURM_SUBMIT_HOST: machine.nodeName,
    SLURM_JOB_NUM_NODES: job.nodeCount,
    SLURM_NNODES: job.nodeCount,
    SLURM_NTASKS: job.tasks,
    SLURM_NPROCS: job.tasks,
    SLURM_CPUS_ON_NODE: job.cpus,
    SLURM_JOB_CPUS_PER_NODE: job.cpus,
    SLURM_CPUS_PER_TASK: Math.max(1, Math.floor(job.cpus / job.tasks)),
    SLURM_CLUSTER_NAME: machine.clusterName,
    SLURM_SUBMIT_DIR: job.workingDirectory,
    SLURM_RESTART_COUNT: job.restarts,
    SLURM_PROCID: 0,
    SLURM_LOCALID: 0,
    SLURM_NODEID: 0,
    SLURM_JOB_STDOUT: expandPath(job.output, job, machine.nodeName),
  };
  if (job.timeLimitSeconds !== undefined && job.startedAt !== undefined) {
    variables.SLURM_JOB_START_TIME = Math.floor(job.startedAt / 1000);
    variables.SLURM_JOB_END_TIME = Math.floor(job.startedAt / 1000) + job.timeLimitSeconds;
  }
  if (job.array !== undefined) {
    const { base, index, indices } = job.array;
    Object.assign(variables, {
      SLURM_ARRAY_JOB_ID: base,
      SLURM_ARRAY_TASK_ID: index,
      SLURM_ARRAY_TASK_COUNT: indices.length,
      SLURM_ARRAY_TASK_MIN: indices[0],
      SLURM_ARRAY_TASK_MAX: indices.at(-1),
    });
  }
  return Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, String(value)]));
}
