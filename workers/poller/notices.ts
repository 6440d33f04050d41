/** What a receiver's owner is told about it: failing, switched off, back again, and a delivery that was given up. */
import type { Event } from "../../shared/contract/event.ts";
import type { EventType } from "../../shared/contract/states.ts";
import { type CircuitNews, DISABLE_AFTER_MS } from "../../shared/webhooks/breaker.ts";
import type { House } from "./house.ts";
import type { DeliveryRow } from "./lanes.ts";
import { announce, eventBody } from "./ledger.ts";
import { type ReceiverRecord, saveReceiver } from "./receivers.ts";

type Facts = { reason: string; percent?: number; delivery?: string; event?: string; attempts?: number };

/** A subscription is its own subject, a job's callback belongs to the job. */
function tell(house: House, record: ReceiverRecord, type: EventType, facts: Facts): void {
  const about = record.jobId === undefined ? { subscription: record.id } : {};
  announce(house, {
    type,
    subject: record.jobId === undefined ? `subscriptions/${record.id}` : `jobs/${record.jobId}`,
    data: { ...about, url: record.url, ...facts },
    jobId: record.jobId,
  });
}

/** Switches a receiver off. What is on its way is kept, held. Call inside `house.change`. */
export function disable(house: House, record: ReceiverRecord, reason: string): void {
  const off: ReceiverRecord = { ...record, status: "disabled", reason };
  // First the fact, then the news: the news must not enter the lane that was just closed as if it were open.
  saveReceiver(house, off);
  hold(house, record.id);
  tell(house, off, "callback.disabled", { reason });
}

/** Deliveries of a receiver that gets nothing for now. Call inside `house.change`. */
export function hold(house: House, receiverId: string): void {
  house.run(
    "UPDATE deliveries SET status = 'held', lease_until = 0 WHERE receiver = ? AND status = 'pending'",
    receiverId,
  );
}

export function noteEnabled(house: House, record: ReceiverRecord): void {
  tell(house, record, "callback.enabled", { reason: "Switched on by hand." });
}

const DAYS = DISABLE_AFTER_MS / (24 * 3_600_000);
const FAILING: Partial<Record<CircuitNews, { percent: number; reason: string }>> = {
  opened: {
    percent: 0,
    reason: `It failed ten times in a row: deliveries wait, one goes out as a probe every five minutes. After ${DAYS} days it is disabled.`,
  },
  failing_50: { percent: 50, reason: `Half of the ${DAYS} days after which it is disabled have gone by.` },
  failing_90: { percent: 90, reason: `90 % of the ${DAYS} days after which it is disabled have gone by.` },
};

export function noteCircuit(house: House, record: ReceiverRecord, news: CircuitNews): void {
  house.log({ event: "callback.circuit", receiver: record.id, news, failures: record.circuit.consecutiveFailures });
  const failing = FAILING[news];
  if (failing !== undefined) tell(house, record, "callback.failing", failing);
  else if (news === "closed") tell(house, record, "callback.recovered", { reason: "It answers again." });
}

/** Giving up news about callbacks is not news: it would never end. */
export function noteExhausted(house: House, record: ReceiverRecord, row: DeliveryRow): void {
  const body = eventBody(house, row.sequence);
  if (body === undefined) return;
  const event = JSON.parse(body) as Event;
  if (event.type.startsWith("callback.")) return;
  tell(house, record, "callback.exhausted", {
    delivery: row.id,
    event: event.id,
    attempts: row.attempt + 1,
    reason: "Every attempt of the schedule failed. The delivery can be sent again.",
  });
}
