/** A message as the answer to somebody who typed or pressed something: for their eyes only, in the platform's own form. */
import type { ChatPlatform } from "../contract/chat.ts";
import { clamped } from "./clamp.ts";
import { escapeMarkdown, fenced, linkTo, mattermostAttachment } from "./mattermost.ts";
import type { Message } from "./message.ts";
import { slackMessage } from "./slack.ts";

/** `clicks`: where Mattermost tells of buttons that were pressed. */
export function commandAnswer(platform: ChatPlatform, message: Message, clicks: string): Record<string, unknown> {
  return platform === "slack"
    ? { response_type: "ephemeral", ...slackMessage(message) }
    : { response_type: "ephemeral", text: "", attachments: [mattermostAttachment(message, clicks)] };
}

/** To an address that takes answers later. What was pressed stays as it is. */
export function lateAnswer(platform: ChatPlatform, message: Message, clicks: string): Record<string, unknown> {
  const answer = commandAnswer(platform, message, clicks);
  return platform === "slack" ? { ...answer, replace_original: false } : answer;
}

/** Mattermost takes plain Markdown only as the answer to a click. */
export function clickAnswer(message: Message): Record<string, unknown> {
  const { title, text, facts, tail, next, links = [] } = clamped(message);
  const parts = [
    `**${escapeMarkdown(title)}**`,
    text && escapeMarkdown(text),
    facts.map(({ label, value }) => `${escapeMarkdown(label)}: ${escapeMarkdown(value)}`).join("\n"),
    tail && fenced(tail.text),
    ...links.map(linkTo),
    next && escapeMarkdown(next),
  ];
  return { ephemeral_text: parts.filter(Boolean).join("\n\n") };
}
