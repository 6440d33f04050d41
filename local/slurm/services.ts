/** The five daemons of a cluster: how each is started, when it is ready, and Slurm's commands that talk to them. */
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { type Plan, placesOf } from "./config.ts";
import { type Daemon, runningDaemon, startDaemon, stopDaemon } from "./daemon.ts";
import { type ProgramName, programPath } from "./packages.ts";
import { DAEMON_MARK } from "./processes.ts";

/** In the order of their start. */
export const DAEMONS = ["munged", "mariadbd", "slurmdbd", "slurmctld", "slurmd"] as const;
export type DaemonName = (typeof DAEMONS)[number];

const START_LIMIT_MS = 60_000;
const STOP_GRACE_MS = 20_000;

const run = promisify(execFile);

/** Starts them one after the other, each when the one before is ready; `started` hears of each. */
export async function startDaemons(plan: Plan, started: (name: DaemonName) => Promise<void>): Promise<void> {
  for (const { name, ...daemon } of daemons(plan)) {
    await startDaemon({ name, ...daemon }, placesOf(plan.dir), () => isReady(name, plan), START_LIMIT_MS);
    await started(name);
  }
}

export async function stopDaemons(dir: string): Promise<void> {
  for (const name of [...DAEMONS].reverse()) await stopDaemon(name, placesOf(dir), STOP_GRACE_MS);
}

/** Daemons of a folder that are alive. */
export async function alive(dir: string): Promise<DaemonName[]> {
  const states = await Promise.all(
    DAEMONS.map(async (name) => [name, await runningDaemon(name, placesOf(dir))] as const),
  );
  return states.filter(([, pid]) => pid !== undefined).map(([name]) => name);
}

/** Runs a command of Slurm on the cluster with this configuration and gives what it printed. */
export async function slurm(config: string, program: ProgramName, ...args: string[]): Promise<string> {
  const { stdout } = await run(programPath(program), args, {
    env: { PATH: process.env.PATH, LC_ALL: "C", SLURM_CONF: config },
    timeout: START_LIMIT_MS,
  });
  return stdout;
}

function daemons(plan: Plan): (Daemon & { name: DaemonName })[] {
  const places = placesOf(plan.dir);
  const env = { SLURM_CONF: places.config };
  const programs: Record<DaemonName, Pick<Daemon, "args" | "env">> = {
    munged: {
      args: [
        "--foreground",
        // It would insist on a folder that everybody can enter.
        "--force",
        `--socket=${places.mungeSocket}`,
        `--key-file=${places.mungeKey}`,
        `--seed-file=${places.mungeSeed}`,
        `--pid-file=${join(places.pids, "munged.own")}`,
      ],
    },
    mariadbd: {
      args: [
        "--no-defaults",
        `--datadir=${places.database}`,
        `--socket=${places.databaseSocket}`,
        `--pid-file=${join(places.pids, "mariadbd.own")}`,
        `--user=${plan.daemonUser}`,
        "--bind-address=127.0.0.1",
        `--port=${plan.ports.database}`,
        "--skip-name-resolve",
        "--innodb-flush-log-at-trx-commit=2",
        "--innodb-lock-wait-timeout=900",
        `--init-file=${places.databaseInit}`,
      ],
    },
    slurmdbd: { args: ["-D"], env },
    slurmctld: { args: ["-D", "-f", places.config], env },
    slurmd: { args: ["-D", "-f", places.config], env },
  };
  return DAEMONS.map((name) => {
    const { args, env: own } = programs[name];
    return { name, program: programPath(name), args, env: { ...own, [DAEMON_MARK]: plan.dir } };
  });
}

async function isReady(name: DaemonName, plan: Plan): Promise<boolean> {
  const { config, mungeSocket, databaseSocket } = placesOf(plan.dir);
  switch (name) {
    case "munged":
      await run(programPath("munge"), ["--no-input", "--socket", mungeSocket]);
      return true;
    case "mariadbd":
      return existsSync(databaseSocket);
    case "slurmdbd":
      await slurm(config, "sacctmgr", "--noheader", "show", "cluster");
      return true;
    case "slurmctld":
      return (await slurm(config, "scontrol", "ping")).includes("is UP");
    case "slurmd":
      return (await slurm(config, "sinfo", "--noheader", "--format=%T")).includes("idle");
  }
}
