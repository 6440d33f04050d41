/** F1–F16: one command each on the host. */
import { escapeName } from "../files/escape-name.ts";
import type { Compression, Cut, FileEntry } from "../host.ts";
import { ToolError } from "../host.ts";
import { type Call, type Handler, nothing, ok, queryOf, requireHealthy } from "./context.ts";
import { ApiError, fileError, invalid, running, unhandled } from "./errors.ts";
import { Input, mainPath, readJson, requirePlace } from "./input.ts";
import { pack } from "./job-scripts.ts";

const VIEW_DEFAULT_BYTES = 5_242_880;
export const COMPRESSIONS = ["none", "bzip2", "gzip", "xz"] as const satisfies readonly Compression[];

export const rootsOf = (call: Call): string[] => call.host.fileSystems.map(({ path }) => path);

function placeOf(call: Call, values: Record<string, unknown>): string {
  requireHealthy(call, ["ssh"]);
  const path = requirePlace(mainPath(values), call.system, rootsOf(call));
  requireHealthy(call, [], path);
  // On the real server a quote ends the quoting of the command. Here it only fails, as it does there in most cases.
  if (path.includes("'")) throw fileError(new ToolError("bash", 2, UNBALANCED));
  return path;
}

const UNBALANCED = "bash: -c: line 1: unexpected EOF while looking for matching `''";

const pathInQuery = (call: Call): string => placeOf(call, queryOf(call));

const fileJson = (entry: FileEntry, numeric = false) => ({
  name: escapeName(entry.name),
  type: entry.kind,
  linkTarget: entry.kind === "l" ? escapeName(entry.linkTarget) : null,
  user: numeric ? String(entry.user.id) : entry.user.name,
  group: numeric ? String(entry.group.id) : entry.group.name,
  permissions: entry.permissions,
  lastModified: new Date(entry.modifiedAt).toISOString().slice(0, 19),
  size: String(entry.size),
});

/** The entry of a path as the changing operations show it: under its whole path. */
async function shown(call: Call, path: string, status = 200) {
  const entry = await running(fileError, () => call.seat.files.entry(path));
  return ok({ output: fileJson({ ...entry, name: path }) }, status);
}

export const ls: Handler = async (call) => {
  const path = pathInQuery(call);
  const input = new Input("query", queryOf(call));
  const options = {
    hidden: input.flag("showHidden"),
    recursive: input.flag("recursive"),
    dereference: input.flag("dereference"),
  };
  const numeric = input.flag("numericUid");
  input.done();
  const entries = await running(fileError, () => call.seat.files.list(path, options));
  const output = entries.filter(({ name }) => name !== "." && name !== "..").map((entry) => fileJson(entry, numeric));
  return ok({ output: withinBuffer(call, output) });
};

/** A command's whole output must stay below the buffer. */
function withinBuffer<T>(call: Call, output: T): T {
  const size = typeof output === "string" ? new TextEncoder().encode(output).length : JSON.stringify(output).length;
  if (size >= call.site.limits.directMaxBytes) throw new ApiError(413, "Command output exceeded buffer limit.");
  return output;
}

const cutting =
  (which: "head" | "tail"): Handler =>
  async (call) => {
    const path = pathInQuery(call);
    const input = new Input("query", queryOf(call));
    const bytes = input.optionalWhole("bytes");
    const lines = input.optionalWhole("lines");
    const skip = input.flag(which === "head" ? "skipTrailing" : "skipHeading");
    input.done();
    if (bytes !== undefined && lines !== undefined) {
      throw new ApiError(400, "Only one of `bytes` or `lines` can be specified.");
    }
    // Zero is taken for absent: ten lines.
    const cut: Cut = { skip, ...(bytes ? { bytes: String(bytes) } : {}), ...(lines ? { lines: String(lines) } : {}) };
    const content = new TextDecoder().decode(await running(fileError, () => call.seat.files[which](path, cut)));
    const count = bytes ?? lines ?? 10;
    const isGiven = bytes !== undefined || lines !== undefined;
    const positions =
      which === "head"
        ? { startPosition: 0, endPosition: skip ? -count : count }
        : { startPosition: skip || !isGiven ? count : -count, endPosition: -1 };
    const contentType = bytes === undefined ? "lines" : "bytes";
    return ok({ output: { content: withinBuffer(call, content), contentType, ...positions } });
  };

export const head = cutting("head");
export const tail = cutting("tail");

/** Reads twice what is asked for, and counts the offset in characters of what it read. */
export const view: Handler = async (call) => {
  const path = pathInQuery(call);
  const input = new Input("query", queryOf(call));
  const size = input.optionalWhole("size") ?? VIEW_DEFAULT_BYTES;
  const offset = input.optionalWhole("offset") ?? 0;
  input.done();
  if (size > VIEW_DEFAULT_BYTES)
    throw new ApiError(400, `\`size\` value must be less than ${VIEW_DEFAULT_BYTES} bytes`);
  if (size <= 0) throw new ApiError(400, "`size` value must be an integer value greater than 0");
  if (offset < 0) throw new ApiError(400, "`offset` value must be an integer value equal or greater than 0");
  const first = Math.floor(offset / size) * size;
  const bytes = await readWhole(call, path, "dd", { start: first, end: first + 2 * size });
  if (bytes.length >= call.site.limits.directMaxBytes) throw new ApiError(413, "Command output exceeded buffer limit.");
  return ok({ output: new TextDecoder().decode(bytes).slice(offset - first, offset - first + size) });
};

