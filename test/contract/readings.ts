/**
 * What every client must read of every site without changing anything there: no job, no file, no staging. Part of the
 * contract suite, and all of what a live site is asked (`test/live`).
 */
import { expect } from "vitest";
import type { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { FileEntry, Firecrest } from "../../shared/firecrest/port.ts";

export interface Reading {
  /** Completes "the client …". */
  title: string;
  /**
   * Throws where the site and we do not understand each other; answers in words what it saw. `directory`: where there are
   * files to look at; found where it is not given.
   */
  read(client: Firecrest, system: string, directory?: string): Promise<string>;
}

/** Small enough for any site's direct download. */
const SMALL_BYTES = 100_000;
/** No scheduler has come this far, and each takes it for an id. */
const UNKNOWN_ID = "4294967000";
const UNKNOWN_NAME = "firewatch.fw-0000000000000";

export const READINGS: readonly Reading[] = [
  {
    title: "lists the systems, the one in question among them, with their file systems",
    async read(client, system) {
      const systems = await client.systems();
      expect(systems.map(({ name }) => name)).toContain(system);
      for (const { fileSystems } of systems) for (const { path } of fileSystems) expect(path).toMatch(/^\//);
      return systems.map(({ name, available }) => `${name} ${available ? "available" : "not available"}`).join(", ");
    },
  },
  {
    title: "reads the site's limits as numbers that make sense",
    async read(client) {
      const parameters = await client.parameters();
      const { stagingTtlSeconds, stagingMaxBytes, directMaxBytes, commandTimeoutSeconds } = parameters;
      for (const limit of [stagingTtlSeconds, stagingMaxBytes, directMaxBytes, commandTimeoutSeconds])
        if (limit !== undefined) expect(limit).toBeGreaterThan(0);
      return JSON.stringify(parameters);
    },
  },
  {
    title: "reads what the site consists of, all and each, and which of it answers",
    async read(client) {
      const services = await client.services();
      for (const { name } of services.slice(0, 2)) expect(await client.service(name)).toMatchObject({ name });
      expect(await failure(client.service("nothing-of-that-name"))).toMatchObject({ code: "not_found" });
      const beats = await client.heartbeats();
      expect(beats.length).toBeGreaterThan(0);
      const silent = beats.filter(({ alive }) => !alive).map(({ name }) => name);
      return `${services.map(({ name }) => name).join(", ")}; silent: ${silent.join(", ") || "none"}`;
    },
  },
  {
    title: "knows whose credential it has",
    async read(client, system) {
      const user = await client.whoami(system);
      expect(user).toMatch(/^[A-Za-z_][\w.-]*$/);
      return user;
    },
  },
  {
    title: "reads the nodes, partitions and reservations of the system",
    async read(client, system) {
      const [nodes, partitions] = [await client.nodes(system), await client.partitions(system)];
      const reservations = await client.reservations(system);
      expect(nodes.length).toBeGreaterThan(0);
      expect(partitions.length).toBeGreaterThan(0);
      for (const { states } of [...nodes, ...partitions]) expect(states.join()).toMatch(/^[A-Z_+*,-]+$/);
      const names = partitions.map(({ name }) => name);
      for (const node of nodes) for (const partition of node.partitions) expect(names).toContain(partition);
      return `${nodes.length} nodes, ${names.join(", ")}, ${reservations.length} reservations`;
    },
  },
  {
    title: "says which system there is not",
    async read(client) {
      const error = await failure(client.whoami("nowhere"));
      expect(error).toMatchObject({ code: "unknown_system", retry: "never" });
      return error.message;
    },
  },
  {
    title: "lists a directory, and looks at one of its files alike by stat, head, tail, checksum and download",
    async read(client, system, given) {
      const { directory, entries } = await firstListing(client, system, given);
      expect(await client.files.stat(system, directory, { dereference: true })).toMatchObject({ isDirectory: true });
      const file = entries.find(
        ({ type, size, name }) => type === "-" && size <= SMALL_BYTES && /^[\w.-]+$/.test(name),
      );
      if (file === undefined) return `${directory}: ${entries.length} entries, no small file among them`;
      const path = `${directory}/${file.name}`;
      expect((await client.files.stat(system, path)).size).toBe(file.size);
      const bytes = await client.files.download(system, path);
      expect(bytes.length).toBe(file.size);
      const digest = Buffer.from(await crypto.subtle.digest("SHA-256", new Uint8Array(bytes))).toString("hex");
      expect(await client.files.checksum(system, path)).toBe(digest);
      const text = new TextDecoder().decode(bytes);
      expect(text.startsWith(await client.files.head(system, path, { lines: 1 }))).toBe(true);
      expect(text.endsWith(await client.files.tail(system, path, { lines: 1 }))).toBe(true);
      await client.files.fileType(system, path);
      return `${path}: ${file.size} bytes`;
    },
  },
  {
    title: "tells a missing file from a path that it does not send",
    async read(client, system, given) {
      const { directory } = await firstListing(client, system, given);
      const missing = await failure(client.files.stat(system, `${directory}/there-is-no-such-file`));
      expect(missing).toMatchObject({ code: "not_found", retry: "never" });
      const refused = await failure(client.files.stat(system, `${directory}/it's`));
      expect(refused).toMatchObject({ code: "invalid_path", retry: "never" });
      return missing.message;
    },
  },
  {
    title: "does not see a job that there is not, and concludes nothing from it",
    async read(client, system) {
      const round = await client.round(system, [
        { schedulerId: UNKNOWN_ID, acceptedAt: Date.now() - 60_000, status: "queued", confirm: true },
      ]);
      expect(round.seen.has(UNKNOWN_ID)).toBe(false);
      expect(round.requests).toBeLessThanOrEqual(7);
      return `${round.requests} requests; ${round.notSeen.has(UNKNOWN_ID) ? "not seen" : "unread"}`;
    },
  },
  {
    title: "finds no job under a name that nobody gave",
    async read(client, system) {
      const { matches } = await client.findByName(system, UNKNOWN_NAME, Date.now() - 3_600_000);
      expect(matches).toEqual([]);
      return "none";
    },
  },
];

/** What went wrong with something that must not succeed. */
export async function failure(work: Promise<unknown>): Promise<FirecrestError> {
  return work.then(
    () => expect.unreachable("it succeeded"),
    (error: FirecrestError) => error,
  );
}

/** The user's own directory where there is one, else the first file system that lets itself be listed. */
async function firstListing(
  client: Firecrest,
  system: string,
  given: string | undefined,
): Promise<{ directory: string; entries: FileEntry[] }> {
  if (given !== undefined) return { directory: given, entries: await client.files.ls(system, given, { hidden: true }) };
  const user = await client.whoami(system);
  const roots = (await client.systems()).find(({ name }) => name === system)?.fileSystems.map(({ path }) => path) ?? [];
  const candidates = roots.map((path) => path.replace(/\/+$/, ""));
  for (const directory of [...candidates.map((path) => `${path}/${user}`), ...candidates, "/tmp"]) {
    const entries = await client.files.ls(system, directory, { hidden: true }).catch(() => undefined);
    if (entries !== undefined) return { directory, entries };
  }
  throw new Error(`none of ${candidates.join(", ")} can be listed`);
}
