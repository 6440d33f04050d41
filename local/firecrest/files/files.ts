/** One user's file operations over a volume: what the commands of the coreutils would do, and what they would say. */
import type { ArchiveFormat, Compression, Cut, FileStat, Files, Identity } from "../host.ts";
import { ToolError } from "../host.ts";
import { chunked } from "../staging/segments.ts";
import { type Codecs, compress, extract } from "./archives.ts";
import { bytesOf, headOf, type Source, tailOf } from "./cut.ts";
import { describeFile } from "./kinds.ts";
import { listingOf } from "./listing.ts";
import { changeMode, octalText, permissionText, rawMode } from "./modes.ts";
import type { Names } from "./names.ts";
import { abortable, copyTree, makeDirectory, moveTree, removeTree, saying, type Workspace } from "./trees.ts";
import { basename, dirname, join, type Volume, VolumeError } from "./volume.ts";
import { Walker } from "./walk.ts";

export interface FilesOptions {
  volume: Volume;
  /** Canonical paths of the file systems; nothing outside of them can be reached. */
  roots: readonly string[];
  identity: Identity;
  names: Names;
  codecs: Codecs;
  /** SHA-256 of a stream, lower-case hex. */
  sha256(body: ReadableStream<Uint8Array>): Promise<string>;
}

const READ = 4;
const WRITE = 2;

