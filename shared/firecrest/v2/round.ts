/** One poll round for one system, and the search for a job by its name. */
import type { FirecrestError } from "../errors.ts";
import type { JobObservation, NameLookup, Round, TrackedJob } from "../port.ts";
import { isEnd } from "../states.ts";
import type { Calls } from "./call.ts";
import { concernsOneJob, listJobs, lookAt, timeWindow, WIDEST_WINDOW_MS } from "./job-list.ts";
import type { JobRow } from "./job-row.ts";
import { isRefusalTrace, isSkeleton, observeJob } from "./observation.ts";

/** For one job a single look is no dearer than a list, and tells more. */
const LIST_FROM_JOBS = 2;
/** Looks of one round; the rest is unread until the next. */
const MAX_LOOKS = 24;
/** J2 refuses longer names, and takes a comma for "any of". */
const MAX_FILTER_CHARACTERS = 235;
/** A row that began this long before the job was sent is not that job; covers clocks that differ. */
const YOUNG_MARGIN_MS = 60_000;

export async function readRound(calls: Calls, now: () => number, system: string, jobs: TrackedJob[]): Promise<Round> {
  const requestedAt = now();
  const sentBefore = calls.sent();
  const round: Round = {
    requestedAt,
    seen: new Map(),
    notSeen: new Set(),
    unread: new Set(),
    requests: 0,
    warnings: [],
  };
  if (jobs.length === 0) return round;

  const age = (job: TrackedJob) => requestedAt - (job.submittedAt ?? job.acceptedAt);
  const oldest = jobs.reduce((most, job) => Math.max(most, age(job)), 0);
  const listed =
    jobs.length < LIST_FROM_JOBS ? undefined : await listJobs(calls, system, { window: timeWindow(oldest) });

  const toLookAt: TrackedJob[] = [];
  for (const job of jobs) {
    const seen = listed === undefined ? undefined : observeTracked(job, listed.get(baseOf(job)) ?? [], round);
    if (seen !== undefined) round.seen.set(job.schedulerId, seen);
    if (seen === undefined || isUnsettled(job, seen, age(job))) toLookAt.push(job);
  }

  const chosen = inTurn(toLookAt, requestedAt).slice(0, MAX_LOOKS);
  const looks = await lookAt(calls, system, [...new Set(chosen.map(baseOf))]);
  let failure: FirecrestError | undefined;
  for (const job of toLookAt) {
    const look = looks.get(baseOf(job));
    if (look === undefined || "error" in look) {
      // What the list said still stands.
      if (!round.seen.has(job.schedulerId)) round.unread.add(job.schedulerId);
      if (look !== undefined && concernsOneJob(look.error)) {
        round.warnings.push(`job ${job.schedulerId}: ${look.error.message}`);
      } else failure ??= look?.error;
      continue;
    }
    const seen = "absent" in look ? undefined : observeTracked(job, look.rows, round);
    if (seen !== undefined) round.seen.set(job.schedulerId, seen);
    else {
      round.seen.delete(job.schedulerId);
      round.notSeen.add(job.schedulerId);
    }
  }
  // A round that learned nothing at all is the site's failure, not the jobs'.
  if (failure !== undefined && round.seen.size === 0 && round.notSeen.size === 0) throw failure;
  round.requests = calls.sent() - sentBefore;
  return round;
}

/** The id that the site can be asked for. */
const baseOf = (job: TrackedJob): string => /^[A-Za-z0-9]+/.exec(job.schedulerId)?.[0] ?? job.schedulerId;

function observeTracked(job: TrackedJob, rows: readonly JobRow[], round: Round): JobObservation | undefined {
  const part = job.schedulerId === baseOf(job) ? rows : rows.filter((row) => row.id === job.schedulerId);
  const ours = part.filter((row) => isSkeleton(row) || isOurName(job.name, row.name));
  if (part.length > 0 && ours.length === 0) {
    round.warnings.push(`job ${job.schedulerId} has another name at the site: its number was used again`);
  }
  const seen = observeJob(job.schedulerId, ours, job.arraySize);
  return seen === undefined ? undefined : { ...seen, schedulerId: job.schedulerId };
}

/** PBS cuts names; a name that begins ours still is ours. */
function isOurName(ours: string | undefined, theirs: string | undefined): boolean {
  if (ours === undefined || theirs === undefined) return true;
  return ours === theirs || (theirs.length >= 15 && ours.startsWith(theirs));
}

/**
 * Whether what the list shows needs a look of its own: an end that is to be confirmed, and an array that the list may show
 * in part, where it shows something new. A job that is seen waiting or running needs no confirmation.
 */
function isUnsettled(job: TrackedJob, seen: JobObservation, ageMs: number): boolean {
  if (job.confirm && isEnd(seen.state)) return true;
  if (job.arraySize === undefined && seen.array === undefined) return false;
  return seen.array === undefined || isEnd(seen.state) || seen.state !== job.status || ageMs > WIDEST_WINDOW_MS;
}

/** Those that the Tracker asked for first; the others take turns, so that none starves behind the limit. */
function inTurn(jobs: TrackedJob[], now: number): TrackedJob[] {
  const asked = jobs.filter((job) => job.confirm);
  const others = jobs.filter((job) => !job.confirm);
  const rotate = (list: TrackedJob[]) => {
    const start = list.length > MAX_LOOKS ? Math.floor(now / 1_000) % list.length : 0;
    return [...list.slice(start), ...list.slice(0, start)];
  };
  return [...rotate(asked), ...rotate(others)];
}

/**
 * Looks for a job by its exact full name. The filter ignores case and, for seconds, loses jobs whose accounting row has
 * no name yet: then the unfiltered list decides whether "not there" may be concluded. Servers before 2.5.7 ignore the
 * filter and answer with everything, which serves as well.
 */
export async function findByName(
  calls: Calls,
  now: () => number,
  system: string,
  name: string,
  since: number,
): Promise<NameLookup> {
  const requestedAt = now();
  const window = timeWindow(requestedAt - since);
  const filterable = name.length <= MAX_FILTER_CHARACTERS && !name.includes(",");
  if (filterable) {
    const filtered = await listJobs(calls, system, { window, name });
    const matches = namedJobs(filtered, name);
    const rows = [...filtered.values()].flat();
    const ignored = rows.some((row) => row.name?.toLowerCase() !== name.toLowerCase());
    if (matches.length > 0 || ignored) return { requestedAt, matches, conclusive: !rows.some(mayBeOurs(since)) };
  }
  const all = await listJobs(calls, system, { window });
  return { requestedAt, matches: namedJobs(all, name), conclusive: ![...all.values()].flat().some(mayBeOurs(since)) };
}

/** The trace of a refused submission bears the name too; adopting it would report a job that never was. */
function namedJobs(jobs: ReadonlyMap<string, JobRow[]>, name: string): JobObservation[] {
  return [...jobs].flatMap(([id, rows]) => {
    const ours = rows.filter((row) => row.name === name && !isRefusalTrace(row));
    return ours.length === 0 ? [] : (observeJob(id, ours) ?? []);
  });
}

const mayBeOurs = (since: number) => (row: JobRow) =>
  (isSkeleton(row) || row.name === undefined) && (row.startedAt ?? since) >= since - YOUNG_MARGIN_MS;
