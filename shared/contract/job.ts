/** Jobs: what a caller asks for, and what everybody sees. */
import { FileOperation } from "./file.ts";
import { EventFilter } from "./filter.ts";
import { JobReason, JobStatus, TransferStatus } from "./states.ts";
import {
  cursorOf,
  HpcPath,
  isWellFormed,
  JobId,
  ObjectKey,
  PageQuery,
  PlainName,
  SchedulerWord,
  SystemName,
  Time,
  TransferId,
  utf8Bytes,
  WebUrl,
  z,
} from "./words.ts";

export const SCRIPT_MAX_BYTES = 256 * 1024;
export const ENV_VALUE_MAX_BYTES = 65_536;
export const ENV_TOTAL_MAX_BYTES = 96 * 1024;

/** What shells and Slurm own: a caller may not set these. */
const RESERVED_ENV =
  /^(PATH|IFS|PS4|ENV|_|PWD|OLDPWD|SHLVL|UID|EUID|PPID|GROUPS|FUNCNAME|DIRSTACK|PIPESTATUS|OPTIND|OPTARG|RANDOM|SRANDOM|SECONDS|LINENO|HISTCMD|SHELLOPTS|POSIXLY_CORRECT|BASH.*|EPOCH.*|LD_.*|SLURM_.*|SBATCH_.*)$/;

export const EnvName = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]{0,127}$/, "must be a shell variable name of at most 128 characters")
  .refine((name) => !RESERVED_ENV.test(name), "is owned by the shell or by Slurm; choose another name");

/** Any text without NUL; reaches the job byte for byte. */
export const EnvValue = z
  .string()
  .refine((v) => !v.includes("\u0000"), "must not contain NUL")
  .refine(isWellFormed, "must be well-formed Unicode (no lone surrogates)")
  .refine((v) => utf8Bytes(v) <= ENV_VALUE_MAX_BYTES, "must be at most 65,536 bytes of UTF-8");

export const Env = z
  .record(EnvName, EnvValue)
  .refine(
    (env) => Object.values(env).reduce((sum, value) => sum + utf8Bytes(value), 0) <= ENV_TOTAL_MAX_BYTES,
    "must be at most 98,304 bytes in all",
  );

export const Resources = z
  .strictObject({
    partition: SchedulerWord.optional(),
    qos: SchedulerWord.optional(),
    nodes: z.number().int().min(1).max(100_000).optional(),
    tasks: z.number().int().min(1).max(10_000_000).optional(),
    cpusPerTask: z.number().int().min(1).max(10_000).optional(),
    gpus: z.number().int().min(0).max(100_000).optional(),
    memoryMiB: z.number().int().min(1).max(100_000_000).optional(),
    timeLimitSeconds: z.number().int().min(1).max(31_536_000).optional(),
    constraint: SchedulerWord.optional(),
    reservation: SchedulerWord.optional(),
  })
  .openapi("Resources");
export type Resources = z.infer<typeof Resources>;

/** `whsec_` and the base64 of 24 to 64 bytes, padded or not. */
export const WebhookSecret = z
  .string()
  .regex(/^whsec_[A-Za-z0-9+/]+={0,2}$/, "must be whsec_ followed by base64")
  .refine((secret) => {
    const text = secret.slice("whsec_".length);
    const characters = text.replace(/=+$/, "").length;
    const isWhole = characters % 4 !== 1 && (characters === text.length || text.length % 4 === 0);
    const bytes = Math.floor((characters * 3) / 4);
    return isWhole && bytes >= 24 && bytes <= 64;
  }, "must be the base64 of 24 to 64 bytes");

export const JobCallback = z
  .strictObject({ url: WebUrl, events: EventFilter.optional(), secret: WebhookSecret.optional() })
  .openapi("JobCallback");

export const JobInput = z
  .strictObject({
    key: ObjectKey.optional(),
    url: WebUrl.optional(),
    path: HpcPath,
    /** Whether a file that is already there may be replaced. Default false. */
    overwrite: z.boolean().optional(),
  })
  .refine((i) => (i.key === undefined) !== (i.url === undefined), "needs exactly one of key and url")
  .openapi("JobInput");

/** Absent: `hash` up to 1 GiB where the site can do it, else `size`. Nothing is hashed on the machine that nobody asked for. */
export const VerifyMode = z.enum(["hash", "manifest", "size"]).openapi({
  description:
    "How the copy is to be proven: by the file's SHA-256 (at most 1 GiB), by hashes of all its parts that the HPC side makes (the job itself as it ends, else a small job), or by size and time. What was asked for is given, or the transfer fails. Default: hash where it can be done, else size.",
});

export const JobOutput = z
  .strictObject({
    path: HpcPath.openapi({
      description:
        "A file; with wildcards (`*`, `?`, `[a-c]`) every file that matches when the job has ended; with a slash at its end a directory, as one tar.gz.",
    }),
    key: ObjectKey.optional().openapi({
      description: "The object's key; what stands before the names of all matches where the path has wildcards.",
    }),
    when: z.enum(["success", "failure", "always"]).optional(),
    verify: VerifyMode.optional(),
    overwrite: z.boolean().optional(),
  })
  .openapi("JobOutput");

export const Labels = z
  .record(
    z.string().regex(/^[a-z0-9][a-z0-9_.-]{0,62}$/, "must be 1 to 63 of a-z, 0-9, _, . and -"),
    z.string().max(256).refine(isWellFormed),
  )
  .refine((labels) => Object.keys(labels).length <= 32, "must have at most 32 entries");

