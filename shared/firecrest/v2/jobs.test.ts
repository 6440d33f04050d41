import { describe, expect, it, vi } from "vitest";
import { empty, failure, fakeSite, json } from "./fake-site.ts";

const made = () => json({ output: { name: "/d" } }, 201);
const job = { system: "daint", script: "#!/bin/sh\ntrue\n", workingDirectory: "/scratch/u/run" };
const SYSTEMS = {
  systems: [
    {
      name: "daint",
      scheduler: { type: "slurm" },
      fileSystems: [{ path: "/scratch/", defaultWorkDir: true }, { path: "/store" }],
    },
    { name: "pbs", scheduler: { type: "pbs" }, fileSystems: [] },
  ],
};

describe("submitting", () => {
  it("makes the working directory with its parents, then sends what the caller composed", async () => {
    const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : json({ jobId: "42" }, 201)));
    const result = await site.client.submit({ ...job, name: "run.fw-1", account: "csstaff", env: { A: "1" } });
    expect(result).toEqual({ outcome: "submitted", schedulerId: "42", workingDirectory: "/scratch/u/run" });
    expect(site.requests.map(({ method, path, body }) => [method, path, body])).toEqual([
      ["POST", "/filesystem/daint/ops/mkdir", { path: "/scratch/u/run", parent: true }],
      [
        "POST",
        "/compute/daint/jobs",
        {
          job: {
            workingDirectory: "/scratch/u/run",
            name: "run.fw-1",
            account: "csstaff",
            env: { A: "1" },
            script: job.script,
          },
        },
      ],
    ]);
  });

  it("sends a path instead of a script, never both", async () => {
    const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : json({ jobId: 42 }, 201)));
    const result = await site.client.submit({ ...job, scriptPath: "/home/u/run.sh" });
    expect(result).toMatchObject({ schedulerId: "42" });
    expect(site.requests[1]?.body).toEqual({
      job: { workingDirectory: "/scratch/u/run", scriptPath: "/home/u/run.sh" },
    });
  });

  it("makes a directory below the default work file system when none is given", async () => {
    const site = fakeSite(({ path }) => {
      if (path === "/status/systems") return json(SYSTEMS);
      if (path.endsWith("/userinfo")) return json({ user: { id: "1", name: "ada" } });
      return path.endsWith("/mkdir") ? made() : json({ jobId: "42" }, 201);
    });
    const { workingDirectory: _, ...without } = job;
    expect(await site.client.submit({ ...without, name: "run.fw-1" })).toMatchObject({
      workingDirectory: "/scratch/ada/firewatch/run.fw-1",
    });
    await expect(site.client.submit(without)).rejects.toMatchObject({ code: "invalid_request", retry: "never" });
  });

  it("is never sent twice, and says when it may have been taken", async () => {
    const lost = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : undefined));
    await expect(lost.client.submit(job)).rejects.toMatchObject({ code: "network", retry: "after_check" });
    expect(lost.asked).toHaveLength(2);
    for (const [status, text] of [
      [408, "Command execution timeout limit exceeded."],
      [500, "('Channel not open for sending',)"],
      [500, "(111, 'Connection refused')"],
      [424, "Unable to establish SSH connection."],
    ] as const) {
      const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : failure(status, text)));
      await expect(site.client.submit(job), `fact 1: ${text}`).rejects.toMatchObject({ retry: "after_check" });
      expect(site.asked).toHaveLength(2);
    }
  });

  it("has submitted nothing when the directory could not be made, whatever the answer was", async () => {
    const site = fakeSite(() => failure(408, "Command execution timeout limit exceeded."));
    await expect(site.client.submit(job)).rejects.toMatchObject({ code: "command_timeout", retry: "later" });
    const denied = fakeSite(() => failure(403, "mkdir: cannot create directory '/x': Permission denied"));
    await expect(denied.client.submit(job)).rejects.toMatchObject({ code: "permission_denied", retry: "never" });
  });

  it("goes on where only the file operations do not know the directory", async () => {
    const outside = failure(400, "The provided path (/data/run) does not match any of the defined filesystem paths");
    const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? outside : json({ jobId: "42" }, 201)));
    expect(await site.client.submit({ ...job, workingDirectory: "/data/run" })).toMatchObject({ schedulerId: "42" });
  });

  it("takes a 201 without an id for what it is: accepted, and to be looked for", async () => {
    const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : json({}, 201)));
    await expect(site.client.submit(job)).rejects.toMatchObject({ code: "unreadable_answer", retry: "after_check" });
  });

  it.each(["relative", "/a/../b", "/a'b", "/a b", "/a;rm -rf /", "/a$(id)", "/-rf", ""])(
    "refuses the directory %j before anything leaves",
    async (workingDirectory) => {
      const site = fakeSite(() => made());
      await expect(site.client.submit({ ...job, workingDirectory })).rejects.toMatchObject({ code: "invalid_path" });
      expect(site.asked).toEqual([]);
    },
  );

  it("C2, fact 5: waits at least 30 s, as the site's command limit is not the one that it publishes", async () => {
    const limits: number[] = [];
    const timeout = vi.spyOn(AbortSignal, "timeout").mockImplementation((ms) => {
      limits.push(ms);
      return new AbortController().signal;
    });
    const site = fakeSite(({ path }) => (path.endsWith("/mkdir") ? made() : json({ jobId: "42" }, 201)));
    await site.client.submit(job);
    timeout.mockRestore();
    expect(limits).toHaveLength(2);
    expect(Math.min(...limits)).toBeGreaterThanOrEqual(30_000);
  });

  it("fact 10: shows neither token nor signed link in the log", async () => {
    const site = fakeSite(() => json({ message: "Access token expired" }, 401, { "auth-token": "secret-token" }));
    await expect(site.client.submit(job)).rejects.toMatchObject({ code: "unauthorized", retry: "never" });
    expect(JSON.stringify(site.log)).not.toContain("secret-token");
    expect(site.asked, "fact 6: a 401 renews once, and does not loop").toHaveLength(2);
  });
});

