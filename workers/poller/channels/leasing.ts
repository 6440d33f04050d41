/** What a delivery to people takes along when it is leased, and what is kept of its report. Call inside `house.change`. */
import type { Shown } from "../../../shared/chat/bot-api.ts";
import type { ChatPlace } from "../../../shared/contract/chat.ts";
import type { Event } from "../../../shared/contract/event.ts";
import type { House } from "../house.ts";
import { jobRecord } from "../jobs.ts";
import type { DeliveryRow } from "../lanes.ts";
import { eventBody } from "../ledger.ts";
import { type Provided, providedFor } from "../limits.ts";
import type { ReceiverRecord } from "../receivers.ts";
import type { Standing } from "./show.ts";
import { newestBody, noteShown, standings, topicOf } from "./shown.ts";

export interface ChatLease {
  receiver: string;
  /** Of channels in which our bot is. */
  place?: ChatPlace;
  /** By part of the message. */
  standing?: Record<string, Standing>;
  email?: NonNullable<ReceiverRecord["email"]>;
  /** Of a mail provider: a secret. */
  apiKey?: string;
  /** What the job had asked for, and what it may ask for: a better advice needs it. */
  provided?: Provided;
}

export interface ChatReport {
  shown: Record<string, Shown>;
  unsure: string[];
}

export function chatLease(house: House, record: ReceiverRecord, ownBody: string): { body: string; chat: ChatLease } {
  const { id: receiver, chat, email } = record;
  const provided = providedIn(house, JSON.parse(ownBody) as Event);
  const about = {
    receiver,
    ...(email === undefined ? {} : { email }),
    ...(provided === undefined ? {} : { provided }),
  };
  if (chat === undefined) return { body: ownBody, chat: about };
  const body = newestBody(house, JSON.parse(ownBody) as Event, ownBody);
  const standing = standings(house, receiver, JSON.parse(body) as Event);
  return { body, chat: { ...about, place: chat.place, standing } };
}

function providedIn(house: House, { type, subject }: Event): Provided | undefined {
  const record = type.startsWith("job.") ? jobRecord(house, subject.slice("jobs/".length)) : undefined;
  return record && providedFor(house, record);
}

export function noteChat(house: House, row: DeliveryRow, report: ChatReport): void {
  const body = eventBody(house, row.sequence);
  if (body !== undefined) noteShown(house, row.receiver, topicOf(JSON.parse(body) as Event), report);
}
