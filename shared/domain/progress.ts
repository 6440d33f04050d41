/** How fast a copy goes, from how far it was when: smoothed, because parts come in large steps. */

export interface Pace {
  /** ms since the epoch. */
  at: number;
  /** Copied by then. */
  bytes: number;
  /** Unknown until something has moved. */
  bytesPerSecond?: number;
}

/** What happened so long ago counts about a third. */
const SMOOTHING_SECONDS = 20;

/** The pace after one more look. A copy that has begun anew is followed from there. */
export function paced(before: Pace | undefined, bytes: number, now: number): Pace {
  if (before === undefined || bytes < before.bytes) return { at: now, bytes };
  const seconds = (now - before.at) / 1000;
  const isFirstMove = before.bytesPerSecond === undefined;
  if (seconds <= 0 || (isFirstMove && bytes === before.bytes)) return before;
  const latest = (bytes - before.bytes) / seconds;
  const weight = 1 - Math.exp(-seconds / SMOOTHING_SECONDS);
  const smoothed =
    before.bytesPerSecond === undefined ? latest : before.bytesPerSecond + weight * (latest - before.bytesPerSecond);
  return { at: now, bytes, bytesPerSecond: smoothed };
}

/** As it is shown: whole bytes a second, and whole seconds until the end. Nothing where nothing is known. */
export function prospect(
  { bytes, bytesPerSecond }: Pace,
  totalBytes: number | undefined,
): { bytesPerSecond?: number; remainingSeconds?: number } {
  if (bytesPerSecond === undefined) return {};
  const shown = { bytesPerSecond: Math.round(bytesPerSecond) };
  if (totalBytes === undefined || bytesPerSecond < 1) return shown;
  return { ...shown, remainingSeconds: Math.ceil(Math.max(0, totalBytes - bytes) / bytesPerSecond) };
}
