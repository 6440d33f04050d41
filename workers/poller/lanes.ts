/**
 * Deliveries. Each receiver is a lane with at most two deliveries in flight, its own next time and its own breaker, so a slow,
 * dead or poisonous receiver never slows another. The Tracker alone decides when: it leases what is due, the consumer
 * posts and reports, and a lease that lapses is given out again.
 */

import { rfc3339 } from "../../shared/clock.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { Answer, Origin, Page } from "../../shared/contract/rpc.ts";
import type { Attempt, DeliveriesQuery, Delivery } from "../../shared/contract/subscription.ts";
import type { Seal } from "../../shared/seal.ts";
import { admission, type CircuitNews, failed, isOpen, probeSent, succeeded } from "../../shared/webhooks/breaker.ts";
import { type AttemptVerdict, nextAttemptAt } from "../../shared/webhooks/retry.ts";
import { type Actor, audit } from "./access.ts";
import type { House } from "./house.ts";
import { announce } from "./ledger.ts";
import { openSecrets, type ReceiverRecord, receiver, saveReceiver, wakeLane } from "./receivers.ts";

const IN_FLIGHT = 2;
const LEASE_BATCH = 50;
const LEASE_MS = 60_000;
const LAPSES_UNTIL_STUCK = 5;

interface Row {
  id: string;
  receiver: string;
  sequence: number;
  status: Delivery["status"];
  attempt: number;
  next_at: number;
  resume_at: number | null;
  tries: number;
  lease_until: number;
  lapses: number;
  created_at: number;
}

/** One leased delivery, with everything that posting it needs. Holds opened secrets: never logged. */
export interface Lease {
  delivery: string;
  attempt: number;
  url: string;
  format: ReceiverRecord["format"];
  headers: Record<string, string>;
  /** The event as stored: the same bytes on every attempt. */
  body: string;
  eventId: string;
  secrets: string[];
}

export interface AttemptReport {
  delivery: string;
  at: number;
  durationMs: number;
  status?: number;
  error?: string;
  excerpt?: string;
  verdict: AttemptVerdict;
}

/** Leases at most 50 deliveries that are due now, at most two of a lane. */
export async function lease(house: House, seal: Seal): Promise<Lease[]> {
  const chosen = house.change(() => {
    const found: { row: Row; record: ReceiverRecord; body: string }[] = [];
    for (const { subject } of house.rows<{ subject: string }>(
      "SELECT subject FROM agenda WHERE kind = 'lane' ORDER BY due_at",
    )) {
      const record = receiver(house, subject);
      if (record === undefined) house.notDue("lane", subject);
      else found.push(...leaseLane(house, record, LEASE_BATCH - found.length));
      if (found.length >= LEASE_BATCH) break;
    }
    return found;
  });
  return Promise.all(
    chosen.map(async ({ row, record, body }) => ({
      delivery: row.id,
      attempt: row.attempt + 1,
      url: record.url,
      format: record.format,
      headers: record.headers ?? {},
      body,
      eventId: (JSON.parse(body) as Event).id,
      secrets: await openSecrets(house, seal, record),
    })),
  );
}

function leaseLane(
  house: House,
  record: ReceiverRecord,
  room: number,
): { row: Row; record: ReceiverRecord; body: string }[] {
  const now = house.now();
  lapse(house, record, now);
  const inFlight =
    house.row<{ n: number }>(
      "SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'pending' AND lease_until > ?",
      record.id,
      now,
    )?.n ?? 0;
  const door = admission(record.circuit, now);
  const open = record.status === "active" && (record.notBefore ?? 0) <= now && door.admit !== "none";
  const wanted = open
    ? Math.min(room, door.admit === "probe" ? 1 - Math.min(1, inFlight) : IN_FLIGHT - inFlight, rateLeft(record, now))
    : 0;
  const rows =
    wanted > 0
      ? house.rows<Row>(
          "SELECT * FROM deliveries WHERE receiver = ? AND status = 'pending' AND next_at <= ? AND lease_until <= ? ORDER BY next_at, id LIMIT ?",
          record.id,
          now,
          now,
          wanted,
        )
      : [];

  const leased: { row: Row; record: ReceiverRecord; body: string }[] = [];
  for (const row of rows) {
    const body = house.row<{ body: string | null }>("SELECT body FROM events WHERE sequence = ?", row.sequence)?.body;
    if (body === null || body === undefined) {
      house.run("UPDATE deliveries SET status = 'exhausted' WHERE id = ?", row.id);
      continue;
    }
    house.run("UPDATE deliveries SET lease_until = ? WHERE id = ?", now + LEASE_MS, row.id);
    leased.push({ row, record, body });
  }
  if (leased.length > 0) {
    const next = {
      ...record,
      ...(record.ratePerMinute === undefined ? {} : { rate: spendRate(record, now, leased.length) }),
    };
    if (door.admit === "probe") next.circuit = probeSent(record.circuit, now);
    if (next.rate !== undefined || door.admit === "probe") saveReceiver(house, next);
  }
  scheduleLane(house, record.id);
  return leased;
}

