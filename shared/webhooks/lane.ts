/**
 * How many deliveries may leave to one receiver now, and when the next may. Pure: the receiver's state and the time go in, a
 * decision comes out. A receiver has a few deliveries in flight, its own breaker, its own pauses and its own rate, so
 * what it does to us never reaches another receiver.
 */
import { admission, type Circuit, isOpen } from "./breaker.ts";

export const IN_FLIGHT = 2;
/** A receiver that took this long for its last answer gets one delivery at a time. */
const SLOW_MS = 5_000;

/** The window in which `ratePerMinute` holds, wherever it is laid. */
const RATE_WINDOW_MS = 60_000;

export interface Lane {
  circuit: Circuit;
  /** The receiver asked for a pause until then, in ms. */
  notBefore?: number;
  /** Deliveries a minute at most. */
  ratePerMinute?: number;
  /** At most so many at once; `IN_FLIGHT` where nothing is said. */
  inFlight?: number;
  /** The pause after each. */
  gapMs?: number;
  /** What left within the last minute, by the second in which it ended (rounded up), oldest first. Kept where a rate is. */
  recent?: [second: number, posts: number][];
  /** Its last answer took long. */
  slow?: true;
}

export interface Door {
  /** How many may leave now. */
  room: number;
  /** The one that may leave is to find out whether the receiver is back. */
  probe: boolean;
  /** When to ask again, in ms: now or earlier while there is room, Infinity where only the end of what is in flight helps. */
  opensAt: number;
}

/** `inFlight` = what left and has not come back. */
export function laneDoor(lane: Lane, inFlight: number, nowMs: number): Door {
  const doors = [breakerDoor(lane, inFlight, nowMs), rateDoor(lane, inFlight, nowMs)];
  if ((lane.notBefore ?? 0) > nowMs) doors.push({ room: 0, opensAt: lane.notBefore ?? 0 });
  return {
    room: Math.min(...doors.map(({ room }) => room)),
    probe: isOpen(lane.circuit),
    opensAt: Math.max(...doors.map(({ opensAt }) => opensAt)),
  };
}

type OneDoor = Pick<Door, "room" | "opensAt">;

function breakerDoor({ circuit, slow, inFlight: most = IN_FLIGHT }: Lane, inFlight: number, nowMs: number): OneDoor {
  const admitted = admission(circuit, nowMs);
  if (admitted.admit === "none") return { room: 0, opensAt: admitted.at ?? Number.POSITIVE_INFINITY };
  const room = Math.max(0, (admitted.admit === "probe" || slow ? 1 : most) - inFlight);
  return { room, opensAt: room > 0 ? 0 : Number.POSITIVE_INFINITY };
}

/**
 * What left within the last minute and what is in flight together never exceed the rate: whatever is in flight may still
 * arrive at any moment. So no window of 60 s holds more than the rate, which a bucket that refills could not promise.
 */
function rateDoor({ ratePerMinute, recent = [] }: Lane, inFlight: number, nowMs: number): OneDoor {
  if (ratePerMinute === undefined) return { room: Number.POSITIVE_INFINITY, opensAt: 0 };
  const counted = recent.filter(([second]) => endOf(second) > nowMs);
  const used = counted.reduce((sum, [, posts]) => sum + posts, inFlight);
  if (used < ratePerMinute) return { room: ratePerMinute - used, opensAt: 0 };
  let mustEnd = used - ratePerMinute + 1;
  for (const [second, posts] of counted) {
    mustEnd -= posts;
    if (mustEnd <= 0) return { room: 0, opensAt: endOf(second) };
  }
  return { room: 0, opensAt: Number.POSITIVE_INFINITY };
}

/** The lane after an attempt that took so long. */
export function answered<L extends Lane>(lane: L, durationMs: number): L {
  const { slow: _, ...calm } = lane;
  return durationMs >= SLOW_MS ? { ...lane, slow: true } : (calm as L);
}

/** When what left in a second no longer counts. */
const endOf = (second: number): number => second * 1000 + RATE_WINDOW_MS;

/** The lane after `posts` attempts that ended at `nowMs` or before. What no longer counts is forgotten. */
export function posted<L extends Lane>(lane: L, posts: number, nowMs: number): L {
  if (posts === 0) return lane;
  const paused =
    lane.gapMs === undefined ? lane : { ...lane, notBefore: Math.max(lane.notBefore ?? 0, nowMs + lane.gapMs) };
  if (lane.ratePerMinute === undefined) return paused;
  const second = Math.ceil(nowMs / 1000);
  const before = (lane.recent ?? []).filter((entry) => endOf(entry[0]) > nowMs);
  const last = before.at(-1);
  const recent: [number, number][] =
    last?.[0] === second ? [...before.slice(0, -1), [second, last[1] + posts]] : [...before, [second, posts]];
  return { ...paused, recent };
}
