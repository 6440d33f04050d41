/** Reads and small file operations that a person waits for. They run here, not in the Tracker, under its budget. */

import { systemNow } from "../../shared/clock.ts";
import type { Caller } from "../../shared/contract/access.ts";
import type { SystemView } from "../../shared/contract/connection.ts";
import type { Answer, Doing, Origin, Page, Refusal } from "../../shared/contract/rpc.ts";
import { z } from "../../shared/contract/words.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { FirecrestError, type FirecrestErrorCode } from "../../shared/firecrest/errors.ts";
import { checkFileName, checkMode, checkOwner, checkPath, type PathOperation } from "../../shared/firecrest/paths.ts";
import type { Api, Firecrest } from "../../shared/firecrest/port.ts";
import { type Log, redactText } from "../../shared/log.ts";
import type { Env } from "./env.ts";
import { clientOf, diagnose, type SiteConfig, tokenFrom } from "./site.ts";

type ProblemCode = Refusal["code"];

/** What a site's refusal is to the person who asked. */
const PROBLEMS: Partial<Record<FirecrestErrorCode, ProblemCode>> = {
  invalid_path: "invalid",
  invalid_request: "invalid",
  is_a_directory: "invalid",
  not_a_directory: "invalid",
  too_large: "too_large",
  not_found: "not_found",
  unknown_system: "not_found",
  permission_denied: "forbidden",
  already_exists: "conflict",
  not_supported: "invalid",
  rate_limited: "rate_limited",
  system_unavailable: "unavailable",
  command_timeout: "unavailable",
};

export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof FirecrestError)) throw error;
  const code = PROBLEMS[error.code] ?? (error.retry === "never" ? "upstream" : "unavailable");
  return {
    ok: false,
    code,
    // A missing file is no reason to doubt the site's address.
    detail: error.code === "not_found" ? error.message : diagnose(error),
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
  };
}

/** Lets the caller in, then reads with a client of its own. */
export async function reading<T>(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  scope: "jobs:read" | "files:read" | "files:write",
  system: string | undefined,
  work: (firecrest: Firecrest) => Promise<Answer<T>>,
  doing?: Doing,
): Promise<Answer<T>> {
  const tracker = env.TRACKER.getByName(connection);
  const admitted = (await tracker.read(caller, scope, system, 1, doing)) as Answer<{ site: SiteConfig }>;
  if (!admitted.ok) return admitted;
  const firecrest = clientOf(admitted.value.site, egressFrom(env, log), {
    token: tokenFrom((renew) => tracker.token(renew)),
    now: systemNow,
    log: (line) => log({ event: "firecrest", connection, ...line }),
  });
  try {
    return await work(firecrest);
  } catch (error) {
    return refusalOf(error);
  }
}

export async function systems(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
): Promise<Answer<Page<SystemView>>> {
  return reading(env, log, connection, caller, "jobs:read", undefined, async (firecrest) => {
    const found = await firecrest.systems();
    const parameters = await firecrest.parameters();
    await env.TRACKER.getByName(connection).keepFacts({ systems: found, parameters, at: systemNow() });
    return { ok: true, value: { items: found } };
  });
}

export async function oneSystem(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
): Promise<Answer<SystemView & { parameters: Record<string, unknown> }>> {
  return reading(env, log, connection, caller, "jobs:read", system, async (firecrest) => {
    const found = (await firecrest.systems()).find(({ name }) => name === system);
    if (found === undefined) return { ok: false, code: "not_found" };
    return { ok: true, value: { ...found, parameters: { ...(await firecrest.parameters()) } } };
  });
}

/** The last lines of a job's output, secrets masked. The path comes from the job's own record, never from the caller. */
export async function logs(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  jobId: string,
  stream: "stdout" | "stderr",
  lines: number,
): Promise<Answer<string>> {
  const tracker = env.TRACKER.getByName(connection);
  const known = (await tracker.output(caller, jobId)) as Answer<{
    system: string;
    schedulerId?: string;
    stdoutPath?: string;
    stderrPath?: string;
  }>;
  if (!known.ok) return known;
  const { system, schedulerId } = known.value;
  if (schedulerId === undefined) return { ok: true, value: "" };
  return reading(env, log, connection, caller, "jobs:read", system, async (firecrest) => {
    const paths = known.value.stdoutPath === undefined ? await firecrest.outputPaths(system, schedulerId) : known.value;
    const path = (stream === "stdout" ? paths.stdoutPath : (paths.stderrPath ?? paths.stdoutPath)) ?? "";
    const unusable = checkPath(firecrest.api, "tail", path);
    if (unusable !== undefined)
      return { ok: false, code: "not_found", detail: "The site does not tell where this job's output is." };
    try {
      return { ok: true, value: redactText(await firecrest.files.tail(system, path, { lines })) };
    } catch (error) {
      // A job that has not started has no output yet.
      if (error instanceof FirecrestError && (error.code === "not_found" || error.code === "invalid_path"))
        return { ok: true, value: "" };
      throw error;
    }
  });
}

