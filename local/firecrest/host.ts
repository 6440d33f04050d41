/**
 * The Host port: what a FirecREST server needs of the machine behind it. A real FirecREST reaches a cluster by SSH and
 * runs one command per step; this port offers the same steps as functions. The v1 and v2 routes know nothing else.
 *
 * - `memory-host.ts`: everything in memory on a virtual clock, jobs that follow `#FAKE` directives; runs inside workerd.
 * - `process-host.ts`: real files below a root folder and real `bash` processes.
 *
 * Paths are absolute POSIX paths as the user sees them. Failures of a command are `ToolError`s that carry the text the
 * real tool prints to stderr in the C locale; the routes classify by that text, as FirecREST does. Times are milliseconds
 * since the epoch, durations say their unit, sizes are bytes.
 */

/** One machine: one name in `X-Machine-Name` or in a v2 path. */
export interface Host {
  /** Mounted file systems, in the order in which they are reported. */
  readonly fileSystems: readonly FileSystem[];
  /** The host's clock (virtual in memory). */
  now(): number;
  /** Gives a user's own view of the machine. Throws `ToolError` (`Authentication failed.`) for a user it does not have. */
  as(user: string): Promise<Seat>;
  /** Scheduler facts that belong to no user. */
  nodes(): Promise<NodeRow[]>;
  partitions(): Promise<PartitionRow[]>;
  reservations(): Promise<ReservationRow[]>;
  /** Lets go of timers and watchers. Running jobs go on. */
  close(): Promise<void>;
}

export interface FileSystem {
  path: string;
  description: string;
  /** `scratch`, `users`, `store`, … as v2 reports it. */
  dataType: "users" | "store" | "archive" | "apps" | "scratch" | "project";
  /** Where jobs and file transfers of v2 have their working directory: `<path>/<user>`. Exactly one has it. */
  defaultWorkDir: boolean;
}

/** What one user can do on the machine. */
export interface Seat {
  readonly identity: Identity;
  readonly files: Files;
  readonly jobs: Jobs;
}

export interface NamedId {
  name: string;
  id: number;
}

export interface Identity {
  user: NamedId;
  /** Primary group. */
  group: NamedId;
  groups: NamedId[];
}

/**
 * A command that failed. `stderr` is its text, lines separated by `\n`, without the last newline. Exit codes with a
 * meaning of their own: 124 = killed by the time limit.
 */
export class ToolError extends Error {
  override readonly name = "ToolError";
  readonly tool: string;
  readonly exitCode: number;
  readonly stderr: string;

  constructor(tool: string, exitCode: number, stderr: string) {
    super(stderr === "" ? `${tool} exited with ${exitCode}` : stderr);
    this.tool = tool;
    this.exitCode = exitCode;
    this.stderr = stderr;
  }
}

// ---------------------------------------------------------------------------------------------------------------- files

/** One character as `ls -l` prints it. */
export type FileKind = "-" | "d" | "l" | "c" | "b" | "p" | "s";

export interface FileEntry {
  /** Raw name (nothing escaped). The full path for a plain file that was asked for itself; `sub/x` when recursive. */
  name: string;
  kind: FileKind;
  linkTarget: string;
  user: NamedId;
  group: NamedId;
  /** Nine characters: `rwxr-x---`, with `s`, `S`, `t`, `T`. */
  permissions: string;
  modifiedAt: number;
  size: number;
}

/** The numbers of `stat`. Times are seconds since the epoch. */
export interface FileStat {
  /** Raw `st_mode`: type and permission bits. */
  mode: number;
  ino: number;
  dev: number;
  nlink: number;
  uid: number;
  gid: number;
  size: number;
  atime: number;
  ctime: number;
  mtime: number;
}

/**
 * Arguments of `head` and `tail` as on their command line: `lines: "5"`, `bytes: "10K"`, `"MB"`…; none = 10 lines.
 * `skip` = all but the last (`head`) or from the n-th on (`tail`).
 */
export interface Cut {
  lines?: string;
  bytes?: string;
  skip?: boolean;
}

export type Compression = "none" | "gzip" | "bzip2" | "xz";

/** `zip` is for extraction only. */
export type ArchiveFormat = Compression | "zip";

/** `signal` ends a long operation early; it then rejects with the signal's reason. */
export interface Interruptible {
  signal?: AbortSignal;
}

