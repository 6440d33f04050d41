/** Error answers, in FirecREST's words and with its statuses, including those that mislead. */
import { NO_ROUTE, REFUSED } from "../access.ts";
import { ToolError } from "../host.ts";

export interface FieldError {
  location: "body" | "query" | "path";
  /** First element of the path only, also for nested fields. */
  name: string | number | null;
  message: string;
}

export class ApiError extends Error {
  override readonly name = "ApiError";
  readonly status: number;
  readonly causedBy: readonly string[] | null;
  readonly fields: readonly FieldError[] | undefined;
  /** An exception that nobody handled: such answers do not name the user. */
  readonly isUnhandled: boolean;
  /** A bearer that was refused; the real server sends it back. */
  readonly token: string | undefined;

  constructor(
    status: number,
    message: string,
    more: { causedBy?: readonly string[]; fields?: readonly FieldError[]; isUnhandled?: boolean; token?: string } = {},
  ) {
    super(message);
    this.status = status;
    this.causedBy = more.causedBy ?? null;
    this.fields = more.fields;
    this.isUnhandled = more.isUnhandled ?? false;
    this.token = more.token;
  }
}

export const unhandled = (what: string): ApiError => new ApiError(500, `(${what},)`, { isUnhandled: true });

export function invalid(fields: readonly FieldError[], isUnhandled = false): ApiError {
  const dump = fields.map(
    ({ location, name, message }) => `  {'loc': ('${location}', '${name}'), 'msg': '${message}'}`,
  );
  const count = `${fields.length} validation error${fields.length === 1 ? "" : "s"}`;
  return new ApiError(400, `${count}:\n${dump.join("\n")}`.toLowerCase(), { fields, isUnhandled });
}

/** A failed file command. Which text is looked for first decides: a missing file hides a missing permission. */
export function fileError(error: ToolError): ApiError {
  const { exitCode, stderr } = error;
  const suffix = exitCode === 124 ? "" : ` and error message:${stderr}`;
  return new ApiError(fileStatus(exitCode, stderr), `Remote process failed with exit status:${exitCode}${suffix}`);
}

function fileStatus(exitCode: number, stderr: string): number {
  if (exitCode === 124) return 408;
  if (stderr.includes("No such file or directory")) return 404;
  if (/Permission denied|Operation not permitted/.test(stderr)) return 403;
  return /File exists|invalid user/.test(stderr) ? 400 : 500;
}

export function slurmText({ exitCode, stderr }: Pick<ToolError, "exitCode" | "stderr">): string {
  return `Unexpected Slurm command response. exit_status:${exitCode} std_err:${stderr}\n`;
}

/** A failed scheduler command: 500, also for what will never work. */
export const slurmError = (error: ToolError): ApiError => new ApiError(500, slurmText(error));

/** Reads ask accounting and queue; one failing is enough. */
export const slurmReadError = (error: ToolError): ApiError =>
  new ApiError(500, "Error executing Slurm command.", { causedBy: [slurmText(error)] });

/** The login node cannot be reached, or does not know the user. The words depend on who asked. */
export function sshError({ exitCode }: ToolError, user: string, asked: "command" | "scheduler" | "status"): ApiError {
  if (exitCode === NO_ROUTE) return new ApiError(424, "Unable to establish SSH connection.");
  const text = exitCode === REFUSED ? "(111, 'Connection refused')" : `('No SSH credentials found for user:${user}',)`;
  if (asked === "command") return new ApiError(500, text, { isUnhandled: true });
  if (asked === "status") return new ApiError(500, exitCode === REFUSED ? "[Errno 111] Connection refused" : text);
  const causedBy = exitCode === REFUSED ? {} : { causedBy: [`No SSH credentials found for user:${user}`] };
  return new ApiError(500, "Error executing Slurm command.", causedBy);
}

/** Runs a command on the host and translates its failure. */
export async function running<T>(translate: (error: ToolError) => ApiError, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof ToolError ? translate(error) : error;
  }
}
