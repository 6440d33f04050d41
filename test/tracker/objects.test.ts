import { describe, expect, it } from "vitest";
import type { ObjectRules } from "../../shared/contract/connection.ts";
import { acceptTransfer } from "../../workers/poller/accept.ts";
import { auditTrail } from "../../workers/poller/access.ts";
import { census } from "../../workers/poller/census.ts";
import { describe as describeConnection } from "../../workers/poller/connections.ts";
import { metrics } from "../../workers/poller/metrics.ts";
import { objectChanged, reserveObject } from "../../workers/poller/objects.ts";
import { ACTOR, DAY_MS, HOUR_MS, later } from "./reception.ts";
import { inWorld, type World } from "./world.ts";

function ruled(world: World, objects: ObjectRules): void {
  const site = { ...world.desk.site.config(), objects };
  world.house.change(() => world.house.setMeta("site", JSON.stringify(site)));
  world.desk.site.changed();
}
const shown = (world: World) => describeConnection(world.desk).objects;
const put = (world: World, key: string, bytes: number) =>
  world.house.env.OBJECTS.put(`${world.house.name}/${key}`, new Uint8Array(bytes));
const metric = (world: World, name: string) =>
  metrics(world.desk).find((family) => family.name === `firewatch_${name}`)?.samples;
/** R2 keeps real time, this world its own: from here on, what is in R2 was stored now. */
const meetRealTime = (world: World) => world.firecrest.clock.advance(Math.max(0, Date.now() - world.house.now()));
const write = (key: string, bytes: number, id = `put/${key}`) => ({ id, key, bytes, keepSeconds: 60 });

async function fileOf(world: World, bytes: number): Promise<string> {
  const path = `/scratch/${world.firecrest.user}/out.dat`;
  const seat = await world.firecrest.host.as(world.firecrest.user);
  await seat.files.write(path, new Uint8Array(bytes));
  return path;
}

describe("what a connection has in object storage", () => {
  it("is counted page by page, of its own objects only, and kept up in between", () =>
    inWorld(async (world) => {
      for (let n = 0; n < 5; n++) await put(world, `a/${n}`, 10);
      await world.house.env.OBJECTS.put(`${world.house.name}-2/x`, "not ours");
      expect(shown(world)).toMatchObject({ objects: 0, bytes: 0 });
      expect(shown(world)).not.toHaveProperty("countedAt");
      await later(world, 61_000);
      expect(shown(world)).toMatchObject({ objects: 5, bytes: 50, countedAt: expect.any(String) });
      objectChanged(world.house, ACTOR, { key: "a/1", objects: -1, bytes: -10, act: "object.remove" }, {});
      objectChanged(world.house, ACTOR, { key: "b", objects: 1, bytes: 7 }, {});
      expect(shown(world)).toMatchObject({ objects: 5, bytes: 47 });
      expect(metric(world, "objects")).toEqual([{ value: 5 }]);
      expect(auditTrail(world.house, {}).items[0]).toMatchObject({ act: "object.remove", subject: "objects/a/1" });
      await later(world, 6 * HOUR_MS);
      expect(shown(world)).toMatchObject({ objects: 5, bytes: 50 });
    }));

  it("takes as many passes as there are pages, one listing each", () =>
    inWorld(async (world) => {
      const { OBJECTS } = world.house.env;
      for (let n = 0; n < 7; n++) await put(world, `k${n}`, 1);
      let listings = 0;
      const narrow = {
        list: (options: R2ListOptions) => {
          listings++;
          return OBJECTS.list({ ...options, limit: 3 });
        },
      } as unknown as R2Bucket;
      Object.assign(world.house.env, { OBJECTS: narrow });
      await census(world.house);
      expect([listings, shown(world).objects]).toEqual([1, 0]);
      await census(world.house);
      await census(world.house);
      expect([listings, shown(world).objects, shown(world).bytes]).toEqual([3, 7, 7]);
    }));

  it("goes on after a listing that failed, and says nothing else meanwhile", () =>
    inWorld(async (world) => {
      const { OBJECTS } = world.house.env;
      await put(world, "k", 4);
      Object.assign(world.house.env, { OBJECTS: { list: () => Promise.reject(new Error("R2 is away (10001)")) } });
      await later(world, 61_000);
      expect(shown(world)).toMatchObject({ objects: 0 });
      Object.assign(world.house.env, { OBJECTS });
      await later(world, 11 * 60_000);
      expect(shown(world)).toMatchObject({ objects: 1, bytes: 4 });
    }));

  it("does not keep the sweep coming back", () =>
    inWorld(async (world) => {
      const { isLive } = await import("../../workers/poller/connections.ts");
      await later(world, HOUR_MS);
      expect(world.house.row("SELECT 1 FROM agenda WHERE kind = 'objects'")).toBeDefined();
      world.house.run("DELETE FROM agenda WHERE kind NOT IN ('objects', 'retention')");
      expect(isLive(world.house)).toBe(false);
    }));
});

