/** What a receiver may rely on, one test for each sentence of `docs/callbacks.md`. */
import { Webhook } from "standardwebhooks";
import { afterEach, describe, expect, it, vi } from "vitest";
import { createEgress } from "../../shared/egress/egress.ts";
import { eventSchema } from "../../shared/contract/event-schema.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { EventType } from "../../shared/contract/states.ts";
import { SubscriptionRequest } from "../../shared/contract/subscription.ts";
import { z } from "../../shared/contract/words.ts";
import { attempt } from "../../workers/poller/callbacks.ts";
import { signingKey, webhookKeys } from "../../workers/poller/connections.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import * as lanes from "../../workers/poller/lanes.ts";
import { eventsAfter } from "../../workers/poller/ledger.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { type Hit, inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n";
const ok = () => new Response(null, { status: 200 });
const fails = () => new Response("no", { status: 500 });

function send(world: World, id: string): string {
  const answer = deliveries.sendTest(world.house, ACTOR, id, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.id;
}
const delivery = (world: World, id: string) => deliveries.listDeliveries(world.house, { limit: 200 }).items.find((item) => item.id === id);
const settled = (world: World, id: string) => () => world.job(id).settledAt !== undefined;
const to = (world: World, path: string): Hit[] => world.hits.filter(({ url }) => url.endsWith(`/${path}`));
const eventOf = ({ body }: Hit): Event => JSON.parse(body) as Event;
const types = (world: World, family: string) => world.events().map(({ type }) => type).filter((type) => type.startsWith(family));

/** A long time in one step: what fell due meanwhile is attended to at its end. */
async function later(world: World, ms: number): Promise<void> {
  await world.firecrest.clock.advance(ms);
  await world.run(attend(world.desk));
  await world.drain();
}

afterEach(() => void vi.useRealTimers());

/** One of each kind of address that is not for strangers; every spelling of them is tried in `shared/egress/rules.test.ts`. */
const INSIDE = [
  "https://127.0.0.1/",
  "https://2130706433/",
  "https://0x7f.1/",
  "https://0177.0.0.1/",
  "https://10.0.0.1/",
  "https://100.64.0.1/",
  "https://169.254.169.254/latest/meta-data/",
  "https://172.31.255.255/",
  "https://192.168.1.1/",
  "https://198.18.0.1/",
  "https://224.0.0.1/",
  "https://255.255.255.255/",
  "https://[::1]/",
  "https://[::ffff:10.0.0.1]/",
  "https://[64:ff9b::a9fe:a9fe]/",
  "https://[2002:a00:1::]/",
  "https://[fd00::1]/",
  "https://[fe80::1]/",
  "https://[ff02::1]/",
  "https://localhost/",
  "https://a.localhost./",
  "https://router/",
  "https://printer.local/",
  "https://metadata.google.internal/",
  "http://example.com/",
  "https://example.com:22/",
  "https://user@example.com/",
];

/** The official library, at the time at which the delivery arrived. */
function verifiesWith(secret: string, hit: Hit): boolean {
  vi.useFakeTimers({ toFake: ["Date"], now: hit.at });
  try {
    new Webhook(secret).verify(hit.body, hit.headers);
    return true;
  } catch {
    return false;
  } finally {
    vi.useRealTimers();
  }
}

/** WebCrypto and the published keys, nothing else. */
async function verifiesWithPublishedKeys(world: World, { headers, body }: Hit): Promise<boolean> {
  const content = new TextEncoder().encode(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`);
  const given = (headers["webhook-signature"] ?? "").split(" ").filter((entry) => entry.startsWith("v1a,"));
  for (const jwk of webhookKeys(world.house).keys) {
    const key = await crypto.subtle.importKey("jwk", { kty: "OKP", crv: "Ed25519", x: String(jwk.x) }, "Ed25519", false, ["verify"]);
    for (const entry of given) {
      const signature = Uint8Array.from(atob(entry.slice(4)), (char) => char.charCodeAt(0));
      if (await crypto.subtle.verify("Ed25519", key, signature, content)) return true;
    }
  }
  return false;
}

describe("trust", () => {
  it("1: the official library and an independent Ed25519 verifier accept the first attempt and every retry", () =>
    inWorld(async (world) => {
      let left = 3;
      const { id, secret } = await world.receive("r", () => (left-- > 0 ? fails() : ok()));
      const sent = send(world, id);
      await world.until(() => delivery(world, sent)?.status === "delivered");
      expect(world.hits).toHaveLength(4);
      for (const hit of world.hits) {
        expect(verifiesWith(secret, hit)).toBe(true);
        expect(await verifiesWithPublishedKeys(world, hit)).toBe(true);
        expect(await verifiesWithPublishedKeys(world, { ...hit, body: `${hit.body} ` })).toBe(false);
      }
    }));

  it("2: body and id are the same on each attempt, time and signature are fresh, delivery and attempt are told apart", () =>
    inWorld(async (world) => {
      let left = 3;
      const { id } = await world.receive("r", () => (left-- > 0 ? fails() : ok()));
      const sent = send(world, id);
      await world.until(() => delivery(world, sent)?.status === "delivered");
      const all = (name: string) => world.hits.map(({ headers }) => headers[name]);
      expect(new Set(world.hits.map(({ body }) => body)).size).toBe(1);
      expect(new Set(all("webhook-id"))).toEqual(new Set([delivery(world, sent)?.event]));
      expect(new Set(all("webhook-timestamp")).size).toBe(4);
      expect(new Set(all("webhook-signature")).size).toBe(4);
      expect(new Set(all("firewatch-delivery"))).toEqual(new Set([sent]));
      expect(all("firewatch-attempt")).toEqual(["1", "2", "3", "4"]);
    }));

  it("3: whoever knows only the published keys verifies what is sent, also after a secret was rotated", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      send(world, id);
      await world.drain();
      await subscriptions.rotateSecret(world.house, world.desk.seal, ACTOR, id, {}, {});
      send(world, id);
      await world.drain();
      expect(webhookKeys(world.house).keys).toEqual([expect.objectContaining({ kty: "OKP", crv: "Ed25519", kid: expect.any(String), nbf: expect.any(Number) })]);
      expect(JSON.stringify(webhookKeys(world.house))).not.toContain('"d"');
      for (const hit of world.hits) {
        expect(hit.headers["webhook-signature"]).toMatch(/^v1,\S+ (v1,\S+ )?v1a,\S+$/);
        expect(await verifiesWithPublishedKeys(world, hit)).toBe(true);
      }
    }));

  it("4: during the overlap every live secret verifies, also retries from before; a second after it the old one does not", () =>
    inWorld(async (world) => {
      let down = true;
      const { id, secret: old } = await world.receive("r", () => (down ? fails() : ok()));
      const before = send(world, id);
      await world.drain();
      const secrets = [old];
      for (let n = 0; n < 2; n++) {
        const rotated = await subscriptions.rotateSecret(world.house, world.desk.seal, ACTOR, id, { overlapSeconds: 3600 }, {});
        if (rotated.ok) secrets.push(rotated.value.secret);
      }
      down = false;
      await world.until(() => delivery(world, before)?.status === "delivered");
      const retry = world.hits.at(-1) as Hit;
      expect(secrets.map((secret) => verifiesWith(secret, retry))).toEqual([true, true, true]);
      await world.firecrest.clock.advance(HOUR_MS + 1_000);
      send(world, id);
      await world.drain();
      expect(secrets.map((secret) => verifiesWith(secret, world.hits.at(-1) as Hit))).toEqual([false, false, true]);
    }));

  it("11: each address that must be blocked is refused at registration and at each attempt, in constant words, unconnected", () =>
    inWorld(async (world) => {
      const fetched: string[] = [];
      const egress = createEgress({
        fetch: async (url) => {
          fetched.push(url);
          return ok();
        },
        now: world.house.now,
        resolve: async () => ({ addresses: ["10.0.0.1"], aliases: [] }),
      });
      const texts = new Set<string | undefined>();
      const key = await signingKey(world.desk);
      const lease = (url: string): lanes.Lease => ({ delivery: "dlv", attempt: 1, until: 0, url, format: "plain", headers: {}, body: "{}", eventId: "evt_x", secrets: [] });
      for (const url of INSIDE) {
        expect([url, egress.refusal(url)]).not.toEqual([url, undefined]);
        texts.add((await attempt(lease(url), { signingKey: key, connection: "c", egress, now: world.house.now })).error);
      }
      // A good name that was turned to a private address after it was registered.
      expect(egress.refusal("https://good.example.com/")).toBeUndefined();
      texts.add((await attempt(lease("https://good.example.com/"), { signingKey: key, connection: "c", egress, now: world.house.now })).error);
      expect([...texts]).toEqual(["this address is not allowed"]);
      expect(fetched).toEqual([]);
    }));

  it("20: secrets are sealed, shown once, and nowhere to be read; removing a receiver removes what was kept of it but the audit", () =>
    inWorld(async (world) => {
      const { id, secret } = await world.receive("r", () => new Response(`you sent ${secret}`, { status: 500 }));
      send(world, id);
      await world.drain();
      const tables = world.house.rows<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'");
      const everything = () => JSON.stringify(tables.map(({ name }) => world.house.rows(`SELECT * FROM "${name}"`)));
      expect(everything()).not.toContain(secret.slice(6));
      expect(JSON.stringify(subscriptions.subscription(world.house, ACTOR, id))).not.toContain("secret");
      expect(JSON.stringify(deliveries.listDeliveries(world.house, {}))).not.toContain(secret.slice(6));
      subscriptions.removeSubscription(world.house, ACTOR, id, {});
      for (const table of ["receivers", "deliveries", "attempts"]) expect(world.house.rows(`SELECT * FROM ${table}`)).toEqual([]);
      const acts = world.house.rows<{ doc: string }>("SELECT doc FROM audit").map(({ doc }) => (JSON.parse(doc) as { act: string }).act);
      expect(acts).toEqual(expect.arrayContaining(["subscription.add", "subscription.test", "subscription.remove"]));
    }));
});

describe("which events, in which form", () => {
  it("5: a job's own callback and a subscription each get its end once, however often it is seen", () =>
    inWorld(async (world) => {
      world.fate = (queue) => (queue === "callbacks" ? "deliver" : "double");
      world.receivers.set("/own", ok);
      await world.receive("all", ok, ["END"]);
      const { id } = await world.submit({ callbacks: [{ url: "https://receiver.test/own", events: ["job.succeeded"] }] });
      await world.submit({});
      await world.until(settled(world, id));
      for (let n = 0; n < 10; n++) {
        world.house.change(() => world.house.due("round", "cluster", world.house.now()));
        await world.run(Promise.all([attend(world.desk), attend(world.desk)]));
      }
      await world.live(10_000);
      const ends = (path: string) => to(world, path).map(eventOf).filter(({ subject }) => subject === `jobs/${id}`).map(({ type }) => type);
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
      expect(to(world, "r").map(eventOf).map(({ type }) => type)).toContain("job.settled");
      poison = false;
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE status <> 'delivered'") === undefined);
      const read = eventsAfter(world.house, { after: 2 });
      const sent = new Map(to(world, "r").map((hit) => [eventOf(hit).sequence, hit.body]));
      expect(read.ok && read.value.items.map((event) => JSON.stringify(event))).toEqual([...sent.keys()].sort((a, b) => a - b).filter((n) => n > 2).map((n) => sent.get(n)));
      expect([...sent.keys()].sort((a, b) => a - b)).toEqual(world.events().map((_, n) => n + 1));
    }));

  it("18: bodies stay below 20 KB in both forms; what was cut is counted, and a stored file is named with its SHA-256", () =>
    inWorld(async (world) => {
      await world.receive("plain", ok, ["*"]);
      const enveloped = await world.receive("enveloped", ok, ["*"]);
      subscriptions.changeSubscription(world.house, ACTOR, enveloped.id, { format: "cloudevents" }, {});
      const labels = Object.fromEntries(Array.from({ length: 32 }, (_, n) => [`label-${n}`, "é".repeat(256)]));
      const outputs = Array.from({ length: 100 }, (_, n) => ({ path: `${"deep/".repeat(100)}${n}`, key: `${"k".repeat(500)}${n}`, when: "failure" as const }));
      const { id } = await world.submit({ script: SCRIPT, labels, outputs: [{ path: "out.txt", key: "o" }, ...outputs.slice(1)] });
      await world.until(settled(world, id));
      await world.until(() => world.owed() === 0);
      await world.drain();
      expect(Math.max(...world.hits.map(({ body }) => new TextEncoder().encode(body).length))).toBeLessThan(20_000);
      const end = to(world, "plain").map(eventOf).find(({ type }) => type === "job.settled");
      expect(end?.data).toMatchObject({ id, status: "succeeded", truncated: { labels: 32, outputs: 100 } });
      const stored = to(world, "plain").map(eventOf).find(({ type }) => type === "transfer.stored");
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
      for (const [path, format] of [["plain", "plain"], ["enveloped", "cloudevents"]] as const) {
        for (const { body, headers } of to(world, path)) {
          const type = (JSON.parse(body) as { type: EventType }).type;
          seen.add(`${type} ${format}`);
          const published = z.fromJSONSchema(eventSchema(type, format) as Parameters<typeof z.fromJSONSchema>[0]);
          expect([type, published.safeParse(JSON.parse(body)).error?.issues ?? []]).toEqual([type, []]);
          expect(headers["content-type"]).toBe(format === "plain" ? "application/json" : "application/cloudevents+json");
          if (format === "cloudevents") expect(JSON.parse(body)).toMatchObject({ specversion: "1.0", dataschema: `https://firewatch.test/v1/schemas/${type}`, sequence: expect.stringMatching(/^\d{20}$/) });
        }
      }
      expect(seen.size).toBeGreaterThanOrEqual(18);
    }));
});

