/**
 * The FirecREST port: what Firewatch asks of a site, in Firewatch's words. `v1/` and `v2/` implement it; nothing outside
 * this folder knows a v1 task status or a v2 JSON shape. Every method may throw `FirecrestError`.
 *
 * Times are milliseconds since the epoch; sizes are bytes; durations name their unit.
 */
import type { JobReason } from "../contract/states.ts";
import type {
  Heartbeat,
  MachineNode,
  MachinePartition,
  MachineReservation,
  ReservationRequest,
  ServiceStatus,
  SiteParameters,
  SystemStatus,
} from "./machine.ts";

export type * from "./machine.ts";

export type Api = "v1" | "v2";

/** What a client is made of. All effects come in through here, so tests can hold the clock and the wire. */
export interface ClientDeps {
  api: Api;
  /** Base URL, may have a path prefix (`https://api.cscs.ch/hpc/firecrest/v2`); paths are appended to it as text. */
  url: string;
  /** A bearer token with at least 60 s left. `renew` is true after a 401: get another one. */
  token(renew?: boolean): Promise<string>;
  /** The only way out. Each call is one request of the connection's budget. */
  fetch(input: string, init: RequestInit): Promise<Response>;
  /** Unauthenticated GET of a staged link or part URL (the site's object store, not FirecREST; no budget is spent). */
  fetchStaged(url: string, init: RequestInit): Promise<Response>;
  now(): number;
  sleep(ms: number): Promise<void>;
  log(line: Record<string, unknown>): void;
}

/** A long operation on the far side: a v1 task, or a v2 scheduler job. Serializable: it is stored beside the effect. */
export interface Handle {
  kind: "submit" | "cancel" | "stage" | "upload" | "file_job";
  ref: { task: string } | { job: string; system: string };
  system: string;
  /** v2 hands the link out in the first answer; v1 in the finished task. A secret: seal it before it is stored. */
  staging?: { url: string; expiresAt: number };
  /** v2 file jobs: log files in the user's space that we read for the outcome and remove afterwards. */
  logs?: { output: string; error: string };
  /** v2 file jobs: what the file system shows once the operation has succeeded; the job's own end proves nothing. */
  expects?: { present?: { path: string; bytes?: number }; absent?: string };
  expiresAt?: number;
  /** Whether the site has a way to release the staged object before it expires. */
  releasable: boolean;
}

/** The batch job as the scheduler gets it: `script` is already composed by `script.ts`. */
export interface Submission {
  system: string;
  script?: string;
  scriptPath?: string;
  /** Full scheduler name (name + tag). v1 carries it inside the script; v2 in the `name` field. */
  name?: string;
  account?: string;
  /** Only what `script.ts` decided the API must carry (scriptPath and foreign interpreters). */
  env?: Record<string, string>;
  /** Absolute. On v1, given means: upload the script there and submit by path. v2 always has one. */
  workingDirectory?: string;
}

export type SubmitResult =
  /** `warning`: the site accepted but said something worth keeping. */
  | {
      outcome: "submitted";
      schedulerId: string;
      workingDirectory?: string;
      stdoutPath?: string;
      stderrPath?: string;
      warning?: string;
    }
  | { outcome: "pending"; handle: Handle };

/** One job as one source showed it. */
export interface JobObservation {
  schedulerId: string;
  /** Full scheduler name, where the source knows it. */
  name?: string;
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled" | "unknown";
  /** The scheduler's own word, first token, upper case: `COMPLETING`, `CANCELLED`. */
  schedulerState: string;
  /** For ends, and for jobs that can never start. */
  reason?: JobReason;
  /** For waiting jobs: the scheduler's reason word (`Resources`, `JobHeldUser`). */
  pendingReason?: string;
  exitCode?: number;
  signal?: number;
  startedAt?: number;
  endedAt?: number;
  elapsedSeconds?: number;
  timeLimitSeconds?: number;
  nodes?: string;
  workingDirectory?: string;
  stdoutPath?: string;
  stderrPath?: string;
  /** Accounting has a row but does not know the job yet: proves that the id exists, and nothing else. */
  skeleton: boolean;
  /** An end that the scheduler may take back (PREEMPTED, NODE_FAIL, REQUEUED): look once more before announcing. */
  revocable: boolean;
  /** One row per array as a whole: `counts` by state of the elements that the spec implies. */
  array?: {
    total: number;
    succeeded: number;
    failed: number;
    cancelled: number;
    running: number;
    queued: number;
    failedIndices: number[];
  };
}

