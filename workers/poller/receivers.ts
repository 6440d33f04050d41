/**
 * Receivers of events. A subscription, a job's own callback and (later) a chat message are one table: they differ in
 * `channel` only. Each is a lane of its own in `lanes.ts`.
 */

import { rfc3339, systemRandom } from "../../shared/clock.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Answer, Idempotency, Origin, Page } from "../../shared/contract/rpc.ts";
import type {
  NewSubscription,
  RotateRequest,
  Subscription,
  SubscriptionPatch,
  SubscriptionRequest,
} from "../../shared/contract/subscription.ts";
import type { Seal } from "../../shared/seal.ts";
import { type Circuit, CLOSED } from "../../shared/webhooks/breaker.ts";
import { generateSecret } from "../../shared/webhooks/standard.ts";
import { type Actor, audit, remember, replay } from "./access.ts";
import type { House } from "./house.ts";

export interface ReceiverRecord {
  id: string;
  jobId?: string;
  channel: "webhook";
  url: string;
  events: string[];
  format: "plain" | "cloudevents";
  headers?: Record<string, string>;
  ratePerMinute?: number;
  status: "active" | "paused" | "disabled";
  reason?: string;
  createdAt: number;
  /** Sealed `whsec_…`, newest first; older ones verify until their time is over. Empty: signed with `v1a` only. */
  secrets: { jwe: string; validUntil?: number }[];
  circuit: Circuit;
  /** The receiver asked for a pause (`Retry-After`). */
  notBefore?: number;
  /** Token bucket of `ratePerMinute`. */
  rate?: { tokens: number; at: number };
}

const DEFAULT_EVENTS = ["job.*"];
export const DEFAULT_OVERLAP_SECONDS = 24 * 3600;
const MAX_LIVE_SECRETS = 3;

export function receiver(house: House, id: string): ReceiverRecord | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM receivers WHERE id = ?", id);
  return row === undefined ? undefined : (JSON.parse(row.doc) as ReceiverRecord);
}