describe("when it goes wrong", () => {
  it("6: a receiver that fails gets 15 attempts at the documented offsets; then it is given up, told once, and can be replayed", { timeout: 60_000 }, () =>
    inWorld(async (world) => {
      let healed = false;
      const { id } = await world.receive("r", () => (healed ? ok() : fails()), ["job.accepted"]);
      const news = await world.receive("news", ok, ["callback.exhausted"]);
      await world.submit({});
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE receiver = ? AND status = 'exhausted'", id) !== undefined, 100 * HOUR_MS);
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
      expect(to(world, "news").map(eventOf)).toEqual([expect.objectContaining({ type: "callback.exhausted", data: expect.objectContaining({ subscription: id, attempts: 15 }) })]);
      expect(verifiesWith(news.secret, to(world, "news")[0] as Hit)).toBe(true);
      healed = true;
      await later(world, 18 * DAY_MS);
      subscriptions.recover(world.house, ACTOR, id, new Date(0).toISOString(), {});
      await world.until(() => to(world, "r").length === 16);
      expect(eventOf(to(world, "r")[15] as Hit)).toEqual(eventOf(hits[0] as Hit));
    }));

  it("7: Retry-After delays the next attempt and pauses the whole lane; without it an overloaded receiver gets a minute", () =>
    inWorld(async (world) => {
      const cases: [string, () => Response, number][] = [
        ["seconds", () => new Response(null, { status: 429, headers: { "retry-after": "120" } }), 120],
        ["fraction", () => new Response(null, { status: 503, headers: { "retry-after": "120.1" } }), 121],
        ["date", () => new Response(null, { status: 503, headers: { "retry-after": new Date(world.house.now() + 300_000).toUTCString() } }), 299],
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
        await world.until(() => delivery(world, sent)?.status === "delivered" && delivery(world, other)?.status === "delivered");
        const [refused, ...later] = to(world, name);
        const again = later.find(({ headers }) => headers["firewatch-delivery"] === sent);
        expect(((again?.at ?? 0) - (refused?.at ?? 0)) / 1000).toBeGreaterThanOrEqual(atLeastSeconds);
        if (atLeastSeconds > 60) for (const hit of later) expect(hit.at - (refused?.at ?? 0)).toBeGreaterThanOrEqual(atLeastSeconds * 1000);
      }
    }));

  it("8: 410 or `disable` switches a receiver off and tells; `abort-message` ends that delivery only; other 4xx are tried again", () =>
    inWorld(async (world) => {
      const asks = (status: number, control?: string) => () => new Response(null, { status, headers: control === undefined ? {} : { "webhook-delivery": control } });
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
        expect([name, delivery(world, sent)?.status, subscriptions.subscriptionOf(world.house, ACTOR, id)?.status]).toEqual([name, status, receiver]);
      }
      expect(types(world, "callback.disabled")).toHaveLength(3);
    }));

  it("9: a redirect is a failure on record, and where it leads gets nothing", () =>
    inWorld(async (world) => {
      for (const status of [301, 302, 303, 307, 308]) {
        const { id } = await world.receive(`r${status}`, () => new Response(null, { status, headers: { location: "https://receiver.test/second" } }));
        const sent = send(world, id);
        await world.drain();
        expect(delivery(world, sent)?.attempts[0]).toMatchObject({ status, outcome: "retry", location: "https://receiver.test/second" });
      }
      expect(to(world, "second")).toEqual([]);
    }));

  it("10: one deadline of 20 s covers everything, at most 64 KB are read, at most 4 KB of text are kept", () =>
    inWorld(async (world) => {
      const asked: unknown[] = [];
      let pulled = 0;
      const endless = () =>
        new Response(new ReadableStream({ pull: (controller) => (pulled++, controller.enqueue(new Uint8Array(16_384).fill(65))) }), { status: 500 });
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

  it("12: ten failures open the circuit: deliveries wait, one probe in five minutes; one 2xx closes it and all go out", { timeout: 60_000 }, () =>
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
      for (const [n, { at }] of probes.entries()) expect(at - (probes[n - 1]?.at ?? opened)).toBeGreaterThanOrEqual(300_000);
      expect(world.house.row("SELECT max(tries) AS tries, count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'pending'", id)).toEqual({ tries: 1, n: 30 });
      down = false;
      await world.until(() => sent.every((one) => delivery(world, one)?.status === "delivered"));
      const after = world.hits.slice(before + probes.length);
      expect(after).toHaveLength(30);
      expect(new Set(after.map(({ headers }) => headers["webhook-id"])).size).toBe(30);
      expect(types(world, "callback.").filter((type) => type !== "callback.test")).toEqual(["callback.failing", "callback.recovered"]);
    }));

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
      expect(world.house.row("SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'held'", id)).toEqual({ n: 12 });
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
          world.house.run("INSERT INTO events (sequence, id, type, subject, at, body) VALUES (?, ?, 'job.queued', 'jobs/x', ?, ?)", n, `evt_${n}`, now, `{"id":"evt_${n}"}`);
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
      expect(subscriptions.recover(world.house, ACTOR, id, new Date(now).toISOString(), {})).toEqual({ ok: true, value: { scheduled: missed } });
      const sent: number[] = [];
      for (;;) {
        const leases = await lanes.lease(world.house, world.desk.seal);
        if (leases.length === 0) break;
        sent.push(...leases.map(({ eventId }) => Number(eventId.slice(4))));
        lanes.report(world.house, leases.map(({ delivery: one, attempt: n }) => ({ delivery: one, attempt: n, at: now, durationMs: 1, status: 200, verdict: { outcome: "delivered", disable: false } })));
      }
      expect(sent).toHaveLength(missed);
      expect(sent).toEqual([...sent].sort((a, b) => a - b));
      expect(sent.some((n) => n % 7 === 0)).toBe(false);
    }));

  it("14: a resend by hand while a retry is pending neither loses nor doubles anything of the schedule", { timeout: 60_000 }, () =>
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
      expect(delivery(world, sent)?.attempts.map(({ attempt: n }) => n)).toEqual(Array.from({ length: 18 }, (_, n) => n + 1));
    }));

  it("16: a Worker killed between answer and record costs one duplicate with the same id at most, and never a loss", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      const sent = send(world, id);
      const key = await signingKey(world.desk);
      const [leased] = await lanes.lease(world.house, world.desk.seal);
      await attempt(leased as lanes.Lease, { signingKey: key, connection: world.house.name, egress: world.egress, now: world.house.now });
      expect(world.hits).toHaveLength(1);
      await world.until(() => delivery(world, sent)?.status === "delivered");
      expect(world.hits).toHaveLength(2);
      expect(new Set(world.hits.map(({ headers, body }) => `${headers["webhook-id"]} ${body}`)).size).toBe(1);
      expect(delivery(world, sent)?.attempts).toEqual([expect.objectContaining({ attempt: 1, status: 200, outcome: "delivered", durationMs: expect.any(Number), bytes: 0 })]);
    }));

  it("17: a subscription is active at once, and never gets more than its rate within any 60 s", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("r", ok);
      expect(subscriptions.changeSubscription(world.house, ACTOR, id, { ratePerMinute: 7 }, {})).toMatchObject({ ok: true, value: { status: "active", ratePerMinute: 7 } });
      for (let n = 0; n < 20; n++) send(world, id);
      await world.live(50_000);
      for (let n = 0; n < 20; n++) send(world, id);
      await world.until(() => world.house.row("SELECT 1 FROM deliveries WHERE status <> 'delivered'") === undefined);
      expect(world.hits).toHaveLength(40);
      const times = world.hits.map(({ at }) => at);
      for (const from of times) expect(times.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(7);
      // It is used, too: 40 deliveries take 6 windows, not more.
      expect((times.at(-1) ?? 0) - (times[0] ?? 0)).toBeLessThan(6 * 60_000);
    }));

  it("refuses a secret at registration that no delivery could be signed with", () => {
    const accepts = (secret: string) => SubscriptionRequest.safeParse({ url: "https://receiver.test/", secret }).success;
    const text = btoa("k".repeat(25));
    expect(accepts(`whsec_${text}`)).toBe(true);
    expect(accepts(`whsec_${text.replace(/=+$/, "")}`)).toBe(true);
    for (const bad of [`${text}=`, text.replace(/=$/, ""), `${text.replace(/=+$/, "")}AAA`, "A".repeat(33), btoa("k".repeat(23)), btoa("k".repeat(65))]) expect([bad, accepts(`whsec_${bad}`)]).toEqual([bad, false]);
  });
});
