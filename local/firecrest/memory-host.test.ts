import { describe, expect, it } from "vitest";
import { hostContract } from "./host.contract.ts";
import { memoryHost } from "./memory-host.ts";

const USERS = [{ name: "alice" }, { name: "bob" }];

hostContract("memory host", async () => {
  const host = await memoryHost({ users: USERS });
  return {
    host,
    user: "alice",
    other: "bob",
    directory: "/scratch/alice",
    forbidden: "/root",
    shortLimit: { text: "0:01", seconds: 1 },
    beatSeconds: 0.5,
    async until(condition) {
      for (let second = 0; second < 1000; second++) {
        if (await condition()) return;
        await host.advance(1000);
      }
      throw new Error("it did not happen within 1000 s");
    },
    stop: () => host.close(),
  };
});

describe("the memory host's clock", () => {
  it("lets jobs follow each other in their order within one advance", async () => {
    const host = await memoryHost({ users: USERS, machine: { cpus: 1 }, startDelayMs: 0 });
    const { jobs } = await host.as("alice");
    const script = "#!/bin/bash\n#FAKE sleep 10\n";
    const ids = [await jobs.submit({ script }), await jobs.submit({ script })].map(({ jobId }) => jobId);
    const start = host.now();
    await host.advance(60_000);
    const rows = await jobs.accounting({ ids });
    expect(rows.map(({ startedAt, endedAt }) => [startedAt, endedAt])).toEqual([
      [start, start + 10_000],
      [start + 10_000, start + 20_000],
    ]);
  });

  it("forgets ended jobs in the queue but not in accounting", async () => {
    const host = await memoryHost({ users: USERS });
    const { jobs } = await host.as("alice");
    const { jobId } = await jobs.submit({ script: "#!/bin/bash\n" });
    await host.advance(2_000);
    expect(await jobs.queue({ ids: [jobId] })).toEqual([]);
    await host.advance(300_000);
    await expect(jobs.queue({ ids: [jobId] })).rejects.toThrow("Invalid job id specified");
    expect(await jobs.accounting({ ids: [jobId] })).toHaveLength(1);
  });

  it("shows COMPLETING in the queue while accounting knows the end", async () => {
    const host = await memoryHost({ users: USERS, completingMs: 5_000 });
    const { jobs } = await host.as("alice");
    const { jobId } = await jobs.submit({ script: "#!/bin/bash\n#FAKE exit 2\n" });
    await host.advance(2_000);
    expect((await jobs.queue())[0]?.state).toBe("COMPLETING");
    expect((await jobs.accounting({ ids: [jobId] }))[0]?.state).toBe("FAILED");
    await host.advance(5_000);
    expect(await jobs.queue()).toEqual([]);
  });

  it("tells the environment a job was started with", async () => {
    const host = await memoryHost({ users: USERS });
    const { jobs } = await host.as("alice");
    const { jobId } = await jobs.submit({ script: "#!/bin/bash\n", export: "NONE,A=1", name: "n" });
    await host.advance(2_000);
    expect(host.environmentOf(jobId)).toMatchObject({ A: "1", SLURM_JOB_NAME: "n", SLURM_JOB_ID: jobId });
    expect(host.environmentOf(jobId)).not.toHaveProperty("USER");
  });

  it("runs what a request brings along for hosts without a shell", async () => {
    const host = await memoryHost({ users: USERS });
    const { jobs, files } = await host.as("alice");
    const { jobId } = await jobs.submit({
      script: "#!/bin/bash\n#SBATCH -o out -e err\ncp a b\n",
      workingDirectory: "/scratch/alice",
      withoutShell: async (seat) => {
        await seat.files.mkdir("/scratch/alice/made");
        return { exitCode: 4, stdout: "done\n", stderr: "oops\n" };
      },
    });
    await host.advance(2_000);
    expect((await jobs.accounting({ ids: [jobId] }))[0]).toMatchObject({ state: "FAILED", exitCode: 4 });
    expect((await files.list("/scratch/alice")).map(({ name }) => name)).toEqual(["err", "made", "out"]);
  });
});
