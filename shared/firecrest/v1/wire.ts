/** Decoders of v1's bodies. Numbers are texts nearly everywhere, lists are arrays or objects, absent is `""`, `{}` or a word. */
import { count, fieldsOf, given, text } from "../decode.ts";
import type { FileEntry, FileStat, SiteParameters, SystemStatus, UploadForm } from "../port.ts";
import { type Exit, parseElapsed, parseExit } from "../states.ts";

/** A job as the queue (squeue) lists it. */
export interface QueueRow {
  id: string;
  name?: string;
  state: string;
  elapsedSeconds?: number;
  remainingSeconds?: number;
  nodes?: string;
  pendingReason?: string;
  stdoutPath?: string;
  stderrPath?: string;
  workingDirectory?: string;
}

/** A job as accounting (sacct) lists it. Its dates are the site's local time, without zone, and are not read. */
export interface AccountingRow {
  id: string;
  name?: string;
  state: string;
  exit: Exit;
  elapsedSeconds?: number;
  nodes?: string;
  /** Accounting does not know the job yet. */
  skeleton: boolean;
}

/** A finished submission. Without `jobId` nothing was submitted, whatever the task's status says. */
export interface Submitted {
  jobId?: string;
  stdoutPath?: string;
  stderrPath?: string;
  workingDirectory?: string;
  /** Something went wrong after the submission. */
  warning?: string;
}

/** A list as v1 gives it: an array, or an object with the keys "0", "1", …; `{}` when empty. */
function rows(data: unknown): Record<string, unknown>[] {
  return (Array.isArray(data) ? data : Object.values(fieldsOf(data))).map(fieldsOf).filter((row) => "jobid" in row);
}

/** `start_time` holds the elapsed time and `time` the start: read by shape, in case that is ever repaired. */
export function decodeQueue(data: unknown): QueueRow[] {
  return rows(data).map((row) => {
    const list = text(row.nodelist);
    const waiting = list?.startsWith("(") ? list.slice(1, -1) : undefined;
    const stdoutPath = sitePath(row.job_file_out);
    return {
      id: text(row.jobid) ?? "",
      state: text(row.state) ?? "",
      ...given({
        name: text(row.name),
        elapsedSeconds: parseElapsed(row.start_time) ?? parseElapsed(row.time),
        remainingSeconds: parseElapsed(row.time_left),
        nodes: waiting === undefined ? list : undefined,
        pendingReason: waiting === "None" ? undefined : waiting,
        stdoutPath,
        stderrPath: sitePath(row.job_file_err),
        workingDirectory: directoryOf(sitePath(row.job_file)),
      }),
    };
  });
}

export function decodeAccounting(data: unknown): AccountingRow[] {
  return rows(data).map((row) => {
    const nodes = text(row.nodelist);
    const skeleton = row.name === "allocation" && text(row.partition) === undefined;
    return {
      id: text(row.jobid) ?? "",
      state: text(row.state) ?? "",
      exit: parseExit(row.exit_code),
      skeleton,
      ...given({
        name: skeleton ? undefined : text(row.name),
        elapsedSeconds: parseElapsed(row.elapsed_time),
        nodes: nodes === "None assigned" ? undefined : nodes,
      }),
    };
  });
}

const INFO_COMPLETE = "Job info returned successfully";

export function decodeSubmitted(data: unknown): Submitted {
  const fields = fieldsOf(data);
  const id = text(fields.jobid);
  const info = text(fields.job_info_extra);
  const stdoutPath = sitePath(fields.job_file_out);
  return given({
    jobId: id !== undefined && /^\d+$/.test(id) ? id : undefined,
    stdoutPath,
    stderrPath: sitePath(fields.job_file_err),
    workingDirectory: directoryOf(sitePath(fields.job_file)),
    warning: info === INFO_COMPLETE ? undefined : info,
  });
}

/** An absolute path; not `Not available`, `stdout-file-not-found`, nor an array's path with a number for "no element". */
function sitePath(value: unknown): string | undefined {
  const path = text(value);
  return path?.startsWith("/") && !path.includes("_4294967294") ? path : undefined;
}

const directoryOf = (path: string | undefined): string | undefined =>
  path?.slice(0, Math.max(1, path.lastIndexOf("/")));

/** The link of a finished staging: in an object, or since before 1.13.1 as it is. A secret. */
export function decodeStagedLink(data: unknown): string | undefined {
  const url = text(fieldsOf(data).url) ?? text(data);
  return url !== undefined && URL.canParse(url) ? url : undefined;
}

/** The file that a staging task was made for. */
export const decodeStagingSource = (data: unknown): string | undefined => text(fieldsOf(data).source);

/** The form of an upload that waits for its file. The fields go before the file, none may be added. A secret. */
export function decodeUploadForm(data: unknown): UploadForm | undefined {
  const parameters = fieldsOf(fieldsOf(fieldsOf(data).msg).parameters);
  const url = text(parameters.url);
  if (url === undefined || !URL.canParse(url) || parameters.method !== "POST") return undefined;
  const fields = Object.entries(fieldsOf(parameters.data)).map(([name, value]) => [name, String(value ?? "")]);
  return { kind: "form", url, fields: Object.fromEntries(fields) as Record<string, string> };
}

