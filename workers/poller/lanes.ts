/**
 * Deliveries under way. Each receiver is a lane with at most two deliveries in flight, its own next time and its own breaker,
 * so a slow, dead or poisonous receiver never slows another. The Tracker alone decides when: it leases what is due, the
 * consumer posts and reports, and a lease that lapses is given out again.
 */
import { rfc3339 } from "../../shared/clock.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { Attempt, Delivery } from "../../shared/contract/subscription.ts";
import type { Seal } from "../../shared/seal.ts";
import { type CircuitNews, failed, probeSent, rested, succeeded } from "../../shared/webhooks/breaker.ts";
import { answered, laneDoor, posted } from "../../shared/webhooks/lane.ts";
import { type AttemptVerdict, nextAttemptAt } from "../../shared/webhooks/retry.ts";
import { type ChatLease, type ChatReport, chatLease, noteChat } from "./channels/leasing.ts";
import { isSuperseded } from "./channels/shown.ts";
import type { House } from "./house.ts";
import { disable, noteCircuit, noteExhausted } from "./notices.ts";
import { openChannel, openSecrets, type ReceiverRecord, receiver, saveReceiver } from "./receivers.ts";
import { armLanes, flying, scheduleLane } from "./waking.ts";

const LEASE_BATCH = 50;
const LEASE_MS = 60_000;
const LAPSES_UNTIL_STUCK = 5;
/** A receiver that fails for days is probed a thousand times: the newest attempts tell enough. */
const ATTEMPTS_KEPT = 50;
/** A name that cannot be looked up is tried again after this long, or when its circuit allows. */
const UNRESOLVED_DELAY_MS = 60_000;

export interface DeliveryRow {
  id: string;
  receiver: string;
  sequence: number;
  status: Delivery["status"];
  /** How many attempts were made. */
  attempt: number;
  next_at: number;
  /** Where the schedule goes on after a resend by hand. */
  resume_at: number | null;
  /** How many steps of the schedule were used up. */
  tries: number;
  /** 0 = not leased. */
  lease_until: number;
  lapses: number;
  /** 1 = went out as a probe while it waited for the circuit: its schedule was not yet up to it. */
  borrowed: number;
  created_at: number;
}

/** One leased delivery, with everything that posting it needs. Holds opened secrets: never logged. */
export interface Lease {
  delivery: string;
  attempt: number;
  /** Whoever has not begun to post it well before this time leaves it: it is given out again. */
  until: number;
  channel: ReceiverRecord["channel"];
  url: string;
  format: ReceiverRecord["format"];
  headers: Record<string, string>;
  /** The event as stored: the same bytes on every attempt. */
  body: string;
  eventId: string;
  secrets: string[];
  /** Of the request that the event's job or transfer came with. */
  traceparent?: string;
  /** What posting for people needs beyond that. */
  chat?: ChatLease;
}

export interface AttemptReport {
  delivery: string;
  attempt: number;
  at: number;
  durationMs: number;
  status?: number;
  /** Of the answer's body, as far as it was read. */
  bytes?: number;
  error?: string;
  excerpt?: string;
  /** What was sent along. */
  traceparent?: string;
  verdict: AttemptVerdict;
  /** Its name could not be looked up: nothing was sent, so nothing of its schedule is used up. */
  unresolved?: true;
  /** What a bot's message shows now, and where. */
  chat?: ChatReport;
}

/** Leases at most 50 deliveries that are due now, at most two of a lane. */
export async function lease(house: House, seal: Seal): Promise<Lease[]> {
  const chosen = house.change(() => {
    const found: Chosen[] = [];
    for (let more = true; more && found.length < LEASE_BATCH; ) {
      const due = house.rows<{ doc: string }>(
        "SELECT doc FROM receivers WHERE due_at <= ? ORDER BY due_at LIMIT ?",
        house.now(),
        LEASE_BATCH,
      );
      for (const { doc } of due) {
        if (found.length >= LEASE_BATCH) break;
        found.push(...leaseLane(house, JSON.parse(doc) as ReceiverRecord, LEASE_BATCH - found.length));
      }
      more = due.length === LEASE_BATCH;
    }
    armLanes(house, { hint: false });
    return found;
  });
  const leases = await Promise.all(chosen.map((one) => ready(house, seal, one)));
  return leases.filter((one) => one !== undefined);
}

interface Chosen {
  row: DeliveryRow;
  record: ReceiverRecord;
  body: string;
  traceparent: string | undefined;
  chat?: ChatLease;
}

/** A receiver whose secrets cannot be opened keeps its deliveries, shown as stuck; the others go on. */
async function ready(house: House, seal: Seal, chosen: Chosen): Promise<Lease | undefined> {
  const { row, record, body, traceparent, chat } = chosen;
  try {
    const { url = record.url, apiKey } = await openChannel(house, seal, record);
    return {
      delivery: row.id,
      attempt: row.attempt + 1,
      until: row.lease_until,
      channel: record.channel,
      url,
      format: record.format,
      headers: record.headers ?? {},
      body,
      eventId: (JSON.parse(body) as Event).id,
      secrets: await openSecrets(house, seal, record),
      ...(traceparent === undefined ? {} : { traceparent }),
      ...(chat === undefined ? {} : { chat: apiKey === undefined ? chat : { ...chat, apiKey } }),
    };
  } catch (error) {
    house.log({ event: "callback.not_ready", delivery: row.id, receiver: record.id, error });
    return undefined;
  }
}

