/** When to look again: pure timing of poll rounds, explained in docs/decisions/013. All times in ms. */

/** What a round may ask of a site at most, and what one is expected to ask while none has been seen. */
export const ROUND_REQUESTS = 6;

/** Rounds may use half of the budget: the shortest interval for rounds that cost as much as the last one did, in ms. */
export const floorMs = (requestsPerMinute: number, roundRequests: number = ROUND_REQUESTS): number =>
  Math.max(1_000, Math.ceil((Math.max(1, roundRequests) * 60_000) / (requestsPerMinute / 2)));

/** What to ask the budget for before a round: what the last one cost, and one for something new. */
export const expectedRequests = (lastRound: number | undefined): number =>
  Math.min(ROUND_REQUESTS, (lastRound ?? ROUND_REQUESTS) + 1);

/** A job is looked at again when its time in this state has grown by so much: whoever waited long can wait a little more. */
const SHARE = 1 / 7;
/** However old it is, it is not left alone for longer. */
const MOST_MS = 150_000;
/** A job that has called us when it started will call when it ends; looks only cover a call that gets lost. */
const CALLING = { share: 1 / 2, mostMs: 10 * 60_000 };
/** Around its time limit a job is looked at as often as this allows. */
const CLOSE_MS = 10_000;
/** A second look counts after ten seconds (`SECOND_LOOK_MS`): chance must not bring it too early. */
const SECOND_LOOK_AFTER_MS = 12_000;
const LOST_EVERY_MS = 5 * 60_000;

/** Right after news of one job. Of several, news comes often enough by itself: they share what one would get. */
const LEAST_MS = 3_000;
const LEAST_SHARED_BY = 2;
/** A job that changed within this time counts as one with news. */
const NEWS_MS = 10 * 60_000;

/** Whoever allows more than the usual budget is asked more, but not without end. */
const USUAL_PER_MINUTE = 60;
const MOST_GENEROUS = 3;

export interface Paced {
  status: string;
  changedAt: number;
  startedAt?: number;
  timeLimitSeconds?: number;
  /** Something waits for a second look (requeue, revocable end, missing). */
  doubtful: boolean;
  /** It has called us by itself, and will again when it ends. */
  calls?: boolean;
}

/** How soon one job wants the next round, where the budget is `generosity` times the usual one. */
export function wantsEveryMs(job: Paced, now: number, generosity = 1): number {
  if (job.status === "lost") return LOST_EVERY_MS;
  const age = Math.max(0, now - job.changedAt);
  if (job.doubtful) return Math.max(SECOND_LOOK_AFTER_MS, age * SHARE);
  const { share, mostMs } = job.calls === true ? CALLING : { share: SHARE, mostMs: MOST_MS };
  const byAge = Math.min(mostMs, age * share) / generosity;
  if (job.startedAt === undefined || job.timeLimitSeconds === undefined) return byAge;
  const toLimit = Math.abs(job.startedAt + job.timeLimitSeconds * 1000 - now);
  return Math.min(byAge, Math.max(CLOSE_MS, (toLimit * SHARE) / generosity));
}

export interface Spending {
  requestsPerMinute: number;
  /** What the last round of this system asked of the site; absent before the first. */
  lastRound?: number | undefined;
}

/** The interval at which so many jobs are looked at, before chance spreads it; undefined when no job needs a look. */
export function intervalMs(
  jobs: readonly Paced[],
  { requestsPerMinute, lastRound }: Spending,
  now: number,
): number | undefined {
  if (jobs.length === 0) return undefined;
  const generosity = Math.min(MOST_GENEROUS, Math.max(1, requestsPerMinute / USUAL_PER_MINUTE));
  let wanted = Number.POSITIVE_INFINITY;
  let withNews = 0;
  for (const job of jobs) {
    wanted = Math.min(wanted, wantsEveryMs(job, now, generosity));
    if (now - job.changedAt < NEWS_MS) withNews++;
  }
  const least = (LEAST_MS * Math.min(LEAST_SHARED_BY, Math.max(1, withNews))) / generosity;
  return Math.max(floorMs(requestsPerMinute, lastRound), least, wanted);
}

/** When the next round of a system is due; undefined when no job needs one. `random` in [0, 1) spreads connections. */
export function nextRoundAt(
  jobs: readonly Paced[],
  spending: Spending,
  now: number,
  random: number,
): number | undefined {
  const every = intervalMs(jobs, spending, now);
  return every === undefined ? undefined : now + every * (0.9 + 0.2 * random);
}

const TROUBLED_MIN_MS = 10_000;
const TROUBLED_MAX_MS = 5 * 60_000;

/** The least time to the next round after one that the site failed: a tenth of the time for which it has been failing. */
export const pauseAfterFailureMs = (failingForMs: number, retryAfterSeconds = 0): number =>
  Math.max(retryAfterSeconds * 1_000, Math.min(TROUBLED_MAX_MS, Math.max(TROUBLED_MIN_MS, failingForMs / 10)));

/** Interval between looks at a pending task or staging, by how long it has been pending. */
export function nextHandleLookMs(pendingMs: number, requestsPerMinute: number): number {
  const grown = Math.min(15_000, Math.max(400, pendingMs / 4));
  return Math.max(Math.ceil((2 * 60_000) / requestsPerMinute), grown);
}
