/**
 * What v1's refusals mean. Nearly all are 400 whatever the cause: the kind is in an `X-…` header, in `X-Error`'s free
 * text, or in the words of the body. All of them come before anything was done, except time-outs and 5xx.
 */
import { FirecrestError, type FirecrestErrorCode, type Retry } from "../errors.ts";
import { siteText } from "../redact.ts";
import { errorText, type SiteAnswer } from "../transport.ts";

type Meaning = [code: FirecrestErrorCode, retry: Retry | "if_no_effect"];

/** Both spellings of the first are on the wire, depending on the service. */
const HEADERS: Record<string, Meaning> = {
  "x-machine-does-not-exist": ["unknown_system", "never"],
  "x-machine-does-not-exists": ["unknown_system", "never"],
  "x-machine-not-available": ["system_unavailable", "later"],
  "x-permission-denied": ["permission_denied", "never"],
  "x-invalid-path": ["not_found", "never"],
  "x-not-found": ["not_found", "never"],
  "x-exists": ["already_exists", "never"],
  "x-not-a-directory": ["not_a_directory", "never"],
  "x-a-directory": ["is_a_directory", "never"],
  "x-timeout": ["command_timeout", "if_no_effect"],
  "x-size-limit": ["too_large", "never"],
  "x-invalid-mode": ["invalid_request", "never"],
  "x-invalid-owner": ["invalid_request", "never"],
  "x-invalid-group": ["invalid_request", "never"],
  "x-sbatch-error": ["scheduler_refused", "never"],
};

/** For `X-Error`, for the body, and for the error texts of tasks and job logs. First match wins. */
const TEXTS: [RegExp, ...Meaning][] = [
  [/command has finished with timeout signal/i, "command_timeout", "if_no_effect"],
  [/exceeded buffer limit|is over \d+|exceeds size limit|file too large/i, "too_large", "never"],
  [/no space left|disk quota exceeded/i, "no_space", "never"],
  [/codec can't decode/i, "unreadable_answer", "never"],
  [
    /connection refused|name or service not known|no route to host|timed out|unreachable/i,
    "system_unavailable",
    "later",
  ],
  [
    /unable to contact slurm|persistent connection|PersistInit|Invalid user for SlurmUser/i,
    "system_unavailable",
    "later",
  ],
  [/error creating task|couldn't create task|failed to upload file$|token has expired/i, "site_error", "later"],
  [/failed to connect to staging|staging area auth error|could not create container/i, "site_error", "later"],
  [
    /permission denied|operation not permitted|does not have permission|invalid task owner/i,
    "permission_denied",
    "never",
  ],
  [/authentication failed/i, "permission_denied", "never"],
  [/(path'|filename) has invalid char/i, "invalid_path", "never"],
  [/'\w+' (has invalid char|not specified|is empty)|invalid json/i, "invalid_request", "never"],
  [/machine does not exist|system does not exist/i, "unknown_system", "never"],
  [/no such file|cannot access|is an invalid path|does not exist|invalid x-task-id/i, "not_found", "never"],
  [/file exists|already exists/i, "already_exists", "never"],
  [/not a directory/i, "not_a_directory", "never"],
  [/is a directory|cannot overwrite directory/i, "is_a_directory", "never"],
  [/sbatch: |scancel: |invalid account|invalid partition/i, "scheduler_refused", "never"],
  // The services' whole answer when the SSH connection fails in a way that they have no header for.
  [/^failed to (retrieve|submit|delete) [a-z ]*$/i, "system_unavailable", "later"],
  [/^invalid$/i, "not_supported", "never"],
];

/** The error that an answer outside 2xx means. */
export function refusal(operation: string, answer: SiteAnswer, effect: boolean): FirecrestError {
  const said = errorText(answer.body);
  const [code, retry] = meaningOf(answer, said);
  const words = said || siteText(headerText(answer)) || `the site answered ${answer.status}`;
  return new FirecrestError(`${operation}: ${words}`, {
    code,
    retry: retry === "if_no_effect" ? (effect ? "after_check" : "later") : retry,
    httpStatus: answer.status,
    ...(answer.requestId === undefined ? {} : { requestId: answer.requestId }),
  });
}

/** Code of an error text that came inside an answer: of a task, or of a job's error log. */
export function codeOf(text: string): FirecrestErrorCode {
  return TEXTS.find(([pattern]) => pattern.test(text.trim()))?.[1] ?? "site_error";
}

/**
 * Whether sbatch itself said that it submitted nothing. Everything else that ends a submission's task with 400 may
 * have left a job behind: v1 calls it a failure when sbatch writes a warning.
 */
export function isCertainRefusal(text: string): boolean {
  const unanswered = /timed? ?out|unable to contact|connect|communicat|zero bytes|temporarily|try again/i;
  const refused = /sbatch: (error|fatal): |sbatch: (unrecognized|invalid|ambiguous) option|sbatch: option /i;
  return /^failed to upload file$/i.test(text.trim()) || (refused.test(text) && !unanswered.test(text));
}

function meaningOf(answer: SiteAnswer, said: string): Meaning {
  for (const [header, meaning] of Object.entries(HEADERS)) {
    if (answer.header(header) !== undefined) return meaning;
  }
  if (answer.status === 413) return ["too_large", "never"];
  if (answer.status === 502 || answer.status === 503 || answer.status === 504) return ["gateway", "if_no_effect"];
  if (answer.status >= 500) return ["site_error", "if_no_effect"];
  const free = answer.header("x-error");
  // What is left of an exception without a message: the service that signs for SSH is down.
  if (free === "None") return ["system_unavailable", "later"];
  const text = free ?? said;
  const known = TEXTS.find(([pattern]) => pattern.test(text) || pattern.test(said));
  if (known !== undefined) return [known[1], known[2]];
  if (answer.status === 403) return ["permission_denied", "never"];
  if (answer.status === 404 || answer.status === 405) return [said === "" ? "not_supported" : "not_found", "never"];
  return ["invalid_request", "never"];
}

function headerText(answer: SiteAnswer): string | undefined {
  const name = [...Object.keys(HEADERS), "x-error"].find((header) => answer.header(header) !== undefined);
  return name === undefined ? undefined : answer.header(name);
}
