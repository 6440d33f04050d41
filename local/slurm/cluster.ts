/**
 * A one-node Slurm with accounting for development: munge, MariaDB, slurmdbd, slurmctld and slurmd from Debian's packages,
 * everything in one folder and on loopback ports that were free.
 *
 * All daemons run as the account that brings the cluster up, also as root: it is for development only. Root's cluster has
 * Unix users of its own (`fw-alice`, `fw-bob`), made for it and removed with it; anybody else gets one that runs only their
 * own jobs.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { chmod, mkdir, readdir, readFile, rename, rm, stat, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, hostname, totalmem, userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";
import { type ClusterUser, isRoot, makeUsers, removeUsers, usersMadeFor } from "./accounts.ts";
import {
  accountingConfig,
  CLUSTER_NAME,
  cgroupConfig,
  databaseSetUp,
  NODE_NAME,
  type Plan,
  placesOf,
  slurmConfig,
} from "./config.ts";
import { memoryCgroup, removeGroups } from "./memory.ts";
import { INSTALL_LINE, missingPackages, programPath } from "./packages.ts";
import { endProcesses } from "./processes.ts";
import { alive, DAEMONS, slurm, startDaemons, stopDaemons } from "./services.ts";

/** A cluster that is up. Kept in its folder as `cluster.json`. */
export interface Cluster {
  dir: string;
  /** What Slurm's commands need as `SLURM_CONF`. */
  config: string;
  /** Root of the users' files: `home/<user>` and `scratch/<user>`. */
  files: string;
  users: ClusterUser[];
  /** The cgroup that holds jobs to their memory; absent where there is none: no job is OUT_OF_MEMORY then. */
  memoryCgroup?: string;
}

const PROJECT = resolve(import.meta.dirname, "..", "..");
/** Absolute. */
export const DEFAULT_DIR = resolve(process.env.FIREWATCH_SLURM_DIR ?? join(PROJECT, ".slurm"));

const QUEUE_LIMIT_MS = 15_000;
/** Of a socket's path, by the kernel; MUNGE keeps some of it for itself. */
const SOCKET_PATH_MAX = 100;
/** More than this machine may have: jobs of a development cluster mostly wait. */
const CPUS_MIN = 4;
const ACCOUNT = "users";

/** Brings the cluster up, or says that it is. `say` hears of each step. Throws with what to do about it. */
export async function bringUp(dir: string, say: (text: string) => void): Promise<Cluster> {
  const running = await readCluster(dir);
  if (running !== undefined) return running;
  const missing = missingPackages();
  if (missing.length > 0)
    throw new Error(
      `not installed: ${missing.join(", ")}. Install them (npm run slurm -- up --install does it as root):\n  ${INSTALL_LINE}`,
    );
  requireShortPath(dir);
  await takeDown(dir);
  try {
    return await start(dir, say);
  } catch (error) {
    await stopDaemons(dir);
    throw error;
  }
}

async function start(dir: string, say: (text: string) => void): Promise<Cluster> {
  const places = placesOf(dir);
  await mkdir(dir, { recursive: true });
  await writeFile(places.mark, "");
  for (const folder of [
    dir,
    dirname(places.config),
    dirname(places.mungeSocket),
    places.files,
    join(places.files, "home"),
    join(places.files, "scratch"),
  ]) {
    await mkdir(folder, { recursive: true });
    await chmod(folder, 0o755);
  }
  for (const folder of [places.logs, places.pids, places.controllerState, places.database])
    await mkdir(folder, { recursive: true, mode: 0o700 });
  // Jobs read their own script here.
  await mkdir(places.nodeSpool, { mode: 0o755 });
  const memory = memoryCgroup();
  const plan = await makePlan(dir, memory.path !== undefined);
  await writeFile(places.mungeKey, randomBytes(128), { mode: 0o400 });
  await writeFile(places.config, slurmConfig(plan), { mode: 0o644 });
  await writeFile(places.accountingConfig, accountingConfig(plan), { mode: 0o600 });
  await writeFile(places.databaseInit, databaseSetUp(plan), { mode: 0o600 });
  if (memory.path === undefined) say(`memory limits are not enforced: ${memory.why}`);
  else {
    say(`memory limits are enforced below ${memory.path}`);
    await mkdir(places.cgroups);
    await symlink(memory.path, join(places.cgroups, "memory"));
    await writeFile(places.cgroupConfig, cgroupConfig(plan), { mode: 0o644 });
  }
  const users = await makeUsers(places.files, await whoRunsJobs(dir, say));
  const cluster: Cluster = {
    dir,
    config: places.config,
    files: places.files,
    users,
    ...(memory.path === undefined ? {} : { memoryCgroup: memory.path }),
  };
  await writeFile(`${places.record}.new`, JSON.stringify(cluster, null, 2));

  await promisify(execFile)(programPath("mariadb-install-db"), [
    "--no-defaults",
    `--datadir=${places.database}`,
    `--user=${plan.daemonUser}`,
    "--auth-root-authentication-method=socket",
    `--auth-root-socket-user=${plan.daemonUser}`,
    "--skip-test-db",
  ]);
  await startDaemons(plan, async (name) => {
    say(`${name} is up`);
    if (name === "slurmdbd") await openAccounts(cluster);
  });
  // From now on others may rely on it.
  await rename(`${places.record}.new`, places.record);
  return cluster;
}

