/** The staged file behind its link: ranged reads of one version of it, and what every answer of an object store means. */
import { CopyFailure } from "./failure.ts";

/**
 * The only way out (`egress.stream`): follows no redirect, gives up a store that does not answer, and hands over the body as the
 * runtime gave it, so that byte streams stay byte streams.
 */
export type FetchStaged = (
  url: string,
  init: { headers: Record<string, string>; signal: AbortSignal },
) => Promise<Response>;

/** Bytes `from` to the end of `bytes` were asked for. */
export interface Range {
  from: number;
  bytes: number;
}

export interface Opened {
  body: ReadableStream<Uint8Array>;
  /** Offset of the first byte of `body` in the file. */
  from: number;
  /** False: the server ignored the range and sends the whole file. */
  ranged: boolean;
  /** Whether the runtime itself will insist on the right number of bytes. */
  measured: boolean;
  etag: string | undefined;
}

/** A read under way. */
export interface OpenRead extends Opened {
  /** Gives up what is left of the body, wherever it has gone meanwhile. Does nothing once all of it was read. */
  end(): void;
}

/** What the file is known to be; an answer that says otherwise is of another file. */
interface Identity {
  totalBytes: number;
  etag: string | undefined;
}

/** Which bytes of the whole file are staged here. Offsets are those of the whole file everywhere but on the wire. */
export interface Place {
  from: number;
  bytes: number;
}

/** Whether a part of the file is staged at this place. */
export const holds = ({ from, bytes }: Place, part: { from: number }): boolean =>
  part.from >= from && part.from < from + bytes;

export class StagedFile {
  readonly place: Place;
  #etag: string | undefined;
  readonly #url: string;
  readonly #fetch: FetchStaged;

  /** `etag` is that of the first read ever; undefined = take the one that comes. */
  constructor(url: string, place: Place, etag: string | undefined, fetch: FetchStaged) {
    this.place = place;
    this.#etag = etag;
    this.#url = url;
    this.#fetch = fetch;
  }

  get etag(): string | undefined {
    return this.#etag;
  }

  /** Starts one read, which ends with `signal`, or when the caller ends it. Throws `CopyFailure`. */
  async open({ from, bytes }: Range, signal: AbortSignal): Promise<OpenRead> {
    const { place } = this;
    const range = { from: from - place.from, bytes };
    const request = new AbortController();
    const tied = AbortSignal.any([signal, request.signal]);
    try {
      const response = await this.#fetch(this.#url, { headers: headersFor(range, this.#etag), signal: tied });
      const opened = readAnswer(response, range, { totalBytes: place.bytes, etag: this.#etag });
      this.#etag ??= opened.etag;
      return { ...opened, from: opened.from + place.from, end: () => request.abort() };
    } catch (failure) {
      request.abort();
      throw failure;
    }
  }
}

function headersFor({ from, bytes }: Range, etag: string | undefined): Record<string, string> {
  return {
    range: `bytes=${from}-${from + bytes - 1}`,
    // A compressed body has no ranges that mean anything to us.
    "accept-encoding": "identity",
    // If-Match compares strongly: a weak tag would never match. It is compared by us instead.
    ...(etag !== undefined && !isWeak(etag) && { "if-match": etag }),
  };
}

const isWeak = (etag: string): boolean => etag.startsWith("W/");

/** Reads the head of an answer. Throws a `CopyFailure` for all but the asked bytes, or the whole file, of the known file. */
export function readAnswer(response: Response, asked: Range, known: Identity): Opened {
  if (response.status !== 200 && response.status !== 206) throw refusal(response, asked);
  const encoding = response.headers.get("content-encoding") ?? "identity";
  if (encoding !== "identity") throw new CopyFailure("never", "the store sends the file compressed");
  const etag = response.headers.get("etag") ?? undefined;
  if (known.etag !== undefined && etag !== undefined && etag !== known.etag)
    throw new CopyFailure("changed", "the staged file has another ETag than before");
  if (response.body === null)
    throw new CopyFailure("changed", `the staged file is empty, not ${known.totalBytes} bytes long`);

  const length = wholeNumber(response.headers.get("content-length"));
  const body = response.body as ReadableStream<Uint8Array>;
  if (response.status === 200) {
    if (length !== undefined) expectTotal(length, known);
    return { body, from: 0, ranged: false, measured: length === known.totalBytes, etag };
  }
  const sent = readContentRange(response.headers.get("content-range"));
  if (sent === undefined) throw new CopyFailure("never", "the store answered 206 without a readable Content-Range");
  if (sent.total !== undefined) expectTotal(sent.total, known);
  if (sent.from !== asked.from || sent.bytes !== asked.bytes)
    throw new CopyFailure("never", "the store sent another range than the one that was asked for");
  return { body, from: sent.from, ranged: true, measured: length === asked.bytes, etag };
}

function expectTotal(total: number, { totalBytes }: Identity): void {
  if (total !== totalBytes)
    throw new CopyFailure("changed", `the staged file is ${total} bytes long, not ${totalBytes}`);
}

function refusal(response: Response, asked: Range): CopyFailure {
  const { status } = response;
  if (status === 401 || status === 403 || status === 404 || status === 410)
    return new CopyFailure("link_dead", `the store no longer opens the link (${status})`);
  if (status === 412) return new CopyFailure("changed", "the staged file has another ETag than before");
  if (status === 416) return new CopyFailure("changed", `the staged file ends before byte ${asked.from + asked.bytes}`);
  if (status === 408 || status === 425 || status === 429 || status >= 500) {
    const retryAfterSeconds = wholeNumber(response.headers.get("retry-after"));
    return new CopyFailure("later", `the store is not able to answer now (${status})`, { retryAfterSeconds });
  }
  if (status >= 300 && status < 400)
    return new CopyFailure("never", `the link leads elsewhere (${status}), which is not followed`);
  return new CopyFailure("never", `the store refuses the link (${status})`);
}

/** `bytes 0-99/1234`; the total may be `*`. */
function readContentRange(header: string | null): (Range & { total: number | undefined }) | undefined {
  const found = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16}|\*)$/i.exec(header?.trim() ?? "");
  if (found === null) return undefined;
  const [from, last] = [Number(found[1]), Number(found[2])];
  return { from, bytes: last - from + 1, total: wholeNumber(found[3] ?? null) };
}

/** How long the whole of a file is, as the answer to a read of its first byte tells. */
export const totalOf = ({ status, headers }: Response): number | undefined =>
  status === 206
    ? readContentRange(headers.get("content-range"))?.total
    : status === 200
      ? wholeNumber(headers.get("content-length"))
      : undefined;

/** Digits only: an HTTP date in Retry-After, for one, is not read. */
export const wholeNumber = (text: string | null): number | undefined =>
  text !== null && /^\d{1,16}$/.test(text) ? Number(text) : undefined;