/** What the round wants to know of one job. */
export interface TrackedJob {
  schedulerId: string;
  /** The name we gave it, for telling our row from a re-used id. */
  name?: string;
  acceptedAt: number;
  submittedAt?: number;
  /** Last known state; lets the client ask expensive questions only about changes. */
  status: "submitting" | "queued" | "running" | "lost" | "ended";
  /** Elements that `#SBATCH --array` implies, where the job is an array. */
  arraySize?: number;
  /** Ask by id: new, vanished, to be confirmed. */
  confirm: boolean;
}

export interface Round {
  /** When the first request of this round left: an observation never applies to a row changed later than this. */
  requestedAt: number;
  seen: Map<string, JobObservation>;
  /** Asked by id and not there: still no ending (absence is never an ending). */
  notSeen: Set<string>;
  /** Could not be read this time; says nothing about the job. */
  unread: Set<string>;
  requests: number;
  warnings: string[];
}

export type HandleState =
  /**
   * `upload`: v1 shows the form for as long as it waits for the file, and may show the link of what will be staged.
   * `retrying`: it could not put the file in its place, and tries again by itself. `handle`: what the operation is known by
   * from now on. `schedulerState`: of the job that carries it.
   */
  | {
      state: "working";
      detail?: string;
      upload?: UploadForm;
      staging?: { url: string; expiresAt: number };
      retrying?: boolean;
      handle?: Handle;
      schedulerState?: string;
    }
  | {
      state: "done";
      schedulerId?: string;
      stdoutPath?: string;
      stderrPath?: string;
      workingDirectory?: string;
      staging?: { url: string; expiresAt: number };
      upload?: UploadForm;
      warning?: string;
    }
  /** `certain: false` = it may still have had its effect (v1 task 400 after sbatch, deadline). */
  | {
      state: "failed";
      certain: boolean;
      message: string;
      code: import("./errors.ts").FirecrestErrorCode;
      schedulerState?: string;
    }
  /** The site has forgotten it. */
  | { state: "gone" };

/** v1: one form POST (file last). v2: parts of exactly `partBytes` by PUT, then `complete`. All URLs are secrets. */
export type UploadForm =
  | { kind: "form"; url: string; fields: Record<string, string> }
  | { kind: "parts"; partUrls: string[]; partBytes: number; completeUrl: string };

export interface FileStat {
  size: number;
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since the epoch. */
  mtime: number;
  isDirectory: boolean;
}

export interface FileEntry {
  name: string;
  type: string;
  linkTarget?: string;
  user: string;
  group: string;
  permissions: string;
  /** The site's local time, without zone, as it came. */
  lastModified: string;
  size: number;
}

export interface TailOptions {
  lines?: number;
  bytes?: number;
}

/** Synchronous file operations; each is one command of at most `commandTimeoutSeconds` on the site. */
export interface FileOps {
  ls(system: string, path: string, options?: { hidden?: boolean; recursive?: boolean }): Promise<FileEntry[]>;
  stat(system: string, path: string, options?: { dereference?: boolean }): Promise<FileStat>;
  head(system: string, path: string, options?: TailOptions): Promise<string>;
  tail(system: string, path: string, options?: TailOptions): Promise<string>;
  /** Whole text of a small file. */
  view(system: string, path: string): Promise<string>;
  /** SHA-256, lower-case hex. Throws `command_timeout` for files too large for the site's limit. */
  checksum(system: string, path: string): Promise<string>;
  fileType(system: string, path: string): Promise<string>;
  mkdir(system: string, path: string, options?: { parents?: boolean }): Promise<void>;
  symlink(system: string, target: string, link: string): Promise<void>;
  chmod(system: string, path: string, mode: string): Promise<void>;
  chown(system: string, path: string, owner?: string, group?: string): Promise<void>;
  remove(system: string, path: string): Promise<void>;
  /** Small files only: at most `directMaxBytes`. */
  download(system: string, path: string): Promise<Uint8Array>;
  upload(system: string, directory: string, fileName: string, content: Uint8Array): Promise<void>;
  /** `done` where the site has a synchronous form (v1), else a file job. */
  move(
    system: string,
    from: string,
    to: string,
    account?: string,
  ): Promise<{ done: true } | { done: false; handle: Handle }>;
  copy(
    system: string,
    from: string,
    to: string,
    account?: string,
  ): Promise<{ done: true } | { done: false; handle: Handle }>;
  compress(system: string, from: string, to: string, options?: { dereference?: boolean }): Promise<void>;
  extract(system: string, from: string, to: string): Promise<void>;
}

