/** Patterns in very large directories: what is held in memory has an end, whatever a site lists. */
import { expect, it } from "vitest";
import type { Firecrest } from "../../shared/firecrest/port.ts";
import { listMatches } from "../../workers/poller/listing.ts";

const FILES = 9_997;

/** A machine with 50 directories below `/d`, each with 10,000 files, three of them called `.nc`. */
function large() {
  const listed: string[] = [];
  const names = Array.from({ length: FILES }, (_, n) => `file-${n}.csv`).concat("a.nc", "b.nc", "c.nc");
  const ls = async (_system: string, path: string) => {
    listed.push(path);
    return path === "/d/"
      ? Array.from({ length: 50 }, (_, n) => ({ name: `run-${n}`, type: "d" }))
      : names.map((name) => ({ name, type: "-" }));
  };
  return { listed, firecrest: { files: { ls } } as unknown as Firecrest };
}

const find = (pattern: string, firecrest: Firecrest) =>
  listMatches({ kind: "list", system: "cluster", site: {} as never, pattern }, firecrest);

it("finds a few files among 10,000", async () => {
  const { firecrest, listed } = large();
  const found = await find("/d/run-7/*.nc", firecrest);
  expect(found).toEqual({ kind: "listed", count: 3, paths: ["a", "b", "c"].map((name) => `/d/run-7/${name}.nc`) });
  expect(listed).toEqual(["/d/run-7/"]);
});

it("finds a few files in each of many such directories", async () => {
  const { firecrest } = large();
  expect(await find("/d/*/*.nc", firecrest)).toMatchObject({ kind: "listed", count: 150 });
});

it("tells how many files of one directory match, and hands over no more than anybody needs to see that they are too many", async () => {
  const { firecrest } = large();
  const found = await find("/d/run-7/*", firecrest);
  expect(found).toMatchObject({ kind: "listed", count: 10_000 });
  expect(found.kind === "listed" && found.paths.length).toBe(1_001);
});

it("gives up where more match than can be of use, and looks into no further directory", async () => {
  const { firecrest, listed } = large();
  await expect(find("/d/*/*", firecrest)).rejects.toMatchObject({ code: "too_large", retry: "never" });
  expect(listed).toEqual(["/d/", "/d/run-0/", "/d/run-1/"]);
});
