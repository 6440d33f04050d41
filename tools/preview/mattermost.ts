/** A message attachment as Mattermost shows it: its Markdown is read here as far as we write any. */
import { mattermostAttachment } from "../../shared/chat/mattermost.ts";
import type { Message } from "../../shared/chat/message.ts";
import { face, MONO, SANS, shown } from "./page.ts";

/** Bold, code blocks and backslashes: all that a message of ours holds. */
function markdown(text: string): string {
  return text
    .split(/^(`{3,}text\n[\s\S]*?\n`{3,})$/m)
    .map((part) => {
      const code = /^`{3,}text\n([\s\S]*?)\n`{3,}$/.exec(part)?.[1];
      if (code !== undefined)
        return `<pre style="margin:6px 0;padding:10px 12px;border:1px solid #dcdee3;border-radius:4px;background:#f6f7f9;font:12.5px/1.5 ${MONO};white-space:pre-wrap">${shown(code)}</pre>`;
      const plain = part.trim().replaceAll("\u200b", "").split(/\n+/);
      return plain
        .filter((line) => line !== "")
        .map((line) => `<p style="margin:0 0 8px">${inline(line)}</p>`)
        .join("");
    })
    .join("");
}

const inline = (text: string): string =>
  shown(text.replaceAll("\u200b", ""))
    .replace(/\*\*(.+?)\*\*/g, "<b>$1</b>")
    .replace(/\\(&[a-z]+;|[^A-Za-z0-9\s])/g, "$1");

const BUTTONS: Record<string, string> = {
  default: "background:#eaf1fb;color:#1c58d9",
  primary: "background:#1c58d9;color:#fff",
  danger: "background:#d24b4e;color:#fff",
};

function posted(message: Message, time: string, isReply: boolean): string {
  const { color, title, text, fields, footer, actions = [] } = mattermostAttachment(message, "https://fw.example/chat");
  const short = fields
    .map(
      ({ title: label, value, short: half }) =>
        `<div style="${half ? "" : "grid-column:1/-1;"}"><div style="font-weight:600">${inline(label)}</div><div>${inline(value)}</div></div>`,
    )
    .join("");
  return `<div style="display:flex;gap:12px;padding:10px 20px${isReply ? " 10px 52px" : ""}">${face(isReply ? 28 : 36, "50%")}<div style="flex:1;min-width:0">
<div><b>firewatch</b> <span style="background:#e6e8ec;border-radius:3px;font-size:10px;font-weight:700;color:#3f4350;padding:2px 4px;vertical-align:1px">BOT</span> <span style="color:#7d8292;font-size:12px">${time}</span></div>
<div style="margin-top:6px;border:1px solid #dcdee3;border-left:4px solid ${color};border-radius:4px;padding:12px 14px">
<div style="font-weight:700;font-size:15px;margin-bottom:8px">${inline(title)}</div>${markdown(text)}
${short === "" ? "" : `<div style="display:grid;grid-template-columns:1fr 1fr;gap:8px 18px;margin:4px 0 10px">${short}</div>`}
${actions.length === 0 ? "" : `<div style="display:flex;gap:8px;margin:6px 0 8px">${actions.map(({ name, style }) => `<span style="border-radius:4px;padding:7px 16px;font-weight:600;font-size:13px;${BUTTONS[style]}">${shown(name)}</span>`).join("")}</div>`}
${footer === undefined ? "" : `<div style="color:#7d8292;font-size:12px">${inline(footer)}</div>`}</div></div></div>`;
}

export function mattermostPage(message: Message, reply: Message): string {
  return `<div style="background:#fff;font:14px/1.5 ${SANS};color:#3f4350;padding-bottom:14px"><div style="padding:13px 20px;border-bottom:1px solid #e3e5e9;font-weight:700;font-size:16px">climate-lab</div>${posted(message, "12:31", false)}${posted(reply, "12:31", true)}</div>`;
}