/** Each operation of v1's own tool for reservations, which few sites have; v2 has none. `name`: lower-case letters, digits, `-_$`. */
export interface ReservationOps {
  list(system: string): Promise<MachineReservation[]>;
  create(system: string, name: string, account: string, request: ReservationRequest): Promise<void>;
  change(system: string, name: string, request: ReservationRequest): Promise<void>;
  remove(system: string, name: string): Promise<void>;
}

export type FileJob =
  | { op: "move" | "copy" | "compress" | "extract" | "rsync"; from: string; to: string; dereference?: boolean }
  | { op: "remove"; path: string };

/** One lookup of a job by the exact name that we gave it. */
export interface NameLookup {
  requestedAt: number;
  matches: JobObservation[];
  /** False when a young row without a name yet might be ours: "not there" cannot be concluded from this answer. */
  conclusive: boolean;
}

export interface Firecrest {
  readonly api: Api;
  readonly files: FileOps;
  readonly reserving: ReservationOps;

  systems(): Promise<SystemStatus[]>;
  parameters(): Promise<SiteParameters>;
  services(): Promise<ServiceStatus[]>;
  /** One of them by its name. */
  service(name: string): Promise<ServiceStatus>;
  heartbeats(): Promise<Heartbeat[]>;
  /** Unix user behind the credential, for default directories. */
  whoami(system: string): Promise<string>;

  nodes(system: string): Promise<MachineNode[]>;
  partitions(system: string): Promise<MachinePartition[]>;
  reservations(system: string): Promise<MachineReservation[]>;

  /** Never retried inside. `after_check` errors mean: it may have been submitted. */
  submit(job: Submission): Promise<SubmitResult>;
  /** `over`: the scheduler says the job had already ended or is unknown. */
  cancel(system: string, schedulerId: string): Promise<"requested" | "over">;
  /**
   * Runs a shell command beside a running job, within the site's time for one command; its output is not told. Never sent
   * twice: nothing shows afterwards whether it ran. v1: `not_supported`.
   */
  attach(system: string, schedulerId: string, command: string): Promise<{ exitCode: number }>;
  /** One poll round for one system: at most six requests, plus by-id confirmations that grow with changes only. */
  round(system: string, jobs: TrackedJob[]): Promise<Round>;
  /** Looks for a job by its exact full name among jobs not older than `since`. */
  findByName(system: string, name: string, since: number): Promise<NameLookup>;
  /** Where a job's output goes, where the site can tell after the fact. */
  outputPaths(
    system: string,
    schedulerId: string,
  ): Promise<{ stdoutPath?: string; stderrPath?: string; workingDirectory?: string }>;

  /** Starts to stage a file for download. `path` must be of the bare class. */
  stage(system: string, path: string, account?: string): Promise<Handle>;
  /** Looks for a staging whose answer was lost (v1: in the task list by source, system and time; v2: never found). */
  findStaged(system: string, path: string, since: number): Promise<Handle | undefined>;
  /** Looks for an upload whose answer was lost and that still waits for its file (v1 only: v2's links are in the answer). */
  findUpload(system: string, path: string, since: number): Promise<Handle | undefined>;
  /** Starts an upload to the HPC side. */
  stageUpload(
    system: string,
    path: string,
    bytes: number,
    account?: string,
  ): Promise<{ handle: Handle; form?: UploadForm }>;
  /** Starts a file operation as a job. `after`: once that job of the scheduler has succeeded; v2: `not_supported`. */
  fileJob(system: string, job: FileJob, account?: string, after?: string): Promise<Handle>;
  /** State of long operations, in as few requests as the API allows. Same order as asked. */
  observe(handles: Handle[]): Promise<HandleState[]>;
  /** Asks the site to release a staged object. The answer proves nothing; `probe` does. */
  release(handle: Handle): Promise<void>;
  /** Asks the object store itself with `Range: bytes=0-0`. `dead` = 403, 404 or 410. */
  probe(
    url: string,
  ): Promise<{ outcome: "live"; totalBytes: number; etag?: string } | { outcome: "dead" | "unsure"; status?: number }>;
}
