/**
 * Mattermost: one message attachment. Everything in it is read as Markdown and mentions count, so text from outside is
 * escaped, `@` and `~` are parted from the word behind them, and output stands in a fence longer than any in it.
 */
import { clamped, LOOKS } from "./clamp.ts";
import { type Action, inOneParagraph, type Message } from "./message.ts";
import { cut } from "./text.ts";

export const MATTERMOST_LIMITS = {
  /** Of a post's own text, and of what a webhook may bring in all. */
  message: 16_383,
  /** Of `props` as JSON. */
  props: 800_000,
} as const;

const PARTED = "\u200b";

/** Shown as it is: no emphasis, no link, no heading, no mention, no emoji. */
export const escapeMarkdown = (text: string): string =>
  text.replace(/[\\`*_{}[\]()<>#+\-.!|~:]/g, "\\$&").replace(/[@~:]/g, `$&${PARTED}`);

/** A code block that its content cannot close. */
export function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${text}\n${fence}`;
}

export interface MattermostAction {
  id: Action;
  name: string;
  type: "button";
  style: "default" | "primary" | "danger";
  integration: { url: string; context: { click: string } };
}

export interface MattermostAttachment {
  fallback: string;
  color: string;
  title: string;
  title_link?: string;
  text: string;
  fields: { title: string; value: string; short: boolean }[];
  footer?: string;
  actions?: MattermostAction[];
}

/** A value longer than this gets the whole width. */
const SHORT_VALUE = 40;

/** `clicks`: where Mattermost tells of a button that was pressed. Without it there are no buttons. */
export function mattermostAttachment(message: Message, clicks?: string): MattermostAttachment {
  const { title, tone, text, facts, tail, next, link, buttons = [], footer } = clamped(message);
  const { sign, colour } = LOOKS[tone];
  const paragraphs = [
    text && escapeMarkdown(text),
    tail && `**${escapeMarkdown(tail.caption)}**\n${fenced(tail.text)}`,
    next && `**Next:** ${escapeMarkdown(next)}`,
  ];
  const spoken = inOneParagraph({ title, tone, facts, ...(text && { text }), ...(next && { next }) });
  return {
    fallback: cut(`${sign} ${spoken}`, 2_500, escapeMarkdown),
    color: colour,
    title: `${sign} ${escapeMarkdown(title)}`,
    text: paragraphs.filter(Boolean).join("\n\n"),
    fields: facts.map(({ label, value }) => ({
      title: escapeMarkdown(label),
      value: escapeMarkdown(value),
      short: value.length <= SHORT_VALUE,
    })),
    ...(link === undefined ? {} : { title_link: link.url }),
    ...(footer === undefined ? {} : { footer: escapeMarkdown(footer) }),
    ...(clicks === undefined || buttons.length === 0
      ? {}
      : {
          actions: buttons.map(({ action, label, style, value }) => ({
            id: action,
            name: label,
            type: "button" as const,
            style: style ?? "default",
            integration: { url: clicks, context: { click: value } },
          })),
        }),
  };
}

/** For an incoming webhook. */
export const mattermostWebhookBody = (message: Message): { attachments: MattermostAttachment[] } => ({
  attachments: [mattermostAttachment(message)],
});
