/**
 * The life of a job, as pure decisions: a record and something seen go in, a new record and what to announce come out.
 *
 *     accepted → staging_in → submitting → queued ⇄ running → succeeded | failed | cancelled, and lost
 *
 * The scheduler moves a job between `queued` and an end; people move it to `cancelled`; only our own silence moves it to
 * `lost`. Three rules keep announcements true: absence is never an ending, an older look never undoes a newer record, and
 * a step that clusters show by mistake (a stale PENDING, an end that may be taken back) counts only when seen twice.
 */
import type { FileOperation } from "../contract/file.ts";
import type { Job, JobRequest, Warning } from "../contract/job.ts";
import type { EventType, JobReason, JobStatus, TransferStatus } from "../contract/states.ts";
import { isEndedJob } from "../contract/states.ts";
import { stuck, walltimePercent } from "./warnings.ts";

/** A step that needs a second look: first seen at `since`. */
export interface Suspicion {
  step: "requeue" | "end";
  state: string;
  since: number;
}

/** What the Tracker stores of a job. Times in ms since the epoch. */
export interface JobRecord {
  id: string;
  system: string;
  status: JobStatus;
  run: number;
  acceptedAt: number;
  /** When anything in this record last changed. */
  changedAt: number;
  request?: JobRequest;
  /** The whole addresses of its inputs from elsewhere, as JSON by their places; the request shows them without their queries. */
  sealedUrls?: string;
  actor: string;
  name?: string;
  labels?: Record<string, string>;
  /** The full name that the scheduler knows, tag included. */
  schedulerName?: string;
  /** Whether that name finds the job again after a lost answer. */
  tagged: boolean;
  /** Its script hashes its outputs when it ends, see `firecrest/manifest.ts`. */
  manifest?: boolean;
  watched?: boolean;
  /** A file operation that the site runs as a job; see `file-operation.ts` for its life. */
  operation?: FileOperation;
  /** Jobs of the watched name that had ended before it was first looked for. */
  passedOver?: string[];
  arraySize?: number;
  workingDirectory?: string;
  stdoutPath?: string;
  stderrPath?: string;
  schedulerId?: string;
  schedulerState?: string;
  reason?: JobReason;
  detail?: string;
  exitCode?: number;
  signal?: number;
  submittedAt?: number;
  startedAt?: number;
  endedAt?: number;
  settledAt?: number;
  timeLimitSeconds?: number;
  array?: NonNullable<Job["array"]>;
  cancelRequestedAt?: number;
  missingSince?: number;
  suspicion?: Suspicion;
  /** The end may be taken back by the scheduler until then; the job is still watched. */
  revocableUntil?: number;
  /** Of the request that it came with. */
  traceparent?: string;
  /** Lets the job itself wake the poll (`ping: true`); it opens nothing and changes nothing. */
  pingToken?: string;
  /** A ping of it came: its script reaches us. */
  calls?: true;
  /** Highest walltime warning already given: 50, 80 or 90. */
  warnedPercent?: number;
  outputs: {
    transferId: string;
    path: string;
    key: string;
    status: TransferStatus;
    when: "success" | "failure" | "always";
  }[];
  inputs?: { transferId: string; path: string; status: TransferStatus }[];
  warnings: Warning[];
}

/** What one look at the scheduler said: the port's `JobObservation`, as far as decisions need it. */
export interface SeenJob {
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled" | "unknown";
  schedulerState: string;
  reason?: JobReason;
  pendingReason?: string;
  /** What that reason means, where somebody should know. `never`: it stays so until somebody changes something. */
  waiting?: { never: boolean; words: string };
  exitCode?: number;
  signal?: number;
  startedAt?: number;
  elapsedSeconds?: number;
  timeLimitSeconds?: number;
  workingDirectory?: string;
  stdoutPath?: string;
  stderrPath?: string;
  skeleton: boolean;
  revocable: boolean;
  array?: NonNullable<Job["array"]>;
}

export interface Announcement {
  type: EventType;
  extra?: Record<string, unknown>;
}

export interface Step {
  record: JobRecord;
  announce: Announcement[];
  changed: boolean;
}

/** A running job shown as waiting, or an end that may be taken back, is believed after this long. */
export const SECOND_LOOK_MS = 10_000;
/** A job that no source shows is `lost` after this long: longer than any accounting delay seen. */
export const LOST_AFTER_MS = 10 * 60_000;
/** How long after a revocable end the scheduler may still bring the job back. */
export const REVOCABLE_MS = 10 * 60_000;

/** From → to, for steps that the scheduler or its silence may cause. Everything not listed is refused. */
export const SCHEDULER_STEPS = {
  // Only what is watched meets the scheduler here; a job of ours has no scheduler id yet.
  accepted: ["queued", "running", "succeeded", "failed", "cancelled", "lost"],
  staging_in: [],
  submitting: ["queued", "running", "succeeded", "failed", "cancelled", "lost"],
  queued: ["running", "succeeded", "failed", "cancelled", "lost"],
  running: ["queued", "succeeded", "failed", "cancelled", "lost"],
  lost: ["queued", "running", "succeeded", "failed", "cancelled"],
  succeeded: ["queued", "running"],
  failed: ["queued", "running"],
  cancelled: ["queued", "running"],
} as const satisfies Record<JobStatus, readonly JobStatus[]>;

