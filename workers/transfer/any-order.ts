/** Mode `parts`: a few parts at a time, each with its own ranged read and tried again alone. */
import type { PartDone } from "../../shared/contract/work.ts";
import { CopyFailure } from "./failure.ts";
import type { Part } from "./parts.ts";
import { retried } from "./patience.ts";
import { isOver, partDone, type Session, timed } from "./session.ts";
import type { OpenRead } from "./source.ts";
import { BodyReader, Hash, storeStraight, storeThroughHashes } from "./stream.ts";
import { PARTS_AT_ONCE } from "./turns.ts";

/** Copies the missing parts; `first` is an open read of the first of them. True when all are stored, false = segment over. */
export async function copyInAnyOrder(session: Session, missing: readonly Part[], first: OpenRead): Promise<boolean> {
  const { turns, stop } = session;
  const queue = missing.values();
  let left = missing.length;
  const lane = async (opened?: OpenRead) => {
    let ready = opened;
    for (const part of queue) {
      session.ledger.add(await turns.take(stop.signal, () => storePart(session, part, ready)));
      ready = undefined;
      left -= 1;
      if (isOver(session, session.work.segmentMs)) return;
    }
  };
  const lanes = Array.from({ length: PARTS_AT_ONCE }, (_, i) => lane(i === 0 ? first : undefined));
  try {
    await Promise.all(lanes);
  } catch (error) {
    stop.abort(error);
    await Promise.allSettled(lanes);
    throw error;
  }
  return left === 0;
}

function storePart(session: Session, part: Part, ready: OpenRead | undefined): Promise<PartDone> {
  const { clock, stop, file, store, work } = session;
  return retried(clock, stop.signal, async (attempt) => {
    const opened = attempt === 1 && ready !== undefined ? ready : await file.open(part, stop.signal);
    try {
      if (!opened.ranged) throw new CopyFailure("later", "the store has stopped to answer ranges");
      return await timed(session, part, attempt, async () => {
        if (!work.hashParts) return partDone(part, await storeStraight(store, part, opened), undefined);
        const hash = new Hash();
        const etag = await storeThroughHashes(store, part, new BodyReader(opened.body), [hash]);
        return partDone(part, etag, await hash.hex());
      });
    } finally {
      opened.end();
    }
  });
}