/** File operations of one user. All throw `ToolError`. */
export interface Files {
  /** `hidden` shows dot files (never `.` and `..`); `dereference` follows links and fails on broken ones. */
  list(path: string, options?: { hidden?: boolean; recursive?: boolean; dereference?: boolean }): Promise<FileEntry[]>;
  /** One entry for the path itself, a directory too (`ls -d`). */
  entry(path: string): Promise<FileEntry>;
  stat(path: string, options?: { dereference?: boolean }): Promise<FileStat>;
  mkdir(path: string, options?: { parents?: boolean }): Promise<void>;
  /** `mv --force`: into `to` where that is a directory, over it where it is a file. */
  move(from: string, to: string, options?: Interruptible): Promise<void>;
  /** `cp --force -dR --preserve=all`: into `to` where that is a directory. */
  copy(from: string, to: string, options?: Interruptible & { dereference?: boolean }): Promise<void>;
  /** Recursive, without a prompt; `missing` decides whether an absent path is an error (default: it is). */
  remove(path: string, options?: { missing?: "fail" | "ignore" }): Promise<void>;
  /** Octal or symbolic mode. Returns the tool's verbose line. */
  chmod(path: string, mode: string): Promise<string>;
  /** Returns the tool's verbose line. */
  chown(path: string, change: { owner?: string; group?: string }): Promise<string>;
  symlink(target: string, link: string): Promise<void>;
  head(path: string, cut?: Cut): Promise<Uint8Array>;
  tail(path: string, cut?: Cut): Promise<Uint8Array>;
  /** SHA-256, lower-case hex. */
  checksum(path: string, options?: Interruptible): Promise<string>;
  /** What `file -b` says: `ASCII text`, `directory`, `empty`, … */
  fileType(path: string): Promise<string>;
  /**
   * A tar of `source`, named relative to its parent. With `matchPattern` only of the files below `source` whose name
   * matches the glob, named `./…` as `find .` does.
   */
  compress(
    source: string,
    target: string,
    options?: Interruptible & { dereference?: boolean; compression?: Compression; matchPattern?: string },
  ): Promise<void>;
  extract(source: string, target: string, options: Interruptible & { format: ArchiveFormat }): Promise<void>;
  /** Throws unless the user may read the file (not a directory), or may put entries into the directory. */
  require(access: "readable file" | "writable directory", path: string): Promise<void>;
  /**
   * Bytes `[start, end)` of a regular file; default all. `size` is that of the whole file. `as` chooses in whose words it
   * fails (`base64: …`, `dd: failed to open …`); a pipe would block its reader, which is a `ToolError` 124 at once.
   */
  read(
    path: string,
    range?: { start?: number; end?: number },
    as?: "cat" | "base64" | "dd",
  ): Promise<{ size: number; body: ReadableStream<Uint8Array> }>;
  /** Creates or replaces a file (follows a link). The parent must exist. Fails in the shell's words (`bash: line 1: …`). */
  write(
    path: string,
    body: Uint8Array | ReadableStream<Uint8Array>,
    options?: { mode?: number; append?: boolean },
  ): Promise<void>;
}

// ----------------------------------------------------------------------------------------------------------------- jobs

/**
 * One `sbatch` call. Fields given here are command-line options and win over `#SBATCH` lines of the script. Patterns in
 * `output` and `error` (`%j %x %A %a %u %N`) are the scheduler's to expand.
 */
export interface JobRequest {
  /** The text, or the path of a script on the machine. */
  script: string | { path: string };
  /** Absolute; the job starts here, relative output paths are resolved here. Loses against `--chdir` in the script only if absent. */
  workingDirectory?: string;
  name?: string;
  account?: string;
  partition?: string;
  reservation?: string;
  constraint?: string;
  /** As `--time` takes it: `MM`, `MM:SS`, `HH:MM:SS`, `D-HH…`. */
  time?: string;
  input?: string;
  output?: string;
  error?: string;
  /** The text after `--export=`: `ALL,A=1,B=2`. Split at commas, as sbatch does. */
  export?: string;
  /** `afterok:12`, `afterany:3:4`, `singleton`. */
  dependency?: string;
  array?: string;
  hold?: boolean;
  /**
   * What the script does, for a host that has no shell: the memory host runs this in place of the script's text when the
   * job ends. Hosts with a shell ignore it and run the script. `stdout` and `stderr` go to the job's log files.
   */
  withoutShell?(seat: Seat): Promise<{ exitCode: number; stdout?: string; stderr?: string }>;
}

export interface Submitted {
  jobId: string;
  /** What sbatch printed to stderr although it accepted the job. */
  warning: string;
}

