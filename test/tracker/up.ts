/** What the tests of the way up share. */
import { expect } from "vitest";
import type { World } from "./world.ts";

export const MIB = 1024 * 1024;
export const TARGET = "/scratch/alice/in.dat";
let noise = new Uint8Array();

/** Bytes of which no two stretches are alike. Always the same, so they are made once. */
export function content(bytes: number): Uint8Array {
  if (noise.length < bytes) {
    noise = new Uint8Array(bytes);
    for (let i = 0; i < bytes; i++) noise[i] = (Math.imul(i, 2_654_435_761) >>> 13) & 255;
  }
  return noise.slice(0, bytes);
}

export const sha256 = async (bytes: Uint8Array): Promise<string> =>
  [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))]
    .map((b) => b.toString(16).padStart(2, "0"))
    .join("");

/** Ended, and nothing owed for it. */
export const ended = (world: World, id: string) => () =>
  ["stored", "failed", "cancelled"].includes(world.transfer(id).status) && world.owed() === 0;

/** Nothing planned, sent or unknown, no link kept, no copy left. */
export async function nothingLeft(world: World): Promise<void> {
  const open = () => world.house.rows("SELECT kind FROM effects WHERE state IN ('planned', 'sent', 'unknown')");
  await world.until(() => open().length === 0, 3_600_000);
  expect(world.owed()).toBe(0);
  expect(world.house.rows("SELECT * FROM forms")).toEqual([]);
  expect(world.house.rows("SELECT * FROM parts")).toEqual([]);
  expect(await world.spooled()).toEqual([]);
}

/** Keys in the site's staging area. */
export const staged = (world: World): string[] => world.firecrest.site.staging.list("alice", "");
