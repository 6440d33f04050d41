/** Events: appended with a gap-free sequence in the transaction that made them true, with a delivery for each receiver. */

import { rfc3339 } from "../../shared/clock.ts";
import type { Event, EventsQuery } from "../../shared/contract/event.ts";
import { matchesFilter } from "../../shared/contract/event.ts";
import type { Page, Refusal } from "../../shared/contract/rpc.ts";
import type { EventType } from "../../shared/contract/states.ts";
import type { House } from "./house.ts";
import { enqueue, type ReceiverRecord } from "./receivers.ts";

/** Appends one event and its deliveries; with `only`, for that receiver alone. Call inside `house.change`. */
export function announce(
  house: House,
  draft: { type: EventType; subject: string; data: Event["data"]; jobId?: string | undefined; only?: ReceiverRecord },
): Event {
  const sequence = (house.row<{ last: number | null }>("SELECT max(sequence) AS last FROM events")?.last ?? 0) + 1;
  const now = house.now();
  const event: Event = {
    id: house.id("evt"),
    type: draft.type,
    timestamp: rfc3339(now),
    sequence,
    subject: draft.subject,
    data: draft.data,
  };
  house.run(
    "INSERT INTO events (sequence, id, type, subject, at, body) VALUES (?, ?, ?, ?, ?, ?)",
    sequence,
    event.id,
    event.type,
    event.subject,
    now,
    JSON.stringify(event),
  );
  if (draft.only !== undefined) enqueue(house, draft.only, sequence);
  for (const receiver of draft.only === undefined ? receiversOf(house, draft.jobId) : []) {
    if (matchesFilter(receiver.events, event.type, draft.data as Record<string, unknown>))
      enqueue(house, receiver, sequence);
  }
  house.announced(event);
  return event;
}

/** Subscriptions hear everything; a job's callback hears its job and the transfers of its job. */
function receiversOf(house: House, jobId: string | undefined): ReceiverRecord[] {
  const rows =
    jobId === undefined
      ? house.rows<{ doc: string }>("SELECT doc FROM receivers WHERE job_id IS NULL")
      : house.rows<{ doc: string }>("SELECT doc FROM receivers WHERE job_id IS NULL OR job_id = ?", jobId);
  return rows.map(({ doc }) => JSON.parse(doc) as ReceiverRecord);
}

const DEFAULT_LIMIT = 100;

/** Events after a sequence. Bodies older than the retention are gone: `gone` names the oldest cursor that still works. */
export function eventsAfter(house: House, query: EventsQuery): { ok: true; value: Page<Event> } | Refusal {
  const after = query.after ?? 0;
  const limit = query.limit ?? DEFAULT_LIMIT;
  const oldest = Number(house.meta("events_gone_through") ?? 0);
  if (after < oldest && query.job === undefined && query.after !== undefined && query.after !== 0) {
    return {
      ok: false,
      code: "gone",
      detail: `Events up to ${oldest} have expired; read on with after=${oldest}.`,
      oldest,
    };
  }
  const rows =
    query.job === undefined
      ? house.rows<{ body: string }>(
          "SELECT body FROM events WHERE sequence > ? AND body IS NOT NULL ORDER BY sequence LIMIT ?",
          after,
          limit,
        )
      : house.rows<{ body: string }>(
          `SELECT body FROM events WHERE sequence > ? AND body IS NOT NULL AND (subject = ? OR subject IN (SELECT 'transfers/' || id FROM transfers WHERE job_id = ?))
           ORDER BY sequence LIMIT ?`,
          after,
          `jobs/${query.job}`,
          query.job,
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
