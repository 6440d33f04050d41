/**
 * Between a platform that waits for three seconds and a site that may take ten. A request is on record before anything is done
 * about it; what can be said in time is the answer, and the rest follows by itself. Whatever a dying Worker leaves unanswered,
 * the Workspace takes up again.
 */
import { clickAnswer, commandAnswer, lateAnswer } from "../../../shared/chat/answer.ts";
import { submitView } from "../../../shared/chat/form.ts";
import { mattermostApi } from "../../../shared/chat/mattermost-api.ts";
import type { Message } from "../../../shared/chat/message.ts";
import { slackApi } from "../../../shared/chat/slack-api.ts";
import { systemNow } from "../../../shared/clock.ts";
import type { ChatAnswer, ChatBot, ChatInbound } from "../../../shared/contract/chat.ts";
import { egressFrom } from "../../../shared/egress/settings.ts";
import type { Log } from "../../../shared/log.ts";
import type { Env } from "../env.ts";
import * as reads from "../reads.ts";
import { type ChatTracker, converse, type Reply, type Talk } from "./conversation.ts";
import type { Arrival, Known } from "./register.ts";
import * as says from "./says.ts";

/** Platforms wait 3 s by their own clock, the way there and back included. */
const ANSWER_WITHIN_MS = 2_000;
const PLATFORM_DEADLINE_MS = 10_000;
/** A form can be opened for 3 s after it was asked for. */
const FORM_DEADLINE_MS = 1_800;
const TAIL_LINES = 20;

/** What a request of people needs around it. */
interface Setting {
  env: Env;
  log: Log;
  workspace: string;
  bot: ChatBot;
  /** Where Mattermost tells of clicks. */
  clicks: string;
}

/** The platform's answer, in time; `later` goes on by itself and never throws. */
export async function answerInTime(
  env: Env,
  log: Log,
  workspace: string,
  inbound: ChatInbound,
  later: (work: Promise<void>) => void,
): Promise<ChatAnswer> {
  const room = env.WORKSPACES.getByName(workspace);
  const arrival = (await room.arrive(inbound)) as Arrival | undefined;
  const bot = (await room.bot()) as ChatBot | undefined;
  if (arrival === undefined || bot === undefined) return {};
  if (arrival.state === "answered") return arrival.answer;
  if (arrival.state === "running") return {};
  const setting = settingOf(env, log, workspace, bot);
  const finish = async (answer: ChatAnswer): Promise<ChatAnswer> => {
    await room.answered(inbound.id, answer);
    return answer;
  };
  const reply = replyTo(setting, inbound, arrival.known);
  const late = async (): Promise<void> => {
    try {
      await deliver(setting, inbound, await reply);
      await finish({});
    } catch (error) {
      // The record stays open: the Workspace will take it up.
      log({ event: "chat.not_answered", workspace, error });
    }
  };
  // Slack does not read the answer to a click: what there is to say goes to the address that came with it.
  if (inbound.kind === "action" && bot.platform === "slack") {
    later(late());
    return {};
  }
  const tried = reply.catch((error: unknown) => {
    log({ event: "chat.failed", workspace, error });
    return undefined;
  });
  const first = await Promise.race([tried, patience()]);
  if (first !== undefined) return finish(bodyOf(setting, inbound, first));
  later(late());
  return inbound.kind === "form" ? {} : bodyOf(setting, inbound, { kind: "say", message: says.patience() });
}

/** For a request whose Worker has died: done once more, and told where answers are taken later. */
export async function answerLate(
  env: Env,
  log: Log,
  workspace: string,
  inbound: ChatInbound,
  known: Known,
): Promise<void> {
  const bot = (await env.WORKSPACES.getByName(workspace).bot()) as ChatBot | undefined;
  if (bot === undefined) return;
  const setting = settingOf(env, log, workspace, bot);
  await deliver(setting, inbound, await replyTo(setting, inbound, known));
}

const patience = (): Promise<undefined> => new Promise((resolve) => setTimeout(resolve, ANSWER_WITHIN_MS, undefined));

const settingOf = (env: Env, log: Log, workspace: string, bot: ChatBot): Setting => ({
  env,
  log,
  workspace,
  bot,
  clicks: `${publicUrlOf(env)}/chat/${workspace}/${bot.platform}`,
});

