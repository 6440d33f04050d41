/** The Slurm that these tests run on: one that `npm run slurm -- up` has brought up, when FIREWATCH_SLURM=1 asks for it. */
import { chmod, chown, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { describe } from "vitest";
import type { Host } from "../../local/firecrest/host.ts";
import { type Cluster, DEFAULT_DIR, readCluster } from "../../local/slurm/cluster.ts";

const isAsked = process.env.FIREWATCH_SLURM === "1";
const cluster = isAsked ? await readCluster(DEFAULT_DIR) : undefined;
if (isAsked && cluster === undefined)
  throw new Error("FIREWATCH_SLURM=1, but no Slurm is up here: npm run slurm -- up");

/** Suites on Slurm; where they cannot run they are skipped, and say why. */
export function onSlurm(name: string, suite: (cluster: Cluster) => void, { users = 1 } = {}): void {
  if (cluster === undefined) skip(name, "needs a Slurm; npm run slurm -- up, then FIREWATCH_SLURM=1", suite);
  else if (cluster.users.length < users) skip(name, `needs ${users} users; bring Slurm up as root`, suite);
  else describe(name, () => suite(cluster));
}

const skip = (name: string, why: string, suite: (cluster: Cluster) => void) =>
  describe.skip(`${name} (skipped: ${why})`, () => suite({ dir: "", config: "", files: "", users: [] }));

/** A new, empty directory of a user. */
export async function newDirectory({ files }: Cluster, user: Cluster["users"][number]): Promise<string> {
  const directory = await mkdtemp(join(files, "scratch", user.name, "test-"));
  await chmod(directory, 0o755);
  await chown(directory, user.uid, user.group.id);
  return directory;
}

/** Ends whatever the users still have in the queue. */
export async function emptyQueue(host: Host, { users }: Cluster): Promise<void> {
  for (const { name } of users) {
    const { jobs } = await host.as(name);
    for (const { plainId } of await jobs.queue()) await jobs.cancel(plainId).catch(() => {});
  }
}

export const removeDirectory = (directory: string): Promise<void> => rm(directory, { recursive: true, force: true });