export function saveReceiver(house: House, record: ReceiverRecord): void {
  house.run(
    "INSERT OR REPLACE INTO receivers (id, job_id, status, doc) VALUES (?, ?, ?, ?)",
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
  house.run(
    "INSERT INTO deliveries (id, receiver, sequence, status, attempt, next_at, tries, lease_until, lapses, created_at) VALUES (?, ?, ?, ?, 0, ?, 0, 0, 0, ?)",
    id,
    record.id,
    sequence,
    status,
    now,
    now,
  );
  if (status === "pending") wakeLane(house, record.id);
  return id;
}

/** A hint that a lane has something due, and the agenda in case the hint gets lost. */
export function wakeLane(house: House, receiverId: string): void {
  house.hint({ queue: "callbacks", message: { v: 1, connection: house.name } });
  house.due("lane", receiverId, house.now() + 15_000, true);
}

const bindingOf = (house: House, id: string) => ({ purpose: "webhook_secret", connection: house.name, id });

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
        events: callback.events ?? DEFAULT_EVENTS,
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

// --------------------------------------------------------------------------------------------------------- subscriptions

export async function subscribe(
  house: House,
  seal: Seal,
  actor: Actor,
  request: SubscriptionRequest,
  options: { idempotency?: Idempotency; origin: Origin },
): Promise<Answer<NewSubscription>> {
  const id = house.id("sub");
  const secret = request.secret ?? generateSecret(systemRandom);
  const record: ReceiverRecord = {
    id,
    channel: "webhook",
    url: request.url,
    events: request.events ?? DEFAULT_EVENTS,
    format: request.format ?? "plain",
    status: "active",
    createdAt: house.now(),
    secrets: [{ jwe: await seal.seal(secret, bindingOf(house, id)) }],
    circuit: CLOSED,
    ...(request.headers === undefined ? {} : { headers: request.headers }),
    ...(request.ratePerMinute === undefined ? {} : { ratePerMinute: request.ratePerMinute }),
  };
  // The answer holds the secret, so its stored copy for replays is sealed as a whole.
  const binding = { purpose: "stored_answer", connection: house.name, id: options.idempotency?.key ?? "" };
  const view = { ...viewSubscription(house, record), secret };
  const sealedAnswer = options.idempotency === undefined ? undefined : await seal.seal(JSON.stringify(view), binding);
  const stored = house.change(() => {
    const replayed = replay<string>(house, actor, options.idempotency);
    if (replayed !== undefined) return replayed;
    saveReceiver(house, record);
    remember(house, actor, options.idempotency, sealedAnswer);
    audit(house, actor, "subscription.add", `subscriptions/${id}`, options.origin);
    return undefined;
  });
  if (stored === undefined) return { ok: true, value: view };
  return stored.ok
    ? { ok: true, value: JSON.parse(await seal.open(stored.value, binding)) as NewSubscription }
    : stored;
}

export function listSubscriptions(house: House): Page<Subscription> {
  return {
    items: house
      .rows<{ doc: string }>("SELECT doc FROM receivers WHERE job_id IS NULL ORDER BY id")
      .map(({ doc }) => viewSubscription(house, JSON.parse(doc) as ReceiverRecord)),
  };
}

export function subscriptionOf(house: House, id: string): ReceiverRecord | undefined {
  const record = receiver(house, id);
  return record?.jobId === undefined ? record : undefined;
}

export function changeSubscription(
  house: House,
  actor: Actor,
  id: string,
  patch: SubscriptionPatch,
  origin: Origin,
): Answer<Subscription> {
  return house.change(() => {
    const record = subscriptionOf(house, id);
    if (record === undefined) return { ok: false, code: "not_found" };
    const { status, ...facts } = patch;
    const next: ReceiverRecord = {
      ...record,
      ...(Object.fromEntries(
        Object.entries(facts).filter(([, value]) => value !== undefined),
      ) as Partial<ReceiverRecord>),
    };
    if (status !== undefined && status !== record.status) {
      next.status = status;
      delete next.reason;
      if (status === "active") next.circuit = CLOSED;
    }
    saveReceiver(house, next);
    if (next.status === "active" && record.status !== "active") release(house, id);
    audit(house, actor, "subscription.change", `subscriptions/${id}`, origin);
    return { ok: true, value: viewSubscription(house, next) };
  });
}

/** What was held for a receiver while it was paused goes out now, in order. */
function release(house: House, id: string): void {
  house.run(
    "UPDATE deliveries SET status = 'pending', next_at = ? WHERE receiver = ? AND status = 'held'",
    house.now(),
    id,
  );
  wakeLane(house, id);
}

export function removeSubscription(house: House, actor: Actor, id: string, origin: Origin): Answer<null> {
  return house.change(() => {
    if (subscriptionOf(house, id) === undefined) return { ok: false, code: "not_found" };
    house.run("DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE receiver = ?)", id);
    house.run("DELETE FROM deliveries WHERE receiver = ?", id);
    house.run("DELETE FROM receivers WHERE id = ?", id);
    house.notDue("lane", id);
    audit(house, actor, "subscription.remove", `subscriptions/${id}`, origin);
    return { ok: true, value: null };
  });
}

export async function rotateSecret(
  house: House,
  seal: Seal,
  actor: Actor,
  id: string,
  request: RotateRequest,
  origin: Origin,
): Promise<Answer<{ secret: string; previousValidUntil: string }>> {
  const secret = request.secret ?? generateSecret(systemRandom);
  const jwe = await seal.seal(secret, bindingOf(house, id));
  const validUntil = house.now() + (request.overlapSeconds ?? DEFAULT_OVERLAP_SECONDS) * 1000;
  return house.change(() => {
    const record = subscriptionOf(house, id);
    if (record === undefined) return { ok: false, code: "not_found" };
    const live = record.secrets.filter((old) => old.validUntil === undefined || old.validUntil > house.now());
    const older = live.map((old) => ({ ...old, validUntil: Math.min(old.validUntil ?? validUntil, validUntil) }));
    saveReceiver(house, { ...record, secrets: [{ jwe }, ...older].slice(0, MAX_LIVE_SECRETS) });
    audit(house, actor, "subscription.rotate", `subscriptions/${id}`, origin);
    return { ok: true, value: { secret, previousValidUntil: rfc3339(validUntil) } };
  });
}

/** Sends again what a subscription never got since then: exhausted, aborted, held and stuck deliveries, in order. */
export function recover(
  house: House,
  actor: Actor,
  id: string,
  since: string,
  origin: Origin,
): Answer<{ scheduled: number }> {
  return house.change(() => {
    if (subscriptionOf(house, id) === undefined) return { ok: false, code: "not_found" };
    const now = house.now();
    const scheduled = house.rows(
      `UPDATE deliveries SET status = 'pending', next_at = ?, tries = 0, lapses = 0, lease_until = 0
       WHERE receiver = ? AND status IN ('exhausted', 'aborted', 'held', 'stuck') AND created_at >= ? RETURNING id`,
      now,
      id,
      Date.parse(since),
    ).length;
    if (scheduled > 0) wakeLane(house, id);
    audit(house, actor, "subscription.recover", `subscriptions/${id}`, origin);
    return { ok: true, value: { scheduled } };
  });
}

export function viewSubscription(house: House, record: ReceiverRecord): Subscription {
  const pending =
    house.row<{ n: number }>(
      "SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status IN ('pending', 'held')",
      record.id,
    )?.n ?? 0;
  return {
    id: record.id,
    url: record.url,
    events: record.events,
    format: record.format,
    status: record.status,
    createdAt: rfc3339(record.createdAt),
    consecutiveFailures: record.circuit.consecutiveFailures,
    pending,
    ...(record.headers === undefined ? {} : { headers: record.headers }),
    ...(record.ratePerMinute === undefined ? {} : { ratePerMinute: record.ratePerMinute }),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
  };
}
