/** The real file tree with real owners: what a user makes belongs to their Unix account. Other accounts need root. */
import { chown, lchown, lstat, open } from "node:fs/promises";
import { diskVolume } from "./disk-volume.ts";
import type { Owner, Volume } from "./volume.ts";

export function ownedVolume(): Volume {
  const disk = diskVolume((_path, { uid, gid }) => ({ uid, gid }));
  /** Directories that are there but not yet their owner's. */
  const unfinished = new Map<string, Promise<unknown>>();
  const finished = async (path: string) => void (await unfinished.get(path)?.catch(() => {}));
  return {
    ...disk,
    async lstat(path) {
      await finished(path);
      return await disk.lstat(path);
    },
    async mkdir(path, permissions, owner) {
      await finished(path);
      const made = disk.mkdir(path, permissions, owner).then(() => give(path, owner));
      unfinished.set(path, made);
      await made.finally(() => unfinished.delete(path));
    },
    async symlink(target, path, owner) {
      await disk.symlink(target, path, owner);
      await give(path, owner);
    },
    chown: (path, owner) => chown(path, owner.uid, owner.gid),
    async write(path, body, options) {
      // Given away while it is still empty: a job may read it as it grows.
      const isNew = (await lstat(path).catch(() => undefined)) === undefined;
      if (isNew) {
        const file = await open(path, "a", options.permissions).catch(() => undefined);
        await file?.close();
        if (file !== undefined) await give(path, options.owner);
      }
      await disk.write(path, body, options);
    },
  };
}

const give = (path: string, { uid, gid }: Owner): Promise<void> => lchown(path, uid, gid);