// ------------------------------------------------------------------------------------------------------------------ files

const flag = z
  .union([z.boolean(), z.enum(["true", "false", "1", "0"]).transform((text) => text === "true" || text === "1")])
  .optional();
const count = z.coerce.number().int().min(1).max(1_000_000).optional();
const path = z.string().min(1).max(4096);

interface Operation<Input> {
  scope: "files:read" | "files:write";
  input: z.ZodType<Input>;
  /** Which paths of the input go into which command. */
  paths: (input: Input) => [field: string, operation: PathOperation, path: string][];
  check?: (input: Input, api: Api) => [field: string, problem: string | undefined][];
  run: (firecrest: Firecrest, system: string, input: Input) => Promise<{ body: unknown } | { bytes: Uint8Array }>;
}

const operation = <Input>(definition: Operation<Input>): Operation<unknown> => definition as Operation<unknown>;
const done = { body: { done: true } };

/** A file job's outcome is not known yet: it is on its way as a job of the site. */
const handled = (result: { done: true } | { done: false; handle: { ref: unknown } }): { body: unknown } =>
  result.done ? done : { body: { done: false, job: result.handle.ref } };

const OPERATIONS: Record<string, Operation<unknown>> = {
  ls: operation({
    scope: "files:read",
    input: z.strictObject({ path, hidden: flag, recursive: flag }),
    paths: ({ path: p }) => [["path", "ls", p]],
    run: async (firecrest, system, { path: p, hidden, recursive }) => ({
      body: { items: await firecrest.files.ls(system, p, { hidden: hidden ?? false, recursive: recursive ?? false }) },
    }),
  }),
  stat: operation({
    scope: "files:read",
    input: z.strictObject({ path, dereference: flag }),
    paths: ({ path: p }) => [["path", "stat", p]],
    run: async (firecrest, system, { path: p, dereference }) => ({
      body: await firecrest.files.stat(system, p, { dereference: dereference ?? false }),
    }),
  }),
  head: operation(textOperation("head")),
  tail: operation(textOperation("tail")),
  view: operation({
    scope: "files:read",
    input: z.strictObject({ path }),
    paths: ({ path: p }) => [["path", "view", p]],
    run: async (firecrest, system, { path: p }) => ({ body: { content: await firecrest.files.view(system, p) } }),
  }),
  checksum: operation({
    scope: "files:read",
    input: z.strictObject({ path }),
    paths: ({ path: p }) => [["path", "checksum", p]],
    run: async (firecrest, system, { path: p }) => ({
      body: { algorithm: "sha256", checksum: await firecrest.files.checksum(system, p) },
    }),
  }),
  file: operation({
    scope: "files:read",
    input: z.strictObject({ path }),
    paths: ({ path: p }) => [["path", "file_type", p]],
    run: async (firecrest, system, { path: p }) => ({ body: { type: await firecrest.files.fileType(system, p) } }),
  }),
  download: operation({
    scope: "files:read",
    input: z.strictObject({ path }),
    paths: ({ path: p }) => [["path", "download", p]],
    run: async (firecrest, system, { path: p }) => ({ bytes: await firecrest.files.download(system, p) }),
  }),
  upload: operation({
    scope: "files:write",
    input: z.strictObject({ directory: path, name: z.string().min(1).max(255), content: z.instanceof(Uint8Array) }),
    paths: ({ directory }) => [["directory", "upload", directory]],
    check: ({ name }, api) => [["name", checkFileName(api, name)]],
    run: async (firecrest, system, { directory, name, content }) => {
      await firecrest.files.upload(system, directory, name, content);
      return done;
    },
  }),
  mkdir: operation({
    scope: "files:write",
    input: z.strictObject({ path, parents: z.boolean().optional() }),
    paths: ({ path: p }) => [["path", "mkdir", p]],
    run: async (firecrest, system, { path: p, parents }) => {
      await firecrest.files.mkdir(system, p, { parents: parents ?? false });
      return done;
    },
  }),
  move: operation({
    scope: "files:write",
    input: z.strictObject({ from: path, to: path, account: z.string().optional() }),
    paths: ({ from, to }) => [
      ["from", "move", from],
      ["to", "move", to],
    ],
    run: async (firecrest, system, { from, to, account }) =>
      handled(await firecrest.files.move(system, from, to, account)),
  }),
  copy: operation({
    scope: "files:write",
    input: z.strictObject({ from: path, to: path, account: z.string().optional() }),
    paths: ({ from, to }) => [
      ["from", "copy", from],
      ["to", "copy", to],
    ],
    run: async (firecrest, system, { from, to, account }) =>
      handled(await firecrest.files.copy(system, from, to, account)),
  }),
  symlink: operation({
    scope: "files:write",
    input: z.strictObject({ target: path, link: path }),
    paths: ({ target, link }) => [
      ["target", "symlink", target],
      ["link", "symlink", link],
    ],
    run: async (firecrest, system, { target, link }) => {
      await firecrest.files.symlink(system, target, link);
      return done;
    },
  }),
  chmod: operation({
    scope: "files:write",
    input: z.strictObject({ path, mode: z.string() }),
    paths: ({ path: p }) => [["path", "chmod", p]],
    check: ({ mode }) => [["mode", checkMode(mode)]],
    run: async (firecrest, system, { path: p, mode }) => {
      await firecrest.files.chmod(system, p, mode);
      return done;
    },
  }),
  chown: operation({
    scope: "files:write",
    input: z.strictObject({ path, owner: z.string().optional(), group: z.string().optional() }),
    paths: ({ path: p }) => [["path", "chown", p]],
    check: ({ owner, group }) => [
      [
        "owner",
        owner === undefined && group === undefined
          ? "needs an owner or a group"
          : owner === undefined
            ? undefined
            : checkOwner(owner),
      ],
      ["group", group === undefined ? undefined : checkOwner(group)],
    ],
    run: async (firecrest, system, { path: p, owner, group }) => {
      await firecrest.files.chown(system, p, owner, group);
      return done;
    },
  }),
  compress: operation({
    scope: "files:write",
    input: z.strictObject({ from: path, to: path, dereference: z.boolean().optional() }),
    paths: ({ from, to }) => [
      ["from", "compress", from],
      ["to", "compress", to],
    ],
    run: async (firecrest, system, { from, to, dereference }) => {
      await firecrest.files.compress(system, from, to, { dereference: dereference ?? false });
      return done;
    },
  }),
  extract: operation({
    scope: "files:write",
    input: z.strictObject({ from: path, to: path }),
    paths: ({ from, to }) => [
      ["from", "extract", from],
      ["to", "extract", to],
    ],
    run: async (firecrest, system, { from, to }) => {
      await firecrest.files.extract(system, from, to);
      return done;
    },
  }),
  rm: operation({
    scope: "files:write",
    input: z.strictObject({ path }),
    paths: ({ path: p }) => [["path", "remove", p]],
    run: async (firecrest, system, { path: p }) => {
      await firecrest.files.remove(system, p);
      return done;
    },
  }),
};

