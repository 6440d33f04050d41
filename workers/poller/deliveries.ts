/** Deliveries as people see them: listed with their attempts, sent again by hand, or made for a test. */
import { rfc3339 } from "../../shared/clock.ts";
import { type Answer, NOT_FOUND, type Origin, type Page } from "../../shared/contract/rpc.ts";
import type { Attempt, DeliveriesQuery, Delivery } from "../../shared/contract/subscription.ts";
import { CLOSED } from "../../shared/webhooks/breaker.ts";
import { type Actor, audit, reaches } from "./access.ts";
import type { House } from "./house.ts";
import type { DeliveryRow } from "./lanes.ts";
import { announce, eventBody, OF_SYSTEMS } from "./ledger.ts";
import { pageOf } from "./page.ts";
import { type ReceiverRecord, receiver, saveReceiver } from "./receivers.ts";
import { subscriptionOf } from "./subscriptions.ts";
import { wakeLane } from "./waking.ts";

/** One delivery again, now. A pending schedule goes on afterwards as if nothing had happened. */
export function resend(house: House, actor: Actor, id: string, origin: Origin): Answer<Delivery> {
  return house.change((): Answer<Delivery> => {
    const row = house.row<DeliveryRow>("SELECT * FROM deliveries WHERE id = ?", id);
    const record = row && receiver(house, row.receiver);
    if (row === undefined || record === undefined || !isTheirs(house, actor, record)) return NOT_FOUND;
    if (record.status !== "active" && record.jobId === undefined) {
      return {
        ok: false,
        code: "conflict",
        detail: `The subscription is ${record.status}; set its status to active first.`,
      };
    }
    if (eventBody(house, row.sequence) === undefined)
      return { ok: false, code: "gone", detail: "The event's body has expired." };
    const now = house.now();
    if (row.status === "pending") {
      house.run(
        "UPDATE deliveries SET next_at = ?, resume_at = coalesce(resume_at, next_at) WHERE id = ? AND lease_until = 0",
        now,
        id,
      );
    } else {
      house.run("UPDATE deliveries SET status = 'pending', next_at = ?, tries = 0, lapses = 0 WHERE id = ?", now, id);
    }
    // Nobody can switch a job's own callback on again but whoever sends something to it.
    const active: ReceiverRecord =
      record.status === "active" ? record : { ...record, status: "active", circuit: CLOSED };
    if (active !== record) saveReceiver(house, active);
    wakeLane(house, active);
    audit(house, actor, "delivery.resend", `deliveries/${id}`, origin);
    return { ok: true, value: viewDelivery(house, { ...row, status: "pending", next_at: now }, active) };
  });
}

function isTheirs(house: House, actor: Actor, record: ReceiverRecord): boolean {
  if (record.jobId === undefined) return reaches(actor, record.systems);
  const job = house.row<{ system: string }>("SELECT system FROM jobs WHERE id = ?", record.jobId);
  return reaches(actor, job === undefined ? undefined : [job.system]);
}

/** A test event to one subscription, as real as any other. */
export function sendTest(house: House, actor: Actor, id: string, origin: Origin): Answer<Delivery> {
  return house.change((): Answer<Delivery> => {
    const record = subscriptionOf(house, actor, id);
    if (record === undefined) return NOT_FOUND;
    if (record.status !== "active")
      return { ok: false, code: "conflict", detail: `The subscription is ${record.status}.` };
    const data = { subscription: id, url: record.url, reason: "A test, asked for by hand." };
    const event = announce(house, { type: "callback.test", subject: `subscriptions/${id}`, data, only: record });
    audit(house, actor, "subscription.test", `subscriptions/${id}`, origin);
    const row = house.row<DeliveryRow>(
      "SELECT * FROM deliveries WHERE receiver = ? AND sequence = ?",
      id,
      event.sequence,
    );
    return row === undefined ? NOT_FOUND : { ok: true, value: viewDelivery(house, row, record) };
  });
}

export function listDeliveries(
  house: House,
  query: DeliveriesQuery,
  { systems }: Pick<Actor, "systems"> = {},
): Page<Delivery> {
  const limit = query.limit ?? 50;
  const conditions = ["d.id < ?"];
  const bindings: SqlStorageValue[] = [query.cursor ?? "dlv_~"];
  if (query.subscription !== undefined) conditions.push("d.receiver = ?") && bindings.push(query.subscription);
  if (query.status !== undefined) conditions.push("d.status = ?") && bindings.push(query.status);
  if (query.job !== undefined) {
    conditions.push(
      "d.sequence IN (SELECT sequence FROM events WHERE subject = ? OR subject IN (SELECT 'transfers/' || id FROM transfers WHERE job_id = ?))",
    );
    bindings.push(`jobs/${query.job}`, query.job);
  }
  if (systems !== undefined) {
    conditions.push(`d.sequence IN (SELECT sequence FROM events WHERE ${OF_SYSTEMS})`);
    bindings.push(JSON.stringify(systems));
  }
  const rows = house.rows<DeliveryRow>(
    `SELECT d.* FROM deliveries d JOIN receivers r ON r.id = d.receiver WHERE ${conditions.join(" AND ")} ORDER BY d.id DESC LIMIT ?`,
    ...bindings,
    limit,
  );
  return pageOf(rows, limit, (row) => viewDelivery(house, row, receiver(house, row.receiver) as ReceiverRecord));
}

function viewDelivery(house: House, row: DeliveryRow, record: ReceiverRecord): Delivery {
  const event = house.row<{ id: string; type: Delivery["type"] }>(
    "SELECT id, type FROM events WHERE sequence = ?",
    row.sequence,
  );
  const attempts = house.rows<{ doc: string }>("SELECT doc FROM attempts WHERE delivery = ? ORDER BY attempt", row.id);
  return {
    id: row.id,
    event: event?.id ?? "",
    type: event?.type ?? "callback.test",
    sequence: row.sequence,
    channel: record.channel,
    url: record.url,
    status: row.status,
    attempts: attempts.map(({ doc }) => JSON.parse(doc) as Attempt),
    createdAt: rfc3339(row.created_at),
    ...(record.jobId === undefined ? { subscription: record.id } : { jobId: record.jobId }),
    ...(row.status === "pending" ? { nextAttemptAt: rfc3339(row.next_at) } : {}),
  };
}
