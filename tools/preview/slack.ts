/** Block Kit as Slack shows it, near enough to judge a message by. */

import type { Message } from "../../shared/chat/message.ts";
import { type SlackMessage, slackMessage } from "../../shared/chat/slack.ts";
import { face, MONO, SANS, shown } from "./page.ts";

type Block = SlackMessage["blocks"][number];
interface Element {
  type: string;
  text?: string | { text: string };
  style?: { bold?: boolean } | string;
  elements?: Element[];
}

const run = ({ text = "", style }: Element): string => {
  const inner = shown(typeof text === "string" ? text : text.text);
  return typeof style === "object" && style.bold === true ? `<b>${inner}</b>` : inner;
};

function rich(element: Element): string {
  const inner = (element.elements ?? []).map(run).join("");
  return element.type === "rich_text_preformatted"
    ? `<pre style="margin:4px 0 8px;padding:8px;border:1px solid #dddcdd;border-radius:4px;background:#f8f8f8;font:12px/1.5 ${MONO};white-space:pre-wrap;overflow-wrap:anywhere">${inner}</pre>`
    : `<div>${inner}</div>`;
}

const BUTTONS: Record<string, string> = {
  primary: "background:#007a5a;border-color:#007a5a;color:#fff",
  danger: "background:#e01e5a;border-color:#e01e5a;color:#fff",
  "": "background:#fff;border-color:#bbbabb;color:#1d1c1d",
};

function block(one: Block): string {
  const { type, text, elements = [] } = one as unknown as Element;
  switch (type) {
    case "header":
      return `<div style="font-size:18px;font-weight:900;line-height:1.3;margin:6px 0 8px">${shown((text as { text: string }).text)}</div>`;
    case "rich_text":
      return `<div style="margin:4px 0;white-space:pre-wrap">${elements.map(rich).join("")}</div>`;
    case "actions":
      return `<div style="display:flex;gap:8px;margin:10px 0 8px">${elements
        .map(
          ({ text: label, style = "" }) =>
            `<span style="border:1px solid;border-radius:4px;padding:5px 12px;font-size:15px;font-weight:700;${BUTTONS[style as string]}">${shown((label as { text: string }).text)}</span>`,
        )
        .join("")}</div>`;
    default:
      return `<div style="font-size:12px;color:#616061;margin:4px 0">${elements.map(run).join(" ")}</div>`;
  }
}

function posted(message: Message, time: string, size: number, note = ""): string {
  return `<div style="display:flex;gap:10px;padding:8px 20px">${face(size, "4px")}<div style="min-width:0;flex:1">
<div><b style="font-weight:900">Firewatch</b> <span style="background:#ddd;border-radius:2px;font-size:10px;font-weight:700;color:#454447;padding:1px 3px;vertical-align:1px">APP</span> <span style="color:#616061;font-size:12px">${time}</span></div>
${slackMessage(message).blocks.map(block).join("")}${note === "" ? "" : `<div style="font-size:13px;color:#1264a3;font-weight:700;margin:6px 0 2px">${note}</div>`}</div></div>`;
}

interface Shown {
  message: Message;
  time: string;
  note?: string;
}

/** A channel with some messages, and beside it the thread of one of them. */
export function slackPage(messages: Shown[], thread: Shown[]): string {
  const head = (text: string, note: string) =>
    `<div style="padding:12px 20px;border-bottom:1px solid #dddcdd;font-weight:900;font-size:16px">${text}<span style="font-weight:400;color:#616061;font-size:13px"> ${note}</span></div>`;
  return `<div style="display:flex;background:#fff;font:15px/1.46 ${SANS};color:#1d1c1d">
<div style="flex:1.05;min-width:0;padding-bottom:14px">${head("# ocean-group", "")}${messages.map(({ message, time, note }) => posted(message, time, 36, note)).join("")}</div>
<div style="flex:1;min-width:0;border-left:1px solid #dddcdd;padding-bottom:14px">${head("Thread", "# ocean-group")}${thread.map(({ message, time }) => posted(message, time, 36)).join("")}</div></div>`;
}
