/**
 * A day of ten thousand jobs on one connection with a budget of 30 requests a minute, through the pure planner alone: the
 * pace of rounds, the budget, and the life of a job. No clock, no network, no storage.
 */
import { describe, expect, it } from "vitest";
import { seededRandom } from "../local/firecrest/faults.ts";
import { isTracked, type JobRecord, observed, type SeenJob, submitted } from "../shared/domain/job.ts";
import { expectedRequests, floorMs, nextRoundAt, type Paced } from "../shared/domain/pace.ts";
import { createBudget, spend, take } from "../shared/firecrest/budget.ts";

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const JOBS = 10_000;
const PER_MINUTE = 30;
const START = Date.UTC(2026, 10, 22);
/** Rounds read through at most so many requests at 10,000 jobs: `bench/requests.ts` counts them. */
const ROUND_COST = { v1: [3, 4], v2: [1, 2] } as const;
const ROUND_TAKES_MS = 3_000;

interface Life {
  record: JobRecord;
  startsAt: number;
  endsAt: number;
}

interface Day {
  /** When each request left. */
  requests: number[];
  /** Starts of rounds, and what the one before allowed as their distance. */
  rounds: { at: number; wanted: number }[];
  /** From the end at the scheduler to the announcement, and how many rounds had begun in between. */
  ends: { delayMs: number; roundsBetween: number }[];
}

/** Everybody's jobs: each that ends is replaced by the next. With `submissions`, those go through our budget, too. */
function live(api: keyof typeof ROUND_COST, meanRunMs: number, submissions: boolean, backlog = 0): Day {
  const random = seededRandom(20_261_122);
  const day: Day = { requests: [], rounds: [], ends: [] };
  let budget = createBudget(PER_MINUTE, START);
  let count = 0;
  const begin = (at: number): Life => {
    const blank: JobRecord = {
      id: `job_${count++}`,
      system: "cluster",
      status: "submitting",
      run: 1,
      acceptedAt: at,
      changedAt: at,
      actor: "planner",
      tagged: true,
      outputs: [],
      warnings: [],
    };
    const startsAt = at + random() * 600_000;
    return {
      record: submitted(blank, { schedulerId: String(count) }, at).record,
      startsAt,
      endsAt: Math.max(startsAt, START) - Math.log(1 - random()) * meanRunMs,
    };
  };
  /** What becomes visible when: numbers of lives by the second of their next change. */
  const changes = new Map<number, number[]>();
  const awaitChange = (at: number, n: number) => {
    const second = Math.floor(at / 1000);
    changes.set(second, [...(changes.get(second) ?? []), n]);
  };
  const lives: Life[] = [];
  /** One a life, for the pace; changed in place, since there are many. */
  const paced: Paced[] = [];
  const follow = (n: number, life: Life) => {
    lives[n] = life;
    paced[n] = { status: life.record.status, changedAt: life.record.changedAt, doubtful: false };
    awaitChange(life.startsAt, n);
    awaitChange(life.endsAt, n);
  };
  for (let n = 0; n < JOBS; n++) follow(n, begin(START - random() * meanRunMs));
  const waiting = Array.from({ length: backlog }, (_, n) => n);
  let shownUntil = Math.floor(Math.min(...changes.keys()));

  let lastRound: number | undefined;
  let wanted = floorMs(PER_MINUTE);
  for (let now = START; now < START + DAY_MS; ) {
    // People come first: a submission is one request and takes what is there.
    for (let next = waiting[0]; submissions && next !== undefined; next = waiting[0]) {
      const taken = take(budget, now, 1, "user");
      budget = taken.budget;
      if (!taken.granted) break;
      day.requests.push(now);
      waiting.shift();
      follow(next, begin(now));
    }

    const granted = expectedRequests(lastRound);
    const asked = take(budget, now, granted, "poll");
    budget = asked.budget;
    if (!asked.granted) {
      now = asked.retryAt;
      continue;
    }
    const [least, most] = ROUND_COST[api];
    const cost = random() < 0.2 ? most : least;
    const began = now;
    for (let n = 0; n < cost; n++) day.requests.push(began);
    budget = spend(budget, began, cost - granted);
    day.rounds.push({ at: began, wanted });
    const done = began + ROUND_TAKES_MS;
    // The second that is not over yet is read again in the next round.
    const current = Math.floor(began / 1000);
    for (let second = shownUntil; second <= current; second++) {
      for (const n of changes.get(second) ?? []) {
        const life = lives[n];
        if (life === undefined || !isTracked(life.record, done)) continue;
        // Looking at a job that is where it was changes nothing: `job.test.ts` says so.
        const { record, announce } = observed(life.record, seenAt(life, began), began, done);
        life.record = record;
        paced[n] = { status: record.status, changedAt: record.changedAt, doubtful: false };
        if (!announce.some(({ type }) => type === "job.succeeded")) continue;
        const between = day.rounds.findLastIndex(({ at }) => at < life.endsAt);
        if (life.endsAt > START)
          day.ends.push({ delayMs: done - life.endsAt, roundsBetween: day.rounds.length - 1 - between });
        if (submissions) waiting.push(n);
        else follow(n, begin(done));
      }
      if (second < current) changes.delete(second);
    }
    shownUntil = current;
    lastRound = cost;
    const next = nextRoundAt(paced, { requestsPerMinute: PER_MINUTE, lastRound }, began, random()) ?? done;
    wanted = next - began;
    now = Math.max(next, done);
  }
  return day;
}

