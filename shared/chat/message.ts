/**
 * What Firewatch says to people, before any platform has a say in it: one model that every renderer beside this file turns
 * into its platform's own form. All of it is plain text and may come from outside (a job's name, a program's last lines):
 * renderers escape, cut and neutralise it; nothing here is markup.
 */
import { CHAT_ACTS, type ChatAct } from "../contract/chat.ts";

/** How it stands, for a colour or a sign. `warning` is for what may still turn out well. */
export const TONES = ["waiting", "running", "good", "bad", "warning", "neutral"] as const;
export type Tone = (typeof TONES)[number];

/** What somebody can ask for by pressing a button. */
export const ACTIONS = CHAT_ACTS;
export type Action = ChatAct;

export interface Fact {
  label: string;
  value: string;
}

export interface Link {
  label: string;
  url: string;
}

export interface Button {
  action: Action;
  label: string;
  style?: "primary" | "danger";
  /** Asked once more before it counts, where the platform can ask. */
  confirm?: { question: string; yes: string; no: string };
  /** Opaque, made by whoever will be asked to honour the click. */
  value: string;
}

export interface Message {
  /** One line that is enough on a lock screen: who, and what became of it. */
  title: string;
  tone: Tone;
  /** One or two sentences: why. */
  text?: string;
  facts: Fact[];
  /** Last lines of something, with their line breaks. */
  tail?: { caption: string; text: string };
  /** The one thing to do now. */
  next?: string;
  /** Pages of our own that people may open. */
  links?: Link[];
  buttons?: Button[];
  /** Small print: where this comes from. */
  footer?: string;
}

/** Everything in one paragraph: for notifications, screen readers, and places without any form. */
export function inOneParagraph({ title, text, next }: Message): string {
  return [/[.!?:]$/.test(title) ? title : `${title}.`, text, next].filter((part) => part !== undefined).join(" ");
}
