import { describe, expect, it } from "vitest";
import { memoryStore } from "../store.ts";
import { Client, HOME, SCRIPT } from "./testing/client.ts";

describe("an external download", () => {
  it("gives a link to the file's content, once for GET and ranges", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/f.txt`, "content of the file");
    const { url } = await client.stage(`${HOME}/f.txt`);
    expect(await (await client.get(url)).text()).toBe("content of the file");
    const part = await client.site.fetch(new Request(url, { headers: { range: "bytes=8-9" } }));
    expect([part.status, part.headers.get("content-range"), await part.text()]).toEqual([206, "bytes 8-9/19", "of"]);
    expect((await client.site.fetch(new Request(url, { method: "HEAD" }))).status).toBe(403);
  });

  it("is really released by invalidate: the link is 404, the task 302 in both views, again is fine", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/f.txt`, "x");
    const { id, url } = await client.stage(`${HOME}/f.txt`);
    for (let time = 0; time < 2; time++) {
      const answer = await client.send("POST", "/storage/xfer-external/invalidate", { headers: { "x-task-id": id } });
      expect(answer).toMatchObject({ status: 201, body: { success: "URL invalidated successfully" } });
    }
    expect((await client.get(url)).status).toBe(404);
    expect(await client.look(id)).toMatchObject({ status: "302", data: "", description: "Task not longer valid" });
    const { body } = await client.send("GET", `/tasks?tasks=${id}`);
    expect(body).toMatchObject({ tasks: { [id]: { status: "302", data: "" } } });
    await client.site.clock.advance(301_000);
    expect((await client.send("GET", `/tasks?tasks=${id}`)).body).toEqual({ tasks: {} });
    expect(await client.look(id)).toMatchObject({ status: "302" });
  });

  it("stays readable after invalidate with the real server's defect, and the two views disagree", async () => {
    const client = await Client.start({ quirks: "1.16.6" });
    await client.write(`${HOME}/f.txt`, "x");
    const { id, url } = await client.stage(`${HOME}/f.txt`);
    expect(
      (await client.send("POST", "/storage/xfer-external/invalidate", { headers: { "x-task-id": id } })).status,
    ).toBe(201);
    expect((await client.get(url)).status).toBe(200);
    expect(await client.look(id)).toMatchObject({ status: "302", data: "" });
    expect((await client.send("GET", `/tasks?tasks=${id}`)).body).toMatchObject({
      tasks: { [id]: { status: "117", data: { url } } },
    });
  });

  it("fails for a name that the real server's curl stumbles over, which a link helps", async () => {
    const client = await Client.start({ quirks: "1.16.6" });
    await client.write(`${HOME}/with space.txt`, "content");
    const failed = await client.task("POST", "/storage/xfer-external/download", {
      form: { sourcePath: `${HOME}/with space.txt` },
    });
    expect(failed).toMatchObject({ status: "118" });
    expect((failed.data as { error: string }).error).toContain(
      "Upload to Staging area has failed. Object: with space.txt.",
    );
    await client.send("POST", "/utilities/symlink", {
      form: { targetPath: `${HOME}/with space.txt`, linkPath: `${HOME}/.fw-1` },
    });
    expect(await (await client.get((await client.stage(`${HOME}/.fw-1`)).url)).text()).toBe("content");
  });

  it("ends with the link's life", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/f.txt`, "x");
    const { url } = await client.stage(`${HOME}/f.txt`);
    await client.site.clock.advance(604_800_000 + 1_000);
    const answer = await client.get(url);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain("<Code>AccessDenied</Code>");
  });
});

describe("an external upload", () => {
  const upload = (client: Client, targetPath = HOME) =>
    client.task("POST", "/storage/xfer-external/upload", { form: { sourcePath: "/local/up.txt", targetPath } });

  it("is moved to its place after the form was posted, and leaves nothing behind", async () => {
    const client = await Client.start();
    const task = await upload(client);
    expect(task.status).toBe("111");
    expect(await client.postForm(task.data, "uploaded")).toBe(204);
    await client.site.clock.advance(1_000);
    expect(await client.look(task.id)).toMatchObject({
      status: "114",
      data: { source: "up.txt", target: `${HOME}/up.txt` },
    });
    expect(await client.read(`${HOME}/up.txt`)).toBe("uploaded");
    expect(client.site.site.staging.list("alice", task.id)).toEqual([]);
  });

  it("is tried again and again where it cannot be moved, until the object is gone", async () => {
    const client = await Client.start({ quirks: "1.16.6" });
    await client.send("POST", "/utilities/mkdir", { form: { targetPath: `${HOME}/ro` } });
    await client.send("PUT", "/utilities/chmod", { form: { targetPath: `${HOME}/ro`, mode: "500" } });
    const task = await upload(client, `${HOME}/ro`);
    expect(task.status).toBe("111");
    await client.postForm(task.data, "x");
    await client.site.clock.advance(2_000);
    expect((await client.look(task.id)).status).toBe("115");
    await client.site.site.staging.remove("alice", `${task.id}/up.txt`);
    await client.site.clock.advance(1_000);
    expect(await client.look(task.id)).toMatchObject({
      status: "400",
      data: "File was deleted from staging area. Start a new upload process",
    });
  });

  it("succeeds late when the target becomes writable", async () => {
    const client = await Client.start();
    await client.send("POST", "/utilities/mkdir", { form: { targetPath: `${HOME}/d` } });
    const task = await upload(client, `${HOME}/d`);
    await client.send("PUT", "/utilities/chmod", { form: { targetPath: `${HOME}/d`, mode: "500" } });
    await client.postForm(task.data, "x");
    await client.site.clock.advance(2_000);
    expect((await client.look(task.id)).status).toBe("115");
    await client.send("PUT", "/utilities/chmod", { form: { targetPath: `${HOME}/d`, mode: "700" } });
    await client.site.clock.advance(1_000);
    expect((await client.look(task.id)).status).toBe("114");
  });

  it("to a directory without the right to write is refused at once", async () => {
    const client = await Client.start();
    const answer = await client.send("POST", "/storage/xfer-external/upload", {
      form: { sourcePath: "a", targetPath: "/root/x" },
    });
    expect(answer).toMatchObject({ status: 400, body: { error: "'targetPath' directory not allowed" } });
    expect(answer.headers.get("x-permission-denied")).not.toBeNull();
  });

  it("that nobody posted is invalidated, or crashes with the real server's defect", async () => {
    for (const [quirks, status] of [
      ["none", 201],
      ["1.16.6", 500],
    ] as const) {
      const client = await Client.start({ quirks });
      const task = await upload(client);
      expect(
        (await client.send("POST", "/storage/xfer-external/invalidate", { headers: { "x-task-id": task.id } })).status,
      ).toBe(status);
    }
  });
});

describe("an internal transfer", () => {
  it("is a job with a name and an own directory, and does what it says", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/a`, "a");
    const form = { sourcePath: `${HOME}/a`, targetPath: `${HOME}/b`, jobName: "my-copy", time: "5" };
    const created = await client.send("POST", "/storage/xfer-internal/cp", { form });
    expect(Object.keys(created.body as object).sort()).toEqual(["success", "task_id"]);
    await client.site.host.advance(5_000);
    expect(await client.read(`${HOME}/b`)).toBe("a");
    expect((await client.task("GET", "/compute/acct?jobs=1")).data).toMatchObject([
      { name: "my-copy", partition: "xfer", state: "COMPLETED" },
    ]);
  });

  it("lies about failure: only the error log tells", async () => {
    const client = await Client.start();
    const task = await client.task("POST", "/storage/xfer-internal/mv", {
      form: { sourcePath: `${HOME}/gone`, targetPath: `${HOME}/b` },
    });
    await client.site.host.advance(5_000);
    expect((await client.task("GET", "/compute/acct?jobs=1")).data).toMatchObject([
      { state: "COMPLETED", exit_code: "0:0" },
    ]);
    expect(await client.read((task.data as { job_file_err: string }).job_file_err)).toContain("mv: cannot stat");
  });

  it("waits for the job it depends on", async () => {
    const client = await Client.start();
    await client.write(`${HOME}/a`, "a");
    await client.submit(`${SCRIPT}#FAKE sleep 60\n`);
    await client.task("POST", "/storage/xfer-internal/cp", {
      form: { sourcePath: `${HOME}/a`, targetPath: `${HOME}/b`, stageOutJobId: "1" },
    });
    await client.site.host.advance(30_000);
    expect((await client.task("GET", "/compute/jobs?jobs=2")).data).toMatchObject({ 0: { nodelist: "(Dependency)" } });
    await client.site.host.advance(60_000);
    expect(await client.read(`${HOME}/b`)).toBe("a");
  });
});

describe("a restart", () => {
  it("keeps finished tasks, ends those that were cut off, and goes on with uploads", async () => {
    const store = memoryStore();
    const before = await Client.start({ store });
    before.site.faults.add({ kind: "task_stuck", match: { path: "/compute/acct" } });
    const cut = await before.task("GET", "/compute/acct");
    const waiting = await before.task("POST", "/storage/xfer-external/upload", {
      form: { sourcePath: "up.txt", targetPath: HOME },
    });
    const after = await Client.start({ store });
    expect((await after.look(cut.id)).status).toBe("400");
    expect(await after.postForm(waiting.data, "late")).toBe(204);
    await after.site.clock.advance(2_000);
    expect((await after.look(waiting.id)).status).toBe("114");
    expect(await after.read(`${HOME}/up.txt`)).toBe("late");
  });
});
