/** Files that are larger than what the site stages: cut there, joined here, proven as a whole, nothing left. */
import { describe, expect, it } from "vitest";
import { toHex } from "../../shared/bytes.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import { atRest, jobsNamed, write } from "./way-down.ts";
import { inWorld, type World } from "./world.ts";

const MIB = 1024 * 1024;
/** One part is the least that a piece may be: with this limit a piece is one part, and the file two of them. */
const LIMIT = 32 * MIB;
const BYTES = 32 * MIB + 5;
const PATH = "/scratch/alice/my run/big file.bin";

const inSite = (scenario: (world: World) => Promise<void>, more: Parameters<typeof inWorld>[1] = {}) =>
  inWorld(scenario, { limits: { stagingMaxBytes: LIMIT }, ...more });

function content(): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(BYTES);
  new Uint32Array(bytes.buffer, 0, BYTES >> 2).forEach((_, i, words) => {
    words[i] = Math.imul(i, 2_654_435_761);
  });
  return bytes;
}

const ended = (world: World, id: string) => () => world.transfer(id).endedAt !== undefined;
const debts = (world: World) =>
  world.house.rows("SELECT id FROM debts WHERE json_extract(doc, '$.handle') IS NOT NULL");

async function arrives(world: World, id: string, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
  await world.until(ended(world, id), 48 * 3_600_000);
  const sha256 = toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
  expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest", bytes: BYTES, sha256 });
  const object = (await world.object("big")) ?? new Uint8Array();
  expect(toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", object.slice())))).toBe(sha256);
  expect(await jobsNamed(world, "fw-split.")).toBe(1);
}

async function start(world: World): Promise<{ id: string; bytes: Uint8Array<ArrayBuffer> }> {
  const bytes = content();
  await write(world, PATH, bytes);
  return { id: (await world.download(PATH, "big")).id, bytes };
}

describe("a file above the site's limit", () => {
  it("arrives as one object, each piece staged and paid for by itself", () =>
    inSite(async (world) => {
      const { id, bytes } = await start(world);
      await arrives(world, id, bytes);
      expect(debts(world)).toHaveLength(2);
      expect(world.types(`transfers/${id}`).filter((type) => type === "transfer.staged")).toHaveLength(1);
      await atRest(world);
    }));

  const kinds: EffectKind[] = ["split", "stage", "copy", "release", "tidy"];
  for (const kind of kinds)
    for (const when of ["before", "after"] as const)
      it(`arrives once when the Worker dies ${when} the work of ${kind}`, () =>
        inSite(async (world) => {
          const { id, bytes } = await start(world);
          world.crash = { kind, when };
          await arrives(world, id, bytes);
          await atRest(world);
          expect(world.crash).toBeUndefined();
          expect(await world.objectKeys()).toEqual(["big"]);
        }));

  it("arrives over a link that dies: that piece is staged again", () =>
    inSite(async (world) => {
      const { id, bytes } = await start(world);
      const path = new URL(world.firecrest.stagingUrl).pathname;
      world.firecrest.faults.add({ kind: "error", status: 403, match: { method: "GET", path }, count: 1 });
      await arrives(world, id, bytes);
      expect(world.firecrest.faults.list()[0]?.struck).toBe(1);
      expect(debts(world).length).toBe(3);
      await atRest(world);
    }));

  it("is cut again when it is written again meanwhile", () =>
    inSite(async (world) => {
      const { id } = await start(world);
      await world.until(() => debts(world).length === 2);
      const bytes = content().fill(7, 0, 20 * MIB);
      await write(world, PATH, bytes);
      await world.until(ended(world, id), 48 * 3_600_000);
      expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
      expect((await world.object("big"))?.subarray(0, 3)).toEqual(new Uint8Array([7, 7, 7]));
      expect(await jobsNamed(world, "fw-split.")).toBe(2);
      await atRest(world);
    }));

  it("leaves no pieces when it is cancelled, whether they were made or are about to be", () =>
    inSite(async (world) => {
      for (const status of ["sent", "done"]) {
        const { id } = await start(world);
        const split = () =>
          world.house.row("SELECT 1 FROM effects WHERE kind = 'split' AND subject = ? AND state = ?", id, status);
        await world.until(() => split() !== undefined);
        cancelTransfer(world.house, { name: "admin" }, id, {});
        await atRest(world);
      }
      expect(await world.objectKeys()).toEqual([]);
    }));

  it("fails plainly where it cannot be cut, or not be proven as asked", () =>
    inSite(
      async (world) => {
        const { id } = await start(world);
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "not_split" });
        const { id: hashed } = await world.download(PATH, "hashed", { verify: "hash" });
        await world.until(ended(world, hashed));
        expect(world.transfer(hashed)).toMatchObject({ status: "failed", reason: "not_provable" });
        await atRest(world);
      },
      { host: { shell: async () => 1 } },
    ));
});
