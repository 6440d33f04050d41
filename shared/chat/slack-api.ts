/** Slack's Web API, as far as messages need it. Reading back needs a permission of its own: without it nothing is found. */
import type { ChatPlace } from "../contract/chat.ts";
import { z } from "../contract/words.ts";
import { type BotAnswer, type BotApi, type BotDeps, CLOCK_SLACK_MS, LIST_BYTES, type Shown } from "./bot-api.ts";
import { slackMessage } from "./slack.ts";
import { judgeSlackApi } from "./verdict.ts";

const EVENT_TYPE = "firewatch_message";

const Posted = z.object({ channel: z.string(), ts: z.string() });
const Opened = z.object({ channel: z.object({ id: z.string() }) });
const Listed = z.object({
  messages: z.array(
    z.object({
      ts: z.string(),
      metadata: z.object({ event_type: z.string(), event_payload: z.record(z.string(), z.unknown()) }).optional(),
    }),
  ),
});

/** The bot may not do this. That is no reason to show nothing. */
const MAY_NOT_READ = /^(missing_scope|not_allowed_token_type|method_not_supported_for_channel_type|no_permission)$/;

export function slackApi({ bot, call, nowMs }: BotDeps): BotApi {
  const authorization = `Bearer ${bot.token}`;

  async function ask<T>(
    method: string,
    init: RequestInit & { maxBytes?: number },
    query: string,
    schema: z.ZodType<T>,
  ): Promise<BotAnswer<T>> {
    const headers = {
      authorization,
      ...(init.body === undefined ? {} : { "content-type": "application/json; charset=utf-8" }),
    };
    const answered = await call(`${bot.apiUrl}/${method}${query}`, { ...init, headers });
    const judged = judgeSlackApi(answered, nowMs());
    const { status } = answered;
    if (!judged.ok) return { ok: false, gone: judged.gone, error: judged.error, status, verdict: judged.verdict };
    const read = schema.safeParse(judged.answer);
    if (read.success) return { ok: true, value: read.data };
    const verdict = { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 } as const;
    return { ok: false, gone: false, error: `an answer to ${method} that cannot be read`, status, verdict };
  }
  const write = <T>(method: string, body: Record<string, unknown>, schema: z.ZodType<T>) =>
    ask(method, { method: "POST", body: JSON.stringify(body) }, "", schema);

  const common = (key: string) => ({
    parse: "none",
    metadata: { event_type: EVENT_TYPE, event_payload: { key } },
  });
  const shownOf = (answer: BotAnswer<z.infer<typeof Posted>>): BotAnswer<Shown> =>
    answer.ok ? { ok: true, value: { channel: answer.value.channel, id: answer.value.ts } } : answer;

  /** A person's own conversation with the bot has an id only Slack knows. */
  async function channelOf(place: ChatPlace): Promise<BotAnswer<string>> {
    if ("channel" in place) return { ok: true, value: place.channel };
    const opened = await write("conversations.open", { users: place.user }, Opened);
    return opened.ok ? { ok: true, value: opened.value.channel.id } : opened;
  }

  return {
    async post(place, message, key, thread) {
      const body = {
        channel: thread?.channel ?? ("channel" in place ? place.channel : place.user),
        ...(thread === undefined ? {} : { thread_ts: thread.id }),
        ...slackMessage(message),
        ...common(key),
        link_names: false,
        unfurl_links: false,
        unfurl_media: false,
      };
      return shownOf(await write("chat.postMessage", body, Posted));
    },

    async edit({ channel, id }, message, key) {
      const body = { channel, ts: id, ...slackMessage(message), ...common(key), link_names: false };
      return shownOf(await write("chat.update", body, Posted));
    },

    async find(place, key, sinceMs, thread) {
      const channel: BotAnswer<string> =
        thread === undefined ? await channelOf(place) : { ok: true, value: thread.channel };
      if (!channel.ok) return MAY_NOT_READ.test(channel.error) ? { ok: true, value: undefined } : channel;
      const query = new URLSearchParams({
        channel: channel.value,
        oldest: ((sinceMs - CLOCK_SLACK_MS) / 1000).toFixed(6),
        include_all_metadata: "true",
        limit: "100",
        ...(thread === undefined ? {} : { ts: thread.id }),
      });
      const method = thread === undefined ? "conversations.history" : "conversations.replies";
      const listed = await ask(method, { method: "GET", maxBytes: LIST_BYTES }, `?${query}`, Listed);
      if (!listed.ok) return MAY_NOT_READ.test(listed.error) ? { ok: true, value: undefined } : listed;
      const found = listed.value.messages.find(
        ({ metadata }) => metadata?.event_type === EVENT_TYPE && metadata.event_payload.key === key,
      );
      return { ok: true, value: found === undefined ? undefined : { channel: channel.value, id: found.ts } };
    },
  };
}