describe("cancelling", () => {
  const scancel = (text: string) =>
    failure(
      500,
      `Unexpected Slurm command response. exit_status:0 std_err:scancel: Terminating job 4\nscancel: error: ${text}\n`,
    );

  it("is requested when the site says so", async () => {
    const site = fakeSite(() => empty());
    expect(await site.client.cancel("daint", "4")).toBe("requested");
    expect(site.asked).toEqual(["DELETE /compute/daint/jobs/4"]);
  });

  it.each([
    "Kill job error on job id 4: Invalid job id specified",
    "Kill job error on job id 4: Job/step already completing or completed",
  ])("is over: %s", async (text) => {
    expect(await fakeSite(() => scancel(text)).client.cancel("daint", "4")).toBe("over");
  });

  it("is over in PBS's words too", async () => {
    const qdel = (text: string) =>
      fakeSite(() => failure(500, `Unexpected PBS command response. exit_status:1 std_err:qdel: ${text}`));
    expect(await qdel("Unknown Job Id 4").client.cancel("d", "4")).toBe("over");
    expect(await qdel("Job has finished 4").client.cancel("d", "4")).toBe("over");
  });

  it("C15: another user's job is no permission, and a bad id is refused, neither is over", async () => {
    const others = fakeSite(() => scancel("Kill job error on job id 4: Access/permission denied"));
    await expect(others.client.cancel("daint", "4")).rejects.toMatchObject({
      code: "permission_denied",
      retry: "never",
    });
    const bad = fakeSite(() =>
      failure(500, "Unexpected Slurm command response. exit_status:1 std_err:scancel: error: Invalid job id abc\n"),
    );
    await expect(bad.client.cancel("daint", "abc")).rejects.toMatchObject({
      code: "scheduler_refused",
      retry: "never",
    });
  });

  it("may be sent again after a time-out: twice does no harm", async () => {
    const site = fakeSite(() => failure(408, "Command execution timeout limit exceeded."));
    await expect(site.client.cancel("daint", "4")).rejects.toMatchObject({ retry: "later" });
  });

  it("refuses ids that the server cannot address", async () => {
    const site = fakeSite(() => empty());
    await expect(site.client.cancel("daint", "88_3")).rejects.toMatchObject({ code: "not_supported" });
    await expect(site.client.cancel("daint", "../../status/systems")).rejects.toMatchObject({ code: "not_supported" });
    expect(site.asked).toEqual([]);
  });
});

