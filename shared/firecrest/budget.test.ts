import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Budget, createBudget, type Priority, pause, spend, take } from "./budget.ts";

const granted = (budget: Budget, now: number, n: number, priority: Priority = "user") => {
  const result = take(budget, now, n, priority);
  expect(result.granted).toBe(true);
  return result.budget;
};

describe("the request budget", () => {
  it("lets a burst leave at once and then the rate", () => {
    let budget = createBudget(60, 0);
    budget = granted(budget, 0, 15);
    expect(take(budget, 0, 1, "user")).toMatchObject({ granted: false, retryAt: 1_000 });
    expect(take(budget, 1_000, 1, "user").granted).toBe(true);
  });

  it("keeps a quarter of the bucket for user work", () => {
    let budget = createBudget(60, 0);
    for (let i = 0; i < 12; i++) budget = granted(budget, 0, 1, "poll");
    expect(take(budget, 0, 1, "poll").granted).toBe(false);
    expect(take(budget, 0, 3, "user").granted).toBe(true);
  });

  it("gives a poll its turn after a minute, however much user work there is, and takes no more from it than that", () => {
    let budget = createBudget(60, 0);
    const polledAt: number[] = [];
    let users = 0;
    for (let now = 0; now <= 10 * 60_000; now += 100) {
      // Somebody always wants something.
      const user = take(budget, now, 1, "user");
      budget = user.budget;
      if (user.granted) users++;
      if (now % 1_000 !== 0) continue;
      const poll = take(budget, now, 4, "poll");
      budget = poll.budget;
      if (poll.granted) polledAt.push(now);
    }
    expect(polledAt.length).toBeGreaterThanOrEqual(8);
    expect(Math.max(...polledAt.map((at, n) => at - (polledAt[n - 1] ?? 0)))).toBeLessThanOrEqual(75_000);
    expect(users).toBeGreaterThan(10 * 60 - 10 * 5);
  });

  it("keeps nothing for a poll that did not come back", () => {
    let budget = spend(createBudget(60, 0), 0, 15);
    budget = take(budget, 0, 4, "poll").budget;
    expect(budget.waiting).toBeDefined();
    budget = spend({ ...budget, tokens: 0, at: 300_000 }, 300_000, 0);
    expect(take(budget, 301_000, 1, "user").granted).toBe(true);
  });

  it("grants a batch larger than the bucket when the bucket is full, and lets it be paid off", () => {
    const budget = granted(createBudget(60, 0), 0, 40, "poll");
    const next = take(budget, 0, 1, "user");
    expect(next).toMatchObject({ granted: false, retryAt: 26_000 });
  });

  it("stops everything until the time a site asked for, and starts empty then", () => {
    const budget = pause(createBudget(60, 0), 0, 30);
    expect(take(budget, 10_000, 1, "user")).toMatchObject({ granted: false, retryAt: 30_000 });
    expect(take(budget, 30_000, 1, "user")).toMatchObject({ granted: false, retryAt: 31_000 });
    expect(take(budget, 31_000, 1, "user").granted).toBe(true);
  });

  it("never shortens a pause, and waits ten seconds where the site names no time", () => {
    const budget = pause(pause(createBudget(60, 0), 0, 60), 0, undefined);
    expect(budget.pausedUntil).toBe(60_000);
    expect(pause(createBudget(60, 0), 0, undefined).pausedUntil).toBe(10_000);
  });

  it("gives no credit for a clock that steps back", () => {
    const budget = spend(createBudget(60, 100_000), 100_000, 15);
    expect(take(budget, 50_000, 1, "user").granted).toBe(false);
    expect(take(take(budget, 50_000, 1, "user").budget, 100_500, 1, "user").granted).toBe(false);
  });

  it("never lets more leave in any minute than the bucket and the rate allow", () => {
    const asks = fc.array(
      fc.record({
        wait: fc.nat(5_000),
        n: fc.integer({ min: 1, max: 6 }),
        priority: fc.constantFrom<Priority>("user", "poll"),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(asks, fc.integer({ min: 6, max: 600 }), (list, rate) => {
        let budget = createBudget(rate, 0);
        let now = 0;
        const sent: [number, number][] = [];
        for (const { wait, n, priority } of list) {
          now += wait;
          const result = take(budget, now, n, priority);
          budget = result.budget;
          if (result.granted) sent.push([now, n]);
          else expect(take(budget, result.retryAt, n, priority).granted).toBe(true);
        }
        for (const [start] of sent) {
          const inMinute = sent.filter(([t]) => t >= start && t < start + 60_000).reduce((sum, [, n]) => sum + n, 0);
          expect(inMinute).toBeLessThanOrEqual(budget.burst + rate + 1);
        }
      }),
    );
  });
});
