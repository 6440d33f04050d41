/**
 * Bytes as text and as digests: the encodings, hashes and the one comparison that every secret goes through. Decoders are
 * strict and answer `undefined`: what they read came from outside.
 */

const encoder = new TextEncoder();

export const utf8 = (text: string): Uint8Array => encoder.encode(text);

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

export function toBase64(bytes: Uint8Array): string {
  let binary = "";
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return btoa(binary);
}

/** Standard alphabet, padded or not; no white space, no URL-safe alphabet. */
export function fromBase64(text: string): Uint8Array | undefined {
  if (!/^[A-Za-z0-9+/]*={0,2}$/.test(text)) return undefined;
  const bare = text.replace(/=+$/, "");
  if (text !== bare && text.length % 4 !== 0) return undefined;
  if (bare.length % 4 === 1) return undefined;
  return Uint8Array.from(atob(bare), (char) => char.charCodeAt(0));
}

export const toBase64Url = (bytes: Uint8Array): string =>
  toBase64(bytes).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

export const toHex = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Either case. */
export function fromHex(text: string): Uint8Array | undefined {
  if (text.length % 2 !== 0 || !/^[0-9a-fA-F]*$/.test(text)) return undefined;
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

export async function sha256(data: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", data));
}

/** Lower-case hex of the SHA-256 of bytes, or of a text in UTF-8. */
export async function sha256Hex(data: Uint8Array | string): Promise<string> {
  return toHex(await sha256(typeof data === "string" ? utf8(data) : data));
}

export type HmacHash = "sha1" | "sha256" | "sha512";

const HASH_NAMES = { sha1: "SHA-1", sha256: "SHA-256", sha512: "SHA-512" } as const satisfies Record<HmacHash, string>;

export async function hmac(hash: HmacHash, key: Uint8Array, content: Uint8Array): Promise<Uint8Array> {
  const imported = await crypto.subtle.importKey("raw", key, { name: "HMAC", hash: HASH_NAMES[hash] }, false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("HMAC", imported, content));
}

/**
 * Whether two secrets are the same, in a time that tells nothing about where they differ or how long they are: their digests
 * are compared, all of every time.
 */
export async function sameSecret(a: Uint8Array | string, b: Uint8Array | string): Promise<boolean> {
  const [left, right] = await Promise.all([a, b].map((x) => sha256(typeof x === "string" ? utf8(x) : x)));
  let difference = 0;
  left?.forEach((byte, i) => {
    difference |= byte ^ (right?.[i] ?? 0);
  });
  return difference === 0;
}
