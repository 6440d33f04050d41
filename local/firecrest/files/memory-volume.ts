/** A file tree in memory, with the errors of a real one. */
import { chunked } from "../staging/segments.ts";
import { basename, dirname, type Node, type Owner, type Volume, VolumeError } from "./volume.ts";

interface Inode extends Node {
  children?: Map<string, Inode>;
  target?: string;
  content?: Uint8Array;
}

/** `now` gives the times of files. The tree holds only `/` (owned by root, 0755) at first. */
export function memoryVolume(now: () => number): Volume {
  let nextIno = 2;
  const make = (kind: Node["kind"], permissions: number, owner: Owner): Inode => {
    const at = now();
    const node: Inode = {
      kind,
      permissions,
      ...owner,
      size: 0,
      mtime: at,
      atime: at,
      ctime: at,
      ino: nextIno++,
      dev: 1,
      nlink: 1,
    };
    if (kind === "d") {
      node.children = new Map();
      node.size = 4096;
      node.nlink = 2;
    }
    return node;
  };
  const root = make("d", 0o755, { uid: 0, gid: 0 });

  const find = (path: string): Inode => {
    let node = root;
    for (const name of path.split("/").filter((part) => part !== "")) {
      if (node.children === undefined) throw new VolumeError("ENOTDIR");
      const child = node.children.get(name);
      if (child === undefined) throw new VolumeError("ENOENT");
      node = child;
    }
    return node;
  };
  const directory = (path: string): Map<string, Inode> => {
    const { children } = find(path);
    if (children === undefined) throw new VolumeError("ENOTDIR");
    return children;
  };
  const touch = (path: string) => {
    const node = find(path);
    node.mtime = now();
    node.ctime = node.mtime;
  };
  const add = (path: string, node: Inode) => {
    const children = directory(dirname(path));
    if (children.has(basename(path))) throw new VolumeError("EEXIST");
    if (new TextEncoder().encode(basename(path)).byteLength > 255) throw new VolumeError("ENAMETOOLONG");
    children.set(basename(path), node);
    touch(dirname(path));
  };
  const drop = (path: string) => {
    directory(dirname(path)).delete(basename(path));
    touch(dirname(path));
  };

  return {
    lstat: async (path) => {
      const { children: _children, target: _target, content: _content, ...node } = find(path);
      return node;
    },
    readdir: async (path) => [...directory(path).keys()],
    readlink: async (path) => {
      const { target } = find(path);
      if (target === undefined) throw new VolumeError("EINVAL");
      return target;
    },
    mkdir: async (path, permissions, owner) => add(path, make("d", permissions, owner)),
    symlink: async (target, path, owner) => {
      add(path, { ...make("l", 0o777, owner), target, size: new TextEncoder().encode(target).byteLength });
    },
    rename: async (from, to) => {
      const node = find(from);
      if (to.startsWith(`${from}/`)) throw new VolumeError("EINVAL");
      const existing = directory(dirname(to)).get(basename(to));
      if (existing === node) return;
      if (existing?.children !== undefined) {
        if (node.children === undefined) throw new VolumeError("EISDIR");
        if (existing.children.size > 0) throw new VolumeError("ENOTEMPTY");
      } else if (existing !== undefined && node.children !== undefined) throw new VolumeError("ENOTDIR");
      drop(from);
      directory(dirname(to)).set(basename(to), node);
      touch(dirname(to));
    },
    unlink: async (path) => {
      if (find(path).children !== undefined) throw new VolumeError("EISDIR");
      drop(path);
    },
    rmdir: async (path) => {
      if (directory(path).size > 0) throw new VolumeError("ENOTEMPTY");
      drop(path);
    },
    chmod: async (path, permissions) => {
      const node = find(path);
      node.permissions = permissions;
      node.ctime = now();
    },
    chown: async (path, owner) => {
      Object.assign(find(path), owner, { ctime: now() });
    },
    utimes: async (path, atime, mtime) => {
      Object.assign(find(path), { atime, mtime });
    },
    read: (path, start, end) => chunked((find(path).content ?? new Uint8Array()).slice(start, end)),
    write: async (path, body, { append, permissions, owner }) => {
      const added = new Uint8Array(await new Response(body).arrayBuffer());
      const existing = directory(dirname(path)).get(basename(path));
      if (existing?.children !== undefined) throw new VolumeError("EISDIR");
      const node = existing ?? make("-", permissions, owner);
      if (existing === undefined) add(path, node);
      const before = append ? (node.content ?? new Uint8Array()) : new Uint8Array();
      const content = new Uint8Array(before.byteLength + added.byteLength);
      content.set(before);
      content.set(added, before.byteLength);
      node.content = content;
      node.size = content.byteLength;
      node.mtime = now();
      node.ctime = node.mtime;
    },
  };
}
