/**
 * From a path as a user writes it to the canonical place it means: component by component, following links, asking for the
 * right to search each directory, and never leaving the file systems, whatever the links say.
 */
import type { Identity } from "../host.ts";
import { dirname, join, type Node, type Volume, VolumeError } from "./volume.ts";

const MAX_LINKS = 40;

/** The path leads out of the file systems. */
export class OutsideError extends VolumeError {
  constructor() {
    super("EACCES");
  }
}

export interface Place {
  /** Canonical. */
  path: string;
  /** `undefined`: nothing is there, but its directory exists. */
  node: Node | undefined;
}

export class Walker {
  readonly #volume: Volume;
  readonly #roots: readonly string[];
  readonly #identity: Identity;

  /** `roots`: canonical; everything outside of them is denied. */
  constructor(volume: Volume, roots: readonly string[], identity: Identity) {
    this.#volume = volume;
    this.#roots = roots;
    this.#identity = identity;
  }

  /**
   * The place a path means. `follow` decides about a link in the last component; a trailing slash always follows. A last
   * component that does not exist is a place without a node; a missing directory before it is ENOENT.
   */
  async locate(path: string, { follow }: { follow: boolean }): Promise<Place> {
    if (!path.startsWith("/")) throw new VolumeError("ENOENT");
    if (path.length > 4096 || path.includes("\0")) throw new VolumeError("ENAMETOOLONG");
    const pending = path.split("/").filter((part) => part !== "" && part !== ".");
    const followLast = follow || path.endsWith("/");
    let at = "/";
    let links = 0;
    while (pending.length > 0) {
      const name = pending.shift() ?? "";
      if (name === "..") {
        at = dirname(at);
        continue;
      }
      await this.#requireSearch(at);
      const next = join(at, name);
      const node = await this.#lstat(next);
      if (node === undefined) {
        if (pending.length > 0) throw new VolumeError("ENOENT");
        return { path: next, node };
      }
      // The way down to a root is taken as it is written, links included.
      if (this.isAbove(next)) {
        at = next;
        continue;
      }
      if (node.kind === "l" && (pending.length > 0 || followLast)) {
        if (++links > MAX_LINKS) throw new VolumeError("ELOOP");
        const target = await this.#volume.readlink(next);
        pending.unshift(...target.split("/").filter((part) => part !== "" && part !== "."));
        if (target.startsWith("/")) at = "/";
        continue;
      }
      if (node.kind !== "d" && (pending.length > 0 || path.endsWith("/"))) throw new VolumeError("ENOTDIR");
      at = next;
    }
    this.#requireInside(at);
    return { path: at, node: await this.#volume.lstat(at) };
  }

  /** Like `locate`, but something must be there. */
  async find(path: string, options: { follow: boolean }): Promise<Place & { node: Node }> {
    const { path: canonical, node } = await this.locate(path, options);
    if (node === undefined) throw new VolumeError("ENOENT");
    return { path: canonical, node };
  }

  /** Throws EACCES unless the user has all rights in `wanted` (4 read, 2 write, 1 search). */
  requireRights(node: Node, wanted: number): void {
    if ((this.#rights(node) & wanted) !== wanted) throw new VolumeError("EACCES");
  }

  /** Throws unless the user may add and remove entries of a directory. */
  async requireChangeable(directory: string): Promise<void> {
    this.#requireInside(directory);
    const node = await this.#volume.lstat(directory);
    if (node.kind !== "d") throw new VolumeError("ENOTDIR");
    this.requireRights(node, 3);
  }

  /** Whether a path is a directory above the file systems, which is there but not to be touched. */
  isAbove(path: string): boolean {
    return this.#roots.some((root) => path !== root && (path === "/" || root.startsWith(`${path}/`)));
  }

  isOwner(node: Node): boolean {
    return this.#identity.user.id === 0 || node.uid === this.#identity.user.id;
  }

  #rights(node: Node): number {
    const { user, groups } = this.#identity;
    if (user.id === 0) return 7;
    if (node.uid === user.id) return (node.permissions >> 6) & 7;
    return (groups.some(({ id }) => id === node.gid) ? node.permissions >> 3 : node.permissions) & 7;
  }

  async #requireSearch(directory: string): Promise<void> {
    // The way down to a root is not part of the file systems; it may only be passed.
    if (!this.#isInside(directory)) {
      if (this.isAbove(directory)) return;
      throw new VolumeError("EACCES");
    }
    this.requireRights(await this.#volume.lstat(directory), 1);
  }

  async #lstat(path: string): Promise<Node | undefined> {
    try {
      const node = await this.#volume.lstat(path);
      // Outside one learns only that something is there, as in a directory that one may not open.
      if (!this.#isInside(path) && !this.isAbove(path)) throw new OutsideError();
      return node;
    } catch (error) {
      if (error instanceof VolumeError && error.code === "ENOENT") return undefined;
      throw error;
    }
  }

  #requireInside(path: string): void {
    if (!this.#isInside(path)) throw new OutsideError();
  }

  #isInside(path: string): boolean {
    return this.#roots.some((root) => root === "/" || path === root || path.startsWith(`${root}/`));
  }
}
