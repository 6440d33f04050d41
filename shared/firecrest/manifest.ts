/**
 * The manifest: size, mtime and SHA-256 of files and of each of their parts, made on the HPC side in one pass over each
 * file, so that a copy can be proven part by part. It is written by the job that made the files, or by a small job.
 *
 * A text file `.fw-<tag>.manifest` in the directory where the job started:
 *
 *     firewatch-manifest 1 <tag>
 *     file <base64 of the path as asked> <size> <mtime, seconds> <bytes per part> <SHA-256>
 *     part <SHA-256>                        one for each part, in order
 *     end
 *
 * Without its last line it is incomplete. A file that is absent, changes while it is read, or cannot be read is left out.
 * A path with wildcards stands for the files that the shell finds for it when the job ends.
 */
import {
  LARGE_FILE_BYTES,
  LARGE_PART_BYTES,
  MAX_PARTS,
  PART_STEP_BYTES,
  partBytesFor,
  USUAL_PART_BYTES,
} from "../contract/cut.ts";
import { isGlob } from "../contract/glob.ts";
import { assignment, base64Of } from "./shell.ts";

export interface ManifestRequest {
  /** 13 characters that name the job, see `script.ts`. */
  tag: string;
  /** Absolute, or relative to the directory in which the job starts. */
  paths: string[];
}

export interface ManifestFile {
  path: string;
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  sha256: string;
  /** One for each part, in order, cut as `contract/cut.ts` says. */
  parts: string[];
}

export interface Manifest {
  tag: string;
  files: ManifestFile[];
}

/** Its name, in the directory in which the job starts. */
export const manifestName = (tag: string): string => `.fw-${tag}.manifest`;

/** `partBytesFor` in the shell: the size of a file in, the size of its parts in `_fw_part`. */
export function cutFunction(): string[] {
  const row = MAX_PARTS * PART_STEP_BYTES;
  return [
    "_fw_cut() {",
    `  _fw_part=${USUAL_PART_BYTES}`,
    `  [ "$1" -le ${LARGE_FILE_BYTES} ] || _fw_part=${LARGE_PART_BYTES}`,
    `  _fw_least=$((($1 + ${row - 1}) / ${row} * ${PART_STEP_BYTES}))`,
    '  [ "$_fw_least" -le "$_fw_part" ] || _fw_part=$_fw_least',
    "}",
  ];
}

/**
 * Shell lines that define `_fw_manifest`, which needs `_fw_dir`. Each part goes through one `sha256sum` and, by file
 * descriptor 3, through the one that hashes the whole.
 */
export function manifestFunction({ tag, paths }: ManifestRequest): string[] {
  return [
    ...cutFunction(),
    "_fw_hash() {",
    '  [ -f "$2" ] && [ -r "$2" ] || return 0',
    "  _fw_was=$(stat -L -c '%s %Y' -- \"$2\") || return 0",
    `  _fw_cut "\${_fw_was%% *}"`,
    `  _fw_sum=$(SHELL=/bin/sh split -b "$_fw_part" --filter='tee /dev/fd/3 | sha256sum' - <"$2" 3>&1 >|"$_fw_tmp.parts" | sha256sum)`,
    '  [ "$_fw_was" = "$(stat -L -c \'%s %Y\' -- "$2")" ] || return 0',
    `  printf 'file %s %s %s %s\\n' "$1" "$_fw_was" "$_fw_part" "\${_fw_sum%% *}" >>"$_fw_tmp"`,
    '  sed -e "s/ .*//" -e "s/^/part /" "$_fw_tmp.parts" >>"$_fw_tmp"',
    "}",
    ...(paths.some(isGlob) ? GLOB_FUNCTION : []),
    "_fw_manifest() (",
    '  cd "$_fw_dir" || exit',
    `  _fw_tmp=${manifestName(tag)}.tmp`,
    `  echo "firewatch-manifest 1 ${tag}" >|"$_fw_tmp"`,
    ...paths.flatMap((path) => [
      `  ${assignment("_fw_path", path)} && ${isGlob(path) ? "_fw_glob" : `_fw_hash '${base64Of(path)}'`} "\${_fw_path%x}"`,
    ]),
    '  echo end >>"$_fw_tmp"',
    `  mv -f "$_fw_tmp" ${manifestName(tag)}`,
    '  rm -f "$_fw_tmp.parts"',
    ")",
  ];
}

/** The pattern is expanded where it stands unquoted, and nothing else happens to it there: no splitting, no commands. */
const GLOB_FUNCTION = [
  "_fw_glob() {",
  "  set +f",
  "  IFS=",
  "  for _fw_one in $1; do",
  `    _fw_hash "$(printf %s "$_fw_one" | base64 | tr -d '\\n')" "$_fw_one"`,
  "  done",
  "}",
];

/** A script that only writes a manifest, for files of jobs that we did not compose. To be composed like any other. */
export function manifestScript(request: ManifestRequest): string {
  return `${["#!/bin/sh", "_fw_dir=$PWD", ...manifestFunction(request), "_fw_manifest"].join("\n")}\n`;
}

export interface SplitRequest {
  tag: string;
  path: string;
  /** Made, and filled with pieces named `0000`, `0001` and so on. */
  directory: string;
  pieceBytes: number;
}

/** A script that cuts a file into pieces beside it, and writes its manifest. Ends with an error when the pieces are not all there. */
export function splitScript({ tag, path, directory, pieceBytes }: SplitRequest): string {
  const lines = [
    "#!/bin/sh",
    "_fw_dir=$PWD",
    ...manifestFunction({ tag, paths: [path] }),
    `${assignment("_fw_from", path)} || exit 78`,
    `${assignment("_fw_to", directory)} || exit 78`,
    `_fw_to="\${_fw_to%x}"`,
    'mkdir -p -- "$_fw_to" || exit',
    `split -b ${pieceBytes} -a 4 -d -- "\${_fw_from%x}" "$_fw_to/" || exit`,
    "_fw_manifest",
  ];
  return `${lines.join("\n")}\n`;
}

/** The manifest in a text, or undefined when it is another job's, incomplete or not one. */
export function parseManifest(text: string, tag: string): Manifest | undefined {
  const lines = text.split("\n");
  if (lines[0] !== `firewatch-manifest 1 ${tag}` || lines.at(-2) !== "end" || lines.at(-1) !== "") return undefined;
  const files: (ManifestFile & { partBytes: number })[] = [];
  for (const line of lines.slice(1, -2)) {
    const file = /^file ([A-Za-z0-9+/=]+) (\d{1,16}) (\d{1,12}) (\d{1,16}) ([0-9a-f]{64})$/.exec(line);
    const part = /^part ([0-9a-f]{64})$/.exec(line);
    if (file !== null) {
      const [, path = "", size, mtime, partBytes, sha256 = ""] = file;
      files.push({
        path: textOf(path),
        size: Number(size),
        mtime: Number(mtime),
        partBytes: Number(partBytes),
        sha256,
        parts: [],
      });
    } else if (part?.[1] !== undefined && files.length > 0) {
      files.at(-1)?.parts.push(part[1]);
    } else {
      return undefined;
    }
  }
  // Cut in another way (an older script, say), parts say nothing about ours.
  const whole = files.filter(
    ({ size, partBytes, parts }) => partBytes === partBytesFor(size) && parts.length === Math.ceil(size / partBytes),
  );
  return { tag, files: whole.map(({ partBytes: _, ...file }) => file) };
}

function textOf(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  } catch {
    return "";
  }
}