/** Whether the scheduler has to be asked about this job. */
export function isTracked(record: JobRecord, now: number): boolean {
  // How a file operation went is not in its job's state.
  if (record.schedulerId === undefined || record.operation !== undefined) return false;
  return !isEndedJob(record.status) || now < (record.revocableUntil ?? 0);
}

const unchanged = (record: JobRecord): Step => ({ record, announce: [], changed: false });

/** Drops `undefined` so that records stay exact. */
export const compact = <T extends object>(value: { [K in keyof T]: T[K] | undefined }): T =>
  Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as T;

/** The scheduler showed the job. `requestedAt` is when that look began; `now` is when it is applied. */
export function observed(record: JobRecord, seen: SeenJob, requestedAt: number, now: number): Step {
  const step = stepTo(record, seen, requestedAt, now);
  const isBelieved = requestedAt >= record.changedAt && !seen.skeleton && seen.state === "queued";
  return isBelieved && step.record.status === "queued" ? stuck(step, seen, now) : step;
}

function stepTo(record: JobRecord, seen: SeenJob, requestedAt: number, now: number): Step {
  if (requestedAt < record.changedAt || seen.state === "unknown") return unchanged(record);
  if (seen.skeleton)
    return record.missingSince === undefined ? unchanged(record) : clear(record, ["missingSince"], now);

  const base = withoutMissing(learn(record, seen));
  const target = seen.state;
  if (!(SCHEDULER_STEPS[record.status] as readonly JobStatus[]).includes(target)) {
    return stayed(record, base, seen, now);
  }

  const ended = isEndedJob(target as JobStatus);
  const alive = !ended;
  const backFromEnd = alive && isEndedJob(record.status);
  const requeue = (record.status === "running" && target === "queued") || backFromEnd;
  const doubtful = requeue || (ended && seen.revocable);
  if (doubtful) {
    const step = requeue ? "requeue" : "end";
    const known = record.suspicion;
    if (known === undefined || known.step !== step || known.state !== target) {
      return {
        record: { ...base, suspicion: { step, state: target, since: now }, changedAt: now },
        announce: [],
        changed: true,
      };
    }
    if (now - known.since < SECOND_LOOK_MS) return unchanged(record);
  }

  const { suspicion: _settled, ...trusted } = base;
  if (ended) return ending(trusted, seen, now);

  const found: Announcement[] = record.status === "lost" ? [{ type: "job.found" }] : [];
  if (requeue) {
    const {
      startedAt: _s,
      endedAt: _e,
      exitCode: _c,
      signal: _g,
      reason: _r,
      detail: _d,
      revocableUntil: _u,
      warnedPercent: _w,
      settledAt: _t,
      ...fresh
    } = trusted;
    const next: JobRecord = { ...fresh, status: target as JobStatus, run: record.run + 1, changedAt: now };
    if (target === "running") next.startedAt = startOf(seen, now);
    return {
      record: next,
      announce: [{ type: "job.requeued" }, ...(target === "running" ? [{ type: "job.running" as const }] : [])],
      changed: true,
    };
  }
  if (target === "running") {
    const next: JobRecord = { ...trusted, status: "running", startedAt: startOf(seen, now), changedAt: now };
    return { record: next, announce: [...found, { type: "job.running" }], changed: true };
  }
  return {
    record: { ...trusted, status: "queued", changedAt: now },
    announce: [...found, { type: "job.queued" }],
    changed: true,
  };
}

/** The job was asked for by id and no source knew it. */
export function notSeen(record: JobRecord, requestedAt: number, now: number): Step {
  if (requestedAt < record.changedAt || record.status === "lost" || isEndedJob(record.status)) return unchanged(record);
  if (record.missingSince === undefined) {
    return { record: { ...record, missingSince: now, changedAt: now }, announce: [], changed: true };
  }
  if (now - record.missingSince < LOST_AFTER_MS) return unchanged(record);
  return {
    record: { ...record, status: "lost", reason: "not_seen", changedAt: now },
    announce: [{ type: "job.lost" }],
    changed: true,
  };
}

/** The site took the job. */
export function submitted(
  record: JobRecord,
  taken: {
    schedulerId: string;
    submittedAt?: number;
    workingDirectory?: string;
    stdoutPath?: string;
    stderrPath?: string;
  },
  now: number,
): Step {
  if (record.schedulerId !== undefined || isEndedJob(record.status)) return unchanged(record);
  const next = compact<JobRecord>({
    ...record,
    ...taken,
    workingDirectory: taken.workingDirectory ?? record.workingDirectory,
    status: "queued" as const,
    submittedAt: taken.submittedAt ?? now,
    changedAt: now,
  });
  return { record: next, announce: [{ type: "job.queued" }], changed: true };
}

