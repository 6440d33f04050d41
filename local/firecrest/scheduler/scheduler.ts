/**
 * The queue of one machine: first come, first served, over a number of CPUs. It knows nothing about how a job is run; that
 * is the executor's part. All decisions happen in `settle`, which may be called at any time and as often as one likes.
 */
import type { JobRequest } from "../host.ts";
import type { Store } from "../store.ts";
import { dependencyState } from "./dependencies.ts";
import { isFinal, type JobRecord, type Machine } from "./records.ts";

/** How a run ended. `cause` says it was not the script's own doing. */
export interface RunEnd {
  at: number;
  exitCode: number;
  signal: number;
  cause?: "timeout" | "lost" | "out_of_memory";
}

/** Runs jobs. `job.run` is its own note, kept with the record. */
export interface Executor {
  /** Keeps what a later start needs beside the record. Called once, before the job is queued. */
  prepare(job: JobRecord, request: JobRequest): Promise<void>;
  /** Starts a run and returns the note for it. */
  start(job: JobRecord): Promise<unknown>;
  /** The end of a run, if it has ended by `now`. */
  ended(job: JobRecord, now: number): Promise<RunEnd | undefined>;
  /** Asks a run to end (TERM, then KILL). May be called again. */
  kill(job: JobRecord, now: number): Promise<unknown>;
  /** When something will happen to the run by itself, where that is known. */
  nextEventAt(job: JobRecord): number | undefined;
  /** Forgets everything about a run that has ended. */
  discard(job: JobRecord): Promise<void>;
}

export interface SchedulerOptions {
  store: Store;
  executor: Executor;
  machine: Machine;
  now(): number;
  /** From submission to the earliest start. */
  startDelayMs: number;
  /** How long an ended job still shows as COMPLETING. */
  completingMs: number;
  /** How long ended jobs stay in the controller's memory (Slurm's MinJobAge). */
  minJobAgeMs: number;
}

export class Scheduler {
  readonly options: SchedulerOptions;
  readonly #jobs = new Map<number, JobRecord>();
  #lastId = 0;
  #turn: Promise<void> = Promise.resolve();

  constructor(options: SchedulerOptions) {
    this.options = options;
    for (const { value } of options.store.entries<JobRecord>("job/")) this.#jobs.set(value.id, value);
    this.#lastId = options.store.get<number>("last-job-id") ?? 0;
  }

  get jobs(): Iterable<JobRecord> {
    return this.#jobs.values();
  }

  job(id: number): JobRecord | undefined {
    return this.#jobs.get(id);
  }

  /** Elements of an array, in the order of their indices; empty if there is no such array. */
  arrayElements(base: number): JobRecord[] {
    return [...this.#jobs.values()]
      .filter(({ array }) => array?.base === base)
      .sort((left, right) => (left.array?.index ?? 0) - (right.array?.index ?? 0));
  }

  /** Whether the controller still remembers an ended job. */
  remembers(job: JobRecord): boolean {
    return job.endedAt === undefined || this.options.now() - job.endedAt < this.options.minJobAgeMs;
  }

  /** Takes `count` consecutive ids; they are never given out again. */
  reserveIds(count: number): number {
    const first = this.#lastId + 1;
    this.#lastId += count;
    this.options.store.set("last-job-id", this.#lastId);
    return first;
  }

  /** Adds or changes a record. */
  save(job: JobRecord): void {
    this.#jobs.set(job.id, job);
    this.options.store.set(`job/${String(job.id).padStart(12, "0")}`, job);
  }

  /** Brings every job to where it should be at this moment. */
  settle(): Promise<void> {
    return this.#inTurn(() => this.#settle());
  }

  /** One change at a time: a start and a cancellation must not cross. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }

  /** The next moment at which `settle` may have something to do by itself. */
  nextEventAt(): number | undefined {
    const now = this.options.now();
    const moments: number[] = [];
    for (const job of this.#jobs.values()) {
      if (job.state === "PENDING" && !job.held && job.eligibleAt > now) moments.push(job.eligibleAt);
      if (job.state === "RUNNING") {
        const at = this.options.executor.nextEventAt(job);
        if (at !== undefined) moments.push(at);
      }
      if (job.completingUntil !== undefined && job.completingUntil > now) moments.push(job.completingUntil);
    }
    return moments.length === 0 ? undefined : Math.min(...moments);
  }

  async #settle(): Promise<void> {
    // A start or an end changes what others may do: go round until nothing moves.
    for (let moved = true; moved; ) {
      moved = await this.#endRuns();
      moved = (await this.#startWaiting()) || moved;
    }
  }

  async #endRuns(): Promise<boolean> {
    let moved = false;
    for (const job of this.#jobs.values()) {
      if (job.state !== "RUNNING") continue;
      const end = await this.options.executor.ended(job, this.options.now());
      if (end === undefined) continue;
      await this.#finish(job, end);
      moved = true;
    }
    return moved;
  }

  async #finish(job: JobRecord, end: RunEnd): Promise<void> {
    await this.options.executor.discard(job);
    delete job.run;
    if (job.killing?.cause === "requeue") return this.#backToQueue(job);
    job.endedAt = end.at;
    job.exitCode = end.exitCode;
    job.signal = end.signal;
    job.completingUntil = end.at + this.options.completingMs;
    if (job.killing?.cause === "cancel") {
      job.state = "CANCELLED";
      job.exitCode = 0;
    } else if (end.cause === "timeout") {
      Object.assign(job, { state: "TIMEOUT", exitCode: 0, signal: 0 });
    } else if (end.cause === "lost") job.state = "NODE_FAIL";
    else if (end.cause === "out_of_memory") job.state = "OUT_OF_MEMORY";
    else job.state = end.exitCode === 0 && end.signal === 0 ? "COMPLETED" : "FAILED";
    delete job.killing;
    for (const step of job.steps) {
      if (step.endedAt !== undefined) continue;
      Object.assign(step, { endedAt: end.at, state: job.state, exitCode: job.exitCode, signal: job.signal });
    }
    this.save(job);
  }

