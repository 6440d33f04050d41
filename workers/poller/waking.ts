/**
 * When lanes are due. Each receiver's row knows its own time, so that a thousand sleeping lanes cost nothing; the agenda
 * holds the earliest of them all in one entry.
 */
import { laneDoor } from "../../shared/webhooks/lane.ts";
import type { House } from "./house.ts";
import type { ReceiverRecord } from "./receivers.ts";

/** A hint that got lost is sent again after this long. */
const HINT_AGAIN_MS = 15_000;

/** What of a lane is under way, and when the first of it counts as lost. */
export function flying(house: House, receiverId: string): { inFlight: number; leasedUntil?: number } {
  const row = house.row<{ n: number; until: number | null }>(
    "SELECT count(*) AS n, min(lease_until) AS until FROM deliveries WHERE receiver = ? AND lease_until > 0",
    receiverId,
  );
  const inFlight = row?.n ?? 0;
  return row === undefined || row.until === null ? { inFlight } : { inFlight, leasedUntil: row.until };
}

/** When the lane has something to do next: a delivery falls due, a lease runs out, a probe or a pause ends. */
function laneDueAt(house: House, record: ReceiverRecord): number | undefined {
  const { inFlight, leasedUntil } = flying(house, record.id);
  const lapses = leasedUntil ?? Number.POSITIVE_INFINITY;
  const waiting = house.row<{ next_at: number }>(
    "SELECT next_at FROM deliveries WHERE receiver = ? AND status = 'pending' AND lease_until = 0 ORDER BY next_at LIMIT 1",
    record.id,
  );
  const isOpen = record.status === "active" && waiting !== undefined;
  const leaves = isOpen
    ? Math.max(waiting.next_at, laneDoor(record, inFlight, house.now()).opensAt)
    : Number.POSITIVE_INFINITY;
  const at = Math.min(leaves, lapses);
  return Number.isFinite(at) ? Math.ceil(at) : undefined;
}

/** Notes when the lane is due. Call inside `house.change`, and `armLanes` after the last one. */
export function scheduleLane(house: House, record: ReceiverRecord): void {
  const at = laneDueAt(house, record) ?? null;
  house.run("UPDATE receivers SET due_at = ?1 WHERE id = ?2 AND due_at IS NOT ?1", at, record.id);
}

/**
 * Puts the earliest lane on the agenda. With `hint`, a consumer is told at once if something is due; without it the agenda
 * still brings it back. Call inside `house.change`.
 */
export function armLanes(house: House, { hint }: { hint: boolean }): void {
  const now = house.now();
  const isDue = house.row("SELECT 1 FROM receivers WHERE due_at <= ? LIMIT 1", now) !== undefined;
  const later = house.row<{ at: number | null }>("SELECT min(due_at) AS at FROM receivers WHERE due_at > ?", now)?.at;
  if (isDue && hint) house.hint({ queue: "callbacks", message: { v: 1, connection: house.name } });
  const at = Math.min(isDue ? now + HINT_AGAIN_MS : Number.POSITIVE_INFINITY, later ?? Number.POSITIVE_INFINITY);
  const standing = house.row<{ due_at: number }>("SELECT due_at FROM agenda WHERE kind = 'lane'")?.due_at;
  if (!Number.isFinite(at)) {
    if (standing !== undefined) house.notDue("lane", "");
  } else if (standing !== at) {
    house.due("lane", "", at);
  }
}

/** Something changed in a lane: a consumer is told if it has something to post. Call inside `house.change`. */
export function wakeLane(house: House, record: ReceiverRecord): void {
  scheduleLane(house, record);
  armLanes(house, { hint: true });
}
