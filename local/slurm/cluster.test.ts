import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isMadeFor } from "./accounts.ts";
import { readCluster, takeDown } from "./cluster.ts";
import { accountingConfig, cgroupConfig, type Plan, placesOf, slurmConfig } from "./config.ts";
import { runningDaemon, startDaemon, stopDaemon } from "./daemon.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "firewatch-slurm-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

describe("taking a cluster down", () => {
  it("touches no folder that it has not made", async () => {
    await writeFile(join(folder, "thesis.tex"), "");
    await expect(takeDown(folder)).rejects.toThrow("something else in it");
    expect(existsSync(join(folder, "thesis.tex"))).toBe(true);
  });

  it("is content where nothing is", async () => {
    await takeDown(join(folder, "nowhere"));
    expect(await readCluster(folder)).toBeUndefined();
  });

  it("ends what its jobs and daemons have left running, and nothing of anybody else", async () => {
    await writeFile(placesOf(folder).mark, "");
    const sleeper = (env: Record<string, string>) => {
      const child = spawn("sleep", ["60"], {
        detached: true,
        stdio: "ignore",
        env: { PATH: process.env.PATH, ...env },
      });
      const ended = new Promise<string>((resolve) => child.on("exit", (_, signal) => resolve(signal ?? "by itself")));
      return { child, ended };
    };
    const config = placesOf(folder).config;
    const ofJob = sleeper({ SLURM_CONF: config, SLURM_JOB_ID: "7" });
    const ofDaemon = sleeper({ FIREWATCH_SLURM_DAEMON: folder });
    // A shell in which somebody works with this cluster, and a job of another one.
    const ofPerson = sleeper({ SLURM_CONF: config });
    const ofOther = sleeper({ SLURM_CONF: `${folder}-2/etc/slurm.conf`, SLURM_JOB_ID: "7" });
    try {
      await takeDown(folder);
      expect([await ofJob.ended, await ofDaemon.ended]).toEqual(["SIGKILL", "SIGKILL"]);
      expect([ofPerson, ofOther].map(({ child }) => child.signalCode)).toEqual([null, null]);
    } finally {
      for (const { child } of [ofJob, ofDaemon, ofPerson, ofOther]) child.kill("SIGKILL");
    }
  });

  it("leaves accounts alone that were made for another cluster, or not for any", () => {
    const remark = "Firewatch development cluster";
    const made = (home: string, words = remark) => isMadeFor("/srv/one/files", "fw-bob", { home, remark: words });
    expect(made("/srv/one/files/home/fw-bob")).toBe(true);
    expect(made("/srv/two/files/home/fw-bob")).toBe(false);
    expect(made("/srv/one/files/home/fw-bob", "Bob")).toBe(false);
  });

  it("removes what a broken start has left", async () => {
    await writeFile(placesOf(folder).mark, "");
    await takeDown(folder);
    expect(existsSync(folder)).toBe(false);
  });
});

describe("a daemon", () => {
  const folders = () => ({ logs: folder, pids: folder });

  it("is told apart from a process that has taken over its number", async () => {
    await startDaemon({ name: "sleeper", program: "/bin/sleep", args: ["60"] }, folders(), async () => true, 5_000);
    const pid = await runningDaemon("sleeper", folders());
    expect(pid).toBeGreaterThan(1);
    await writeFile(join(folder, "other.pid"), `${pid} /usr/sbin/slurmctld\n`);
    expect(await runningDaemon("other", folders())).toBeUndefined();
    await stopDaemon("sleeper", folders(), 5_000);
    expect(await runningDaemon("sleeper", folders())).toBeUndefined();
  });

  it("that ends at once fails with the end of its log", async () => {
    const broken = { name: "broken", program: "/bin/sh", args: ["-c", "echo no such port >&2; exit 3"] };
    await expect(startDaemon(broken, folders(), async () => false, 5_000)).rejects.toThrow(
      /it ended with 3[\s\S]*no such port/,
    );
  });

  it("that never becomes ready fails with the reason, and is known for being stopped", async () => {
    const deaf = { name: "deaf", program: "/bin/sleep", args: ["60"] };
    await expect(
      startDaemon(deaf, folders(), () => Promise.reject(new Error("connection refused")), 200),
    ).rejects.toThrow("connection refused");
    await stopDaemon("deaf", folders(), 5_000);
  });
});

describe("the configuration", () => {
  const plan: Plan = {
    dir: "/srv/slurm",
    hostName: "box",
    daemonUser: "me",
    ports: { database: 1, accounting: 2, controller: 3, node: 4 },
    databasePassword: "pw",
    cpus: 4,
    memoryMiB: 8000,
    limitsMemory: true,
  };

  it("keeps everything on loopback", () => {
    const text = slurmConfig(plan) + accountingConfig(plan);
    expect(text).toContain("SlurmctldHost=box(127.0.0.1)");
    expect(text).toContain("CommunicationParameters=NoCtldInAddrAny,NoInAddrAny");
    for (const [, host] of text.matchAll(/^(?:\w+Addr|\w*StorageHost)=(\S+)/gm)) expect(host).toBe("127.0.0.1");
  });

  it("holds jobs to their memory only where there is a cgroup for it", () => {
    expect(slurmConfig(plan)).toContain("TaskPlugin=task/cgroup");
    expect(cgroupConfig(plan)).toContain("CgroupMountpoint=/srv/slurm/cgroup");
    expect(slurmConfig({ ...plan, limitsMemory: false })).toContain("TaskPlugin=task/none");
  });

  it("tells the database's password to nobody but the accounting daemon", () => {
    expect(slurmConfig(plan)).not.toContain("pw");
    expect(accountingConfig(plan)).toContain("StoragePass=pw");
  });
});