describe("a lifetime rule", () => {
  it("removes what is older, and nothing younger, nothing that is being written, and nobody else's", () =>
    inWorld(async (world) => {
      await meetRealTime(world);
      ruled(world, { expireAfterDays: 2 });
      for (const key of ["old/1", "old/2", "busy"]) await put(world, key, 5);
      const others = `${world.house.name}x/theirs`;
      await world.house.env.OBJECTS.put(others, "x");
      await later(world, 2 * DAY_MS - HOUR_MS);
      expect(await world.objectKeys()).toHaveLength(3);
      await reserveObject(world.house, { ...write("busy", 5), keepSeconds: 86_400 });
      await later(world, 6 * HOUR_MS);
      expect(await world.objectKeys()).toEqual(["busy"]);
      expect(await world.house.env.OBJECTS.head(others)).not.toBeNull();
      expect(shown(world)).toMatchObject({ expireAfterDays: 2, objects: 1, bytes: 5 });
      expect(metric(world, "objects_expired")).toEqual([{ value: 2 }]);
      await later(world, 2 * DAY_MS);
      expect(await world.objectKeys()).toEqual([]);
    }));

  it("leaves an object that is on its way to the HPC side until it has arrived", () =>
    inWorld(async (world) => {
      await meetRealTime(world);
      ruled(world, { expireAfterDays: 1 });
      await put(world, "in.dat", 5);
      await world.firecrest.clock.advance(2 * DAY_MS);
      const { id } = await world.upload(`/scratch/${world.firecrest.user}/in.dat`, { key: "in.dat" });
      await census(world.house);
      expect(await world.objectKeys()).toEqual(["in.dat"]);
      await world.until(() => world.transfer(id).status === "stored");
      await census(world.house);
      expect(await world.objectKeys()).toEqual([]);
    }));

  it("never hits what is stored while it removes: a write waits for it", () =>
    inWorld(async (world) => {
      await meetRealTime(world);
      ruled(world, { expireAfterDays: 1 });
      await put(world, "k", 1);
      await world.firecrest.clock.advance(2 * DAY_MS);
      const { OBJECTS } = world.house.env;
      let release = () => {};
      const slow = new Promise<void>((resolve) => {
        release = resolve;
      });
      const held = {
        list: (options: R2ListOptions) => OBJECTS.list(options),
        delete: (keys: string[]) => slow.then(() => OBJECTS.delete(keys)),
      } as unknown as R2Bucket;
      Object.assign(world.house.env, { OBJECTS: held });
      const counting = census(world.house);
      await new Promise((resolve) => setTimeout(resolve, 50));
      const order: string[] = [];
      const writing = reserveObject(world.house, write("k", 1)).then(() => order.push("written"));
      await Promise.resolve();
      order.push("removed");
      release();
      await Promise.all([counting, writing]);
      expect(order).toEqual(["removed", "written"]);
    }));
});

