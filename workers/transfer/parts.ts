/** How a file of a known size is cut into the parts of a multipart upload. Pure; all sizes and offsets are bytes. */

const MIB = 1024 * 1024;

/** R2: an upload has at most this many parts, and all but the last are equal and at least `MIN_PART_BYTES`. */
export const MAX_PARTS = 10_000;
export const MIN_PART_BYTES = 5 * MIB;
/** R2's largest object: 4.995 TiB, in whole MiB. */
export const MAX_OBJECT_BYTES = Math.floor(4.995 * MIB) * MIB;

/** 32 MiB loses little when one part has to be sent again; above 4 GiB, 64 MiB halves the number of billed writes. */
const USUAL_PART_BYTES = 32 * MIB;
const LARGE_PART_BYTES = 64 * MIB;
const LARGE_FILE_BYTES = 4 * 1024 * MIB;

/** What was fixed when an upload began. */
export interface Cut {
  partBytes: number;
  totalBytes: number;
}

/** One piece of the file. Parts count from 1, as R2 counts them. */
export interface Part {
  n: number;
  from: number;
  bytes: number;
}

/** The size of every part but the last. */
export function partBytesFor(totalBytes: number): number {
  const preferred = totalBytes > LARGE_FILE_BYTES ? LARGE_PART_BYTES : USUAL_PART_BYTES;
  const smallestThatFits = Math.ceil(totalBytes / MAX_PARTS / MIB) * MIB;
  return Math.max(preferred, smallestThatFits);
}

/** All parts, in order. An empty file has none. */
export function partsOf({ partBytes, totalBytes }: Cut): Part[] {
  return Array.from({ length: Math.ceil(totalBytes / partBytes) }, (_, i) => ({
    n: i + 1,
    from: i * partBytes,
    bytes: Math.min(partBytes, totalBytes - i * partBytes),
  }));
}

/** The parts that are not stored yet, in order. */
export function missingParts(cut: Cut, stored: Iterable<{ n: number }>): Part[] {
  const have = new Set(Array.from(stored, ({ n }) => n));
  return partsOf(cut).filter(({ n }) => !have.has(n));
}

/** How often one part is tried before the whole segment gives up. */
export const PART_ATTEMPTS = 3;

/**
 * How long one try of a part may take: what 1 MiB/s needs, and 30 s for everything else. Each further try gets twice as
 * long, so a dead connection is noticed soon and a slow one still gets through.
 */
export function partTimeoutMs(bytes: number, attempt: number): number {
  return Math.round((30_000 + (bytes / MIB) * 1000) * 2 ** (attempt - 1));
}
