/**
 * This machine as a cluster: real files below a root folder and real `bash` processes as jobs.
 *
 * `<root>/home/<user>` and `<root>/scratch/<user>` are what users see, by their real paths; nothing outside of `home` and
 * `scratch` can be reached through the file operations. Jobs are processes of the account that runs the server: the
 * sandbox holds for the API, a script can do what that account can.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, lstat, mkdir, readlink, realpath, symlink, writeFile } from "node:fs/promises";
import { cpus, tmpdir, totalmem } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { assembleHost, DEFAULT_MACHINE, identityOf, type UserSpec } from "./assemble.ts";
import { realClock } from "./clock.ts";
import { diskStore } from "./disk-store.ts";
import { diskVolume } from "./files/disk-volume.ts";
import { sha256, systemCodecs } from "./files/system-codecs.ts";
import type { Owner } from "./files/volume.ts";
import { type FileSystem, type Host, ToolError } from "./host.ts";
import { jobEnvironment } from "./scheduler/environment.ts";
import { processExecutor } from "./scheduler/process-executor.ts";
import type { JobRecord, Machine } from "./scheduler/records.ts";
import { Scheduler } from "./scheduler/scheduler.ts";

export interface ProcessHostOptions {
  /** Files of the users. Made if absent. */
  root: string;
  /** Job records, scripts and exit states; not visible to users. */
  stateDir: string;
  users?: readonly UserSpec[];
  machine?: Partial<Machine>;
  startDelayMs?: number;
  completingMs?: number;
  minJobAgeMs?: number;
  /** Between TERM and KILL, for cancellations and time limits. */
  killWaitMs?: number;
  defaultTimeLimitSeconds?: number;
}

export interface ProcessHost extends Host {
  readonly scheduler: Scheduler;
}

const MIN_JOB_AGE_MS = 300_000;
const KILL_WAIT_MS = 5_000;
/** How often running jobs are looked at when nobody asks. */
const WATCH_MS = 250;
const DAY_SECONDS = 86_400;

export async function processHost(options: ProcessHostOptions): Promise<ProcessHost> {
  const users = options.users ?? [{ name: "alice" }];
  await mkdir(options.root, { recursive: true });
  const root = await plainPath(await realpath(options.root));
  const [home, scratch] = [join(root, "home"), join(root, "scratch")];
  for (const { name } of users) await makeHome(join(home, name), join(scratch, name));
  const machine: Machine = {
    ...DEFAULT_MACHINE,
    cpus: Math.max(2, cpus().length),
    memoryMiB: Math.floor(totalmem() / 1_048_576),
    ...options.machine,
  };
  const fileSystems: FileSystem[] = [
    { path: home, description: "Users' homes", dataType: "users", defaultWorkDir: false },
    { path: scratch, description: "Scratch", dataType: "scratch", defaultWorkDir: true },
  ];

  const bin = join(options.stateDir, "bin");
  await mkdir(bin, { recursive: true, mode: 0o700 });
  await writeFile(join(bin, "srun"), SRUN, { mode: 0o700 });
  const environmentOf = (job: JobRecord) =>
    jobEnvironment(job, machine, {
      home: join(home, job.user.name),
      path: `${bin}:${process.env.PATH ?? "/usr/local/bin:/usr/bin:/bin"}`,
      shell: "/bin/bash",
    });

  const store = diskStore(join(options.stateDir, "records.jsonl"));
  const executor = await processExecutor({
    machine,
    folder: join(options.stateDir, "jobs"),
    environmentOf,
    killWaitMs: options.killWaitMs ?? KILL_WAIT_MS,
    now: realClock.now,
    changed: () => watch(),
  });
  const scheduler = new Scheduler({
    store,
    executor,
    machine,
    now: realClock.now,
    startDelayMs: options.startDelayMs ?? 0,
    completingMs: options.completingMs ?? 0,
    minJobAgeMs: options.minJobAgeMs ?? MIN_JOB_AGE_MS,
  });

  let timer: NodeJS.Timeout | undefined;
  let isClosed = false;
  const watch = () => {
    if (isClosed) return;
    clearTimeout(timer);
    scheduler.settle().then(schedule, schedule);
  };
  const schedule = () => {
    if (isClosed) return;
    clearTimeout(timer);
    timer = setTimeout(watch, WATCH_MS);
    timer.unref();
  };

  const host = assembleHost(
    {
      volume: diskVolume(ownerByPlace([home, scratch], users)),
      codecs: systemCodecs,
      sha256,
      fileSystems,
      roots: [home, scratch],
      users,
      homeOf: (user) => join(home, user),
      machine,
      now: realClock.now,
      defaultTimeLimitSeconds: options.defaultTimeLimitSeconds ?? DAY_SECONDS,
      attach: (job, command) => runBeside(job, command, environmentOf(job)),
      close: async () => {
        isClosed = true;
        clearTimeout(timer);
        await scheduler.settle();
        store.close();
      },
    },
    () => scheduler,
  );
  watch();
  return { ...host, scheduler };
}

