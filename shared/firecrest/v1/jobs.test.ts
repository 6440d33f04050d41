import { describe, expect, it } from "vitest";
import type { Submission } from "../port.ts";
import { fakeSite, type Handlers, json, page, refused, task } from "./fake-site.ts";

const SCRIPT = "#!/bin/bash -l\n#SBATCH --job-name=sim.fw-0123456789abc\ntrue\n";
const JOB: Submission = { system: "cluster", script: SCRIPT, name: "sim.fw-0123456789abc" };
const submitted = (more: Record<string, unknown> = {}) => ({
  jobid: "41",
  result: "Job submitted",
  job_file: "/home/a/firecrest/0a/job.sh",
  job_file_out: "/home/a/firecrest/0a/slurm-41.out",
  job_file_err: "/home/a/firecrest/0a/slurm-41.out",
  job_info_extra: "Job info returned successfully",
  ...more,
});
const upload = (answer: Handlers[string]) => fakeSite({ "POST /compute/jobs/upload": answer });

describe("submitting", () => {
  it("sends the script as a file, and account and env as form fields only where they are given", async () => {
    const site = upload(() => task([100], [200, submitted()]));
    expect(await site.client.submit({ ...JOB, account: "csstaff", env: { A: "1" } })).toEqual({
      outcome: "submitted",
      schedulerId: "41",
      workingDirectory: "/home/a/firecrest/0a",
      stdoutPath: "/home/a/firecrest/0a/slurm-41.out",
      stderrPath: "/home/a/firecrest/0a/slurm-41.out",
    });
    expect(site.requests[0]).toMatchObject({
      system: "cluster",
      form: { account: "csstaff", env: '{"A":"1"}' },
      file: { content: SCRIPT },
    });
    await site.client.submit(JOB);
    expect(site.requests.filter((r) => r.method === "POST").at(-1)?.form).toEqual({});
  });

  it("waits a few seconds for the task and no longer: then it is pending, with a handle that can be stored", async () => {
    const site = upload(() => task([100]));
    const result = await site.client.submit(JOB);
    expect(result).toEqual({
      outcome: "pending",
      handle: { kind: "submit", ref: { task: "1".padStart(32, "0") }, system: "cluster", releasable: false },
    });
    expect(site.slept.reduce((a, b) => a + b)).toBeLessThanOrEqual(6_000);
    expect(JSON.parse(JSON.stringify(result))).toEqual(result);
  });

  it("is never sent twice, whatever the answer", async () => {
    for (const answer of [
      page(500),
      page(502),
      json(400, { error: "Error creating task" }),
      json(429, {}),
      new Response("", { status: 201 }),
    ]) {
      const site = upload(() => answer);
      await expect(site.client.submit(JOB)).rejects.toThrow();
      expect(site.calls()).toEqual(["POST /compute/jobs/upload"]);
    }
  });

  it.each([
    ["a 500 page", page(500), "site_error", "after_check"],
    ["a lost gateway", page(504), "gateway", "after_check"],
    ["an answer without a task", json(201, {}), "unreadable_answer", "after_check"],
    [
      "a refused SSH connection, a bare 400 without any header",
      json(400, { description: "Failed to retrieve jobs information" }),
      "system_unavailable",
      "later",
    ],
    [
      "no task service",
      json(400, { description: "Failed to submit job file", error: "Error creating task" }),
      "site_error",
      "later",
    ],
    ["no permission, which is 404 here", refused("X-Permission-Denied", "", 404), "permission_denied", "never"],
    [
      "an unknown system, with one spelling of the header",
      refused("X-Machine-Does-Not-Exists"),
      "unknown_system",
      "never",
    ],
    ["an unknown system, with the other", refused("X-Machine-Does-Not-Exist"), "unknown_system", "never"],
    [
      "an env that is no JSON, which is 404",
      json(404, { error: "Invalid JSON in 'env' variable" }),
      "invalid_request",
      "never",
    ],
    ["a script over the limit", json(413, { description: "The file is over 5 MB" }), "too_large", "never"],
    ["a gateway's no", json(400, { message: "Invalid" }), "not_supported", "never"],
  ])("says of %s whether there may be a job", async (_, answer, code, retry) => {
    await expect(upload(() => answer).client.submit(JOB)).rejects.toMatchObject({ code, retry });
  });

  it("is refused for certain when sbatch says so", async () => {
    const words =
      "sbatch: error: invalid partition specified: nosuchsbatch: error: Batch job submission failed: Invalid partition name specified";
    await expect(upload(() => task([400, words])).client.submit(JOB)).rejects.toMatchObject({
      code: "scheduler_refused",
      retry: "never",
    });
  });

  it.each([
    ["a warning on stderr, while the job runs", [400, "sbatch: Warning: can't honor --ntasks-per-node"]],
    ["no word at all", [400, "Finished with errors"]],
    ["a token that ran out", [400, "JWT token has expired"]],
    [
      "a controller that did not answer",
      [400, "sbatch: error: Batch job submission failed: Socket timed out on send/recv operation"],
    ],
    ["success without a job id", [200, submitted({ jobid: null })]],
  ] as const)("stays open after %s: the job may be there", async (_, state) => {
    const site = upload(() => task([state[0], state[1]]));
    const result = await site.client.submit(JOB);
    expect(result.outcome).toBe("pending");
    if (result.outcome !== "pending") return;
    expect(await site.client.observe([result.handle])).toMatchObject([{ state: "failed", certain: false }]);
  });

  it("believes a job id although its details could not be read afterwards, and keeps the warning", async () => {
    const data = {
      jobid: "45",
      result: "Job submitted",
      job_file_out: "Not available",
      job_file_err: "Not available",
      job_info_extra: "JWT token has expired",
    };
    expect(await upload(() => task([200, data])).client.submit(JOB)).toEqual({
      outcome: "submitted",
      schedulerId: "45",
      warning: "JWT token has expired",
    });
  });

  it("takes no path of an array for real", async () => {
    const paths = { job_file_out: "/h/slurm-11_4294967294.out", job_file_err: "/h/slurm-11_4294967294.out" };
    const result = await upload(() => task([200, submitted(paths)])).client.submit(JOB);
    expect(result).not.toHaveProperty("stdoutPath");
  });

  it("is not undone by a site that fails while the task is read", async () => {
    const site = fakeSite({ "POST /compute/jobs/upload": () => task([100]), "GET /tasks": () => page(502) });
    expect((await site.client.submit(JOB)).outcome).toBe("pending");
  });

  it("by jobs/path may show 400 before 200, and is looked at again", async () => {
    const site = fakeSite({
      "POST /compute/jobs/path": () =>
        task([100, "http://127.0.0.1:15003"], [400, "Finished with errors"], [200, submitted()]),
    });
    const result = await site.client.submit({ system: "cluster", scriptPath: "/home/a/run.sh" });
    expect(site.requests[0]?.form).toEqual({ targetPath: "/home/a/run.sh" });
    expect(result.outcome).toBe("pending");
    if (result.outcome === "pending") {
      expect(await site.client.observe([result.handle])).toMatchObject([{ state: "done", schedulerId: "41" }]);
    }
  });

  it("puts the script into the working directory first where one is given", async () => {
    const site = fakeSite({
      "POST /utilities/upload": () => json(201, { description: "File upload successful", output: "" }),
      "POST /compute/jobs/path": () => task([200, submitted()]),
    });
    const result = await site.client.submit({ ...JOB, workingDirectory: "/scratch/a/run" });
    expect(site.requests[0]).toMatchObject({
      path: "/utilities/upload",
      form: { targetPath: "/scratch/a/run" },
      file: { name: ".sim.fw-0123456789abc.sh", content: SCRIPT },
    });
    expect(site.requests[1]?.form.targetPath).toBe("/scratch/a/run/.sim.fw-0123456789abc.sh");
    expect(result).toMatchObject({ outcome: "submitted", workingDirectory: "/scratch/a/run" });
  });

  it("has submitted nothing for certain while only the script was on its way", async () => {
    const site = fakeSite({ "POST /utilities/upload": () => page(504) });
    await expect(site.client.submit({ ...JOB, workingDirectory: "/scratch/a" })).rejects.toMatchObject({
      retry: "later",
    });
    expect(site.calls()).toEqual(["POST /utilities/upload"]);
  });

  it("gives an unnamed script a name by its content, so that two jobs do not write over each other", async () => {
    const site = fakeSite({
      "POST /utilities/upload": () => json(201, {}),
      "POST /compute/jobs/path": () => task([200, submitted()]),
    });
    for (const script of ["#!/bin/sh\n1\n", "#!/bin/sh\n2\n"])
      await site.client.submit({ system: "c", script, workingDirectory: "/a" });
    const names = site.requests.flatMap((r) => r.file?.name ?? []);
    expect(new Set(names).size).toBe(2);
    for (const name of names) expect(name).toMatch(/^\.fw-[0-9a-f]{16}\.sh$/);
  });

  it("never lets a path with shell characters out", async () => {
    const site = fakeSite({});
    for (const workingDirectory of ["/a b", "/a;id", "/a/$(id)", "a"]) {
      await expect(site.client.submit({ ...JOB, workingDirectory })).rejects.toMatchObject({ code: "invalid_path" });
    }
    await expect(site.client.submit({ system: "c", scriptPath: "/a'b" })).rejects.toMatchObject({
      code: "invalid_path",
    });
    expect(site.requests).toEqual([]);
  });
});

