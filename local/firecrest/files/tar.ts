/** The tar format (ustar with GNU long names), as streams. */
import { joinBytes } from "./cut.ts";

const BLOCK = 512;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

export interface TarEntry {
  /** Relative; directories without a trailing slash. */
  name: string;
  kind: "-" | "d" | "l";
  permissions: number;
  /** Milliseconds since the epoch. */
  mtime: number;
  size: number;
  linkTarget: string;
}

/** Not a tar file, or it ends too early. */
export class TarError extends Error {
  override readonly name = "TarError";
}

/** Packs entries as they come; `open` is asked for the content of files. */
export function packTar(
  entries: AsyncIterable<TarEntry & { open(): ReadableStream<Uint8Array> }>,
): ReadableStream<Uint8Array> {
  return streamOf(
    (async function* () {
      for await (const entry of entries) {
        const name = entry.kind === "d" ? `${entry.name}/` : entry.name;
        if (encoder.encode(name).byteLength > 100) yield longRecord("L", name);
        if (encoder.encode(entry.linkTarget).byteLength > 100) yield longRecord("K", entry.linkTarget);
        yield header(name, entry, { "-": "0", d: "5", l: "2" }[entry.kind]);
        if (entry.kind !== "-") continue;
        yield* entry.open() as unknown as AsyncIterable<Uint8Array>;
        yield new Uint8Array(padding(entry.size));
      }
      yield new Uint8Array(2 * BLOCK);
    })(),
  );
}

function longRecord(type: string, text: string): Uint8Array {
  const bytes = encoder.encode(`${text}\0`);
  const entry: TarEntry = { name: "", kind: "-", permissions: 0, mtime: 0, size: bytes.byteLength, linkTarget: "" };
  return joinBytes([header("././@LongLink", entry, type), bytes, new Uint8Array(padding(bytes.byteLength))]);
}

function header(name: string, entry: TarEntry, type: string): Uint8Array {
  const block = new Uint8Array(BLOCK);
  const put = (at: number, length: number, text: string) => block.set(encoder.encode(text).subarray(0, length), at);
  const octal = (at: number, length: number, value: number) =>
    put(at, length, value.toString(8).padStart(length - 1, "0"));
  put(0, 100, name);
  octal(100, 8, entry.permissions);
  octal(108, 8, 0);
  octal(116, 8, 0);
  putSize(block, entry.kind === "-" ? entry.size : 0);
  octal(136, 12, Math.max(0, Math.floor(entry.mtime / 1000)));
  put(148, 8, "        ");
  put(156, 1, type);
  put(157, 100, entry.linkTarget);
  put(257, 8, "ustar  ");
  octal(
    148,
    7,
    block.reduce((sum, byte) => sum + byte, 0),
  );
  return block;
}

