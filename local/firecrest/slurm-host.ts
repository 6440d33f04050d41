/**
 * A real Slurm behind FirecREST: real files below a root folder, real Unix users, and Slurm's own commands for everything
 * about jobs. What the commands print is taken as it is, late accounting, `allocation` rows and all.
 *
 * `<root>/home/<user>` and `<root>/scratch/<user>` must exist and belong to the users. File operations are done by the
 * account that runs the server under the users' permissions; commands run as the users themselves. So with users other
 * than that account, it must be root's.
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import { hostFrom } from "./assemble.ts";
import { realClock } from "./clock.ts";
import { ownedVolume } from "./files/owned-volume.ts";
import { sha256, systemCodecs } from "./files/system-codecs.ts";
import type { FileSystem, Host } from "./host.ts";
import { readNodes, readPartitions, readReservations } from "./scheduler/slurm-blocks.ts";
import { slurmCommands } from "./scheduler/slurm-commands.ts";
import { slurmJobs } from "./scheduler/slurm-jobs.ts";

export interface SlurmUser {
  name: string;
  uid: number;
  /** Primary group. */
  group: { name: string; id: number };
}

export interface SlurmHostOptions {
  /** Slurm's configuration (`SLURM_CONF`). */
  config: string;
  /** Files of the users. */
  files: string;
  users: readonly SlurmUser[];
}

const SHELL = "/bin/bash";
const DEFAULT_PATH = "/usr/local/bin:/usr/bin:/bin";

export async function slurmHost({ config, files, users }: SlurmHostOptions): Promise<Host> {
  const root = await realpath(files);
  const [home, scratch] = [join(root, "home"), join(root, "scratch")];
  const fileSystems: FileSystem[] = [
    { path: home, description: "Users' homes", dataType: "users", defaultWorkDir: false },
    { path: scratch, description: "Scratch", dataType: "scratch", defaultWorkDir: true },
  ];
  const setup = { config, path: process.env.PATH ?? DEFAULT_PATH };
  const run = slurmCommands(setup);
  const show = async (what: string) => (await run("scontrol", ["show", what])).stdout;

  return hostFrom(
    {
      volume: ownedVolume(),
      codecs: systemCodecs,
      sha256,
      fileSystems,
      roots: [home, scratch],
      users: users.map(({ name, uid, group }) => ({ name, uid, groups: [group] })),
      now: realClock.now,
      close: async () => {},
    },
    {
      jobsOf(_user, { user, group }) {
        const own = join(home, user.name);
        const env = { HOME: own, USER: user.name, LOGNAME: user.name, SHELL, LANG: "C.UTF-8" };
        return slurmJobs(slurmCommands(setup, { uid: user.id, gid: group.id, home: own, env }), user.name);
      },
      nodes: async () => readNodes(await show("node")),
      partitions: async () => readPartitions(await show("partition")),
      reservations: async () => readReservations(await show("reservation")),
    },
  );
}