describe("cancelling", () => {
  const cancel = (answer: Handlers[string]) => fakeSite({ "DELETE /compute/jobs/4": answer });

  it("is requested when scancel says so, also without a word", async () => {
    expect(await cancel(() => task([100], [200, "scancel: Terminating job 4"])).client.cancel("c", "4")).toBe(
      "requested",
    );
    expect(await cancel(() => task([200, ""])).client.cancel("c", "4")).toBe("requested");
  });

  it.each([
    "scancel: Terminating job 4scancel: error: Kill job error on job id 4: Job/step already completing or completed",
    "scancel: Terminating job 4scancel: error: Kill job error on job id 4: Invalid job id specified",
  ])("is over when there is nothing left to cancel", async (words) => {
    expect(await cancel(() => task([400, words])).client.cancel("c", "4")).toBe("over");
  });

  it("is refused for somebody else's job", async () => {
    const site = cancel(() => task([400, "User does not have permission to cancel job"]));
    await expect(site.client.cancel("c", "4")).rejects.toMatchObject({ code: "permission_denied", retry: "never" });
  });

  it("may be sent again when its task hangs or the answer is lost", async () => {
    await expect(cancel(() => task([100])).client.cancel("c", "4")).rejects.toMatchObject({
      code: "task_stuck",
      retry: "later",
    });
    await expect(cancel(() => page(502)).client.cancel("c", "4")).rejects.toMatchObject({ retry: "later" });
  });

  it("takes job ids only", async () => {
    const site = fakeSite({});
    for (const id of ["", "abc", "1/../2", "1 2", "11_[2-3]"])
      await expect(site.client.cancel("c", id)).rejects.toMatchObject({ code: "invalid_request" });
    expect(site.requests).toEqual([]);
  });
});

