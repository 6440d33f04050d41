/** `/storage/xfer-external`: files to and from the staging area. */
import { Hono } from "hono";
import { enter, UnknownSystemError } from "../access.ts";
import { type Seat, ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Ctx, checkHeader, type Env, json, oneLine, plainError, refusal } from "./answers.ts";
import { Form, valueProblem } from "./input.ts";
import { occasionOf } from "./occasion.ts";
import type { TaskRunner } from "./task-runner.ts";
import type { TaskRecord } from "./tasks.ts";

const SYSTEM_ADDRESS = "127.0.0.1:22";
/** Names that the real server's unquoted curl stumbles over. */
const NOT_FOR_CURL = /\s/;

export function externalRoutes(site: Site, runner: TaskRunner): Hono<Env> {
  const { tasks } = runner;
  const { staging, clock, limits, quirks } = site;

  const onSystem = async (c: Ctx, work: (system: string) => Promise<Response>): Promise<Response> => {
    const system = c.req.header("x-machine-name");
    if (system === undefined || system === "") return refusal(c, "No machine name given");
    try {
      return await work(system);
    } catch (error) {
      if (!(error instanceof UnknownSystemError)) throw error;
      const headers = {
        "X-Machine-Does-Not-Exist": "Machine does not exist",
        "X-Machine-Does-Not-Exists": "Machine does not exists",
      };
      return json(c, 400, { description: "Failed operation", error: "Machine does not exists" }, headers);
    }
  };

  const app = new Hono<Env>();

  app.post("/download", async (c) =>
    onSystem(c, async (system) => {
      const path = (await Form.of(c)).text("sourcePath") ?? "";
      const problem = valueProblem("sourcePath", path === "" ? undefined : path);
      if (problem !== undefined) return refusal(c, "Failed to download file", problem);
      let seat: Seat;
      try {
        seat = await enter(site, system, c.var.bearer.user, occasionOf(c));
        await seat.files.require("readable file", path);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        return json(c, 400, { description: "sourcePath error" }, checkHeader(path, error));
      }
      return runner.launch(c, { status: 201, service: "storage", system }, async (task) => {
        const data = { source: path, system_name: system };
        tasks.update(task.id, "116", data);
        try {
          const url = await stage(task, seat, path);
          return () => tasks.update(task.id, "117", { ...data, url });
        } catch (error) {
          if (!(error instanceof ToolError)) throw error;
          const text = `Upload to Staging area has failed. Object: ${nameOf(path)}. ${oneLine(error.stderr)}`;
          return () => tasks.update(task.id, "118", { ...data, error: text });
        }
      });
    }),
  );

  const stage = async (task: TaskRecord, seat: Seat, path: string): Promise<string> => {
    if (quirks === "1.16.6" && NOT_FOR_CURL.test(path)) {
      throw new ToolError("curl", 26, "curl: (26) Failed to open/read local data from file/application");
    }
    const { size, body } = await seat.files.read(path);
    if (quirks === "none" && size > limits.stagingMaxBytes) {
      await body.cancel();
      throw new ToolError("curl", 22, `The file is over ${limits.stagingMaxBytes} bytes`);
    }
    const [bucket, key] = [task.user, `${task.id}/${nameOf(path)}`];
    tasks.update(task.id, "116", { source: path, system_name: task.system }, { staged: { bucket, key } });
    await staging.put(bucket, key, body);
    return await staging.presignGet(bucket, key, limits.stagingTtlSeconds);
  };

  app.post("/upload", async (c) =>
    onSystem(c, async (system) => {
      const form = await Form.of(c);
      const [targetPath, sourcePath] = [form.text("targetPath"), form.text("sourcePath")];
      for (const [name, value] of [
        ["targetPath", targetPath],
        ["sourcePath", sourcePath],
      ] as const) {
        const problem = valueProblem(name, value);
        if (problem !== undefined) return refusal(c, "Failed to upload file", problem);
      }
      const source = nameOf(sourcePath ?? "");
      let target: string;
      try {
        const seat = await enter(site, system, c.var.bearer.user, occasionOf(c));
        target = await uploadTarget(seat, targetPath ?? "", source);
      } catch (error) {
        if (!(error instanceof ToolError)) throw error;
        const directory = directoryOf(targetPath ?? "");
        const body = { description: "Failed to upload file", error: "'targetPath' directory not allowed" };
        return json(c, 400, body, checkHeader(directory, error));
      }
      return runner.launch(c, { status: 201, service: "storage", system }, async (task) => {
        const common = {
          user: task.user,
          system_name: system,
          system_addr: SYSTEM_ADDRESS,
          target,
          source,
          hash_id: task.id,
          trace_id: "",
        };
        const waiting = "Waiting for Presigned URL to upload file to staging area (Amazon S3 - Signature v4)";
        tasks.update(task.id, "110", { ...common, status: "110", msg: waiting });
        const [bucket, key] = [task.user, `${task.id}/${source}`];
        const { url, fields } = await staging.presignPost(bucket, key, limits.stagingTtlSeconds);
        const downloadUrl = await staging.presignGet(bucket, key, limits.stagingTtlSeconds);
        const msg = {
          command: curlCommand(url, fields, sourcePath ?? ""),
          parameters: { method: "POST", url, data: fields, files: sourcePath, headers: {}, json: {}, params: {} },
        };
        const secrets = {
          action: `curl -f -s -G -o '${target}' -- '${downloadUrl}'`,
          download_url: downloadUrl,
          cert: ["(encrypted)", "/tmp/key"],
        };
        return () => {
          tasks.update(
            task.id,
            "111",
            { ...common, status: "111", msg },
            { staged: { bucket, key }, upload: { source, target, secrets } },
          );
          watch(task.id);
        };
      });
    }),
  );

  /** A directory gets the name appended; anything else is a name in its directory, which must be writable. */
  const uploadTarget = async (seat: Seat, path: string, source: string): Promise<string> => {
    const isDirectory = await seat.files.entry(path).then(
      ({ kind }) => kind === "d",
      () => false,
    );
    if (isDirectory) {
      try {
        await seat.files.require("writable directory", path);
        return `${path.replace(/\/+$/, "")}/${source}`;
      } catch (error) {
        // The real server takes an unwritable directory for a file name and fails only when it moves the file there.
        if (quirks === "none") throw error;
      }
    }
    await seat.files.require("writable directory", directoryOf(path));
    return path;
  };

  /** Looks for the uploaded object until it is there and moved, or the form has expired. */
  const watch = (taskId: string) => site.background(awaitUpload(taskId));
  const awaitUpload = async (taskId: string): Promise<void> => {
    for (;;) {
      await clock.sleep(limits.storagePollMs);
      const task = tasks.find(taskId);
      if (task?.upload === undefined || task.staged === undefined || task.invalidatedAt !== undefined) return;
      const { bucket, key } = task.staged;
      if (staging.stat(bucket, key) !== undefined) {
        if (await moveIn(task, bucket, key)) return;
      } else if (task.status === "115") {
        tasks.update(taskId, "400", "File was deleted from staging area. Start a new upload process");
        return;
      }
      if (clock.now() > task.createdAt + limits.stagingTtlSeconds * 1000) return;
    }
  };

  /** From the staging area to the machine. A failure is not final: it is tried again at the next look. */
  const moveIn = async (task: TaskRecord, bucket: string, key: string): Promise<boolean> => {
    const { upload, data } = task;
    const object = staging.stat(bucket, key);
    if (upload === undefined || object === undefined) return false;
    if (task.status === "111") tasks.update(task.id, "112", data);
    const progress = {
      source: upload.source,
      target: upload.target,
      system_name: task.system,
      system_addr: SYSTEM_ADDRESS,
    };
    tasks.update(task.id, "113", progress);
    try {
      const seat = await enter(site, task.system, task.user, { method: "GET", path: "/storage/internal" });
      await seat.files.write(upload.target, staging.read(object));
    } catch (error) {
      if (!(error instanceof ToolError)) throw error;
      tasks.update(task.id, "115", { ...(data as object), status: "115" });
      return false;
    }
    tasks.update(task.id, "114", progress);
    await staging.remove(bucket, key);
    return true;
  };

  app.post("/invalidate", async (c) => {
    const id = c.req.header("x-task-id");
    if (id === undefined || id === "") return json(c, 400, { error: "Header X-Task-Id missing" });
    if (!/^[A-Za-z0-9]+$/.test(id)) return json(c, 400, { error: "Header X-Task-Id is not alphanumeric" });
    const task = tasks.find(id);
    if (task === undefined || task.user !== c.var.bearer.user) return json(c, 400, { error: "Invalid X-Task-Id" });
    if (task.staged !== undefined) {
      const { bucket, key } = task.staged;
      if (quirks === "none") await staging.remove(bucket, key);
      // 1.16.6 deletes a key that does not exist, and fails where nothing was ever staged.
      else if (staging.stat(bucket, key) === undefined) return plainError(c, quirks, 500);
    }
    tasks.invalidate(task);
    return json(c, 201, { success: "URL invalidated successfully" });
  });

  // Uploads that waited when the server stopped are waited for again.
  for (const task of tasks.all())
    if (task.upload !== undefined && ["111", "112", "113", "115"].includes(task.status)) watch(task.id);
  return app;
}

/** One line that works both split at spaces by shlex and in a shell. */
function curlCommand(url: string, fields: Record<string, string>, sourcePath: string): string {
  const form = Object.entries(fields).map(([name, value]) => `-F '${name}=${value}'`);
  return `curl -f --show-error -s -i -X POST ${url} ${form.join(" ")} -F file=@${sourcePath}`;
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

function directoryOf(path: string): string {
  return path.replace(/\/+$/, "").replace(/\/[^/]*$/, "") || "/";
}
