import { describe, expect, it } from "vitest";
import type { Handle } from "../port.ts";
import { fakeSite, type Handlers, json, page, refused, task } from "./fake-site.ts";

const ID = "a".repeat(32);
const signed = (date: string) =>
  `https://s3.example/u/${ID}/f.txt?X-Amz-Date=${date}&X-Amz-Expires=604800&X-Amz-Signature=5ec4e7`;
const URL_NOW = signed("20261122T120000Z");
const STAGED: Handle = { kind: "stage", ref: { task: ID }, system: "c", releasable: true };
const MESSAGE = {
  command: "curl -F secret",
  cert: ["certificate"],
  action: "curl signed",
  download_url: "https://s3.example/signed",
  parameters: {
    method: "POST",
    url: "https://s3.example/u",
    data: { key: `${ID}/f.txt`, policy: "p0licy", expires: 1795352785 },
    files: "f.txt",
    headers: {},
    json: {},
    params: {},
  },
};

/** A site that knows one storage task in the given state. */
function known(status: number, data: unknown, handlers: Handlers = {}) {
  const site = fakeSite(handlers);
  site.addTask(ID, {
    status: String(status),
    data,
    service: "storage",
    system: "c",
    created_at: "2026-11-22T13:00:00",
  });
  return site;
}

describe("staging a file", () => {
  it("gives a handle at once, and the link with its end from the link itself", async () => {
    const site = fakeSite({
      "POST /storage/xfer-external/download": () =>
        task([100], [116, { source: "/a/f.txt" }], [117, { url: URL_NOW, source: "/a/f.txt" }]),
    });
    const handle = await site.client.stage("c", "/a/f.txt");
    expect(handle).toMatchObject({ kind: "stage", releasable: true, system: "c" });
    expect(handle).not.toHaveProperty("staging");
    expect(site.requests[0]?.form).toEqual({ sourcePath: "/a/f.txt" });
    expect((await site.client.observe([handle]))[0]).toEqual({ state: "working" });
    expect((await site.client.observe([handle]))[0]).toMatchObject({ state: "working", detail: expect.any(String) });
    expect((await site.client.observe([handle]))[0]).toEqual({
      state: "done",
      staging: { url: URL_NOW, expiresAt: Date.parse("2026-11-29T12:00:00Z") },
    });
  });

  it("takes a bare link from older releases, and assumes seven days where it does not tell", async () => {
    const site = known(117, "https://s3.example/x");
    expect(await site.client.observe([STAGED])).toEqual([
      { state: "done", staging: { url: "https://s3.example/x", expiresAt: site.clock.now + 604_800_000 } },
    ]);
  });

  it("fails for certain at 118 and 400, with the site's words", async () => {
    const error = "Upload to Staging area has failed. Object: with space.txt. curl: (26) Failed to open";
    expect(await known(118, { error }).client.observe([STAGED])).toMatchObject([
      { state: "failed", certain: true, message: error },
    ]);
    const words = { error: "Could not create container" };
    expect(await known(400, words).client.observe([STAGED])).toMatchObject([{ state: "failed", code: "site_error" }]);
  });

  it("is gone when the site has forgotten or invalidated it", async () => {
    expect(await known(302, "").client.observe([STAGED])).toEqual([{ state: "gone" }]);
    expect(await fakeSite({}).client.observe([STAGED])).toEqual([{ state: "gone" }]);
  });

  it("stays open while a task hangs: no number of looks makes that an end", async () => {
    const site = known(100, "Queued");
    for (let i = 0; i < 5; i++) expect(await site.client.observe([STAGED])).toEqual([{ state: "working" }]);
  });

  it("refuses names that the site's upload command would not quote", async () => {
    const site = fakeSite({});
    await expect(site.client.stage("c", "/a/with space")).rejects.toMatchObject({ code: "invalid_path" });
    expect(site.requests).toEqual([]);
  });

  it("may have happened when the answer is lost", async () => {
    const site = fakeSite({ "POST /storage/xfer-external/download": () => page(504) });
    await expect(site.client.stage("c", "/a/f")).rejects.toMatchObject({ retry: "after_check" });
  });
});

