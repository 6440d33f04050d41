/**
 * A message within bounds that every platform has room for, in clean text. All renderers begin with this, so a platform's own
 * file is about its form only.
 *
 * Together the parts stay below 9,000 characters, addresses of links apart: Slack refuses messages above some 13,000 however they are divided, Teams
 * above 28 KB of JSON, Rocket.Chat by default above 5,000 (its renderer shortens the tail further).
 */
import type { Button, Message } from "./message.ts";
import { cut, lastLines, oneLine } from "./text.ts";

export const BOUNDS = {
  title: 140,
  text: 1_500,
  facts: 10,
  factLabel: 60,
  factValue: 250,
  tailLines: 20,
  tailCharacters: 2_500,
  caption: 80,
  next: 500,
  footer: 150,
  links: 6,
  linkLabel: 60,
  linkUrl: 600,
  buttonLabel: 60,
  buttonValue: 2_000,
  question: 250,
} as const;

const line = (text: string, max: number): string => cut(oneLine(text), max);

export function clamped(message: Message): Message {
  const { title, tone, text, facts, tail, next, links = [], buttons = [], footer } = message;
  const lines = tail && lastLines(tail.text, { lines: BOUNDS.tailLines, characters: BOUNDS.tailCharacters });
  const usable = buttons.filter(({ value }) => value.length <= BOUNDS.buttonValue).map(clampedButton);
  const usableLinks = links.slice(0, BOUNDS.links).flatMap(({ label, url: address }) => {
    const url = webUrl(address);
    return url === undefined ? [] : [{ label: line(label, BOUNDS.linkLabel) || "Open", url }];
  });
  return {
    // Nothing may be left of a hostile title, and no platform takes an empty one.
    title: line(title, BOUNDS.title) || "Firewatch",
    tone,
    facts: facts
      .map(({ label, value }) => ({ label: line(label, BOUNDS.factLabel), value: line(value, BOUNDS.factValue) }))
      .filter(({ label, value }) => label !== "" && value !== "")
      .slice(0, BOUNDS.facts),
    ...part("text", text && line(text, BOUNDS.text)),
    ...(tail !== undefined && lines
      ? { tail: { caption: line(tail.caption, BOUNDS.caption) || "Output", text: lines } }
      : {}),
    ...part("next", next && line(next, BOUNDS.next)),
    ...(usableLinks.length > 0 ? { links: usableLinks } : {}),
    ...(usable.length > 0 ? { buttons: usable } : {}),
    ...part("footer", footer && line(footer, BOUNDS.footer)),
  };
}

const part = <K extends string>(name: K, text: string | undefined): { [k in K]?: string } =>
  text ? ({ [name]: text } as { [k in K]: string }) : {};

function clampedButton({ label, confirm, ...button }: Button): Button {
  return {
    ...button,
    label: line(label, BOUNDS.buttonLabel) || button.action,
    ...(confirm === undefined
      ? {}
      : {
          confirm: {
            question: line(confirm.question, BOUNDS.question) || "Are you sure?",
            yes: line(confirm.yes, 30) || "Yes",
            no: line(confirm.no, 30) || "No",
          },
        }),
  };
}

/** What people may be led to: a web page, spelled as the platform will fetch it. Anything else is left out. */
function webUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { href, protocol, username, password } = new URL(text);
  const isPlain = /^https?:$/.test(protocol) && username === "" && password === "";
  return isPlain && href.length <= BOUNDS.linkUrl ? href : undefined;
}

/** How a tone looks where there are no words for it. */
export const LOOKS = {
  waiting: { sign: "⏳", colour: "#8a94a6" },
  running: { sign: "▶️", colour: "#2f6fdb" },
  good: { sign: "✅", colour: "#2e9e5b" },
  bad: { sign: "❌", colour: "#d23f3f" },
  warning: { sign: "⚠️", colour: "#d99a1c" },
  neutral: { sign: "⏹️", colour: "#5b6472" },
} as const;
