import { describe, expect, it } from "vitest";
import { EgressError } from "../../shared/egress/error.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import * as lanes from "../../workers/poller/lanes.ts";
import { announce } from "../../workers/poller/ledger.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const HOUR_MS = 3_600_000;
const ok = () => new Response(null, { status: 200 });
const fails = () => new Response("no", { status: 500 });

/** A delivered event of its own, without any job. */
function test(world: World, id: string): string {
  const answer = deliveries.sendTest(world.house, ACTOR, id, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.id;
}

const delivery = (world: World, id: string) =>
  deliveries.listDeliveries(world.house, { limit: 200 }).items.find((item) => item.id === id);

const circuit = (world: World, id: string) => subscriptions.subscriptionOf(world.house, ACTOR, id)?.circuit;

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
      expect(subscriptions.subscriptionOf(world.house, ACTOR, id)?.status).toBe("disabled");
      expect(delivery(world, a)?.status).toBe("held");
      expect(world.events().map(({ type }) => type)).toContain("callback.disabled");
      gone = false;
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "active" }, {});
      await world.until(() => delivery(world, a)?.status === "delivered");
      expect(world.hits).toHaveLength(2);
    }));

  it("is sent again by hand without touching its schedule", () =>
    inWorld(async (world) => {
      let healed = false;
      const { id } = await world.receive("r", () => (healed ? ok() : fails()));
      const sent = test(world, id);
      await world.drain();
      const planned = delivery(world, sent)?.nextAttemptAt;
      deliveries.resend(world.house, ACTOR, sent, {});
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
      const rotated = await subscriptions.rotateSecret(
        world.house,
        world.desk.seal,
        ACTOR,
        id,
        { overlapSeconds: 60 },
        {},
      );
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

describe("a lane", () => {
  it("lets a failed probe go to its end, so that one poisonous message keeps no other back", () =>
    inWorld(async (world) => {
      let poison = "";
      let down = true;
      const { id } = await world.receive("r", (_request, body) =>
        down || (JSON.parse(body) as { id: string }).id === poison ? fails() : ok(),
      );
      const sent = Array.from({ length: 12 }, () => test(world, id));
      poison = delivery(world, sent[0] ?? "")?.event ?? "";
      await world.until(() => circuit(world, id)?.openedAt !== undefined);
      down = false;
      await world.until(() => sent.slice(1).every((one) => delivery(world, one)?.status === "delivered"));
      expect(delivery(world, sent[0] ?? "")?.status).toBe("pending");
    }));

  it("never loses a delivery whose name cannot be looked up, and uses up nothing of its schedule", () =>
    inWorld(async (world) => {
      let resolves = false;
      const { id } = await world.receive("r", () => {
        if (resolves) return ok();
        throw new EgressError({ code: "unresolved", reason: "unresolved" });
      });
      const sent = test(world, id);
      await world.until(() => (delivery(world, sent)?.attempts.length ?? 0) >= 20, 24 * HOUR_MS);
      expect(world.house.row("SELECT tries, status FROM deliveries WHERE id = ?", sent)).toEqual({
        tries: 0,
        status: "pending",
      });
      expect(delivery(world, sent)?.attempts[0]).toMatchObject({
        outcome: "retry",
        error: "this address could not be looked up",
      });
      resolves = true;
      await world.until(() => delivery(world, sent)?.status === "delivered");
    }));

  it("is closed at once: what it is told about its own end is held, too, and no good news follows", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", () => new Response(null, { status: 410 }), ["*"]);
      test(world, id);
      test(world, id);
      await world.until(() => true);
      expect(subscriptions.subscriptionOf(world.house, ACTOR, id)?.status).toBe("disabled");
      expect(world.house.rows("SELECT status FROM deliveries WHERE receiver = ? AND status <> 'held'", id)).toEqual([]);
      expect(
        world
          .events()
          .map(({ type }) => type)
          .filter((type) => type.startsWith("callback.") && type !== "callback.test"),
      ).toEqual(["callback.disabled"]);
    }));

  it("is not sent again what arrived while its receiver was being switched off", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = test(world, id);
      const [leased] = await lanes.lease(world.house, world.desk.seal);
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "paused" }, {});
      expect(delivery(world, sent)?.status).toBe("held");
      lanes.report(world.house, [
        {
          delivery: sent,
          attempt: leased?.attempt ?? 0,
          at: world.house.now(),
          durationMs: 5,
          status: 200,
          verdict: { outcome: "delivered", disable: false },
        },
      ]);
      expect(delivery(world, sent)?.status).toBe("delivered");
    }));

  it("counts the first report of an attempt, and of a second one only that it arrived", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = test(world, id);
      await lanes.lease(world.house, world.desk.seal);
      await world.firecrest.clock.advance(61_000);
      await lanes.lease(world.house, world.desk.seal);
      const report = { delivery: sent, attempt: 1, at: world.house.now(), durationMs: 5 };
      lanes.report(world.house, [
        { ...report, status: 500, verdict: { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 } },
      ]);
      lanes.report(world.house, [
        { ...report, status: 500, verdict: { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 } },
      ]);
      expect(delivery(world, sent)?.attempts).toHaveLength(1);
      lanes.report(world.house, [{ ...report, status: 200, verdict: { outcome: "delivered", disable: false } }]);
      expect(delivery(world, sent)).toMatchObject({ status: "delivered" });
      expect(delivery(world, sent)?.attempts.map(({ attempt, status }) => [attempt, status])).toEqual([
        [1, 500],
        [2, 200],
      ]);
    }));

  it("whose secret cannot be opened keeps no other from being served", () =>
    inWorld(async (world) => {
      const broken = await world.receive("broken", ok);
      const { id } = await world.receive("whole", ok);
      world.house.run(
        "UPDATE receivers SET doc = json_set(doc, '$.secrets[0].jwe', 'not a jwe') WHERE id = ?",
        broken.id,
      );
      const stuck = test(world, broken.id);
      const sent = test(world, id);
      await world.until(
        () => delivery(world, sent)?.status === "delivered" && delivery(world, stuck)?.status === "stuck",
      );
    }));

  it("is served at once however many others are due", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 120; n++) await world.receive(`r${n}`, ok, ["connection.*"]);
      world.house.change(() =>
        announce(world.house, {
          type: "connection.recovered",
          subject: "connection",
          data: { connection: world.house.name, reason: "answers" },
        }),
      );
      await world.drain();
      expect(world.hits).toHaveLength(120);
      expect(new Set(world.hits.map(({ at }) => at)).size).toBe(1);
    }));

  it("costs nothing while it sleeps: only lanes that are due are read", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 30; n++) {
        const { id } = await world.receive(`r${n}`, fails);
        test(world, id);
      }
      await world.drain();
      const read: string[] = [];
      const { rows } = world.house;
      world.house.rows = ((query: string, ...bindings: SqlStorageValue[]) => {
        read.push(query);
        return rows.call(world.house, query, ...bindings);
      }) as typeof rows;
      expect(await lanes.lease(world.house, world.desk.seal)).toEqual([]);
      expect(read.filter((query) => query.includes("deliveries"))).toEqual([]);
      expect(world.house.row("SELECT count(*) AS n FROM agenda WHERE kind = 'lane'")).toEqual({ n: 1 });
    }));

  it("forgets its Retry-After and its failures when its owner says that it is active", () =>
    inWorld(async (world) => {
      let busy = true;
      const { id } = await world.receive("r", () =>
        busy ? new Response(null, { status: 503, headers: { "retry-after": "86400" } }) : ok(),
      );
      test(world, id);
      await world.drain();
      busy = false;
      const second = test(world, id);
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "active" }, {});
      await world.drain();
      expect(delivery(world, second)?.status).toBe("delivered");
    }));

  it("keeps the newest fifty attempts of a receiver that is probed for days", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", () => {
        throw new EgressError({ code: "unresolved", reason: "unresolved" });
      });
      const sent = test(world, id);
      await world.until(() => (delivery(world, sent)?.attempts.at(-1)?.attempt ?? 0) > 60, 24 * HOUR_MS);
      expect(delivery(world, sent)?.attempts.length).toBe(50);
    }));
});

