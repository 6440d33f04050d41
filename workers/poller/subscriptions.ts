/** Subscriptions: receivers that people make, change, pause, recover and remove. */

import { rfc3339, systemRandom } from "../../shared/clock.ts";
import type { ChatTarget } from "../../shared/contract/chat.ts";
import {
  type Answer,
  type Idempotency,
  NOT_FOUND,
  type Origin,
  type Page,
  type Refusal,
} from "../../shared/contract/rpc.ts";
import type {
  NewSubscription,
  RotateRequest,
  Subscription,
  SubscriptionRequest,
} from "../../shared/contract/subscription.ts";
import type { Seal } from "../../shared/seal.ts";
import { CLOSED } from "../../shared/webhooks/breaker.ts";
import { generateSecret } from "../../shared/webhooks/standard.ts";
import { type Actor, audit, reaches } from "./access.ts";
import { followInChat, forgetChannel, isLinked } from "./channels/follows.ts";
import { newsOf, outOnly, type SealedPatch } from "./channels/out-only.ts";
import type { House } from "./house.ts";
import { hold, noteEnabled } from "./notices.ts";
import { bindingOf, DEFAULT_EVENTS, type ReceiverRecord, receiver, saveReceiver } from "./receivers.ts";
import { remember, replay } from "./repeats.ts";
import { armLanes, wakeLane } from "./waking.ts";

const DEFAULT_OVERLAP_SECONDS = 24 * 3600;
const MAX_LIVE_SECRETS = 3;
const NOT_LINKED: Refusal = {
  ok: false,
  code: "invalid",
  errors: [{ field: "/chat/workspace", message: "is no workspace in which somebody is linked to this connection" }],
};
const NOT_SIGNED: Refusal = { ok: false, code: "conflict", detail: "What goes to this channel is not signed." };

export async function subscribe(
  house: House,
  seal: Seal,
  actor: Actor,
  request: SubscriptionRequest,
  options: { idempotency?: Idempotency; origin: Origin },
): Promise<Answer<NewSubscription>> {
  const { url, channel = "webhook", chat } = request;
  if (chat !== undefined && (channel === "slack" || channel === "mattermost"))
    return showInChat(house, actor, { place: chat, platform: channel }, request.events, options);
  const id = house.id("sub");
  const secret = channel === "webhook" ? (request.secret ?? generateSecret(systemRandom)) : undefined;
  const record: ReceiverRecord = {
    id,
    // The schema has made sure that a program's receiver has a URL.
    ...(channel === "webhook" && url !== undefined ? { channel, url } : await outOnly(house, seal, id, request)),
    events: request.events ?? (channel === "webhook" ? [...DEFAULT_EVENTS] : newsOf(channel)),
    format: request.format ?? "plain",
    status: "active",
    createdAt: house.now(),
    secrets: secret === undefined ? [] : [{ jwe: await seal.seal(secret, bindingOf(house, id)) }],
    circuit: CLOSED,
    ...(request.headers === undefined ? {} : { headers: request.headers }),
    ...(request.ratePerMinute === undefined ? {} : { ratePerMinute: request.ratePerMinute }),
    ...(actor.systems === undefined ? {} : { systems: actor.systems }),
  };
  // The answer holds the secret, so its stored copy for replays is sealed as a whole.
  const binding = { purpose: "stored_answer", connection: house.name, id: options.idempotency?.key ?? "" };
  const view = { ...viewSubscription(house, record), ...(secret === undefined ? {} : { secret }) };
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
  if (!stored.ok) return stored;
  return { ok: true, value: JSON.parse(await seal.open(stored.value, binding)) as NewSubscription };
}

/** A channel in which our bot is: it is one receiver, however often it is asked for. */
function showInChat(
  house: House,
  actor: Actor,
  target: ChatTarget,
  events: string[] | undefined,
  { idempotency, origin }: { idempotency?: Idempotency; origin: Origin },
): Answer<NewSubscription> {
  return house.change((): Answer<NewSubscription> => {
    const replayed = replay<NewSubscription>(house, actor, idempotency);
    if (replayed !== undefined) return replayed;
    if (!isLinked(house, target.place.workspace)) return NOT_LINKED;
    const view = viewSubscription(house, followInChat(house, actor, target, origin, events));
    remember(house, actor, idempotency, view);
    return { ok: true, value: view };
  });
}

export function listSubscriptions(house: House, actor: Actor): Page<Subscription> {
  const rows = house.rows<{ doc: string }>("SELECT doc FROM receivers WHERE job_id IS NULL ORDER BY id");
  const records = rows.map(({ doc }) => JSON.parse(doc) as ReceiverRecord);
  return {
    items: records.filter((record) => reaches(actor, record.systems)).map((record) => viewSubscription(house, record)),
  };
}

/** A subscription that this caller may see and change. */
export function subscriptionOf(house: House, actor: Actor, id: string): ReceiverRecord | undefined {
  const record = receiver(house, id);
  return record?.jobId === undefined && record !== undefined && reaches(actor, record.systems) ? record : undefined;
}

export function subscription(house: House, actor: Actor, id: string): Answer<Subscription> {
  const record = subscriptionOf(house, actor, id);
  return record === undefined ? NOT_FOUND : { ok: true, value: viewSubscription(house, record) };
}

