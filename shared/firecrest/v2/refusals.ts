/**
 * What an error answer of FirecREST v2 means. Its status says little: 500 is a refused account, a cancelled job, another
 * user's job, a closed SSH port and a broken accounting database; 404 can hide a missing permission. So the texts decide
 * (`message` and `causedBy`), and the status only where no text is known.
 */
import { FirecrestError, type FirecrestErrorCode, type Retry } from "../errors.ts";
import { retryAfterSeconds } from "../http.ts";
import { siteText } from "../redact.ts";
import type { SiteAnswer } from "../transport.ts";
import { type Operation, wordFor } from "./operations.ts";
import { fields, list, text } from "./read.ts";

/** `lost`: nobody knows whether it took effect. A read may be repeated, a write only after a look. */
type Chance = Retry | "lost";
type Verdict = readonly [FirecrestErrorCode, Chance];
type Rule = readonly [RegExp, ...Verdict];

/** First match wins; the order is part of the meaning. */
const TEXTS: readonly Rule[] = [
  // The remote command ran out of time, or stopped reading: it may have finished all the same.
  [/Channel not open|timeout limit exceeded|exit status:124|Socket timed out/, "command_timeout", "lost"],
  // Nothing was run.
  [/Unable to open a new SSH channel|connection pool capacity exceeded/, "system_unavailable", "later"],
  [/is unhealthy\.|Could not connect to the endpoint URL/, "system_unavailable", "later"],
  [/Unable to contact slurm controller|slurm_load|slurm_persist_conn|slurmdbd/, "system_unavailable", "later"],
  // The same words stand for a connection that never came about and for one that died under a running command.
  [/Unable to establish SSH connection|SSH Protocol Error|SSH connection Reset/, "system_unavailable", "lost"],
  [/Connection refused/, "system_unavailable", "lost"],
  [/No SSH credentials found|claim is missing/, "permission_denied", "never"],

  [/MaxSubmitJob/, "scheduler_refused", "later"],
  [/accounting\/QOS policy/, "scheduler_refused", "never"],
  // "Not found" comes with "permission denied" when tar could not make a directory: the cause is the permission.
  [/[Pp]ermission denied|Operation not permitted/, "permission_denied", "never"],
  [/Unknown Job Id/i, "not_found", "never"],
  // An id that no job can have says nothing about the site.
  [/\bsqueue: .*Invalid job id/, "scheduler_refused", "never"],
  [/\b(sbatch|scancel|srun|sacct|scontrol|qsub|qdel|qstat): /, "scheduler_refused", "never"],
  [/Account parameter is required/, "scheduler_refused", "never"],

  [/System not found/, "unknown_system", "never"],
  [/does not match any of the defined filesystem|is not an absolute path/, "invalid_path", "never"],
  [/Unable to decode request|unexpected EOF while looking for matching/, "invalid_path", "never"],
  [/File exists/, "already_exists", "never"],
  [/Is a directory/, "is_a_directory", "never"],
  [/Not a directory/, "not_a_directory", "never"],
  [/No such file or directory|Job not found/, "not_found", "never"],
  [/too large|exceeded buffer limit/, "too_large", "never"],
  [/invalid (mode|user|group|spec)|not in gzip format|not look like a tar/, "invalid_request", "never"],
  // Reads of the scheduler, where the server keeps the reason to itself.
  [/Error executing Slurm command/, "system_unavailable", "later"],
  [/transfer method is not available|no attribute 'service_type'/, "not_supported", "never"],
];

const STATUSES: Record<number, Verdict> = {
  400: ["invalid_request", "never"],
  401: ["unauthorized", "never"],
  403: ["permission_denied", "never"],
  404: ["not_supported", "never"],
  405: ["not_supported", "never"],
  408: ["command_timeout", "lost"],
  413: ["too_large", "never"],
  424: ["system_unavailable", "lost"],
  501: ["not_supported", "never"],
  502: ["gateway", "lost"],
  503: ["system_unavailable", "lost"],
  504: ["gateway", "lost"],
};

/** The meaning of a tool's own words, as log files of transfer jobs hold them. */
export function codeOfText(said: string): FirecrestErrorCode | undefined {
  if (/file_not_found/.test(said)) return "not_found";
  return TEXTS.find(([pattern]) => pattern.test(said))?.[1];
}

function verdictOf(status: number, said: string): Verdict {
  const rule = TEXTS.find(([pattern]) => pattern.test(said));
  if (rule !== undefined) return [rule[1], rule[2]];
  return STATUSES[status] ?? (status < 500 ? ["invalid_request", "never"] : ["site_error", "lost"]);
}

/** Everything the answer says about the cause, for matching only. Validation dumps echo our own request: left out. */
export function saidBy(body: unknown): string {
  const { message, causedBy, errorType } = fields(body);
  if (errorType === "validation") return "";
  const causes = Array.isArray(causedBy) ? causedBy : [];
  return [message, ...causes].filter((part): part is string => typeof part === "string").join("\n");
}

const WRAPPINGS = [
  /^Unexpected \w+ command response\. exit_status:-?\d+ std_err:/,
  /^Remote process failed with exit status:-?\d+( and error message:)?/,
  /^Error executing Slurm command\.$/,
];

/** One readable line without the server's wrapping; "" where the answer says nothing. */
function shownText(body: unknown): string {
  const { errorType, data } = fields(body);
  if (errorType === "validation") {
    return list(fields(data).fields)
      .map((field) => [text(field.name), text(field.message)].filter((part) => part !== undefined).join(": "))
      .map(siteText)
      .join("; ");
  }
  const parts = saidBy(body)
    .split("\n")
    .map((line) => siteText(WRAPPINGS.reduce((rest, wrapping) => rest.replace(wrapping, ""), line)));
  return siteText([...new Set(parts)].filter((part) => part !== "").join("; "));
}

/** For answers that give no reason. */
const SILENT: Partial<Record<FirecrestErrorCode, string>> = {
  command_timeout: "the command ran out of time at the site",
  system_unavailable: "the site cannot reach its scheduler",
};

/** The error for an answer outside 2xx. `now`: milliseconds, for `Retry-After` dates. */
export function refusal(
  operation: Pick<Operation, "route" | "effect">,
  answer: SiteAnswer,
  now: number,
): FirecrestError {
  const [code, chance] = verdictOf(answer.status, saidBy(answer.body));
  const lost = operation.effect ? "after_check" : "later";
  const wait = retryAfterSeconds(answer.header, now);
  const said = shownText(answer.body) || (SILENT[code] ?? `the site answered ${answer.status}`);
  return new FirecrestError(`${wordFor(operation)}: ${said}`, {
    code,
    retry: chance === "lost" ? lost : chance,
    httpStatus: answer.status,
    ...(wait === undefined ? {} : { retryAfterSeconds: wait }),
    ...(answer.requestId === undefined ? {} : { requestId: answer.requestId }),
  });
}
