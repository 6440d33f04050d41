/** What tests of the way down have in common. */
import { expect } from "vitest";
import type { World } from "./world.ts";

const DAY_MS = 24 * 3_600_000;

/** A file on the machine, and the directories above it. */
export async function write(world: World, path: string, content: string | Uint8Array): Promise<void> {
  const { files } = await world.firecrest.host.as("alice");
  await files.mkdir(path.slice(0, path.lastIndexOf("/")), { parents: true });
  await files.write(path, typeof content === "string" ? new TextEncoder().encode(content) : content);
}

/**
 * Comes to rest: nothing is owed to the site, nothing of ours is left on it, nothing is under way. `lostLogs`: log files of v2
 * whose names were in an answer that got lost, so that nobody can know them.
 */
export async function atRest(world: World, lostLogs = 0): Promise<void> {
  const pending = () => world.house.rows("SELECT kind FROM effects WHERE state IN ('planned', 'sent', 'unknown')");
  await world.until(() => world.owed() === 0 && pending().length === 0, 3 * DAY_MS);
  const left = await world.leftovers();
  expect(left.filter((name) => !name.includes("/.f7t_"))).toEqual([]);
  expect(left.length).toBe(lostLogs);
}

/** Jobs on the machine whose name begins so. */
export async function jobsNamed(world: World, start: string): Promise<number> {
  return (await world.firecrest.host.jobs()).filter(({ name }) => name.startsWith(start)).length;
}

export const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes);
