/**
 * How a file of a known size is cut into the parts of an object: a promise between the transfer Worker, which copies part
 * by part, and the HPC side, which hashes part by part (`firecrest/manifest.ts`). All sizes are bytes.
 */

const MIB = 1024 * 1024;

/** R2: an upload has at most this many parts, and all but the last are equal and at least `MIN_PART_BYTES`. */
export const MAX_PARTS = 10_000;
export const MIN_PART_BYTES = 5 * MIB;
/** R2's largest object: 4.995 TiB, in whole MiB. */
export const MAX_OBJECT_BYTES = Math.floor(4.995 * MIB) * MIB;

/** 32 MiB loses little when one part has to be sent again; above 4 GiB, 64 MiB halves the number of billed writes. */
export const USUAL_PART_BYTES = 32 * MIB;
export const LARGE_PART_BYTES = 64 * MIB;
export const LARGE_FILE_BYTES = 4 * 1024 * MIB;
/** Parts of even larger files are whole multiples of this. */
export const PART_STEP_BYTES = MIB;

/** The size of every part but the last. */
export function partBytesFor(totalBytes: number): number {
  const preferred = totalBytes > LARGE_FILE_BYTES ? LARGE_PART_BYTES : USUAL_PART_BYTES;
  const smallestThatFits = Math.ceil(totalBytes / MAX_PARTS / PART_STEP_BYTES) * PART_STEP_BYTES;
  return Math.max(preferred, smallestThatFits);
}