/**
 * Cancels what runs, stops the daemons, ends every process that got away from them, removes the Unix users that were made for this
 * cluster, and the folder. Nothing there is fine.
 */
export async function takeDown(dir: string): Promise<void> {
  const places = placesOf(dir);
  if (!existsSync(places.mark)) {
    if ((await readdir(dir).catch(() => [])).length > 0) throw new Error(`${dir} has something else in it`);
    return;
  }
  if ((await alive(dir)).length > 0 && existsSync(places.config)) await endJobs(dir);
  await stopDaemons(dir);
  const record = (await readRecord(places.record)) ?? (await readRecord(`${places.record}.new`));
  const cgroup = record?.memoryCgroup === undefined ? undefined : join(record.memoryCgroup, `slurm_${NODE_NAME}`);
  await endProcesses({
    dir,
    config: places.config,
    uids: usersMadeFor(places.files).map(({ uid }) => uid),
    ...(cgroup === undefined ? {} : { cgroup }),
  });
  if (cgroup !== undefined) await removeGroups(cgroup);
  if (isRoot()) removeUsers(places.files);
  await rm(dir, { recursive: true, force: true });
}

/** The cluster in a folder, if all of it is alive. */
export async function readCluster(dir: string): Promise<Cluster | undefined> {
  const record = await readRecord(placesOf(dir).record);
  return record !== undefined && (await alive(dir)).length === DAEMONS.length ? record : undefined;
}

function requireShortPath(dir: string): void {
  if (placesOf(dir).mungeSocket.length > SOCKET_PATH_MAX)
    throw new Error(
      `${dir} is too long a path for sockets. Give a shorter one: FIREWATCH_SLURM_DIR=/tmp/firewatch-slurm`,
    );
}

/** A folder that other accounts cannot enter, of those above these paths. */
async function closedFolder(...paths: string[]): Promise<string | undefined> {
  for (const path of paths) {
    for (let folder = path; folder !== "/"; folder = dirname(folder)) {
      if (((await stat(folder)).mode & 0o001) === 0) return folder;
    }
  }
  return undefined;
}

/** Jobs of the embedded FirecREST run programs of this project, so its users must be able to read it. */
async function whoRunsJobs(dir: string, say: (text: string) => void): Promise<"own users" | "invoker"> {
  if (!isRoot()) return "invoker";
  const closed = await closedFolder(dir, PROJECT);
  if (closed === undefined) return "own users";
  say(`jobs run as root: other accounts cannot enter ${closed}`);
  return "invoker";
}

async function makePlan(dir: string, limitsMemory: boolean): Promise<Plan> {
  const [database = 0, accounting = 0, controller = 0, node = 0] = await freePorts(4);
  return {
    dir,
    hostName: hostname().split(".")[0] ?? "localhost",
    daemonUser: userInfo().username,
    ports: { database, accounting, controller, node },
    databasePassword: randomBytes(18).toString("base64url"),
    cpus: Math.max(CPUS_MIN, availableParallelism()),
    memoryMiB: Math.floor(totalmem() / 1_048_576),
    limitsMemory,
  };
}

/** Loopback ports that are free now, all different. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => server.once("error", reject).listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** One account, and everybody in it: jobs under any other are refused. */
async function openAccounts({ config, users }: Cluster): Promise<void> {
  const add = (...what: string[]) => slurm(config, "sacctmgr", "--immediate", "add", ...what);
  await add("cluster", CLUSTER_NAME);
  await add("account", ACCOUNT, `Cluster=${CLUSTER_NAME}`, "Description=development", "Organization=firewatch");
  for (const { name } of users) await add("user", name, `Account=${ACCOUNT}`, `DefaultAccount=${ACCOUNT}`);
}

async function endJobs(dir: string): Promise<void> {
  const { config } = placesOf(dir);
  try {
    const queue = async () => (await slurm(config, "squeue", "--noheader", "--format=%i")).trim();
    await slurm(config, "scancel", "--state=PENDING").catch(() => "");
    await slurm(config, "scancel", "--state=RUNNING", "--signal=KILL", "--full").catch(() => "");
    for (const deadline = Date.now() + QUEUE_LIMIT_MS; Date.now() < deadline && (await queue()) !== ""; )
      await delay(250);
  } catch {
    // A controller that does not answer has nothing to say about jobs.
  }
}

async function readRecord(path: string): Promise<Cluster | undefined> {
  try {
    return JSON.parse(await readFile(path, "utf8")) as Cluster;
  } catch {
    return undefined;
  }
}
