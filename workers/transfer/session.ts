/** What both ways of copying work with, for one segment of one transfer. */
import type { CopyWork, PartDone } from "../../shared/contract/work.ts";
import { CopyFailure } from "./failure.ts";
import type { Ledger } from "./ledger.ts";
import { type Cut, type Part, partTimeoutMs } from "./parts.ts";
import { type Clock, within } from "./patience.ts";
import type { StagedFile } from "./source.ts";
import type { PartStore } from "./stream.ts";
import type { Turns } from "./turns.ts";

export interface Session {
  work: Pick<CopyWork, "mode" | "hashParts" | "segmentMs">;
  file: StagedFile;
  cut: Cut;
  store: PartStore;
  /** Parts that were stored before this segment. */
  stored: readonly { n: number }[];
  ledger: Ledger;
  clock: Clock;
  turns: Turns;
  /** Aborted by a cancel, a lost Tracker, or the first failure that ends the segment. */
  stop: AbortController;
  /** ms since the epoch. */
  startedAt: number;
}

/**
 * Whether this segment has had its time. It pauses only after it stored something new, so that every segment gets further than
 * the one before.
 */
export const isOver = ({ ledger, clock, startedAt }: Session, segmentMs: number): boolean =>
  ledger.parts > 0 && clock.now() - startedAt >= segmentMs;

/** Gives one try of a part its time. */
export function timed<T>({ clock, stop }: Session, part: Part, attempt: number, task: () => Promise<T>): Promise<T> {
  const late = () => new CopyFailure("later", `part ${part.n} was not stored in time`);
  return within({ clock, ms: partTimeoutMs(part.bytes, attempt), signal: stop.signal, late }, task);
}

export const partDone = (part: Part, etag: string, sha256: string | undefined): PartDone => ({
  n: part.n,
  etag,
  bytes: part.bytes,
  ...(sha256 !== undefined && { sha256 }),
});
