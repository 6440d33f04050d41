/**
 * API keys: `fw_<connection>_<43 base62><6 checksum>`. The 43 characters are 256 random bits; the checksum is the CRC-32 of
 * everything before it, so a mistyped or invented key is refused before anything is looked up. Stored is only the hash.
 */
import { sha256Hex, utf8 } from "./bytes.ts";
import type { RandomBytes } from "./clock.ts";

const BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const SECRET_BYTES = 32;
const SECRET_CHARS = 43;
const CHECKSUM_CHARS = 6;

export interface ApiKey {
  connection: string;
  /** The whole key as it was shown once. */
  text: string;
}

export function generateApiKey(connection: string, random: RandomBytes): string {
  const secret = random(SECRET_BYTES).reduce((value, byte) => value * 256n + BigInt(byte), 0n);
  const unchecked = `fw_${connection}_${base62(secret, SECRET_CHARS)}`;
  return unchecked + checksum(unchecked);
}

/** Tells API keys from other bearer tokens; says nothing about their being right. */
export const looksLikeApiKey = (text: string): boolean => text.startsWith("fw_");

/** Undefined unless the text is a key whose checksum fits. Costs no I/O. */
export function parseApiKey(text: string): ApiKey | undefined {
  // A connection's name may hold `-` but never `_`: what lies between the first and the last one is its name.
  const first = text.indexOf("_");
  const last = text.lastIndexOf("_");
  const secretEnd = text.length - CHECKSUM_CHARS;
  if (secretEnd - (last + 1) !== SECRET_CHARS) return undefined;
  if (checksum(text.slice(0, secretEnd)) !== text.slice(secretEnd)) return undefined;
  const connection = text.slice(first + 1, last);
  if (text.slice(0, first) !== "fw" || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(connection)) return undefined;
  return { connection, text };
}

/** What is stored and looked up: SHA-256 of the whole key, lower-case hex. 256 random bits need no salt. */
export const hashApiKey = (text: string): Promise<string> => sha256Hex(text);

function checksum(text: string): string {
  return base62(BigInt(crc32(utf8(text))), CHECKSUM_CHARS);
}

function base62(value: bigint, chars: number): string {
  let text = "";
  for (let rest = value; text.length < chars; rest /= 62n) text = BASE62.charAt(Number(rest % 62n)) + text;
  return text;
}

/** CRC-32 as in zip and PNG (reflected 0xEDB88320). */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xedb88320 : crc >>> 1;
  }
  return ~crc >>> 0;
}