describe("looking for a job by its name", () => {
  const NAME = "sim.fw-0123456789abc";
  const acct = (...rows: object[]) => task([200, rows.length === 0 ? {} : rows]);
  const row = (jobid: string, name: string, state: string) => ({
    jobid,
    name,
    state,
    partition: "p",
    elapsed_time: "00:00:01",
    exit_code: "0:0",
  });
  const queue = (...rows: object[]) => task([200, { ...rows }]);
  const site = (a: ReturnType<typeof acct>, q: ReturnType<typeof queue>) =>
    fakeSite({ "GET /compute/acct": () => a, "GET /compute/jobs": () => q });
  const since = Date.parse("2026-11-22T00:10:00Z");

  it("asks accounting since the day before and the queue without ids, and matches exactly", async () => {
    const { client, requests } = site(
      acct(row("41", NAME, "RUNNING"), row("42", `${NAME}x`, "RUNNING"), row("43", NAME.toUpperCase(), "RUNNING")),
      queue({ jobid: "41", name: NAME, state: "RUNNING", start_time: "0:10", time_left: "1:00", nodelist: "n" }),
    );
    const found = await client.findByName("cluster", NAME, since);
    expect(found.matches.map((m) => [m.schedulerId, m.state])).toEqual([["41", "running"]]);
    expect(found.conclusive).toBe(true);
    expect(requests.slice(0, 2).map((r) => r.query)).toEqual([{ starttime: "2026-11-21" }, { userJobs: "false" }]);
  });

  it("finds one that only the queue knows", async () => {
    const { client } = site(acct(), queue({ jobid: "41", name: NAME, state: "PENDING", nodelist: "(JobHeldUser)" }));
    expect((await client.findByName("cluster", NAME, since)).matches).toMatchObject([
      { schedulerId: "41", state: "queued" },
    ]);
  });

  it("cannot conclude 'not there' beside a row that has no name yet", async () => {
    const { client } = site(acct({ jobid: "9", name: "allocation", partition: "", state: "PENDING" }), queue());
    expect(await client.findByName("cluster", NAME, since)).toMatchObject({ matches: [], conclusive: false });
  });

  it("cannot conclude it either while one of the two sources is silent", async () => {
    const { client } = site(acct(), task([400, "slurm_load_jobs error: Unable to contact slurm controller"]));
    expect((await client.findByName("cluster", NAME, since)).conclusive).toBe(false);
    expect((await site(acct(), queue()).client.findByName("cluster", NAME, since)).conclusive).toBe(true);
  });
});

