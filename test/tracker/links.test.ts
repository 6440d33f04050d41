import { describe, expect, it } from "vitest";
import { createSeal, parseSealKeys } from "../../shared/seal.ts";
import { auditTrail } from "../../workers/poller/access.ts";
import { addLink, addressOfLink, listLinks, openLink, removeLink } from "../../workers/poller/links.ts";
import { retire } from "../../workers/poller/retention.ts";
import { ACTOR, DAY_MS, HOUR_MS, later } from "./reception.ts";
import { inWorld, type World } from "./world.ts";

async function share(world: World, request: { key?: string; expiresInSeconds?: number } = {}) {
  const answer = await addLink(world.desk, ACTOR, { key: "runs/out.nc", ...request }, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value;
}

/** As the door does it: which Tracker, then what is behind it. */
async function open(world: World, token: string, ip = "192.0.2.1") {
  const address = await addressOfLink(world.desk.seal, token);
  return address?.connection === world.house.name ? openLink(world.house, address.hash, { ip }) : undefined;
}

const acts = (world: World) => auditTrail(world.house, {}).items.map(({ act }) => act);

describe("a share link's token", () => {
  it("leads to its object, and is not to be read, guessed, changed or found in the tables", () =>
    inWorld(async (world) => {
      const { token, link } = await share(world);
      expect(await open(world, token)).toEqual({ objectKey: `${world.house.name}/runs/out.nc` });
      const readable = token.split(".").map((part) => atob(part.replaceAll("-", "+").replaceAll("_", "/")));
      for (const text of [token, ...readable]) {
        expect(text).not.toContain(world.house.name);
        expect(text).not.toContain("out.nc");
      }
      expect((await share(world)).token).not.toBe(token);
      const tables = ["links", "audit", "meta"].map((name) => world.house.rows(`SELECT * FROM ${name}`));
      expect(JSON.stringify(tables)).not.toContain(token.split(".")[3]);
      for (let at = 0; at < token.length; at += 7) {
        const changed = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
        expect(await open(world, changed)).toBeUndefined();
      }
      for (const text of ["", ".", "x", "a.b.c.d.e", "x".repeat(5_000), link.id])
        expect(await open(world, text)).toBeUndefined();
    }));

  it("opens under a newer sealing key as long as its own is kept, and never what was sealed for something else", () =>
    inWorld(async (world) => {
      const { token } = await share(world);
      const key = (kid: string, fill: number) => ({
        kid,
        key: btoa(String.fromCharCode(...new Uint8Array(32).fill(fill))),
      });
      const rotated = createSeal(parseSealKeys(JSON.stringify([key("n", 1), key("t", 0)])));
      expect(await addressOfLink(rotated, token)).toMatchObject({ connection: world.house.name });
      const dropped = createSeal(parseSealKeys(JSON.stringify([key("n", 1)])));
      expect(await addressOfLink(dropped, token)).toBeUndefined();
      expect(await addressOfLink(world.desk.seal, world.house.meta("credential") ?? "")).toBeUndefined();
    }));

  it("ends by itself, or when it is revoked; its row is gone with the next clearing", () =>
    inWorld(async (world) => {
      const short = await share(world, { expiresInSeconds: 3_600 });
      const week = await share(world);
      const revoked = await share(world);
      expect(removeLink(world.house, ACTOR, revoked.link.id, {})).toEqual({ ok: true, value: null });
      expect(removeLink(world.house, ACTOR, revoked.link.id, {})).toEqual({ ok: false, code: "not_found" });
      expect(await open(world, revoked.token)).toBeUndefined();
      await later(world, HOUR_MS);
      expect(await open(world, short.token)).toBeUndefined();
      expect(listLinks(world.house, {}).items.map(({ id }) => id)).toEqual([week.link.id]);
      await later(world, 6 * DAY_MS);
      expect(await open(world, week.token)).toBeDefined();
      await later(world, DAY_MS);
      expect(await open(world, week.token)).toBeUndefined();
      world.house.change(() => retire(world.house));
      expect(world.house.rows("SELECT 1 FROM links")).toEqual([]);
    }));

  it("leaves a trace: who made it, who opened it, once an hour, and who revoked it", () =>
    inWorld(async (world) => {
      const { token, link } = await share(world);
      for (let n = 0; n < 5; n++) await open(world, token, "198.51.100.9");
      expect(acts(world).slice(0, 2)).toEqual(["link.open", "link.add"]);
      expect(auditTrail(world.house, {}).items[0]).toMatchObject({
        actor: `link:${link.id}`,
        subject: `links/${link.id}`,
        origin: "198.51.100.9",
      });
      expect(listLinks(world.house, {}).items[0]?.lastOpenedAt).toBeDefined();
      await later(world, HOUR_MS);
      await open(world, token);
      removeLink(world.house, ACTOR, link.id, {});
      expect(acts(world).slice(0, 4)).toEqual(["link.remove", "link.open", "link.open", "link.add"]);
    }));

  it("is listed page by page, newest first", () =>
    inWorld(async (world) => {
      const made: string[] = [];
      for (let n = 0; n < 3; n++) {
        made.unshift((await share(world, { key: `k${n}` })).link.id);
        await world.firecrest.clock.advance(10);
      }
      const first = listLinks(world.house, { limit: 2 });
      const second = listLinks(world.house, { limit: 2, ...(first.cursor !== undefined && { cursor: first.cursor }) });
      expect([...first.items, ...second.items].map(({ id }) => id)).toEqual(made);
      expect(second.cursor).toBeUndefined();
    }));
});
