/**
 * Chat channels in which our bot is, as receivers: which jobs a channel follows. A channel is one receiver, however many jobs it
 * follows, so its rate is its lane's.
 */
import type { ChatPlace } from "../../../shared/contract/chat.ts";
import type { Answer, ChatTarget, Origin, Refusal } from "../../../shared/contract/rpc.ts";
import { CLOSED } from "../../../shared/webhooks/breaker.ts";
import { type Actor, audit } from "../access.ts";
import type { House } from "../house.ts";
import { DEFAULT_EVENTS, enqueue, type ReceiverRecord, receiver, saveReceiver } from "../receivers.ts";

/** A bot's lane: one thing at a time, and a pause after each, as channels take about one message a second. */
export const CHAT_LANE = { inFlight: 1, gapMs: 1_000 } as const;

/** Also what such a receiver shows where others show their URL. */
const placeKey = (platform: string, place: ChatPlace): string =>
  `${platform}/${place.workspace}/${"channel" in place ? `channel/${place.channel}` : `user/${place.user}`}`;

const OWN_ONLY: Refusal = {
  ok: false,
  code: "forbidden",
  detail: "You can have your own jobs shown, not everybody's.",
};

/**
 * Has a channel show a job, from its newest state on; without a job, everything that the actor may see. The same again changes
 * nothing. A channel that was switched off starts afresh.
 */
export function followInChat(house: House, actor: Actor, target: ChatTarget, origin: Origin): Answer<{ id: string }> {
  return house.change((): Answer<{ id: string }> => {
    const { place, platform, jobId } = target;
    if (jobId === undefined && actor.ownOnly === true) return OWN_ONLY;
    const key = placeKey(platform, place);
    const known = house.row<{ receiver: string }>("SELECT receiver FROM chat_channels WHERE place = ?", key)?.receiver;
    const before = known === undefined ? undefined : receiver(house, known);
    const id = before?.id ?? house.id("sub");
    const chat: NonNullable<ReceiverRecord["chat"]> = before?.chat ?? { place, all: false };
    const record: ReceiverRecord = {
      id,
      channel: platform,
      url: key,
      events: before?.events ?? [...DEFAULT_EVENTS],
      format: "plain",
      createdAt: before?.createdAt ?? house.now(),
      secrets: [],
      ...CHAT_LANE,
      status: before?.status === "paused" ? "paused" : "active",
      circuit: before?.status === "active" ? before.circuit : CLOSED,
      chat: jobId === undefined ? { ...chat, all: true } : chat,
      ...(jobId === undefined && actor.systems !== undefined
        ? { systems: actor.systems }
        : before?.systems === undefined
          ? {}
          : { systems: before.systems }),
      ...(before?.notBefore === undefined ? {} : { notBefore: before.notBefore }),
    };
    saveReceiver(house, record);
    house.run("INSERT OR REPLACE INTO chat_channels (place, receiver) VALUES (?, ?)", key, id);
    if (jobId !== undefined) startFollowing(house, record, jobId);
    audit(house, actor, "chat.follow", jobId === undefined ? `subscriptions/${id}` : `jobs/${jobId}`, origin);
    return { ok: true, value: { id } };
  });
}

function startFollowing(house: House, record: ReceiverRecord, jobId: string): void {
  const isNew =
    house.rows("INSERT OR IGNORE INTO chat_follows (receiver, job) VALUES (?, ?) RETURNING 1", record.id, jobId)
      .length > 0;
  const newest = house.row<{ sequence: number }>(
    "SELECT sequence FROM events WHERE subject = ? AND type LIKE 'job.%' AND body IS NOT NULL ORDER BY sequence DESC LIMIT 1",
    `jobs/${jobId}`,
  );
  if (isNew && newest !== undefined) enqueue(house, record, newest.sequence);
}

/** Stops showing one job in a channel; its message stays as it is. */
export function unfollowInChat(house: House, actor: Actor, target: ChatTarget, origin: Origin): Answer<null> {
  return house.change((): Answer<null> => {
    const { place, platform, jobId } = target;
    const id = house.row<{ receiver: string }>(
      "SELECT receiver FROM chat_channels WHERE place = ?",
      placeKey(platform, place),
    )?.receiver;
    const record = id === undefined ? undefined : receiver(house, id);
    if (record?.chat === undefined) return { ok: false, code: "not_found" };
    if (jobId === undefined) saveReceiver(house, { ...record, chat: { ...record.chat, all: false } });
    else house.run("DELETE FROM chat_follows WHERE receiver = ? AND job = ?", record.id, jobId);
    audit(house, actor, "chat.unfollow", jobId === undefined ? `subscriptions/${record.id}` : `jobs/${jobId}`, origin);
    return { ok: true, value: null };
  });
}

/** Whether news of this job is for this receiver. What is no chat channel has no such list. */
export function follows(house: House, { id, chat }: ReceiverRecord, jobId: string | undefined): boolean {
  if (chat === undefined || chat.all) return true;
  return (
    jobId !== undefined &&
    house.row("SELECT 1 FROM chat_follows WHERE receiver = ? AND job = ?", id, jobId) !== undefined
  );
}

/** What a receiver that is removed leaves behind. Call inside `house.change`. */
export function forgetChannel(house: House, receiverId: string): void {
  for (const table of ["chat_channels", "chat_follows", "chat_messages"])
    house.run(`DELETE FROM ${table} WHERE receiver = ?`, receiverId);
}

/** Keeps no more than the jobs that are kept. Call inside `house.change`. */
export function retireChat(house: House, before: number): void {
  house.run("DELETE FROM chat_follows WHERE job NOT IN (SELECT id FROM jobs)");
  house.run("DELETE FROM chat_messages WHERE at < ?", before);
}
