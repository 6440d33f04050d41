/**
 * The bare file tree under a host: what a kernel offers, without users and without following links. `files.ts` builds the
 * commands of a user on top of it, the same for both hosts. Paths are canonical: absolute, no `.`, no `..`, no link on the
 * way. Everything may throw `VolumeError`.
 */
import type { FileKind } from "../host.ts";

export interface Node {
  kind: FileKind;
  /** The twelve permission bits. */
  permissions: number;
  uid: number;
  gid: number;
  size: number;
  /** Milliseconds since the epoch. */
  mtime: number;
  atime: number;
  ctime: number;
  ino: number;
  dev: number;
  nlink: number;
}

export interface Volume {
  lstat(path: string): Promise<Node>;
  /** Names without `.` and `..`, in any order. */
  readdir(path: string): Promise<string[]>;
  readlink(path: string): Promise<string>;
  mkdir(path: string, permissions: number, owner: Owner): Promise<void>;
  symlink(target: string, path: string, owner: Owner): Promise<void>;
  /** Replaces a file or an empty directory at `to`. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  rmdir(path: string): Promise<void>;
  chmod(path: string, permissions: number): Promise<void>;
  /** Sets owner and group of anything but a link. */
  chown(path: string, owner: Owner): Promise<void>;
  utimes(path: string, atime: number, mtime: number): Promise<void>;
  /** Bytes `[start, end)` of a regular file. */
  read(path: string, start: number, end: number): ReadableStream<Uint8Array>;
  /** Creates, replaces the content of, or appends to a regular file. `permissions` count only for a new one. */
  write(
    path: string,
    body: ReadableStream<Uint8Array>,
    options: { append: boolean; permissions: number; owner: Owner },
  ): Promise<void>;
}

export interface Owner {
  uid: number;
  gid: number;
}

/** The C library's words for the errors that a file tree can give. */
const ERROR_TEXT = {
  ENOENT: "No such file or directory",
  EACCES: "Permission denied",
  EPERM: "Operation not permitted",
  ENOTDIR: "Not a directory",
  EISDIR: "Is a directory",
  EEXIST: "File exists",
  ENOTEMPTY: "Directory not empty",
  ELOOP: "Too many levels of symbolic links",
  EINVAL: "Invalid argument",
  ENAMETOOLONG: "File name too long",
  ENOSPC: "No space left on device",
  EIO: "Input/output error",
} as const;
export type Errno = keyof typeof ERROR_TEXT;

export class VolumeError extends Error {
  override readonly name = "VolumeError";
  readonly code: Errno;

  /** `message` is the C library's text. */
  constructor(code: Errno) {
    super(ERROR_TEXT[code]);
    this.code = code;
  }
}

export function isErrno(code: unknown): code is Errno {
  return typeof code === "string" && Object.hasOwn(ERROR_TEXT, code);
}

/** `/a/b` and `c` → `/a/b/c`. */
export function join(directory: string, name: string): string {
  return directory === "/" ? `/${name}` : `${directory}/${name}`;
}

export function dirname(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

export function basename(path: string): string {
  const trimmed = path.replace(/\/+$/, "");
  return trimmed.slice(trimmed.lastIndexOf("/") + 1) || "/";
}
