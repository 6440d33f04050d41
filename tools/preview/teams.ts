/** An Adaptive Card as Teams shows it, element by element. */
import type { Message } from "../../shared/chat/message.ts";
import { teamsBody } from "../../shared/chat/teams.ts";
import { face, MONO, SANS, shown } from "./page.ts";

interface Element {
  type: string;
  style?: string;
  bleed?: boolean;
  spacing?: string;
  items?: Element[];
  inlines?: { text: string; weight?: string; size?: string; fontType?: string; isSubtle?: boolean }[];
}

const CONTAINERS: Record<string, string> = {
  good: "background:#e7f2da;color:#237b4b",
  attention: "background:#f7e9e9;color:#c4314b",
  warning: "background:#fbf6d9;color:#835c00",
  accent: "background:#e6eef9;color:#2b5797",
  emphasis: "background:#f3f2f1",
};
const GAPS: Record<string, string> = { None: "0", Small: "4px" };

function element({ type, style = "", bleed, spacing = "Default", items = [], inlines = [] }: Element): string {
  const gap = GAPS[spacing] ?? "8px";
  if (type === "Container") {
    const edges = bleed === true ? "margin:-12px -16px 0;padding:12px 16px" : `margin-top:${gap};padding:8px 12px`;
    return `<div style="${edges};${CONTAINERS[style] ?? ""}">${items.map(element).join("")}</div>`;
  }
  const runs = inlines.map(({ text, weight, size, fontType, isSubtle }) => {
    const styles = [
      weight === "Bolder" ? "font-weight:600" : "",
      size === "Large" ? "font-size:17px" : size === "Small" ? "font-size:12px" : "",
      fontType === "Monospace" ? `font-family:${MONO};font-size:11.5px` : "",
      isSubtle === true ? "color:#616161" : "",
    ];
    return `<span style="${styles.filter(Boolean).join(";")}">${shown(text).replace(/ {2,}/g, "&nbsp;&nbsp;")}</span>`;
  });
  return `<div style="margin-top:${gap};overflow-wrap:anywhere">${runs.join("")}</div>`;
}

export function teamsPage(message: Message): string {
  const card = teamsBody(message).attachments[0].content as { body: Element[] };
  return `<div style="background:#f5f5f5;font:14px/1.45 ${SANS};color:#242424;padding:18px 20px"><div style="display:flex;gap:10px">${face(32, "4px")}<div style="flex:1;min-width:0">
<div style="font-size:12px;color:#616161;margin-bottom:4px"><b style="color:#242424">Workflows</b>&nbsp; 12:22</div>
<div style="background:#fff;border-radius:6px;box-shadow:0 1px 3px #0003;padding:12px 16px 16px;overflow:hidden">${card.body.map(element).join("")}</div></div></div></div>`;
}
