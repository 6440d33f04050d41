import { describe, expect, it } from "vitest";
import * as deliveries from "../../workers/poller/deliveries.ts";
import { jobRecord, saveJob } from "../../workers/poller/jobs.ts";
import { eventsAfter } from "../../workers/poller/ledger.ts";
import { retire } from "../../workers/poller/retention.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const DAY_MS = 24 * 3_600_000;
const ok = () => new Response(null, { status: 200 });

async function passDays(world: World, days: number): Promise<void> {
  await world.firecrest.clock.advance(days * DAY_MS);
  world.house.change(() => retire(world.house));
}
const rows = (world: World, table: string, condition = "1") =>
  world.house.row<{ n: number }>(`SELECT count(*) AS n FROM ${table} WHERE ${condition}`)?.n;

async function oneJob(world: World): Promise<string> {
  world.receivers.set("/own", ok);
  const { id } = await world.submit({
    script: "#!/bin/bash -l\n#FAKE write out.txt hello\n",
    outputs: [{ path: "out.txt", key: "o" }],
    callbacks: [{ url: "https://receiver.test/own", events: ["*"] }],
  });
  await world.until(() => world.job(id).settledAt !== undefined);
  await world.until(() => world.owed() === 0);
  await world.drain();
  return id;
}

describe("retention", () => {
  it("keeps bodies of events, deliveries and attempts for 30 days, then the sequence alone", () =>
    inWorld(async (world) => {
      await oneJob(world);
      const total = world.events().length;
      await passDays(world, 29);
      expect(world.events()).toHaveLength(total);
      expect(rows(world, "attempts")).toBeGreaterThan(0);
      await passDays(world, 2);
      expect([rows(world, "deliveries"), rows(world, "attempts"), rows(world, "events", "body IS NOT NULL")]).toEqual([
        0, 0, 0,
      ]);
      expect(rows(world, "events")).toBe(total);
      expect(eventsAfter(world.house, { after: 1 })).toMatchObject({ ok: false, code: "gone", oldest: total });
      const { id } = await world.receive("r", ok);
      deliveries.sendTest(world.house, ACTOR, id, {});
      expect(world.events().map(({ sequence }) => sequence)).toEqual([total + 1]);
    }));

  it("keeps the event of a delivery that still goes on", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", () => new Response(null, { status: 500 }));
      const sent = deliveries.sendTest(world.house, ACTOR, id, {});
      await world.drain();
      await passDays(world, 31);
      expect(rows(world, "events", "body IS NOT NULL")).toBe(1);
      expect(rows(world, "attempts")).toBe(1);
      expect(sent.ok && deliveries.resend(world.house, ACTOR, sent.value.id, {})).toMatchObject({ ok: true });
    }));

  it("answers `gone` to a resend of what has expired, and recovers only what has a body", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = deliveries.sendTest(world.house, ACTOR, id, {});
      if (!sent.ok) throw new Error("not sent");
      await world.drain();
      world.house.run("UPDATE deliveries SET status = 'exhausted'");
      world.house.run("UPDATE events SET body = NULL");
      expect(deliveries.resend(world.house, ACTOR, sent.value.id, {})).toMatchObject({ ok: false, code: "gone" });
      expect(subscriptions.recover(world.house, ACTOR, id, new Date(0).toISOString(), {})).toEqual({
        ok: true,
        value: { scheduled: 0 },
      });
    }));

  it("keeps what a paused receiver missed for 30 days, too, and not for ever", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok, ["*"]);
      deliveries.sendTest(world.house, ACTOR, id, {});
      subscriptions.changeSubscription(world.house, ACTOR, id, { status: "paused" }, {});
      await passDays(world, 31);
      expect([rows(world, "deliveries"), rows(world, "events", "body IS NOT NULL")]).toEqual([0, 0]);
    }));

  it("keeps a job, its transfers, its callbacks and its idempotency key for 90 days; nothing of it is left without its owner", () =>
    inWorld(async (world) => {
      const id = await oneJob(world);
      world.house.run(
        "INSERT INTO requests (actor, route, key, body_sha256, answer, at) VALUES ('admin', 'jobs', 'k', 'x', '{}', ?)",
        world.house.now(),
      );
      await passDays(world, 89);
      expect([
        rows(world, "jobs"),
        rows(world, "transfers"),
        rows(world, "receivers"),
        rows(world, "requests"),
      ]).toEqual([1, 1, 1, 1]);
      // Somebody sends something again on its last day.
      world.house.run(
        "INSERT INTO deliveries (id, receiver, sequence, status, attempt, next_at, tries, lease_until, lapses, created_at) SELECT 'dlv_z', id, 1, 'pending', 0, 0, 0, 0, 0, ? FROM receivers",
        world.house.now(),
      );
      await passDays(world, 2);
      for (const table of [
        "jobs",
        "transfers",
        "receivers",
        "requests",
        "deliveries",
        "attempts",
        "effects",
        "debts",
        "parts",
      ])
        expect([table, rows(world, table)]).toEqual([table, 0]);
      expect(rows(world, "events", `subject = 'jobs/${id}'`)).toBeGreaterThan(0);
      expect(rows(world, "audit")).toBeGreaterThan(0);
    }));

  it("erases inbound bodies after 7 days and knows the message as long as what it made", () =>
    inWorld(async (world) => {
      world.house.run(
        "INSERT INTO inbound (id, hook, message, body_sha256, at, doc, body) VALUES ('req_1', 'h', 'm', 'x', ?, '{}', 'secret body')",
        world.house.now(),
      );
      await passDays(world, 8);
      expect(world.house.row("SELECT message, body FROM inbound")).toEqual({ message: "m", body: null });
      await passDays(world, 80);
      expect(rows(world, "inbound")).toBe(1);
      await passDays(world, 3);
      expect(rows(world, "inbound")).toBe(0);
    }));

  it("counts a job whose end can no longer be taken back as over", () =>
    inWorld(async (world) => {
      const id = await oneJob(world);
      const { house } = world;
      const record = jobRecord(house, id);
      if (record === undefined) throw new Error("no job");
      house.change(() => {
        saveJob(house, { ...record, status: "failed", reason: "node_fail", revocableUntil: house.now() + 600_000 });
        house.due("round", "cluster", house.now());
      });
      expect(rows(world, "jobs", "live = 1")).toBe(1);
      await world.live(700_000);
      expect(rows(world, "jobs", "live = 1")).toBe(0);
      await passDays(world, 91);
      expect(rows(world, "jobs")).toBe(0);
    }));
});
