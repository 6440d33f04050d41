/** What a receiver may rely on: which events it gets, and in which form. */
import { describe, expect, it } from "vitest";
import { eventSchema } from "../../shared/contract/event-schema.ts";
import type { EventType } from "../../shared/contract/states.ts";
import { z } from "../../shared/contract/words.ts";
import { eventsAfter } from "../../workers/poller/ledger.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { ACTOR, eventOf, fails, ok, SCRIPT, settled, to } from "./reception.ts";
import { inWorld } from "./world.ts";

describe("which events, in which form", () => {
  it("5: a job's own callback and a subscription each get its end once, however often it is seen", () =>
    inWorld(async (world) => {
      world.fate = (queue) => (queue === "callbacks" ? "deliver" : "double");
      world.receivers.set("/own", ok);
      await world.receive("all", ok, ["END"]);
      const { id } = await world.submit({
        callbacks: [{ url: "https://receiver.test/own", events: ["job.succeeded"] }],
      });
      await world.submit({});
      await world.until(settled(world, id));
      for (let n = 0; n < 10; n++) {
        world.house.change(() => world.house.due("round", "cluster", world.house.now()));
        await world.run(Promise.all([attend(world.desk), attend(world.desk)]));
      }
      await world.live(10_000);
      const ends = (path: string) =>
        to(world, path)
          .map(eventOf)
          .filter(({ subject }) => subject === `jobs/${id}`)
          .map(({ type }) => type);
      expect(ends("own")).toEqual(["job.succeeded"]);
      expect(ends("all")).toEqual(["job.succeeded"]);
      expect(to(world, "own")).toHaveLength(1);
      expect(to(world, "own")[0]?.headers["webhook-signature"]).toMatch(/^v1a,\S+$/);
    }));

  it("15: what is read after a cursor is what was sent, numbered without gaps; a failure holds nothing else back", () =>
    inWorld(async (world) => {
      let poison = true;
      await world.receive("r", (_request, body) => (poison && body.includes('"job.queued"') ? fails() : ok()), ["*"]);
      const { id } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt", key: "o" }] });
      await world.until(settled(world, id));
      await world.until(() => world.owed() === 0);
      await world.drain();
      expect(
        to(world, "r")
          .map(eventOf)
          .map(({ type }) => type),
      ).toContain("job.settled");
      poison = false;
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE status <> 'delivered'") === undefined);
      const read = eventsAfter(world.house, { after: 2 });
      const sent = new Map(to(world, "r").map((hit) => [eventOf(hit).sequence, hit.body]));
      expect(read.ok && read.value.items.map((event) => JSON.stringify(event))).toEqual(
        [...sent.keys()]
          .sort((a, b) => a - b)
          .filter((n) => n > 2)
          .map((n) => sent.get(n)),
      );
      expect([...sent.keys()].sort((a, b) => a - b)).toEqual(world.events().map((_, n) => n + 1));
    }));

  it("18: bodies stay below 20 KB in both forms; what was cut is counted, and a stored file is named with its SHA-256", () =>
    inWorld(async (world) => {
      await world.receive("plain", ok, ["*"]);
      const enveloped = await world.receive("enveloped", ok, ["*"]);
      subscriptions.changeSubscription(world.house, ACTOR, enveloped.id, { format: "cloudevents" }, {});
      const labels = Object.fromEntries(Array.from({ length: 32 }, (_, n) => [`label-${n}`, "é".repeat(256)]));
      const outputs = Array.from({ length: 100 }, (_, n) => ({
        path: `${"deep/".repeat(100)}${n}`,
        key: `${"k".repeat(500)}${n}`,
        when: "failure" as const,
      }));
      const { id } = await world.submit({
        script: SCRIPT,
        labels,
        outputs: [{ path: "out.txt", key: "o" }, ...outputs.slice(1)],
      });
      await world.until(settled(world, id));
      await world.until(() => world.owed() === 0);
      await world.drain();
      expect(Math.max(...world.hits.map(({ body }) => new TextEncoder().encode(body).length))).toBeLessThan(20_000);
      const end = to(world, "plain")
        .map(eventOf)
        .find(({ type }) => type === "job.settled");
      expect(end?.data).toMatchObject({ id, status: "succeeded", truncated: { labels: 32, outputs: 100 } });
      const stored = to(world, "plain")
        .map(eventOf)
        .find(({ type }) => type === "transfer.stored");
      expect(stored?.data).toMatchObject({ key: "o", bytes: 6, sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
      // The whole is at the API.
      expect(Object.keys(world.job(id).labels ?? {})).toHaveLength(32);
      expect(world.job(id).outputs).toHaveLength(100);
    }));

  it("19: every body is what the published schema of its type says, plain and in its CloudEvents envelope", () =>
    inWorld(async (world) => {
      await world.receive("plain", ok, ["*"]);
      const enveloped = await world.receive("enveloped", ok, ["*"]);
      await world.receive("gone", () => new Response(null, { status: 410 }), ["job.queued"]);
      subscriptions.changeSubscription(world.house, ACTOR, enveloped.id, { format: "cloudevents" }, {});
      const { id } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt", key: "o" }] });
      await world.until(settled(world, id));
      await world.until(() => world.owed() === 0);
      await world.drain();
      const seen = new Set<string>();
      for (const [path, format] of [
        ["plain", "plain"],
        ["enveloped", "cloudevents"],
      ] as const) {
        for (const { body, headers } of to(world, path)) {
          const type = (JSON.parse(body) as { type: EventType }).type;
          seen.add(`${type} ${format}`);
          const published = z.fromJSONSchema(eventSchema(type, format) as Parameters<typeof z.fromJSONSchema>[0]);
          expect([type, published.safeParse(JSON.parse(body)).error?.issues ?? []]).toEqual([type, []]);
          expect(headers["content-type"]).toBe(
            format === "plain" ? "application/json" : "application/cloudevents+json",
          );
          if (format === "cloudevents")
            expect(JSON.parse(body)).toMatchObject({
              specversion: "1.0",
              dataschema: `https://firewatch.test/v1/schemas/${type}`,
              sequence: expect.stringMatching(/^\d{20}$/),
            });
        }
      }
      expect(seen.size).toBeGreaterThanOrEqual(18);
    }));
});
