/** `npm run slurm -- up | down | status`: a one-node Slurm with accounting on loopback, for the embedded FirecREST. */
import { parseArgs } from "node:util";
import { bringUp, DEFAULT_DIR, readCluster, takeDown } from "./slurm/cluster.ts";
import { installPackages } from "./slurm/packages.ts";
import { alive } from "./slurm/services.ts";

const USAGE = `npm run slurm -- up [--install] | down | status

  up       brings a one-node Slurm up (munge, MariaDB, slurmdbd, slurmctld, slurmd) under .slurm/;
           --install installs Debian's packages first, as root
  down     ends its jobs and every process of its own, stops it, and removes .slurm/ and the Unix users made for it
  status   says whether it is up; the exit code is 0 if it is`;

try {
  const { values, positionals } = parseArgs({
    options: { install: { type: "boolean", default: false } },
    allowPositionals: true,
  });
  const [command] = positionals;
  if (command === "up") {
    if (values.install) installPackages();
    const cluster = await bringUp(DEFAULT_DIR, (step) => console.error(step));
    console.log(
      `Slurm is up: users ${cluster.users.map(({ name }) => name).join(", ")}; for its commands: export SLURM_CONF=${cluster.config}`,
    );
  } else if (command === "down") {
    await takeDown(DEFAULT_DIR);
    console.log("Slurm is down");
  } else if (command === "status") {
    const cluster = await readCluster(DEFAULT_DIR);
    const running = await alive(DEFAULT_DIR);
    console.log(
      cluster === undefined
        ? `Slurm is not up (alive: ${running.join(", ") || "nothing"})`
        : `Slurm is up: SLURM_CONF=${cluster.config}`,
    );
    process.exitCode = cluster === undefined ? 1 : 0;
  } else {
    console.error(USAGE);
    process.exitCode = 2;
  }
} catch (error) {
  console.error(`npm run slurm: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
