import { mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { hostContract } from "./host.contract.ts";
import { complaint } from "./host.subject.ts";
import type { JobRow, Seat } from "./host.ts";
import { type ProcessHost, type ProcessHostOptions, processHost } from "./process-host.ts";

const USERS = [{ name: "alice" }, { name: "bob" }];
const folders: string[] = [];

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true, force: true });
});

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "firewatch-host-"));
  folders.push(folder);
  return folder;
}

async function start(folder: string, options: Partial<ProcessHostOptions> = {}): Promise<ProcessHost> {
  return await processHost({
    root: join(folder, "root"),
    stateDir: join(folder, "state"),
    users: USERS,
    machine: { cpus: 4 },
    killWaitMs: 1000,
    ...options,
  });
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 25 }).toBe(true);
}

async function rowOf(seat: Seat, id: string): Promise<JobRow> {
  const [row] = await seat.jobs.accounting({ ids: [id] });
  if (row === undefined) throw new Error(`no row for ${id}`);
  return row;
}

/** Ends what a test left running, so that nothing outlives it. */
async function stop(host: ProcessHost): Promise<void> {
  for (const { name } of USERS) {
    const { jobs } = await host.as(name);
    for (const { jobId } of await jobs.queue()) await jobs.cancel(jobId).catch(() => {});
    await until(async () => (await jobs.queue()).length === 0);
  }
  await host.close();
}

hostContract("process host", async () => {
  const folder = await newFolder();
  const host = await start(folder);
  return {
    host,
    user: "alice",
    other: "bob",
    directory: join(folder, "root/scratch/alice"),
    forbidden: join(folder, "state"),
    shortLimit: { text: "0:01", seconds: 1 },
    beatSeconds: 0.5,
    until,
    stop: () => stop(host),
  };
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

describe("processes of the process host", () => {
  it("die with all their children at the time limit, even those that ignore TERM", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const seat = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    const script =
      '#!/bin/bash\n#SBATCH --time=0:01\n(trap "" TERM; echo $BASHPID >child; while :; do sleep 1; done) &\ntrap "" TERM\nwait; sleep 60\n';
    const { jobId } = await seat.jobs.submit({ script, workingDirectory: directory });
    await until(async () => (await rowOf(seat, jobId)).state === "TIMEOUT");
    const child = Number(await readFile(join(directory, "child"), "utf8"));
    await until(async () => !isAlive(child));
    expect(await readFile(join(directory, `slurm-${jobId}.out`), "utf8")).toContain("DUE TO TIME LIMIT");
    await stop(host);
  });

  it("take their background children along when the script ends", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const seat = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    const { jobId } = await seat.jobs.submit({
      script: "#!/bin/bash\nsleep 600 & echo $! >child\n",
      workingDirectory: directory,
    });
    await until(async () => (await rowOf(seat, jobId)).state === "COMPLETED");
    const child = Number(await readFile(join(directory, "child"), "utf8"));
    await until(async () => !isAlive(child));
    await stop(host);
  });

  it("let a script clean up on TERM before they are killed", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const seat = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    const script = "#!/bin/bash\ntrap 'echo cleaned; exit 143' TERM\necho ready\nsleep 600 & wait\n";
    const { jobId } = await seat.jobs.submit({ script, workingDirectory: directory });
    const output = join(directory, `slurm-${jobId}.out`);
    await until(async () => (await readFile(output, "utf8").catch(() => "")).includes("ready"));
    await seat.jobs.cancel(jobId);
    await until(async () => (await rowOf(seat, jobId)).state === "CANCELLED");
    expect(await readFile(output, "utf8")).toBe("ready\ncleaned\n");
    await stop(host);
  });

  it("see nothing of the server's own environment", async () => {
    const folder = await newFolder();
    process.env.FIREWATCH_TEST_SECRET = "secret";
    const host = await start(folder);
    const seat = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    const { jobId } = await seat.jobs.submit({ script: "#!/bin/bash\nenv; pwd\n", workingDirectory: directory });
    await until(async () => (await rowOf(seat, jobId)).state === "COMPLETED");
    const output = await readFile(join(directory, `slurm-${jobId}.out`), "utf8");
    delete process.env.FIREWATCH_TEST_SECRET;
    expect(output).not.toContain("secret");
    expect(output).toContain(`SLURM_JOB_ID=${jobId}`);
    await stop(host);
  });

  it("start in /tmp when their directory is missing, and say so", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const seat = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    const { jobId } = await seat.jobs.submit({
      script: "#!/bin/bash\npwd\n",
      workingDirectory: `${directory}/gone`,
      output: `${directory}/out`,
    });
    await until(async () => (await rowOf(seat, jobId)).state === "COMPLETED");
    expect(await readFile(join(directory, "out"), "utf8")).toBe(
      `slurmstepd: error: couldn't chdir to \`${directory}/gone': No such file or directory: going to /tmp instead\n/tmp\n`,
    );
    await stop(host);
  });
});

