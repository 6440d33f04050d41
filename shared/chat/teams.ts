/**
 * Microsoft Teams: an Adaptive Card for a Workflow that waits for a webhook. Text from outside stands in text runs, which
 * know no Markdown, no mention and no functions.
 */
import { utf8 } from "../bytes.ts";
import { clamped, LOOKS } from "./clamp.ts";
import { inOneParagraph, type Message, type Tone } from "./message.ts";

/** Documented are 28 KB; some were refused from 21 KB on. */
const MAX_BYTES = 20_000;

/** The newest version that every Teams client shows. */
const VERSION = "1.4";

const STYLES: Record<Tone, string> = {
  waiting: "emphasis",
  running: "accent",
  good: "good",
  bad: "attention",
  warning: "warning",
  neutral: "emphasis",
};

type Run = { text: string; weight?: "Bolder"; size?: "Large" | "Small"; fontType?: "Monospace"; isSubtle?: true };

const line = (runs: Run[], spacing?: "None" | "Small") => ({
  type: "RichTextBlock",
  ...(spacing === undefined ? {} : { spacing }),
  inlines: runs.map((run) => ({ type: "TextRun", ...run })),
});

/** Runs of spaces are shown as one; a line of output keeps its indentation. */
const indented = (text: string): string => text.replace(/^ +/, (spaces) => "\u00a0".repeat(spaces.length)) || "\u00a0";

export interface TeamsBody {
  type: "message";
  attachments: [{ contentType: "application/vnd.microsoft.card.adaptive"; contentUrl: null; content: unknown }];
}

export function teamsBody(message: Message): TeamsBody {
  const whole = clamped(message);
  const lines = whole.tail?.text.split("\n") ?? [];
  // Shortened from where it matters least: the oldest lines, then the last facts.
  for (let kept = lines.length, facts = whole.facts.length; ; ) {
    const body = compose(whole, lines.slice(lines.length - kept), facts);
    if (utf8(JSON.stringify(body)).length <= MAX_BYTES || kept + facts === 0) return body;
    if (kept > 0) kept--;
    else facts--;
  }
}

function compose(message: Message, lines: string[], facts: number): TeamsBody {
  const { title, tone, text, tail, next, links = [], footer } = message;
  const body: unknown[] = [
    {
      type: "Container",
      style: STYLES[tone],
      bleed: true,
      items: [line([{ text: `${LOOKS[tone].sign} ${title}`, weight: "Bolder", size: "Large" }])],
    },
    ...(text === undefined ? [] : [line([{ text }])]),
    ...message.facts
      .slice(0, facts)
      .map(({ label, value }, i) =>
        line([{ text: `${label}  `, weight: "Bolder" }, { text: value }], i === 0 ? undefined : "None"),
      ),
    ...(tail === undefined || lines.length === 0
      ? []
      : [
          line([{ text: tail.caption, weight: "Bolder" }]),
          {
            type: "Container",
            style: "emphasis",
            spacing: "Small",
            items: lines.map((text) => line([{ text: indented(text), fontType: "Monospace", size: "Small" }], "None")),
          },
        ]),
    ...(next === undefined ? [] : [line([{ text: "Next: ", weight: "Bolder" }, { text: next }])]),
    ...(footer === undefined ? [] : [line([{ text: footer, size: "Small", isSubtle: true }])]),
  ];
  const content = {
    $schema: "http://adaptivecards.io/schemas/adaptive-card.json",
    type: "AdaptiveCard",
    version: VERSION,
    fallbackText: inOneParagraph(message),
    msteams: { width: "Full" },
    body,
    ...(links.length === 0
      ? {}
      : { actions: links.map(({ label, url }) => ({ type: "Action.OpenUrl", title: label, url })) }),
  };
  return {
    type: "message",
    attachments: [{ contentType: "application/vnd.microsoft.card.adaptive", contentUrl: null, content }],
  };
}
