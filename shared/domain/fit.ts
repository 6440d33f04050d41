/**
 * Keeps an event small enough for every receiver: below 20 KB as it is sent. What is too long is cut and counted, never sent
 * in part without saying so; the whole is at the API under the event's subject.
 */
import type { Event } from "../contract/event.ts";

/** Leaves room for the CloudEvents envelope under 20,000 bytes. */
export const EVENT_MAX_BYTES = 19_000;
const TEXT_MAX_CHARACTERS = 1_000;
/** A short list first, then shorter ones. */
const LIST_LENGTHS = [25, 10, 5, 2, 0] as const;

const bytesOf = (value: unknown): number => new TextEncoder().encode(JSON.stringify(value)).length;

/** The event, or one whose long texts and lists are cut; `data.truncated` then names each list and how long it was. */
export function fitted(event: Event): Event {
  if (bytesOf(event) <= EVENT_MAX_BYTES) return event;
  const texts = { ...event, data: cutTexts(event.data) as Event["data"] };
  for (const length of LIST_LENGTHS) {
    const cut = { ...event, data: cutLists(texts.data, length) };
    if (bytesOf(cut) <= EVENT_MAX_BYTES) return cut;
  }
  return texts;
}

function cutTexts(value: unknown): unknown {
  if (typeof value === "string") {
    return value.length <= TEXT_MAX_CHARACTERS ? value : `${value.slice(0, TEXT_MAX_CHARACTERS).toWellFormed()}…`;
  }
  if (Array.isArray(value)) return value.map(cutTexts);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, cutTexts(item)]));
}

/** Top-level lists, maps of names, and the lists inside them. */
function cutLists(data: Event["data"], length: number): Event["data"] {
  const truncated: Record<string, number> = {};
  const cut = (name: string, value: unknown): unknown => {
    if (Array.isArray(value)) {
      if (value.length > length) truncated[name] = value.length;
      return value.slice(0, length);
    }
    if (typeof value !== "object" || value === null) return value;
    const entries = Object.entries(value);
    if (name === "labels") {
      if (entries.length > length) truncated[name] = entries.length;
      return Object.fromEntries(entries.slice(0, length));
    }
    return Object.fromEntries(entries.map(([inner, item]) => [inner, cut(`${name}.${inner}`, item)]));
  };
  const facts = Object.fromEntries(Object.entries(data).map(([name, value]) => [name, cut(name, value)]));
  return (Object.keys(truncated).length === 0 ? facts : { ...facts, truncated }) as Event["data"];
}
