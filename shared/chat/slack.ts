/**
 * Slack: Block Kit. Text from outside stands in `plain_text` objects and in the text elements of rich text, which Slack shows
 * as they are: no mark-up, no mention and no link can be written there. Only the notification line is read as mark-up, and
 * that one is escaped.
 */
import { clamped, LOOKS } from "./clamp.ts";
import { type Button, type Fact, inOneParagraph, type Message } from "./message.ts";
import { cut } from "./text.ts";

/** Of the fallback: Slack asks for less than 4,000. Every block stays within its documented limit by `BOUNDS`. */
const TEXT_MAX = 4_000;

/** `action_id` of a button; what stands behind the colon is the action. */
export const SLACK_ACTION_PREFIX = "firewatch:";

type Block = Record<string, unknown>;

export interface SlackMessage {
  /** For notifications and screen readers. */
  text: string;
  blocks: Block[];
}

/** Of Slack's three characters with a meaning in mark-up. */
export const escapeMrkdwn = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const plain = (text: string) => ({ type: "plain_text", text, emoji: false });
const run = (text: string, style?: { bold?: true; italic?: true }) => ({
  type: "text",
  text,
  ...(style === undefined ? {} : { style }),
});
const section = (...elements: unknown[]) => ({ type: "rich_text_section", elements });

export function slackMessage(message: Message): SlackMessage {
  const { title, tone, text, facts, tail, next, links = [], buttons = [], footer } = clamped(message);
  const { sign } = LOOKS[tone];
  const said: unknown[] = [
    ...(text === undefined ? [] : [section(run(`${text}\n`))]),
    ...(facts.length === 0 ? [] : [section(...factRuns(facts))]),
    ...(tail === undefined
      ? []
      : [
          section(run(`${tail.caption}\n`, { bold: true })),
          { type: "rich_text_preformatted", elements: [run(tail.text)] },
        ]),
    ...(next === undefined ? [] : [section(run("Next: ", { bold: true }), run(next))]),
  ];
  const pressed: unknown[] = [
    ...buttons.map(button),
    ...links.map(({ label, url }, n) => ({
      type: "button",
      action_id: `${SLACK_ACTION_PREFIX}open${n}`,
      text: plain(label),
      url,
    })),
  ];
  return {
    text: cut(`${sign} ${inOneParagraph({ title, tone, facts, ...pick({ text, next }) })}`, TEXT_MAX, escapeMrkdwn),
    blocks: [
      { type: "header", text: plain(`${sign} ${title}`) },
      ...(said.length === 0 ? [] : [{ type: "rich_text", elements: said }]),
      ...(pressed.length === 0 ? [] : [{ type: "actions", elements: pressed }]),
      ...(footer === undefined ? [] : [{ type: "context", elements: [plain(footer)] }]),
    ],
  };
}

/** A value longer than this gets a line of its own. */
const SHORT_VALUE = 40;

/** Short facts follow one another; it is the long ones that need room. */
function factRuns(facts: readonly Fact[]): unknown[] {
  return facts.flatMap(({ label, value }, i) => {
    const next = facts[i + 1];
    const isShort = value.length <= SHORT_VALUE && (next === undefined || next.value.length <= SHORT_VALUE);
    const end = next === undefined ? "" : isShort ? "    " : "\n";
    return [run(label, { bold: true }), run(` ${value}${end}`)];
  });
}

const pick = ({ text, next }: { text: string | undefined; next: string | undefined }) => ({
  ...(text === undefined ? {} : { text }),
  ...(next === undefined ? {} : { next }),
});

function button({ action, label, style, confirm, value }: Button): Block {
  return {
    type: "button",
    action_id: SLACK_ACTION_PREFIX + action,
    text: plain(label),
    value,
    ...(style === undefined ? {} : { style }),
    ...(confirm === undefined
      ? {}
      : {
          confirm: {
            title: plain(label),
            text: plain(confirm.question),
            confirm: plain(confirm.yes),
            deny: plain(confirm.no),
            ...(style === "danger" ? { style } : {}),
          },
        }),
  };
}

/** For an incoming webhook: nobody would answer to its buttons, so it has none. */
export function slackWebhookBody({ buttons: _, ...message }: Message): SlackMessage & { link_names: false } {
  return { ...slackMessage(message), link_names: false };
}