describe("a quota", () => {
  it("counts what is stored, what is being put and what is being fetched, and says what does not fit", () =>
    inWorld(async (world) => {
      ruled(world, { quotaBytes: 100 });
      await put(world, "a", 60);
      await census(world.house);
      expect(await reserveObject(world.house, write("b", 30))).toEqual({ ok: true, value: null });
      expect(await reserveObject(world.house, write("c", 11))).toMatchObject({
        ok: false,
        code: "quota_exceeded",
        detail: expect.stringContaining("60 are stored, 30 are on their way, and this needs 11 more"),
      });
      expect(await reserveObject(world.house, write("b", 40))).toMatchObject({ ok: true });
      objectChanged(world.house, ACTOR, { id: "put/b", key: "b", objects: 1, bytes: 40 }, {});
      expect(await reserveObject(world.house, write("c", 1))).toMatchObject({ code: "quota_exceeded" });
      objectChanged(world.house, ACTOR, { key: "b", objects: -1, bytes: -40 }, {});
      expect(await reserveObject(world.house, write("c", 40))).toMatchObject({ ok: true });
      expect(shown(world)).toMatchObject({ quotaBytes: 100, bytes: 60, reservedBytes: 40 });
      // Whoever never tells what came of it keeps the room for a minute, not for ever.
      await world.firecrest.clock.advance(60_000);
      expect(shown(world)).toMatchObject({ reservedBytes: 0 });
    }));

  it("frees the parts of an upload together", () =>
    inWorld(async (world) => {
      ruled(world, { quotaBytes: 100 });
      for (const n of [1, 2, 3]) await reserveObject(world.house, write("big", 30, `upload/x/${n}`));
      expect(await reserveObject(world.house, write("big", 30, "upload/x/2"))).toMatchObject({ ok: true });
      expect(await reserveObject(world.house, write("big", 30, "upload/x/4"))).toMatchObject({ ok: false });
      objectChanged(world.house, ACTOR, { id: "upload/x/", key: "big", objects: 1, bytes: 90 }, {});
      expect(shown(world)).toMatchObject({ bytes: 90, reservedBytes: 0 });
    }));

  it("ends a transfer that does not fit before a byte of it is copied, pays its link, and refuses the next at once", () =>
    inWorld(async (world) => {
      const path = await fileOf(world, 5_000);
      ruled(world, { quotaBytes: 8_000 });
      const first = await world.download(path, "first");
      await world.until(() => world.transfer(first.id).status === "stored");
      expect(shown(world)).toMatchObject({ objects: 1, bytes: 5_000 });
      const second = await world.download(path, "second");
      await world.until(() => world.transfer(second.id).endedAt !== undefined);
      expect(world.transfer(second.id)).toMatchObject({
        status: "failed",
        reason: "quota_exceeded",
        detail: expect.stringContaining("5000 are stored, 0 are on their way, and this needs 5000 more"),
        bytes: 0,
      });
      await world.until(() => world.owed() === 0);
      expect(world.transfer(second.id).link.state).toBe("released");
      expect(await world.objectKeys()).toEqual(["first"]);
      ruled(world, { quotaBytes: 5_000 });
      const third = await acceptTransfer(
        world.desk,
        ACTOR,
        { direction: "download", system: "cluster", path, key: "third" },
        { origin: {} },
      );
      expect(third).toMatchObject({ ok: false, code: "quota_exceeded" });
    }));
});

describe("a key that a transfer is on its way to", () => {
  it("takes no other bytes until the transfer has ended", () =>
    inWorld(async (world) => {
      const path = await fileOf(world, 100);
      const { id } = await world.download(path, "target");
      expect(await reserveObject(world.house, write("target", 1))).toMatchObject({ ok: false, code: "conflict" });
      await world.until(() => world.transfer(id).status === "stored");
      expect(await reserveObject(world.house, write("target", 1))).toMatchObject({ ok: true });
    }));
});
