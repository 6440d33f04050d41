import { describe, expect, it } from "vitest";
import type { Handle } from "../port.ts";
import { type Asked, empty, failure, fakeSite, json, skeletonJob, wireJob } from "./fake-site.ts";

const NOW = Date.parse("2026-11-22T14:00:00Z");
const LINK =
  "https://store.example/ada/uuid/out.nc?X-Amz-Date=20261122T135950Z&X-Amz-Expires=3600&X-Amz-Signature=secret";
const EXPIRES = Date.parse("2026-11-22T14:59:50Z");
const LOGS = {
  outputLog: "/home/ada/.f7t_file_handling_job_1.log",
  errorLog: "/home/ada/.f7t_file_handling_job_error_1.log",
};
const transferJob = { jobId: "9", system: "daint", workingDirectory: "/home/ada", logs: LOGS };
const stat = (size: number, mode = 0o100644) => json({ output: { mode, size, mtime: 1 } });
const missing = () =>
  failure(404, "Remote process failed with exit status:1 and error message:stat: No such file or directory");
const at = (asked: Asked) => asked.path.split("/").at(-1);

const staging: Handle = {
  kind: "stage",
  ref: { job: "9", system: "daint" },
  system: "daint",
  staging: { url: LINK, expiresAt: EXPIRES },
  logs: { output: LOGS.outputLog, error: LOGS.errorLog },
  expiresAt: EXPIRES,
  releasable: false,
};
const fileJob = (expects: NonNullable<Handle["expects"]>): Handle => ({
  kind: "file_job",
  ref: { job: "9", system: "daint" },
  system: "daint",
  logs: { output: "/out", error: "/err" },
  expects,
  releasable: false,
  expiresAt: NOW + 7 * 86_400_000,
});

describe("a staged link", () => {
  const row = (state: string, end = NOW / 1000 - 120, exitCode = 0) =>
    json({ jobs: [wireJob({ jobId: "9", state, end, exitCode })] });
  const dead = () => new Response("<Code>NoSuchKey</Code>", { status: 404 });
  const live = () =>
    new Response("x", { status: 206, headers: { "content-range": "bytes 0-0/20000000", etag: '"e"' } });

  it("is done when the store itself has the object, without a request to FirecREST", async () => {
    const site = fakeSite(() => undefined, live);
    expect(await site.client.observe([staging])).toEqual([{ state: "done", staging: staging.staging }]);
    expect(site.asked).toEqual([]);
  });

  it("fact 7: is read with one byte by GET, without a bearer", async () => {
    const seen: RequestInit[] = [];
    const site = fakeSite(
      () => row("RUNNING"),
      (_, init) => {
        seen.push(init);
        return live();
      },
    );
    expect(await site.client.probe(LINK)).toEqual({ outcome: "live", totalBytes: 20_000_000, etag: '"e"' });
    expect([seen[0]?.method, Object.keys(seen[0]?.headers ?? {})]).toEqual(["GET", ["range"]]);
  });

  it("is not there yet while its job waits, and its job is asked for only every two minutes", async () => {
    const site = fakeSite(() => row("PENDING"), dead);
    expect(await site.client.observe([staging])).toEqual([
      { state: "working", detail: "PENDING", schedulerState: "PENDING" },
    ]);
    site.clock.now += 30_000;
    expect(await site.client.observe([staging])).toEqual([{ state: "working" }]);
    site.clock.now += 90_000;
    expect(await site.client.observe([staging])).toEqual([
      { state: "working", detail: "PENDING", schedulerState: "PENDING" },
    ]);
    expect(site.asked).toHaveLength(2);
  });

  it("fact 7: has failed when its job has, with the job's own words", async () => {
    const site = fakeSite(
      (asked) =>
        at(asked) === "tail"
          ? json({ output: { content: "dd: failed to open '/x': Permission denied\n" } })
          : row("FAILED", undefined, 70),
      dead,
    );
    const [state] = await site.client.observe([staging]);
    expect(state).toMatchObject({ state: "failed", certain: true, code: "permission_denied" });
  });

  it("C8: has not failed because of a row that does not know its job", async () => {
    const site = fakeSite(() => json({ jobs: [skeletonJob("9", "FAILED")] }), dead);
    expect((await site.client.observe([staging]))[0]?.state).toBe("working");
  });

  it("may still come for a minute after its job has completed, and then has failed in an unknown way", async () => {
    const fresh = fakeSite(() => row("COMPLETED", NOW / 1000 - 5), dead);
    expect((await fresh.client.observe([staging]))[0]?.state).toBe("working");
    const late = fakeSite(() => row("COMPLETED"), dead);
    expect((await late.client.observe([staging]))[0]).toMatchObject({ state: "failed", certain: false });
  });

  it("is gone when its signature has ended", async () => {
    const site = fakeSite(
      () => row("COMPLETED"),
      () => new Response("", { status: 403 }),
    );
    site.clock.now = EXPIRES + 1;
    expect(await site.client.observe([staging])).toEqual([{ state: "gone" }]);
  });

  it("proves nothing by a broken connection or a 5xx", async () => {
    expect(await fakeSite(() => undefined).client.probe(LINK)).toEqual({ outcome: "unsure" });
    const site = fakeSite(
      () => undefined,
      () => new Response("", { status: 503 }),
    );
    expect(await site.client.probe(LINK)).toEqual({ outcome: "unsure", status: 503 });
  });

  it("asks once for many jobs", async () => {
    const jobs = [1, 2, 3, 4, 5].map((n) => wireJob({ jobId: String(n), state: "RUNNING" }));
    const site = fakeSite(() => json({ jobs }), dead);
    const handles = [1, 2, 3, 4, 5].map((n): Handle => ({ ...staging, ref: { job: String(n), system: "daint" } }));
    expect((await site.client.observe(handles)).every(({ state }) => state === "working")).toBe(true);
    expect(site.asked).toEqual(["GET /compute/daint/jobs"]);
  });

  it("is not released by v2: only the two log files go, and a missing one is fine", async () => {
    const site = fakeSite(({ query }) => (query.get("path") === LOGS.outputLog ? empty() : missing()));
    await site.client.release(staging);
    expect(site.requests.map(({ method, path, query }) => [method, path, query.get("path")])).toEqual([
      ["DELETE", "/filesystem/daint/ops/rm", LOGS.outputLog],
      ["DELETE", "/filesystem/daint/ops/rm", LOGS.errorLog],
    ]);
  });
});

