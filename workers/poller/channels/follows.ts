/**
 * Chat channels in which our bot is, as receivers: which jobs a channel follows. A channel is one receiver, however many jobs it
 * follows, so its rate is its lane's.
 */
import type { ChatPlace, ChatTarget } from "../../../shared/contract/chat.ts";
import type { Origin } from "../../../shared/contract/rpc.ts";
import { CLOSED } from "../../../shared/webhooks/breaker.ts";
import { type Actor, audit } from "../access.ts";
import type { House } from "../house.ts";
import { DEFAULT_EVENTS, enqueue, type ReceiverRecord, receiver, saveReceiver } from "../receivers.ts";

/** A bot's lane: one thing at a time, and a pause after each, as channels take about one message a second. */
export const CHAT_LANE = { inFlight: 1, gapMs: 1_000 } as const;

/** Also what such a receiver shows where others show their URL. */
const placeKey = (platform: string, place: ChatPlace): string =>
  `${platform}/${place.workspace}/${"channel" in place ? `channel/${place.channel}` : `user/${place.user}`}`;

/**
 * Has a channel show a job, from its newest state on, or the end of a transfer; without either, everything that the actor may see. The same again changes
 * nothing. A channel that was switched off starts afresh.
 */
export function followInChat(
  house: House,
  actor: Actor,
  target: ChatTarget,
  origin: Origin,
  events?: string[],
): ReceiverRecord {
  return house.change((): ReceiverRecord => {
    const { place, platform, jobId, transferId } = target;
    const subject = jobId === undefined ? transferId && `transfers/${transferId}` : `jobs/${jobId}`;
    const key = placeKey(platform, place);
    const known = house.row<{ receiver: string }>("SELECT receiver FROM chat_channels WHERE place = ?", key)?.receiver;
    const before = known === undefined ? undefined : receiver(house, known);
    const id = before?.id ?? house.id("sub");
    const systems = subject === undefined ? actor.systems : before?.systems;
    const chat: NonNullable<ReceiverRecord["chat"]> = before?.chat ?? { place, all: false };
    const record: ReceiverRecord = {
      id,
      channel: platform,
      url: key,
      events: events ?? before?.events ?? [...DEFAULT_EVENTS],
      format: "plain",
      createdAt: before?.createdAt ?? house.now(),
      secrets: [],
      ...CHAT_LANE,
      status: before?.status === "paused" ? "paused" : "active",
      circuit: before?.status === "active" ? before.circuit : CLOSED,
      chat: subject === undefined ? { ...chat, all: true } : chat,
      ...(systems === undefined ? {} : { systems }),
      ...(before?.notBefore === undefined ? {} : { notBefore: before.notBefore }),
    };
    saveReceiver(house, record);
    house.run("INSERT OR REPLACE INTO chat_channels (place, receiver) VALUES (?, ?)", key, id);
    if (jobId !== undefined) startFollowing(house, record, jobId);
    if (transferId !== undefined) remember(house, record, transferId);
    audit(house, actor, "chat.follow", subject ?? `subscriptions/${id}`, origin);
    return record;
  });
}

/** True for what the channel did not follow yet. In the column `job` transfers stand as well: their ids are other ones. */
const remember = (house: House, record: ReceiverRecord, id: string): boolean =>
  house.rows("INSERT OR IGNORE INTO chat_follows (receiver, job) VALUES (?, ?) RETURNING 1", record.id, id).length > 0;

function startFollowing(house: House, record: ReceiverRecord, jobId: string): void {
  const isNew = remember(house, record, jobId);
  const newest = house.row<{ sequence: number }>(
    "SELECT sequence FROM events WHERE subject = ? AND type LIKE 'job.%' AND body IS NOT NULL ORDER BY sequence DESC LIMIT 1",
    `jobs/${jobId}`,
  );
  if (isNew && newest !== undefined) enqueue(house, record, newest.sequence);
}

/**
 * Whether this connection may show its jobs in a workspace: somebody there is linked to it. Anybody else's channels are none
 * of its business.
 */
export const isLinked = (house: House, workspace: string): boolean =>
  house.row("SELECT 1 FROM chat_links WHERE workspace = ? AND revoked = 0 LIMIT 1", workspace) !== undefined;

/** Whether a channel was asked to show this job. */
export const isFollowed = (house: House, receiverId: string, jobId: string | undefined): boolean =>
  jobId !== undefined &&
  house.row("SELECT 1 FROM chat_follows WHERE receiver = ? AND job = ?", receiverId, jobId) !== undefined;

/** Whether this is the end of a transfer that somebody in this channel started. */
export const isAwaited = (house: House, receiverId: string, type: string, subject: string): boolean =>
  /^transfer\.(stored|failed|cancelled)$/.test(type) &&
  isFollowed(house, receiverId, subject.slice("transfers/".length));

/** What a receiver that is removed leaves behind. Call inside `house.change`. */
export function forgetChannel(house: House, receiverId: string): void {
  for (const table of ["chat_channels", "chat_follows", "chat_messages"])
    house.run(`DELETE FROM ${table} WHERE receiver = ?`, receiverId);
}

/** Keeps no more than the jobs that are kept. Call inside `house.change`. */
export function retireChat(house: House, before: number): void {
  house.run(
    "DELETE FROM chat_follows WHERE job NOT IN (SELECT id FROM jobs) AND job NOT IN (SELECT id FROM transfers)",
  );
  house.run("DELETE FROM chat_messages WHERE at < ?", before);
}
