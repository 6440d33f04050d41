/** What Slack sends to us, in words of no platform. Read after its signature was checked on the raw body, never before. */
import { sha256Hex } from "../bytes.ts";
import { type ChatInbound, PlatformId } from "../contract/chat.ts";
import { z } from "../contract/words.ts";
import { readAction } from "./action.ts";
import { FORM_ID, FormMetadata } from "./form.ts";
import { SLACK_ACTION_PREFIX } from "./slack.ts";

export type FromSlack =
  | { kind: "challenge"; challenge: string }
  /** `teams`: whose request it is, the organisation included. */
  | { kind: "inbound"; teams: string[]; inbound: ChatInbound }
  /** Well-formed, and nothing for us to do. */
  | { kind: "nothing" };

const Challenge = z.object({ type: z.literal("url_verification"), challenge: z.string().max(4096) });

const Slash = z.object({
  team_id: PlatformId,
  enterprise_id: PlatformId.optional(),
  channel_id: PlatformId,
  user_id: PlatformId,
  user_name: z.string().max(255).default(""),
  text: z.string().default(""),
  trigger_id: z.string().min(1).max(255),
  response_url: z.string().max(2048),
});

const Whose = {
  team: z.object({ id: PlatformId }).nullish(),
  enterprise: z.object({ id: PlatformId }).nullish(),
  user: z.object({ id: PlatformId, username: z.string().optional(), name: z.string().optional() }),
};

const Pressed = z.object({
  type: z.literal("block_actions"),
  ...Whose,
  channel: z.object({ id: PlatformId }).nullish(),
  container: z.object({ message_ts: z.string().max(64).optional() }).optional(),
  response_url: z.string().max(2048).optional(),
  actions: z
    .array(z.object({ action_id: z.string(), value: z.string().optional(), action_ts: z.string().max(64) }))
    .min(1),
});

const FieldState = z.object({
  value: z.string().nullish(),
  selected_option: z.object({ value: z.string() }).nullish(),
  selected_options: z.array(z.object({ value: z.string() })).nullish(),
});

const Submitted = z.object({
  type: z.literal("view_submission"),
  ...Whose,
  view: z.object({
    id: PlatformId,
    callback_id: z.literal(FORM_ID),
    private_metadata: z.string().max(3_000),
    state: z.object({ values: z.record(z.string(), z.record(z.string(), FieldState)) }),
  }),
});

/** Undefined for what no Slack sends. `actionKey` binds the buttons of this workspace. */
export async function readSlack(body: string, isForm: boolean, actionKey: string): Promise<FromSlack | undefined> {
  if (!isForm) {
    const event = parsed(body);
    const challenge = Challenge.safeParse(event);
    if (challenge.success) return { kind: "challenge", challenge: challenge.data.challenge };
    return event === undefined ? undefined : { kind: "nothing" };
  }
  const fields = Object.fromEntries(new URLSearchParams(body));
  if (fields.payload === undefined) return readSlash(fields);
  const payload = parsed(fields.payload);
  const pressed = Pressed.safeParse(payload);
  if (pressed.success) return readPressed(pressed.data, actionKey);
  const submitted = Submitted.safeParse(payload);
  if (submitted.success) return readSubmitted(submitted.data);
  return payload === undefined ? undefined : { kind: "nothing" };
}

function readSlash(fields: Record<string, string>): FromSlack | undefined {
  const read = Slash.safeParse(fields);
  if (!read.success) return undefined;
  const { team_id, enterprise_id, channel_id, user_id, user_name, text, trigger_id, response_url } = read.data;
  return {
    kind: "inbound",
    teams: [team_id, enterprise_id].filter((id) => id !== undefined),
    inbound: {
      kind: "command",
      id: `slash:${trigger_id}`,
      person: { id: user_id, name: user_name },
      channel: channel_id,
      answerUrl: response_url,
      triggerId: trigger_id,
      text,
    },
  };
}

type Owner = Pick<z.infer<typeof Pressed>, "team" | "enterprise" | "user">;
const teamsOf = ({ team, enterprise }: Owner): string[] => [team?.id, enterprise?.id].filter((id) => id !== undefined);
const personOf = ({ user }: Owner) => ({ id: user.id, name: user.username ?? user.name ?? "" });

async function readPressed(pressed: z.infer<typeof Pressed>, actionKey: string): Promise<FromSlack> {
  const [first] = pressed.actions;
  const action = first?.action_id.startsWith(SLACK_ACTION_PREFIX)
    ? await readAction(actionKey, first.value)
    : undefined;
  // Buttons that only lead somewhere tell of their click too.
  if (first === undefined || action === undefined) return { kind: "nothing" };
  return {
    kind: "inbound",
    teams: teamsOf(pressed),
    inbound: {
      kind: "action",
      id: `press:${pressed.container?.message_ts ?? ""}:${first.action_id}:${first.action_ts}:${pressed.user.id}`,
      person: personOf(pressed),
      ...(pressed.channel?.id === undefined ? {} : { channel: pressed.channel.id }),
      ...(pressed.response_url === undefined ? {} : { answerUrl: pressed.response_url }),
      action,
    },
  };
}

async function readSubmitted(submitted: z.infer<typeof Submitted>): Promise<FromSlack> {
  const { view } = submitted;
  const metadata = FormMetadata.safeParse(parsed(view.private_metadata));
  if (!metadata.success) return { kind: "nothing" };
  const values = Object.fromEntries(
    Object.entries(view.state.values).flatMap(([block, inputs]) => {
      const [input] = Object.values(inputs);
      const text = input?.value ?? input?.selected_option?.value ?? input?.selected_options?.[0]?.value ?? "";
      return text === "" ? [] : [[block, text]];
    }),
  );
  // After a refusal the same form comes again with other values: that is another request.
  const digest = await sha256Hex(JSON.stringify(values));
  const { connection, channel } = metadata.data;
  return {
    kind: "inbound",
    teams: teamsOf(submitted),
    inbound: {
      kind: "form",
      id: `form:${view.id}:${digest.slice(0, 32)}`,
      person: personOf(submitted),
      ...(channel === undefined ? {} : { channel }),
      connection,
      values,
    },
  };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