/** Slurm's long state names, as far as this machine can produce them. `CANCELLED` is without its `by <uid>`. */
export type JobState =
  | "PENDING"
  | "RUNNING"
  | "SUSPENDED"
  | "COMPLETING"
  | "COMPLETED"
  | "FAILED"
  | "TIMEOUT"
  | "CANCELLED"
  | "NODE_FAIL"
  | "OUT_OF_MEMORY"
  | "PREEMPTED"
  | "DEADLINE"
  | "BOOT_FAIL";

/** A job, or one element (`12_3`), or the waiting rest (`12_[4-7%2]`) of an array. */
export interface JobRow {
  jobId: string;
  /** The element's own plain number (SLURM_JOB_ID); equals `jobId` for jobs that are no arrays. */
  plainId: string;
  /** Base id of the array. */
  arrayId?: string;
  name: string;
  user: NamedId;
  group: NamedId;
  account: string;
  partition: string;
  reservation: string;
  state: JobState;
  /** uid that cancelled it. */
  cancelledBy?: number;
  /** Why it waits (`Resources`, `Priority`, `Dependency`, `DependencyNeverSatisfied`, `JobHeldUser`, `JobArrayTaskLimit`), else `None`. */
  reason: string;
  exitCode: number;
  /** Signal that ended it, 0 if none. */
  signal: number;
  submittedAt: number;
  startedAt?: number;
  endedAt?: number;
  /** `undefined` = unlimited. */
  timeLimitSeconds?: number;
  elapsedSeconds: number;
  nodeCount: number;
  /** `nid001`, or `""` when it has no nodes (yet). */
  nodeList: string;
  cpus: number;
  priority: number;
  workingDirectory: string;
  /** Path of the script: as given, or where sbatch spooled the text from. */
  command: string;
  scriptText: string;
  /** With patterns expanded, absolute. */
  standardInput: string;
  standardOutput: string;
  standardError: string;
  /** How often it was requeued. */
  restarts: number;
  steps: JobStep[];
}

/** `12.batch`, `12.0`, … */
export interface JobStep {
  id: string;
  name: string;
  state: JobState;
  exitCode: number;
  signal: number;
  startedAt: number;
  endedAt?: number;
}

/** Scheduler operations of one user. All throw `ToolError` with the text of sbatch, squeue, sacct, scontrol, scancel. */
export interface Jobs {
  submit(request: JobRequest): Promise<Submitted>;
  /**
   * Active jobs (`squeue`): the user's, or everybody's. A single id that the controller has forgotten (its end is older
   * than the host's `minJobAgeMs`) or never knew throws `slurm_load_jobs error: Invalid job id specified`; several do not.
   */
  queue(query?: { ids?: string[]; allUsers?: boolean; name?: string }): Promise<JobRow[]>;
  /**
   * Accounting (`sacct`): one row per allocation, of the user, or of everybody when ids are given. Without `ids`, jobs
   * that were alive at or after `since` and before `until`.
   */
  accounting(query?: {
    ids?: string[];
    since?: number;
    until?: number;
    allUsers?: boolean;
    name?: string;
  }): Promise<JobRow[]>;
  /** `scontrol show job`: knows ended jobs for `minJobAgeMs` only. Elements of an array give a row each. */
  show(jobId: string): Promise<JobRow[]>;
  /** Returns what scancel prints (`scancel: Terminating job 4`). A base id cancels the whole array. */
  cancel(jobId: string): Promise<string>;
  hold(jobId: string): Promise<void>;
  release(jobId: string): Promise<void>;
  requeue(jobId: string): Promise<void>;
  /** `srun --jobid --overlap`: runs a command beside a running job and adds a step. */
  attach(jobId: string, command: string): Promise<string>;
}

export interface NodeRow {
  name: string;
  sockets: number;
  cores: number;
  threads: number;
  cpus: number;
  cpusAllocated: number;
  cpuLoad: number;
  memoryMiB: number;
  freeMemoryMiB: number;
  features: string[];
  partitions: string[];
  /** `["IDLE"]`, `["MIXED"]`, `["ALLOCATED"]`. */
  state: string[];
}

export interface PartitionRow {
  name: string;
  state: "UP" | "DOWN";
  cpus: number;
  nodes: number;
  isDefault: boolean;
  hidden: boolean;
}

export interface ReservationRow {
  name: string;
  state: string;
  nodes: string;
  startsAt: number;
  endsAt: number;
  features: string[];
}