const publicUrlOf = (env: Env): string => (env.PUBLIC_URL ?? "").replace(/\/+$/, "");

function replyTo(setting: Setting, inbound: ChatInbound, known: Known): Promise<Reply> {
  const { env, log, workspace, bot } = setting;
  const talk: Talk = {
    workspace,
    platform: bot.platform,
    publicUrl: publicUrlOf(env),
    actionKey: bot.actionKey,
    // Stubs answer every method name, so their types are what we say they are: the contract of the other end.
    tracker: (connection) => env.TRACKER.getByName(connection) as unknown as ChatTracker,
    register: env.WORKSPACES.getByName(workspace),
    logs: (connection, caller, job, stream) => reads.logs(env, log, connection, caller, job, stream, TAIL_LINES),
    script: (connection, caller, system, path) => reads.script(env, log, connection, caller, system, path),
    ...(bot.platform === "slack"
      ? { openForm: (trigger_id, metadata, systems) => openView(setting, trigger_id, submitView(metadata, systems)) }
      : {}),
  };
  return converse(talk, inbound, known);
}

/** As the answer to the request itself. */
function bodyOf({ bot, clicks }: Setting, inbound: ChatInbound, reply: Reply): ChatAnswer {
  if (reply.kind === "errors") return { body: { response_action: "errors", errors: reply.errors } };
  if (reply.kind === "nothing" || inbound.kind === "form") return {};
  const { message } = reply;
  return { body: inbound.kind === "action" ? clickAnswer(message) : commandAnswer(bot.platform, message, clicks) };
}

/** To where answers are taken later: the address that came with the request, else the person's own conversation. */
async function deliver(setting: Setting, inbound: ChatInbound, reply: Reply): Promise<void> {
  const message = messageOf(reply);
  if (message === undefined) return;
  const { bot, clicks, workspace, log } = setting;
  if (inbound.answerUrl !== undefined) {
    const body = JSON.stringify(lateAnswer(bot.platform, message, clicks));
    const { status } = await ask(setting, inbound.answerUrl, {
      method: "POST",
      headers: { "content-type": "application/json; charset=utf-8" },
      body,
    });
    log({ event: "chat.answered_late", workspace, status });
    return;
  }
  const api = (bot.platform === "slack" ? slackApi : mattermostApi)({
    bot,
    clicks,
    nowMs: systemNow,
    call: (url, init) => ask(setting, url, init),
  });
  const posted = await api.post({ workspace, user: inbound.person.id }, message, inbound.id);
  log({ event: "chat.answered_late", workspace, ...(posted.ok ? { status: 200 } : { error: posted.error }) });
}

/** A form that was closed before its mistakes were known gets them as a message. */
function messageOf(reply: Reply): Message | undefined {
  if (reply.kind === "say") return reply.message;
  if (reply.kind === "nothing") return undefined;
  return says.refused({
    ok: false,
    code: "invalid",
    errors: Object.entries(reply.errors).map(([field, message]) => ({ field: `/${field}`, message })),
  });
}

async function openView(setting: Setting, trigger_id: string, view: Record<string, unknown>): Promise<boolean> {
  const { bot, log, workspace } = setting;
  try {
    const { body } = await ask(
      setting,
      `${bot.apiUrl}/views.open`,
      {
        method: "POST",
        headers: { authorization: `Bearer ${bot.token}`, "content-type": "application/json; charset=utf-8" },
        body: JSON.stringify({ trigger_id, view }),
      },
      FORM_DEADLINE_MS,
    );
    const answer = JSON.parse(body) as { ok?: unknown; error?: unknown };
    if (answer.ok === true) return true;
    log({ event: "chat.form_not_opened", workspace, error: answer.error });
  } catch (error) {
    log({ event: "chat.form_not_opened", workspace, error });
  }
  return false;
}

async function ask(
  { env, log }: Setting,
  url: string,
  { maxBytes, ...init }: RequestInit & { maxBytes?: number },
  deadlineMs = PLATFORM_DEADLINE_MS,
) {
  const options = { purpose: "chat", deadlineMs, ...(maxBytes === undefined ? {} : { maxBytes }) };
  const { status, headers, body } = await egressFrom(env, log).fetch(url, init, options);
  return { status, headers, body: new TextDecoder().decode(body) };
}
