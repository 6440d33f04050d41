/**
 * The manifest: size, mtime and SHA-256 of files and of each of their parts, made on the HPC side in one pass over each
 * file, so that a copy can be proven part by part. It is written by the job that made the files, or by a small job.
 *
 * A text file `.fw-<tag>.manifest` in the directory where the job started:
 *
 *     firewatch-manifest 1 <tag> <bytes per part>
 *     file <base64 of the path as asked> <size> <mtime, seconds> <SHA-256>
 *     part <SHA-256>                        one for each part, in order
 *     end
 *
 * Without its last line it is incomplete. A file that is absent, changes while it is read, or cannot be read is left out.
 */
import { assignment, base64Of } from "./shell.ts";

export interface ManifestRequest {
  /** 13 characters that name the job, see `script.ts`. */
  tag: string;
  /** Absolute, or relative to the directory in which the job starts. */
  paths: string[];
  partBytes: number;
}

export interface ManifestFile {
  path: string;
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  sha256: string;
  /** One for each part of `partBytes`, in order. */
  parts: string[];
}

export interface Manifest {
  tag: string;
  partBytes: number;
  files: ManifestFile[];
}

/** Its name, in the directory in which the job starts. */
export const manifestName = (tag: string): string => `.fw-${tag}.manifest`;

/**
 * Shell lines that define `_fw_manifest`, which needs `_fw_dir`. Each part goes through one `sha256sum` and, by file
 * descriptor 3, through the one that hashes the whole.
 */
export function manifestFunction({ tag, paths, partBytes }: ManifestRequest): string[] {
  return [
    "_fw_hash() {",
    '  [ -f "$2" ] && [ -r "$2" ] || return 0',
    "  _fw_was=$(stat -L -c '%s %Y' -- \"$2\") || return 0",
    `  _fw_sum=$(SHELL=/bin/sh split -b ${partBytes} --filter='tee /dev/fd/3 | sha256sum' - <"$2" 3>&1 >|"$_fw_tmp.parts" | sha256sum)`,
    '  [ "$_fw_was" = "$(stat -L -c \'%s %Y\' -- "$2")" ] || return 0',
    `  printf 'file %s %s %s\\n' "$1" "$_fw_was" "\${_fw_sum%% *}" >>"$_fw_tmp"`,
    '  sed -e "s/ .*//" -e "s/^/part /" "$_fw_tmp.parts" >>"$_fw_tmp"',
    "}",
    "_fw_manifest() (",
    '  cd "$_fw_dir" || exit',
    `  _fw_tmp=${manifestName(tag)}.tmp`,
    `  echo "firewatch-manifest 1 ${tag} ${partBytes}" >|"$_fw_tmp"`,
    ...paths.flatMap((path) => [`  ${assignment("_fw_path", path)} && _fw_hash '${base64Of(path)}' "\${_fw_path%x}"`]),
    '  echo end >>"$_fw_tmp"',
    `  mv -f "$_fw_tmp" ${manifestName(tag)}`,
    '  rm -f "$_fw_tmp.parts"',
    ")",
  ];
}

/** A script that only writes a manifest, for files of jobs that we did not compose. To be composed like any other. */
export function manifestScript(request: ManifestRequest): string {
  return `${["#!/bin/sh", "_fw_dir=$PWD", ...manifestFunction(request), "_fw_manifest"].join("\n")}\n`;
}

/** The manifest in a text, or undefined when it is another job's, incomplete or not one. */
export function parseManifest(text: string, tag: string): Manifest | undefined {
  const lines = text.split("\n");
  const head = /^firewatch-manifest 1 (\S+) (\d{1,15})$/.exec(lines[0] ?? "");
  if (head === null || head[1] !== tag || lines.at(-2) !== "end" || lines.at(-1) !== "") return undefined;
  const partBytes = Number(head[2]);
  const files: ManifestFile[] = [];
  for (const line of lines.slice(1, -2)) {
    const file = /^file ([A-Za-z0-9+/=]+) (\d{1,16}) (\d{1,12}) ([0-9a-f]{64})$/.exec(line);
    const part = /^part ([0-9a-f]{64})$/.exec(line);
    if (file !== null) {
      const [, path = "", size, mtime, sha256 = ""] = file;
      files.push({ path: textOf(path), size: Number(size), mtime: Number(mtime), sha256, parts: [] });
    } else if (part?.[1] !== undefined && files.length > 0) {
      files.at(-1)?.parts.push(part[1]);
    } else {
      return undefined;
    }
  }
  return { tag, partBytes, files: files.filter((f) => f.parts.length === Math.ceil(f.size / partBytes)) };
}

function textOf(base64: string): string {
  try {
    return new TextDecoder().decode(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)));
  } catch {
    return "";
  }
}
