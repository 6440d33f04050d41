/** What the consumer of `callbacks` does with a delivery to people: composes its message, posts it, and says what came of it. */
import { eventMessage } from "../../../shared/chat/about.ts";
import { type JobExtras, suggestion } from "../../../shared/chat/about-job.ts";
import { bindActions } from "../../../shared/chat/action.ts";
import type { BotApi, Call } from "../../../shared/chat/bot-api.ts";
import { detailMessage, detailsOf } from "../../../shared/chat/details.ts";
import { emailRequest, mailOf } from "../../../shared/chat/email.ts";
import { mattermostWebhookBody } from "../../../shared/chat/mattermost.ts";
import { mattermostApi } from "../../../shared/chat/mattermost-api.ts";
import type { Link, Message } from "../../../shared/chat/message.ts";
import { rocketchatBody } from "../../../shared/chat/rocketchat.ts";
import { slackWebhookBody } from "../../../shared/chat/slack.ts";
import { slackApi } from "../../../shared/chat/slack-api.ts";
import { teamsBody } from "../../../shared/chat/teams.ts";
import {
  type ChatAnswered,
  judgeEmail,
  judgeMattermostWebhook,
  judgeRocketchat,
  judgeSlackWebhook,
  judgeTeams,
} from "../../../shared/chat/verdict.ts";
import type { Now } from "../../../shared/clock.ts";
import type { ChatBot } from "../../../shared/contract/chat.ts";
import type { Event } from "../../../shared/contract/event.ts";
import type { Job } from "../../../shared/contract/job.ts";
import type { Transfer } from "../../../shared/contract/transfer.ts";
import type { Egress } from "../../../shared/egress/egress.ts";
import { EgressError } from "../../../shared/egress/error.ts";
import { redactText } from "../../../shared/log.ts";
import { type AttemptVerdict, judgeAttempt } from "../../../shared/webhooks/retry.ts";
import { resultLink, type SharedResult } from "../chat-shares.ts";
import type { AttemptReport, Lease } from "../lanes.ts";
import type { ChatLease } from "./leasing.ts";
import { MAIN, type Part, show } from "./show.ts";
import { topicOf } from "./shown.ts";

/** Over everything that one attempt does; one call of it gets no more than half. */
const DEADLINE_MS = 20_000;
const CALL_MS = 10_000;
const READ_BYTES = 65_536;
const EXCERPT_CHARACTERS = 500;

export interface OutgoingDeps {
  egress: Egress;
  now: Now;
  connection: string;
  publicUrl?: string | undefined;
  /** Undefined: the workspace has no bot any more. */
  bot(workspace: string): Promise<ChatBot | undefined>;
  /** Last lines of a job's errors, where they can be had in good time. Never throws. */
  tail(jobId: string): Promise<string | undefined>;
  /** Links of a day to what this person has fetched. Never throws. */
  share(person: { workspace: string; user: string }, transferId: string): Promise<SharedResult[]>;
}

type Facts = Omit<AttemptReport, "delivery" | "attempt" | "at" | "durationMs">;

/** Never throws: whatever happens is what came of the attempt. */
export async function attemptForPeople(lease: Lease, deps: OutgoingDeps): Promise<AttemptReport> {
  const at = deps.now();
  const event = JSON.parse(lease.body) as Event;
  const chat = lease.chat ?? { receiver: "" };
  const facts = await (chat.place === undefined
    ? leave(lease, chat, event, deps)
    : edit(lease.channel, chat, event, deps, at)
  ).catch((error: unknown): Facts => unanswered(error));
  return { delivery: lease.delivery, attempt: lease.attempt, at, durationMs: deps.now() - at, ...facts };
}

function unanswered(error: unknown): Facts {
  const isOurs = error instanceof EgressError;
  const code = isOurs && error.code !== "too_large" ? error.code : "network";
  return {
    verdict: judgeAttempt({ error: code }, 0),
    error: isOurs ? error.message : "the attempt was interrupted",
    ...(code === "unresolved" ? { unresolved: true } : {}),
  };
}

// --------------------------------------------------------------------------------- where messages can only be left

async function leave(lease: Lease, chat: ChatLease, event: Event, deps: OutgoingDeps): Promise<Facts> {
  const { status } = event.data as Partial<Job>;
  const isFailure = event.type === "job.failed" && status === "failed";
  const tail = isFailure ? await deps.tail((event.data as Job).id) : undefined;
  const message = eventMessage(event, extrasOf(chat, tail));
  const { url, headers, body, judge } = requestOf(lease, chat, event, message);
  const answer = await deps.egress.fetch(
    url,
    { method: "POST", headers: { "user-agent": "Firewatch", "content-type": "application/json", ...headers }, body },
    { purpose: "chat", deadlineMs: DEADLINE_MS, maxBytes: READ_BYTES },
  );
  const text = new TextDecoder().decode(answer.body);
  const excerpt = redactText(text, secretsOf(lease)).slice(0, EXCERPT_CHARACTERS).toWellFormed();
  return {
    verdict: judge({ status: answer.status, headers: answer.headers, body: text }, deps.now()),
    status: answer.status,
    bytes: answer.body.length,
    ...(excerpt === "" ? {} : { excerpt }),
  };
}