function seenAt({ startsAt, endsAt }: Life, at: number): SeenJob {
  const state = at < startsAt ? "queued" : at < endsAt ? "running" : "succeeded";
  return { state, schedulerState: state.toUpperCase(), skeleton: false, revocable: false };
}

/** The most requests within any window of that length. */
function busiest(times: readonly number[], windowMs: number): number {
  let first = 0;
  return times.reduce((most, at, n) => {
    while ((times[first] ?? at) <= at - windowMs) first++;
    return Math.max(most, n - first + 1);
  }, 0);
}

describe.each(["v1", "v2"] as const)("a day of 10,000 jobs at 30 requests a minute, on %s", (api) => {
  it("stays inside the budget in any minute, and tells each end in the round after it", { timeout: 120_000 }, () => {
    const { requests, rounds, ends } = live(api, 12 * HOUR_MS, false);
    expect(ends.length).toBeGreaterThan(15_000);
    expect(busiest(requests, 60_000)).toBeLessThanOrEqual(PER_MINUTE);
    expect(Math.max(...ends.map(({ roundsBetween }) => roundsBetween))).toBe(1);
    // One poll round: what the pace allows between two, and the time that one takes.
    // The first is paced with care, before any has been seen.
    const longest = Math.max(...rounds.slice(1).map(({ wanted }) => wanted));
    expect(longest).toBeLessThanOrEqual(1.1 * floorMs(PER_MINUTE, ROUND_COST[api][1]) + 1);
    expect(Math.max(...ends.map(({ delayMs }) => delayMs))).toBeLessThanOrEqual(longest + 2 * ROUND_TAKES_MS);
  });

  it("lets people's submissions go first, keeps the rate over time, and still tells each end in the next round", {
    timeout: 120_000,
  }, () => {
    const { requests, rounds, ends } = live(api, 12 * HOUR_MS, true);
    expect(ends.length).toBeGreaterThan(15_000);
    // A bucket may be emptied at once and refills: over any hour that is the rate and one bucket more.
    const { burst } = createBudget(PER_MINUTE, START);
    expect(busiest(requests, 60_000)).toBeLessThanOrEqual(PER_MINUTE + burst);
    expect(busiest(requests, HOUR_MS)).toBeLessThanOrEqual(60 * PER_MINUTE + burst);
    expect(Math.max(...ends.map(({ roundsBetween }) => roundsBetween))).toBe(1);
    const gaps = rounds.slice(1).map(({ at }, n) => at - (rounds[n]?.at ?? at));
    const longest = Math.max(...gaps);
    expect(Math.max(...ends.map(({ delayMs }) => delayMs))).toBeLessThanOrEqual(longest + ROUND_TAKES_MS);
    // Polls wait for people, but not for long.
    expect(longest).toBeLessThanOrEqual(60_000);
  });

  it("looks every minute or so even while thousands of submissions wait for the budget", { timeout: 120_000 }, () => {
    const { rounds, ends } = live(api, 12 * HOUR_MS, true, 5_000);
    const gaps = rounds.slice(1).map(({ at }, n) => at - (rounds[n]?.at ?? at));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(90_000);
    expect(Math.max(...ends.map(({ roundsBetween }) => roundsBetween))).toBe(1);
  });
});
