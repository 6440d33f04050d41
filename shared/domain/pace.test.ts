import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  expectedRequests,
  floorMs,
  intervalMs,
  nextHandleLookMs,
  nextRoundAt,
  type Paced,
  pauseAfterFailureMs,
  wantsEveryMs,
} from "./pace.ts";

const T0 = 1_800_000_000_000;
const HOUR_MS = 3_600_000;
/** One request a round, at a site with the usual budget. */
const USUAL = { requestsPerMinute: 60, lastRound: 1 };
const job = (changedAgoMs: number, facts: Partial<Paced> = {}): Paced => ({
  status: "running",
  changedAt: T0 - changedAgoMs,
  doubtful: false,
  ...facts,
});

const anyAge = fc.integer({ min: 0, max: 30 * 24 * HOUR_MS });
const anyJob = fc
  .record({
    age: anyAge,
    status: fc.constantFrom("queued", "running", "lost"),
    doubtful: fc.boolean(),
    calls: fc.boolean(),
    timeLimitSeconds: fc.integer({ min: 60, max: 7 * 86_400 }),
  })
  .map(({ age, ...facts }) => job(age, { ...facts, startedAt: T0 - age }));
const anySpending = fc.record({
  requestsPerMinute: fc.integer({ min: 6, max: 6_000 }),
  lastRound: fc.option(fc.integer({ min: 0, max: 30 }), { nil: undefined }),
});

/** Looks at one job that runs so long and is never done, as rounds would come without chance. */
function looksUntil(endMs: number, facts: Partial<Paced> = {}, spending = USUAL): number {
  let looks = 0;
  for (let age = 0; age < endMs; looks++) {
    const now = T0 + age;
    age += intervalMs([{ ...job(0, facts) }], spending, now) ?? Number.POSITIVE_INFINITY;
  }
  return looks;
}

/** The looks of a client whose waits double from half a second to 64 s, as pyfirecrest's `wait_for_job` does. */
function looksOfALoop(endMs: number): number {
  let looks = 2;
  for (let at = 200, wait = 500; at + wait < endMs; looks++) {
    at += wait;
    wait = Math.min(64_000, wait * 2);
  }
  return looks;
}

