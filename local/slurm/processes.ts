/**
 * Processes that a cluster has started, however they have got away from it: found by what the kernel knows of them (their
 * environment, cgroup and account), never by a name. What a user runs in a shell of their own is none of them.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Set in the environment of each daemon, and so of whatever a daemon starts for itself. */
export const DAEMON_MARK = "FIREWATCH_SLURM_DAEMON";

export interface Traces {
  /** The cluster's folder, as it stands in `DAEMON_MARK`. */
  dir: string;
  /** Of its Slurm: a job has it beside its own id. */
  config: string;
  /** Accounts that were made for this cluster: everything of theirs is the cluster's. */
  uids: readonly number[];
  /** Below which all its jobs are. */
  cgroup?: string;
}

const PATIENCE_MS = 5_000;
const LOOK_MS = 50;

/** Ends all of them at once. Throws with the ids of those that do not end. */
export async function endProcesses(traces: Traces): Promise<void> {
  let left = await processesOf(traces);
  for (const deadline = Date.now() + PATIENCE_MS; left.length > 0; left = await processesOf(traces)) {
    if (Date.now() > deadline) throw new Error(`processes of the cluster do not end: ${left.join(", ")}`);
    for (const pid of left) kill(pid);
    await delay(LOOK_MS);
  }
}

/** Ids of the cluster's processes that are alive. */
export async function processesOf({ dir, config, uids, cgroup }: Traces): Promise<number[]> {
  const held = new Set(cgroup === undefined ? [] : await heldBy(cgroup));
  const ids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    ids.map(async (pid) => {
      if (pid <= 1 || pid === process.pid || (await isZombie(pid))) return [];
      const environment = await environmentOf(pid);
      const isDaemons = environment.includes(`${DAEMON_MARK}=${dir}`);
      const isJobs =
        environment.includes(`SLURM_CONF=${config}`) && environment.some((line) => line.startsWith("SLURM_JOB_ID="));
      return isDaemons || isJobs || held.has(pid) || uids.includes(await ownerOf(pid)) ? [pid] : [];
    }),
  );
  return found.flat();
}

/** Processes of a cgroup and of all groups below it. */
async function heldBy(group: string): Promise<number[]> {
  const own = (await readFile(join(group, "cgroup.procs"), "utf8").catch(() => "")).split("\n").filter(Boolean);
  const entries = await readdir(group, { withFileTypes: true }).catch(() => []);
  const below = entries.filter((entry) => entry.isDirectory()).map(({ name }) => heldBy(join(group, name)));
  return [...own.map(Number), ...(await Promise.all(below)).flat()];
}

/** `NAME=value` of each variable; none of a process that is gone or somebody else's. */
async function environmentOf(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/environ`, "utf8").catch(() => "")).split("\0");
}

async function ownerOf(pid: number): Promise<number> {
  return (await stat(`/proc/${pid}`).catch(() => undefined))?.uid ?? -1;
}

/** Dead, and only waiting for its parent to look. */
async function isZombie(pid: number): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
  return /^[ZX]/.test(line.slice(line.lastIndexOf(")") + 2));
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // It has ended by itself.
  }
}