describe("a process host that starts again", () => {
  it("picks up jobs that went on and those that ended meanwhile, and gives out new ids", async () => {
    const folder = await newFolder();
    const directory = join(folder, "root/scratch/alice");
    const first = await start(folder);
    const before = (await first.as("alice")).jobs;
    const script = (file: string) => `#!/bin/bash\nuntil [ -e ${file} ]; do sleep 0.05; done\nexit 5\n`;
    const { jobId: ending } = await before.submit({ script: script("go-1"), workingDirectory: directory });
    const { jobId: lasting } = await before.submit({ script: script("go-2"), workingDirectory: directory });
    const { jobId: held } = await before.submit({ script: "#!/bin/bash\n", workingDirectory: directory, hold: true });
    await until(async () => (await before.queue()).filter(({ state }) => state === "RUNNING").length === 2);
    await first.close();

    await writeFile(join(directory, "go-1"), "");
    const second = await start(folder);
    const seat = await second.as("alice");
    await until(async () => (await rowOf(seat, ending)).state === "FAILED");
    expect(await rowOf(seat, ending)).toMatchObject({ exitCode: 5 });
    expect((await rowOf(seat, lasting)).state).toBe("RUNNING");
    await writeFile(join(directory, "go-2"), "");
    await until(async () => (await rowOf(seat, lasting)).state === "FAILED");
    expect((await rowOf(seat, held)).reason).toBe("JobHeldUser");
    const { jobId } = await seat.jobs.submit({ script: "#!/bin/bash\n", workingDirectory: directory });
    expect(Number(jobId)).toBe(Number(held) + 1);
    await stop(second);
  });

  it("reports jobs whose processes were killed behind its back as NODE_FAIL", async () => {
    const folder = await newFolder();
    const directory = join(folder, "root/scratch/alice");
    const host = await start(folder);
    const seat = await host.as("alice");
    const { jobId } = await seat.jobs.submit({
      script: "#!/bin/bash\nps -o pgid= -p $$ >group\nsleep 600\n",
      workingDirectory: directory,
    });
    await until(async () => (await readFile(join(directory, "group"), "utf8").catch(() => "")).includes("\n"));
    await host.close();
    process.kill(-Number(await readFile(join(directory, "group"), "utf8")), "SIGKILL");
    const again = await start(folder);
    const later = await again.as("alice");
    await until(async () => (await rowOf(later, jobId)).state === "NODE_FAIL");
    await stop(again);
  });
});

describe("the sandbox of the process host", () => {
  it("holds against links that a job or a person put there", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const { files } = await host.as("alice");
    const directory = join(folder, "root/scratch/alice");
    await writeFile(join(folder, "outside"), "secret");
    await symlink(folder, join(directory, "folder"));
    await symlink(join(folder, "outside"), join(directory, "file"));
    for (const path of [`${directory}/folder/outside`, `${directory}/file`, `${directory}/folder/state/../outside`]) {
      expect(await complaint(files.read(path))).toContain("Permission denied");
      expect(await complaint(files.checksum(path))).toContain("Permission denied");
      expect(await complaint(files.write(path, new Uint8Array()))).toContain("Permission denied");
    }
    expect(await complaint(files.compress(`${directory}/folder/state`, `${directory}/x.tar`))).toContain(
      "Permission denied",
    );
    expect(await complaint(files.extract(`${directory}/folder/outside`, directory, { format: "none" }))).toContain(
      "Permission denied",
    );
    expect(await readFile(join(folder, "outside"), "utf8")).toBe("secret");
    await host.close();
  });

  it("offers plain paths where its folder has a name that a shell would split", async () => {
    const folder = join(await newFolder(), "my projects & more");
    const host = await start(folder);
    const seat = await host.as("alice");
    const scratch = host.fileSystems[1]?.path ?? "";
    expect(scratch).toMatch(/^[A-Za-z0-9_@%+=:,./^-]+$/);
    const directory = `${scratch}/alice`;
    const { jobId } = await seat.jobs.submit({ script: "#!/bin/bash\npwd >made\n", workingDirectory: directory });
    await until(async () => (await rowOf(seat, jobId)).state === "COMPLETED");
    expect(await new Response((await seat.files.read(`${directory}/made`)).body).text()).toBe(`${directory}\n`);
    expect(await readFile(join(folder, "root/scratch/alice/made"), "utf8")).toBe(`${directory}\n`);
    await seat.files.mkdir(`${directory}/a/b`, { parents: true });
    expect(await complaint(seat.files.list(`${scratch}/../..`))).toContain("Permission denied");
    await host.close();
    await rm(scratch.slice(0, -"/scratch".length));
  });

  it("keeps users out of each other's homes", async () => {
    const folder = await newFolder();
    const host = await start(folder);
    const { files } = await host.as("bob");
    expect(await complaint(files.list(join(folder, "root/home/alice")))).toContain("Permission denied");
    expect(await complaint(files.remove(join(folder, "root/home/alice")))).toContain("Permission denied");
    await expect(host.as("mallory")).rejects.toThrow("Authentication failed.");
    await host.close();
  });
});
