/**
 * One poll round of one system. Accounting is asked about all jobs at once, the queue only about jobs that accounting may
 * not know yet, both are read through one task list, and never more than six requests leave, whatever the number of jobs.
 * `GET /compute/jobs/{id}` is not used (its task never ends), nor the queue with `userJobs` on (three commands per job).
 */
import { FirecrestError } from "../errors.ts";
import type { Part } from "../parts.ts";
import type { ClientDeps, Round, TrackedJob } from "../port.ts";
import { siteText } from "../redact.ts";
import { parseRowId } from "../row-id.ts";
import { type Call, createCall } from "./call.ts";
import { mergeSources, needsQueue, observeAccountingRow, observeQueueRow } from "./rows.ts";
import { createdTask, isFinished, readTasks, type Task, taskErrorText } from "./tasks.ts";
import { decodeAccounting, decodeQueue } from "./wire.ts";

const MAX_REQUESTS = 6;
/** More ids would make the address long; above this, accounting is asked by date and matched here. */
const MAX_IDS = 100;
/** Before each reading of the tasks: accounting takes 0.4 s, the queue up to 5 s. */
const WAITS_MS = [700, 1_300, 3_500];

/** Parts by job id; undefined where the source gave no usable answer. */
type Source = Map<string, Part[]> | undefined;

export async function pollRound(deps: ClientDeps, system: string, jobs: TrackedJob[]): Promise<Round> {
  const round = new PollRound(deps, system);
  const askable = jobs.filter((job) => isJobId(job.schedulerId));
  if (askable.length > 0) await round.ask(askable);
  return round.verdict(jobs, new Set(askable));
}

/** Ids that v1 takes; any other would fail the whole request. */
export const isJobId = (id: string): boolean => /^\d{1,12}([_+]\d{1,9})?$/.test(id);

/** sacct's `--starttime`: v1 takes plain dates only and ignores anything else. A day early, whatever the site's zone. */
export const dayBefore = (time: number): string => new Date(time - 86_400_000).toISOString().slice(0, 10);

class PollRound {
  readonly #requestedAt: number;
  readonly #deps: ClientDeps;
  readonly #system: string;
  readonly #call: Call;
  readonly #warnings: string[] = [];
  readonly #asked = new Set<string>();
  #requests = 0;
  #accounting: Source;
  #queue: Source;

