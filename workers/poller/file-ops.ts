/** The file operations of the HTTP surface: what each takes, which of its inputs are paths, and how it is carried out. */
import { z } from "../../shared/contract/words.ts";
import { checkFileName, checkMode, checkOwner, type PathOperation } from "../../shared/firecrest/paths.ts";
import type { Api, FileJob, Firecrest } from "../../shared/firecrest/port.ts";

const flag = z
  .union([z.boolean(), z.enum(["true", "false", "1", "0"]).transform((text) => text === "true" || text === "1")])
  .optional();
const count = z.coerce.number().int().min(1).max(1_000_000).optional();
const path = z.string().min(1).max(4096);

const account = z.string().optional();
/** As a job: `after` makes it wait for another one. */
const inJobs = { asJob: z.boolean().optional(), account, after: z.string().optional() };
const twoPaths = { from: path, to: path, ...inJobs };

export interface Operation<Input> {
  scope: "files:read" | "files:write";
  input: z.ZodType<Input>;
  /** Which paths of the input go into which command. */
  paths: (input: Input) => [field: string, operation: PathOperation, path: string][];
  check?: (input: Input, api: Api) => [field: string, problem: string | undefined][];
  /** The site's limit that it must keep to: bytes that are sent, or a file whose bytes are fetched. */
  weighs?: (input: Input) => { sent: number } | { fetched: string };
  /** What it is as a job of the site, where it can be one. */
  job?: (input: Input) => FileJob;
  /** Absent = it is always a job. */
  run?: (firecrest: Firecrest, system: string, input: Input) => Promise<FileResult>;
  /** It may be run again as a job when the site's time for one command was not enough. */
  again?: true;
}

export type FileResult = { body: unknown } | { bytes: Uint8Array };

/** On v2 these are jobs of the site whatever one asks for. */
const ALWAYS_JOBS_ON_V2 = new Set(["move", "copy"]);

export const isJobOnly = (name: string, api: Api, input: unknown): boolean =>
  name === "rsync" ||
  (api === "v2" && ALWAYS_JOBS_ON_V2.has(name)) ||
  (typeof input === "object" &&
    input !== null &&
    (("asJob" in input && input.asJob === true) || ("after" in input && input.after !== undefined)));

const operation = <Input>(definition: Operation<Input>): Operation<unknown> => definition as Operation<unknown>;
const done = { body: { done: true } };

export const OPERATIONS: Record<string, Operation<unknown>> = {
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
    weighs: ({ path: p }) => ({ fetched: p }),
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
    weighs: ({ path: p }) => ({ fetched: p }),
    run: async (firecrest, system, { path: p }) => ({ bytes: await firecrest.files.download(system, p) }),
  }),
  upload: operation({
    scope: "files:write",
    input: z.strictObject({ directory: path, name: z.string().min(1).max(255), content: z.instanceof(Uint8Array) }),
    paths: ({ directory }) => [["directory", "upload", directory]],
    check: ({ name }, api) => [["name", checkFileName(api, name)]],
    weighs: ({ content }) => ({ sent: content.byteLength }),
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
    input: z.strictObject(twoPaths),
    paths: pathsOf("move"),
    job: ({ from, to }) => ({ op: "move", from, to }),
    run: async (firecrest, system, { from, to }) => {
      await firecrest.files.move(system, from, to);
      return done;
    },
  }),
  copy: operation({
    scope: "files:write",
    input: z.strictObject(twoPaths),
    paths: pathsOf("copy"),
    job: ({ from, to }) => ({ op: "copy", from, to }),
    again: true,
    run: async (firecrest, system, { from, to }) => {
      await firecrest.files.copy(system, from, to);
      return done;
    },
  }),
  rsync: operation({
    scope: "files:write",
    input: z.strictObject({ from: path, to: path, account, after: inJobs.after }),
    paths: pathsOf("file_job"),
    job: ({ from, to }) => ({ op: "rsync", from, to }),
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
    input: z.strictObject({ ...twoPaths, dereference: z.boolean().optional() }),
    paths: pathsOf("compress"),
    job: ({ from, to, dereference }) => ({
      op: "compress",
      from,
      to,
      ...(dereference === undefined ? {} : { dereference }),
    }),
    again: true,
    run: async (firecrest, system, { from, to, dereference }) => {
      await firecrest.files.compress(system, from, to, { dereference: dereference ?? false });
      return done;
    },
  }),
  extract: operation({
    scope: "files:write",
    input: z.strictObject(twoPaths),
    paths: pathsOf("extract"),
    job: ({ from, to }) => ({ op: "extract", from, to }),
    again: true,
    run: async (firecrest, system, { from, to }) => {
      await firecrest.files.extract(system, from, to);
      return done;
    },
  }),
  rm: operation({
    scope: "files:write",
    input: z.strictObject({ path, ...inJobs }),
    paths: ({ path: p }) => [["path", "remove", p]],
    job: ({ path: p }) => ({ op: "remove", path: p }),
    again: true,
    run: async (firecrest, system, { path: p }) => {
      await firecrest.files.remove(system, p);
      return done;
    },
  }),
};

function pathsOf(operationName: PathOperation) {
  return ({ from, to }: { from: string; to: string }): [string, PathOperation, string][] => [
    ["from", operationName, from],
    ["to", operationName, to],
  ];
}

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
