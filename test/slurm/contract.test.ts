/** The contract of FirecREST clients, in front of a real Slurm. */
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFirecrest } from "../../local/firecrest/server.ts";
import { slurmHost } from "../../local/firecrest/slurm-host.ts";
import { type HostKind, placeOn } from "../contract/bench.ts";
import { firecrestContract } from "../contract/suite.ts";
import { emptyQueue, newDirectory, onSlurm, removeDirectory } from "./cluster-in-use.ts";

const PATIENCE_MS = 170_000;

onSlurm("FirecREST clients on a real Slurm", (cluster) => {
  const [user] = cluster.users;
  const slurm: HostKind = {
    name: "Slurm",
    shortLimit: "1",
    beatSeconds: 6,
    patienceMs: PATIENCE_MS,
    hasShell: true,
    async start(api) {
      if (user === undefined) throw new Error("the cluster has no user");
      const host = await slurmHost(cluster);
      const dir = await mkdtemp(join(tmpdir(), "firewatch-contract-"));
      const site = await startFirecrest({
        port: 0,
        dir,
        users: [user.name],
        cluster: host,
        limits: { storagePollMs: 200 },
        v2: { ingressPollMs: 500 },
      });
      const directories: string[] = [];
      return placeOn(site, api, PATIENCE_MS, {
        async directory() {
          const directory = await newDirectory(cluster, user);
          directories.push(directory);
          return directory;
        },
        async stop() {
          await emptyQueue(host, cluster);
          await site.stop();
          for (const directory of [...directories, dir]) await removeDirectory(directory);
        },
      });
    },
  };
  for (const api of ["v1", "v2"] as const) firecrestContract(api, slurm);
});
