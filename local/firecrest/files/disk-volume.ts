/**
 * The real file tree. All files belong to the one account that runs the server, so owners are told by place: whatever lies
 * in `<file system>/<user>/` is that user's.
 */

import type { Stats } from "node:fs";
import { chmod, lstat, mkdir, open, readdir, readlink, rename, rmdir, symlink, unlink, utimes } from "node:fs/promises";
import type { FileKind } from "../host.ts";
import { readFile } from "../staging/disk-segments.ts";
import { isErrno, type Owner, type Volume, VolumeError } from "./volume.ts";

/** `ownerOf` tells whose a path is; `found` has its owner on disk. */
export function diskVolume(ownerOf: (path: string, found: Owner) => Owner): Volume {
  return {
    lstat: (path) =>
      guarded(async () => {
        const found = await lstat(path);
        return {
          kind: kindOf(found),
          permissions: found.mode & 0o7777,
          ...ownerOf(path, found),
          size: found.size,
          mtime: found.mtimeMs,
          atime: found.atimeMs,
          ctime: found.ctimeMs,
          ino: found.ino,
          dev: found.dev,
          nlink: found.nlink,
        };
      }),
    readdir: (path) => guarded(() => readdir(path)),
    readlink: (path) => guarded(() => readlink(path)),
    mkdir: (path, permissions) =>
      guarded(async () => {
        await mkdir(path);
        await chmod(path, permissions);
      }),
    symlink: (target, path) => guarded(() => symlink(target, path)),
    rename: (from, to) => guarded(() => rename(from, to)),
    unlink: (path) => guarded(() => unlink(path)),
    rmdir: (path) => guarded(() => rmdir(path)),
    chmod: (path, permissions) => guarded(() => chmod(path, permissions)),
    // The commands allow a chown only to the owner that the place already gives.
    chown: async () => {},
    utimes: (path, atime, mtime) => guarded(() => utimes(path, atime / 1000, mtime / 1000)),
    read: (path, start, end) => readFile(path, start, end),
    write: (path, body, { append, permissions }) =>
      guarded(async () => {
        const file = await open(path, append ? "a" : "w", permissions);
        try {
          for await (const chunk of body as unknown as AsyncIterable<Uint8Array>) {
            let written = 0;
            while (written < chunk.byteLength) written += (await file.write(chunk, written)).bytesWritten;
          }
        } finally {
          await file.close();
        }
      }),
  };
}

async function guarded<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code } = error as { code?: unknown };
    if (isErrno(code)) throw new VolumeError(code);
    throw error;
  }
}

function kindOf(found: Stats): FileKind {
  if (found.isDirectory()) return "d";
  if (found.isSymbolicLink()) return "l";
  if (found.isFIFO()) return "p";
  if (found.isSocket()) return "s";
  if (found.isCharacterDevice()) return "c";
  return found.isBlockDevice() ? "b" : "-";
}
