/** What can be wrong with a source, a target or a site while a file goes up. */
import { describe, expect, it } from "vitest";
import { ToolError } from "../../local/firecrest/host.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { content, ended, MIB, nothingLeft, sha256, staged, TARGET } from "./up.ts";
import { inWorld, type World } from "./world.ts";

const LARGE = 5 * MIB;

/** Every write to the machine fails as on a full disk, until it is freed. */
async function fillDisk(world: World): Promise<{ free(): void }> {
  const { files } = await world.firecrest.host.as("alice");
  const write = files.write;
  const full = files as { write: typeof write };
  full.write = async (path, body) => {
    if (path !== TARGET) return write(path, body);
    if (body instanceof ReadableStream) await body.cancel();
    throw new ToolError("cat", 1, "cat: write error: No space left on device");
  };
  return {
    free: () => {
      full.write = write;
    },
  };
}

/** Does it just before the n-th message of the kind is consumed. */
function justBefore(world: World, queue: "commands" | "transfers", n: number, act: () => void | Promise<void>): void {
  let seen = 0;
  world.fate = (from) => {
    if (from === queue && ++seen === n) void act();
    return "deliver";
  };
}

describe.each(["v1", "v2"] as Api[])("on %s", (api) => {
  it("an object that is replaced on the way arrives in its new version", () =>
    inWorld(
      async (world) => {
        const after = content(LARGE + 1);
        await world.put("in.dat", new Uint8Array(LARGE));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        let replaced: Promise<void> | undefined;
        justBefore(world, "commands", 1, () => {
          replaced = world.put("in.dat", after);
        });
        await world.until(ended(world, id));
        await replaced;
        expect(world.transfer(id)).toMatchObject({ status: "stored", bytes: LARGE + 1, sha256: await sha256(after) });
        expect(await sha256((await world.file(TARGET)) ?? new Uint8Array())).toBe(await sha256(after));
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("an object that is removed on the way is missing", () =>
    inWorld(
      async (world) => {
        await world.put("in.dat", content(LARGE));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        justBefore(world, "commands", 1, () => world.remove("in.dat"));
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "source_missing" });
        await nothingLeft(world);
        expect(await world.file(TARGET)).toBeUndefined();
      },
      {},
      { api },
    ));

  it("links that are dead before they are used are asked for again", () =>
    inWorld(
      async (world) => {
        const bytes = content(LARGE);
        const match = { method: "PUT|POST", path: new URL(world.firecrest.stagingUrl).pathname };
        world.firecrest.faults.add({ kind: "error", status: 403, match, count: 1 });
        await world.put("in.dat", bytes);
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id));
        expect(world.firecrest.faults.list()[0]?.struck).toBe(1);
        expect(world.transfer(id)).toMatchObject({ status: "stored", sha256: await sha256(bytes) });
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("a store that never takes the file ends it, with what is left of it released", () =>
    inWorld(
      async (world) => {
        const match = { method: "PUT|POST", path: new URL(world.firecrest.stagingUrl).pathname };
        world.firecrest.faults.add({ kind: "error", status: 403, match });
        await world.put("in.dat", content(LARGE));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id), 24 * 3_600_000);
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "link_dead" });
        await nothingLeft(world);
        expect(staged(world)).toEqual([]);
      },
      {},
      { api },
    ));

  it("a site without room for a file that large says so before anything moves", () =>
    inWorld(
      async (world) => {
        const facts = world.desk.site.facts();
        const parameters = { ...facts?.parameters, stagingMaxBytes: LARGE - 1 };
        world.house.change(() => world.house.setMeta("facts", JSON.stringify({ ...facts, parameters })));
        await world.put("in.dat", content(LARGE));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "too_large", link: { state: "none" } });
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("a small file meets a full disk with the site's own words", () =>
    inWorld(
      async (world) => {
        await fillDisk(world);
        await world.put("in.dat", "small");
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "no_space" });
        expect(world.transfer(id).detail).toContain("No space left on device");
        await nothingLeft(world);
      },
      {},
      { api },
    ));
});

describe("a full disk on v1", () => {
  it("is waited for a while: the site tries again by itself, and 115 is no end", () =>
    inWorld(async (world) => {
      const bytes = content(LARGE);
      const disk = await fillDisk(world);
      await world.put("in.dat", bytes);
      const { id } = await world.upload(TARGET, { key: "in.dat" });
      await world.live(5 * 60_000);
      expect(world.transfer(id).status).toBe("copying");
      disk.free();
      await world.until(ended(world, id));
      expect(world.transfer(id)).toMatchObject({ status: "stored", sha256: await sha256(bytes) });
      await nothingLeft(world);
    }));

  it("that stays full ends the transfer, and the site does not write the file later", () =>
    inWorld(async (world) => {
      const disk = await fillDisk(world);
      await world.put("in.dat", content(LARGE));
      const { id } = await world.upload(TARGET, { key: "in.dat" });
      await world.until(ended(world, id));
      expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "target_not_writable" });
      disk.free();
      await world.live(5 * 60_000);
      await nothingLeft(world);
      expect(staged(world)).toEqual([]);
      expect(await world.file(TARGET)).toBeUndefined();
    }));
});

describe("a v2 site that reports success and has written nothing", () => {
  it("is not believed where there is no file", () =>
    inWorld(
      async (world) => {
        world.firecrest.v2Options.phraseWithoutFile = true;
        await world.put("in.dat", content(LARGE));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id), 24 * 3_600_000);
        expect(world.transfer(id).status).toBe("failed");
        expect(world.transfer(id).detail).toContain("does not exist");
        await nothingLeft(world);
      },
      {},
      { api: "v2" },
    ));

  it("is not believed where the older file is as long", () =>
    inWorld(
      async (world) => {
        await world.put("old", new Uint8Array(LARGE));
        await world.until(ended(world, (await world.upload(TARGET, { key: "old" })).id));
        world.firecrest.v2Options.phraseWithoutFile = true;
        await world.put("new", content(LARGE));
        const { id } = await world.upload(TARGET, { key: "new", overwrite: true });
        await world.until(ended(world, id), 24 * 3_600_000);
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "hash_differs" });
        await nothingLeft(world);
      },
      {},
      { api: "v2" },
    ));
});
