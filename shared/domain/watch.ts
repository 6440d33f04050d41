/**
 * Watching a job by its name: which of the jobs that bear it is meant. A live one, and the oldest of several. One that has
 * ended only if it did so under our eyes: a run of yesterday is not what somebody asks to be followed today.
 */
import type { JobRecord } from "./job.ts";
import { floorMs, ROUND_REQUESTS } from "./pace.ts";

export interface Named {
  schedulerId: string;
  state: "queued" | "running" | "succeeded" | "failed" | "cancelled" | "unknown";
  endedAt?: number;
}

export type Choice<M extends Named> =
  | { found: M; several: boolean }
  /** `passedOver`: had ended before the first look. */
  | { found?: undefined; passedOver: string[] };

/** Numbers by size, whatever else a scheduler uses as text. */
const older = (a: Named, b: Named): number =>
  Number.parseInt(a.schedulerId, 10) - Number.parseInt(b.schedulerId, 10) || a.schedulerId.localeCompare(b.schedulerId);

export function chooseNamed<M extends Named>(
  matches: readonly M[],
  { acceptedAt, passedOver }: Pick<JobRecord, "acceptedAt" | "passedOver">,
): Choice<M> {
  const isEnd = ({ state }: Named) => state === "succeeded" || state === "failed" || state === "cancelled";
  const live = matches.filter((match) => !isEnd(match)).sort(older);
  const ended = matches.filter(isEnd);
  const news = ended
    .filter(({ schedulerId, endedAt }) =>
      endedAt === undefined ? passedOver?.includes(schedulerId) === false : endedAt >= acceptedAt,
    )
    .sort(older);
  const candidates = live.length > 0 ? live : news;
  const found = candidates[0];
  if (found !== undefined) return { found, several: candidates.length > 1 };
  return { passedOver: passedOver ?? ended.map(({ schedulerId }) => schedulerId) };
}

/** A name that nobody has used for so long is not looked for any more. */
const GIVE_UP_MS = 7 * 24 * 3_600_000;
const SOON_MS = 10_000;
const LATE_MS = 5 * 60_000;

/**
 * When to look for the name again: soon at first, then after a tenth of the time that has gone by. All names that a
 * connection looks for share the half of its budget that looks may use.
 */
export function nextNameLookAt(
  acceptedAt: number,
  names: number,
  requestsPerMinute: number,
  now: number,
): number | undefined {
  const age = now - acceptedAt;
  if (age >= GIVE_UP_MS) return undefined;
  return (
    now + Math.max(names * floorMs(requestsPerMinute, ROUND_REQUESTS), Math.min(LATE_MS, Math.max(SOON_MS, age / 10)))
  );
}
