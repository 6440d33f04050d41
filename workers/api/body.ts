/** Reading bodies: the size is counted while reading, because a `Content-Length` is only what the sender says. */
import { Problem } from "../../shared/problem.ts";

export const MAX_JSON_BYTES = 1024 * 1024;

const tooLarge = (maxBytes: number): Problem =>
  new Problem("too_large", { detail: `The body may have at most ${maxBytes} bytes. Send less.`, extra: { maxBytes } });

/** The whole body. Throws Problem `too_large` as soon as one byte is too many; the rest is not read. */
export async function readBytes(request: Request, maxBytes = MAX_JSON_BYTES): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get("content-length") ?? 0) > maxBytes) throw tooLarge(maxBytes);
  if (request.body === null) return new Uint8Array();
  const chunks: Uint8Array[] = [];
  let length = 0;
  const reader: ReadableStreamDefaultReader<Uint8Array> = request.body.getReader();
  for (let read = await reader.read(); !read.done; read = await reader.read()) {
    length += read.value.byteLength;
    if (length > maxBytes) {
      await reader.cancel();
      throw tooLarge(maxBytes);
    }
    chunks.push(read.value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.byteLength;
  }
  return whole;
}

/** A body that is passed on as it comes: its length must be known beforehand. */
export function knownLength(
  request: Request,
  maxBytes: number,
  remedy: string,
): { body: ReadableStream | Uint8Array; bytes: number } {
  const header = request.headers.get("content-length");
  const isKnown = header !== null && /^\d{1,15}$/.test(header);
  if (!isKnown)
    throw new Problem("length_required", { detail: "Send a Content-Length; a chunked body is not taken here." });
  const bytes = Number(header);
  if (bytes > maxBytes)
    throw new Problem("too_large", {
      detail: `At most ${maxBytes} bytes are taken at once. ${remedy}`,
      extra: { maxBytes },
    });
  return { body: request.body ?? new Uint8Array(), bytes };
}

/** `application/json` or `application/…+json`. */
export const isJson = (request: Request): boolean =>
  /^application\/([a-z0-9.+-]+\+)?json *(;|$)/i.test(request.headers.get("content-type") ?? "");

/** The text as UTF-8 JSON. Throws Problem `invalid` that says where it stops being JSON, as far as the parser tells. */
export function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(bytes));
  } catch {
    throw new Problem("invalid", {
      detail: "The body is not JSON in UTF-8.",
      errors: [{ field: "", message: "must be JSON in UTF-8" }],
    });
  }
}