describe("a staging whose answer was lost", () => {
  const since = Date.parse("2026-11-22T12:00:00Z");
  const find = (status: number, data: unknown) => known(status, data).client.findStaged("c", "/a/f.txt", since);

  it("is found by source, system and the time of its signature", async () => {
    expect(await find(117, { url: URL_NOW, source: "/a/f.txt" })).toEqual(STAGED);
    expect(await find(116, { source: "/a/f.txt" })).toEqual(STAGED);
  });

  it("is not an older one, nor another file's, nor one that has failed", async () => {
    expect(await find(117, { url: signed("20261122T115000Z"), source: "/a/f.txt" })).toBeUndefined();
    expect(await find(117, { url: URL_NOW, source: "/a/other" })).toBeUndefined();
    expect(await find(118, { source: "/a/f.txt" })).toBeUndefined();
    expect(await find(100, "Queued")).toBeUndefined();
  });
});

describe("releasing", () => {
  const release = (answer: Response) => {
    const site = fakeSite({ "POST /storage/xfer-external/invalidate": () => answer });
    return { site, done: site.client.release(STAGED) };
  };

  it("names the task in a header, without a system or a body", async () => {
    const { site, done } = release(json(201, { success: "URL invalidated successfully" }));
    await done;
    expect(site.requests[0]?.headers.get("x-task-id")).toBe(ID);
    expect([site.requests[0]?.system, site.requests[0]?.form]).toEqual([undefined, {}]);
  });

  it.each([
    ["nothing was staged, a 500 page", page(500)],
    ["the task is unknown", json(400, { error: "Invalid X-Task-Id" })],
    ["the object store refuses", json(400, { error: "Could not invalidate URL" })],
  ])("is no error when %s: only a probe proves anything", async (_, answer) => {
    await expect(release(answer).done).resolves.toBeUndefined();
  });

  it("is to be asked again when the site was not reached", async () => {
    await expect(release(page(502)).done).rejects.toMatchObject({ retry: "later" });
    await expect(release(json(429, {})).done).rejects.toMatchObject({ code: "rate_limited", retry: "later" });
  });

  it("does not believe 201: the link is probed by a ranged GET without a bearer", async () => {
    const seen: RequestInit[] = [];
    const staged = (status: number, headers: Record<string, string> = {}) =>
      fakeSite({}, (_, init) => {
        seen.push(init);
        return new Response(status === 206 ? "x" : null, { status, headers });
      }).client.probe(URL_NOW);
    expect(await staged(206, { "content-range": "bytes 0-0/108894", etag: '"e"' })).toEqual({
      outcome: "live",
      totalBytes: 108_894,
      etag: '"e"',
    });
    expect(await staged(403)).toEqual({ outcome: "dead", status: 403 });
    expect(await staged(404)).toEqual({ outcome: "dead", status: 404 });
    expect(await staged(503)).toEqual({ outcome: "unsure", status: 503 });
    expect(seen.every((init) => new Headers(init.headers).get("range") === "bytes=0-0" && init.method === "GET")).toBe(
      true,
    );
    expect(seen.some((init) => new Headers(init.headers).has("authorization"))).toBe(false);
  });
});

