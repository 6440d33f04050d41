/** What is kept, and for how long: jobs and transfers 90 days, event bodies and attempts 30, inbound bodies 7. */
import { retireChat } from "./channels/follows.ts";
import type { House } from "./house.ts";
import { forgetRetiredKey } from "./signing.ts";

const DAY_MS = 24 * 3_600_000;
const KEEP_RECORDS_MS = 90 * DAY_MS;
const KEEP_EVENTS_MS = 30 * DAY_MS;
const KEEP_INBOUND_MS = 7 * DAY_MS;
const KEEP_AUDIT_MS = 365 * DAY_MS;
const EVERY_MS = 6 * 3_600_000;

/** Call inside `house.change`. Deliveries that still go on keep their event. */
export function retire(house: House): void {
  const now = house.now();
  const events = now - KEEP_EVENTS_MS;
  house.run(
    "UPDATE events SET body = NULL WHERE at < ? AND body IS NOT NULL AND sequence NOT IN (SELECT sequence FROM deliveries WHERE status = 'pending')",
    events,
  );
  const gone = house.row<{ last: number | null }>("SELECT max(sequence) AS last FROM events WHERE body IS NULL")?.last;
  if (gone !== null && gone !== undefined) house.setMeta("events_gone_through", String(gone));
  const deliveries = house.idAt("dlv", events);
  house.run(
    "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE id < ? AND status <> 'pending')",
    deliveries,
  );
  house.run("DELETE FROM deliveries WHERE id < ? AND status <> 'pending'", deliveries);
  house.run(
    "UPDATE inbound SET body = NULL, doc = json_remove(doc, '$.headers', '$.claims') WHERE at < ? AND body IS NOT NULL",
    now - KEEP_INBOUND_MS,
  );
  house.run("DELETE FROM hook_versions WHERE replaced_at < ?", now - KEEP_INBOUND_MS);
  // By these a repeated request is known: kept as long as what they made.
  house.run("DELETE FROM inbound WHERE at < ?", now - KEEP_RECORDS_MS);
  house.run("DELETE FROM requests WHERE at < ?", now - KEEP_RECORDS_MS);
  house.run("DELETE FROM audit WHERE at < ?", now - KEEP_AUDIT_MS);
  house.run("DELETE FROM dead WHERE at < ?", events);
  house.run("DELETE FROM links WHERE expires_at <= ?", now);
  forgetRetiredKey(house);

  const jobs = house.idAt("job", now - KEEP_RECORDS_MS);
  const transfers = house.idAt("tr", now - KEEP_RECORDS_MS);
  house.run("DELETE FROM receivers WHERE job_id < ? AND job_id IN (SELECT id FROM jobs WHERE live = 0)", jobs);
  // A delivery that is still under way keeps its event, its attempts and its receiver; without a receiver it is nothing.
  house.run(
    "DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE receiver NOT IN (SELECT id FROM receivers))",
  );
  house.run("DELETE FROM deliveries WHERE receiver NOT IN (SELECT id FROM receivers)");
  house.run("DELETE FROM effects WHERE subject < ? AND subject IN (SELECT id FROM jobs WHERE live = 0)", jobs);
  house.run("DELETE FROM jobs WHERE id < ? AND live = 0", jobs);
  house.run("DELETE FROM effects WHERE subject IN (SELECT id FROM debts WHERE transfer < ? AND open = 0)", transfers);
  house.run("DELETE FROM debts WHERE transfer < ? AND open = 0", transfers);
  house.run(
    "DELETE FROM effects WHERE subject < ? AND subject IN (SELECT id FROM transfers WHERE live = 0 AND id NOT IN (SELECT transfer FROM debts))",
    transfers,
  );
  house.run("DELETE FROM parts WHERE transfer IN (SELECT id FROM transfers WHERE live = 0)");
  house.run("DELETE FROM transfers WHERE id < ? AND live = 0 AND id NOT IN (SELECT transfer FROM debts)", transfers);
  retireChat(house, now - KEEP_RECORDS_MS);
  house.due("retention", "", now + EVERY_MS);
}
