import { join } from "node:path";
import { expect } from "vitest";
import { hostContract } from "../../local/firecrest/host.contract.ts";
import { slurmHost } from "../../local/firecrest/slurm-host.ts";
import { emptyQueue, newDirectory, onSlurm, removeDirectory } from "./cluster-in-use.ts";

async function until(condition: () => Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 150_000, interval: 200 }).toBe(true);
}

onSlurm(
  "a real Slurm",
  (cluster) => {
    hostContract("Slurm host", async () => {
      const [user, other] = cluster.users;
      if (user === undefined || other === undefined) throw new Error("it has no users");
      const host = await slurmHost(cluster);
      const directory = await newDirectory(cluster, user);
      return {
        host,
        user: user.name,
        other: other.name,
        directory,
        forbidden: join(cluster.dir, "log"),
        until,
        shortLimit: { text: "1", seconds: 60 },
        beatSeconds: 4,
        async stop() {
          await emptyQueue(host, cluster);
          await until(async () => (await (await host.as(user.name)).jobs.queue({ allUsers: true })).length === 0);
          await host.close();
          await removeDirectory(directory);
        },
      };
    });
  },
  { users: 2 },
);
