/** What can go wrong between us and a site. One question matters to whoever called: may it be tried again (`Retry`)? */
import type { Retry } from "../contract/states.ts";

export type { Retry };

/** Stable words for the log, for `connection` health and for messages to people. */
export type FirecrestErrorCode =
  | "invalid_path"
  | "not_found"
  | "permission_denied"
  | "already_exists"
  | "is_a_directory"
  | "not_a_directory"
  | "too_large"
  | "no_space"
  | "command_timeout"
  | "invalid_request"
  | "unknown_system"
  | "system_unavailable"
  | "unauthorized"
  | "token_refused"
  | "token_unavailable"
  | "rate_limited"
  | "scheduler_refused"
  | "not_supported"
  | "task_stuck"
  | "unreadable_answer"
  | "gateway"
  | "network"
  | "site_error";

export interface FirecrestErrorDetails {
  code: FirecrestErrorCode;
  retry: Retry;
  /** HTTP status of the answer, where there was one. */
  httpStatus?: number;
  /** From `Retry-After` (seconds or date) or `RateLimit-Reset`. */
  retryAfterSeconds?: number;
  /** The site's request id (`x-request-id`), for its operators. */
  requestId?: string;
  cause?: unknown;
}

/** `message` is safe to show to the connection's owner: it never holds a token, a link or a response header. */
export class FirecrestError extends Error {
  override readonly name = "FirecrestError";
  readonly code: FirecrestErrorCode;
  readonly retry: Retry;
  readonly httpStatus: number | undefined;
  readonly retryAfterSeconds: number | undefined;
  readonly requestId: string | undefined;

  constructor(message: string, details: FirecrestErrorDetails) {
    super(message, { cause: details.cause });
    this.code = details.code;
    this.retry = details.retry;
    this.httpStatus = details.httpStatus;
    this.retryAfterSeconds = details.retryAfterSeconds;
    this.requestId = details.requestId;
  }
}