export function decodeStat(output: unknown): FileStat | undefined {
  const fields = fieldsOf(output);
  const [size, mode, uid, gid, mtime] = [fields.size, fields.mode, fields.uid, fields.gid, fields.mtime].map(count);
  if (size === undefined || mode === undefined || mtime === undefined) return undefined;
  return { size, mode, uid: uid ?? 0, gid: gid ?? 0, mtime, isDirectory: (mode & 0o170000) === 0o040000 };
}

export function decodeEntries(output: unknown): FileEntry[] {
  return (Array.isArray(output) ? output.map(fieldsOf) : []).map((entry) => ({
    name: unescapeName(text(entry.name) ?? ""),
    type: text(entry.type) ?? "-",
    user: text(entry.user) ?? "",
    group: text(entry.group) ?? "",
    permissions: text(entry.permissions) ?? "",
    lastModified: text(entry.last_modified) ?? "",
    size: count(entry.size) ?? 0,
    ...given({ linkTarget: maybeUnescaped(text(entry.link_target)) }),
  }));
}

const maybeUnescaped = (name: string | undefined) => (name === undefined ? undefined : unescapeName(name));

const ESCAPES: Record<string, number> = { a: 7, b: 8, t: 9, n: 10, v: 11, f: 12, r: 13 };

/** `ls` on a login node with a plain locale escapes names: `caf\303\251.txt`, `new\nline`. */
export function unescapeName(name: string): string {
  if (!name.includes("\\") || name.length > 16_384) return name;
  const bytes: number[] = [];
  for (const [piece] of name.matchAll(/\\([0-3][0-7]{2}|.)|[^\\]+|\\/gsu)) {
    const escaped = piece.length > 1 && piece.startsWith("\\") ? piece.slice(1) : undefined;
    if (escaped === undefined) bytes.push(...new TextEncoder().encode(piece));
    else if (/^[0-3][0-7]{2}$/.test(escaped)) bytes.push(Number.parseInt(escaped, 8));
    else bytes.push(...(ESCAPES[escaped] === undefined ? new TextEncoder().encode(escaped) : [ESCAPES[escaped]]));
  }
  return new TextDecoder().decode(new Uint8Array(bytes));
}

/** A system whose file system is missing is still `available`; the description tells. */
export function decodeSystems(systemsBody: unknown, filesystemsBody: unknown): SystemStatus[] {
  const out = fieldsOf(systemsBody).out;
  const mounted = fieldsOf(fieldsOf(filesystemsBody).out);
  return (Array.isArray(out) ? out : [out]).map(fieldsOf).flatMap((system) => {
    const name = text(system.system);
    if (name === undefined) return [];
    const list = mounted[name];
    const paths = (Array.isArray(list) ? list : []).map((fileSystem) => text(fieldsOf(fileSystem).path));
    return [
      {
        name,
        available: system.status === "available",
        description: text(system.description) ?? "",
        fileSystems: paths.filter((path) => path !== undefined).map((path) => ({ path, defaultWorkDir: false })),
      },
    ];
  });
}

const MIB = 1024 * 1024;

/** Files come as base64 through a command whose whole output must stay below the limit. */
const directLimit = (limitBytes: number): number => Math.floor((limitBytes - 1) / 4) * 3;

/** The limit of an upload counts its whole form: boundaries, headers, and the file's and the directory's names. */
const FORM_BYTES = 8_192;

/** Sections hold lists of `{name, value, unit}`; all values are texts. */
export function decodeParameters(body: unknown): SiteParameters {
  const all = new Map<string, unknown>();
  for (const section of Object.values(fieldsOf(fieldsOf(body).out))) {
    for (const parameter of (Array.isArray(section) ? section : []).map(fieldsOf)) {
      all.set(text(parameter.name) ?? "", parameter.value);
    }
  }
  const mebibytes = (name: string) => {
    const value = count(all.get(name));
    return value === undefined ? undefined : Math.floor(value * MIB);
  };
  const commandOutput = mebibytes("UTILITIES_MAX_FILE_SIZE");
  return given({
    version: text(all.get("FIRECREST_VERSION")),
    scheduler: text(all.get("WORKLOAD_MANAGER")),
    objectStorage: text(all.get("OBJECT_STORAGE")),
    stagingTtlSeconds: count(all.get("STORAGE_TEMPURL_EXP_TIME")),
    stagingMaxBytes: mebibytes("STORAGE_MAX_FILE_SIZE"),
    directMaxBytes: commandOutput === undefined ? undefined : directLimit(commandOutput),
    directUploadMaxBytes: commandOutput === undefined ? undefined : commandOutput - FORM_BYTES,
    commandTimeoutSeconds: count(all.get("UTILITIES_TIMEOUT")),
  });
}
