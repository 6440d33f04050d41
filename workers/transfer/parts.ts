/** The parts of one multipart upload. Pure; all sizes and offsets are bytes. How large they are is in `contract/cut.ts`. */

const MIB = 1024 * 1024;

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
