/**
 * Mode `hash`, and every file of a server without ranges: one read from the first byte to the last, cut into parts. A hash cannot
 * be carried from one invocation to the next, so parts that are stored already are read and hashed again, but not stored again.
 */
import { CopyFailure } from "./failure.ts";
import { partsOf } from "./parts.ts";
import { retried } from "./patience.ts";
import { isOver, partDone, type Session, timed } from "./session.ts";
import { holds, type OpenRead } from "./source.ts";
import { BodyReader, type ByteSource, Hash, pump, storeThroughHashes } from "./stream.ts";

/**
 * Everything that was read before a pause has to be read again after it, so an ordered copy goes on for as long as the runtime
 * lets it, with a margin: a queue consumer has 15 minutes.
 */
const ORDERED_SEGMENT_MS = 10 * 60_000;

export type InOrder = { done: true; sha256?: string } | { done: false };

/** `first` is an open read that starts at the first byte that is staged. `done: false` = the segment is over. */
export async function copyInOrder(session: Session, first: OpenRead): Promise<InOrder> {
  const stored = new Set(session.stored.map(({ n }) => n));
  return retried(session.clock, session.stop.signal, async (attempt) => {
    const source = new OrderedReader(session, attempt === 1 ? first : undefined);
    try {
      return await session.turns.take(session.stop.signal, () => onePass(session, source, stored, attempt));
    } finally {
      source.end();
    }
  });
}

async function onePass(session: Session, source: ByteSource, stored: Set<number>, attempt: number): Promise<InOrder> {
  const { work, cut, store, ledger } = session;
  const whole = work.mode === "hash" ? new Hash() : undefined;
  for (const part of partsOf(cut).filter((one) => holds(session.file.place, one))) {
    if (stored.has(part.n)) {
      await timed(session, part, attempt, () => pump(source, part.bytes, whole ? [whole] : []));
      continue;
    }
    if (isOver(session, Math.max(work.segmentMs, ORDERED_SEGMENT_MS))) return { done: false };
    const own = work.hashParts ? new Hash() : undefined;
    const hashes = [whole, own].filter((hash) => hash !== undefined);
    const etag = await timed(session, part, attempt, () => storeThroughHashes(store, part, source, hashes));
    stored.add(part.n);
    ledger.add(partDone(part, etag, await own?.hex()));
  }
  return { done: true, ...(whole && { sha256: await whole.hex() }) };
}

/** The whole file in order. Where the connection breaks, it is read on from there. */
class OrderedReader implements ByteSource {
  readonly #session: Session;
  #opened: OpenRead | undefined;
  #body: BodyReader | undefined;
  #offset: number;
  #ended = false;

  constructor(session: Session, first: OpenRead | undefined) {
    this.#session = session;
    this.#opened = first;
    this.#offset = session.file.place.from;
  }

  read(atMost: number): Promise<Uint8Array> {
    const { clock, stop } = this.#session;
    return retried(clock, stop.signal, async () => {
      try {
        // A read that outlives its pass must not open the file again.
        if (this.#ended) throw new CopyFailure("never", "this pass has ended");
        this.#body ??= await this.#connect();
        const piece = await this.#body.read(atMost);
        this.#offset += piece.byteLength;
        return piece;
      } catch (error) {
        this.#disconnect();
        throw error;
      }
    });
  }

  end(): void {
    this.#ended = true;
    this.#disconnect();
  }

  #disconnect(): void {
    this.#opened?.end();
    this.#opened = undefined;
    this.#body = undefined;
  }

  async #connect(): Promise<BodyReader> {
    const { file, stop } = this.#session;
    const from = this.#offset;
    const { place } = file;
    this.#opened ??= await file.open({ from, bytes: place.from + place.bytes - from }, stop.signal);
    if (this.#opened.from !== from)
      throw new CopyFailure("later", "the store cannot read on from where the connection broke");
    return new BodyReader(this.#opened.body);
  }
}
