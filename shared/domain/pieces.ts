/**
 * Files that are larger than what a site can stage come in pieces: cut on the HPC side, staged one after the other, joined in
 * R2 as parts of one object. Pure decisions; all sizes are bytes.
 */
import { partBytesFor } from "../contract/cut.ts";

/** What is on record of a file that comes in pieces. */
export interface Pieces {
  /** Where they lie, each under its number. */
  directory: string;
  /** Of every piece but the last: whole parts, so that no part lies in two pieces. */
  pieceBytes: number;
  /** The piece that is being fetched, counted from 0. */
  at: number;
}

/** How large pieces may be for a site's limit, or undefined where the site cannot even stage one part. */
export function pieceBytesFor(totalBytes: number, siteMaxBytes: number): number | undefined {
  const partBytes = partBytesFor(totalBytes);
  if (siteMaxBytes < partBytes) return undefined;
  // A little below the limit where that can be: what sends a piece adds a form around it.
  const parts = Math.max(1, Math.ceil(siteMaxBytes / partBytes) - 1);
  return parts * partBytes;
}

/** Four digits do: there are no more pieces than parts. */
export const pieceName = (at: number): string => String(at).padStart(4, "0");

/** The place of a piece in the file. */
export function pieceRange({ pieceBytes, at }: Pieces, totalBytes: number): { from: number; bytes: number } {
  const from = at * pieceBytes;
  return { from, bytes: Math.min(pieceBytes, totalBytes - from) };
}

/** The first piece of which a part is not stored yet, or undefined when all are. */
export function pieceToFetch(
  { pieceBytes }: Pick<Pieces, "pieceBytes">,
  totalBytes: number,
  stored: ReadonlySet<number>,
): number | undefined {
  const partBytes = partBytesFor(totalBytes);
  const parts = Math.ceil(totalBytes / partBytes);
  for (let n = 1; n <= parts; n++) if (!stored.has(n)) return Math.floor(((n - 1) * partBytes) / pieceBytes);
  return undefined;
}
