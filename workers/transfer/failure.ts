/** What can go wrong while bytes move, as the one word that the Tracker acts on. */
import type { ByteOutcome } from "../../shared/contract/work.ts";
import { EgressError } from "../../shared/egress/error.ts";

type Failed = Extract<ByteOutcome, { kind: "failed" }>;

/** `message` is shown to people and recorded: it never holds a link. */
export class CopyFailure extends Error {
  override readonly name = "CopyFailure";
  readonly why: Failed["why"];
  /** When the far side asked to be left alone for that long. */
  readonly retryAfterSeconds: number | undefined;

  constructor(
    why: Failed["why"],
    message: string,
    options: { retryAfterSeconds?: number | undefined; cause?: unknown } = {},
  ) {
    super(message, { cause: options.cause });
    this.why = why;
    this.retryAfterSeconds = options.retryAfterSeconds;
  }

  outcome(): Failed {
    const { why, message: detail, retryAfterSeconds } = this;
    return { kind: "failed", why, detail, ...(retryAfterSeconds !== undefined && { retryAfterSeconds }) };
  }
}

/** The Tracker said `go: false`: somebody cancelled, so nothing more may be moved. */
export class Stopped extends Error {
  override readonly name = "Stopped";
}

/** The Tracker did not answer: the only reason for a queue to deliver a message again. */
export class TrackerLost extends Error {
  override readonly name = "TrackerLost";
}

/** R2 ends its messages with its error code: `uploadPart: The specified multipart upload does not exist. (10024)`. */
const R2_CODE = /\((\d{5,6})\)\s*$/;

/** R2 has stored nothing, because the bytes do not hash to what was said. */
export const isDigestRefusal = (error: unknown): boolean =>
  error instanceof Error && R2_CODE.exec(error.message)?.[1] === "10037";

/** R2 codes that trying again cannot mend. Part or upload unknown: everything has to be sent again. */
const R2_FINAL: Record<string, Failed["why"]> = {
  "10024": "upload_gone",
  "10025": "upload_gone",
  "10011": "never", // a part is too small
  "10012": "never", // metadata too large
  "10020": "never", // the key is not valid
  "10029": "never", // an argument is not valid
  "10048": "never", // parts of unequal size
  "100100": "never", // too large
};

/**
 * Any error as a failure. What has no code of its own came from the network between us, the store and R2: it is tried again.
 * The text of such an error is not passed on, because runtimes quote URLs in them.
 */
export function asFailure(error: unknown): CopyFailure {
  if (error instanceof CopyFailure) return error;
  if (error instanceof EgressError)
    return new CopyFailure(error.code === "refused" ? "never" : "later", `the staged link: ${error.message}`, {
      cause: error,
    });
  const message = error instanceof Error ? error.message : "";
  const code = R2_CODE.exec(message)?.[1];
  if (code === undefined)
    return new CopyFailure("later", "the connection broke while bytes were moving", { cause: error });
  return new CopyFailure(R2_FINAL[code] ?? "later", `R2: ${message}`, { cause: error });
}