describe("looking for a job by its name on a very busy site", () => {
  it("goes by accounting alone when everybody's queue is larger than we read", async () => {
    const rows = [
      { jobid: "41", name: "sim", state: "RUNNING", partition: "p", elapsed_time: "00:00:01", exit_code: "0:0" },
    ];
    const huge = Array.from({ length: 30_000 }, (_, i) => ({ jobid: `${i}`, name: "x".repeat(300), state: "PENDING" }));
    const site = fakeSite({
      "GET /compute/acct": () => task([200, rows]),
      "GET /compute/jobs": () => task([200, { ...huge }]),
    });
    const found = await site.client.findByName("cluster", "sim", Date.parse("2026-11-22T00:10:00Z"));
    expect(found).toMatchObject({ matches: [{ schedulerId: "41" }], conclusive: false });
  });
});

describe("where a job's output goes", () => {
  it("is told by the task that submitted the job, for as long as the site keeps it", async () => {
    const site = fakeSite({});
    site.addTask("t1", {
      service: "compute",
      system: "c",
      status: "200",
      data: {
        jobid: "4",
        job_file: "/h/t1/run.sh",
        job_file_out: "/h/t1/slurm-4.out",
        job_file_err: "/h/t1/slurm-4.out",
      },
    });
    expect(await site.client.outputPaths("c", "4")).toEqual({
      workingDirectory: "/h/t1",
      stdoutPath: "/h/t1/slurm-4.out",
      stderrPath: "/h/t1/slurm-4.out",
    });
    expect(site.calls()).toEqual([]);
  });

  it("is told by the queue, for one job, while it is active", async () => {
    const row = { jobid: "4", state: "RUNNING", job_file_out: "/h/run-4.out", job_file_err: "/h/run-4.err" };
    const site = fakeSite({ "GET /compute/jobs": () => task([200, { 0: row }]) });
    expect(await site.client.outputPaths("c", "4")).toEqual({ stdoutPath: "/h/run-4.out", stderrPath: "/h/run-4.err" });
    expect(site.requests.find(({ path }) => path === "/compute/jobs")?.query).toEqual({ jobs: "4" });
  });

  it("is not said to be unknown because the tasks could not be read just then", async () => {
    const site = fakeSite({
      "GET /tasks": () => page(502),
      "GET /compute/jobs": () => task([400, "Invalid job id specified"]),
    });
    await expect(site.client.outputPaths("c", "4")).rejects.toMatchObject({ name: "FirecrestError", code: "gateway" });
  });

  it("is not known afterwards", async () => {
    const site = fakeSite({
      "GET /compute/jobs": () => task([400, "slurm_load_jobs error: Invalid job id specified"]),
    });
    expect(await site.client.outputPaths("c", "4")).toEqual({});
  });
});
