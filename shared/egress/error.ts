/** What can go wrong on the way to a URL that somebody else chose. */
import type { RefusalReason } from "./rules.ts";

export type EgressFailure =
  /** Not allowed; the same URL will be refused again. */
  | { code: "refused"; reason: RefusalReason }
  /** Its name could not be looked up now: try later. */
  | { code: "unresolved"; reason: "unresolved" }
  | { code: "timeout"; reason: "timeout" }
  | { code: "network"; reason: "network" }
  /** The answer is larger than whoever reads it can use. */
  | { code: "too_large"; reason: "too_large" };

/** Constant, so that nobody learns from it what a name resolved to or what is where inside. */
const PUBLIC_TEXT = {
  refused: "this address is not allowed",
  unresolved: "this address could not be looked up",
  timeout: "this address did not answer in time",
  network: "this address could not be reached",
  too_large: "the answer was too large",
} as const satisfies Record<EgressFailure["code"], string>;

/** `message` may be shown to anybody; `reason` and `cause` are for the log. */
export class EgressError extends Error {
  override readonly name = "EgressError";
  readonly code: EgressFailure["code"];
  readonly reason: EgressFailure["reason"];

  constructor({ code, reason }: EgressFailure, cause?: unknown) {
    super(PUBLIC_TEXT[code], { cause });
    this.code = code;
    this.reason = reason;
  }
}
