/** `ls` for a user. */
import type { FileEntry } from "../host.ts";
import { ToolError } from "../host.ts";
import { permissionText } from "./modes.ts";
import type { Names } from "./names.ts";
import { saying, type Workspace } from "./trees.ts";
import { join, type Node, VolumeError } from "./volume.ts";
import { OutsideError, type Place } from "./walk.ts";

/** Rights needed to list a directory and look at its entries. */
const LIST = 5;

interface Manner {
  hidden: boolean;
  recursive: boolean;
  dereference: boolean;
}

export function listingOf({ volume, walker }: Workspace, names: Names) {
  const toEntry = async (name: string, { path, node }: Place & { node: Node }): Promise<FileEntry> => ({
    name,
    kind: node.kind,
    linkTarget: node.kind === "l" ? await volume.readlink(path) : "",
    user: { name: names.userName(node.uid), id: node.uid },
    group: { name: names.groupName(node.gid), id: node.gid },
    permissions: permissionText(node.permissions),
    modifiedAt: node.mtime,
    size: node.size,
  });

  const lsFind = async (path: string, dereference: boolean) => {
    try {
      return await walker.find(path, { follow: dereference });
    } catch (error) {
      if (error instanceof OutsideError)
        throw new ToolError("ls", 2, `ls: cannot open directory '${path}': ${error.message}`);
      if (error instanceof VolumeError) throw new ToolError("ls", 2, `ls: cannot access '${path}': ${error.message}`);
      throw error;
    }
  };

  const listDirectory = async (
    shown: string,
    directory: Place & { node: Node },
    prefix: string,
    how: Manner,
  ): Promise<FileEntry[]> => {
    const children = await saying(
      "ls",
      2,
      (text) => `ls: cannot open directory '${shown}': ${text}`,
      async () => {
        walker.requireRights(directory.node, LIST);
        return (await volume.readdir(directory.path)).filter((name) => how.hidden || !name.startsWith(".")).sort();
      },
    );
    const entries: FileEntry[] = [];
    const below: { name: string; place: Place & { node: Node } }[] = [];
    for (const name of children) {
      const place = how.dereference
        ? await lsFind(join(shown, name), true)
        : { path: join(directory.path, name), node: await volume.lstat(join(directory.path, name)) };
      entries.push(await toEntry(prefix + name, place));
      if (how.recursive && place.node.kind === "d") below.push({ name, place });
    }
    for (const { name, place } of below)
      entries.push(...(await listDirectory(join(shown, name), place, `${prefix}${name}/`, how)));
    return entries;
  };

  return {
    async list(
      path: string,
      { hidden = false, recursive = false, dereference = false }: Partial<Manner> = {},
    ): Promise<FileEntry[]> {
      const place = await lsFind(path, dereference);
      if (place.node.kind !== "d") return [await toEntry(path, place)];
      return await listDirectory(path, place, "", { hidden, recursive, dereference });
    },

    entry: async (path: string): Promise<FileEntry> => await toEntry(path, await lsFind(path, false)),
  };
}
