/**
 * Text from outside, made fit to be shown: without anything that moves the cursor, turns the direction of writing around or
 * hides, and no longer than there is room for. What a platform would read as markup is its renderer's business.
 */

/** Controls, surrogates without their half, marks that turn the direction of writing, joiners that nobody sees. */
const INVISIBLE =
  /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]|\p{Cs}|[\u{e0000}-\u{e007f}]/gu;

/** Colours and cursor movements of a terminal. */
const TERMINAL = /\u001b(\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(\u0007|\u001b\\)?|[@-Z\\-_])/g;

const ELLIPSIS = "…";

const itself = (text: string): string => text;

/**
 * As many whole characters from the start as fit into `max` once escaped; what was cut is marked. Lengths are in UTF-16 units,
 * the unit in which the platforms count, or less than theirs.
 */
export function cut(text: string, max: number, escaped: (text: string) => string = itself): string {
  const whole = escaped(text);
  if (whole.length <= max) return whole;
  const kept: string[] = [];
  let room = max - ELLIPSIS.length;
  for (const character of text) {
    const shown = escaped(character);
    room -= shown.length;
    if (room < 0) break;
    kept.push(shown);
  }
  return max < ELLIPSIS.length ? "" : kept.join("").trimEnd() + ELLIPSIS;
}

/** One line, single spaces, nothing invisible. */
export const oneLine = (text: string): string =>
  text
    .replace(TERMINAL, "")
    .replace(/[\s\u0085\u2028\u2029]+/g, " ")
    .replace(INVISIBLE, "")
    .trim();

/** The end of an output, as it would stand on a screen: what a progress bar wrote over is gone. */
export function lastLines(text: string, { lines, characters }: { lines: number; characters: number }): string {
  const seen = text
    .replace(TERMINAL, "")
    .replaceAll("\r\n", "\n")
    .split(/[\n\u0085\u2028\u2029]/)
    .map((line) => (line.split("\r").findLast((part) => part !== "") ?? "").replaceAll("\t", "    "))
    .map((line) => line.replace(INVISIBLE, "").trimEnd());
  while (seen.at(-1) === "") seen.pop();
  const kept: string[] = [];
  let room = characters;
  for (const line of seen.slice(-lines).reverse()) {
    const shown = cut(line, Math.min(characters, 400));
    room -= shown.length + 1;
    if (room < 0) break;
    kept.unshift(shown);
  }
  return kept.join("\n");
}

/** For HTML text and attribute values. */
export const escapeHtml = (text: string): string =>
  text
    .replaceAll("&", "&amp;")
    .replaceAll("<", "&lt;")
    .replaceAll(">", "&gt;")
    .replaceAll('"', "&quot;")
    .replaceAll("'", "&#39;");