/** What FirecREST can hand to a shell without quotes, which is what it does with paths of files to stage. */
const PLAIN = /^[A-Za-z0-9_@%+=:,./^-]+$/;

/** The folder itself, or a link to it where its own name has other characters (`/home/me/My Projects`). */
async function plainPath(folder: string): Promise<string> {
  if (PLAIN.test(folder)) return folder;
  const temporary = await realpath(tmpdir());
  const digest = createHash("sha256").update(folder).digest("hex").slice(0, 16);
  const link = join(PLAIN.test(temporary) ? temporary : "/tmp", `firewatch-${digest}`);
  await symlink(folder, link).catch(() => {});
  const isOurs =
    (await readlink(link).catch(() => "")) === folder && (await lstat(link)).uid === (await lstat(folder)).uid;
  if (!isOurs) throw new Error(`${link} should lead to ${folder}, but something else is there`);
  return link;
}

async function makeHome(home: string, scratch: string): Promise<void> {
  await mkdir(home, { recursive: true });
  await chmod(home, 0o700);
  await mkdir(scratch, { recursive: true });
  await chmod(scratch, 0o755);
}

/** Whatever lies in `<file system>/<user>/` is that user's; the rest is root's. */
function ownerByPlace(fileSystems: string[], users: readonly UserSpec[]): (path: string) => Owner {
  const owners = new Map(
    users.map((user, position) => {
      const {
        user: { id: uid },
        group: { id: gid },
      } = identityOf(user, position);
      return [user.name, { uid, gid }];
    }),
  );
  return (path) => {
    const base = fileSystems.find((fileSystem) => path.startsWith(`${fileSystem}/`));
    const name = base === undefined ? "" : (path.slice(base.length + 1).split("/")[0] ?? "");
    return owners.get(name) ?? { uid: 0, gid: 0 };
  };
}

const ATTACH_LIMIT_MS = 5_000;

async function runBeside(job: JobRecord, command: string, env: Record<string, string>): Promise<string> {
  try {
    const options = { cwd: job.workingDirectory, env, timeout: ATTACH_LIMIT_MS };
    return (await promisify(execFile)("bash", ["-c", command], options)).stdout;
  } catch (error) {
    const { code, killed, stderr } = error as { code?: number; killed?: boolean; stderr?: string };
    if (killed === true) throw new ToolError("srun", 124, "");
    const exitCode = code ?? 1;
    const words = `srun: error: localhost: task 0: Exited with exit code ${exitCode}`;
    throw new ToolError("srun", exitCode, `${words}\n${stderr ?? String(error)}`.trimEnd());
  }
}

/** `srun` inside of a job: runs the command once, options are dropped. */
const SRUN = `#!/bin/bash
while [ $# -gt 0 ]; do
  case $1 in
    --) shift; break ;;
    -[nNctpJAoeGwxD]) shift 2 ;;
    -*) shift ;;
    *) break ;;
  esac
done
exec "$@"
`;
