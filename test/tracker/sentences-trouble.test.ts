/** What a receiver may rely on when it fails, hangs, is busy or was away. */
import { describe, expect, it } from "vitest";
import { SubscriptionRequest } from "../../shared/contract/subscription.ts";
import { attempt } from "../../workers/poller/callbacks.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import * as lanes from "../../workers/poller/lanes.ts";
import { signingKeys } from "../../workers/poller/signing.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import {
  ACTOR,
  DAY_MS,
  delivery,
  eventOf,
  fails,
  HOUR_MS,
  later,
  ok,
  send,
  settled,
  to,
  types,
  verifiesWith,
} from "./reception.ts";
import { type Hit, inWorld } from "./world.ts";

describe("when it goes wrong", () => {
  it(
    "6: a receiver that fails gets 15 attempts at the documented offsets; then it is given up, told once, and can be replayed",
    { timeout: 60_000 },
    () =>
      inWorld(async (world) => {
        let healed = false;
        const { id } = await world.receive("r", () => (healed ? ok() : fails()), ["job.accepted"]);
        const news = await world.receive("news", ok, ["callback.exhausted"]);
        await world.submit({});
        await world.until(
          () =>
            world.house.row("SELECT 1 FROM deliveries WHERE receiver = ? AND status = 'exhausted'", id) !== undefined,
          100 * HOUR_MS,
        );
        const steps = [5, 30, 120, 600, 1800, 3600, 10_800, 21_600, 36_000, 43_200, 43_200, 43_200, 43_200, 43_200];
        const hits = to(world, "r");
        expect(hits).toHaveLength(15);
        for (const [n, step] of steps.entries()) {
          const waited = ((hits[n + 1]?.at ?? 0) - (hits[n]?.at ?? 0)) / 1000;
          expect(waited).toBeGreaterThanOrEqual(step * 0.8);
          // The consumer is told within a moment of the time at which the attempt is due.
          expect(waited).toBeLessThanOrEqual(step + 1);
        }
        for (let day = 0; day < 7; day++) await later(world, DAY_MS);
        expect(to(world, "r")).toHaveLength(15);
        expect(to(world, "news").map(eventOf)).toEqual([
          expect.objectContaining({
            type: "callback.exhausted",
            data: expect.objectContaining({ subscription: id, attempts: 15 }),
          }),
        ]);
        expect(verifiesWith(news.secret, to(world, "news")[0] as Hit)).toBe(true);
        healed = true;
        await later(world, 18 * DAY_MS);
        subscriptions.recover(world.house, ACTOR, id, new Date(0).toISOString(), {});
        await world.until(() => to(world, "r").length === 16);
        expect(eventOf(to(world, "r")[15] as Hit)).toEqual(eventOf(hits[0] as Hit));
      }),
  );

  it("7: Retry-After delays the next attempt and pauses the whole lane; without it an overloaded receiver gets a minute", () =>
    inWorld(async (world) => {
      const cases: [string, () => Response, number][] = [
        ["seconds", () => new Response(null, { status: 429, headers: { "retry-after": "120" } }), 120],
        ["fraction", () => new Response(null, { status: 503, headers: { "retry-after": "120.1" } }), 121],
        [
          "date",
          () =>
            new Response(null, {
              status: 503,
              headers: { "retry-after": new Date(world.house.now() + 300_000).toUTCString() },
            }),
          299,
        ],
        ["junk", () => new Response(null, { status: 429, headers: { "retry-after": "soon" } }), 60],
        ["none", () => new Response(null, { status: 502 }), 60],
      ];
      for (const [name, answer, atLeastSeconds] of cases) {
        let first = true;
        const { id } = await world.receive(name, () => {
          if (!first) return ok();
          first = false;
          return answer();
        });
        const sent = send(world, id);
        await world.drain();
        const other = send(world, id);
        await world.until(
          () => delivery(world, sent)?.status === "delivered" && delivery(world, other)?.status === "delivered",
        );
        const [refused, ...later] = to(world, name);
        const again = later.find(({ headers }) => headers["firewatch-delivery"] === sent);
        expect(((again?.at ?? 0) - (refused?.at ?? 0)) / 1000).toBeGreaterThanOrEqual(atLeastSeconds);
        if (atLeastSeconds > 60)
          for (const hit of later) expect(hit.at - (refused?.at ?? 0)).toBeGreaterThanOrEqual(atLeastSeconds * 1000);
      }
    }));

  it("8: 410 or `disable` switches a receiver off and tells; `abort-message` ends that delivery only; other 4xx are tried again", () =>
    inWorld(async (world) => {
      const asks = (status: number, control?: string) => () =>
        new Response(null, { status, headers: control === undefined ? {} : { "webhook-delivery": control } });
      const outcomes: [string, () => Response, string, string][] = [
        ["gone", asks(410), "held", "disabled"],
        ["enough", asks(400, "disable"), "held", "disabled"],
        ["thanks", asks(200, "disable"), "delivered", "disabled"],
        ["not-this", asks(400, "abort-message"), "aborted", "active"],
        ["forbidden", asks(403), "pending", "active"],
        ["missing", asks(404), "pending", "active"],
      ];
      for (const [name, answer, status, receiver] of outcomes) {
        const { id } = await world.receive(name, answer);
        const sent = send(world, id);
        await world.drain();
        expect([
          name,
          delivery(world, sent)?.status,
          subscriptions.subscriptionOf(world.house, ACTOR, id)?.status,
        ]).toEqual([name, status, receiver]);
      }
      expect(types(world, "callback.disabled")).toHaveLength(3);
    }));

  it("9: a redirect is a failure on record, and where it leads gets nothing", () =>
    inWorld(async (world) => {
      for (const status of [301, 302, 303, 307, 308]) {
        const { id } = await world.receive(
          `r${status}`,
          () => new Response(null, { status, headers: { location: "https://receiver.test/second" } }),
        );
        const sent = send(world, id);
        await world.drain();
        expect(delivery(world, sent)?.attempts[0]).toMatchObject({
          status,
          outcome: "retry",
          location: "https://receiver.test/second",
        });
      }
      expect(to(world, "second")).toEqual([]);
    }));

  it("10: one deadline of 20 s covers everything, at most 64 KB are read, at most 4 KB of text are kept", () =>
    inWorld(async (world) => {
      const asked: unknown[] = [];
      let pulled = 0;
      const pull = (controller: ReadableStreamDefaultController<Uint8Array>) => {
        pulled++;
        controller.enqueue(new Uint8Array(16_384).fill(65));
      };
      const endless = () => new Response(new ReadableStream({ pull }), { status: 500 });
      const { id } = await world.receive("r", endless);
      const { fetch } = world.egress;
      world.egress.fetch = (url, init, options) => {
        asked.push(options);
        return fetch(url, init, options);
      };
      const sent = send(world, id);
      await world.drain();
      expect(asked).toEqual([{ purpose: "callback", deadlineMs: 20_000, maxBytes: 65_536 }]);
      expect(pulled).toBeLessThan(10);
      const [first] = delivery(world, sent)?.attempts ?? [];
      expect(first).toMatchObject({ status: 500, bytes: 65_536 });
      expect(first?.excerpt?.length).toBe(4_096);
    }));

  it(
    "12: ten failures open the circuit: deliveries wait, one probe in five minutes; one 2xx closes it and all go out",
    { timeout: 60_000 },
    () =>
      inWorld(async (world) => {
        let down = true;
        const { id } = await world.receive("r", () => (down ? fails() : ok()));
        const sent = Array.from({ length: 30 }, () => send(world, id));
        await world.until(() => subscriptions.subscriptionOf(world.house, ACTOR, id)?.circuit.openedAt !== undefined);
        // One more was already on its way.
        const before = world.hits.length;
        expect(before).toBeLessThanOrEqual(11);
        const opened = world.house.now();
        await world.live(HOUR_MS);
        const probes = world.hits.slice(before);
        expect(probes.length).toBeGreaterThanOrEqual(11);
        expect(probes.length).toBeLessThanOrEqual(12);
        for (const [n, { at }] of probes.entries())
          expect(at - (probes[n - 1]?.at ?? opened)).toBeGreaterThanOrEqual(300_000);
        expect(
          world.house.row(
            "SELECT max(tries) AS tries, count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'pending'",
            id,
          ),
        ).toEqual({ tries: 1, n: 30 });
        down = false;
        await world.until(() => sent.every((one) => delivery(world, one)?.status === "delivered"));
        const after = world.hits.slice(before + probes.length);
        expect(after).toHaveLength(30);
        expect(new Set(after.map(({ headers }) => headers["webhook-id"])).size).toBe(30);
        expect(types(world, "callback.").filter((type) => type !== "callback.test")).toEqual([
          "callback.failing",
          "callback.recovered",
        ]);
      }),
  );

  it("12: after five days it is disabled, told before at half and at 90 % of the time, and nothing is dropped", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", fails);
      for (let n = 0; n < 12; n++) send(world, id);
      await world.until(() => subscriptions.subscriptionOf(world.house, ACTOR, id)?.circuit.openedAt !== undefined);
      for (let hours = 0; hours <= 120; hours += 4) await later(world, 4 * HOUR_MS);
      expect(subscriptions.subscriptionOf(world.house, ACTOR, id)?.status).toBe("disabled");
      const notices = world.events().filter(({ type }) => type === "callback.failing" || type === "callback.disabled");
      expect(notices.map(({ type, data }) => [type, (data as { percent?: number }).percent])).toEqual([
        ["callback.failing", 0],
        ["callback.failing", 50],
        ["callback.failing", 90],
        ["callback.disabled", undefined],
      ]);
      expect(
        world.house.row("SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'held'", id),
      ).toEqual({ n: 12 });
    }));

  it("13: what a paused receiver missed goes out when it is active again, once and in order", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok, ["job.*"]);
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "paused" }, {});
      const jobs = [await world.submit({}), await world.submit({})];
      await world.until(() => jobs.every((job) => settled(world, job.id)()));
      await later(world, HOUR_MS);
      expect(world.hits).toEqual([]);
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "active" }, {});
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE status <> 'delivered'") === undefined);
      expect(world.hits.map(eventOf).map(({ sequence }) => sequence)).toEqual(world.events().map((_, n) => n + 1));
    }));

  it("13: `recover` sends 10,500 events again in their order, and none that had arrived", { timeout: 120_000 }, () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const EVENTS = 10_500;
      const now = world.house.now();
      world.house.change(() => {
        for (let n = 1; n <= EVENTS; n++) {
          world.house.run(
            "INSERT INTO events (sequence, id, type, subject, at, body) VALUES (?, ?, 'job.queued', 'jobs/x', ?, ?)",
            n,
            `evt_${n}`,
            now,
            `{"id":"evt_${n}"}`,
          );
          const status = n % 7 === 0 ? "delivered" : n % 2 === 0 ? "exhausted" : "stuck";
          world.house.run(
            "INSERT INTO deliveries (id, receiver, sequence, status, attempt, next_at, tries, lease_until, lapses, created_at) VALUES (?, ?, ?, ?, 15, 0, 15, 0, 0, ?)",
            world.house.id("dlv"),
            id,
            n,
            status,
            now,
          );
        }
      });
      const missed = EVENTS - Math.floor(EVENTS / 7);
      expect(subscriptions.recover(world.house, ACTOR, id, new Date(now).toISOString(), {})).toEqual({
        ok: true,
        value: { scheduled: missed },
      });
      const sent: number[] = [];
      for (;;) {
        const leases = await lanes.lease(world.house, world.desk.seal);
        if (leases.length === 0) break;
        sent.push(...leases.map(({ eventId }) => Number(eventId.slice(4))));
        lanes.report(
          world.house,
          leases.map(({ delivery: one, attempt: n }) => ({
            delivery: one,
            attempt: n,
            at: now,
            durationMs: 1,
            status: 200,
            verdict: { outcome: "delivered", disable: false },
          })),
        );
      }
      expect(sent).toHaveLength(missed);
      expect(sent).toEqual([...sent].sort((a, b) => a - b));
      expect(sent.some((n) => n % 7 === 0)).toBe(false);
    }),
  );

  it(
    "14: a resend by hand while a retry is pending neither loses nor doubles anything of the schedule",
    { timeout: 60_000 },
    () =>
      inWorld(async (world) => {
        const { id } = await world.receive("r", fails, ["job.accepted"]);
        await world.submit({});
        await world.drain();
        const sent = deliveries.listDeliveries(world.house, { subscription: id as never }).items[0]?.id ?? "";
        for (let n = 0; n < 3; n++) {
          const planned = delivery(world, sent)?.nextAttemptAt;
          deliveries.resend(world.house, ACTOR, sent, {});
          await world.drain();
          expect(delivery(world, sent)).toMatchObject({ status: "pending", nextAttemptAt: planned });
        }
        await world.until(() => delivery(world, sent)?.status === "exhausted", 100 * HOUR_MS);
        expect(delivery(world, sent)?.attempts.map(({ attempt: n }) => n)).toEqual(
          Array.from({ length: 18 }, (_, n) => n + 1),
        );
      }),
  );

  it("16: a Worker killed between answer and record costs one duplicate with the same id at most, and never a loss", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = send(world, id);
      const keys = await signingKeys(world.desk);
      const [leased] = await lanes.lease(world.house, world.desk.seal);
      await attempt(leased as lanes.Lease, {
        signingKeys: keys,
        connection: world.house.name,
        egress: world.egress,
        now: world.house.now,
      });
      expect(world.hits).toHaveLength(1);
      await world.until(() => delivery(world, sent)?.status === "delivered");
      expect(world.hits).toHaveLength(2);
      expect(new Set(world.hits.map(({ headers, body }) => `${headers["webhook-id"]} ${body}`)).size).toBe(1);
      expect(delivery(world, sent)?.attempts).toEqual([
        expect.objectContaining({
          attempt: 1,
          status: 200,
          outcome: "delivered",
          durationMs: expect.any(Number),
          bytes: 0,
        }),
      ]);
    }));

  it("17: a subscription is active at once, and never gets more than its rate within any 60 s", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      expect(subscriptions.changeSubscription(world.house, ACTOR, id, { ratePerMinute: 7 }, {})).toMatchObject({
        ok: true,
        value: { status: "active", ratePerMinute: 7 },
      });
      for (let n = 0; n < 20; n++) send(world, id);
      await world.live(50_000);
      for (let n = 0; n < 20; n++) send(world, id);
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE status <> 'delivered'") === undefined);
      expect(world.hits).toHaveLength(40);
      const times = world.hits.map(({ at }) => at);
      for (const from of times)
        expect(times.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(7);
      // It is used, too: 40 deliveries take 6 windows, not more.
      expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThan(6 * 60_000);
    }));

  it("refuses a secret at registration that no delivery could be signed with", () => {
    const accepts = (secret: string) =>
      SubscriptionRequest.safeParse({ url: "https://receiver.test/", secret }).success;
    const text = btoa("k".repeat(25));
    expect(accepts(`whsec_${text}`)).toBe(true);
    expect(accepts(`whsec_${text.replace(/=+$/, "")}`)).toBe(true);
    for (const bad of [
      `${text}=`,
      text.replace(/=$/, ""),
      `${text.replace(/=+$/, "")}AAA`,
      "A".repeat(33),
      btoa("k".repeat(23)),
      btoa("k".repeat(65)),
    ])
      expect([bad, accepts(`whsec_${bad}`)]).toEqual([bad, false]);
  });
});
