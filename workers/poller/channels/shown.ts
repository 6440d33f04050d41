/**
 * What people are shown, and where: which message of a channel shows which job, and which news is no longer worth showing
 * because there is newer.
 */
import type { Shown } from "../../../shared/chat/bot-api.ts";
import { detailsOf } from "../../../shared/chat/details.ts";
import type { Event } from "../../../shared/contract/event.ts";
import type { House } from "../house.ts";
import { MAIN, type Standing } from "./show.ts";

/** Whether an event is one state among several of the same thing, so that a newer one makes it old. */
const isState = (type: string): boolean => /^(job|transfer)\./.test(type);

/** What has a message of its own: a job, a transfer, or one piece of news. */
export const topicOf = ({ type, subject, id }: Pick<Event, "type" | "subject" | "id">): string =>
  isState(type) ? subject : id;

/**
 * People need no states that are over: what still waits for a receiver that shows them is superseded by newer news of the same
 * job or transfer. What is on its way stays. Call inside `house.change`, before the newer delivery is written.
 */
export function supersede(house: House, receiverId: string, sequence: number): void {
  house.run(
    `UPDATE deliveries SET status = 'superseded'
     WHERE receiver = ?1 AND status IN ('pending', 'held') AND lease_until = 0 AND sequence IN (
       SELECT old.sequence FROM events old JOIN events new ON new.sequence = ?2
       WHERE old.subject = new.subject AND old.sequence < new.sequence
         AND substr(old.type, 1, instr(old.type, '.')) = substr(new.type, 1, instr(new.type, '.'))
         AND (new.type LIKE 'job.%' OR new.type LIKE 'transfer.%'))`,
    receiverId,
    sequence,
  );
}

/** Whether something newer about the same thing waits for, or has reached, this receiver. */
export function isSuperseded(house: House, receiverId: string, sequence: number): boolean {
  const newer = house.row(
    `SELECT 1 FROM deliveries d JOIN events new USING (sequence) JOIN events old ON old.sequence = ?2
     WHERE d.receiver = ?1 AND d.sequence > ?2 AND new.subject = old.subject
       AND d.status IN ('pending', 'held', 'delivered')
       AND substr(old.type, 1, instr(old.type, '.')) = substr(new.type, 1, instr(new.type, '.'))
       AND (old.type LIKE 'job.%' OR old.type LIKE 'transfer.%') LIMIT 1`,
    receiverId,
    sequence,
  );
  return newer !== undefined;
}

/** A message that is edited shows the newest state, whichever event has led to it. */
export function newestBody(house: House, event: Event, body: string): string {
  if (!isState(event.type)) return body;
  const family = `${event.type.split(".")[0]}.%`;
  const row = house.row<{ body: string }>(
    "SELECT body FROM events WHERE subject = ? AND type LIKE ? AND body IS NOT NULL ORDER BY sequence DESC LIMIT 1",
    event.subject,
    family,
  );
  return row?.body ?? body;
}

/**
 * Where the parts of an event's message stand. What is not shown yet counts as tried from now on: should nobody ever report,
 * it is looked for before it is posted again. Call inside `house.change`.
 */
export function standings(house: House, receiverId: string, event: Event): Record<string, Standing> {
  const topic = topicOf(event);
  const parts = [MAIN, ...detailsOf(event).map(({ part }) => part)];
  return Object.fromEntries(
    parts.map((part): [string, Standing] => {
      const row = house.row<{ channel: string | null; message: string | null; tried_at: number | null }>(
        "SELECT channel, message, tried_at FROM chat_messages WHERE receiver = ? AND topic = ? AND part = ?",
        receiverId,
        topic,
        part,
      );
      if (row === undefined) {
        house.run(
          "INSERT INTO chat_messages (receiver, topic, part, tried_at, at) VALUES (?1, ?2, ?3, ?4, ?4)",
          receiverId,
          topic,
          part,
          house.now(),
        );
        return [part, {}];
      }
      if (row.channel !== null && row.message !== null)
        return [part, { shown: { channel: row.channel, id: row.message } }];
      return [part, row.tried_at === null ? {} : { triedAt: row.tried_at }];
    }),
  );
}

/** What came of it. What was surely not shown is as if it had never been tried. Call inside `house.change`. */
export function noteShown(
  house: House,
  receiverId: string,
  topic: string,
  { shown, unsure }: { shown: Record<string, Shown>; unsure: readonly string[] },
): void {
  for (const [part, { channel, id }] of Object.entries(shown)) {
    house.run(
      "INSERT OR REPLACE INTO chat_messages (receiver, topic, part, channel, message, at) VALUES (?, ?, ?, ?, ?, ?)",
      receiverId,
      topic,
      part,
      channel,
      id,
      house.now(),
    );
  }
  house.run(
    "DELETE FROM chat_messages WHERE receiver = ? AND topic = ? AND message IS NULL AND part NOT IN (SELECT value FROM json_each(?))",
    receiverId,
    topic,
    JSON.stringify(unsure),
  );
}
