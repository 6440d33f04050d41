/**
 * Effects: everything that changes the far side is planned in a row before it is sent.
 *
 *     planned → sent → done | refused | unknown          unknown → planned (sent again) | done | refused
 *
 * A queue message carries the effect's id; `begin` commits `sent` before anything leaves, so a second copy of the message
 * finds it sent and does nothing. A `sent` row past its deadline is `unknown`: it goes to its kind's reconcile step, never to
 * a plain retry. Its sender may still be heard of: the late outcome of the latest attempt counts as if it had come in time.
 */
import type { Retry } from "../contract/states.ts";

export const EFFECT_STATES = ["planned", "sent", "done", "refused", "unknown"] as const;
export type EffectState = (typeof EFFECT_STATES)[number];

/** In the poller Worker: what talks to FirecREST. In the transfer Worker: what moves bytes. */
export const FAR_EFFECTS = [
  "submit",
  "cancel",
  "list",
  "compress",
  "stage",
  "release",
  "verify",
  "hash",
  "split",
  "tidy",
  "prepare",
  "upload",
  "deliver",
  "file_job",
] as const;
export const BYTE_EFFECTS = ["copy", "complete", "abort", "put_empty", "inspect", "fetch", "send", "discard"] as const;
export type FarEffect = (typeof FAR_EFFECTS)[number];
export type ByteEffect = (typeof BYTE_EFFECTS)[number];
export type EffectKind = FarEffect | ByteEffect;

/** Small jobs of ours, see `workers/poller/errands.ts`. */
export const isErrand = (kind: EffectKind): kind is "hash" | "split" => kind === "hash" || kind === "split";

export const isByteEffect = (kind: EffectKind): kind is ByteEffect =>
  (BYTE_EFFECTS as readonly string[]).includes(kind);

export const EFFECT_STEPS = {
  planned: ["sent", "refused"],
  sent: ["done", "refused", "unknown", "planned"],
  unknown: ["planned", "done", "refused"],
  done: [],
  refused: [],
} as const satisfies Record<EffectState, readonly EffectState[]>;

/** How long a sent effect may stay unreported, in ms: longer than the work can take, short enough to notice a crash. */
export const DEADLINE_MS: Record<EffectKind, number> = {
  submit: 90_000,
  cancel: 90_000,
  list: 120_000,
  compress: 120_000,
  stage: 120_000,
  release: 90_000,
  verify: 120_000,
  hash: 90_000,
  split: 90_000,
  tidy: 90_000,
  prepare: 120_000,
  upload: 120_000,
  deliver: 120_000,
  file_job: 90_000,
  copy: 90_000,
  complete: 120_000,
  abort: 60_000,
  put_empty: 60_000,
  inspect: 90_000,
  fetch: 90_000,
  send: 90_000,
  discard: 60_000,
};

/** Requests to FirecREST that one effect costs at most in the usual case; taken from the budget by `begin`. */
export const REQUESTS: Record<EffectKind, number> = {
  submit: 4,
  cancel: 3,
  list: 2,
  compress: 4,
  stage: 5,
  release: 1,
  verify: 3,
  hash: 4,
  split: 4,
  tidy: 2,
  prepare: 4,
  upload: 5,
  deliver: 1,
  file_job: 6,
  copy: 0,
  complete: 0,
  abort: 0,
  put_empty: 0,
  inspect: 0,
  fetch: 0,
  send: 0,
  discard: 0,
};

/** Whose turn it is where several wait for the budget: cancels, then what ends what was begun, then new work. The oldest first. */
export function turnOf(kind: FarEffect): number {
  if (kind === "cancel") return 0;
  return kind === "submit" || kind === "prepare" || kind === "file_job" ? 2 : 1;
}

/**
 * What a failed effect means, by kind. `again`: nothing happened, or happening twice is harmless. `check`: look first.
 * Submissions (of people's jobs, and of ours that pack, hash and cut), stagings, uploads and file jobs leave something behind
 * that a second one would double or undo.
 */
export function afterFailure(kind: EffectKind, retry: Retry): "again" | "check" | "refused" {
  if (retry === "never") return "refused";
  if (retry === "later") return "again";
  return (["submit", "compress", "stage", "hash", "split", "upload", "file_job"] as EffectKind[]).includes(kind)
    ? "check"
    : "again";
}

/** Nobody is waited for longer than this at once: who asks for a year is asked again in an hour. */
const LONGEST_WAIT_MS = 3_600_000;

/** Delay before an effect is tried again, in ms: 2 s doubling to 5 min, never before what the far side asked for. */
export function retryDelayMs(attempt: number, random: number, retryAfterSeconds = 0): number {
  const grown = Math.min(300_000, 2_000 * 2 ** Math.min(attempt, 10));
  return Math.max(Math.min(LONGEST_WAIT_MS, retryAfterSeconds * 1000), grown * (0.75 + 0.25 * random));
}

/** Look-ups after an ambiguous submission, in ms after the attempt. */
export const LOOKUP_OFFSETS_MS = [5_000, 20_000, 60_000, 180_000] as const;
/** "Not there" counts only this long after the attempt, */
export const ABSENCE_COUNTS_AFTER_MS = 180_000;
/** twice, this far apart. */
export const ABSENCE_APART_MS = 60_000;
/** A job is sent again at most this often in its life. */
export const RESEND_MAX = 2;

export interface Ambiguity {
  sentAt: number;
  lookups: number;
  /** When the first conclusive "not there" was seen. */
  absentAt?: number;
}

export type LookupVerdict =
  | { do: "adopt"; schedulerId: string; several: boolean }
  | { do: "resend" }
  | { do: "give_up" }
  | { do: "wait"; untilMs: number; ambiguity: Ambiguity };

/**
 * Decides after one look for a job by its name. `matches` are rows that carry exactly our name; a FAILED row that never ran
 * is only the refusal of our own submission and is not adopted.
 */
export function lookedUp(
  ambiguity: Ambiguity,
  look:
    | { requestedAt: number; conclusive: boolean; matches: { schedulerId: string; state: string; ran: boolean }[] }
    | undefined,
  resends: number,
  now: number,
): LookupVerdict {
  const adoptable = (look?.matches ?? []).filter((match) => match.state !== "failed" || match.ran);
  const oldest = adoptable.toSorted((a, b) => compareIds(a.schedulerId, b.schedulerId))[0];
  if (oldest !== undefined) return { do: "adopt", schedulerId: oldest.schedulerId, several: adoptable.length > 1 };

  const lookups = ambiguity.lookups + 1;
  const counts = look?.conclusive === true && look.requestedAt - ambiguity.sentAt >= ABSENCE_COUNTS_AFTER_MS;
  if (counts && ambiguity.absentAt !== undefined && look.requestedAt - ambiguity.absentAt >= ABSENCE_APART_MS) {
    return resends < RESEND_MAX ? { do: "resend" } : { do: "give_up" };
  }
  const next: Ambiguity = { ...ambiguity, lookups };
  if (counts && ambiguity.absentAt === undefined) next.absentAt = look.requestedAt;
  const offset = LOOKUP_OFFSETS_MS[lookups];
  const untilMs = offset === undefined ? now + ABSENCE_APART_MS : Math.max(now + 1_000, ambiguity.sentAt + offset);
  return { do: "wait", untilMs, ambiguity: next };
}

/** Numeric scheduler ids in order of age; anything else by text. */
function compareIds(a: string, b: string): number {
  const [x, y] = [Number.parseInt(a, 10), Number.parseInt(b, 10)];
  return Number.isNaN(x) || Number.isNaN(y) || x === y ? a.localeCompare(b) : x - y;
}