const Script = z
  .string()
  .min(1)
  .refine((s) => utf8Bytes(s) <= SCRIPT_MAX_BYTES, "must be at most 262,144 bytes")
  .refine((s) => isWellFormed(s) && !s.includes("\u0000"), "must be well-formed text without NUL");

export const JobRequest = z
  .strictObject({
    system: SystemName,
    script: Script.optional(),
    scriptPath: HpcPath.optional(),
    name: PlainName.optional(),
    account: SchedulerWord.optional(),
    resources: Resources.optional(),
    env: Env.optional(),
    workingDirectory: HpcPath.refine((p) => p.startsWith("/"), "must be absolute").optional(),
    inputs: z.array(JobInput).max(100).optional(),
    outputs: z.array(JobOutput).max(100).optional(),
    callbacks: z.array(JobCallback).max(10).optional(),
    ping: z.boolean().optional(),
    labels: Labels.optional(),
  })
  .refine((job) => (job.script === undefined) !== (job.scriptPath === undefined), {
    message: "needs exactly one of script and scriptPath",
    path: ["script"],
  })
  .openapi("JobRequest");
export type JobRequest = z.infer<typeof JobRequest>;

export const Warning = z.object({ code: z.string(), message: z.string() }).openapi("Warning");
export type Warning = z.infer<typeof Warning>;

/** A job as everybody sees it, and as events carry it. */
export const Job = z
  .object({
    id: JobId,
    connection: z.string(),
    system: z.string(),
    status: JobStatus,
    reason: JobReason.optional(),
    /** What the reason means here, in words, where there is more to say. */
    detail: z.string().optional(),
    schedulerId: z.string().optional(),
    schedulerState: z.string().optional(),
    exitCode: z.number().int().optional(),
    signal: z.number().int().optional(),
    run: z.number().int(),
    name: z.string().optional(),
    labels: z.record(z.string(), z.string()).optional(),
    acceptedAt: Time,
    submittedAt: Time.optional(),
    startedAt: Time.optional(),
    endedAt: Time.optional(),
    settledAt: Time.optional(),
    timeLimitSeconds: z.number().int().optional(),
    array: z
      .object({
        total: z.number(),
        succeeded: z.number(),
        failed: z.number(),
        cancelled: z.number(),
        running: z.number(),
        queued: z.number(),
        failedIndices: z.array(z.number()),
      })
      .optional(),
    /** `watched`: somebody else submitted it. */
    watched: z.boolean().optional(),
    inputs: z.array(z.object({ transferId: TransferId, path: z.string(), status: TransferStatus })).optional(),
    /** A file operation that the site runs as a job: it has succeeded when the files prove it. */
    operation: FileOperation.optional(),
    outputs: z.array(z.object({ transferId: TransferId, path: z.string(), key: z.string(), status: TransferStatus })),
    warnings: z.array(Warning),
  })
  .openapi("Job");
export type Job = z.infer<typeof Job>;

export const WatchRequest = z
  .strictObject({
    system: SystemName,
    schedulerId: z
      .string()
      .regex(/^[A-Za-z0-9_+[\].-]{1,64}$/, "must be a scheduler's job id")
      .optional(),
    name: z
      .string()
      .min(1)
      .max(235)
      .regex(/^[^,\u0000-\u001f'"]+$/, "must not contain commas, quotes or control characters")
      .optional(),
    callbacks: z.array(JobCallback).max(10).optional(),
    labels: Labels.optional(),
  })
  .refine((w) => (w.schedulerId === undefined) !== (w.name === undefined), {
    message: "needs exactly one of schedulerId and name",
    path: ["schedulerId"],
  })
  .openapi("WatchRequest");
export type WatchRequest = z.infer<typeof WatchRequest>;

export const JobsQuery = PageQuery.extend({
  cursor: cursorOf(JobId),
  status: JobStatus.optional(),
  system: SystemName.optional(),
  /** `key:value` */
  label: z
    .string()
    .max(320)
    .regex(/^[^:]+:.*$/, "must be key:value")
    .optional(),
});
export type JobsQuery = z.infer<typeof JobsQuery>;

export const JobGetQuery = z.object({
  wait: z.coerce.number().min(0).max(55).optional(),
  until: z.enum(["ended", "settled"]).optional(),
});

export const LogsQuery = z.object({
  stream: z.enum(["stdout", "stderr"]).optional(),
  /** Lines from the end. */
  tail: z.coerce.number().int().min(1).max(10_000).optional(),
  /** `true` for where others read along, as in the log of a pipeline: whatever looks like a secret is masked. */
  masked: z.enum(["true", "false"]).optional(),
});

export const AttachRequest = z
  .strictObject({
    /** For the shell, beside the job, on its first node. */
    command: z
      .string()
      .min(1)
      .max(4096)
      .regex(/^[^\u0000-\u0008\u000b-\u001f\u007f]*$/, "must not contain control characters")
      .refine((command) => command.isWellFormed(), "must be well-formed text"),
  })
  .openapi("AttachRequest");
export const AttachAnswer = z.object({ exitCode: z.number().int() }).openapi("AttachAnswer");

export const ResubmitRequest = z
  .strictObject({
    resources: Resources.optional(),
    env: Env.optional(),
    /** In place of the first one, or of a script on the site. */
    script: Script.optional(),
  })
  .openapi("ResubmitRequest");
export type ResubmitRequest = z.infer<typeof ResubmitRequest>;
