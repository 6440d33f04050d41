/**
 * Rocket.Chat: an incoming webhook with one attachment. Which mark-up it reads depends on the server, so nothing is escaped:
 * every character that begins mark-up, a mention or a link in any of its forms is parted from what follows it.
 */
import { clamped, LOOKS } from "./clamp.ts";
import type { Message } from "./message.ts";
import { cut, lastLines } from "./text.ts";

const PARTED = "\u200b";
const MEANS_SOMETHING = /[@#*_~`[\]()<>|!:\\$]/g;

/** No mention, no link with a text of its own, no emphasis, no emoji: each mark stands alone. */
export const parted = (text: string): string => text.replace(MEANS_SOMETHING, `${PARTED}$&${PARTED}`);

export interface RocketchatBody {
  text: string;
  attachments: {
    color: string;
    title: string;
    title_link?: string;
    text: string;
    fields: { title: string; value: string; short: boolean }[];
  }[];
}

export function rocketchatBody(message: Message): RocketchatBody {
  const { title, tone, text, facts, tail, next, links: [link] = [], footer } = clamped(message);
  const { sign, colour } = LOOKS[tone];
  // Only a run of three backticks would end the block.
  const lines =
    tail && lastLines(tail.text, { lines: 15, characters: 1_500 }).replaceAll("```", `\`${PARTED}\`${PARTED}\``);
  const paragraphs = [
    text && cut(text, 1_000, parted),
    tail && lines && `${parted(tail.caption)}\n\`\`\`\n${lines}\n\`\`\``,
    next && `Next: ${cut(next, 600, parted)}`,
    footer && cut(footer, 200, parted),
  ];
  return {
    text: `${sign} ${cut(title, 400, parted)}`,
    attachments: [
      {
        color: colour,
        title: cut(title, 400, parted),
        text: paragraphs.filter(Boolean).join("\n\n"),
        fields: facts.map(({ label, value }) => ({
          title: parted(label),
          value: parted(value),
          short: value.length <= 40,
        })),
        ...(link === undefined ? {} : { title_link: link.url }),
      },
    ],
  };
}