describe("what is kept of an answer", () => {
  it("is at most 4 KB of text, without anything secret that was sent along", () =>
    inWorld(async (world) => {
      const { id, secret } = await world.receive(
        "r",
        (request) =>
          new Response(`${secret} ${secret.slice(6)} ${request.headers.get("authorization")} ${"é".repeat(9_000)}`, {
            status: 500,
          }),
      );
      subscriptions.changeSubscription(
        world.house,
        ACTOR,
        id,
        { headers: { authorization: "Token hush-hush-hush" } },
        {},
      );
      const sent = test(world, id);
      await world.drain();
      const { excerpt = "", bytes } = delivery(world, sent)?.attempts[0] ?? {};
      expect(new TextEncoder().encode(excerpt).length).toBeLessThanOrEqual(4_096);
      expect(excerpt.length).toBeGreaterThan(1_000);
      for (const hidden of [secret, secret.slice(6), "hush-hush-hush"]) expect(excerpt).not.toContain(hidden);
      expect(bytes).toBeGreaterThan(18_000);
    }));

  it("is readable text, whatever bytes came", () =>
    inWorld(async (world) => {
      const { id } = await world.receive(
        "r",
        () => new Response(new Uint8Array([0xff, 0xfe, 0, 0x41, 0xc3]), { status: 500 }),
      );
      const sent = test(world, id);
      await world.drain();
      expect(delivery(world, sent)?.attempts[0]?.excerpt).toContain("A");
    }));
});
