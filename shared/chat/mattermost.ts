/**
 * Mattermost: one message attachment. Its title, text and values are read as Markdown, and mentions in them count, so text from
 * outside is escaped there, and output stands in a fence longer than any in it. The notification and the footer are shown as
 * they are. Before it reads anything, the server turns Slack's own `<!channel>` and `<url|text>` into mentions and links,
 * wherever they stand: those are parted everywhere.
 */
import { clamped, LOOKS } from "./clamp.ts";
import { type Action, inOneParagraph, type Link, type Message } from "./message.ts";
import { cut } from "./text.ts";

const PARTED = "\u200b";

/** Nothing that the server takes for Slack's. No escape keeps it from a link, so that one gets another bar. */
const notSlack = (text: string): string =>
  text.replace(/<([^\n<|>]+)\|(?=[^|\n>]+>)/g, "<$1¦").replace(/<(?=[!@])/g, `<${PARTED}`);

/** Mentions nobody. */
const quiet = (text: string): string => notSlack(text).replaceAll("@", `@${PARTED}`);

/** Shown as it is: no emphasis, no link, no heading, no list, no mention, no emoji. Only what Markdown can escape is escaped. */
export const escapeMarkdown = (text: string): string =>
  quiet(text)
    .replace(/[\\`*_{}[\]()~|]/g, "\\$&")
    .replace(/^[#>+-]|^\d+(?=\.)/, (mark) => (/^\d/.test(mark) ? `${mark}${PARTED}` : `\\${mark}`))
    .replace(/~/g, `~${PARTED}`)
    .replace(/:(?=[\w+\\-]+:)/g, `:${PARTED}`);

/** A code block that its content cannot close. */
export function fenced(text: string): string {
  const longest = Math.max(2, ...[...text.matchAll(/`+/g)].map(([ticks]) => ticks.length));
  const fence = "`".repeat(longest + 1);
  return `${fence}text\n${notSlack(text)}\n${fence}`;
}

/** A link of our own: its address is spelled without what would end it or mention anybody. */
export const linkTo = ({ label, url }: Link): string =>
  `[${escapeMarkdown(label)}](${url.replace(/[()@|]/g, (mark) => `%${mark.charCodeAt(0).toString(16)}`)})`;

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
  text: string;
  fields: { title: string; value: string; short: boolean }[];
  footer?: string;
  actions?: MattermostAction[];
}

/** A value longer than this gets the whole width. */
const SHORT_VALUE = 40;

/** `clicks`: where Mattermost tells of a button that was pressed. Without it there are no buttons. */
export function mattermostAttachment(message: Message, clicks?: string): MattermostAttachment {
  const { title, tone, text, facts, tail, next, links = [], buttons = [], footer } = clamped(message);
  const { sign, colour } = LOOKS[tone];
  const paragraphs = [
    text && escapeMarkdown(text),
    tail && `**${escapeMarkdown(tail.caption)}**\n${fenced(tail.text)}`,
    next && `**Next:** ${escapeMarkdown(next)}`,
    ...links.map(linkTo),
  ];
  const spoken = inOneParagraph({ title, tone, facts, ...(text && { text }), ...(next && { next }) });
  return {
    fallback: cut(`${sign} ${spoken}`, 2_500, quiet),
    color: colour,
    title: `${sign} ${escapeMarkdown(title)}`,
    text: paragraphs.filter(Boolean).join("\n\n"),
    fields: facts.map(({ label, value }) => ({
      title: escapeMarkdown(label),
      value: escapeMarkdown(value),
      short: value.length <= SHORT_VALUE,
    })),
    ...(footer === undefined ? {} : { footer: quiet(footer) }),
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
