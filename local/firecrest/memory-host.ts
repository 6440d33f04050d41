/**
 * A machine in memory: files, users and a queue on a virtual clock. Scripts say with `#FAKE` lines what they do (see
 * `scheduler/fake-executor.ts`). It uses web standards only, so it runs inside workerd.
 */
import { assembleHost, DEFAULT_MACHINE, identityOf, type UserSpec } from "./assemble.ts";
import { type Clock, VirtualClock } from "./clock.ts";
import { webCodecs } from "./files/archives.ts";
import { memoryVolume } from "./files/memory-volume.ts";
import type { FileSystem, Host, JobRow } from "./host.ts";
import { jobEnvironment } from "./scheduler/environment.ts";
import { type FakeExecutorOptions, fakeExecutor } from "./scheduler/fake-executor.ts";
import type { JobRecord, Machine } from "./scheduler/records.ts";
import { Scheduler } from "./scheduler/scheduler.ts";
import { memoryStore, type Store } from "./store.ts";

export interface MemoryHostOptions {
  users?: readonly UserSpec[];
  /** A `VirtualClock` moves the jobs when it is advanced; with any other clock they are brought up to date when asked for. */
  clock?: Clock;
  /** Jobs and ids live here; give the same one again to restart the controller. */
  store?: Store;
  machine?: Partial<Machine>;
  /** What scripts do beside their `#FAKE` lines; default nothing. */
  shell?: FakeExecutorOptions["shell"];
  startDelayMs?: number;
  completingMs?: number;
  minJobAgeMs?: number;
  killWaitMs?: number;
  defaultTimeLimitSeconds?: number;
}

export interface MemoryHost extends Host {
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  /** Moves a virtual clock on; fails with any other. */
  advance(ms: number): Promise<void>;
  /** Every job that was ever submitted, whoever did it. */
  jobs(): Promise<JobRow[]>;
  /** What a job that was started had in its environment (`--export`, `SLURM_*`), by plain id. */
  environmentOf(jobId: string): Record<string, string> | undefined;
}

const FILE_SYSTEMS: FileSystem[] = [
  { path: "/home", description: "Users' homes", dataType: "users", defaultWorkDir: false },
  { path: "/scratch", description: "Scratch", dataType: "scratch", defaultWorkDir: true },
];
const MIN_JOB_AGE_MS = 300_000;
const START_AT = Date.UTC(2026, 0, 5, 9);

/** The file system holds `/home/<user>`, `/scratch/<user>`, `/root` (closed) and an empty `/etc/hostname`. */
export async function memoryHost(options: MemoryHostOptions = {}): Promise<MemoryHost> {
  const users = options.users ?? [{ name: "alice" }];
  const clock = options.clock ?? new VirtualClock(START_AT);
  const machine = { ...DEFAULT_MACHINE, ...options.machine };
  const volume = memoryVolume(clock.now);
  const root = { uid: 0, gid: 0 };
  for (const path of ["/home", "/scratch", "/etc"]) await volume.mkdir(path, 0o755, root);
  await volume.mkdir("/root", 0o700, root);
  await volume.write("/etc/hostname", new Blob([machine.nodeName]).stream(), {
    append: false,
    permissions: 0o644,
    owner: root,
  });
  for (const [position, user] of users.entries()) {
    const {
      user: { id: uid },
      group: { id: gid },
    } = identityOf(user, position);
    await volume.mkdir(`/home/${user.name}`, 0o700, { uid, gid });
    await volume.mkdir(`/scratch/${user.name}`, 0o755, { uid, gid });
  }

  const environments = new Map<string, Record<string, string>>();
  const environmentOf = (job: JobRecord) =>
    jobEnvironment(job, machine, {
      home: `/home/${job.user.name}`,
      path: "/usr/local/bin:/usr/bin:/bin",
      shell: "/bin/bash",
    });
  const host = assembleHost(
    {
      volume,
      codecs: webCodecs,
      sha256: async (body) => hex(await crypto.subtle.digest("SHA-256", await new Response(body).arrayBuffer())),
      fileSystems: FILE_SYSTEMS,
      roots: ["/"],
      users,
      homeOf: (user) => `/home/${user}`,
      machine,
      now: clock.now,
      attach: async (_job, command) => `ran ${command}\n`,
      close: async () => {},
      ...(options.defaultTimeLimitSeconds === undefined
        ? {}
        : { defaultTimeLimitSeconds: options.defaultTimeLimitSeconds }),
    },
    () => scheduler,
  );
  const scheduler = new Scheduler({
    store: options.store ?? memoryStore(),
    executor: fakeExecutor({
      machine,
      seatOf: (user) => host.as(user),
      environmentOf,
      killWaitMs: options.killWaitMs ?? 30_000,
      ...(options.shell === undefined ? {} : { shell: options.shell }),
      started: (job, environment) => environments.set(String(job.id), environment),
    }),
    machine,
    now: clock.now,
    startDelayMs: options.startDelayMs ?? 1_000,
    completingMs: options.completingMs ?? 0,
    minJobAgeMs: options.minJobAgeMs ?? MIN_JOB_AGE_MS,
  });
  if (clock instanceof VirtualClock)
    clock.register({ nextEventAt: () => scheduler.nextEventAt(), settle: () => scheduler.settle() });

  return {
    ...host,
    clock,
    scheduler,
    jobs: async () => {
      const first = users[0]?.name ?? "";
      return await (await host.as(first)).jobs.accounting({ allUsers: true });
    },
    environmentOf: (jobId) => environments.get(jobId),
    async advance(ms) {
      if (!(clock instanceof VirtualClock)) throw new Error("This host goes by a clock that cannot be advanced");
      await clock.advance(ms);
    },
  };
}

function hex(digest: ArrayBuffer): string {
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
