/** The programs of Debian's packages that a cluster is made of. */
import { execFileSync } from "node:child_process";
import { accessSync, constants, existsSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

/** Server programs lie in `/usr/sbin`, which the `PATH` of an ordinary account lacks. */
const FOLDERS = [
  ...new Set([
    ...(process.env.PATH ?? "").split(":").filter((folder) => folder !== ""),
    "/usr/local/sbin",
    "/usr/sbin",
    "/sbin",
    "/usr/bin",
  ]),
];

const PACKAGES = {
  munge: ["munged", "munge"],
  "mariadb-server": ["mariadbd", "mariadb-install-db"],
  slurmdbd: ["slurmdbd"],
  slurmctld: ["slurmctld"],
  slurmd: ["slurmd"],
  "slurm-client": ["sbatch", "squeue", "sacct", "sacctmgr", "scancel", "scontrol", "sinfo", "srun"],
} as const;

export type ProgramName = (typeof PACKAGES)[keyof typeof PACKAGES][number];

export const INSTALL_LINE = `apt-get update && apt-get install -y --no-install-recommends ${Object.keys(PACKAGES).join(" ")}`;

/** Where a program lies, or `undefined`. */
export function findProgram(name: string): string | undefined {
  return FOLDERS.map((folder) => join(folder, name)).find((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Where a program lies. Throws with the line that installs it. */
export function programPath(name: ProgramName): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed. Slurm comes with: ${INSTALL_LINE}`);
  return path;
}

/** Names of the packages whose programs are missing. */
export function missingPackages(): string[] {
  return Object.entries(PACKAGES)
    .filter(([, programs]) => programs.some((name) => findProgram(name) === undefined))
    .map(([name]) => name);
}

const POLICY = "/usr/sbin/policy-rc.d";

/** Installs what is missing; the packages' own services are kept from starting. Needs root and apt. */
export function installPackages(): void {
  const missing = missingPackages();
  if (missing.length === 0) return;
  if (process.getuid?.() !== 0 || findProgram("apt-get") === undefined)
    throw new Error(`only root on Debian can install packages. As root: ${INSTALL_LINE}`);
  const kept = `${POLICY}.firewatch`;
  if (existsSync(POLICY)) renameSync(POLICY, kept);
  writeFileSync(POLICY, "#!/bin/sh\nexit 101\n", { mode: 0o755 });
  try {
    const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive" };
    for (const args of [["update"], ["install", "-y", "--no-install-recommends", ...missing]])
      execFileSync("apt-get", ["-q", ...args], { env, stdio: ["ignore", 2, 2] });
  } finally {
    rmSync(POLICY);
    if (existsSync(kept)) renameSync(kept, POLICY);
  }
}
