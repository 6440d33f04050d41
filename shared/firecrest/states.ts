/**
 * What a scheduler's words mean. One table for Slurm and one for PBS, shared by v1 (Slurm only) and v2.
 * Words are compared whole: `OUT_OF_MEMORY` holds an `F`, `CONFIGURING` does not end.
 */
import type { JobReason } from "../contract/states.ts";
import type { JobObservation } from "./port.ts";

export interface StateMeaning {
  state: JobObservation["state"];
  /** First token, upper case, without a trailing `+`. */
  schedulerState: string;
  /** For ends only. */
  reason?: JobReason;
  /** An end that the scheduler may take back. */
  revocable: boolean;
}

export interface Exit {
  exitCode?: number;
  signal?: number;
}

type Meaning = Omit<StateMeaning, "schedulerState">;

const queued: Meaning = { state: "queued", revocable: false };
const running: Meaning = { state: "running", revocable: false };
const failed = (reason: JobReason, revocable = false): Meaning => ({ state: "failed", reason, revocable });

const SLURM: Record<string, Meaning> = {
  PENDING: queued,
  CONFIGURING: queued,
  EXPEDITING: queued,
  POWER_UP_NODE: queued,
  REQUEUED: queued,
  REQUEUE_HOLD: queued,
  REQUEUE_FED: queued,
  RESV_DEL_HOLD: queued,
  SPECIAL_EXIT: queued,
  RUNNING: running,
  COMPLETING: running,
  STAGE_OUT: running,
  SIGNALING: running,
  RESIZING: running,
  SUSPENDED: running,
  STOPPED: running,
  COMPLETED: { state: "succeeded", revocable: false },
  CANCELLED: { state: "cancelled", revocable: false },
  REVOKED: { state: "cancelled", reason: "revoked", revocable: false },
  FAILED: failed("exit_code"),
  TIMEOUT: failed("timeout"),
  OUT_OF_MEMORY: failed("out_of_memory"),
  DEADLINE: failed("deadline"),
  BOOT_FAIL: failed("boot_fail"),
  LAUNCH_FAILED: failed("launch_failed"),
  RECONFIG_FAIL: failed("launch_failed"),
  NODE_FAIL: failed("node_fail", true),
  PREEMPTED: failed("preempted", true),
};

/** Slurm's signal for "the output file could not be opened": the script never ran. */
const SLURM_OUTPUT_UNWRITABLE = 53;

/**
 * Meaning of a Slurm state as any source writes it: `COMPLETED`, `CANCELLED by 3001`, `RUNNING+`. A word that we do not
 * know is `unknown`, never an end. `CANCELLED by 0` was the site; another uid was a person (or we); without a uid no
 * reason is given.
 */
export function slurmState(raw: string, exit: Exit = {}): StateMeaning {
  const schedulerState = firstWord(raw);
  const meaning = SLURM[schedulerState] ?? { state: "unknown", revocable: false };
  const by = /^CANCELLED\+?\s+by\s+(\d+)/i.exec(raw.trim())?.[1];
  if (by !== undefined) {
    return { ...meaning, schedulerState, reason: by === "0" ? "cancelled_by_scheduler" : "cancelled_by_request" };
  }
  if (schedulerState === "FAILED" && exit.exitCode === 0 && exit.signal === SLURM_OUTPUT_UNWRITABLE) {
    return { ...meaning, schedulerState, reason: "launch_failed" };
  }
  return { ...meaning, schedulerState };
}

const PBS: Record<string, Meaning> = {
  Q: queued,
  H: queued,
  W: queued,
  T: queued,
  M: queued,
  B: queued,
  R: running,
  S: running,
  U: running,
  E: running,
};

/** Exit values that PBS itself writes for jobs that it ended or could not start. */
const PBS_KILLED: Record<number, JobReason> = {
  [-26]: "out_of_memory",
  [-27]: "out_of_memory",
  [-28]: "timeout",
  [-29]: "timeout",
};

/** Meaning of a PBS job letter. PBS says only that a job finished (`F`, `X`); how is in the exit status. */
export function pbsState(raw: string, exitCode?: number): StateMeaning {
  const schedulerState = firstWord(raw);
  if (schedulerState !== "F" && schedulerState !== "X") {
    return { ...(PBS[schedulerState] ?? { state: "unknown", revocable: false }), schedulerState };
  }
  if (exitCode === undefined) return { state: "unknown", revocable: false, schedulerState };
  if (exitCode === 0) return { state: "succeeded", revocable: false, schedulerState };
  if (exitCode >= 256) return { state: "cancelled", revocable: false, schedulerState };
  if (exitCode < 0) return { ...failed(PBS_KILLED[exitCode] ?? "launch_failed"), schedulerState };
  return { ...failed("exit_code"), schedulerState };
}

export const isEnd = (state: JobObservation["state"]): boolean =>
  state === "succeeded" || state === "failed" || state === "cancelled";

/** Slurm's `code:signal`. */
export function parseExit(text: unknown): Exit {
  const match = typeof text === "string" ? /^(\d{1,5}):(\d{1,3})$/.exec(text.trim()) : null;
  if (!match) return {};
  const signal = Number(match[2]);
  return { exitCode: Number(match[1]), ...(signal > 0 ? { signal } : {}) };
}

/**
 * Seconds in a Slurm duration as squeue and sacct print it: `S`, `M:SS`, `H:MM:SS`, `D-HH:MM:SS`, with optional
 * fractions. `UNLIMITED`, `INVALID`, `NOT_SET`, `N/A` and anything else is undefined.
 */
export function parseElapsed(text: unknown): number | undefined {
  if (typeof text !== "string") return undefined;
  const match = /^(?:(\d{1,5})-)?(?:(?:(\d{1,6}):)?(\d{1,6}):)?(\d{1,6})(?:\.\d+)?$/.exec(text.trim());
  if (!match) return undefined;
  const [, days, hours, minutes, seconds] = match;
  return Number(days ?? 0) * 86_400 + Number(hours ?? 0) * 3_600 + Number(minutes ?? 0) * 60 + Number(seconds);
}

function firstWord(raw: string): string {
  return (raw.trim().split(/\s/, 1)[0] ?? "").toUpperCase().replace(/\+$/, "");
}