  constructor(deps: ClientDeps, system: string) {
    this.#deps = deps;
    this.#system = system;
    this.#requestedAt = deps.now();
    this.#call = createCall({
      ...deps,
      fetch: (url, init) => {
        this.#requests++;
        return deps.fetch(url, init);
      },
    });
  }

  async ask(jobs: TrackedJob[]): Promise<void> {
    const few = jobs.length <= MAX_IDS;
    const fresh = few ? jobs.filter((job) => job.status !== "running" && job.status !== "ended") : [];
    const [accounting, queue] = await this.#finish([
      this.#create("acct", few ? { jobs: idsOf(jobs) } : { starttime: dayBefore(oldest(jobs)) }),
      this.#createQueue(fresh),
    ]);
    this.#readAccounting(accounting);
    // One unknown id can fail a whole list on some Slurm releases: then it is asked without ids and matched here.
    const listFailed = this.#readQueue(queue, fresh);
    const doubtful = listFailed ? fresh : this.#mostDoubtful(jobs);
    // A list by date holds the user's own jobs only.
    const unconfirmed = few ? [] : jobs.filter((job) => job.confirm && ownParts(job, this.#accounting).length === 0);
    if (doubtful.length === 0 || this.#requests + (unconfirmed.length === 0 ? 2 : 3) > MAX_REQUESTS) return;
    const [again, byId] = await this.#finish([
      this.#createQueue(doubtful, listFailed),
      unconfirmed.length === 0 ? undefined : this.#create("acct", { jobs: idsOf(unconfirmed.slice(0, MAX_IDS)) }),
    ]);
    this.#readQueue(again, listFailed ? jobs : doubtful);
    this.#readAccounting(byId);
  }

  verdict(jobs: TrackedJob[], askable: Set<TrackedJob>): Round {
    const round: Round = {
      requestedAt: this.#requestedAt,
      seen: new Map(),
      notSeen: new Set(),
      unread: new Set(),
      requests: this.#requests,
      warnings: this.#warnings,
    };
    for (const job of jobs) {
      const id = job.schedulerId;
      const merged = askable.has(job) ? this.#merge(job) : "unread";
      if (merged === "unread") round.unread.add(id);
      else if (merged === "not_seen") round.notSeen.add(id);
      else round.seen.set(id, merged);
    }
    return round;
  }

  #merge(job: TrackedJob) {
    if (this.#accounting === undefined && this.#queue === undefined) return "unread";
    const accounting = ownParts(job, this.#accounting);
    const queue = this.#asked.has(job.schedulerId) ? ownParts(job, this.#queue) : undefined;
    // The queue's silence proves nothing without accounting.
    if (this.#accounting === undefined && (queue === undefined || queue.length === 0)) return "unread";
    return mergeSources(
      {
        schedulerId: job.schedulerId,
        wasRunning: job.status === "running",
        ...(job.arraySize === undefined ? {} : { arraySize: job.arraySize }),
      },
      { accounting, ...(queue === undefined ? {} : { queue }) },
    );
  }

  async #create(what: "acct" | "jobs", query: Record<string, string | undefined>): Promise<string | undefined> {
    const path = `/compute/${what}`;
    const answer = await this.#call({ method: "GET", path, system: this.#system, query, effect: false });
    return createdTask(path, answer);
  }

  /** The queue is the second source: what only it fails with is a warning. */
  async #createQueue(jobs: TrackedJob[], withoutIds = false): Promise<string | undefined> {
    if (jobs.length === 0) return undefined;
    try {
      return await this.#create("jobs", { jobs: withoutIds ? undefined : idsOf(jobs), userJobs: "false" });
    } catch (error) {
      const fatal =
        !(error instanceof FirecrestError) || error.code === "rate_limited" || error.code === "unauthorized";
      if (fatal) throw error;
      this.#warnings.push(error.message);
      return undefined;
    }
  }

  /** Reads the tasks until they are finished, as often as the limit allows. Unfinished ones are undefined. */
  async #finish(created: (Promise<string | undefined> | undefined)[]): Promise<(Task | undefined)[]> {
    const ids = await Promise.all(created);
    const known = ids.filter((id) => id !== undefined);
    let tasks = new Map<string, Task>();
    for (const wait of known.length === 0 ? [] : WAITS_MS) {
      if (this.#requests >= MAX_REQUESTS) break;
      await this.#deps.sleep(wait);
      try {
        tasks = await readTasks(this.#call, known);
      } catch (error) {
        // Everybody's queue can be larger than we read.
        if (error instanceof FirecrestError && error.code === "too_large") break;
        throw error;
      }
      if (known.every((id) => isFinished(tasks.get(id)))) break;
    }
    return ids.map((id) => {
      const task = id === undefined ? undefined : tasks.get(id);
      if (id !== undefined && !isFinished(task)) this.#warnings.push("the site did not finish a query in time");
      return isFinished(task) ? task : undefined;
    });
  }

  #readAccounting(task: Task | undefined): void {
    const decode = (data: unknown) => decodeAccounting(data).map((row) => observeAccountingRow(row, this.#requestedAt));
    const parts = this.#source(task, decode);
    if (parts !== undefined) this.#accounting = new Map([...(this.#accounting ?? []), ...parts]);
  }

  #source(task: Task | undefined, decode: (data: unknown) => Part[]): Source {
    if (task === undefined) return undefined;
    if (task.status === 200) return Map.groupBy(decode(task.data), ({ id }) => id.base);
    this.#warnings.push(siteText(taskErrorText(task)) || `a query ended with ${task.status}`);
    return undefined;
  }

  /** Takes over a queue answer. True when the list failed because of an id in it. */
  #readQueue(task: Task | undefined, jobs: TrackedJob[]): boolean {
    if (task === undefined) return false;
    const unknownId = task.status === 400 && /invalid job id/i.test(taskErrorText(task));
    if (unknownId && jobs.length > 1) return true;
    const decode = (data: unknown) => decodeQueue(data).map((row) => observeQueueRow(row, this.#requestedAt));
    // A single id that the queue has forgotten: the same as an empty list.
    const parts = unknownId ? new Map<string, Part[]>() : this.#source(task, decode);
    if (parts === undefined) return false;
    this.#queue = new Map([...(this.#queue ?? []), ...parts]);
    for (const job of jobs) this.#asked.add(job.schedulerId);
    return false;
  }

  /** Jobs that accounting lacks first, then those that it shows waiting; as many as fit into one request. */
  #mostDoubtful(jobs: TrackedJob[]): TrackedJob[] {
    const doubtful = jobs
      .filter((job) => !this.#asked.has(job.schedulerId))
      .map((job) => ({ job, parts: ownParts(job, this.#accounting) }))
      .filter(({ parts }) => needsQueue(parts));
    return doubtful
      .sort((a, b) => Number(a.parts.length > 0) - Number(b.parts.length > 0))
      .slice(0, MAX_IDS)
      .map(({ job }) => job);
  }
}

const idsOf = (jobs: TrackedJob[]): string => jobs.map((job) => job.schedulerId).join(",");

const oldest = (jobs: TrackedJob[]): number => Math.min(...jobs.map((job) => job.submittedAt ?? job.acceptedAt));

/** The rows of a job; not those of another job that has been given the same id, nor, for one element, of its siblings. */
function ownParts(job: TrackedJob, source: Source): Part[] {
  const wanted = parseRowId(job.schedulerId);
  const parts = source?.get(wanted.base) ?? [];
  const ours = parts.filter(({ seen, id }) => isOurName(job, seen.name) || id.part.kind === "component");
  if (wanted.part.kind === "whole") return ours;
  const { part } = wanted;
  const same = ours.filter(
    ({ id }) => id.part.kind === part.kind && "index" in id.part && id.part.index === part.index,
  );
  // Asked for by itself, an element is a job like any other.
  return same.map(({ seen }) => ({ id: { base: job.schedulerId, part: { kind: "whole" } }, seen }));
}

const isOurName = (job: TrackedJob, name: string | undefined): boolean =>
  job.name === undefined || name === undefined || name === job.name;