describe("file jobs (fact 3)", () => {
  interface Scene {
    state?: string;
    output?: string | null;
    errors?: string | null;
    sizes?: Record<string, number>;
    end?: number;
  }
  const log = (content: string | null) => (content === null ? missing() : json({ output: { content } }));
  const observe = async (
    handle: Handle,
    { state = "COMPLETED", output = "", errors = "", sizes = {}, end = NOW / 1000 - 120 }: Scene,
  ) => {
    const site = fakeSite((asked) => {
      if (at(asked) === "tail") return log(asked.query.get("path") === "/out" ? output : errors);
      if (at(asked) !== "stat") return json({ jobs: [wireJob({ jobId: "9", state, end })] });
      const size = sizes[asked.query.get("path") ?? ""];
      return size === undefined ? missing() : stat(size);
    });
    return (await site.client.observe([handle]))[0];
  };
  const moved = "Sun Nov 22 Files were successfully moved.\n";

  it("are done by phrase, empty error log and the file system together", async () => {
    expect(
      await observe(fileJob({ present: { path: "/to" }, absent: "/from" }), { output: moved, sizes: { "/to": 5 } }),
    ).toEqual({ state: "done" });
    expect(await observe(fileJob({ absent: "/x" }), { output: "Files were successfully deleted." })).toEqual({
      state: "done",
    });
  });

  it("have failed though they end COMPLETED with exit code 0", async () => {
    const errors = "mv: cannot stat '/from': No such file or directory\nUnable to move files exit code:0 error:";
    expect(await observe(fileJob({ present: { path: "/to" } }), { errors, sizes: { "/to": 5 } })).toMatchObject({
      state: "failed",
      certain: true,
      code: "not_found",
    });
    expect(
      await observe(fileJob({ present: { path: "/to" } }), { output: moved, errors: "warning", sizes: { "/to": 5 } }),
    ).toMatchObject({
      state: "failed",
      certain: false,
    });
  });

  it("have failed when the success they report is not on disk", async () => {
    const upload: Handle = { ...fileJob({ present: { path: "/to", bytes: 20 } }), kind: "upload" };
    const output = "File was successfully downloaded (size: 0MB)";
    expect(await observe(upload, { output })).toMatchObject({ state: "failed" });
    expect(await observe(upload, { output, sizes: { "/to": 19 } })).toMatchObject({
      state: "failed",
      message: "/to has 19 bytes instead of 20",
    });
    expect(await observe(upload, { output, sizes: { "/to": 20 } })).toEqual({ state: "done" });
    expect(await observe(fileJob({ absent: "/from" }), { output: moved, sizes: { "/from": 1 } })).toMatchObject({
      state: "failed",
    });
  });

  it("that waited for an object that never came have failed without a phrase", async () => {
    const upload: Handle = { ...fileJob({ present: { path: "/to", bytes: 20 } }), kind: "upload" };
    expect(await observe(upload, { output: "Waiting till file to tranfer is available" })).toMatchObject({
      state: "failed",
      certain: true,
    });
  });

  it("that never began have certainly failed, those that were stopped perhaps not", async () => {
    expect(await observe(fileJob({}), { state: "CANCELLED by 3001", output: null })).toMatchObject({
      state: "failed",
      certain: true,
    });
    expect(await observe(fileJob({}), { state: "TIMEOUT", output: "Move Files Job" })).toMatchObject({
      state: "failed",
      certain: false,
    });
  });

  it("are given a minute for their logs to appear", async () => {
    expect(await observe(fileJob({}), { output: null, end: NOW / 1000 - 5 })).toMatchObject({ state: "working" });
    expect(await observe(fileJob({}), { output: null })).toMatchObject({ state: "failed" });
  });

  it("that the site has forgotten are gone after an hour, not before", async () => {
    const site = fakeSite(() => failure(404, "Job not found."));
    expect(await site.client.observe([fileJob({})])).toEqual([{ state: "working" }]);
    site.clock.now += 3_600_001;
    expect(await site.client.observe([fileJob({})])).toEqual([{ state: "gone" }]);
  });

  it("that cannot be read now are working, unless the whole connection is concerned", async () => {
    const busy = fakeSite(() => failure(503, "The scheduler service for the requested system (daint) is unhealthy."));
    expect((await busy.client.observe([fileJob({})]))[0]?.state).toBe("working");
    await expect(fakeSite(() => json({}, 429)).client.observe([fileJob({})])).rejects.toMatchObject({
      code: "rate_limited",
    });
  });

  it("whose result may not be looked at are done with a warning", async () => {
    const site = fakeSite((asked) => {
      if (at(asked) === "tail") return log(asked.query.get("path") === "/out" ? moved : "");
      if (at(asked) === "stat")
        return failure(400, "The provided path (/data/to) does not match any of the defined filesystem paths");
      return json({ jobs: [wireJob({ jobId: "9", state: "COMPLETED" })] });
    });
    expect((await site.client.observe([fileJob({ present: { path: "/data/to" } })]))[0]).toMatchObject({
      state: "done",
      warning: expect.stringContaining("checked"),
    });
  });

  it("are sent with the fields that each needs, and rsync is not one of them", async () => {
    const site = fakeSite(() => json({ transferJob }, 201));
    const start = (job: Parameters<typeof site.client.fileJob>[1]) => site.client.fileJob("daint", job, "acc");
    expect(await start({ op: "remove", path: "/x" })).toMatchObject({ kind: "file_job", expects: { absent: "/x" } });
    await start({ op: "compress", from: "/d", to: "/d.tar.bz2" });
    await start({ op: "extract", from: "/d.tar", to: "/o" });
    expect(site.requests.map(({ method, path, body, query }) => [method, path, body ?? query.toString()])).toEqual([
      ["DELETE", "/filesystem/daint/transfer/rm", "path=%2Fx&account=acc"],
      [
        "POST",
        "/filesystem/daint/transfer/compress",
        { path: "/d", targetPath: "/d.tar.bz2", account: "acc", compression: "bzip2", dereference: false },
      ],
      [
        "POST",
        "/filesystem/daint/transfer/extract",
        { path: "/d.tar", targetPath: "/o", account: "acc", compression: "none" },
      ],
    ]);
    await expect(start({ op: "rsync", from: "/a", to: "/b" })).rejects.toMatchObject({ code: "not_supported" });
    await expect(start({ op: "copy", from: "/a b", to: "/b" })).rejects.toMatchObject({ code: "invalid_path" });
  });
});
