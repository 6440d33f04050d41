import { describe, expect, it } from "vitest";
import * as lanes from "../../workers/poller/lanes.ts";
import * as receivers from "../../workers/poller/receivers.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const ok = () => new Response(null, { status: 200 });
const fails = () => new Response("no", { status: 500 });

/** A delivered event of its own, without any job. */
function test(world: World, id: string): string {
  const answer = lanes.sendTest(world.house, ACTOR, id, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.id;
}

const delivery = (world: World, id: string) =>
  lanes.listDeliveries(world.house, { limit: 200 }).items.find((item) => item.id === id);

describe("a delivery", () => {
  it("is tried again after 500, three times, with the same id and body and fresh timestamps", () =>
    inWorld(async (world) => {
      let answers = 0;
      const { id } = await world.receive("r", () => (answers++ < 3 ? fails() : ok()));
      const sent = test(world, id);
      await world.until(() => delivery(world, sent)?.status === "delivered");
      expect(world.hits).toHaveLength(4);
      expect(new Set(world.hits.map(({ body }) => body)).size).toBe(1);
      expect(new Set(world.hits.map(({ headers }) => headers["webhook-id"])).size).toBe(1);
      expect(new Set(world.hits.map(({ headers }) => headers["webhook-timestamp"])).size).toBe(4);
      expect(delivery(world, sent)?.attempts.map(({ attempt, status }) => [attempt, status])).toEqual([
        [1, 500],
        [2, 500],
        [3, 500],
        [4, 200],
      ]);
    }));

  it("does not follow a redirect", () =>
    inWorld(async (world) => {
      const { id } = await world.receive(
        "r",
        () => new Response(null, { status: 302, headers: { location: "https://receiver.test/other" } }),
      );
      world.receivers.set("/other", ok);
      const sent = test(world, id);
      await world.drain();
      expect(world.hits.map(({ url }) => new URL(url).pathname)).toEqual(["/r"]);
      expect(delivery(world, sent)?.attempts[0]).toMatchObject({
        status: 302,
        location: "https://receiver.test/other",
        outcome: "retry",
      });
    }));

  it("waits as long as Retry-After asks, with the whole lane", () =>
    inWorld(async (world) => {
      let first = true;
      const { id } = await world.receive("r", () => {
        if (!first) return ok();
        first = false;
        return new Response(null, { status: 429, headers: { "retry-after": "120" } });
      });
      const a = test(world, id);
      await world.drain();
      const b = test(world, id);
      await world.until(() => delivery(world, a)?.status === "delivered" && delivery(world, b)?.status === "delivered");
      expect((world.hits[1]?.at ?? 0) - (world.hits[0]?.at ?? 0)).toBeGreaterThanOrEqual(120_000);
    }));

  it("disables a receiver that answers 410, keeps its events, and sends them when it is active again", () =>
    inWorld(async (world) => {
      let gone = true;
      const { id } = await world.receive("r", () => (gone ? new Response(null, { status: 410 }) : ok()));
      const a = test(world, id);
      await world.drain();
      expect(receivers.subscriptionOf(world.house, id)?.status).toBe("disabled");
      expect(delivery(world, a)?.status).toBe("held");
      expect(world.events().map(({ type }) => type)).toContain("callback.disabled");
      gone = false;
      receivers.changeSubscription(world.house, ACTOR, id, { status: "active" }, {});
      await world.until(() => delivery(world, a)?.status === "delivered");
      expect(world.hits).toHaveLength(2);
    }));

  it("is exhausted after 15 attempts, says so once, and can be recovered", () =>
    inWorld(async (world) => {
      let healed = false;
      const { id } = await world.receive("r", () => (healed ? ok() : fails()));
      await world.receive("news", ok, ["callback.*"]);
      // A lane with many failures opens its circuit; probes do not use up the schedule, so this one is kept below ten.
      const sent = test(world, id);
      world.house.run("UPDATE deliveries SET tries = 13 WHERE id = ?", sent);
      await world.until(() => delivery(world, sent)?.status === "exhausted", 100 * 3_600_000);
      await world.drain();
      expect(world.events().filter(({ type }) => type === "callback.exhausted")).toHaveLength(0);
      healed = true;
      const answer = receivers.recover(world.house, ACTOR, id, new Date(0).toISOString(), {});
      expect(answer).toMatchObject({ ok: true, value: { scheduled: 1 } });
      await world.until(() => delivery(world, sent)?.status === "delivered");
    }));

  it("is sent again by hand without touching its schedule", () =>
    inWorld(async (world) => {
      let healed = false;
      const { id } = await world.receive("r", () => (healed ? ok() : fails()));
      const sent = test(world, id);
      await world.drain();
      const planned = delivery(world, sent)?.nextAttemptAt;
      lanes.resend(world.house, ACTOR, sent, {});
      await world.drain();
      expect(delivery(world, sent)).toMatchObject({ status: "pending", nextAttemptAt: planned });
      expect(delivery(world, sent)?.attempts.map(({ attempt }) => attempt)).toEqual([1, 2]);
      healed = true;
      await world.until(() => delivery(world, sent)?.status === "delivered");
      expect(delivery(world, sent)?.attempts.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    }));

  it("is given out again when its lease lapses, and is shown as stuck after five", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = test(world, id);
      world.fate = (queue) => (queue === "callbacks" ? "drop" : "deliver");
      for (let i = 0; i < 6; i++) {
        await lanes.lease(world.house, world.desk.seal);
        await world.firecrest.clock.advance(61_000);
      }
      expect(delivery(world, sent)?.status).toBe("stuck");
    }));

  it("verifies with the old and the new secret while a rotation overlaps", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const rotated = await receivers.rotateSecret(world.house, world.desk.seal, ACTOR, id, { overlapSeconds: 60 }, {});
      expect(rotated.ok).toBe(true);
      test(world, id);
      await world.drain();
      const signatures = (n: number) =>
        world.hits[n]?.headers["webhook-signature"]?.split(" ").map((s) => s.split(",")[0]);
      expect(signatures(0)).toEqual(["v1", "v1", "v1a"]);
      await world.firecrest.clock.advance(61_000);
      test(world, id);
      await world.drain();
      expect(signatures(1)).toEqual(["v1", "v1a"]);
    }));

  it("goes to a healthy receiver at once, whatever happens to ninety-nine dead ones", () =>
    inWorld(async (world) => {
      for (let i = 0; i < 99; i++) await world.receive(`dead${i}`, fails, ["job.*"]);
      await world.receive("alive", ok, ["job.*"]);
      const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 5\n" });
      await world.until(() => world.job(id).settledAt !== undefined);
      await world.drain();
      const alive = world.hits.filter(({ url }) => url.endsWith("/alive")).length;
      expect(alive).toBe(world.types(`jobs/${id}`).length);
    }));
});