function leaseLane(house: House, found: ReceiverRecord, space: number): Chosen[] {
  const now = house.now();
  const record = lapse(house, found, now);
  const door = laneDoor(record, flying(house, record.id).inFlight, now);
  const wanted = record.status === "active" ? Math.min(space, door.room) : 0;
  const rows =
    wanted > 0
      ? house.rows<DeliveryRow & { body: string | null; subject: string }>(
          `SELECT d.*, e.body, e.subject FROM deliveries d JOIN events e USING (sequence)
           WHERE d.receiver = ? AND d.status = 'pending' AND d.next_at <= ? AND d.lease_until = 0
           ORDER BY d.next_at, d.sequence LIMIT ?`,
          record.id,
          now,
          wanted,
        )
      : [];
  const chosen = rows.flatMap(({ body, subject, ...row }): Chosen[] => {
    if (body === null) {
      // Only a delivery that was begun after its event had expired has no body left to send.
      house.run("UPDATE deliveries SET status = 'exhausted' WHERE id = ?", row.id);
      return [];
    }
    const borrowed = door.probe && row.next_at < (record.circuit.probeAt ?? 0) ? 1 : 0;
    row.lease_until = now + LEASE_MS;
    house.run("UPDATE deliveries SET lease_until = ?, borrowed = ? WHERE id = ?", row.lease_until, borrowed, row.id);
    const traceparent = traceOf(house, subject);
    return [
      record.channel === "webhook"
        ? { row, record, body, traceparent }
        : { row, record, traceparent, ...chatLease(house, record, body) },
    ];
  });
  const next =
    door.probe && chosen.length > 0 ? { ...record, circuit: probeSent(rested(record.circuit, now), now) } : record;
  if (next !== found) saveReceiver(house, next);
  scheduleLane(house, next);
  return chosen;
}

/** The trace of the request that a job, or a transfer's job, came with. */
function traceOf(house: House, subject: string): string | undefined {
  const id = subject.slice(subject.indexOf("/") + 1);
  const row = house.row<{ trace: string | null }>(
    `SELECT json_extract(doc, '$.traceparent') AS trace FROM jobs
     WHERE id = coalesce((SELECT job_id FROM transfers WHERE id = ?1), ?1)
     UNION ALL SELECT json_extract(doc, '$.traceparent') FROM transfers WHERE id = ?1 AND job_id IS NULL`,
    id,
  );
  return row?.trace ?? undefined;
}

/** A lease that ran out unreported counts as a lapse: after five the delivery is stuck, and shown. It may have been posted. */
function lapse(house: House, record: ReceiverRecord, now: number): ReceiverRecord {
  const lapsed = house.rows(
    `UPDATE deliveries SET lapses = lapses + 1, lease_until = 0,
       status = CASE WHEN lapses + 1 >= ? THEN 'stuck' ELSE status END
     WHERE receiver = ? AND lease_until > 0 AND lease_until <= ? RETURNING id`,
    LAPSES_UNTIL_STUCK,
    record.id,
    now,
  );
  return posted(record, lapsed.length, now);
}

/** A lease that is given back: by its end it is told from one that somebody else was given since. */
export type Unposted = Pick<Lease, "delivery" | "until">;

/** Takes results of the consumer, and what it did not get round to posting. */
export function report(house: House, reports: AttemptReport[], unposted: readonly Unposted[] = []): void {
  house.change(() => {
    const lanes = new Set<string>();
    const rowOf = (id: string) => house.row<DeliveryRow>("SELECT * FROM deliveries WHERE id = ?", id);
    for (const result of reports) {
      const row = rowOf(result.delivery);
      if (row === undefined) continue;
      lanes.add(row.receiver);
      const awaited = row.lease_until > 0 && result.attempt === row.attempt + 1;
      if (awaited) settleAttempt(house, row, result);
      else if (result.verdict.outcome === "delivered") arrivedLate(house, row, result);
    }
    for (const { delivery, until } of unposted) {
      const row = rowOf(delivery);
      if (row?.lease_until !== until) continue;
      lanes.add(row.receiver);
      house.run("UPDATE deliveries SET lease_until = 0 WHERE id = ?", delivery);
    }
    for (const lane of lanes) {
      const record = receiver(house, lane);
      if (record !== undefined) scheduleLane(house, record);
    }
    // The consumer asks again by itself, or has somebody else ask.
    armLanes(house, { hint: false });
  });
}

