/**
 * Receivers of events. A subscription, a job's own callback and a chat channel are one table: they differ in `channel` only.
 * Each is a lane of its own in `lanes.ts`.
 */

import type { ChatPlace } from "../../shared/contract/chat.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Channel, Subscription } from "../../shared/contract/subscription.ts";
import type { Seal } from "../../shared/seal.ts";
import { CLOSED } from "../../shared/webhooks/breaker.ts";
import type { Lane } from "../../shared/webhooks/lane.ts";
import { supersede } from "./channels/shown.ts";
import type { House } from "./house.ts";
import { wakeLane } from "./waking.ts";

export interface ReceiverRecord extends Lane {
  id: string;
  jobId?: string;
  channel: Channel;
  /** Of other channels than `webhook` only what may be shown; the rest is in `sealed`. */
  url: string;
  /** Sealed JSON, `ChannelSecret`. */
  sealed?: string;
  email?: NonNullable<Subscription["email"]>;
  /** A channel in which our bot is: all news, or only of the jobs that it follows. */
  chat?: { place: ChatPlace; all: boolean };
  events: string[];
  format: "plain" | "cloudevents";
  headers?: Record<string, string>;
  /** Hears only of these systems, where its maker may see no others. */
  systems?: string[];
  status: "active" | "paused" | "disabled";
  reason?: string;
  createdAt: number;
  /** Sealed `whsec_…`, newest first; older ones verify until their time is over. Empty: signed with `v1a` only. */
  secrets: { jwe: string; validUntil?: number }[];
}

/** What is secret of a channel that people read: whoever has it can write there. */
export interface ChannelSecret {
  url?: string;
  apiKey?: string;
}

export const DEFAULT_EVENTS: readonly string[] = ["job.*"];

export function receiver(house: House, id: string): ReceiverRecord | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM receivers WHERE id = ?", id);
  return row === undefined ? undefined : (JSON.parse(row.doc) as ReceiverRecord);
}

export function saveReceiver(house: House, record: ReceiverRecord): void {
  house.run(
    "INSERT INTO receivers (id, job_id, status, doc) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET status = excluded.status, doc = excluded.doc",
    record.id,
    record.jobId ?? null,
    record.status,
    JSON.stringify(record),
  );
}

/** Puts an event into a receiver's lane. Paused and disabled receivers keep theirs, held. Call inside `house.change`. */
export function enqueue(house: House, record: ReceiverRecord, sequence: number): string {
  const id = house.id("dlv");
  const now = house.now();
  const status = record.status === "active" ? "pending" : "held";
  if (record.channel !== "webhook") supersede(house, record.id, sequence);
  house.run(
    "INSERT INTO deliveries (id, receiver, sequence, status, attempt, next_at, tries, lease_until, lapses, created_at) VALUES (?, ?, ?, ?, 0, ?, 0, 0, 0, ?)",
    id,
    record.id,
    sequence,
    status,
    now,
    now,
  );
  if (status === "pending") wakeLane(house, record);
  return id;
}

/** What a receiver's sealed secrets are bound to. */
export const bindingOf = (house: House, id: string) => ({ purpose: "webhook_secret", connection: house.name, id });

/** Receivers for a job's own callbacks, sealed and ready to be stored with the job. */
export async function jobReceivers(
  house: House,
  seal: Seal,
  jobId: string,
  callbacks: JobRequest["callbacks"],
): Promise<ReceiverRecord[]> {
  return Promise.all(
    (callbacks ?? []).map(async (callback): Promise<ReceiverRecord> => {
      const id = house.id("cb");
      return {
        id,
        jobId,
        channel: "webhook",
        url: callback.url,
        events: callback.events ?? [...DEFAULT_EVENTS],
        format: "plain",
        status: "active",
        createdAt: house.now(),
        secrets: callback.secret === undefined ? [] : [{ jwe: await seal.seal(callback.secret, bindingOf(house, id)) }],
        circuit: CLOSED,
      };
    }),
  );
}

export async function openSecrets(house: House, seal: Seal, record: ReceiverRecord): Promise<string[]> {
  const now = house.now();
  const live = record.secrets.filter(({ validUntil }) => validUntil === undefined || validUntil > now);
  return Promise.all(live.map(({ jwe }) => seal.open(jwe, bindingOf(house, record.id))));
}

/** What a channel's secret is bound to. */
export const channelBindingOf = (house: House, id: string) => ({
  purpose: "channel_secret",
  connection: house.name,
  id,
});

export async function openChannel(house: House, seal: Seal, record: ReceiverRecord): Promise<ChannelSecret> {
  if (record.sealed === undefined) return {};
  return JSON.parse(await seal.open(record.sealed, channelBindingOf(house, record.id))) as ChannelSecret;
}