/** A lease that ran out unreported counts as a lapse: after five the delivery is stuck, and shown. */
function lapse(house: House, record: ReceiverRecord, now: number): void {
  house.run(
    `UPDATE deliveries SET lapses = lapses + 1, lease_until = 0, status = CASE WHEN lapses + 1 >= ${LAPSES_UNTIL_STUCK} THEN 'stuck' ELSE status END
     WHERE receiver = ? AND status = 'pending' AND lease_until > 0 AND lease_until <= ?`,
    record.id,
    now,
  );
}

/** When the lane has something to do next: a delivery falls due, a lease runs out, a probe or a pause ends. */
function scheduleLane(house: House, id: string): void {
  const record = receiver(house, id);
  if (record === undefined || record.status !== "active") return house.notDue("lane", id);
  const now = house.now();
  const row = house.row<{ free: number | null; leased: number | null; flying: number }>(
    `SELECT min(CASE WHEN lease_until <= ?1 THEN next_at END) AS free, min(CASE WHEN lease_until > ?1 THEN lease_until END) AS leased,
            count(CASE WHEN lease_until > ?1 THEN 1 END) AS flying
     FROM deliveries WHERE receiver = ?2 AND status = 'pending'`,
    now,
    id,
  );
  if (row === undefined || (row.free === null && row.leased === null)) return house.notDue("lane", id);
  const full = row.flying >= IN_FLIGHT || row.free === null;
  const door = admission(record.circuit, now);
  const opens = Math.max(
    record.notBefore ?? 0,
    door.admit === "none" ? (door.at ?? Number.POSITIVE_INFINITY) : 0,
    rateLeft(record, now) > 0 ? 0 : now + rateWaitMs(record),
  );
  const at = full ? (row.leased ?? now) : Math.max(row.free ?? now, opens, now);
  if (Number.isFinite(at)) house.due("lane", id, at);
  else house.notDue("lane", id);
}

/** Takes the consumer's batch of results in one call. */
export function report(house: House, reports: AttemptReport[]): void {
  house.change(() => {
    const lanes = new Set<string>();
    for (const result of reports) {
      const row = house.row<Row>("SELECT * FROM deliveries WHERE id = ?", result.delivery);
      if (row === undefined || row.status !== "pending") continue;
      lanes.add(row.receiver);
      settleAttempt(house, row, result);
    }
    for (const lane of lanes) {
      scheduleLane(house, lane);
      const due = house.row<{ due_at: number }>(
        "SELECT due_at FROM agenda WHERE kind = 'lane' AND subject = ?",
        lane,
      )?.due_at;
      if (due !== undefined && due <= house.now()) wakeLane(house, lane);
    }
  });
}

