import { describe, expect, it } from "vitest";
import type { Handle } from "../port.ts";
import { type Asked, empty, failure, fakeSite, json } from "./fake-site.ts";

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
describe("staging a file", () => {
  const start = (answer: Response, version = "2.5.7") =>
    fakeSite((asked) =>
      at(asked) === "stat"
        ? answer
        : json({ transferJob, transferDirectives: { transferMethod: "s3", downloadUrl: LINK } }, 201, {
            "f7t-appversion": version,
          }),
    );

  it("gives the link with the end of its signature, the logs, and no way to release it", async () => {
    const site = start(stat(5));
    expect(await site.client.stage("daint", "/scratch/out.nc", "acc")).toEqual(staging);
    expect(site.requests[1]?.body).toEqual({
      path: "/scratch/out.nc",
      account: "acc",
      transferDirectives: { transferMethod: "s3" },
    });
    expect(site.requests[0]?.query.get("dereference")).toBe("true");
  });

  it.each([
    ["a directory", stat(4096, 0o040755), "is_a_directory"],
    ["an empty file", stat(0), "not_supported"],
    ["a pipe", stat(0, 0o010644), "not_supported"],
    ["nothing", missing(), "not_found"],
  ])("fact 7: refuses %s, whose link would never come alive", async (_, answer, code) => {
    const site = start(answer);
    await expect(site.client.stage("daint", "/scratch/x")).rejects.toMatchObject({ code, retry: "never" });
    expect(site.asked).toHaveLength(1);
  });

  it.each(["/a b", "/a&b", "/a;id", "/$(id)", "relative", "/a/../b", "/é"])(
    "fact 9: refuses the name %j, which the job's script would run",
    async (path) => {
      const site = start(stat(5));
      await expect(site.client.stage("daint", path)).rejects.toMatchObject({ code: "invalid_path" });
      expect(site.asked).toEqual([]);
    },
  );

  it("speaks the old form to a server before 2.4", async () => {
    const old = { "f7t-appversion": "2.3.1" };
    const site = fakeSite((asked) =>
      at(asked) === "stat"
        ? json({ output: { mode: 0o100644, size: 5, mtime: 1 } }, 200, old)
        : json({ transferJob, downloadUrl: LINK }, 201, old),
    );
    expect((await site.client.stage("daint", "/out.nc")).staging?.url).toBe(LINK);
    expect(site.requests[1]?.body).toEqual({ source_path: "/out.nc", sourcePath: "/out.nc" });
  });

  it("C16: fails without effect while the object store is down", async () => {
    const site = fakeSite((asked) =>
      at(asked) === "stat" ? stat(5) : failure(500, "('Could not connect to the endpoint URL: \"http://s3\"',)"),
    );
    await expect(site.client.stage("daint", "/out.nc")).rejects.toMatchObject({
      code: "system_unavailable",
      retry: "later",
    });
  });

  it("is never found again after a lost answer, as the answer held the only link", async () => {
    expect(await fakeSite(() => empty()).client.findStaged("daint", "/out.nc", NOW)).toBeUndefined();
  });
});

describe("uploading through the staging area", () => {
  const started = (parts: number, maxPartSize: number) =>
    json(
      {
        transferJob,
        transferDirectives: {
          transferMethod: "s3",
          partsUploadUrls: Array.from({ length: parts }, (_, i) => `https://store.example/p${i}`),
          completeUploadUrl: LINK,
          maxPartSize,
        },
      },
      201,
    );
  const site = (answer: Response, target: Response = missing(), parent: Response = stat(4096, 0o040755)) =>
    fakeSite((asked) =>
      at(asked) === "stat" ? (asked.query.get("path") === "/scratch/in.nc" ? target : parent) : answer,
    );

  it("fact 8: gives the part links in order with their exact size", async () => {
    const it = site(started(3, 8));
    const { handle, form } = await it.client.stageUpload("daint", "/scratch/in.nc", 20, "acc");
    expect(form).toEqual({
      kind: "parts",
      partUrls: ["https://store.example/p0", "https://store.example/p1", "https://store.example/p2"],
      partBytes: 8,
      completeUrl: LINK,
    });
    expect(handle).toMatchObject({
      kind: "upload",
      releasable: false,
      expects: { present: { path: "/scratch/in.nc", bytes: 20 } },
    });
    expect(it.requests.at(-1)?.body).toEqual({
      path: "/scratch/in.nc",
      account: "acc",
      transferDirectives: { transferMethod: "s3", fileSize: 20 },
    });
  });

  it("C19: looks at the target first, as the site accepts any and reports success", async () => {
    const cases: [Response, Response, string][] = [
      [stat(4096, 0o040755), stat(1), "is_a_directory"],
      [missing(), missing(), "not_found"],
      [missing(), stat(7), "not_a_directory"],
    ];
    for (const [target, parent, code] of cases) {
      const it = site(started(1, 8), target, parent);
      await expect(it.client.stageUpload("daint", "/scratch/in.nc", 5)).rejects.toMatchObject({ code });
      expect(it.asked.some((asked) => asked.startsWith("POST"))).toBe(false);
    }
    await site(started(1, 8), stat(3)).client.stageUpload("daint", "/scratch/in.nc", 5);
  });

  it("C19: refuses an empty upload, more than 10,000 parts, and a number of links that does not fit", async () => {
    await expect(site(started(0, 8)).client.stageUpload("daint", "/scratch/in.nc", 0)).rejects.toMatchObject({
      code: "not_supported",
    });
    await expect(site(started(10_240, 8)).client.stageUpload("daint", "/scratch/in.nc", 81_920)).rejects.toMatchObject({
      code: "too_large",
    });
    await expect(site(started(2, 8)).client.stageUpload("daint", "/scratch/in.nc", 5)).rejects.toMatchObject({
      code: "unreadable_answer",
      retry: "after_check",
    });
  });
});