/** Octal up to 8 GiB, then GNU's base 256. */
function putSize(block: Uint8Array, size: number): void {
  if (size < 8 ** 11) {
    block.set(encoder.encode(size.toString(8).padStart(11, "0")), 124);
    return;
  }
  let rest = size;
  for (let at = 135; at > 124; at--) {
    block[at] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  block[124] = 0x80;
}

function padding(size: number): number {
  return (BLOCK - (size % BLOCK)) % BLOCK;
}

/** Yields each entry with its content, which must be used up (or dropped) before the next one is asked for. */
export async function* unpackTar(
  archive: ReadableStream<Uint8Array>,
): AsyncGenerator<TarEntry & { content: ReadableStream<Uint8Array> }> {
  const source = new ByteReader(archive);
  try {
    yield* entriesOf(source);
  } finally {
    // An archive may go on after its end mark, and a reader may stop early.
    await source.close();
  }
}

async function* entriesOf(source: ByteReader): AsyncGenerator<TarEntry & { content: ReadableStream<Uint8Array> }> {
  let overrides: { name?: string; linkTarget?: string; size?: number } = {};
  for (;;) {
    const block = await source.exactly(BLOCK);
    if (block === undefined || block.every((byte) => byte === 0)) return;
    requireChecksum(block);
    const size = overrides.size ?? sizeOf(block);
    const type = String.fromCharCode(block[156] ?? 0);
    if (type === "L" || type === "K" || type === "x" || type === "g") {
      const body = (await source.exactly(size + padding(size)))?.subarray(0, size);
      if (body === undefined) throw new TarError("Unexpected EOF in archive");
      if (type === "L") overrides.name = decoder.decode(body).replace(/\0+$/, "");
      if (type === "K") overrides.linkTarget = decoder.decode(body).replace(/\0+$/, "");
      if (type === "x") overrides = { ...overrides, ...paxRecords(decoder.decode(body)) };
      continue;
    }
    const prefix = text(block, 257, 6).startsWith("ustar") && text(block, 263, 2) === "00" ? text(block, 345, 155) : "";
    const name = overrides.name ?? (prefix === "" ? text(block, 0, 100) : `${prefix}/${text(block, 0, 100)}`);
    const kind = type === "5" || name.endsWith("/") ? "d" : type === "2" ? "l" : "-";
    const content = source.stream(kind === "-" ? size : 0);
    yield {
      name: name.replace(/\/+$/, ""),
      kind,
      permissions: Number.parseInt(text(block, 100, 8), 8) & 0o7777,
      mtime: Number.parseInt(text(block, 136, 12), 8) * 1000,
      size,
      linkTarget: overrides.linkTarget ?? text(block, 157, 100),
      content,
    };
    await content.cancel().catch(() => {});
    await source.skipRest();
    await source.exactly(kind === "-" ? padding(size) : 0);
    overrides = {};
  }
}

function requireChecksum(block: Uint8Array): void {
  const sum = block.reduce((total, byte, at) => total + (at >= 148 && at < 156 ? 32 : byte), 0);
  if (Number.parseInt(text(block, 148, 8), 8) !== sum) throw new TarError("This does not look like a tar archive");
}

function sizeOf(block: Uint8Array): number {
  if (((block[124] ?? 0) & 0x80) === 0) return Number.parseInt(text(block, 124, 12), 8) || 0;
  return block.subarray(125, 136).reduce((size, byte) => size * 256 + byte, 0);
}

function paxRecords(body: string): { name?: string; linkTarget?: string; size?: number } {
  const found: { name?: string; linkTarget?: string; size?: number } = {};
  for (const [, key, value = ""] of body.matchAll(/\d+ ([^=]+)=([^\n]*)\n/g)) {
    if (key === "path") found.name = value;
    if (key === "linkpath") found.linkTarget = value;
    if (key === "size") found.size = Number(value);
  }
  return found;
}

function text(block: Uint8Array, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return decoder.decode(end < 0 ? field : field.subarray(0, end)).trim();
}

/** Takes counted bytes from a stream. */
class ByteReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  #buffer: Uint8Array = new Uint8Array();
  /** Bytes of the open content stream that nobody has read yet. */
  #unread = 0;

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.getReader();
  }

  /** `undefined` at the end of the stream; fails when it ends in between. */
  async exactly(count: number): Promise<Uint8Array | undefined> {
    const chunks: Uint8Array[] = [];
    let left = count;
    while (left > 0) {
      const chunk = await this.#next(left);
      if (chunk === undefined) {
        if (left === count) return undefined;
        throw new TarError("Unexpected EOF in archive");
      }
      chunks.push(chunk);
      left -= chunk.byteLength;
    }
    return joinBytes(chunks);
  }

  stream(size: number): ReadableStream<Uint8Array> {
    this.#unread = size;
    return new ReadableStream(
      {
        pull: async (controller) => {
          if (this.#unread === 0) return controller.close();
          const chunk = await this.#next(this.#unread);
          if (chunk === undefined) throw new TarError("Unexpected EOF in archive");
          this.#unread -= chunk.byteLength;
          controller.enqueue(chunk);
        },
      },
      { highWaterMark: 0 },
    );
  }

  async close(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }

  async skipRest(): Promise<void> {
    while (this.#unread > 0) {
      const chunk = await this.#next(this.#unread);
      if (chunk === undefined) throw new TarError("Unexpected EOF in archive");
      this.#unread -= chunk.byteLength;
    }
  }

  async #next(most: number): Promise<Uint8Array | undefined> {
    while (this.#buffer.byteLength === 0) {
      const { done, value } = await this.#reader.read();
      if (done) return undefined;
      this.#buffer = value;
    }
    const chunk = this.#buffer.subarray(0, most);
    this.#buffer = this.#buffer.subarray(chunk.byteLength);
    return chunk;
  }
}

/** A stream that pulls from a generator. */
function streamOf(chunks: AsyncGenerator<Uint8Array>): ReadableStream<Uint8Array> {
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next();
        if (done) controller.close();
        else if (value.byteLength > 0) controller.enqueue(value);
        else await this.pull?.(controller);
      },
      async cancel() {
        await chunks.return(undefined);
      },
    },
    { highWaterMark: 0 },
  );
}