/** We end the job ourselves: refused by the site, inputs failed, outcome unknown, cancelled before it was sent. */
export function endedByUs(
  record: JobRecord,
  status: "failed" | "cancelled",
  reason: JobReason,
  detail: string | undefined,
  now: number,
): Step {
  if (isEndedJob(record.status)) return unchanged(record);
  const next = compact<JobRecord>({ ...record, status, reason, detail, endedAt: now, changedAt: now });
  return { record: next, announce: [{ type: `job.${status}` }], changed: true };
}

/** An ended job whose outputs have all ended is settled, once per run. */
export function settle(record: JobRecord, now: number): Step {
  if (!isEndedJob(record.status) || record.settledAt !== undefined) return unchanged(record);
  if (
    record.outputs.some(
      (output) => output.status !== "stored" && output.status !== "failed" && output.status !== "cancelled",
    )
  )
    return unchanged(record);
  return { record: { ...record, settledAt: now, changedAt: now }, announce: [{ type: "job.settled" }], changed: true };
}

/** Whether an output is wanted after this end. */
export function isWanted(when: "success" | "failure" | "always", status: JobStatus): boolean {
  return when === "always" || (when === "success") === (status === "succeeded");
}

function ending(record: JobRecord, seen: SeenJob, now: number): Step {
  const status = seen.state as "succeeded" | "failed" | "cancelled";
  const asked = status === "cancelled" && record.cancelRequestedAt !== undefined;
  const reason = asked
    ? ("cancelled_by_request" as const)
    : status === "cancelled"
      ? (seen.reason ?? ("cancelled_by_scheduler" as const))
      : seen.reason;
  const next = compact<JobRecord>({
    ...record,
    status,
    reason,
    detail: undefined,
    exitCode: seen.exitCode,
    signal: seen.signal,
    startedAt: record.startedAt ?? (hasRun(seen) ? startOf(seen, now) : undefined),
    endedAt: now,
    revocableUntil: seen.revocable ? now + REVOCABLE_MS : undefined,
    changedAt: now,
  });
  if (status === "succeeded") delete next.reason;
  return { record: next, announce: [{ type: `job.${status}` }], changed: true };
}

/** Seen where it was: nothing to announce except walltime warnings; written only when a fact changed. */
function stayed(before: JobRecord, base: JobRecord, seen: SeenJob, now: number): Step {
  const { suspicion, ...calm } = base;
  const next: JobRecord = suspicion !== undefined && seen.state === before.status ? calm : base;
  const percent = walltimePercent(next, seen);
  const announce: Announcement[] = [];
  if (percent !== undefined) {
    next.warnedPercent = percent;
    announce.push({ type: "job.walltime_warning", extra: { percent } });
  }
  const changed = announce.length > 0 || JSON.stringify(next) !== JSON.stringify(before);
  return changed ? { record: { ...next, changedAt: now }, announce, changed } : unchanged(before);
}

/** Facts that a look may add without being a step. Elapsed time is not kept: it would write a row every round. */
function learn(record: JobRecord, seen: SeenJob): JobRecord {
  return compact<JobRecord>({
    ...record,
    schedulerState: seen.schedulerState,
    timeLimitSeconds: seen.timeLimitSeconds ?? record.timeLimitSeconds,
    workingDirectory: record.workingDirectory ?? seen.workingDirectory,
    stdoutPath: record.stdoutPath ?? seen.stdoutPath,
    stderrPath: record.stderrPath ?? seen.stderrPath,
    array: seen.array ?? record.array,
    // What lives has no reason but the one for which it waits.
    ...(isEndedJob(record.status) || isEndedJob(seen.state as JobStatus) ? {} : reasonToWait(record, seen)),
  });
}

function reasonToWait({ status }: JobRecord, { state, waiting }: SeenJob) {
  if (state !== "queued" || status === "running" || waiting === undefined)
    return { reason: undefined, detail: undefined };
  return { reason: waiting.never ? ("never_starts" as const) : undefined, detail: waiting.words };
}

function withoutMissing(record: JobRecord): JobRecord {
  const { missingSince: _, ...seen } = record;
  return seen;
}

function clear(record: JobRecord, fields: ("missingSince" | "suspicion")[], now: number): Step {
  const next: JobRecord = { ...record, changedAt: now };
  for (const field of fields) delete next[field];
  return { record: next, announce: [], changed: true };
}

/** Between two looks a job may start and end; one that ran for less than a second has run all the same. */
const hasRun = ({ state, reason, elapsedSeconds = 0 }: SeenJob): boolean =>
  elapsedSeconds > 0 || state === "succeeded" || reason === "exit_code";

/** Our own clock decides: site times carry no zone. */
const startOf = (seen: SeenJob, now: number): number => now - (seen.elapsedSeconds ?? 0) * 1000;