function settleAttempt(house: House, row: Row, result: AttemptReport): void {
  const record = receiver(house, row.receiver);
  if (record === undefined) return;
  const now = house.now();
  const { verdict } = result;
  const attempt = row.attempt + 1;
  const probe = isOpen(record.circuit);
  const entry: Attempt = {
    attempt,
    at: rfc3339(result.at),
    durationMs: result.durationMs,
    outcome: verdict.outcome,
    ...(result.status === undefined ? {} : { status: result.status }),
    ...(result.error === undefined ? {} : { error: result.error }),
    ...(result.excerpt === undefined ? {} : { excerpt: result.excerpt }),
    ...(verdict.outcome === "retry" && verdict.location !== undefined ? { location: verdict.location } : {}),
  };
  house.run(
    "INSERT OR REPLACE INTO attempts (delivery, attempt, doc) VALUES (?, ?, ?)",
    row.id,
    attempt,
    JSON.stringify(entry),
  );

  const done = (status: Delivery["status"]) =>
    house.run(
      "UPDATE deliveries SET status = ?, attempt = ?, lease_until = 0, resume_at = NULL WHERE id = ?",
      status,
      attempt,
      row.id,
    );
  const { circuit, news } = verdict.outcome === "retry" ? failed(record.circuit, now) : succeeded(record.circuit);
  const next: ReceiverRecord = { ...record, circuit };

  switch (verdict.outcome) {
    case "delivered":
      done("delivered");
      if (verdict.disable) disable(house, next, "The receiver asked for no more.");
      break;
    case "abort":
      done("aborted");
      break;
    case "disable":
      done("held");
      disable(house, next, "The receiver answered that it is gone.");
      break;
    case "retry": {
      if (verdict.laneDelayMs > 0) next.notBefore = now + verdict.laneDelayMs;
      // A probe says something about the receiver, a resend by hand was extra: neither uses up the schedule.
      const free = probe || row.resume_at !== null;
      const tries = free ? row.tries : row.tries + 1;
      const at = row.resume_at ?? (free ? now : nextAttemptAt(tries, verdict.minDelayMs, now, house.random()));
      if (at === undefined) {
        done("exhausted");
        exhausted(house, record, row, attempt);
      } else {
        house.run(
          "UPDATE deliveries SET attempt = ?, tries = ?, next_at = ?, resume_at = NULL, lease_until = 0 WHERE id = ?",
          attempt,
          tries,
          at,
          row.id,
        );
      }
      break;
    }
  }
  if (news === "disabled") disable(house, next, "It failed for five days.");
  if (news !== undefined) noteCircuit(house, next, news);
  if (JSON.stringify(next) !== JSON.stringify(record)) saveReceiver(house, next);
}

function disable(house: House, record: ReceiverRecord, reason: string): void {
  record.status = "disabled";
  record.reason = reason;
  house.run(
    "UPDATE deliveries SET status = 'held', lease_until = 0 WHERE receiver = ? AND status = 'pending'",
    record.id,
  );
  announceCallback(house, record, "callback.disabled", reason);
}

function noteCircuit(house: House, record: ReceiverRecord, news: CircuitNews): void {
  house.log({ event: "callback.circuit", receiver: record.id, news, failures: record.circuit.consecutiveFailures });
  if (news === "failing_50" || news === "failing_90") {
    announceCallback(
      house,
      record,
      "callback.disabled",
      `It has failed for ${news === "failing_50" ? "half" : "90 %"} of the five days after which it is disabled.`,
    );
  } else if (news === "closed") {
    announceCallback(house, record, "callback.enabled", "It answers again.");
  }
}

function announceCallback(
  house: House,
  record: ReceiverRecord,
  type: "callback.disabled" | "callback.enabled",
  reason: string,
): void {
  announce(house, {
    type,
    subject: subjectOf(record),
    data: { ...(record.jobId === undefined ? { subscription: record.id } : {}), url: record.url, reason },
    jobId: record.jobId,
  });
}

/** Exhaustion of news about callbacks is not news: it would never end. */
function exhausted(house: House, record: ReceiverRecord, row: Row, attempts: number): void {
  const body = house.row<{ body: string | null }>("SELECT body FROM events WHERE sequence = ?", row.sequence)?.body;
  const event = body ? (JSON.parse(body) as Event) : undefined;
  if (event === undefined || event.type.startsWith("callback.")) return;
  announce(house, {
    type: "callback.exhausted",
    subject: subjectOf(record),
    data: {
      ...(record.jobId === undefined ? { subscription: record.id } : {}),
      url: record.url,
      delivery: row.id,
      event: event.id,
      attempts,
      reason: "Every attempt of the schedule failed. The delivery can be sent again.",
    },
    jobId: record.jobId,
  });
}

const subjectOf = (record: ReceiverRecord): string =>
  record.jobId === undefined ? `subscriptions/${record.id}` : `jobs/${record.jobId}`;