  #backToQueue(job: JobRecord): void {
    delete job.killing;
    delete job.startedAt;
    Object.assign(job, { state: "PENDING", reason: "BeginTime", restarts: job.restarts + 1, steps: [] });
    job.eligibleAt = this.options.now() + this.options.startDelayMs;
    this.save(job);
  }

  async #startWaiting(): Promise<boolean> {
    const now = this.options.now();
    let moved = false;
    let queueIsBlocked = false;
    let free = this.options.machine.cpus - this.#cpusInUse();
    for (const job of [...this.#jobs.values()].filter(({ state }) => state === "PENDING").sort(inTurn)) {
      const reason =
        this.#waitReason(job, now) ?? (queueIsBlocked ? "Priority" : job.cpus > free ? "Resources" : undefined);
      if (reason === "Resources") queueIsBlocked = true;
      if (reason !== undefined) {
        if (job.reason !== reason) {
          job.reason = reason;
          this.save(job);
        }
        continue;
      }
      await this.#start(job, now);
      free -= job.cpus;
      moved = true;
    }
    return moved;
  }

  /** Why a job may not start although there is room, or `undefined`. */
  #waitReason(job: JobRecord, now: number): string | undefined {
    if (job.held) return "JobHeldUser";
    const dependency = dependencyState(job, this);
    if (dependency === "never") return "DependencyNeverSatisfied";
    if (dependency === "waiting") return "Dependency";
    if (job.nodeCount > 1) return "PartitionConfig";
    if (job.eligibleAt > now)
      return job.restarts > 0 || job.eligibleAt - job.submittedAt > this.options.startDelayMs ? "BeginTime" : "None";
    const limit = job.array?.limit;
    if (job.array !== undefined && limit !== undefined) {
      const running = this.arrayElements(job.array.base).filter(({ state }) => state === "RUNNING").length;
      if (running >= limit) return "JobArrayTaskLimit";
    }
    return undefined;
  }

  async #start(job: JobRecord, now: number): Promise<void> {
    Object.assign(job, { state: "RUNNING", reason: "None", startedAt: now });
    job.steps = [{ id: `${job.id}.batch`, name: "batch", state: "RUNNING", exitCode: 0, signal: 0, startedAt: now }];
    // Written before the run exists: a crash in between shows as a lost run, never as a second one.
    this.save(job);
    job.run = await this.options.executor.start(job);
    this.save(job);
  }

  #cpusInUse(): number {
    return [...this.#jobs.values()].filter(({ state }) => state === "RUNNING").reduce((sum, job) => sum + job.cpus, 0);
  }

  /** Ends a job that waits or runs; does nothing to one that has ended. `uid`: who asked. */
  cancel(job: JobRecord, uid: number): Promise<void> {
    return this.#inTurn(async () => {
      if (isFinal(job.state)) return;
      job.cancelledBy = uid;
      if (job.state === "PENDING") {
        Object.assign(job, { state: "CANCELLED", endedAt: this.options.now() });
        this.save(job);
      } else await this.#kill(job, "cancel");
      await this.#settle();
    });
  }

  /** Puts a job that runs or has ended back into the queue. */
  requeue(job: JobRecord): Promise<void> {
    return this.#inTurn(async () => {
      if (job.state === "RUNNING") await this.#kill(job, "requeue");
      else {
        delete job.endedAt;
        delete job.completingUntil;
        delete job.cancelledBy;
        Object.assign(job, { exitCode: 0, signal: 0 });
        this.#backToQueue(job);
      }
      await this.#settle();
    });
  }

  async #kill(job: JobRecord, cause: "cancel" | "requeue"): Promise<void> {
    job.killing = { cause };
    job.run = await this.options.executor.kill(job, this.options.now());
    this.save(job);
  }
}

/** First come, first served; the elements of an array by their indices. */
function inTurn(left: JobRecord, right: JobRecord): number {
  const [first, second] = [left.array?.base ?? left.id, right.array?.base ?? right.id];
  return first - second || (left.array?.index ?? 0) - (right.array?.index ?? 0);
}
