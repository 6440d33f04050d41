/**
 * What FirecREST v2 answers, read tolerantly: every server from the first releases to 2.5.x, Slurm over SSH and REST, and
 * PBS. Names that changed (snake_case directives in 2.4, flat transfer answers before, integer ids, list-valued states)
 * are read into one shape here, and nowhere else. Null, absent and empty mean the same. A row that cannot be read is left
 * out: one odd job must not hide the others.
 *
 * Times become milliseconds since the epoch; sizes are bytes.
 */
import { z } from "zod";
import type { Heartbeat } from "../port.ts";
import { jobRow } from "./job-row.ts";
import { count, epochMs, Fields, fields, flag, given, list, text, words } from "./read.ts";

/** Answers that hold one list under one key. `null` is an empty list. */
const listUnder = <T>(key: string, row: (fields: Fields) => T | undefined) =>
  Fields.transform((body) => list(body[key]).flatMap((item) => row(item) ?? []));

// ------------------------------------------------------------------------------------------------------------ status

export interface ServiceHealth {
  service: string;
  healthy: boolean;
  message?: string;
  path?: string;
  checkedAt?: number;
}

/** One machine of S1, with what `dataOperation` (mixed case) or its forerunners say about file transfers. */
export interface SystemRow {
  name: string;
  scheduler?: string;
  health: ServiceHealth[];
  fileSystems: { path: string; defaultWorkDir: boolean }[];
  commandTimeoutSeconds?: number;
  maxOpsFileBytes?: number;
  /** `s3`, `streamer`, `wormhole`; absent = the system has no transfer service. */
  transferMethod?: string;
  stagingTtlSeconds?: number;
  maxPartBytes?: number;
}

function systemRow(system: Fields): SystemRow | undefined {
  const name = text(system.name);
  if (name === undefined) return undefined;
  const data = fields(system.dataOperation);
  const transfer = fields(data.dataTransfer);
  // Before 2.5 one check stood for the whole system, and the limits had a room of their own.
  const checks = system.servicesHealth === undefined ? [fields(system.health)] : list(system.servicesHealth);
  return given({
    name,
    scheduler: text(fields(system.scheduler).type),
    health: checks.flatMap((check) => serviceHealth(check) ?? []),
    fileSystems: list(system.fileSystems).flatMap((fs) => {
      const path = text(fs.path);
      return path === undefined ? [] : [{ path, defaultWorkDir: flag(fs.defaultWorkDir) }];
    }),
    commandTimeoutSeconds:
      count(fields(fields(system.ssh).timeout).commandExecution) ?? count(fields(system.timeouts).sshCommandExecution),
    maxOpsFileBytes: count(data.maxOpsFileSize),
    transferMethod: text(transfer.serviceType),
    stagingTtlSeconds: count(transfer.ttl),
    maxPartBytes: count(fields(transfer.multipart).maxPartSize),
  });
}

function serviceHealth(check: Fields): ServiceHealth | undefined {
  if (typeof check.healthy !== "boolean") return undefined;
  return given({
    service: text(check.serviceType) ?? "system",
    healthy: check.healthy,
    message: text(check.message),
    path: text(check.path),
    checkedAt: instant(check.lastChecked),
  });
}

function instant(value: unknown): number | undefined {
  const at = Date.parse(text(value) ?? "");
  return Number.isNaN(at) ? undefined : at;
}

export const Systems = listUnder("systems", systemRow);

export const Nodes = listUnder("nodes", (node) =>
  named(node, { states: words(node.state), partitions: words(node.partitions), features: featuresOf(node.features) }),
);

/** One word, words with commas, or a list. */
const featuresOf = (value: unknown): string[] => words(value).flatMap((word) => word.split(",").filter(Boolean));

/** The field that holds a partition's state is called `partition`; its name was `partitionName` once. */
export const Partitions = listUnder("partitions", (row) =>
  named(
    { name: row.name ?? row.partitionName },
    { states: words(row.state ?? row.partition), cpus: count(row.cpus), nodes: count(row.totalNodes) },
  ),
);

export const Reservations = listUnder("reservations", (row) =>
  named(
    { name: row.name ?? row.reservationName },
    {
      nodes: text(row.nodeList ?? row.nodes),
      state: text(row.state)?.toUpperCase(),
      startsAt: epochMs(row.startTime),
      endsAt: epochMs(row.endTime),
    },
  ),
);

export const UserInfo = Fields.transform((body, context) => {
  const user = text(fields(body.user).name);
  if (user === undefined) return missing(context, "user.name");
  const accounts = list(body.accounts).flatMap((account) => {
    const name = text(account.name);
    return name === undefined ? [] : [{ name, isDefault: flag(account.default) }];
  });
  return { user, group: text(fields(body.group).name), accounts };
});

/** Which systems' health is looked at, and when it last was. */
export const Liveness = Fields.transform((body): Heartbeat[] =>
  Object.entries(body.healthcheckRuns ?? {}).map(([name, ranAt]) => {
    const at = instant(ranAt);
    return { name, alive: at !== undefined, ...given({ at }) };
  }),
);

// -------------------------------------------------------------------------------------------------------------- jobs

export const SubmittedJob = Fields.transform((body, context) => text(body.jobId) ?? missing(context, "jobId"));

export const Jobs = listUnder("jobs", jobRow);

