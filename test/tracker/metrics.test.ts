import { describe, expect, it } from "vitest";
import { metrics } from "../../workers/poller/metrics.ts";
import { inWorld, type World } from "./world.ts";

const value = (world: World, name: string, labels: Record<string, string> = {}) =>
  metrics(world.desk)
    .find((metric) => metric.name === `firewatch_${name}`)
    ?.samples.find((sample) => Object.entries(labels).every(([label, wanted]) => sample.labels?.[label] === wanted))
    ?.value;

describe("metrics", () => {
  it("count what is there, also where nothing is", () =>
    inWorld(async (world) => {
      expect(value(world, "jobs", { status: "queued" })).toBe(0);
      expect(value(world, "callback_first_attempt_seconds")).toBeUndefined();
      expect(value(world, "healthy")).toBe(1);
      expect(value(world, "budget_requests_per_minute")).toBe(6000);
    }));

  it("follow a job from its polls to its callbacks and its debt", () =>
    inWorld(async (world) => {
      let down = true;
      await world.receive("r", () => new Response(null, { status: down ? 500 : 200 }), ["job.settled"]);
      const { id } = await world.submit({
        script: "#!/bin/bash -l\n#FAKE write out.txt hello\n",
        outputs: [{ path: "out.txt", key: "o" }],
      });
      await world.until(() => world.job(id).settledAt !== undefined);
      await world.drain();
      expect(value(world, "jobs", { status: "succeeded" })).toBe(1);
      expect(value(world, "transfers", { status: "stored" })).toBe(1);
      expect(value(world, "deliveries", { status: "pending" })).toBe(1);
      expect(
        (value(world, "debts", { state: "owed" }) ?? 0) + (value(world, "debts", { state: "releasing" }) ?? 0),
      ).toBe(world.owed());
      expect(value(world, "poll_rounds")).toBeGreaterThan(0);
      expect(value(world, "firecrest_requests")).toBeGreaterThan(value(world, "poll_rounds") ?? 0);
      await world.firecrest.clock.advance(60_000);
      down = false;
      await world.until(() => value(world, "deliveries", { status: "pending" }) === 0);
      await world.until(() => world.owed() === 0);
      expect(value(world, "debts", { state: "releasing" })).toBe(0);
      expect(value(world, "events")).toBe(world.events().length);
      expect(value(world, "callback_first_attempt_seconds", { quantile: "0.5" })).toBeLessThan(1);
      expect(value(world, "callback_success_seconds", { quantile: "0.99" })).toBeGreaterThanOrEqual(60);
      // FirecREST v1 does not say when a job ended.
      expect(value(world, "job_end_lag_seconds")).toBeUndefined();
    }));

  it("show what needs somebody: dead letters, stuck deliveries, failing receivers", () =>
    inWorld(async (world) => {
      await world.receive("r", () => new Response(null, { status: 200 }));
      world.house.run("INSERT INTO dead (queue, at, body) VALUES ('callbacks-dead', 0, '{}')");
      world.house.run("UPDATE receivers SET doc = json_set(doc, '$.circuit.openedAt', 1)");
      world.house.run(
        "INSERT INTO deliveries (id, receiver, sequence, status, attempt, next_at, tries, lease_until, lapses, created_at) SELECT 'dlv_1', id, 1, 'stuck', 0, 0, 0, 0, 5, 0 FROM receivers",
      );
      expect(value(world, "dead_letters", { queue: "callbacks-dead" })).toBe(1);
      expect(value(world, "deliveries", { status: "stuck" })).toBe(1);
      expect(value(world, "receivers_failing")).toBe(1);
    }));
});
