/** Mattermost's API v4, as far as messages need it. */
import type { ChatPlace } from "../contract/chat.ts";
import { z } from "../contract/words.ts";
import { type BotAnswer, type BotApi, type BotDeps, CLOCK_SLACK_MS, LIST_BYTES, type Shown } from "./bot-api.ts";
import { mattermostAttachment } from "./mattermost.ts";
import type { Message } from "./message.ts";
import { judgeMattermostApi } from "./verdict.ts";

const Id = z.object({ id: z.string() });
const Post = Id.extend({ channel_id: z.string() });
const Posts = z.object({
  posts: z.record(
    z.string(),
    Post.extend({
      create_at: z.number().optional(),
      delete_at: z.number().optional(),
      props: z.record(z.string(), z.unknown()).nullish(),
    }),
  ),
});

/** Under this name the key of a message stands in its `props`. */
const KEY = "firewatch_key";
const NEWEST = 60;

export function mattermostApi({ bot, call, nowMs, clicks }: BotDeps): BotApi {
  async function ask<T>(method: string, path: string, schema: z.ZodType<T>, body?: unknown): Promise<BotAnswer<T>> {
    const headers = {
      authorization: `Bearer ${bot.token}`,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
    };
    const answered = await call(`${bot.apiUrl}/api/v4${path}`, {
      method,
      headers,
      maxBytes: LIST_BYTES,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const judged = judgeMattermostApi(answered, nowMs());
    const { status } = answered;
    if (!judged.ok) return { ok: false, gone: judged.gone, error: judged.error, status, verdict: judged.verdict };
    const read = schema.safeParse(judged.answer);
    if (read.success) return { ok: true, value: read.data };
    const verdict = { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 } as const;
    return { ok: false, gone: false, error: "an answer that cannot be read", status, verdict };
  }

  const content = (message: Message, key: string) => ({
    message: "",
    props: { attachments: [mattermostAttachment(message, clicks)], [KEY]: key },
  });
  const shownOf = (answer: BotAnswer<z.infer<typeof Post>>): BotAnswer<Shown> =>
    answer.ok ? { ok: true, value: { channel: answer.value.channel_id, id: answer.value.id } } : answer;

  /** A person's own conversation with the bot is a channel of the two. */
  async function channelOf(place: ChatPlace): Promise<BotAnswer<string>> {
    if ("channel" in place) return { ok: true, value: place.channel };
    const me = await ask("GET", "/users/me", Id);
    if (!me.ok) return me;
    const direct = await ask("POST", "/channels/direct", Id, [me.value.id, place.user]);
    return direct.ok ? { ok: true, value: direct.value.id } : direct;
  }

  return {
    async post(place, message, key, thread) {
      const channel = thread === undefined ? await channelOf(place) : ({ ok: true, value: thread.channel } as const);
      if (!channel.ok) return channel;
      const root = thread === undefined ? {} : { root_id: thread.id };
      return shownOf(
        await ask("POST", "/posts", Post, { channel_id: channel.value, ...root, ...content(message, key) }),
      );
    },

    async edit({ id }, message, key) {
      return shownOf(await ask("PUT", `/posts/${encodeURIComponent(id)}/patch`, Post, content(message, key)));
    },

    async find(place, key, sinceMs, thread) {
      const channel = thread === undefined ? await channelOf(place) : ({ ok: true, value: thread.channel } as const);
      if (!channel.ok) return channel;
      const path =
        thread === undefined
          ? `/channels/${encodeURIComponent(channel.value)}/posts?per_page=${NEWEST}`
          : `/posts/${encodeURIComponent(thread.id)}/thread`;
      const listed = await ask("GET", path, Posts);
      if (!listed.ok) return listed;
      const found = Object.values(listed.value.posts).find(
        ({ props, create_at = 0, delete_at = 0 }) =>
          props?.[KEY] === key && delete_at === 0 && create_at >= sinceMs - CLOCK_SLACK_MS,
      );
      return { ok: true, value: found === undefined ? undefined : { channel: found.channel_id, id: found.id } };
    },
  };
}
