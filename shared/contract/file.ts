/** File operations on a system, for people and scripts: one short command each, at the site's own time limit. */
import { HpcPath, JobId, SchedulerWord, z } from "./words.ts";

/** Files that go through directly; larger ones are transfers. The site's own limit may be lower. */
export const DIRECT_MAX_BYTES = 16 * 1024 * 1024;

const AbsolutePath = HpcPath.refine((path) => path.startsWith("/"), "must be absolute").openapi({
  example: "/scratch/alice/results",
});

/** In a query a truth value is a word. */
const Flag = z.enum(["true", "false"]).transform((word) => word === "true");
const OnePath = z.strictObject({ path: AbsolutePath });
/** What may run as a batch job of the site, which a few seconds' limit does not end. */
const AsJob = {
  /** Run it as a job of the site from the start. Without it that happens where nothing else is possible. */
  asJob: z.boolean().optional(),
  /** Whom the site's job is charged to; else the connection's account. */
  account: SchedulerWord.optional(),
  /** A job of the connection, on the same system, that must succeed first; it makes this one a job of the site. v1 only. */
  after: JobId.optional(),
};
const TwoPaths = z.strictObject({ from: AbsolutePath, to: AbsolutePath, ...AsJob });
const Part = z.strictObject({
  path: AbsolutePath,
  lines: z.coerce.number().int().min(1).max(100_000).optional(),
  bytes: z.coerce.number().int().min(1).max(5_000_000).optional(),
});
const Owner = z.string().regex(/^[A-Za-z_][A-Za-z0-9_.-]{0,63}$/, "must be a user or group name");

/** Read by `GET …/files/{operation}?path=`. */
export const FILE_READS = {
  ls: z.strictObject({ path: AbsolutePath, hidden: Flag.optional(), recursive: Flag.optional() }),
  stat: z.strictObject({ path: AbsolutePath, dereference: Flag.optional() }),
  head: Part,
  tail: Part,
  view: OnePath,
  checksum: OnePath,
  file: OnePath,
  download: OnePath,
} as const;

/** Done by `POST …/files/{operation}` with JSON. */
export const FILE_WRITES = {
  mkdir: z.strictObject({ path: AbsolutePath, parents: z.boolean().optional() }).openapi("MakeDirectory"),
  move: TwoPaths.openapi("Move"),
  copy: TwoPaths.openapi("Copy"),
  rsync: TwoPaths.omit({ asJob: true }).openapi("Rsync"),
  symlink: z.strictObject({ target: AbsolutePath, link: AbsolutePath }).openapi("Symlink"),
  chmod: z
    .strictObject({ path: AbsolutePath, mode: z.string().regex(/^[0-7]{3,4}$/, "must be an octal mode such as 750") })
    .openapi("ChangeMode"),
  chown: z
    .strictObject({ path: AbsolutePath, owner: Owner.optional(), group: Owner.optional() })
    .refine(({ owner, group }) => owner !== undefined || group !== undefined, "needs owner, group or both")
    .openapi("ChangeOwner"),
  compress: TwoPaths.extend({ dereference: z.boolean().optional() }).openapi("Compress"),
  extract: TwoPaths.openapi("Extract"),
  rm: OnePath.extend(AsJob).openapi("Remove"),
} as const;

/** A file operation that the site runs as a batch job. */
export const FileOperation = z
  .object({
    op: z.enum(["move", "copy", "compress", "extract", "rsync", "remove"]),
    from: z.string().optional(),
    to: z.string().optional(),
    path: z.string().optional(),
  })
  .openapi("FileOperation");
export type FileOperation = z.infer<typeof FileOperation>;

export type FileRead = keyof typeof FILE_READS;
export type FileWrite = keyof typeof FILE_WRITES;

export const FileEntryView = z
  .object({
    name: z.string(),
    type: z.string(),
    linkTarget: z.string().optional(),
    user: z.string(),
    group: z.string(),
    permissions: z.string(),
    lastModified: z.string(),
    size: z.number(),
  })
  .openapi("FileEntry");

export const FileStatView = z
  .object({
    size: z.number(),
    mode: z.number(),
    uid: z.number(),
    gid: z.number(),
    mtime: z.number(),
    isDirectory: z.boolean(),
  })
  .openapi("FileStat");
