import { describe, expect, it } from "vitest";
import { expectedRequests, floorMs, nextHandleLookMs, nextRoundAt, wantsEveryMs } from "./pace.ts";

const T0 = 1_800_000_000_000;
const job = (changedAgoMs: number, facts: object = {}) => ({
  status: "running",
  changedAt: T0 - changedAgoMs,
  doubtful: false,
  ...facts,
});

describe("the pace of rounds", () => {
  it("spends at most half of the budget on rounds of six requests", () => {
    for (const perMinute of [6, 30, 60, 600])
      expect((60_000 / floorMs(perMinute)) * 6).toBeLessThanOrEqual(perMinute / 2);
  });
  it("is fast after news and slow after hours", () => {
    const ages = [0, 30_000, 300_000, 3_600_000, 86_400_000].map((age) => wantsEveryMs(job(age), T0));
    expect(ages).toEqual([...ages].sort((a, b) => a - b));
  });
  it("quickens around the time limit", () => {
    expect(wantsEveryMs(job(86_400_000, { startedAt: T0 - 3_590_000, timeLimitSeconds: 3600 }), T0)).toBe(10_000);
  });
  it("asks for no round when nothing is live", () => {
    expect(nextRoundAt([], { requestsPerMinute: 60 }, T0, 0.5)).toBeUndefined();
  });
  it("follows the most impatient job, never below the floor", () => {
    expect(nextRoundAt([job(86_400_000), job(0)], { requestsPerMinute: 6000 }, T0, 0.5)).toBe(T0 + 1_000);
    expect(nextRoundAt([job(0)], { requestsPerMinute: 30 }, T0, 0.5)).toBe(T0 + 24_000);
  });
  it("lets cheap rounds come sooner, as long as they use half of the budget at most", () => {
    expect(nextRoundAt([job(0)], { requestsPerMinute: 60, lastRound: 1 }, T0, 0.5)).toBe(T0 + 2_000);
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
  it("looks at pending tasks soon, then less and less often", () => {
    expect(nextHandleLookMs(0, 6000)).toBe(400);
    expect(nextHandleLookMs(600_000, 6000)).toBe(15_000);
    expect(nextHandleLookMs(0, 60)).toBe(2_000);
  });
});
