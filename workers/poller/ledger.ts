/** Events: appended with a gap-free sequence in the transaction that made them true, with a delivery for each receiver. */

import { rfc3339 } from "../../shared/clock.ts";
import type { Event, EventsQuery } from "../../shared/contract/event.ts";
import { matchesFilter } from "../../shared/contract/filter.ts";
import type { Page, Refusal } from "../../shared/contract/rpc.ts";
import type { EventType } from "../../shared/contract/states.ts";
import { fitted } from "../../shared/domain/fit.ts";
import type { Actor } from "./access.ts";
import { isAwaited, isFollowed } from "./channels/follows.ts";
import type { House } from "./house.ts";
import { enqueue, type ReceiverRecord } from "./receivers.ts";

interface Draft {
  type: EventType;
  subject: string;
  data: Event["data"];
  /** The job that it concerns: its own callbacks hear it, too. */
  jobId?: string | undefined;
  /** For this receiver alone. */
  only?: ReceiverRecord;
}

/** Appends one event and its deliveries. Call inside `house.change`. */
export function announce(house: House, { type, subject, data, jobId, only }: Draft): Event {
  const sequence = (house.row<{ last: number | null }>("SELECT max(sequence) AS last FROM events")?.last ?? 0) + 1;
  const now = house.now();
  const event = fitted({ id: house.id("evt"), type, timestamp: rfc3339(now), sequence, subject, data });
  const system = systemOf(house, data, jobId);
  house.run(
    "INSERT INTO events (sequence, id, type, subject, at, system, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
    sequence,
    event.id,
    type,
    subject,
    now,
    system ?? null,
    JSON.stringify(event),
  );
  const isTheirs = ({ systems }: ReceiverRecord) => systems === undefined || isOf(systems, type, system);
  const hears = (record: ReceiverRecord) =>
    matchesFilter(record.events, type, data as Record<string, unknown>)
      ? record.chat === undefined
        ? isTheirs(record)
        : isFollowed(house, record.id, jobId) || (record.chat.all && isTheirs(record))
      : record.chat !== undefined && isAwaited(house, record.id, type, subject);
  const receivers = only === undefined ? receiversOf(house, jobId).filter(hears) : [only];
  for (const receiver of receivers) enqueue(house, receiver, sequence);
  house.announced(event);
  return event;
}

/** The system that an event is about; none for news of the connection and of subscriptions. */
function systemOf(house: House, data: Event["data"], jobId: string | undefined): string | undefined {
  if ("system" in data && typeof data.system === "string") return data.system;
  if (jobId === undefined) return undefined;
  return house.row<{ system: string }>("SELECT system FROM jobs WHERE id = ?", jobId)?.system;
}

/** Whoever is restricted to some systems hears of these, and of the connection itself. */
const isOf = (systems: readonly string[], type: string, system: string | undefined): boolean =>
  system === undefined ? type.startsWith("connection.") : systems.includes(system);

/** Whether an actor may read an event that was just made. */
export function mayRead(house: House, { systems }: Pick<Actor, "systems">, event: Event): boolean {
  if (systems === undefined) return true;
  const row = house.row<{ system: string | null }>("SELECT system FROM events WHERE sequence = ?", event.sequence);
  return isOf(systems, event.type, row?.system ?? undefined);
}

/** The same as a condition on rows of `events`; its binding is the list of systems as JSON. */
export const OF_SYSTEMS = "(system IN (SELECT value FROM json_each(?)) OR type LIKE 'connection.%')";

/** Subscriptions hear everything; a job's callback hears its job and the transfers of its job. */
function receiversOf(house: House, jobId: string | undefined): ReceiverRecord[] {
  const rows =
    jobId === undefined
      ? house.rows<{ doc: string }>("SELECT doc FROM receivers WHERE job_id IS NULL")
      : // Two questions, because one with OR would go through the callbacks of all jobs.
        house.rows<{ doc: string }>(
          "SELECT doc FROM receivers WHERE job_id IS NULL UNION ALL SELECT doc FROM receivers WHERE job_id = ?",
          jobId,
        );
  return rows.map(({ doc }) => JSON.parse(doc) as ReceiverRecord);
}

const DEFAULT_LIMIT = 100;
const OF_JOB = "(subject = ? OR subject IN (SELECT 'transfers/' || id FROM transfers WHERE job_id = ?))";

/**
 * Events after a sequence. Bodies older than the retention are gone: `gone` names the oldest cursor that still works. From
 * the start (0, or nothing) means from the oldest that is kept.
 */
export function eventsAfter(
  house: House,
  { cursor = 0, after = cursor, limit = DEFAULT_LIMIT, job }: EventsQuery,
  { systems }: Pick<Actor, "systems"> = {},
): { ok: true; value: Page<Event> } | Refusal {
  const conditions = ["sequence > ?"];
  const bindings: SqlStorageValue[] = [after];
  if (job !== undefined) conditions.push(OF_JOB) && bindings.push(`jobs/${job}`, job);
  if (systems !== undefined) conditions.push(OF_SYSTEMS) && bindings.push(JSON.stringify(systems));
  const select = (what: string, condition: string) =>
    `SELECT ${what} FROM events WHERE ${[...conditions, condition].join(" AND ")}`;

  // One job's early events may be kept while others of that time are gone, so a job is asked about its own.
  const oldest = Number(house.meta("events_gone_through") ?? 0);
  const isGone =
    after > 0 &&
    after < oldest &&
    (job === undefined || house.row(`${select("1", "body IS NULL")} LIMIT 1`, ...bindings) !== undefined);
  if (isGone) {
    return {
      ok: false,
      code: "gone",
      detail: `Events up to ${oldest} have expired; read on with after=${oldest}.`,
      oldest,
    };
  }
  // What was kept for a delivery that was still under way is no longer part of the ledger: there, nothing has gaps.
  if (job === undefined) bindings[0] = Math.max(after, oldest);
  const rows = house.rows<{ body: string }>(
    `${select("body", "body IS NOT NULL")} ORDER BY sequence LIMIT ?`,
    ...bindings,
    limit,
  );
  const items = rows.map(({ body }) => JSON.parse(body) as Event);
  const last = items.at(-1);
  return {
    ok: true,
    value: items.length === limit && last !== undefined ? { items, cursor: String(last.sequence) } : { items },
  };
}

export function eventBody(house: House, sequence: number): string | undefined {
  return house.row<{ body: string | null }>("SELECT body FROM events WHERE sequence = ?", sequence)?.body ?? undefined;
}
