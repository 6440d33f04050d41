/**
 * Places in which messages can only be left: incoming webhooks, Teams workflows, mailboxes. Their URL or key is all that it
 * takes to write there, so it is kept sealed and shown as no more than where it leads.
 */
import { EMAIL_URLS } from "../../../shared/chat/email.ts";
import type { Answer } from "../../../shared/contract/rpc.ts";
import type { Channel, SubscriptionPatch, SubscriptionRequest } from "../../../shared/contract/subscription.ts";
import type { Seal } from "../../../shared/seal.ts";
import type { House } from "../house.ts";
import { type ChannelSecret, channelBindingOf, openChannel, type ReceiverRecord } from "../receivers.ts";
import { CHAT_LANE } from "./follows.ts";

/** What is worth a new message where none can be edited. */
const NEWS: readonly string[] = [
  "job.running",
  "job.walltime_warning",
  "job.succeeded",
  "job.failed",
  "job.cancelled",
  "job.lost",
  "job.found",
];
/** What is worth a mail. */
const MAIL_NEWS: readonly string[] = ["job.succeeded", "job.failed", "job.cancelled", "job.lost"];

export const newsOf = (channel: Channel): string[] => [...(channel === "email" ? MAIL_NEWS : NEWS)];

/** Where a URL leads, without what makes it a key. */
const masked = (url: string): string => `${new URL(url).origin}/…`;

/** What such a receiver has beyond every other. */
export async function outOnly(
  house: House,
  seal: Seal,
  id: string,
  { channel = "webhook", url, email }: SubscriptionRequest,
): Promise<Pick<ReceiverRecord, "channel" | "url" | "sealed" | "email" | "inFlight" | "gapMs">> {
  const leadsTo = url ?? (email === undefined ? undefined : EMAIL_URLS[email.provider]);
  if (leadsTo === undefined) throw new Error(`a receiver of channel ${channel} without a URL`);
  const secret: ChannelSecret = { url: leadsTo, ...(email === undefined ? {} : { apiKey: email.apiKey }) };
  return {
    channel,
    url: masked(leadsTo),
    sealed: await seal.seal(JSON.stringify(secret), channelBindingOf(house, id)),
    ...CHAT_LANE,
    ...(email === undefined ? {} : { email: { provider: email.provider, from: email.from, to: email.to } }),
  };
}

/** A change by hand, with a channel's new URL sealed. */
export type SealedPatch = SubscriptionPatch & { sealed?: string };

/**
 * A change by hand as it is to be stored: a new URL is sealed, and what is for programs only is refused. Call before the
 * transaction; sealing takes its time.
 */
export async function channelPatch(
  house: House,
  seal: Seal,
  record: ReceiverRecord | undefined,
  patch: SubscriptionPatch,
): Promise<Answer<SealedPatch>> {
  if (record === undefined || record.channel === "webhook") return { ok: true, value: patch };
  const programs = ["headers", "format", ...(record.chat === undefined ? [] : (["url"] as const))] as const;
  const foreign = programs.filter((field) => patch[field] !== undefined);
  if (foreign.length > 0) {
    const message = `does not apply to channel ${record.channel}`;
    return { ok: false, code: "invalid", errors: foreign.map((field) => ({ field: `/${field}`, message })) };
  }
  if (patch.url === undefined) return { ok: true, value: patch };
  const secret: ChannelSecret = { ...(await openChannel(house, seal, record)), url: patch.url };
  const sealed = await seal.seal(JSON.stringify(secret), channelBindingOf(house, record.id));
  return { ok: true, value: { ...patch, url: masked(patch.url), sealed } };
}