describe("a command beside a job", () => {
  const srun = (words: string, status = 1) =>
    fakeSite(() => failure(500, `Unexpected Slurm command response. exit_status:${status} std_err:${words}\n`));

  it("is one word to the login node, whatever its text, and its output is kept out of srun's words", async () => {
    const site = fakeSite(() => empty());
    expect(await site.client.attach("daint", "4", "echo 'a b' > x; kill -USR1 1")).toEqual({ exitCode: 0 });
    expect(site.asked).toEqual(["PUT /compute/daint/jobs/4/attach"]);
    expect(site.requests[0]?.body).toEqual({
      command: "bash -c 'exec 2>&1; echo '\\''a b'\\'' > x; kill -USR1 1'",
    });
  });

  it("that does not end with 0 tells its exit code", async () => {
    const site = srun("srun: error: vm: task 0: Exited with exit code 3", 3);
    expect(await site.client.attach("daint", "4", "exit 3")).toEqual({ exitCode: 3 });
  });

  it("C21: is refused beside a job that does not run, is not there, or is somebody else's", async () => {
    for (const [words, code] of [
      ["srun: error: Unable to confirm allocation for job 4: Job is pending execution", "scheduler_refused"],
      ["srun: error: Unable to confirm allocation for job 4: Invalid job id specified", "scheduler_refused"],
      ["srun: error: Unable to create step for job 4: Access/permission denied", "permission_denied"],
    ] as const)
      await expect(srun(words).client.attach("daint", "4", "true")).rejects.toMatchObject({ code, retry: "never" });
    const site = fakeSite(() => empty());
    await expect(site.client.attach("daint", "4_1", "true")).rejects.toMatchObject({ code: "not_supported" });
    expect(site.asked).toEqual([]);
  });

  it("that takes longer than the site gives one command may have run, and is not sent again", async () => {
    const site = fakeSite(() => failure(408, "Command execution timeout limit exceeded."));
    await expect(site.client.attach("daint", "4", "sleep 20")).rejects.toMatchObject({
      code: "command_timeout",
      retry: "after_check",
    });
    expect(site.asked).toHaveLength(1);
  });
});

describe("output paths", () => {
  const row = { jobId: "4", script: "", standardInput: null, standardOutput: "/w/4.out", standardError: "/w/4.err" };
  const paths = (system: string, metadata: () => Response) =>
    fakeSite(({ path }) => (path === "/status/systems" ? json(SYSTEMS) : metadata())).client.outputPaths(system, "4");

  it("come from the job's metadata, PBS's the wrong way round", async () => {
    const metadata = () => json({ jobs: [row] });
    expect(await paths("daint", metadata)).toEqual({ stdoutPath: "/w/4.out", stderrPath: "/w/4.err" });
    expect(await paths("pbs", metadata)).toEqual({ stdoutPath: "/w/4.err", stderrPath: "/w/4.out" });
  });

  it("C14: are unknown, not an error, once the controller has forgotten the job", async () => {
    expect(await paths("daint", () => failure(404, "Job not found."))).toEqual({});
    expect(await paths("daint", () => failure(501, "Not implemented"))).toEqual({});
    await expect(paths("daint", () => failure(500, "()"))).rejects.toMatchObject({ code: "site_error" });
  });
});
