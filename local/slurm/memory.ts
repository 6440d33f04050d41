/**
 * The memory cgroup in which jobs can be held to their `--mem`. Slurm's own group is made below the one that this process is
 * in, so jobs stay inside whatever bounds this process has itself.
 */
import { mkdirSync, readFileSync, rmdirSync } from "node:fs";
import { readdir, rmdir } from "node:fs/promises";
import { join } from "node:path";

/** Of cgroup version 1; version 2 needs a systemd that Slurm can talk to. */
const MOUNT = "/sys/fs/cgroup/memory";

/** Path of the group, or why there is none. */
export function memoryCgroup(): { path: string } | { path?: never; why: string } {
  const line = readFileSync("/proc/self/cgroup", "utf8").match(/^\d+:(?:[\w,]*,)?memory(?:,[\w,]*)?:(.*)$/m);
  if (line === null) return { why: "this machine has no memory cgroups of version 1" };
  // In a container the path may be that of the machine, while the mount begins at the container's own group.
  for (const path of [join(MOUNT, line[1] ?? ""), MOUNT]) if (isWritable(path)) return { path };
  return { why: `no group can be made below ${join(MOUNT, line[1] ?? "")}` };
}

function isWritable(path: string): boolean {
  const probe = join(path, `firewatch-${process.pid}`);
  try {
    mkdirSync(probe);
    rmdirSync(probe);
    return true;
  } catch {
    return false;
  }
}

/** Removes what Slurm leaves behind there: empty groups, the inner ones first. */
export async function removeGroups(path: string): Promise<void> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeGroups(join(path, entry.name));
  await rmdir(path).catch(() => {});
}
