import { describe, expect, it } from "vitest";
import { postDue } from "../../workers/poller/callbacks.ts";
import type * as lanes from "../../workers/poller/lanes.ts";

describe("the consumer", () => {
  const lease = (n: number, until = 60_000): lanes.Lease => ({
    delivery: `dlv_${n}`,
    attempt: 1,
    until,
    url: "",
    channel: "webhook",
    format: "plain",
    headers: {},
    body: "{}",
    eventId: "",
    secrets: [],
  });
  const reported = (delivery: string): lanes.AttemptReport => ({
    delivery,
    attempt: 1,
    at: 0,
    durationMs: 0,
    verdict: { outcome: "delivered", disable: false },
  });

  const never = () => new Promise<void>(() => {});
  const none = async () => {
    throw new Error("there was nothing to hand over");
  };

  it("serves others while one receiver lets it wait", async () => {
    const hanging = Promise.withResolvers<void>();
    const told: string[] = [];
    const rounds = [[lease(0), lease(1)], [lease(2)], [lease(3)], []];
    await postDue({
      lease: async () => rounds.shift() ?? [],
      report: async (reports) => {
        told.push(...reports.map(({ delivery: id }) => id));
        if (told.includes("dlv_3")) hanging.resolve();
      },
      attempt: async ({ delivery: id }) => {
        if (id === "dlv_0") await hanging.promise;
        return reported(id);
      },
      now: () => 0,
      sleep: never,
      handOver: none,
    });
    expect(told).toEqual(["dlv_1", "dlv_2", "dlv_3", "dlv_0"]);
  });

  it("hands over as soon as one post takes long, gives back what it did not begin, and lets the slow one end by itself", async () => {
    const hanging = Promise.withResolvers<void>();
    const told: string[] = [];
    const given: string[] = [];
    let handedOver = 0;
    const { late } = await postDue({
      lease: async () => [0, 1, 2, 3, 4, 5].map((n) => lease(n)),
      report: async (reports, unposted) => {
        told.push(...reports.map(({ delivery: id }) => id));
        given.push(...unposted.map(({ delivery: id }) => id));
        // Others end while the first is being told.
        await new Promise((resolve) => setTimeout(resolve, 0));
      },
      attempt: async ({ delivery: id }) => {
        await hanging.promise;
        if (id !== "dlv_0") await new Promise<void>((resolve) => queueMicrotask(resolve));
        return reported(id);
      },
      now: () => 0,
      sleep: async (ms) => expect(ms).toBe(1_000),
      handOver: async () => handedOver++,
    });
    expect([told, given, handedOver]).toEqual([[], ["dlv_5"], 1]);
    hanging.resolve();
    await late;
    expect(told.toSorted()).toEqual(["dlv_0", "dlv_1", "dlv_2", "dlv_3", "dlv_4"]);
    // What falls due behind a slow post is asked for by whoever comes next.
    expect(handedOver).toBeGreaterThan(1);
  });

  it("gives back what it could not post before the lease ends, instead of posting it twice", async () => {
    const given: string[] = [];
    const rounds = [[lease(0), lease(1, 15_000)], []];
    await postDue({
      lease: async () => rounds.shift() ?? [],
      report: async (_reports, unposted) => void given.push(...unposted.map(({ delivery: id }) => id)),
      attempt: async ({ delivery: id }) => reported(id),
      now: () => 0,
      sleep: never,
      handOver: none,
    });
    expect(given).toEqual(["dlv_1"]);
  });

  it("stops after 250 posts, and lets others go on before a slow one has ended", async () => {
    let n = 0;
    const posted: string[] = [];
    const given: string[] = [];
    const hanging = Promise.withResolvers<void>();
    let handedOver = 0;
    const { late } = await postDue({
      lease: async () => Array.from({ length: 50 }, () => lease(n++)),
      report: async (reports, unposted) => {
        posted.push(...reports.map(({ delivery: id }) => id));
        given.push(...unposted.map(({ delivery: id }) => id));
      },
      attempt: async ({ delivery: id }) => {
        if (id === "dlv_0") await hanging.promise;
        return reported(id);
      },
      now: () => 0,
      sleep: never,
      handOver: async () => handedOver++,
    });
    expect(handedOver).toBe(1);
    expect(posted).not.toContain("dlv_0");
    hanging.resolve();
    await late;
    expect(posted).toHaveLength(250);
    expect(posted.at(-1)).toBe("dlv_0");
    expect(posted.length + given.length).toBe(n);
  });

  it("reports what it posted even if the Tracker cannot be asked for more", async () => {
    const told: string[] = [];
    const rounds = [[lease(0)]];
    const work = postDue({
      lease: async () => {
        const round = rounds.shift();
        if (round === undefined) throw new Error("the Tracker is being moved");
        return round;
      },
      report: async (reports) => void told.push(...reports.map(({ delivery: id }) => id)),
      attempt: async ({ delivery: id }) => reported(id),
      now: () => 0,
      sleep: never,
      handOver: none,
    });
    await expect(work).rejects.toThrow("moved");
    expect(told).toEqual(["dlv_0"]);
  });
});