describe("an upload", () => {
  const upload: Handle = { kind: "upload", ref: { task: ID }, system: "c", releasable: false };

  it("hands out the form as soon as the site has it, with its fields as texts and nothing else", async () => {
    const site = fakeSite({
      "POST /storage/xfer-external/upload": () => task([100], [110, { msg: "Waiting" }], [111, { msg: MESSAGE }]),
    });
    const { handle, form } = await site.client.stageUpload("c", "/dst/f.txt", 5);
    expect(site.requests[0]?.form).toEqual({ sourcePath: "f.txt", targetPath: "/dst/f.txt" });
    expect(form).toEqual({
      kind: "form",
      url: "https://s3.example/u",
      fields: { key: `${ID}/f.txt`, policy: "p0licy", expires: "1795352785" },
    });
    // The link of what will be staged is what the release is proven by.
    expect(handle.staging?.url).toBe("https://s3.example/signed");
    expect(JSON.stringify(form)).not.toMatch(/certificate|signed|curl/);
    expect(JSON.stringify(handle)).not.toMatch(/certificate|curl/);
  });

  it("gives the form later when the object store is slow", async () => {
    const site = fakeSite({
      "POST /storage/xfer-external/upload": () =>
        task([110, {}], [110, {}], [110, {}], [110, {}], [111, { msg: MESSAGE }]),
    });
    const { handle, form } = await site.client.stageUpload("c", "/dst/f.txt", 5);
    expect(form).toBeUndefined();
    expect(await site.client.observe([handle])).toMatchObject([{ state: "working", upload: { kind: "form" } }]);
  });

  it.each([
    [112, { msg: MESSAGE }],
    [113, "Download from Object Storage to server has started"],
    [113, { source: "f" }],
    [115, { msg: MESSAGE }],
  ])("goes on at %i: 115 is tried again by the site", async (status, data) => {
    const [state] = await known(status, data).client.observe([upload]);
    expect(state).toMatchObject({ state: "working" });
    expect(state).toMatchObject(status === 115 ? { retrying: true } : {});
    expect(JSON.stringify(state)).not.toMatch(/certificate|curl/);
  });

  it("that asks for a form nobody here can send has failed", async () => {
    const parameters = { method: "PUT", url: "https://s3.example/u", params: { Signature: "x" } };
    expect(await known(111, { msg: { parameters } }).client.observe([upload])).toMatchObject([
      { state: "failed", certain: true, code: "not_supported" },
    ]);
  });

  it("whose answer was lost is found by its target, while it waits for the file, by the date of its form", async () => {
    const entry = (id: string, status: number, target: string, date: string) => [
      id,
      {
        task_id: id,
        status: String(status),
        service: "storage",
        system: "c",
        data: {
          target,
          msg: { parameters: { method: "POST", url: "https://s3.example/u", data: { "x-amz-date": date } } },
        },
      },
    ];
    const tasks = Object.fromEntries([
      entry("a".repeat(32), 111, "/dst/f.txt", "20261122T130000Z"),
      entry("b".repeat(32), 111, "/dst/other", "20261122T140000Z"),
      entry("c".repeat(32), 113, "/dst/f.txt", "20261122T140000Z"),
      entry("d".repeat(32), 111, "/dst/f.txt", "20261122T140000Z"),
    ]);
    const { client } = fakeSite({ "GET /tasks": () => json(200, { tasks }) });
    const since = Date.UTC(2026, 10, 22, 14);
    expect(await client.findUpload("c", "/dst/f.txt", since)).toMatchObject({ ref: { task: "d".repeat(32) } });
    expect(await client.findUpload("c", "/dst/f.txt", since + 3_600_000)).toBeUndefined();
    expect(await client.findUpload("other", "/dst/f.txt", since)).toBeUndefined();
  });

  it("is done at 114 and has failed at 400, as a text or in an object", async () => {
    expect(await known(114, { target: "/dst/f.txt" }).client.observe([upload])).toEqual([{ state: "done" }]);
    const words = "File was deleted from staging area. Start a new upload process";
    expect(await known(400, words).client.observe([upload])).toMatchObject([{ state: "failed", message: words }]);
    expect(await known(400, { msg: "Could not create container" }).client.observe([upload])).toMatchObject([
      { state: "failed" },
    ]);
  });

  it("is refused into a directory that is not there", async () => {
    const site = fakeSite({
      "POST /storage/xfer-external/upload": () => refused("X-Invalid-Path", "'targetPath' directory not allowed"),
    });
    await expect(site.client.stageUpload("c", "/no/f", 5)).rejects.toMatchObject({ code: "not_found", retry: "never" });
  });
});