/** A change by hand is a fresh start where it says so: another address, or `active`, forgives what was. */
export function changeSubscription(
  house: House,
  actor: Actor,
  id: string,
  patch: SealedPatch,
  origin: Origin,
): Answer<Subscription> {
  return house.change((): Answer<Subscription> => {
    const record = subscriptionOf(house, actor, id);
    if (record === undefined) return NOT_FOUND;
    const { status = record.status, ...facts } = patch;
    const given = Object.entries(facts).filter(([, value]) => value !== undefined);
    const next: ReceiverRecord = { ...record, ...(Object.fromEntries(given) as Partial<ReceiverRecord>), status };
    if (status !== "disabled") delete next.reason;
    if (patch.status === "active" || patch.sealed !== undefined || next.url !== record.url) {
      next.circuit = CLOSED;
      delete next.notBefore;
    }
    saveReceiver(house, next);
    audit(house, actor, "subscription.change", `subscriptions/${id}`, origin);
    if (status === "paused") hold(house, id);
    if (status === "active" && record.status !== "active") release(house, id);
    if (status === "active" && record.status === "disabled") noteEnabled(house, next);
    wakeLane(house, next);
    return { ok: true, value: viewSubscription(house, next) };
  });
}

/** What was held goes out now, in the order of its events. */
function release(house: House, id: string): void {
  const now = house.now();
  house.run("UPDATE deliveries SET status = 'pending', next_at = ? WHERE receiver = ? AND status = 'held'", now, id);
}

export function removeSubscription(house: House, actor: Actor, id: string, origin: Origin): Answer<null> {
  return house.change((): Answer<null> => {
    if (subscriptionOf(house, actor, id) === undefined) return NOT_FOUND;
    house.run("DELETE FROM attempts WHERE delivery IN (SELECT id FROM deliveries WHERE receiver = ?)", id);
    house.run("DELETE FROM deliveries WHERE receiver = ?", id);
    house.run("DELETE FROM receivers WHERE id = ?", id);
    forgetChannel(house, id);
    armLanes(house, { hint: false });
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
  return house.change((): Answer<{ secret: string; previousValidUntil: string }> => {
    const now = house.now();
    const validUntil = now + (request.overlapSeconds ?? DEFAULT_OVERLAP_SECONDS) * 1000;
    const record = subscriptionOf(house, actor, id);
    if (record === undefined) return NOT_FOUND;
    if (record.channel !== "webhook") return NOT_SIGNED;
    const live = record.secrets.filter((old) => old.validUntil === undefined || old.validUntil > now);
    const older = live.map((old) => ({ ...old, validUntil: Math.min(old.validUntil ?? validUntil, validUntil) }));
    saveReceiver(house, { ...record, secrets: [{ jwe }, ...older].slice(0, MAX_LIVE_SECRETS) });
    audit(house, actor, "subscription.rotate", `subscriptions/${id}`, origin);
    return { ok: true, value: { secret, previousValidUntil: rfc3339(validUntil) } };
  });
}

/**
 * Sends again what a subscription never got since then, in the order of its events: what was given up or is stuck, and what
 * waits for its next attempt, whose schedule goes on afterwards. An open circuit sends its probe at once.
 */
export function recover(
  house: House,
  actor: Actor,
  id: string,
  since: string,
  origin: Origin,
): Answer<{ scheduled: number }> {
  return house.change((): Answer<{ scheduled: number }> => {
    const record = subscriptionOf(house, actor, id);
    if (record === undefined) return NOT_FOUND;
    if (record.status !== "active") {
      return {
        ok: false,
        code: "conflict",
        detail: `The subscription is ${record.status}; set its status to active first.`,
      };
    }
    const now = house.now();
    const from = Date.parse(since);
    const ended = house.rows(
      `UPDATE deliveries SET status = 'pending', next_at = ?, tries = 0, lapses = 0
       WHERE receiver = ? AND status IN ('exhausted', 'aborted', 'held', 'stuck') AND created_at >= ?
         AND sequence IN (SELECT sequence FROM events WHERE body IS NOT NULL) RETURNING 1`,
      now,
      id,
      from,
    ).length;
    const waiting = house.rows(
      `UPDATE deliveries SET next_at = ?1, resume_at = coalesce(resume_at, next_at)
       WHERE receiver = ?2 AND status = 'pending' AND lease_until = 0 AND next_at > ?1 AND created_at >= ?3 RETURNING 1`,
      now,
      id,
      from,
    ).length;
    const { circuit } = record;
    const next = circuit.probeAt === undefined ? record : { ...record, circuit: { ...circuit, probeAt: now } };
    saveReceiver(house, next);
    wakeLane(house, next);
    audit(house, actor, "subscription.recover", `subscriptions/${id}`, origin);
    return { ok: true, value: { scheduled: ended + waiting } };
  });
}

export function viewSubscription(house: House, record: ReceiverRecord): Subscription {
  const pending = house.row<{ n: number }>(
    "SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status <> 'delivered' AND status IN ('pending', 'held')",
    record.id,
  )?.n;
  return {
    id: record.id,
    channel: record.channel,
    url: record.url,
    events: record.events,
    format: record.format,
    status: record.status,
    createdAt: rfc3339(record.createdAt),
    consecutiveFailures: record.circuit.consecutiveFailures,
    pending: pending ?? 0,
    ...(record.headers === undefined ? {} : { headers: record.headers }),
    ...(record.email === undefined ? {} : { email: record.email }),
    ...(record.chat === undefined ? {} : { chat: record.chat.place }),
    ...(record.ratePerMinute === undefined ? {} : { ratePerMinute: record.ratePerMinute }),
    ...(record.reason === undefined ? {} : { reason: record.reason }),
  };
}