function textOperation(
  which: "head" | "tail",
): Operation<{ path: string; lines?: number | undefined; bytes?: number | undefined }> {
  return {
    scope: "files:read",
    input: z
      .strictObject({ path, lines: count, bytes: count })
      .refine(({ lines, bytes }) => lines === undefined || bytes === undefined, {
        message: "give lines or bytes, not both",
        path: ["bytes"],
      }),
    paths: ({ path: p }) => [["path", which, p]],
    run: async (firecrest, system, { path: p, lines, bytes }) => ({
      body: {
        content: await firecrest.files[which](system, p, {
          ...(lines === undefined ? {} : { lines }),
          ...(bytes === undefined ? {} : { bytes }),
        }),
      },
    }),
  };
}

/** One file operation. Paths are checked against the class of their command before anything is asked of the site. */
export async function file(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
  name: string,
  input: Record<string, unknown>,
  origin: Origin,
): Promise<Answer<{ body: unknown } | { bytes: Uint8Array }>> {
  const known = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (known === undefined) return { ok: false, code: "not_found", detail: `There is no file operation ${name}.` };
  const parsed = known.input.safeParse(input);
  if (!parsed.success) {
    return {
      ok: false,
      code: "invalid",
      errors: parsed.error.issues.map((issue) => ({
        field: `/${issue.path.join("/") || (issue.code === "unrecognized_keys" ? issue.keys[0] : "")}`,
        message: issue.message,
      })),
    };
  }
  const [place] = known.paths(parsed.data);
  const doing: Doing = { act: `file.${name}`, subject: `systems/${system}${place?.[2] ?? ""}`, origin };
  const work = async (firecrest: Firecrest): Promise<Answer<{ body: unknown } | { bytes: Uint8Array }>> => {
    const problems = [
      ...known
        .paths(parsed.data)
        .map(([field, op, p]): [string, string | undefined] => [field, checkPath(firecrest.api, op, p)]),
      ...(known.check?.(parsed.data, firecrest.api) ?? []),
    ].flatMap(([field, problem]) => (problem === undefined ? [] : [{ field: `/${field}`, message: problem }]));
    if (problems.length > 0) return { ok: false, code: "invalid", errors: problems };
    return { ok: true, value: await known.run(firecrest, system, parsed.data) };
  };
  const recorded = known.scope === "files:write" ? doing : undefined;
  return reading(env, log, connection, caller, known.scope, system, work, recorded);
}
