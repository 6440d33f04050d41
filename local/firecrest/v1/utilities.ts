/** `/utilities`: file commands that answer at once. */
import { Hono } from "hono";
import { enter, UnknownSystemError } from "../access.ts";
import { escapeName } from "../files/escape-name.ts";
import { type Cut, type Seat, ToolError } from "../host.ts";
import type { Site } from "../site.ts";
import { type Ctx, commandFailure, type Env, json, refusal, withTimeLimit } from "./answers.ts";
import { archiveFormat } from "./archive-format.ts";
import { Form, hasForbiddenCharacter, isTrue, valueProblem } from "./input.ts";
import { occasionOf } from "./occasion.ts";
import { decodeUtf8, disposition, listEntry, page } from "./text.ts";

type Command =
  | "ls"
  | "mkdir"
  | "rename"
  | "chmod"
  | "chown"
  | "copy"
  | "compress"
  | "extract"
  | "file"
  | "stat"
  | "symlink"
  | "head"
  | "tail"
  | "checksum"
  | "rm"
  | "upload"
  | "whoami"
  | "fsize"
  | "base64"; // prettier-ignore

const DEFAULT_VIEW_LINES = "10";

export function utilitiesRoutes(site: Site): Hono<Env> {
  const { limits, quirks } = site;

  /** Runs a command of the user on the system that the header names, within the time limit. */
  const run = async (
    c: Ctx,
    command: Command,
    work: (seat: Seat, signal: AbortSignal) => Promise<Response>,
  ): Promise<Response> => {
    const system = c.req.header("x-machine-name");
    if (system === undefined || system === "") return refusal(c, "No machine name given");
    try {
      const seat = await enter(site, system, c.var.bearer.user, occasionOf(c));
      return await withTimeLimit(limits.commandTimeoutSeconds, (signal) => work(seat, signal));
    } catch (error) {
      if (error instanceof UnknownSystemError) {
        const headers = {
          "X-Machine-Does-Not-Exist": "Machine does not exist",
          "X-Machine-Does-Not-Exists": "Machine does not exists",
        };
        return json(c, 400, { description: `Error on ${command} operation`, error: "Machine does not exist" }, headers);
      }
      if (error instanceof ToolError) return commandFailure(c, command, error);
      throw error;
    }
  };
  /** Like `run`, for commands whose arguments must be there and clean. */
  const checked = async (
    c: Ctx,
    command: Command,
    values: Record<string, string | undefined>,
    work: (seat: Seat, signal: AbortSignal) => Promise<Response>,
  ): Promise<Response> =>
    await run(c, command, async (seat, signal) => {
      for (const [name, value] of Object.entries(values)) {
        const problem = valueProblem(name, value);
        if (problem !== undefined) return refusal(c, `Error on ${command} operation`, problem);
      }
      return await work(seat, signal);
    });
  const done = (c: Ctx, status: 200 | 201, command: string, output: unknown = "") =>
    json(c, status, {
      description: `Success to ${command} file${command.startsWith("ch") && command !== "checksum" ? " or directory" : ""}.`,
      output,
    });
  const requireFits = (bytes: number) => {
    if (bytes > limits.directMaxBytes)
      throw new ToolError("cat", 1, `Command output exceeded buffer limit (${limits.directMaxBytes})`);
  };

  const app = new Hono<Env>();

  app.get("/ls", (c) => {
    const path = c.req.query("targetPath");
    return checked(c, "ls", { targetPath: path }, async ({ files }) => {
      const entries = await files.list(path ?? "", {
        hidden: isTrue(c.req.query("showhidden")),
        recursive: isTrue(c.req.query("recursive")),
        dereference: isTrue(c.req.query("followLinks")),
      });
      const isNumeric = isTrue(c.req.query("numericUid"));
      const output = isTrue(c.req.query("notListing"))
        ? entries.map(({ name }) => `"${escapeName(name)}"`)
        : entries.map((entry) => listEntry(entry, isNumeric));
      requireFits(JSON.stringify(output).length);
      return json(c, 200, {
        description: "List of contents",
        output: page<unknown>(output, c.req.query("pageSize"), c.req.query("pageNumber")),
      });
    });
  });

  app.post("/mkdir", async (c) => {
    const form = await Form.of(c);
    const path = form.text("targetPath");
    return await checked(c, "mkdir", { targetPath: path }, async ({ files }) => {
      await files.mkdir(path ?? "", { parents: form.has("p") });
      return done(c, 201, "mkdir");
    });
  });

  for (const command of ["rename", "copy"] as const) {
    app.on(command === "rename" ? "PUT" : "POST", `/${command}`, async (c) => {
      const form = await Form.of(c);
      const [sourcePath, targetPath] = [form.text("sourcePath"), form.text("targetPath")];
      return await checked(c, command, { sourcePath, targetPath }, async ({ files }, signal) => {
        if (command === "rename") await files.move(sourcePath ?? "", targetPath ?? "", { signal });
        else await files.copy(sourcePath ?? "", targetPath ?? "", { signal });
        return done(c, command === "rename" ? 200 : 201, command);
      });
    });
  }

  app.put("/chmod", async (c) => {
    const form = await Form.of(c);
    const [targetPath, mode] = [form.text("targetPath"), form.text("mode")];
    return await checked(c, "chmod", { targetPath, mode }, async ({ files }) =>
      done(c, 200, "chmod", await files.chmod(targetPath ?? "", mode ?? "")),
    );
  });

  app.put("/chown", async (c) => {
    const form = await Form.of(c);
    const [targetPath, owner = "", group = ""] = [form.text("targetPath"), form.text("owner"), form.text("group")];
    return await checked(c, "chown", { targetPath }, async ({ files }) => {
      if (owner === "" && group === "") return refusal(c, "Error in chown operation", "group or owner must be set");
      for (const [name, value] of [
        ["owner", owner],
        ["group", group],
      ] as const) {
        if (hasForbiddenCharacter(value)) return refusal(c, "Error on chown operation", `'${name}' has invalid char`);
      }
      return done(c, 200, "chown", await files.chown(targetPath ?? "", { owner, group }));
    });
  });

  app.post("/compress", async (c) => {
    const form = await Form.of(c);
    const [sourcePath, targetPath] = [form.text("sourcePath"), form.text("targetPath")];
    return await checked(c, "compress", { sourcePath, targetPath }, async ({ files }, signal) => {
      await files.compress(sourcePath ?? "", targetPath ?? "", {
        dereference: isTrue(form.text("dereference")),
        signal,
      });
      return done(c, 201, "compress");
    });
  });

  app.post("/extract", async (c) => {
    const form = await Form.of(c);
    const [sourcePath, targetPath] = [form.text("sourcePath"), form.text("targetPath")];
    return await checked(c, "extract", { sourcePath, targetPath }, async ({ files }, signal) => {
      const format = archiveFormat(sourcePath ?? "", form, quirks);
      if (format === undefined)
        return refusal(c, "Error on extract operation", `Unsupported file format in ${sourcePath}.`);
      await files.extract(sourcePath ?? "", targetPath ?? "", { format, signal });
      return done(c, 201, "extract");
    });
  });

  app.get("/file", (c) => {
    const path = c.req.query("targetPath");
    return checked(c, "file", { targetPath: path }, async ({ files }) =>
      done(c, 200, "file", await files.fileType(path ?? "")),
    );
  });

  app.get("/stat", (c) => {
    const path = c.req.query("targetPath") ?? c.req.query("sourcePath");
    return checked(c, "stat", { sourcePath: path }, async ({ files }) =>
      done(c, 200, "stat", await files.stat(path ?? "", { dereference: isTrue(c.req.query("dereference")) })),
    );
  });

  app.post("/symlink", async (c) => {
    const form = await Form.of(c);
    const [targetPath, linkPath] = [form.text("targetPath"), form.text("linkPath")];
    return await checked(c, "symlink", { targetPath }, async ({ files }) => {
      const problem = valueProblem("linkPath", linkPath)?.replace("' not", "' value not");
      if (problem !== undefined) return refusal(c, "Failed to create symlink", problem);
      await files.symlink(targetPath ?? "", linkPath ?? "");
      return done(c, 201, "symlink");
    });
  });

  /** `head`, `tail` and `view`: text of a file, cut and searched. */
  const cutText = (c: Ctx, command: "head" | "tail", defaults: (size: () => Promise<number>) => Promise<Cut>) => {
    const path = c.req.query("targetPath");
    return checked(c, command, { targetPath: path }, async ({ files }) => {
      // The asynchronous official client sends both, empty, when it means neither.
      const [bytes, lines] = [c.req.query("bytes") || undefined, c.req.query("lines") || undefined];
      if (bytes !== undefined && lines !== undefined) {
        return refusal(c, `Error on ${command} operation`, "Can not specify both 'bytes' and 'lines'");
      }
      const skip = isTrue(c.req.query(command === "head" ? "skip_ending" : "skip_beginning"));
      const size = async () => (await files.stat(path ?? "", { dereference: true })).size;
      const cut: Cut =
        bytes !== undefined
          ? { bytes, skip }
          : lines !== undefined
            ? { lines, skip }
            : { ...(await defaults(size)), skip };
      const content = await files[command](path ?? "", cut);
      requireFits(content.byteLength);
      const pattern = c.req.query("grep");
      const text = decodeUtf8(content);
      if (pattern === undefined) return done(c, 200, command, text);
      const found = text
        .split(/(?<=\n)/)
        .filter((line) => line.includes(pattern))
        .join("");
      if (found !== "") return done(c, 200, command, found);
      const body = { description: `Error on ${command} operation with grep`, error: "pattern not found" };
      return json(c, 404, body, { "X-Not-Found": "pattern not found" });
    });
  };
  app.get("/head", (c) => cutText(c, "head", async () => ({})));
  app.get("/tail", (c) => cutText(c, "tail", async () => ({})));
  /** The size of the file that `name` tells the path of, or why there will be no answer. */
  const smallEnough = async (c: Ctx, name: string, description: string): Promise<number | Response> => {
    const path = c.req.query(name);
    let size = 0;
    const check = await checked(c, "fsize", { [name]: path }, async ({ files }) => {
      size = (await files.stat(path ?? "", { dereference: true })).size;
      return c.body(null, 204);
    });
    if (check.status !== 204) return check;
    if (size <= limits.directMaxBytes) return size;
    return json(c, 400, { description }, { "X-Size-Limit": "File exceeds size limit" });
  };
  app.get("/view", async (c) => {
    const size = await smallEnough(c, "targetPath", "Failed to view file content");
    if (size instanceof Response) return size;
    return await cutText(c, "head", async () =>
      quirks === "1.16.6" ? { lines: DEFAULT_VIEW_LINES } : { bytes: String(size) },
    );
  });

  app.get("/checksum", (c) => {
    const path = c.req.query("targetPath");
    return checked(c, "checksum", { targetPath: path }, async ({ files }, signal) =>
      done(c, 200, "checksum", await files.checksum(path ?? "", { signal })),
    );
  });

  app.get("/download", async (c) => {
    const path = c.req.query("sourcePath");
    const size = await smallEnough(c, "sourcePath", "Failed to download file");
    if (size instanceof Response) return size;
    return await checked(c, "base64", { sourcePath: path }, async ({ files }) => {
      const { body } = await files.read(path ?? "", {}, "base64");
      const content = await new Response(body).arrayBuffer();
      // The real server fetches files as base64 text within the same buffer.
      if (quirks === "1.16.6") requireFits(Math.ceil(content.byteLength / 3) * 4 + 1);
      const name = (path ?? "").slice((path ?? "").lastIndexOf("/") + 1);
      return c.body(content, 200, {
        "content-type": "application/octet-stream",
        "content-disposition": disposition(name),
        "cache-control": "no-cache",
      });
    });
  });

  app.post("/upload", async (c) => {
    const form = await Form.within(c, limits.directMaxBytes);
    if (form === undefined) {
      return json(c, 413, { description: `Failed to upload file. The file is over ${limits.directMaxBytes} bytes` });
    }
    const path = form.text("targetPath");
    return await checked(c, "upload", { targetPath: path }, async ({ files }) => {
      const file = form.file("file");
      if (file === undefined) return refusal(c, "Failed to upload file", "No file in query");
      if (file.name === "") return refusal(c, "Failed to upload file", "No selected file");
      const name = file.name.slice(file.name.lastIndexOf("/") + 1);
      if (hasForbiddenCharacter(file.name)) return refusal(c, "Failed to upload file", "Filename has invalid char");
      await files.write(`${(path ?? "").replace(/\/+$/, "")}/${name}`, new Uint8Array(await file.arrayBuffer()));
      return json(c, 201, { description: "File upload successful", output: "" });
    });
  });

  app.delete("/rm", async (c) => {
    const path = (await Form.of(c)).text("targetPath");
    return await checked(c, "rm", { targetPath: path }, async ({ files }) => {
      await files.remove(path ?? "");
      return c.body(null, 204);
    });
  });

  app.get("/whoami", (c) =>
    run(c, "whoami", async ({ identity }) => {
      if (!isTrue(c.req.query("groups")))
        return json(c, 200, { description: "User information", output: identity.user.name });
      const shown = ({ name, id }: { name: string; id: number }) => ({ name, id: String(id) });
      const output = { user: shown(identity.user), group: shown(identity.group), groups: identity.groups.map(shown) };
      return json(c, 200, { description: "User information", output });
    }),
  );

  return app;
}