describe("the pace of rounds", () => {
  it("spends at most half of the budget on rounds of six requests", () => {
    for (const perMinute of [6, 30, 60, 600])
      expect((60_000 / floorMs(perMinute)) * 6).toBeLessThanOrEqual(perMinute / 2);
  });

  it("never waits for longer than a seventh of what a job has been waited for, nor than 150 s", () => {
    fc.assert(
      fc.property(anyAge, (age) => {
        const every = intervalMs([job(age)], USUAL, T0) ?? 0;
        expect(every).toBeLessThanOrEqual(150_000);
        expect(every).toBeLessThanOrEqual(Math.max(3_000, age / 7));
      }),
    );
  });

  it("grows with the age of what it looks at, and is never shorter than a second or what the budget allows", () => {
    fc.assert(
      fc.property(anyAge, anyAge, anySpending, (a, b, spending) => {
        const [younger, older] = [Math.min(a, b), Math.max(a, b)].map(
          (age) => intervalMs([job(age)], spending, T0) ?? 0,
        );
        expect(older).toBeGreaterThanOrEqual(younger ?? 0);
        expect(younger).toBeGreaterThanOrEqual(floorMs(spending.requestsPerMinute, spending.lastRound));
      }),
    );
  });

  it("follows the most impatient of many jobs, which wait at most twice as long as one would right after news", () => {
    fc.assert(
      fc.property(fc.array(anyJob, { minLength: 1, maxLength: 30 }), anySpending, (jobs, spending) => {
        const together = intervalMs(jobs, spending, T0) ?? 0;
        const alone = jobs.map((one) => intervalMs([one], spending, T0) ?? 0);
        expect(together).toBeGreaterThanOrEqual(Math.min(...alone));
        expect(together).toBeLessThanOrEqual(Math.max(6_000, Math.min(...alone)));
      }),
    );
  });

  it("asks for less than a loop whose waits double to 64 s, over an hour and over a day", () => {
    expect(looksUntil(HOUR_MS)).toBeLessThan(0.9 * looksOfALoop(HOUR_MS));
    expect(looksUntil(24 * HOUR_MS)).toBeLessThan(0.5 * looksOfALoop(24 * HOUR_MS));
    // Two jobs or more share their looks.
    expect(looksUntil(600_000)).toBeLessThan(2 * looksOfALoop(600_000));
  });

  it("asks for half as much or less about a job that calls by itself", () => {
    for (const seconds of [60, 600, 3_600, 86_400])
      expect(looksUntil(seconds * 1_000, { calls: true })).toBeLessThanOrEqual(looksUntil(seconds * 1_000) / 2 + 1);
    expect(looksUntil(600_000, { calls: true })).toBeLessThan(looksOfALoop(600_000));
  });

  it("quickens towards the time limit, and slows down again beyond it", () => {
    const limited = (ranMs: number) =>
      wantsEveryMs(job(ranMs, { startedAt: T0 - ranMs, timeLimitSeconds: 36_000 }), T0);
    expect(limited(5 * HOUR_MS)).toBe(150_000);
    expect(limited(10 * HOUR_MS - 420_000)).toBe(60_000);
    expect(limited(10 * HOUR_MS - 5_000)).toBe(10_000);
    expect(limited(10 * HOUR_MS + 420_000)).toBe(60_000);
    // Also where the job is expected to call: when its time is over, it may not get to.
    const calling = { startedAt: T0 - 595_000, timeLimitSeconds: 600, calls: true };
    expect(wantsEveryMs(job(595_000, calling), T0)).toBe(10_000);
  });

  it("brings the second look at a doubt not before it counts", () => {
    fc.assert(
      fc.property(fc.nat(60_000), fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), (age, random) => {
        const next = nextRoundAt([job(age, { doubtful: true })], { requestsPerMinute: 6_000 }, T0, random) ?? 0;
        expect(next - T0).toBeGreaterThanOrEqual(10_000);
      }),
    );
  });

  it("asks those more often who allow more than usual, three times as often at most", () => {
    const every = (requestsPerMinute: number) => intervalMs([job(HOUR_MS)], { requestsPerMinute, lastRound: 1 }, T0);
    expect([30, 60, 120, 180, 6_000].map(every)).toEqual([150_000, 150_000, 75_000, 50_000, 50_000]);
  });

  it("asks for no round when nothing is live", () => {
    expect(nextRoundAt([], { requestsPerMinute: 60 }, T0, 0.5)).toBeUndefined();
  });

  it("is spread by a tenth to either side", () => {
    const at = (random: number) => Math.round((nextRoundAt([job(HOUR_MS)], USUAL, T0, random) ?? 0) - T0);
    expect([0, 0.5, 1].map(at)).toEqual([135_000, 150_000, 165_000]);
  });

  it("lets cheap rounds come sooner, as long as they use half of the budget at most", () => {
    expect(nextRoundAt([job(0)], { requestsPerMinute: 30 }, T0, 0.5)).toBe(T0 + 24_000);
    expect(nextRoundAt([job(0)], { requestsPerMinute: 60, lastRound: 1 }, T0, 0.5)).toBe(T0 + 3_000);
    expect(nextRoundAt([job(0)], { requestsPerMinute: 60, lastRound: 3 }, T0, 0.5)).toBe(T0 + 6_000);
    for (const perMinute of [6, 30, 60, 600])
      for (const requests of [1, 2, 3, 6, 25])
        expect((60_000 / floorMs(perMinute, requests)) * requests).toBeLessThanOrEqual(perMinute / 2);
    // A round that failed before it asked anything is no reason to ask at once.
    expect(floorMs(60, 0)).toBe(floorMs(60, 1));
  });

  it("asks the budget for one request more than the last round took, and never for more than six", () => {
    expect([undefined, 0, 1, 5, 6, 25].map(expectedRequests)).toEqual([6, 1, 2, 6, 6, 6]);
  });

  it("leaves a site in trouble alone, the longer the longer it has been failing, and as long as it asks for", () => {
    expect([0, 60_000, 10 * 60_000, 86_400_000].map((ms) => pauseAfterFailureMs(ms))).toEqual([
      10_000, 10_000, 60_000, 300_000,
    ]);
    expect(pauseAfterFailureMs(0, 120)).toBe(120_000);
  });

  it("looks at pending tasks soon, then less and less often", () => {
    expect(nextHandleLookMs(0, 6000)).toBe(400);
    expect(nextHandleLookMs(600_000, 6000)).toBe(15_000);
    expect(nextHandleLookMs(0, 60)).toBe(2_000);
  });
});
