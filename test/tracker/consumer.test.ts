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
    let free = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      free = resolve;
    });
    const told: string[] = [];
    const rounds = [[lease(0), lease(1)], [lease(2)], [lease(3)], []];
    const done = postDue({
      lease: async () => rounds.shift() ?? [],
      report: async (reports) => {
        told.push(...reports.map(({ delivery: id }) => id));
        if (told.includes("dlv_3")) free();
      },
      attempt: async ({ delivery: id }) => {
        if (id === "dlv_0") await hanging;
        return reported(id);
      },
      now: () => 0,
      sleep: never,
      handOver: none,
    });
    await done;
    expect(told).toEqual(["dlv_1", "dlv_2", "dlv_3", "dlv_0"]);
  });

  it("asks again for what falls due while only a slow receiver is under way", async () => {
    let free = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      free = resolve;
    });
    const told: string[] = [];
    const rounds = [[lease(0)], [], [lease(1)], []];
    await postDue({
      lease: async () => rounds.shift() ?? [],
      report: async (reports) => {
        told.push(...reports.map(({ delivery: id }) => id));
        if (told.includes("dlv_1")) free();
      },
      attempt: async ({ delivery: id }) => {
        if (id === "dlv_0") await hanging;
        return reported(id);
      },
      now: () => 0,
      sleep: async () => {},
      handOver: none,
    });
    expect(told).toEqual(["dlv_1", "dlv_0"]);
  });

  it("gives back what it could not post before the lease ends, instead of posting it twice", async () => {
    const given: string[] = [];
    const rounds = [[lease(0), lease(1, 15_000)], []];
    await postDue({
      lease: async () => rounds.shift() ?? [],
      report: async (_reports, unposted) => void given.push(...unposted),
      attempt: async ({ delivery: id }) => reported(id),
      now: () => 0,
      sleep: never,
      handOver: none,
    });
    expect(given).toEqual(["dlv_1"]);
  });

  it("stops after 250 posts, and lets others go on before it waits for a slow one", async () => {
    let n = 0;
    const posted: string[] = [];
    const given: string[] = [];
    let free = (): void => {};
    const hanging = new Promise<void>((resolve) => {
      free = resolve;
    });
    await postDue({
      lease: async () => Array.from({ length: 50 }, () => lease(n++)),
      report: async (reports, unposted) => {
        posted.push(...reports.map(({ delivery: id }) => id));
        given.push(...unposted);
      },
      attempt: async ({ delivery: id }) => {
        if (id === "dlv_0") await hanging;
        return reported(id);
      },
      now: () => 0,
      sleep: never,
      handOver: async () => free(),
    });
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
