/** The way up, on both wires: an object of R2 becomes a file on the machine, whatever its size, and nothing stays behind. */
import { describe, expect, it } from "vitest";
import type { Api } from "../../shared/firecrest/port.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import { content, ended, MIB, nothingLeft, sha256, staged, TARGET } from "./up.ts";
import { jobsNamed, write } from "./way-down.ts";
import { inWorld } from "./world.ts";

describe.each(["v1", "v2"] as Api[])("an upload on %s", (api) => {
  it.each([
    ["an empty file", 0],
    ["one byte", 1],
    ["a small file", 4_321],
  ])("carries %s without staging anything", (_what, size) =>
    inWorld(
      async (world) => {
        const bytes = content(size);
        await world.put("in.dat", bytes);
        const { id, status } = await world.upload(TARGET, { key: "in.dat" });
        expect(status).toBe("accepted");
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({
          direction: "upload",
          status: "stored",
          proof: "hash",
          bytes: size,
          totalBytes: size,
          sha256: await sha256(bytes),
          link: { state: "none" },
        });
        expect(await world.file(TARGET)).toEqual(bytes);
        expect(world.types(`transfers/${id}`)).toEqual(["transfer.stored"]);
        await nothingLeft(world);
      },
      {},
      { api },
    ),
  );

  it("carries a file of several parts through the staging area, proves it, and leaves nothing owed", () =>
    inWorld(
      async (world) => {
        const bytes = content(17 * MIB + 7);
        await world.put("in.dat", bytes);
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id));
        const transfer = world.transfer(id);
        expect(transfer).toMatchObject({ status: "stored", proof: "hash", bytes: bytes.length });
        expect(transfer.sha256).toBe(await sha256(bytes));
        expect(await sha256((await world.file(TARGET)) ?? new Uint8Array())).toBe(transfer.sha256);
        expect(world.types(`transfers/${id}`).slice(0, 2)).toEqual(["transfer.staged", "transfer.stored"]);
        if (api === "v1") {
          expect(["none", "released"]).toContain(transfer.link.state);
          expect(staged(world)).toEqual([]);
        } else {
          // v2 keeps the object until its time is over: said with its date, never as released.
          expect(transfer.link.state).toBe("expires");
          expect(Date.parse(transfer.link.expiresAt ?? "")).toBeGreaterThan(world.house.now());
        }
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("refuses a target that exists, before anything moves, and replaces it when asked to", () =>
    inWorld(
      async (world) => {
        await world.put("old", "old");
        await world.put("new", "new");
        await world.until(ended(world, (await world.upload(TARGET, { key: "old" })).id));
        const refused = await world.upload(TARGET, { key: "new" });
        await world.until(ended(world, refused.id));
        expect(world.transfer(refused.id)).toMatchObject({ status: "failed", reason: "target_exists" });
        expect(world.transfer(refused.id).detail).toContain("overwrite");
        expect(new TextDecoder().decode(await world.file(TARGET))).toBe("old");
        const { id } = await world.upload(TARGET, { key: "new", overwrite: true });
        await world.until(ended(world, id));
        expect(world.transfer(id).status).toBe("stored");
        expect(new TextDecoder().decode(await world.file(TARGET))).toBe("new");
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it.each([6 * MIB, 1_000])("is hashed by a small job where a manifest is asked for (%i bytes)", (size) =>
    inWorld(
      async (world) => {
        await world.put("in", content(size));
        const { id } = await world.upload(TARGET, { key: "in", verify: "manifest" });
        await world.until(ended(world, id), 24 * 3_600_000);
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
        expect(world.transfer(id).sha256).toBe(await sha256(content(size)));
        expect(await jobsNamed(world, "fw-hash.")).toBe(1);
        await nothingLeft(world);
        expect((await world.leftovers()).filter((name) => !name.includes("/.f7t_"))).toEqual([]);
      },
      {},
      { api },
    ),
  );

  it("is sent again when the small job finds another file", () =>
    inWorld(
      async (world) => {
        await world.put("in", content(1_000));
        let altered: Promise<void> | undefined;
        world.midway = () => {
          const hashing = world.house.row("SELECT 1 FROM effects WHERE kind = 'hash' AND state = 'sent'");
          if (hashing !== undefined) altered ??= write(world, TARGET, new Uint8Array(1_000));
        };
        const { id } = await world.upload(TARGET, { key: "in", verify: "manifest" });
        await world.until(ended(world, id), 24 * 3_600_000);
        expect(altered).toBeDefined();
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
        expect(await world.file(TARGET)).toEqual(content(1_000));
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it.each([
    ["a key that has no object", "/scratch/alice/x", { key: "nothing" }, "source_missing"],
    ["a directory that does not exist", "/scratch/alice/no/such/x", { key: "some" }, "not_found"],
    ["a target that is a directory", "/scratch/alice", { key: "some" }, "is_a_directory"],
  ])("fails with a word for %s", (_what, path, from, reason) =>
    inWorld(
      async (world) => {
        await world.put("some", "some");
        const { id } = await world.upload(path, from);
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason });
        await nothingLeft(world);
      },
      {},
      { api },
    ),
  );

  it("lets one upload at a time aim at a file, and any number take one object", () =>
    inWorld(
      async (world) => {
        await world.put("some", "some");
        const one = await world.upload("/scratch/alice/a", { key: "some" });
        const two = await world.upload("/scratch/alice/b", { key: "some" });
        await expect(world.upload("/scratch/alice/a", { key: "some" })).rejects.toThrow("conflict");
        await world.until(() => ended(world, one.id)() && ended(world, two.id)());
        expect(await world.file("/scratch/alice/b")).toEqual(await world.file("/scratch/alice/a"));
      },
      {},
      { api },
    ));

  it("can be cancelled before any of its steps", () =>
    inWorld(
      async (world) => {
        for (let step = 0, over = false; !over; step++) {
          const key = `in-${step}`;
          await world.put(key, content(5 * MIB));
          const { id } = await world.upload(`/scratch/alice/${key}`, { key });
          let messages = 0;
          world.fate = () => {
            if (messages++ === step) cancelTransfer(world.house, { name: "admin" }, id, {});
            return "deliver";
          };
          await world.until(ended(world, id));
          // Later it is too late: the file is where it belongs.
          over = world.transfer(id).status === "stored";
          expect(over ? "over" : world.transfer(id).status).toBe(over ? "over" : "cancelled");
          await nothingLeft(world);
          if (api === "v1") expect(staged(world)).toEqual([]);
          // The job that would have fetched the file does not wait any longer.
          const waiting = (await world.firecrest.host.jobs()).filter(({ state }) => state === "PENDING");
          expect(waiting).toEqual([]);
          if (over) expect(step).toBeGreaterThan(3);
        }
      },
      {},
      { api },
    ));
});

describe("what v1 keeps in its staging area", () => {
  it("is seen to be gone after the file has been moved, where the site shows its link", () =>
    inWorld(
      async (world) => {
        await world.put("in.dat", content(5 * MIB));
        const { id } = await world.upload(TARGET, { key: "in.dat" });
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "stored", link: { state: "released" } });
        expect(world.types(`transfers/${id}`)).toEqual(["transfer.staged", "transfer.stored", "transfer.released"]);
      },
      { quirks: "1.16.6" },
    ));
});
