/** What Mattermost sends to us, in words of no platform. A command proves itself by its token, a click by what its button holds. */
import { sameSecret, sha256Hex } from "../bytes.ts";
import { type ChatInbound, PlatformId } from "../contract/chat.ts";
import { z } from "../contract/words.ts";
import { readAction } from "./action.ts";

const Slash = z.object({
  channel_id: PlatformId,
  user_id: PlatformId,
  user_name: z.string().max(255).default(""),
  text: z.string().default(""),
  token: z.string().min(1).max(4096),
  response_url: z.string().max(2048).optional(),
});

const Pressed = z.object({
  channel_id: PlatformId,
  user_id: PlatformId,
  user_name: z.string().max(255).default(""),
  post_id: PlatformId,
  context: z.object({ click: z.string().max(512) }),
});

/** Undefined for whatever does not prove that it comes from the workspace's own server. */
export async function readMattermost(
  body: string,
  isForm: boolean,
  proofs: { tokenHashes: readonly string[]; actionKey: string },
): Promise<ChatInbound | undefined> {
  return isForm ? readSlash(body, proofs.tokenHashes) : readPressed(body, proofs.actionKey);
}

async function readSlash(body: string, tokenHashes: readonly string[]): Promise<ChatInbound | undefined> {
  const read = Slash.safeParse(Object.fromEntries(new URLSearchParams(body)));
  if (!read.success) return undefined;
  const { channel_id, user_id, user_name, text, token, response_url } = read.data;
  const shown = await sha256Hex(token);
  const matches = await Promise.all(tokenHashes.map((hash) => sameSecret(hash, shown)));
  if (!matches.includes(true)) return undefined;
  return {
    kind: "command",
    // The trigger's id in the body makes each command another one; a repeat has the same.
    id: `slash:${await sha256Hex(body)}`,
    person: { id: user_id, name: user_name },
    channel: channel_id,
    ...(response_url ? { answerUrl: response_url } : {}),
    text,
  };
}

async function readPressed(body: string, actionKey: string): Promise<ChatInbound | undefined> {
  const read = Pressed.safeParse(parsed(body));
  if (!read.success) return undefined;
  const { channel_id, user_id, user_name, context } = read.data;
  const action = await readAction(actionKey, context.click);
  if (action === undefined) return undefined;
  return {
    kind: "action",
    id: `press:${await sha256Hex(body)}`,
    person: { id: user_id, name: user_name },
    channel: channel_id,
    action,
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
