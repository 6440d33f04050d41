/**
 * Ids look like what they are: a prefix, `_` and 26 lower-case Crockford base32 characters, of which the first 10 are the
 * time in milliseconds and the last 16 are random (80 bits). So ids of one kind sort by the time they were made.
 * `idOf` in `contract/words.ts` reads them.
 */
import type { RandomBytes } from "./clock.ts";

const ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz";
const TIME_CHARS = 10;
const RANDOM_BYTES = 10;
const TAG_CHARS = 13;

/** The largest time that fits, in the year 10889. */
const MAX_TIME_MS = 2 ** 48 - 1;

/** A new id at `nowMs`. Throws RangeError for a time that ids cannot carry. */
export function newId(prefix: string, nowMs: number, random: RandomBytes): string {
  if (!Number.isInteger(nowMs) || nowMs < 0 || nowMs > MAX_TIME_MS)
    throw new RangeError("an id needs a time in whole ms");
  return `${prefix}_${timeChars(nowMs)}${randomChars(random(RANDOM_BYTES))}`;
}

/** When an id was made, in ms. Throws RangeError for a text that is not an id. */
export function timeOfId(id: string): number {
  const chars = /_([0-7][0-9a-hjkmnp-tv-z]{9})[0-9a-hjkmnp-tv-z]{16}$/.exec(id)?.[1];
  if (chars === undefined) throw new RangeError("not an id");
  return [...chars].reduce((ms, char) => ms * 32 + ALPHABET.indexOf(char), 0);
}

/** The part of an id that goes into a scheduler's job name: 13 random characters (65 bits), case does not matter. */
export const tagOf = (id: string): string => id.slice(-TAG_CHARS);

function timeChars(ms: number): string {
  let chars = "";
  for (let rest = ms; chars.length < TIME_CHARS; rest = Math.floor(rest / 32))
    chars = ALPHABET.charAt(rest % 32) + chars;
  return chars;
}

/** Five bytes at a time make eight characters. */
function randomChars(bytes: Uint8Array): string {
  let chars = "";
  let bits = 0;
  let held = 0;
  for (const byte of bytes) {
    held = (held << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      chars += ALPHABET.charAt((held >> bits) & 31);
    }
    held &= (1 << bits) - 1;
  }
  return chars;
}
