/** Serving bytes that are not ours: ranges, conditions (RFC 9110), and headers that keep a browser from running them. */
import { fromHex, toBase64 } from "../../shared/bytes.ts";

/** Saved, never shown: an object may be HTML that somebody's job wrote. */
export function attachment(key: string): Record<string, string> {
  const name = key.split("/").at(-1) ?? "";
  const plain = name.replaceAll(/[^A-Za-z0-9._-]/g, "_");
  return {
    "content-disposition": `attachment; filename="${plain}"; filename*=UTF-8''${encodeRfc8187(name)}`,
    "x-content-type-options": "nosniff",
    "content-security-policy": "sandbox; default-src 'none'",
  };
}

const encodeRfc8187 = (text: string): string =>
  encodeURIComponent(text.toWellFormed()).replaceAll(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

export interface StoredObject {
  key: string;
  size: number;
  /** With its quotes. */
  httpEtag: string;
  uploaded: Date;
  httpMetadata?: { contentType?: string } | undefined;
  customMetadata?: Record<string, string> | undefined;
  checksums?: { sha256?: ArrayBuffer | undefined } | undefined;
}

/** Of the whole object, where it was computed: by the transfer that proved it, or by R2 while it was put. */
export function sha256Of({ customMetadata, checksums }: StoredObject): string | undefined {
  if (/^[0-9a-f]{64}$/.test(customMetadata?.sha256 ?? "")) return customMetadata?.sha256;
  return (
    checksums?.sha256 &&
    [...new Uint8Array(checksums.sha256)].map((byte) => byte.toString(16).padStart(2, "0")).join("")
  );
}

export function objectHeaders(object: StoredObject): Headers {
  const sha256 = sha256Of(object);
  const digest = sha256 === undefined ? undefined : fromHex(sha256);
  return new Headers({
    "content-type": object.httpMetadata?.contentType ?? "application/octet-stream",
    etag: object.httpEtag,
    "last-modified": object.uploaded.toUTCString(),
    "accept-ranges": "bytes",
    "cache-control": "private, no-cache",
    ...(digest && { "repr-digest": `sha-256=:${toBase64(digest)}:` }),
    ...attachment(object.key),
  });
}

/** RFC 9110 §13.2.2: what the conditions of a read come to. */
export function precondition(headers: Headers, { httpEtag, uploaded }: StoredObject): "go" | "not_modified" | "failed" {
  const modifiedSeconds = Math.floor(uploaded.getTime() / 1000);
  const ifMatch = headers.get("if-match");
  const unmodifiedSince = secondsOf(headers.get("if-unmodified-since"));
  if (ifMatch !== null) {
    if (!names(ifMatch, httpEtag, "strong")) return "failed";
  } else if (unmodifiedSince !== undefined && modifiedSeconds > unmodifiedSince) return "failed";

  const ifNoneMatch = headers.get("if-none-match");
  const modifiedSince = secondsOf(headers.get("if-modified-since"));
  if (ifNoneMatch !== null) return names(ifNoneMatch, httpEtag, "weak") ? "not_modified" : "go";
  return modifiedSince !== undefined && modifiedSeconds <= modifiedSince ? "not_modified" : "go";
}

function names(list: string, etag: string, comparison: "strong" | "weak"): boolean {
  if (list.trim() === "*") return true;
  const tags = list.match(/(W\/)?"[^"]*"/g) ?? [];
  return tags.some((tag) => tag === etag || (comparison === "weak" && tag === `W/${etag}`));
}

function secondsOf(date: string | null): number | undefined {
  const ms = date === null ? Number.NaN : Date.parse(date);
  return Number.isNaN(ms) ? undefined : Math.floor(ms / 1000);
}

export type ByteRange = { offset: number; length?: number } | { suffix: number };

/** One range of bytes. Several, other units and nonsense are ignored, as RFC 9110 allows: the whole is sent. */
export function parseRange(header: string | null): ByteRange | undefined {
  const [, first = "", last = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header?.trim() ?? "") ?? [];
  if (first === "") return last === "" ? undefined : { suffix: Number(last) };
  if (last === "") return { offset: Number(first) };
  return Number(last) < Number(first) ? undefined : { offset: Number(first), length: Number(last) - Number(first) + 1 };
}

/** Where the range lies in an object of this size; undefined = nowhere (416). */
export function resolveRange(range: ByteRange, size: number): { offset: number; length: number } | undefined {
  if ("suffix" in range) {
    const length = Math.min(range.suffix, size);
    return length === 0 ? undefined : { offset: size - length, length };
  }
  if (range.offset >= size) return undefined;
  return { offset: range.offset, length: Math.min(range.length ?? size, size - range.offset) };
}
