/**
 * What a bot can do with messages, on whichever platform: show one, show it anew, and find one that was shown but whose answer
 * was lost. One form for Slack, one for Mattermost.
 */
import type { ChatPlace } from "../contract/chat.ts";
import type { ChatBot } from "../contract/rpc.ts";
import type { AttemptVerdict } from "../webhooks/retry.ts";
import type { Message } from "./message.ts";
import type { ChatAnswered } from "./verdict.ts";

/** A message that people see. `channel` is the platform's own id of where, also of a conversation with one person. */
export interface Shown {
  channel: string;
  id: string;
}

/** `gone`: what was to be edited or answered is no longer there. */
export type BotAnswer<T> =
  | { ok: true; value: T }
  | { ok: false; gone: boolean; error: string; status: number; verdict: AttemptVerdict };

export interface BotApi {
  /** `key` goes with the message, unseen: `find` knows it by that. */
  post(place: ChatPlace, message: Message, key: string, thread?: Shown): Promise<BotAnswer<Shown>>;
  edit(shown: Shown, message: Message, key: string): Promise<BotAnswer<Shown>>;
  /** Among the newest, since then. Undefined: it is not there, or the bot may not read. */
  find(place: ChatPlace, key: string, sinceMs: number, thread?: Shown): Promise<BotAnswer<Shown | undefined>>;
}

/** One request to the platform. Throws where no answer came. */
export type Call = (url: string, init: RequestInit & { maxBytes?: number }) => Promise<ChatAnswered>;

export interface BotDeps {
  bot: ChatBot;
  call: Call;
  nowMs: () => number;
  /** Where Mattermost tells of buttons. */
  clicks?: string;
}

/** What is read of a list of messages. */
export const LIST_BYTES = 1_048_576;
/** Clocks differ: a message may seem older than the attempt that made it. */
export const CLOCK_SLACK_MS = 60_000;