/** One delivery again, now. A pending schedule goes on afterwards as if nothing had happened. */
export function resend(house: House, actor: Actor, id: string, origin: Origin): Answer<Delivery> {
  return house.change(() => {
    const row = house.row<Row>("SELECT * FROM deliveries WHERE id = ?", id);
    const record = row && receiver(house, row.receiver);
    if (row === undefined || record === undefined) return { ok: false, code: "not_found" };
    if (record.status === "disabled")
      return { ok: false, code: "conflict", detail: "The receiver is disabled; set its status to active first." };
    if (house.row("SELECT 1 FROM events WHERE sequence = ? AND body IS NOT NULL", row.sequence) === undefined)
      return { ok: false, code: "gone", detail: "The event's body has expired." };
    const now = house.now();
    if (row.status === "pending")
      house.run("UPDATE deliveries SET next_at = ?, resume_at = coalesce(resume_at, next_at) WHERE id = ?", now, id);
    else
      house.run(
        "UPDATE deliveries SET status = 'pending', next_at = ?, tries = 0, lapses = 0, lease_until = 0 WHERE id = ?",
        now,
        id,
      );
    wakeLane(house, record.id);
    audit(house, actor, "delivery.resend", `deliveries/${id}`, origin);
    return { ok: true, value: viewDelivery(house, { ...row, status: "pending", next_at: now }, record) };
  });
}

/** A test event to one subscription, as real as any other. */
export function sendTest(house: House, actor: Actor, id: string, origin: Origin): Answer<Delivery> {
  return house.change(() => {
    const record = receiver(house, id);
    if (record === undefined || record.jobId !== undefined) return { ok: false, code: "not_found" };
    if (record.status !== "active")
      return { ok: false, code: "conflict", detail: `The subscription is ${record.status}.` };
    const event = announce(house, {
      type: "callback.test",
      subject: `subscriptions/${id}`,
      data: { subscription: id, url: record.url, reason: "A test, asked for by hand." },
      only: record,
    });
    audit(house, actor, "subscription.test", `subscriptions/${id}`, origin);
    const row = house.row<Row>("SELECT * FROM deliveries WHERE receiver = ? AND sequence = ?", id, event.sequence);
    return row === undefined ? { ok: false, code: "not_found" } : { ok: true, value: viewDelivery(house, row, record) };
  });
}

export function listDeliveries(house: House, query: DeliveriesQuery): Page<Delivery> {
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
  const rows = house.rows<Row>(
    `SELECT d.* FROM deliveries d WHERE ${conditions.join(" AND ")} ORDER BY d.id DESC LIMIT ?`,
    ...bindings,
    limit,
  );
  const items = rows.flatMap((row) => {
    const record = receiver(house, row.receiver);
    return record === undefined ? [] : [viewDelivery(house, row, record)];
  });
  const last = rows.at(-1);
  return rows.length === limit && last !== undefined ? { items, cursor: last.id } : { items };
}

function viewDelivery(house: House, row: Row, record: ReceiverRecord): Delivery {
  const event = house.row<{ id: string; type: Delivery["type"] }>(
    "SELECT id, type FROM events WHERE sequence = ?",
    row.sequence,
  );
  const attempts = house
    .rows<{ doc: string }>("SELECT doc FROM attempts WHERE delivery = ? ORDER BY attempt", row.id)
    .map(({ doc }) => JSON.parse(doc) as Attempt);
  return {
    id: row.id,
    event: event?.id ?? "",
    type: event?.type ?? "callback.test",
    sequence: row.sequence,
    channel: record.channel,
    url: record.url,
    status: row.status,
    attempts,
    createdAt: rfc3339(row.created_at),
    ...(record.jobId === undefined ? { subscription: record.id } : { jobId: record.jobId }),
    ...(row.status === "pending" ? { nextAttemptAt: rfc3339(row.next_at) } : {}),
  };
}

// ------------------------------------------------------------------------------------------------------------------- rate

function refilled(record: ReceiverRecord, now: number): number {
  const perMinute = record.ratePerMinute;
  if (perMinute === undefined) return Number.POSITIVE_INFINITY;
  const { tokens, at } = record.rate ?? { tokens: perMinute, at: now };
  return Math.min(perMinute, tokens + (Math.max(0, now - at) * perMinute) / 60_000);
}

const rateLeft = (record: ReceiverRecord, now: number): number => Math.floor(refilled(record, now));
const spendRate = (record: ReceiverRecord, now: number, n: number) => ({ tokens: refilled(record, now) - n, at: now });
const rateWaitMs = (record: ReceiverRecord): number => Math.ceil(60_000 / (record.ratePerMinute ?? 60));
