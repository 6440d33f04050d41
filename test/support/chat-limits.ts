/**
 * What chat platforms document about the messages that they take, written down a second time and without looking at the
 * renderers: the local doubles refuse what breaks it, and renderers are tested against it with hostile text.
 */

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value : []);
const text = (value: unknown): string => (typeof value === "string" ? value : "");

/** Every object in a JSON value, itself included. */
function* objects(value: unknown): Generator<Json> {
  if (Array.isArray(value)) for (const one of value) yield* objects(one);
  else if (isObject(value)) {
    yield value;
    for (const one of Object.values(value)) yield* objects(one);
  }
}

/** Every string in a JSON value. */
export function* strings(value: unknown): Generator<string> {
  if (typeof value === "string") yield value;
  else if (Array.isArray(value)) for (const one of value) yield* strings(one);
  else if (isObject(value)) for (const one of Object.values(value)) yield* strings(one);
}

const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069\ufeff]|\p{Cs}/u;

/** Whatever the platform: nothing that hides, turns the direction of writing, or is half a character. */
const hidden = (body: unknown): string[] =>
  [...strings(body)].filter((one) => HIDDEN.test(one)).map((one) => `hides something: ${JSON.stringify(one)}`);

const SLACK_BLOCKS = new Set(["header", "section", "rich_text", "actions", "context", "divider"]);

function within(problems: string[], what: string, value: unknown, max: number, min = 1): void {
  const { length } = text(value);
  if (typeof value !== "string" || length < min || length > max) problems.push(`${what} has ${length} characters`);
}

/** A message for Slack: `chat.postMessage`, `chat.update` or an incoming webhook. */
export function slackProblems(body: unknown): string[] {
  if (!isObject(body)) return ["no JSON object"];
  const problems = hidden(body);
  within(problems, "text", body.text, 4_000);
  // Control sequences (<!channel>, <@U…>, <url|text>) need an angle bracket of their own.
  if (/[<>]/.test(text(body.text)) || /&(?!amp;|lt;|gt;)/.test(text(body.text))) problems.push("text is not escaped");
  const blocks = list(body.blocks);
  if (blocks.length > 50) problems.push(`${blocks.length} blocks`);
  const seen = new Set<string>();
  for (const block of blocks) {
    if (!isObject(block) || !SLACK_BLOCKS.has(text(block.type))) {
      problems.push(`no block: ${JSON.stringify(block)}`);
      continue;
    }
    if (block.type === "header") within(problems, "header", isObject(block.text) && block.text.text, 150);
    if (block.type === "section") within(problems, "section", isObject(block.text) && block.text.text, 3_000);
    if (block.type === "context" && list(block.elements).length > 10) problems.push("context has too many elements");
    if (block.type !== "actions") continue;
    if (list(block.elements).length > 25) problems.push("too many buttons");
    for (const button of list(block.elements)) problems.push(...slackButtonProblems(button, seen));
  }
  for (const one of objects(blocks)) {
    // Only what Slack reads as mark-up could mention anybody; there must be none of it.
    if (one.type === "mrkdwn" || one.type === "markdown") problems.push("mark-up");
    if (one.type === "plain_text" || one.type === "text") within(problems, "a text", one.text, 3_000);
    if (["user", "usergroup", "broadcast", "channel", "link"].includes(text(one.type))) problems.push(`a ${one.type}`);
  }
  const all = [...strings(blocks)].reduce((sum, one) => sum + one.length, 0);
  if (all > 13_000) problems.push(`msg_blocks_too_long: ${all}`);
  return problems;
}

function slackButtonProblems(button: unknown, seen: Set<string>): string[] {
  if (!isObject(button) || button.type !== "button") return ["no button"];
  const problems: string[] = [];
  within(problems, "button text", isObject(button.text) && button.text.text, 75);
  within(problems, "action_id", button.action_id, 255);
  if (seen.has(text(button.action_id))) problems.push("an action_id twice");
  seen.add(text(button.action_id));
  if (button.value !== undefined) within(problems, "value", button.value, 2_000, 0);
  if (button.url !== undefined) within(problems, "url", button.url, 3_000);
  if (button.style !== undefined && !["primary", "danger"].includes(text(button.style))) problems.push("style");
  if (isObject(button.confirm)) {
    const part = (name: string) => {
      const value = (button.confirm as Json)[name];
      return isObject(value) ? value.text : undefined;
    };
    within(problems, "confirm title", part("title"), 100);
    within(problems, "confirm text", part("text"), 300);
    within(problems, "confirm button", part("confirm"), 30);
    within(problems, "deny button", part("deny"), 30);
  }
  return problems;
}

