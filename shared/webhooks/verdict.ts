/** What a check of a signature can say, for inbound requests and for our own callbacks alike. */

/**
 * Why a request was not believed. For the log only: the sender is told nothing more than that it was refused.
 * `not_configured` is our side's fault (no secret, a broken one, an unknown scheme): nothing is believed then.
 */
export type Refusal =
  | "not_configured"
  | "missing_id"
  | "malformed_id"
  | "missing_timestamp"
  | "malformed_timestamp"
  | "stale_timestamp"
  | "future_timestamp"
  | "missing_signature"
  | "malformed_signature"
  | "unknown_version"
  | "bad_signature"
  | "missing_token"
  | "bad_token";

export type Verdict =
  /** `messageId` is the sender's own key for recognising a repeat; `timestampSeconds` is there where the sender signs a time. */
  { ok: true; messageId?: string; timestampSeconds?: number } | { ok: false; reason: Refusal };

export const refused = (reason: Refusal): { ok: false; reason: Refusal } => ({ ok: false, reason });

/** How far a signed time may be from ours, either way. What every library of these schemes uses. */
export const TOLERANCE_SECONDS = 300;

/** Whole decimal seconds, nothing else: `161.0`, `161abc`, `+161` and leading zeros are not what was signed. */
export function readTimestamp(
  text: string | null,
  nowSeconds: number,
): { ok: true; seconds: number } | { ok: false; reason: Refusal } {
  if (text === null || text === "") return refused("missing_timestamp");
  if (!/^(0|[1-9]\d{0,14})$/.test(text)) return refused("malformed_timestamp");
  const seconds = Number(text);
  if (nowSeconds - seconds > TOLERANCE_SECONDS) return refused("stale_timestamp");
  if (seconds - nowSeconds > TOLERANCE_SECONDS) return refused("future_timestamp");
  return { ok: true, seconds };
}