interface Outgoing {
  url: string;
  headers?: Record<string, string>;
  body: string;
  judge(answered: ChatAnswered, nowMs: number): AttemptVerdict;
}

function requestOf(
  { channel, url, delivery }: Lease,
  { email, apiKey }: ChatLease,
  event: Event,
  message: Message,
): Outgoing {
  switch (channel) {
    case "slack_webhook":
      return { url, body: JSON.stringify(slackWebhookBody(message)), judge: judgeSlackWebhook };
    case "mattermost_webhook":
      return { url, body: JSON.stringify(mattermostWebhookBody(message)), judge: judgeMattermostWebhook };
    case "rocketchat_webhook":
      return { url, body: JSON.stringify(rocketchatBody(message)), judge: judgeRocketchat };
    case "teams_workflow":
      return { url, body: JSON.stringify(teamsBody(message)), judge: judgeTeams };
    case "email": {
      if (email === undefined || apiKey === undefined) throw new Error("a mail receiver without its settings");
      const thread = topicOf(event).replaceAll("/", ".");
      const request = emailRequest({ ...email, apiKey, url }, mailOf(message), { delivery, thread });
      return { ...request, judge: (answered, nowMs) => judgeEmail(email.provider, answered, nowMs) };
    }
    default:
      throw new Error(`nothing can be left at channel ${channel}`);
  }
}

/** What a receiver's answer must not repeat. */
const secretsOf = ({ url, chat }: Lease): string[] => [
  url,
  ...new URL(url).pathname.split("/").filter((part) => part.length >= 8),
  ...new URL(url).searchParams.values(),
  ...(chat?.apiKey === undefined ? [] : [chat.apiKey]),
];

const extrasOf = ({ provided }: ChatLease, stderrTail?: string): JobExtras => ({
  ...(provided?.memoryMiB === undefined ? {} : { memoryMiB: provided.memoryMiB }),
  ...(provided === undefined ? {} : { limits: provided.limits }),
  ...(stderrTail === undefined ? {} : { stderrTail }),
});

// ----------------------------------------------------------------------------------------- where our bot has a message

async function edit(
  channel: Lease["channel"],
  chat: ChatLease,
  event: Event,
  deps: OutgoingDeps,
  startedAt: number,
): Promise<Facts> {
  const { place, standing = {}, receiver } = chat;
  if (place === undefined) throw new Error("a bot's message without a place");
  const bot = await deps.bot(place.workspace);
  if (bot === undefined) return { verdict: { outcome: "disable", reason: "The workspace has no bot any more." } };
  if (bot.platform !== channel)
    return { verdict: { outcome: "disable", reason: `The workspace is one of ${bot.platform}.` } };

  const topic = topicOf(event);
  const key = (part: string): string => `${deps.connection}/${receiver}/${topic}/${part}`;
  const isJob = event.type.startsWith("job.");
  const extras = extrasOf(chat);
  const job = event.data as Job;
  const values = isJob ? await bindActions(bot.actionKey, job, suggestion(job, extras)) : {};
  const links = "user" in place && event.type.startsWith("transfer.") ? await linksOf(event, place, deps) : [];
  const message = eventMessage(event, { ...extras, values, links });
  const main: Part = { part: MAIN, key: key(MAIN), message, ...standing[MAIN] };

  const details: Part[] = [];
  for (const { kind, part } of detailsOf(event)) {
    if (standing[part]?.shown !== undefined) continue;
    const detail = detailMessage(kind, job, kind === "tail" ? await deps.tail(job.id) : undefined);
    if (detail !== undefined) details.push({ part, key: key(part), message: detail, ...standing[part] });
  }

  const { shown, unsure, ...came } = await show(apiOf(bot, place.workspace, deps, startedAt), place, main, details);
  return { ...came, chat: { shown, unsure } };
}

/** Of what is stored, for one person's eyes only: in a channel, whoever wants a result asks for a link of their own. */
async function linksOf(event: Event, person: { workspace: string; user: string }, deps: OutgoingDeps): Promise<Link[]> {
  const shared = await deps.share(person, (event.data as Transfer).id);
  return shared.map((one) => resultLink(deps.publicUrl ?? "", one));
}

function apiOf(bot: ChatBot, workspace: string, deps: OutgoingDeps, startedAt: number): BotApi {
  const { egress, now, publicUrl } = deps;
  const call: Call = async (url, { maxBytes = READ_BYTES, ...init }) => {
    const left = startedAt + DEADLINE_MS - now();
    const answer = await egress.fetch(url, init, {
      purpose: "chat",
      deadlineMs: Math.max(1, Math.min(CALL_MS, left)),
      maxBytes,
    });
    return { status: answer.status, headers: answer.headers, body: new TextDecoder().decode(answer.body) };
  };
  if (bot.platform === "slack") return slackApi({ bot, call, nowMs: now });
  const clicks = publicUrl === undefined ? {} : { clicks: `${publicUrl}/chat/${workspace}/mattermost` };
  return mattermostApi({ bot, call, nowMs: now, ...clicks });
}
