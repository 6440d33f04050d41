/** What a receiver may rely on: who speaks to it. */
import { describe, expect, it } from "vitest";
import { createEgress } from "../../shared/egress/egress.ts";
import { attempt } from "../../workers/poller/callbacks.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import type * as lanes from "../../workers/poller/lanes.ts";
import { signingKeys, webhookKeys } from "../../workers/poller/signing.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { ACTOR, delivery, fails, HOUR_MS, ok, send, verifiesWith, verifiesWithPublishedKeys } from "./reception.ts";
import { type Hit, inWorld } from "./world.ts";

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
      expect(webhookKeys(world.house).keys).toEqual([
        expect.objectContaining({ kty: "OKP", crv: "Ed25519", kid: expect.any(String), nbf: expect.any(Number) }),
      ]);
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
        const rotated = await subscriptions.rotateSecret(
          world.house,
          world.desk.seal,
          ACTOR,
          id,
          { overlapSeconds: 3600 },
          {},
        );
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
      const keys = await signingKeys(world.desk);
      const lease = (url: string): lanes.Lease => ({
        delivery: "dlv",
        attempt: 1,
        until: 0,
        url,
        channel: "webhook",
        format: "plain",
        headers: {},
        body: "{}",
        eventId: "evt_x",
        secrets: [],
      });
      for (const url of INSIDE) {
        expect([url, egress.refusal(url)]).not.toEqual([url, undefined]);
        texts.add(
          (await attempt(lease(url), { signingKeys: keys, connection: "c", egress, now: world.house.now })).error,
        );
      }
      // A good name that was turned to a private address after it was registered.
      expect(egress.refusal("https://good.example.com/")).toBeUndefined();
      texts.add(
        (
          await attempt(lease("https://good.example.com/"), {
            signingKeys: keys,
            connection: "c",
            egress,
            now: world.house.now,
          })
        ).error,
      );
      expect([...texts]).toEqual(["this address is not allowed"]);
      expect(fetched).toEqual([]);
    }));

  it("20: secrets are sealed, shown once, and nowhere to be read; removing a receiver removes what was kept of it but the audit", () =>
    inWorld(async (world) => {
      const { id, secret } = await world.receive("r", () => new Response(`you sent ${secret}`, { status: 500 }));
      send(world, id);
      await world.drain();
      const tables = world.house.rows<{ name: string }>(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'",
      );
      const everything = () => JSON.stringify(tables.map(({ name }) => world.house.rows(`SELECT * FROM "${name}"`)));
      expect(everything()).not.toContain(secret.slice(6));
      expect(JSON.stringify(subscriptions.subscription(world.house, ACTOR, id))).not.toContain("secret");
      expect(JSON.stringify(deliveries.listDeliveries(world.house, {}))).not.toContain(secret.slice(6));
      subscriptions.removeSubscription(world.house, ACTOR, id, {});
      for (const table of ["receivers", "deliveries", "attempts"])
        expect(world.house.rows(`SELECT * FROM ${table}`)).toEqual([]);
      const acts = world.house
        .rows<{ doc: string }>("SELECT doc FROM audit")
        .map(({ doc }) => (JSON.parse(doc) as { act: string }).act);
      expect(acts).toEqual(expect.arrayContaining(["subscription.add", "subscription.test", "subscription.remove"]));
    }));
});
