/**
 * Jobs as real processes. Each run has a folder with its script and, in the end, its exit status; a server that starts
 * again finds there what has happened meanwhile. A run whose process is gone without an exit status is lost (NODE_FAIL).
 */
import { spawn } from "node:child_process";
import { chmod, mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { JOB_WRAPPER } from "./job-wrapper.ts";
import { expandPath, type JobRecord, type Machine } from "./records.ts";
import type { Executor, RunEnd } from "./scheduler.ts";

export interface ProcessExecutorOptions {
  machine: Machine;
  /** For run folders and the wrapper. */
  folder: string;
  environmentOf(job: JobRecord): Record<string, string>;
  /** Between TERM and KILL. */
  killWaitMs: number;
  now(): number;
  /** Called when something may have changed. */
  changed(): void;
}

interface Run {
  folder: string;
  /** Absent while the process is being started, and after a crash in just that moment. */
  pid?: number;
  killedAt?: number;
}

/** Exit status that a shell reports for "ended by signal n". */
const SIGNAL_BASE = 128;
const MAX_SIGNAL = 64;
const OUTPUT_NOT_OPENED = 53;
/** A process that has not even written its id after this time never will. */
const START_GRACE_MS = 10_000;

export async function processExecutor(options: ProcessExecutorOptions): Promise<Executor> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const wrapper = join(options.folder, "job-wrapper.sh");
  await writeFile(wrapper, JOB_WRAPPER, { mode: 0o700 });
  const runFolder = (job: JobRecord) => join(options.folder, `${job.id}.${job.restarts}`);

  /** Process group of a run, or `undefined` once nothing of it is alive. */
  const groupOf = async (run: Run): Promise<number | undefined> => {
    const pid = run.pid ?? Number.parseInt((await readText(join(run.folder, "pid"))) ?? "", 10);
    return Number.isNaN(pid) || !(await isOurs(pid, run.folder)) ? undefined : pid;
  };

  return {
    prepare: async () => {},

    async start(job) {
      const folder = runFolder(job);
      await rm(folder, { recursive: true, force: true });
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const script = join(folder, "slurm_script");
      await writeFile(script, job.scriptText, { mode: 0o700 });
      await chmod(script, 0o700);
      const path = (pattern: string) => expandPath(pattern, job, options.machine.nodeName);
      const output = path(job.output);
      const child = spawn(
        "bash",
        [
          wrapper,
          folder,
          job.workingDirectory,
          path(job.input),
          output,
          job.error === "" ? output : path(job.error),
          String(job.timeLimitSeconds ?? 0),
          String(options.killWaitMs / 1000),
          job.appendOutput ? "append" : "truncate",
        ],
        { detached: true, stdio: "ignore", env: options.environmentOf(job), cwd: "/" },
      );
      child.on("error", () => options.changed());
      child.on("exit", () => options.changed());
      child.unref();
      return { folder, ...(child.pid === undefined ? {} : { pid: child.pid }) } satisfies Run;
    },

    async ended(job, now) {
      // A crash between saving the record and starting the process leaves no note.
      const run = (job.run as Run | undefined) ?? { folder: runFolder(job) };
      const written = (await endFrom(run, now)) ?? undefined;
      if (written !== undefined) return written;
      const group = await groupOf(run);
      if (group !== undefined) {
        if (run.killedAt !== undefined && now - run.killedAt >= options.killWaitMs) signalGroup(group, "SIGKILL");
        return undefined;
      }
      const isStarting = run.pid === undefined && now - (job.startedAt ?? 0) < START_GRACE_MS && job.run !== undefined;
      if (isStarting) return undefined;
      // It may have ended between the two looks.
      return (await endFrom(run, now)) ?? { at: now, exitCode: 0, signal: 0, cause: "lost" };
    },

    async kill(job, now) {
      const run = (job.run as Run | undefined) ?? { folder: runFolder(job) };
      const group = await groupOf(run);
      if (group !== undefined) signalGroup(group, "SIGTERM");
      setTimeout(() => options.changed(), options.killWaitMs + 50).unref();
      return { ...run, killedAt: now } satisfies Run;
    },

    nextEventAt: () => undefined,

    async discard(job) {
      await rm(runFolder(job), { recursive: true, force: true });
    },
  };
}

/** What the wrapper wrote down, if it got that far. After the KILL of a time limit only its mark is there. */
async function endFrom(run: Run, now: number): Promise<RunEnd | undefined> {
  const timedOut = await exists(join(run.folder, "timeout"));
  const text = await readText(join(run.folder, "exit"));
  if (text === undefined) {
    const isGone = timedOut && run.pid !== undefined && !(await isOurs(run.pid, run.folder));
    return isGone ? { at: now, exitCode: 0, signal: 9, cause: "timeout" } : undefined;
  }
  const [status = "", at = ""] = text.trim().split(" ");
  const end = status === "open" ? { exitCode: 0, signal: OUTPUT_NOT_OPENED } : fromStatus(Number(status));
  return { at: Number(at) || now, ...end, ...(timedOut ? { cause: "timeout" as const } : {}) };
}

function fromStatus(status: number): { exitCode: number; signal: number } {
  const signal = status - SIGNAL_BASE;
  return signal > 0 && signal <= MAX_SIGNAL ? { exitCode: 0, signal } : { exitCode: status, signal: 0 };
}

/** Whether a process id still is the wrapper of this run (ids are used again). */
async function isOurs(pid: number, folder: string): Promise<boolean> {
  try {
    process.kill(pid, 0);
  } catch {
    return false;
  }
  const command = await readText(`/proc/${pid}/cmdline`);
  // Without /proc the bare existence must do. A zombie has an empty command line.
  return command === undefined ? !(await exists("/proc/self")) : command.includes(folder);
}

function signalGroup(group: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-group, signal);
  } catch {
    // It has ended meanwhile.
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch {
    return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined;
}