describe("a file job", () => {
  const data = {
    jobid: "21",
    job_file: "/h/0a/sbatch-job.sh",
    job_file_out: "/h/0a/job-21.out",
    job_file_err: "/h/0a/job-21.err",
    job_info_extra: "Job info returned successfully",
  };
  const acct = (state: string) =>
    task([
      200,
      [{ jobid: "21", name: "cp-job", partition: "xfer", state, exit_code: "0:0", elapsed_time: "00:00:01" }],
    ]);
  const run = (state: string, log: () => Response) =>
    fakeSite({
      "POST /storage/xfer-internal/cp": () => task([100], [200, data]),
      "GET /compute/acct": () => acct(state),
      "GET /utilities/head": log,
    });
  const log = (text: string) => () => json(200, { output: text });
  const COPY = { op: "copy", from: "/a", to: "/b" } as const;

  it("is followed as a job once its task has submitted one", async () => {
    const site = run("RUNNING", log(""));
    const handle = await site.client.fileJob("c", COPY, "csstaff");
    expect(site.requests[0]?.form).toEqual({ sourcePath: "/a", targetPath: "/b", account: "csstaff" });
    expect(handle).toEqual({
      kind: "file_job",
      ref: { job: "21", system: "c" },
      system: "c",
      releasable: false,
      logs: { output: "/h/0a/job-21.out", error: "/h/0a/job-21.err" },
    });
    expect(await site.client.observe([handle])).toMatchObject([
      // The task is forgotten after a day: from now on the job stands for the operation.
      { state: "working", schedulerState: "RUNNING", handle: { ref: { job: expect.any(String) } } },
    ]);
  });

  it("waits for another job to succeed, and for nothing that is no job", async () => {
    const site = run("RUNNING", log(""));
    await site.client.fileJob("c", COPY, undefined, "20");
    expect(site.requests[0]?.form).toEqual({ sourcePath: "/a", targetPath: "/b", stageOutJobId: "20" });
    await expect(site.client.fileJob("c", COPY, undefined, "20; id")).rejects.toMatchObject({
      code: "invalid_request",
    });
  });

  it("has succeeded only when its error log is empty: it ends COMPLETED 0:0 either way", async () => {
    const good = run("COMPLETED", log(""));
    expect(await good.client.observe([await good.client.fileJob("c", COPY)])).toEqual([
      { state: "done", schedulerId: "21" },
    ]);
    const words = "cp: cannot stat '/a': No such file or directory";
    const bad = run("COMPLETED", log(words));
    expect(await bad.client.observe([await bad.client.fileJob("c", COPY)])).toEqual([
      { state: "failed", certain: true, code: "not_found", message: words },
    ]);
  });

  it("may have done half when it was cancelled, and nothing is known without its log", async () => {
    const cancelled = run("CANCELLED by 0", log(""));
    expect(await cancelled.client.observe([await cancelled.client.fileJob("c", COPY)])).toMatchObject([
      { state: "failed", certain: false },
    ]);
    const lost = run("COMPLETED", () => refused("X-Invalid-Path", "No such file"));
    expect(await lost.client.observe([await lost.client.fileJob("c", COPY)])).toMatchObject([
      { state: "failed", certain: false },
    ]);
    const away = run("COMPLETED", () => refused("X-Machine-Not-Available"));
    expect(await away.client.observe([await away.client.fileJob("c", COPY)])).toMatchObject([{ state: "working" }]);
  });

  it("is followed from its task where that was slow, and refused where sbatch refused it", async () => {
    const slow = fakeSite({
      "POST /storage/xfer-internal/rm": () => task([100], [100], [100], [100], [100], [200, data]),
      "GET /compute/acct": () => acct("COMPLETED"),
      "GET /utilities/head": log(""),
    });
    const handle = await slow.client.fileJob("c", { op: "remove", path: "/a" });
    expect(handle.ref).toHaveProperty("task");
    expect(await slow.client.observe([handle])).toEqual([{ state: "done", schedulerId: "21" }]);
    const refusedJob = fakeSite({
      "POST /storage/xfer-internal/rm": () =>
        task([400, "sbatch: error: Batch job submission failed: Invalid account"]),
    });
    const other = await refusedJob.client.fileJob("c", { op: "remove", path: "/a" });
    expect(await refusedJob.client.observe([other])).toMatchObject([
      { state: "failed", certain: true, code: "scheduler_refused" },
    ]);
  });
});

describe("many handles", () => {
  it("are read in one request, in the order asked, and a forgotten one is asked for by itself", async () => {
    const site = known(117, { url: URL_NOW, source: "/a" });
    const other = "b".repeat(32);
    site.addTask(other, { status: "116", data: {}, service: "storage", system: "c" });
    const handles = [other, "c".repeat(32), ID].map((id) => ({ ...STAGED, ref: { task: id } }));
    const states = await site.client.observe(handles);
    expect(states.map((s) => s.state)).toEqual(["working", "gone", "done"]);
    expect(site.requests.map((r) => r.path)).toEqual(["/tasks", `/tasks/${"c".repeat(32)}`]);
  });

  it("cost nothing when there are none", async () => {
    const site = fakeSite({});
    expect(await site.client.observe([])).toEqual([]);
    expect(site.requests).toEqual([]);
  });
});

describe("secrets", () => {
  it("are in no log line and no error: neither links, nor forms, nor certificates, nor tokens", async () => {
    const site = known(115, { msg: MESSAGE, error: `curl failed for ${URL_NOW}` });
    await site.client.observe([STAGED]);
    const bad = known(118, { error: `curl: (22) ${URL_NOW} 403` });
    const [state] = await bad.client.observe([STAGED]);
    expect(JSON.stringify([site.lines, bad.lines, state])).not.toMatch(/5ec4e7|certificate|p0licy|Bearer/);
  });
});
