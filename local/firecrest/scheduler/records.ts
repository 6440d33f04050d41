/** What the scheduler remembers of a job, and how users see it. */
import type { JobRow, JobState, JobStep, NamedId } from "../host.ts";

/** One job or one element of an array. Plain JSON: it is kept in the store. */
export interface JobRecord {
  /** SLURM_JOB_ID. */
  id: number;
  array?: { base: number; index: number; indices: number[]; limit?: number };
  name: string;
  user: NamedId;
  group: NamedId;
  account: string;
  partition: string;
  reservation: string;
  state: JobState;
  reason: string;
  held: boolean;
  cancelledBy?: number;
  exitCode: number;
  signal: number;
  submittedAt: number;
  /** Not started before this moment. */
  eligibleAt: number;
  startedAt?: number;
  endedAt?: number;
  /** Shown as COMPLETING in the queue until then. */
  completingUntil?: number;
  timeLimitSeconds?: number;
  nodeCount: number;
  tasks: number;
  cpus: number;
  workingDirectory: string;
  command: string;
  scriptText: string;
  /** Patterns, unexpanded. */
  input: string;
  output: string;
  error: string;
  appendOutput: boolean;
  /** Text after `--export=`. */
  export: string;
  dependency: string;
  restarts: number;
  steps: JobStep[];
  /** Why it is being killed. */
  killing?: { cause: "cancel" | "requeue" };
  /** The executor's own note (process id, plan). */
  run?: unknown;
}

/** What the machine is called and shaped like. */
export interface Machine {
  clusterName: string;
  nodeName: string;
  cpus: number;
  memoryMiB: number;
  partitions: readonly { name: string; hidden?: boolean }[];
  features: readonly string[];
}

const FINAL = new Set<JobState>([
  "COMPLETED",
  "FAILED",
  "TIMEOUT",
  "CANCELLED",
  "NODE_FAIL",
  "OUT_OF_MEMORY",
  "PREEMPTED",
  "DEADLINE",
  "BOOT_FAIL",
]);

export function isFinal(state: JobState): boolean {
  return FINAL.has(state);
}

function displayId(job: JobRecord): string {
  return job.array === undefined ? String(job.id) : `${job.array.base}_${job.array.index}`;
}

/** Slurm's placeholder for "no element yet". */
const NO_INDEX = 4_294_967_294;

/** Fills `%j %A %a %x %u %N %n %t %J %s %%` (with a width: `%3a`), and makes the path absolute. */
export function expandPath(pattern: string, job: JobRecord, nodeName: string, index = job.array?.index): string {
  const values: Record<string, string> = {
    j: String(job.id),
    J: String(job.id),
    A: String(job.array?.base ?? job.id),
    a: String(job.array === undefined ? NO_INDEX : (index ?? NO_INDEX)),
    x: job.name,
    u: job.user.name,
    N: nodeName,
    n: "0",
    t: "0",
    s: "batch",
    "%": "%",
  };
  const filled = pattern.replace(/%(\d*)([a-zA-Z%])/g, (all, width: string, letter: string) => {
    const value = values[letter];
    return value === undefined ? all : value.padStart(Number(width), "0");
  });
  return filled.startsWith("/") ? filled : `${job.workingDirectory.replace(/\/+$/, "")}/${filled}`;
}

/** `1-3,7` */
function rangeText(indices: number[]): string {
  const ranges: [number, number][] = [];
  for (const index of indices) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === index - 1) last[1] = index;
    else ranges.push([index, index]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(",");
}

/** A row of one record, or of the waiting rest of an array (`waiting`: their indices). */
export function toRow(job: JobRecord, machine: Machine, now: number, waiting?: number[]): JobRow {
  const started = job.startedAt;
  const rest = waiting !== undefined && job.array !== undefined;
  const limit = job.array?.limit === undefined ? "" : `%${job.array.limit}`;
  const path = (pattern: string) => expandPath(pattern, job, machine.nodeName, rest ? NO_INDEX : job.array?.index);
  return {
    jobId: rest ? `${job.array?.base}_[${rangeText(waiting)}${limit}]` : displayId(job),
    plainId: String(rest ? job.array?.base : job.id),
    ...(job.array === undefined ? {} : { arrayId: String(job.array.base) }),
    name: job.name,
    user: job.user,
    group: job.group,
    account: job.account,
    partition: job.partition,
    reservation: job.reservation,
    state: job.state,
    ...(job.cancelledBy === undefined ? {} : { cancelledBy: job.cancelledBy }),
    reason: job.reason,
    exitCode: job.exitCode,
    signal: job.signal,
    submittedAt: job.submittedAt,
    ...(started === undefined ? {} : { startedAt: started }),
    ...(job.endedAt === undefined ? {} : { endedAt: job.endedAt }),
    ...(job.timeLimitSeconds === undefined ? {} : { timeLimitSeconds: job.timeLimitSeconds }),
    elapsedSeconds: started === undefined ? 0 : Math.max(0, Math.floor(((job.endedAt ?? now) - started) / 1000)),
    nodeCount: job.nodeCount,
    nodeList: started === undefined ? "" : machine.nodeName,
    cpus: job.cpus,
    priority: 1,
    workingDirectory: job.workingDirectory,
    command: job.command,
    scriptText: job.scriptText,
    standardInput: path(job.input),
    standardOutput: path(job.output),
    standardError: path(job.error === "" ? job.output : job.error),
    restarts: job.restarts,
    steps: job.steps,
  };
}
