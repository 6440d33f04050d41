/** Small pieces of HTTP that the site's API and its token endpoint share. */

export type InTime = <T>(work: Promise<T>) => Promise<T>;

/** Rejects at the deadline even where `fetch` or a body does not listen to its signal. */
export function deadline(signal: AbortSignal): InTime {
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return (work) => Promise.race([work, aborted]);
}

/** The body, or undefined when it is larger than the cap. */
export async function readCapped(
  response: Response,
  maxBytes: number,
  inTime: InTime,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  if (response.body === null) return new Uint8Array();
  const reader = response.body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for (;;) {
      const { done, value } = await inTime(reader.read());
      if (done) break;
      length += value.byteLength;
      if (length > maxBytes) return undefined;
      chunks.push(value);
    }
  } finally {
    // Ends the transfer when we stop early; of no consequence after a full read.
    reader.cancel().catch(() => undefined);
  }
  const whole = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    whole.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return whole;
}

/** The value, or undefined for what is no JSON. */
export function parseJson(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  try {
    return JSON.parse(new TextDecoder().decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

/** Seconds to wait, from `Retry-After` (seconds or HTTP date) or `RateLimit-Reset` (seconds); at most an hour. */
export function retryAfterSeconds(
  header: (name: string) => string | undefined | null,
  now: number,
): number | undefined {
  for (const name of ["retry-after", "ratelimit-reset"]) {
    const value = header(name)?.trim();
    if (!value) continue;
    const seconds = /^\d+(\.\d+)?$/.test(value) ? Number(value) : (Date.parse(value) - now) / 1000;
    if (Number.isFinite(seconds)) return Math.min(3_600, Math.max(0, Math.ceil(seconds)));
  }
  return undefined;
}