async function readWhole(
  call: Call,
  path: string,
  tool: "dd" | "base64",
  range?: { start: number; end: number },
): Promise<Uint8Array<ArrayBuffer>> {
  const { body } = await running(fileError, () => call.seat.files.read(path, range, tool));
  return new Uint8Array(await new Response(body).arrayBuffer());
}

export const checksum: Handler = async (call) => {
  const path = pathInQuery(call);
  const signal = AbortSignal.timeout(call.site.limits.commandTimeoutSeconds * 1000);
  let sum: string;
  try {
    sum = await running(fileError, () => call.seat.files.checksum(path, { signal }));
  } catch (error) {
    if (signal.aborted) throw fileError(new ToolError("sha256sum", 124, ""));
    throw error;
  }
  // The line is split at every space.
  if (path.includes(" ")) throw new ApiError(500, `Invalid output: ${sum}  ${path}\n `);
  return ok({ output: { algorithm: "SHA256", checksum: sum } });
};

/** `file` ends with 0 also for what it cannot open. */
export const fileType: Handler = async (call) => {
  const path = pathInQuery(call);
  try {
    return ok({ output: await call.seat.files.fileType(path) });
  } catch (error) {
    if (error instanceof ToolError) return ok({ output: error.stderr });
    throw error;
  }
};

export const stat: Handler = async (call) => {
  const path = pathInQuery(call);
  const input = new Input("query", queryOf(call));
  const dereference = input.flag("dereference");
  input.done();
  return ok({ output: await running(fileError, () => call.seat.files.stat(path, { dereference })) });
};

/** The path is looked for in a body too, and then missed in the query. */
export const rm: Handler = async (call) => {
  if (mainPath(queryOf(call)) === undefined && mainPath(await readJson(call).catch(() => ({}))) !== undefined) {
    throw invalid([{ location: "query", name: "path", message: "Field required" }]);
  }
  const path = pathInQuery(call);
  await running(fileError, () => call.seat.files.remove(path));
  return nothing;
};

/** A body with a main path that has been checked. */
async function bodyOf(call: Call): Promise<{ path: string; input: Input }> {
  const body = await readJson(call);
  return { path: placeOf(call, body), input: new Input("body", body) };
}

export const mkdir: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const parents = input.flag("parent");
  input.done();
  await running(fileError, () => call.seat.files.mkdir(path, { parents }));
  return await shown(call, path, 201);
};

export const symlink: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const link = input.text("linkPath");
  input.done();
  await running(fileError, () => call.seat.files.symlink(path, link));
  return await shown(call, link, 201);
};

export const chmod: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const mode = input.text("mode");
  input.done();
  await running(fileError, () => call.seat.files.chmod(path, mode));
  return await shown(call, path);
};

export const chown: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const owner = input.optionalText("owner", false) ?? "";
  const group = input.optionalText("group", false) ?? "";
  input.done();
  await running(fileError, () => call.seat.files.chown(path, { owner, group }));
  return await shown(call, path);
};

export const download: Handler = async (call) => {
  const path = pathInQuery(call);
  const limit = call.site.limits.directMaxBytes;
  const bytes = await readWhole(call, path, "base64");
  // It comes as base64 through the buffer. Above it the connection breaks, far above it the time is over first.
  if (bytes.length > 3 * limit) throw fileError(new ToolError("base64", 124, ""));
  if (bytes.length > limit) throw unhandled("'Channel not open for sending'");
  if (Math.ceil(bytes.length / 3) * 4 >= limit) throw new ApiError(413, "Command output exceeded buffer limit.");
  return { status: 200, bytes };
};

/** The name of the part is the name of the file, and nobody looks at it: `../x` goes into the parent. */
export const upload: Handler = async (call) => {
  const directory = pathInQuery(call);
  const form = await call.request.formData().catch(() => new FormData());
  const file: unknown = form.get("file");
  if (!(file instanceof File)) throw invalid([{ location: "body", name: "file", message: "Field required" }]);
  if (file.name.includes("'")) throw fileError(new ToolError("bash", 2, UNBALANCED));
  if (file.size > call.site.limits.directMaxBytes) throw new ApiError(413, "File to upload is too large.");
  await running(fileError, async () =>
    call.seat.files.write(`${directory}/${file.name}`, new Uint8Array(await file.arrayBuffer())),
  );
  // Without a byte on its stdin the remote command waits until its time is over; the file is there.
  if (file.size === 0) throw fileError(new ToolError("cat", 124, ""));
  return nothing;
};

export const compress: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const target = input.text("targetPath");
  const matchPattern = input.optionalText("matchPattern");
  const dereference = input.flag("dereference");
  const compression = input.oneOf("compression", COMPRESSIONS, "gzip");
  input.done();
  // With a pattern, gzip is used whatever was asked for.
  const packed = matchPattern === undefined ? compression : "gzip";
  await running(fileError, () =>
    pack(call.seat.files, path, target, { dereference, compression: packed, matchPattern }),
  );
  return nothing;
};

export const extract: Handler = async (call) => {
  const { path, input } = await bodyOf(call);
  const target = input.text("targetPath");
  const format = input.oneOf("compression", COMPRESSIONS, "gzip");
  input.done();
  await running(fileError, () => call.seat.files.extract(path, target, { format }));
  return nothing;
};
