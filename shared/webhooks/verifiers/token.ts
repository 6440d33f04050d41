/** Senders that show a shared token instead of signing. The token proves who sent it, not what was sent. */
import { sameSecret, sha256Hex } from "../../bytes.ts";
import { refused, type Verdict } from "../verdict.ts";
import { areUsable, type InboundMessage, type Verifier } from "./verifier.ts";

/** `Authorization: Bearer <token>`. `secrets` are SHA-256 hex of the tokens: nothing at rest can be shown as a token. */
export const bearer: Verifier = async (message) => {
  if (!areUsable(message.secrets) || !message.secrets.every((hash) => /^[0-9a-f]{64}$/.test(hash)))
    return refused("not_configured");
  const token = /^bearer +([^\s]+)$/i.exec(message.headers.get("authorization") ?? "")?.[1];
  if (token === undefined) return refused("missing_token");
  return compare(await sha256Hex(token), message, message.headers.get("idempotency-key"));
};

/** What `bearer` keeps of a token. */
export const hashBearerToken = (token: string): Promise<string> => sha256Hex(token);

/** GitLab's classic `X-Gitlab-Token`. */
export const gitlab: Verifier = async (message) => {
  if (!areUsable(message.secrets)) return refused("not_configured");
  const token = message.headers.get("x-gitlab-token");
  if (!token) return refused("missing_token");
  return compare(token, message, message.headers.get("idempotency-key"));
};

async function compare(shown: string, message: InboundMessage, messageId: string | null): Promise<Verdict> {
  const matches = await Promise.all(message.secrets.map((secret) => sameSecret(secret, shown)));
  if (!matches.includes(true)) return refused("bad_token");
  return { ok: true, ...(messageId && messageId.length <= 255 && { messageId }) };
}
