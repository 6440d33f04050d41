/**
 * The byte loop. Bytes are read into one buffer in large pieces, and each piece goes to every sink before the next is read,
 * so memory stays flat whatever the size. Small pieces, `tee()` and piping into a digest cost 4 to 8 times the CPU.
 */
import { toHex } from "../../shared/bytes.ts";
import { CopyFailure } from "./failure.ts";
import type { Part } from "./parts.ts";
import type { Opened } from "./source.ts";

const BUFFER_BYTES = 1024 * 1024;
/** A read waits for this much, where so much is left. */
const READ_BYTES = 512 * 1024;

/** Bytes in order. */
export interface ByteSource {
  /** At least one byte, at most `atMost`. The piece is valid until the next read. Rejects when the bytes end early. */
  read(atMost: number): Promise<Uint8Array>;
}

interface ByteSink {
  write(piece: Uint8Array): Promise<void>;
}

/** `min` is in the standard and in the runtime, and not yet in its types. */
interface LargeReader {
  read(view: Uint8Array, options: { min: number }): Promise<{ done: boolean; value?: Uint8Array<ArrayBuffer> }>;
  cancel(reason?: unknown): Promise<void>;
}

/** Reads one body through one buffer. */
export class BodyReader implements ByteSource {
  readonly #reader: LargeReader;
  #buffer = new ArrayBuffer(BUFFER_BYTES);

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = body.getReader({ mode: "byob" }) as unknown as LargeReader;
  }

  async read(atMost: number): Promise<Uint8Array> {
    const view = new Uint8Array(this.#buffer, 0, Math.min(atMost, BUFFER_BYTES));
    const { value } = await this.#reader.read(view, { min: Math.min(atMost, READ_BYTES) });
    if (value === undefined || value.byteLength === 0) throw new CopyFailure("later", "the staged file ended early");
    // The buffer travelled through the reader and came back as another object.
    this.#buffer = value.buffer;
    return value;
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => {});
  }
}

/** A running SHA-256. */
export class Hash implements ByteSink {
  readonly #stream = new crypto.DigestStream("SHA-256");
  readonly #writer = this.#stream.getWriter();

  constructor() {
    // A digest that is given up rejects; whoever asks for it in `hex` hears of it there.
    this.#stream.digest.catch(() => {});
  }

  write(piece: Uint8Array): Promise<void> {
    return this.#writer.write(piece);
  }

  /** Ends it. 64 lower-case hex digits. */
  async hex(): Promise<string> {
    await this.#writer.close();
    return toHex(new Uint8Array(await this.#stream.digest));
  }
}

/** Moves exactly that many bytes from the source to every sink. */
export async function pump(source: ByteSource, bytes: number, sinks: readonly ByteSink[]): Promise<void> {
  for (let left = bytes; left > 0; ) {
    const piece = await source.read(left);
    left -= piece.byteLength;
    await Promise.all(sinks.map((sink) => sink.write(piece)));
  }
}

/** Where parts go: an R2 multipart upload, or whatever looks like one. */
export type PartStore = Pick<R2MultipartUpload, "uploadPart">;

/** Stores one part from a source that stands at its first byte, past `hashes`. Answers R2's tag of the part. */
export async function storeThroughHashes(
  store: PartStore,
  part: Part,
  source: ByteSource,
  hashes: readonly Hash[],
): Promise<string> {
  const exact = new FixedLengthStream(part.bytes);
  const writer = exact.writable.getWriter();
  const fill = async () => {
    await pump(source, part.bytes, [...hashes, writer]);
    await writer.close();
  };
  try {
    // Together: an upload that fails stops reading, and a write would then wait for ever.
    const [stored] = await Promise.all([store.uploadPart(part.n, exact.readable), fill()]);
    return stored.etag;
  } catch (error) {
    await writer.abort(error).catch(() => {});
    throw error;
  }
}

/** Stores one part straight from an answer that holds exactly its bytes, without a turn of our own per piece. */
export async function storeStraight(store: PartStore, part: Part, opened: Opened): Promise<string> {
  const body = opened.measured ? opened.body : opened.body.pipeThrough(new FixedLengthStream(part.bytes));
  const stored = await store.uploadPart(part.n, body);
  return stored.etag;
}
