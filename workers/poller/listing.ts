/** The consumer's side of patterns: which files there are for one, level by level. */
import { segmentMatcher } from "../../shared/contract/glob.ts";
import { MATCHES_MAX, splitPattern } from "../../shared/domain/output.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { FileEntry, Firecrest } from "../../shared/firecrest/port.ts";
import type { FarOutcome, FarWork } from "./far.ts";

/** Each directory that is looked into costs a request. */
const DIRECTORIES_MAX = 50;
/** What matches is held in memory, whatever becomes of it: ten times what may be fetched, for a message that can tell how many there are. */
const FOUND_MAX = 10 * MATCHES_MAX;
/** Each link among the matches costs a request; with more of them they are taken for links to files. */
const LINKS_MAX = 20;

interface Found {
  path: string;
  type: string;
}

/** Files that match a pattern, in order. Directories do not count, nor links to them, nor what Firewatch made itself. */
export async function listMatches(
  { system, pattern }: Extract<FarWork, { kind: "list" }>,
  firecrest: Firecrest,
): Promise<FarOutcome> {
  const { base, segments } = splitPattern(pattern);
  let level: string[] = [base];
  let found: Found[] = [];
  for (const [depth, segment] of segments.entries()) {
    if (level.length > DIRECTORIES_MAX)
      throw new FirecrestError(
        `${pattern} leads into ${level.length} directories, and at most ${DIRECTORIES_MAX} are looked into; narrow it`,
        { code: "too_large", retry: "never" },
      );
    found = [];
    for (const directory of level) {
      found = found.concat(await matchesIn(system, directory, segment, firecrest));
      if (found.length > FOUND_MAX)
        throw new FirecrestError(
          `${pattern} matches more than ${FOUND_MAX} names; narrow it, or fetch the directory as one archive`,
          {
            code: "too_large",
            retry: "never",
          },
        );
    }
    if (depth < segments.length - 1) level = found.filter(({ type }) => type !== "-").map(({ path }) => path);
  }
  const files = await withoutDirectories(system, found, firecrest);
  const paths = files.map(({ path }) => path).toSorted();
  return { kind: "listed", count: paths.length, paths: paths.slice(0, MATCHES_MAX + 1) };
}

/** What is not there, or is no directory, holds nothing. */
async function matchesIn(system: string, directory: string, segment: string, firecrest: Firecrest): Promise<Found[]> {
  const matches = segmentMatcher(segment);
  let entries: FileEntry[];
  try {
    // The slash at the end looks through a link.
    entries = await firecrest.files.ls(system, `${directory}/`, { hidden: segment.startsWith(".") });
  } catch (error) {
    if (error instanceof FirecrestError && ["not_found", "not_a_directory"].includes(error.code)) return [];
    throw error;
  }
  return entries
    .filter(({ name }) => matches(name) && !name.startsWith(".fw-") && name !== "." && name !== "..")
    .map(({ name, type }) => ({ path: `${directory}/${name}`, type }));
}

async function withoutDirectories(system: string, found: Found[], firecrest: Firecrest): Promise<Found[]> {
  const links = found.filter(({ type }) => type === "l");
  const elsewhere = new Set<Found>();
  if (links.length <= LINKS_MAX)
    for (const link of links) {
      const isFile = await firecrest.files
        .stat(system, link.path, { dereference: true })
        .then(({ isDirectory }) => !isDirectory, brokenLink);
      if (!isFile) elsewhere.add(link);
    }
  return found.filter((one) => (one.type === "-" || one.type === "l") && !elsewhere.has(one));
}

function brokenLink(error: unknown): boolean {
  if (error instanceof FirecrestError && error.retry === "never") return false;
  throw error;
}