export const JobMetadata = listUnder("jobs", (row) => {
  const jobId = text(row.jobId);
  return jobId === undefined
    ? undefined
    : given({ jobId, stdoutPath: text(row.standardOutput), stderrPath: text(row.standardError) });
});

// --------------------------------------------------------------------------------------------------------- transfers

/** The scheduler job behind T1–T7. Its log files are the only place that tells how it went. */
export interface TransferJob {
  jobId: string;
  system?: string;
  logs?: { output: string; error: string };
}

function transferJob(body: Fields): TransferJob | undefined {
  const job = fields(body.transferJob);
  const jobId = text(job.jobId);
  if (jobId === undefined) return undefined;
  const output = text(fields(job.logs).outputLog);
  const error = text(fields(job.logs).errorLog);
  return given({
    jobId,
    system: text(job.system),
    logs: output === undefined || error === undefined ? undefined : { output, error },
  });
}

export const FileJobStarted = Fields.transform((body, context) => transferJob(body) ?? missing(context, "transferJob"));

/** Before 2.4 the directives lay beside `transferJob`; the completion URL has changed its name since. */
const directivesOf = (body: Fields): Fields => ({ ...body, ...fields(body.transferDirectives) });

export const DownloadStarted = Fields.transform((body, context) => {
  const job = transferJob(body);
  const url = text(directivesOf(body).downloadUrl);
  if (job === undefined) return missing(context, "transferJob");
  if (url === undefined) return missing(context, "downloadUrl");
  return { ...job, url };
});

export const UploadStarted = Fields.transform((body, context) => {
  const job = transferJob(body);
  const directives = directivesOf(body);
  const partUrls = directives.partsUploadUrls;
  const completeUrl = text(directives.completeUploadUrl ?? directives.completeMultipartUploadUrl);
  const partBytes = count(directives.maxPartSize);
  if (job === undefined) return missing(context, "transferJob");
  if (!isTexts(partUrls)) return missing(context, "partsUploadUrls");
  if (completeUrl === undefined) return missing(context, "completeUploadUrl");
  if (partBytes === undefined) return missing(context, "maxPartSize");
  return { ...job, partUrls, completeUrl, partBytes };
});

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === "string");

// ------------------------------------------------------------------------------------------------------------- files

const TYPE_BITS = 0o170000;
const DIRECTORY_BITS = 0o040000;

export const Stat = Fields.transform((body, context) => {
  const stat = fields(body.output);
  const size = count(stat.size);
  const mode = count(stat.mode);
  const mtime = count(stat.mtime);
  if (size === undefined || mode === undefined || mtime === undefined) return missing(context, "size, mode or mtime");
  return {
    size,
    mode,
    uid: count(stat.uid) ?? 0,
    gid: count(stat.gid) ?? 0,
    mtime,
    isDirectory: (mode & TYPE_BITS) === DIRECTORY_BITS,
  };
});

function fileRow(row: Fields) {
  const name = text(row.name);
  if (name === undefined) return undefined;
  return given({
    name: unescapeName(name),
    type: text(row.type) ?? "-",
    linkTarget: mapped(text(row.linkTarget), unescapeName),
    user: text(row.user) ?? "",
    group: text(row.group) ?? "",
    permissions: text(row.permissions) ?? "",
    lastModified: text(row.lastModified) ?? "",
    size: count(row.size) ?? 0,
  });
}

export const FileList = listUnder("output", fileRow);
export const FileShown = Fields.transform(
  (body, context) => fileRow(fields(body.output)) ?? missing(context, "output"),
);
export const FileContent = Fields.transform((body, context) => contentOf(body.output) ?? missing(context, "output"));
export const PlainText = Fields.transform((body, context) =>
  typeof body.output === "string" ? body.output : missing(context, "output"),
);

const contentOf = (output: unknown): string | undefined => {
  const content = fields(output).content;
  return typeof content === "string" ? content : undefined;
};

export const Checksum = Fields.transform((body, context) => {
  const output = fields(body.output);
  const sum = text(output.checksum)?.toLowerCase();
  return sum !== undefined && /^[0-9a-f]{64}$/.test(sum) ? sum : missing(context, "a SHA-256");
});

const ESCAPES: Record<string, number> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, "\\": 92, '"': 34 };

/**
 * A name as `ls --quoting-style=c` printed it: bytes outside ASCII come as `\303\251`, a line break as `\n`. Names that
 * are no UTF-8 keep the replacement character; no operation could address them anyway.
 */
export function unescapeName(escaped: string): string {
  if (!escaped.includes("\\")) return escaped;
  const bytes: number[] = [];
  for (const [piece, octal, letter] of escaped.matchAll(/\\(?:([0-3][0-7]{2})|([abfnrtv\\"]))|[^\\]+|\\/g)) {
    if (octal !== undefined) bytes.push(Number.parseInt(octal, 8));
    else if (letter !== undefined) bytes.push(ESCAPES[letter] ?? 0);
    else bytes.push(...new TextEncoder().encode(piece));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

// ------------------------------------------------------------------------------------------------------------ helpers

const named = <T extends object>(row: { name?: unknown }, rest: T) => {
  const name = text(row.name);
  return name === undefined ? undefined : given({ name, ...rest });
};

const mapped = <T, U>(value: T | undefined, map: (value: T) => U): U | undefined =>
  value === undefined ? undefined : map(value);

function missing(context: z.core.$RefinementCtx, what: string): never {
  context.issues.push({ code: "custom", message: `without ${what}`, input: undefined });
  return z.NEVER;
}
