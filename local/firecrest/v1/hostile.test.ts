import { describe, expect, it } from "vitest";
import { Client, HOME, SCRIPT } from "./testing/client.ts";

describe("paths and values of strangers", () => {
  const HOSTILE = [
    "/a;id",
    "/a|id",
    "/a`id`",
    "/a&b",
    "/a'b",
    '/a"b',
    "/a\\b",
    "/a(b)",
    "/a<b",
    "/a>b",
    "/a\nb",
    "/a\x00b",
    "/a\x1fb",
  ];

  it("with forbidden characters reach no command", async () => {
    const client = await Client.start();
    for (const path of HOSTILE) {
      const query = new URLSearchParams({ targetPath: path, sourcePath: path });
      for (const route of ["ls", "stat", "checksum", "file", "head", "tail", "view", "download"]) {
        const answer = await client.send("GET", `/utilities/${route}?${query}`);
        expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining("has invalid char") } });
      }
      for (const route of [
        "/storage/xfer-external/download",
        "/storage/xfer-internal/cp",
        "/storage/xfer-external/upload",
        "/compute/jobs/path",
      ]) {
        const answer = await client.send("POST", route, { form: { sourcePath: path, targetPath: path } });
        expect(answer).toMatchObject({ status: 400, body: { error: expect.stringContaining("has invalid char") } });
      }
    }
    expect(await client.site.host.jobs()).toEqual([]);
  });

  it("that lead elsewhere by dots or links are denied", async () => {
    const client = await Client.start();
    await client.send("POST", "/utilities/symlink", { form: { targetPath: "/root", linkPath: `${HOME}/out` } });
    for (const path of [`${HOME}/out/x`, `${HOME}/../../root/x`]) {
      const answer = await client.send("GET", `/utilities/checksum?targetPath=${encodeURIComponent(path)}`);
      expect(answer.headers.get("x-permission-denied")).not.toBeNull();
    }
  });

  it("keep a script's name inside its own directory", async () => {
    const client = await Client.start();
    const form = new FormData();
    form.set("file", new File([SCRIPT], "../../my job (1).sh"));
    const { data } = await client.task("POST", "/compute/jobs/upload", { form });
    expect((data as { job_file: string }).job_file).toMatch(/\/firecrest\/[0-9a-f]{32}\/my_job_1\.sh$/);
  });

  it("do not make an upload leave its directory", async () => {
    const client = await Client.start();
    const form = new FormData();
    form.set("targetPath", `${HOME}`);
    form.set("file", new File(["x"], "../escaped"));
    expect((await client.send("POST", "/utilities/upload", { form })).status).toBe(201);
    expect(await client.read(`${HOME}/escaped`)).toBe("x");
  });
});