export function userFiles(options: FilesOptions): Files {
  const { volume, identity, names } = options;
  const walker = new Walker(volume, options.roots, identity);
  const owner = { uid: identity.user.id, gid: identity.group.id };
  const space: Workspace = { volume, walker, owner };

  const listing = listingOf(space, names);

  /** A file to read, or the tool's complaint. A pipe would block its reader for ever. */
  const openFile = async (
    tool: string,
    path: string,
    words: { open(text: string): string; read(text: string): string },
  ) => {
    const place = await saying(tool, 1, words.open, async () => {
      const found = await walker.find(path, { follow: true });
      walker.requireRights(found.node, READ);
      return found;
    });
    if (place.node.kind === "d") throw new ToolError(tool, 1, words.read("Is a directory"));
    if (place.node.kind !== "-") throw new ToolError(tool, 124, "");
    return place;
  };

  const sourceOf = async (tool: "head" | "tail", path: string): Promise<Source> => {
    const { path: canonical, node } = await openFile(tool, path, {
      open: (text) => `${tool}: cannot open '${path}' for reading: ${text}`,
      read: (text) => `${tool}: error reading '${path}': ${text}`,
    });
    return { size: node.size, read: (start, end) => volume.read(canonical, start, end) };
  };

  return {
    list: listing.list,
    entry: listing.entry,

    async stat(path, { dereference = false } = {}): Promise<FileStat> {
      const { node } = await saying(
        "stat",
        1,
        (text) => `stat: cannot statx '${path}': ${text}`,
        () => walker.find(path, { follow: dereference }),
      );
      const seconds = (at: number) => Math.floor(at / 1000);
      return {
        mode: rawMode(node.kind, node.permissions),
        ino: node.ino,
        dev: node.dev,
        nlink: node.nlink,
        uid: node.uid,
        gid: node.gid,
        size: node.size,
        atime: seconds(node.atime),
        ctime: seconds(node.ctime),
        mtime: seconds(node.mtime),
      };
    },

    mkdir: (path, { parents = false } = {}) => makeDirectory(space, path, parents),
    move: (from, to) => moveTree(space, from, to),
    copy: (from, to, { dereference = false, signal } = {}) => copyTree(space, from, to, { dereference, signal }),

    async remove(path, { missing = "fail" } = {}) {
      try {
        await removeTree(space, path);
      } catch (error) {
        if (!(missing === "ignore" && error instanceof ToolError && error.stderr.endsWith("No such file or directory")))
          throw error;
      }
    },

    async chmod(path, mode) {
      const { path: canonical, node } = await saying(
        "chmod",
        1,
        (text) => `chmod: cannot access '${path}': ${text}`,
        () => walker.find(path, { follow: true }),
      );
      const after = changeMode(mode, node.permissions, node.kind === "d");
      if (after === undefined)
        throw new ToolError("chmod", 1, `chmod: invalid mode: '${mode}'\nTry 'chmod --help' for more information.`);
      if (!walker.isOwner(node))
        throw new ToolError("chmod", 1, `chmod: changing permissions of '${path}': Operation not permitted`);
      await volume.chmod(canonical, after);
      const written = (bits: number) => `${octalText(bits)} (${permissionText(bits)})`;
      return after === node.permissions
        ? `mode of '${path}' retained as ${written(after)}`
        : `mode of '${path}' changed from ${written(node.permissions)} to ${written(after)}`;
    },

    async chown(path, { owner: userName = "", group: groupName = "" }) {
      const user = userName === "" ? undefined : names.user(userName);
      const group = groupName === "" ? undefined : names.group(groupName);
      const spec = `${userName}:${groupName}`;
      if (userName !== "" && user === undefined) {
        throw new ToolError("chown", 1, `chown: invalid ${groupName === "" ? "spec" : "user"}: '${spec}'`);
      }
      if (groupName !== "" && group === undefined) throw new ToolError("chown", 1, `chown: invalid group: '${spec}'`);
      const { path: canonical, node } = await saying(
        "chown",
        1,
        (text) => `chown: cannot access '${path}': ${text}`,
        () => walker.find(path, { follow: true }),
      );
      const next = { uid: user?.id ?? node.uid, gid: group?.id ?? node.gid };
      const mayUser = next.uid === node.uid && walker.isOwner(node);
      const mayGroup = next.gid === node.gid || identity.groups.some(({ id }) => id === next.gid);
      if (identity.user.id !== 0 && !(mayUser && mayGroup)) {
        throw new ToolError("chown", 1, `chown: changing ownership of '${path}': Operation not permitted`);
      }
      await volume.chown(canonical, next);
      const written = (uid: number, gid: number) => `${names.userName(uid)}:${names.groupName(gid)}`;
      return next.uid === node.uid && next.gid === node.gid
        ? `ownership of '${path}' retained as ${written(next.uid, next.gid)}`
        : `changed ownership of '${path}' from ${written(node.uid, node.gid)} to ${written(next.uid, next.gid)}`;
    },

    symlink: (target, link) =>
      saying(
        "ln",
        1,
        (text) => `ln: failed to create symbolic link '${link}': ${text}`,
        async () => {
          const place = await walker.locate(link, { follow: false });
          const directory =
            place.node === undefined ? undefined : await walker.locate(link, { follow: true }).catch(() => undefined);
          const path = directory?.node?.kind === "d" ? join(directory.path, basename(target)) : place.path;
          if (path === place.path && place.node !== undefined) throw new VolumeError("EEXIST");
          await walker.requireChangeable(dirname(path));
          await volume.symlink(target, path, owner);
        },
      ),

    head: async (path, cut: Cut = {}) => await headOf(await sourceOf("head", path), cut),
    tail: async (path, cut: Cut = {}) => await tailOf(await sourceOf("tail", path), cut),

    async checksum(path, { signal } = {}) {
      const { path: canonical, node } = await openFile("sha256sum", path, {
        open: (text) => `sha256sum: ${path}: ${text}`,
        read: (text) => `sha256sum: ${path}: ${text}`,
      });
      return await options.sha256(abortable(volume.read(canonical, 0, node.size), signal));
    },

    async fileType(path) {
      const { path: canonical, node } = await saying(
        "file",
        1,
        (text) => `cannot open \`${path}' (${text})`,
        () => walker.find(path, { follow: false }),
      );
      if (node.kind === "-")
        await saying(
          "file",
          1,
          () => "regular file, no read permission",
          async () => walker.requireRights(node, READ),
        );
      const target = node.kind === "l" ? await volume.readlink(canonical) : "";
      return await describeFile(node, target, (bytes) =>
        bytesOf(volume.read(canonical, 0, Math.min(bytes, node.size))),
      );
    },

    compress: (
      source,
      target,
      { dereference = false, compression = "gzip" as Compression, matchPattern, signal } = {},
    ) => compress(space, options.codecs, source, target, { dereference, compression, matchPattern, signal }),

    extract: (source, target, { format, signal }: { format: ArchiveFormat; signal?: AbortSignal }) =>
      extract(space, options.codecs, source, target, { format, signal }),

    async require(access, path) {
      if (access === "readable file") {
        await sourceOf("head", path);
        return;
      }
      await saying(
        "touch",
        1,
        (text) => `touch: cannot touch '${path}': ${text}`,
        async () => {
          const { path: canonical } = await walker.find(path, { follow: true });
          await walker.requireChangeable(canonical);
        },
      );
    },

    async read(path, range = {}, as = "cat") {
      const { path: canonical, node } = await openFile(as, path, {
        open: (text) => (as === "dd" ? `dd: failed to open '${path}': ${text}` : `${as}: ${path}: ${text}`),
        read: (text) => {
          if (as === "base64") return `base64: read error: ${text}`;
          return as === "dd" ? `dd: error reading '${path}': ${text}` : `cat: ${path}: ${text}`;
        },
      });
      const end = Math.min(range.end ?? node.size, node.size);
      const start = Math.min(range.start ?? 0, end);
      return { size: node.size, body: volume.read(canonical, start, end) };
    },

    write: (path, body, { mode = 0o644, append = false } = {}) =>
      saying(
        "bash",
        1,
        (text) => `bash: line 1: ${path}: ${text}`,
        async () => {
          const place = await walker.locate(path, { follow: true });
          if (place.node?.kind === "d") throw new VolumeError("EISDIR");
          if (place.node === undefined) await walker.requireChangeable(dirname(place.path));
          else walker.requireRights(place.node, WRITE);
          const content = body instanceof Uint8Array ? chunked(body) : body;
          await volume.write(place.path, content, { append, permissions: mode, owner });
        },
      ),
  };
}
