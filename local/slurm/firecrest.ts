/** The embedded FirecREST in front of the Slurm that is up here. */
import type { FirecrestOptions } from "../firecrest/server.ts";
import { slurmHost } from "../firecrest/slurm-host.ts";
import { DEFAULT_DIR, readCluster } from "./cluster.ts";

/** What FirecREST is started with. Throws where no Slurm is up. */
export async function firecrestOnSlurm(): Promise<Pick<FirecrestOptions, "cluster" | "users">> {
  const cluster = await readCluster(DEFAULT_DIR);
  if (cluster === undefined) throw new Error("no Slurm is up here. Bring one up: npm run slurm -- up");
  return { cluster: await slurmHost(cluster), users: cluster.users.map(({ name }) => name) };
}
