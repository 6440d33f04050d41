/** Permission bits: as `ls` prints them, and as `chmod` reads them. */
import type { FileKind } from "../host.ts";

const TYPE_BITS: Record<FileKind, number> = {
  p: 0o010000,
  c: 0o020000,
  d: 0o040000,
  b: 0o060000,
  "-": 0o100000,
  l: 0o120000,
  s: 0o140000,
};

/** `st_mode` of a file. */
export function rawMode(kind: FileKind, permissions: number): number {
  return TYPE_BITS[kind] | permissions;
}

/** `rwxr-sr-t` */
export function permissionText(permissions: number): string {
  const chars = [..."rwxrwxrwx"].map((char, index) => ((permissions >> (8 - index)) & 1 ? char : "-"));
  const special = (bit: number, index: number, letter: string) => {
    if ((permissions & bit) !== 0) chars[index] = chars[index] === "x" ? letter : letter.toUpperCase();
  };
  special(0o4000, 2, "s");
  special(0o2000, 5, "s");
  special(0o1000, 8, "t");
  return chars.join("");
}

export function octalText(permissions: number): string {
  return permissions.toString(8).padStart(4, "0");
}

/** New permissions after `chmod <mode>`; `undefined` for a mode that chmod does not understand. */
export function changeMode(mode: string, before: number, isDirectory: boolean): number | undefined {
  if (/^[0-7]{1,5}$/.test(mode)) {
    const bits = Number.parseInt(mode, 8);
    // chmod keeps set-id bits of directories unless they are named with five digits.
    return bits > 0o7777 ? undefined : bits | (isDirectory && mode.length < 5 ? before & 0o6000 : 0);
  }
  let result = before;
  for (const clause of mode.split(",")) {
    const [, who, changes] = /^([ugoa]*)((?:[-+=][rwxXst]*)+)$/.exec(clause) ?? [];
    if (who === undefined || changes === undefined) return undefined;
    for (const [, operator, letters = ""] of changes.matchAll(/([-+=])([rwxXst]*)/g)) {
      const { touched, bits } = symbolicBits(who, letters, result, isDirectory);
      if (operator === "+") result |= bits;
      else if (operator === "-") result &= ~bits;
      else result = (result & ~touched) | bits;
    }
  }
  return result;
}

function symbolicBits(
  who: string,
  letters: string,
  before: number,
  isDirectory: boolean,
): { touched: number; bits: number } {
  const everyone = who === "" || who.includes("a");
  let perClass = 0;
  if (letters.includes("r")) perClass |= 4;
  if (letters.includes("w")) perClass |= 2;
  if (letters.includes("x") || (letters.includes("X") && (isDirectory || (before & 0o111) !== 0))) perClass |= 1;
  let touched = 0;
  let bits = 0;
  for (const [letter, shift, special] of [
    ["u", 6, 0o4000],
    ["g", 3, 0o2000],
    ["o", 0, 0],
  ] as const) {
    if (!everyone && !who.includes(letter)) continue;
    touched |= (7 << shift) | special;
    bits |= perClass << shift;
    if (letters.includes("s")) bits |= special;
  }
  if (letters.includes("t")) bits |= 0o1000;
  return { touched, bits };
}
