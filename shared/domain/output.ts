/** What the path of a job's output asks for, and under which keys it comes, as pure decisions. */
import { isGlob } from "../contract/glob.ts";
import { ObjectKey } from "../contract/words.ts";

/**
 * A trailing slash asks for a directory, as one archive; wildcards ask for every file that they match when the job has ended;
 * anything else is one file.
 */
export const shapeOf = (path: string): "file" | "glob" | "directory" =>
  path.endsWith("/") ? "directory" : isGlob(path) ? "glob" : "file";

/** A pattern that matches more than this is taken for a mistake. So many rows also fit into one record of a job. */
export const MATCHES_MAX = 1_000;
/** One record holds them all. */
const OUTPUTS_MAX_CHARACTERS = 1_000_000;

/** The directory in which a pattern begins, and its segments below: `/a/b`, then `run-[0-9]`, `out.nc`. */
export function splitPattern(pattern: string): { base: string; segments: string[] } {
  const all = pattern.split("/");
  const first = Math.min(all.findIndex(isGlob), all.length - 1);
  return { base: all.slice(0, first).join("/"), segments: all.slice(first) };
}

const nameOf = (path: string): string | undefined =>
  path
    .split("/")
    .filter((segment) => segment !== "" && segment !== ".")
    .at(-1);

/** The key of an output that names none, or what stands before the names of its matches. */
export function defaultKey(jobId: string, path: string): string {
  switch (shapeOf(path)) {
    case "file":
      return `jobs/${jobId}/${nameOf(path)}`;
    case "directory":
      return `jobs/${jobId}/${nameOf(path) ?? "files"}.tar.gz`;
    case "glob": {
      const directory = nameOf(splitPattern(path).base);
      return directory === undefined ? `jobs/${jobId}` : `jobs/${jobId}/${directory}`;
    }
  }
}

/** What is shown as the key of a pattern until its matches are known. */
export const keyOfPattern = (prefix: string, pattern: string): string =>
  `${prefix}/${splitPattern(pattern).segments.join("/")}`;

/** The key of one match: its place below the directory in which the pattern begins. */
export const keyOfMatch = (prefix: string, pattern: string, path: string): string =>
  `${prefix}/${path.slice(splitPattern(pattern).base.length + 1)}`;

/** What is wrong with a key that was made of a name on the machine. */
export function keyProblem(key: string): string | undefined {
  const read = ObjectKey.safeParse(key);
  return read.success ? undefined : read.error.issues[0]?.message;
}

/** Why a pattern's matches cannot be fetched; undefined when they can. */
export function matchProblem(pattern: string, matches: number, outputs: readonly unknown[]): string | undefined {
  if (matches === 0) return `No file matches ${pattern}.`;
  if (matches <= MATCHES_MAX && JSON.stringify(outputs).length <= OUTPUTS_MAX_CHARACTERS) return undefined;
  return `${matches} files match ${pattern}, which is more than one job may bring (${MATCHES_MAX}). Narrow the pattern, or end the path with a slash to fetch the directory as one archive.`;
}
