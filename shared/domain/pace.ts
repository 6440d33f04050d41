/** When to look again: pure timing of poll rounds. All times in ms. */

/** What a round may ask of a site at most, and what one is expected to ask while none has been seen. */
export const ROUND_REQUESTS = 6;

/** Rounds may use half of the budget: the shortest interval for rounds that cost as much as the last one did, in ms. */
export const floorMs = (requestsPerMinute: number, roundRequests: number = ROUND_REQUESTS): number =>
  Math.max(1_000, Math.ceil((Math.max(1, roundRequests) * 60_000) / (requestsPerMinute / 2)));

/** What to ask the budget for before a round: what the last one cost, and one for something new. */
export const expectedRequests = (lastRound: number | undefined): number =>
  Math.min(ROUND_REQUESTS, (lastRound ?? ROUND_REQUESTS) + 1);

/** By time since the job last changed: news follows news. */
const STEPS: readonly { youngerThanMs: number; everyMs: number }[] = [
  { youngerThanMs: 15_000, everyMs: 1_000 },
  { youngerThanMs: 60_000, everyMs: 3_000 },
  { youngerThanMs: 10 * 60_000, everyMs: 10_000 },
  { youngerThanMs: 2 * 3_600_000, everyMs: 30_000 },
];
const OLD_EVERY_MS = 60_000;
const LOST_EVERY_MS = 5 * 60_000;
/** Around its time limit a job is about to end. */
const NEAR_LIMIT_MS = 60_000;

export interface Paced {
  status: string;
  changedAt: number;
  startedAt?: number;
  timeLimitSeconds?: number;
  /** Something waits for a second look (requeue, revocable end, missing). */
  doubtful: boolean;
}

/** How soon one job wants the next round. */
export function wantsEveryMs(job: Paced, now: number): number {
  if (job.status === "lost") return LOST_EVERY_MS;
  if (job.doubtful) return 10_000;
  const age = now - job.changedAt;
  const byAge = STEPS.find((step) => age < step.youngerThanMs)?.everyMs ?? OLD_EVERY_MS;
  if (job.startedAt === undefined || job.timeLimitSeconds === undefined) return byAge;
  const toLimit = Math.abs(job.startedAt + job.timeLimitSeconds * 1000 - now);
  return toLimit < NEAR_LIMIT_MS ? Math.min(byAge, 10_000) : byAge;
}

export interface Spending {
  requestsPerMinute: number;
  /** What the last round of this system asked of the site; absent before the first. */
  lastRound?: number | undefined;
}

/** When the next round of a system is due; undefined when no job needs one. `random` in [0, 1) spreads connections. */
export function nextRoundAt(
  jobs: readonly Paced[],
  { requestsPerMinute, lastRound }: Spending,
  now: number,
  random: number,
): number | undefined {
  if (jobs.length === 0) return undefined;
  const wanted = jobs.reduce((least, job) => Math.min(least, wantsEveryMs(job, now)), Number.POSITIVE_INFINITY);
  return now + Math.max(floorMs(requestsPerMinute, lastRound), wanted) * (0.9 + 0.2 * random);
}

/** Interval between looks at a pending task or staging, by how long it has been pending. */
export function nextHandleLookMs(pendingMs: number, requestsPerMinute: number): number {
  const grown = Math.min(15_000, Math.max(400, pendingMs / 4));
  return Math.max(Math.ceil((2 * 60_000) / requestsPerMinute), grown);
}
