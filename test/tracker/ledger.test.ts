import { describe, expect, it } from "vitest";
import type { Event } from "../../shared/contract/event.ts";
import { EVENT_MAX_BYTES, fitted } from "../../shared/domain/fit.ts";
import { announce, eventsAfter } from "../../workers/poller/ledger.ts";
import { inWorld, type World } from "./world.ts";

const tell = (world: World, subject: string) =>
  world.house.change(() => announce(world.house, { type: "job.queued", subject, data: { system: "cluster" } }));

/** As retention leaves it: bodies up to here are gone, but for those that a delivery still needs. */
function expire(world: World, through: number, kept: number[] = []): void {
  world.house.run(
    "UPDATE events SET body = NULL WHERE sequence <= ? AND sequence NOT IN (SELECT value FROM json_each(?))",
    through,
    JSON.stringify(kept),
  );
  world.house.setMeta("events_gone_through", String(through));
}

const sequences = (world: World, query: Parameters<typeof eventsAfter>[1]) => {
  const page = eventsAfter(world.house, query);
  return page.ok ? page.value.items.map(({ sequence }) => sequence) : page.code;
};

describe("the ledger", () => {
  it("is read page by page to its end without gaps or repeats", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 7; n++) tell(world, "jobs/a");
      const read: number[] = [];
      for (let after = 0, more = true; more; ) {
        const page = eventsAfter(world.house, { after, limit: 3 });
        if (!page.ok) throw new Error("gone");
        read.push(...page.value.items.map(({ sequence }) => sequence));
        more = page.value.cursor !== undefined;
        after = Number(page.value.cursor);
      }
      expect(read).toEqual([1, 2, 3, 4, 5, 6, 7]);
    }));

  it("says 410 with the oldest cursor to whoever comes too late, and starts at what is kept for whoever starts", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 6; n++) tell(world, "jobs/a");
      expire(world, 4);
      expect(eventsAfter(world.house, { after: 2 })).toMatchObject({ ok: false, code: "gone", oldest: 4 });
      expect(sequences(world, { after: 4 })).toEqual([5, 6]);
      expect(sequences(world, {})).toEqual([5, 6]);
      expect(sequences(world, { after: 0 })).toEqual([5, 6]);
    }));

  it("has no hole where one old event is kept for its delivery: a reader from the start never meets a 410 on the way", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 6; n++) tell(world, "jobs/a");
      expire(world, 4, [2]);
      const read: number[] = [];
      for (let after = 0; ; ) {
        const page = eventsAfter(world.house, { after, limit: 1 });
        if (!page.ok) throw new Error(page.code);
        read.push(...page.value.items.map(({ sequence }) => sequence));
        if (page.value.cursor === undefined) break;
        after = Number(page.value.cursor);
      }
      expect(read).toEqual([5, 6]);
    }));

  it("says 410 about one job only if something of that job is gone", () =>
    inWorld(async (world) => {
      tell(world, "jobs/old");
      tell(world, "jobs/old");
      tell(world, "jobs/young");
      tell(world, "jobs/young");
      expire(world, 2);
      expect(sequences(world, { job: "old" as never, after: 1 })).toBe("gone");
      expect(sequences(world, { job: "young" as never, after: 1 })).toEqual([3, 4]);
      expect(sequences(world, { job: "young" as never })).toEqual([3, 4]);
    }));
});

describe("an event that would be too large", () => {
  const event = (data: object): Event =>
    ({
      id: "evt_x",
      type: "job.settled",
      timestamp: "2026-01-05T09:00:00.000Z",
      sequence: 1,
      subject: "jobs/x",
      data,
    }) as Event;
  const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value)).length;

  it("is left as it is while it fits", () => {
    const small = event({ labels: { a: "b" }, outputs: [1, 2, 3] });
    expect(fitted(small)).toBe(small);
  });

  it("keeps as much of its lists as fits, and counts the rest", () => {
    const outputs = Array.from({ length: 100 }, (_, n) => ({ path: "p".repeat(300), key: `k${n}` }));
    const cut = fitted(event({ id: "job_x", status: "succeeded", outputs }));
    expect(bytes(cut)).toBeLessThanOrEqual(EVENT_MAX_BYTES);
    expect(cut.data).toMatchObject({
      id: "job_x",
      status: "succeeded",
      outputs: outputs.slice(0, 25),
      truncated: { outputs: 100 },
    });
  });

  it("fits whatever a job may hold, with lists inside of objects and texts of any length", () => {
    const worst = {
      detail: "\u{1f600}".repeat(50_000),
      labels: Object.fromEntries(Array.from({ length: 32 }, (_, n) => [`l${n}`, "é".repeat(256)])),
      outputs: Array.from({ length: 100 }, () => ({ path: "é".repeat(2_000), key: "é".repeat(450) })),
      array: { total: 100_000, failedIndices: Array.from({ length: 100_000 }, (_, n) => n) },
      warnings: Array.from({ length: 50 }, () => ({ code: "x", message: "m".repeat(5_000) })),
    };
    const cut = fitted(event(worst));
    expect(bytes(cut)).toBeLessThanOrEqual(EVENT_MAX_BYTES);
    expect(cut.data).toMatchObject({
      array: { total: 100_000 },
      truncated: { outputs: 100, "array.failedIndices": 100_000, warnings: 50 },
    });
    expect(JSON.stringify(cut).isWellFormed()).toBe(true);
  });
});
