/** Mode `parts`: a few parts at a time, each with its own ranged read and tried again alone. */
import type { PartDone } from "../../shared/contract/work.ts";
import { CopyFailure } from "./failure.ts";
import type { Part } from "./parts.ts";
import { retried } from "./patience.ts";
import { isOver, partDone, type Session, timed } from "./session.ts";
import type { OpenRead } from "./source.ts";
import { BodyReader, Hash, storeStraight, storeThroughHashes } from "./stream.ts";

/** A Worker may have six connections that wait for an answer; a stored part holds one until its last byte is in. */
const LANES = 3;

/** Copies the missing parts; `first` is an open read of the first of them. True when all are stored, false = segment over. */
export async function copyInAnyOrder(session: Session, missing: readonly Part[], first: OpenRead): Promise<boolean> {
  const queue = missing.values();
  let left = missing.length;
  const lane = async (ready?: OpenRead) => {
    let opened = ready;
    for (const part of queue) {
      session.ledger.add(await storePart(session, part, opened));
      opened = undefined;
      left -= 1;
      if (isOver(session, session.work.segmentMs)) return;
    }
  };
  const lanes = Array.from({ length: LANES }, (_, i) => lane(i === 0 ? first : undefined));
  try {
    await Promise.all(lanes);
  } catch (error) {
    session.stop.abort(error);
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