/** Its lease had lapsed, or its receiver was switched off meanwhile: it was delivered all the same, and is not sent again. */
function arrivedLate(house: House, row: DeliveryRow, result: AttemptReport): void {
  if (row.status === "delivered") return;
  keepAttempt(house, row, result);
  if (result.chat !== undefined) noteChat(house, row, result.chat);
  end(house, row, "delivered");
}

function end(house: House, row: DeliveryRow, status: Delivery["status"]): void {
  house.run(
    "UPDATE deliveries SET status = ?, attempt = attempt + 1, lease_until = 0, resume_at = NULL WHERE id = ?",
    status,
    row.id,
  );
}

function keepAttempt(house: House, row: DeliveryRow, result: AttemptReport): void {
  const { at, durationMs, status, bytes, error, excerpt, traceparent, verdict } = result;
  const attempt = row.attempt + 1;
  const entry: Attempt = {
    attempt,
    at: rfc3339(at),
    durationMs,
    outcome: verdict.outcome,
    ...(status === undefined ? {} : { status }),
    ...(bytes === undefined ? {} : { bytes }),
    ...(error === undefined ? {} : { error }),
    ...(excerpt === undefined ? {} : { excerpt }),
    ...(traceparent === undefined ? {} : { traceparent }),
    ...(verdict.outcome === "retry" && verdict.location !== undefined ? { location: verdict.location } : {}),
  };
  house.run(
    "INSERT OR REPLACE INTO attempts (delivery, attempt, doc) VALUES (?, ?, ?)",
    row.id,
    attempt,
    JSON.stringify(entry),
  );
  if (attempt > ATTEMPTS_KEPT)
    house.run("DELETE FROM attempts WHERE delivery = ? AND attempt <= ?", row.id, attempt - ATTEMPTS_KEPT);
}

function settleAttempt(house: House, row: DeliveryRow, result: AttemptReport): void {
  const record = receiver(house, row.receiver);
  if (record === undefined) return;
  const now = house.now();
  const { verdict } = result;
  keepAttempt(house, row, result);
  if (result.chat !== undefined) noteChat(house, row, result.chat);
  const { circuit, news } = afterAttempt(record, verdict, now);
  const next: ReceiverRecord = answered(posted({ ...record, circuit }, 1, now), result.durationMs);
  const delayMs = verdict.outcome === "retry" ? verdict.laneDelayMs : 0;
  if (delayMs > 0) next.notBefore = Math.max(next.notBefore ?? 0, now + delayMs);
  saveReceiver(house, next);

  switch (verdict.outcome) {
    case "delivered":
      end(house, row, "delivered");
      break;
    case "abort":
      end(house, row, "aborted");
      break;
    case "disable":
      end(house, row, "held");
      break;
    case "retry":
      again(house, next, row, result, verdict.minDelayMs);
      break;
  }
  if (news !== undefined) noteCircuit(house, next, news);
  if (news === "disabled") disable(house, next, "It failed for five days.");
  else if (verdict.outcome === "disable")
    disable(house, next, verdict.reason ?? "The receiver answered that it is gone.");
  else if (verdict.outcome === "delivered" && verdict.disable) disable(house, next, "The receiver asked for no more.");
}

/** A receiver that refuses one message, or has had enough, is there: only silence and errors count against it. */
function afterAttempt(
  record: ReceiverRecord,
  verdict: AttemptVerdict,
  now: number,
): { circuit: ReceiverRecord["circuit"]; news?: CircuitNews } {
  if (verdict.outcome === "retry") return failed(record.circuit, now);
  const { circuit, news } = succeeded(record.circuit);
  const leaves = verdict.outcome === "disable" || (verdict.outcome === "delivered" && verdict.disable);
  return leaves || news === undefined ? { circuit } : { circuit, news };
}

/**
 * A borrowed probe says something about the receiver, a resend by hand was extra, and a name that could not be looked up
 * never got anything: none of them uses up the schedule. A probe goes to the end of its lane, so that one poisonous message
 * cannot keep the circuit open for all others.
 */
function again(
  house: House,
  record: ReceiverRecord,
  row: DeliveryRow,
  result: AttemptReport,
  minDelayMs: number,
): void {
  const now = house.now();
  if (record.channel !== "webhook" && isSuperseded(house, record.id, row.sequence)) {
    end(house, row, "superseded");
    return;
  }
  const isFree = row.borrowed === 1 || row.resume_at !== null || result.unresolved === true;
  const tries = isFree ? row.tries : row.tries + 1;
  const at = isFree
    ? Math.max(row.resume_at ?? now, now + (result.unresolved === true ? UNRESOLVED_DELAY_MS : minDelayMs))
    : nextAttemptAt(tries, minDelayMs, now, house.random());
  if (at === undefined) {
    end(house, row, "exhausted");
    noteExhausted(house, record, row);
    return;
  }
  house.run(
    "UPDATE deliveries SET attempt = attempt + 1, tries = ?, next_at = ?, resume_at = NULL, lease_until = 0 WHERE id = ?",
    tries,
    at,
    row.id,
  );
}