/** A fenced block: its fence, and everything up to the same fence alone on a line. */
const FENCED = /^(`{3,})[a-z]*\n([\s\S]*?)\n\1$/gm;

/** A post for Mattermost (`message`, `props.attachments`) or the body of an incoming webhook (`text`, `attachments`). */
export function mattermostProblems(body: unknown): string[] {
  if (!isObject(body)) return ["no JSON object"];
  const problems = hidden(body);
  if ([...text(body.message ?? body.text)].length > 16_383) problems.push("the message is too long");
  if (JSON.stringify(body.props ?? {}).length > 800_000) problems.push("props are too long");
  const attachments = list(body.attachments ?? (isObject(body.props) ? body.props.attachments : undefined));
  if (attachments.length === 0 && text(body.message ?? body.text) === "") problems.push("nothing to show");
  for (const attachment of attachments) {
    if (!isObject(attachment)) return [...problems, "no attachment"];
    if (!/^#[0-9a-f]{6}$/i.test(text(attachment.color))) problems.push("color");
    if (text(attachment.fallback) === "") problems.push("no fallback");
    for (const one of [text(attachment.fallback), text(attachment.footer)])
      if (/@[\w.-]|<[!@]/.test(one)) problems.push(`mentions somebody: ${JSON.stringify(one)}`);
    const read = [
      text(attachment.title),
      text(attachment.text),
      ...list(attachment.fields).flatMap((field) => (isObject(field) ? [text(field.title), text(field.value)] : [])),
    ];
    for (const one of read) problems.push(...markdownProblems(one));
    for (const action of list(attachment.actions)) {
      if (!isObject(action) || !/^[A-Za-z0-9]+$/.test(text(action.id))) problems.push("action id");
      else if (!isObject(action.integration) || !/^https?:/.test(text(action.integration.url)))
        problems.push("action url");
    }
  }
  return problems;
}

function markdownProblems(markdown: string): string[] {
  // Ours: captions in bold, and links, each alone on its line. Everything else with a meaning has a backslash before it.
  const bare = markdown
    .replace(FENCED, "")
    .replace(/\\[\\`*_{}[\]()<>#+\-.!|~]/g, "")
    .replace(/\*\*[^*\n]*\*\*/g, "")
    .replace(/^\[[^[\]\n]*\]\(https?:\/\/[^\s()]*\)$/gm, "");
  const problems: string[] = [];
  if (/[`*_[\]()|]|^[ ]{0,3}([#>+-]|\d+\.\s)|:[\w+-]+:/m.test(bare))
    problems.push(`Markdown: ${JSON.stringify(markdown)}`);
  // The server expands these wherever they stand, also in a code block.
  if (/<!|<@|<[^\n<|>]+\|[^|\n>]+>/.test(markdown)) problems.push(`Slack's mark-up: ${JSON.stringify(markdown)}`);
  if (/@[\w.-]/.test(markdown.replace(FENCED, ""))) problems.push(`mentions somebody: ${JSON.stringify(markdown)}`);
  return problems;
}

const CARD_ELEMENTS = new Set(["AdaptiveCard", "Container", "RichTextBlock", "TextRun", "Action.OpenUrl"]);

/** The body that a Teams Workflow takes. */
export function teamsProblems(body: unknown): string[] {
  if (!isObject(body) || body.type !== "message") return ["no message"];
  const problems = hidden(body);
  const bytes = new TextEncoder().encode(JSON.stringify(body)).length;
  if (bytes > 21_000) problems.push(`${bytes} bytes`);
  const attachments = list(body.attachments);
  if (attachments.length !== 1) problems.push("not one card");
  for (const attachment of attachments) {
    if (!isObject(attachment)) continue;
    if (attachment.contentType !== "application/vnd.microsoft.card.adaptive") problems.push("contentType");
    const card = attachment.content;
    if (!isObject(card) || card.type !== "AdaptiveCard" || !/^1\.[0-5]$/.test(text(card.version)))
      problems.push("card");
    for (const one of objects(card)) {
      // A TextBlock and a FactSet read Markdown; a text run reads nothing.
      if (one.type !== undefined && !CARD_ELEMENTS.has(text(one.type))) problems.push(`a ${text(one.type)}`);
      if (one.type === "TextRun" && text(one.text) === "") problems.push("an empty text");
      if (one.type === "Action.OpenUrl" && !/^https?:\/\//.test(text(one.url))) problems.push("url");
    }
    if (isObject(card) && isObject(card.msteams) && card.msteams.entities !== undefined)
      problems.push("mentions somebody");
  }
  return problems;
}

/** The body of a Rocket.Chat incoming webhook. */
export function rocketchatProblems(body: unknown): string[] {
  if (!isObject(body)) return ["no JSON object"];
  const problems = hidden(body);
  const length = [...strings({ text: body.text, attachments: body.attachments })].join("").length;
  if (text(body.text).length > 5_000) problems.push(`${length} characters`);
  for (const one of strings(body)) {
    if (/^https?:\/\/\S+$/.test(one)) continue;
    const shown = one.replace(/^```\n[\s\S]*?\n```$/gm, "");
    if (/@[\w.-]/.test(shown)) problems.push(`mentions somebody: ${JSON.stringify(one)}`);
    if (/\]\(|<[a-z]+:[^\s>]*\|/i.test(shown)) problems.push(`a link: ${JSON.stringify(one)}`);
    if (((one.match(/```/g) ?? []).length & 1) === 1) problems.push("an open block");
  }
  return problems;
}

const MAIL_TAGS = /^(!doctype|html|body|div|h1|p|table|tr|td|pre|strong|a)$/;

/** A mail: what a mail program and the next server would trip over. */
export function mailProblems({
  subject,
  text: plain,
  html,
}: {
  subject: string;
  text: string;
  html: string;
}): string[] {
  const problems = hidden({ subject, plain, html });
  if (/[\r\n]/.test(subject)) problems.push("a subject of two lines");
  if (subject === "" || subject.length > 255) problems.push("subject");
  if (plain.split("\n").some((line) => new TextEncoder().encode(line).length > 10_000))
    problems.push("a line too long");
  for (const [, name = ""] of html.matchAll(/<\/?([^\s>]*)/g)) if (!MAIL_TAGS.test(name)) problems.push(`<${name}>`);
  for (const [, url = ""] of html.matchAll(/(?:href|src)="([^"]*)"/g)) if (!/^https?:/.test(url)) problems.push(url);
  if (/\son\w+=|url\(|<img|<script/i.test(html.replace(/>[^<]*</g, "><"))) problems.push("loads or runs something");
  return problems;
}
