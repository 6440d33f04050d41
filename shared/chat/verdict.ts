/**
 * What a chat platform's or a mail provider's answer means. They answer 200 to much that went wrong, and 4xx to much that will
 * be right later; what counts is their word for it. The rules of plain webhooks apply where they say nothing more.
 */
import { type AttemptVerdict, judgeAttempt } from "../webhooks/retry.ts";
import type { EmailProvider } from "./email.ts";

/** An answer with as much of its body as was read. */
export interface ChatAnswered {
  status: number;
  headers: Headers;
  body: string;
}

/** Rates are per channel or per provider: whoever is over it waits at least this long. */
const OVER_RATE_MS = 5_000;

const later: AttemptVerdict = { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 };
const abort: AttemptVerdict = { outcome: "abort" };
const delivered: AttemptVerdict = { outcome: "delivered", disable: false };
const overRate: AttemptVerdict = { outcome: "retry", minDelayMs: OVER_RATE_MS, laneDelayMs: OVER_RATE_MS };
const disable = (reason: string): AttemptVerdict => ({ outcome: "disable", reason });

/** Words after which nothing will ever arrive there until a person does something. */
const SLACK_ENDS: Record<string, string> = {
  channel_not_found: "The channel is gone, or the bot is not in it.",
  channel_is_archived: "The channel was archived.",
  is_archived: "The channel was archived.",
  is_inactive: "The channel was archived.",
  not_in_channel: "The bot is not in the channel: invite it.",
  user_not_found: "There is no such person in the workspace.",
  user_disabled: "The person's account was closed.",
  messages_tab_disabled: "The app may not write to people: switch its messages tab on.",
  restricted_action: "The workspace does not let the bot write there.",
  restricted_action_read_only_channel: "The channel is read-only.",
  action_prohibited: "The workspace does not let this webhook write there.",
  posting_to_general_channel_denied: "The workspace does not let this webhook write there.",
  access_denied: "Slack does not let the bot write there.",
  no_permission: "The bot's token does not allow it.",
  missing_scope: "The bot lacks a permission: install the app again with its manifest.",
  ekm_access_denied: "The workspace has suspended the bot.",
  team_access_not_granted: "The bot was not let into this workspace.",
  org_login_required: "The workspace is being moved into an organisation.",
  invalid_auth: "Slack does not know the bot's token.",
  not_authed: "Slack does not know the bot's token.",
  account_inactive: "The bot was removed from the workspace.",
  token_revoked: "The bot's token was revoked: install the app again.",
  token_expired: "The bot's token has expired.",
  no_service: "The webhook was removed.",
  no_active_hooks: "The webhook was switched off.",
  invalid_token: "Slack does not know this webhook.",
  no_team: "The workspace of this webhook is gone.",
  team_disabled: "The workspace of this webhook is gone.",
};

/** It is this one message that Slack does not take. */
const SLACK_REFUSES =
  /^(msg_too_long|msg_blocks_too_long|no_text|invalid_blocks|invalid_blocks_format|invalid_payload|invalid_attachments|too_many_attachments|invalid_arguments|invalid_metadata_format|metadata_too_large|attachment_payload_limit_exceeded)$/;

/** A message that was shown is no longer there to be edited, or was shown too long ago. */
const SLACK_GONE =
  /^(message_not_found|cant_update_message|edit_window_closed|thread_not_found|cannot_reply_to_message)$/;

/** `gone`: what was to be edited or answered is no longer there. */
export type SlackVerdict =
  | { ok: true; answer: Record<string, unknown> }
  | { ok: false; gone: boolean; error: string; verdict: AttemptVerdict };

/** Of the Web API: almost everything is a 200 with `ok`. */
export function judgeSlackApi(answered: ChatAnswered, nowMs: number): SlackVerdict {
  const answer = objectOf(answered.body);
  if (answered.status === 200 && answer?.ok === true) return { ok: true, answer };
  const error = typeof answer?.error === "string" ? answer.error : `HTTP ${answered.status}`;
  return { ok: false, gone: SLACK_GONE.test(error), error, verdict: slackVerdict(error, answered, nowMs) };
}

function slackVerdict(error: string, answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const end = Object.hasOwn(SLACK_ENDS, error) ? SLACK_ENDS[error] : undefined;
  if (end !== undefined) return disable(end);
  if (SLACK_REFUSES.test(error)) return abort;
  const byStatus = judgeAttempt(answered, nowMs);
  if (/^(ratelimited|rate_limited|message_limit_exceeded)$/.test(error) || answered.status === 429)
    return slowed(byStatus);
  return byStatus.outcome === "retry" ? byStatus : later;
}

const slowed = (verdict: AttemptVerdict): AttemptVerdict =>
  verdict.outcome === "retry" && verdict.laneDelayMs > 0 ? verdict : overRate;

/** Of an incoming webhook: a status and one word. */
export function judgeSlackWebhook(answered: ChatAnswered, nowMs: number): AttemptVerdict {
  if (answered.status >= 200 && answered.status < 300) return delivered;
  return slackVerdict(answered.body.trim().slice(0, 100), answered, nowMs);
}

/** `gone`: what was to be edited or answered is no longer there. */
export function judgeMattermostApi(answered: ChatAnswered, nowMs: number): SlackVerdict {
  const answer = objectOf(answered.body);
  if (answered.status >= 200 && answered.status < 300) {
    if (answer !== undefined) return { ok: true, answer };
    return { ok: false, gone: false, error: "an answer that is no JSON", verdict: later };
  }
  const error = typeof answer?.id === "string" ? answer.id : `HTTP ${answered.status}`;
  const gone = answered.status === 404 && /post/.test(error);
  return { ok: false, gone, error, verdict: mattermostVerdict(error, answered, nowMs) };
}

function mattermostVerdict(error: string, answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const { status } = answered;
  if (status === 429) return slowed(judgeAttempt(answered, nowMs));
  if (status === 401) return disable("Mattermost does not know the bot's token.");
  if (/^web\.incoming_webhook\.(invalid|disabled|channel|channel_locked|permissions|user|team)\./.test(error))
    return disable("The webhook was removed, switched off, or may not write to its channel.");
  if (/archived|deleted_channel|can_not_post_to_deleted/.test(error)) return disable("The channel was archived.");
  if (status === 403) return disable("The bot may not write to this channel: add it as a member.");
  if (status === 404 && /channel/.test(error)) return disable("The channel is gone.");
  if (status === 400 || status === 413) return abort;
  return plain(answered, nowMs);
}

export function judgeMattermostWebhook(answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const { status, body } = answered;
  if (status >= 200 && status < 300) return delivered;
  const error = objectOf(body)?.id;
  const word = typeof error === "string" ? error : "";
  // A webhook has no token of its own: what is no answer of Mattermost's is judged as of anybody.
  return word === "" ? plain(answered, nowMs) : mattermostVerdict(word, answered, nowMs);
}

export function judgeRocketchat(answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const answer = objectOf(answered.body);
  const error = String(answer?.error ?? "");
  if (answered.status >= 200 && answered.status < 300 && answer?.success !== false) return delivered;
  if (/integration id or token|invalid-channel|error-invalid-room|not-allowed|disabled/i.test(error))
    return disable("The integration was removed, switched off, or may not write to its channel.");
  if (/size|too.?(large|long)/i.test(error)) return abort;
  return plain(answered, nowMs);
}

/** A Workflow takes the card (202) before it posts it. What it says about itself when it refuses is in the body's `code`. */
export function judgeTeams(answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const { status, body } = answered;
  // The retired connectors answered 200 and told of Teams' own refusal in words.
  const [, inner] = /HTTP error (\d{3})/.exec(status === 200 ? body : "") ?? [];
  if (inner === "413" || status === 413) return abort;
  if (inner !== undefined) return Number(inner) === 429 ? overRate : later;
  if (status >= 200 && status < 300) return delivered;
  if (/WorkflowTriggerIsNotEnabled|WorkflowNotFound|WorkflowDisabled|SuspendedFlow/i.test(body))
    return disable("The workflow was removed or switched off.");
  if (status === 401 || status === 403 || status === 404)
    return disable("The workflow's address is no longer valid: make it anew and copy its address.");
  if (/SchemaMismatch|InvalidRequestContent/i.test(body)) return abort;
  return plain(answered, nowMs);
}

export function judgeEmail(provider: EmailProvider, answered: ChatAnswered, nowMs: number): AttemptVerdict {
  const { status, body } = answered;
  const answer = objectOf(body);
  if (status >= 200 && status < 300) return delivered;
  if (status === 401 || status === 403) return disable("The mail provider does not accept the API key or the sender.");
  if (provider === "postmark" && status === 422) {
    const code = Number(answer?.ErrorCode);
    if (code === 406) return disable("The mail provider has marked every recipient as inactive.");
    if ([10, 400, 401, 405, 412, 413].includes(code))
      return disable("The mail provider does not let this account or sender send.");
  }
  if (answer?.name === "daily_quota_exceeded" || answer?.name === "monthly_quota_exceeded")
    return { outcome: "retry", minDelayMs: 3_600_000, laneDelayMs: 3_600_000 };
  // The same mail with the same key is still being taken: ask again.
  if (answer?.name === "concurrent_idempotent_requests") return overRate;
  if (status === 409) return delivered;
  if (status === 400 || status === 413 || status === 422) return abort;
  return plain(answered, nowMs);
}

/** No platform is told from a page in its way by `webhook-delivery` headers: those are of plain webhooks. */
function plain({ status, headers }: ChatAnswered, nowMs: number): AttemptVerdict {
  const retryAfter = headers.get("retry-after");
  const verdict = judgeAttempt(
    { status, headers: new Headers(retryAfter ? { "retry-after": retryAfter } : {}) },
    nowMs,
  );
  return verdict.outcome === "disable" ? disable("The address answers that it is gone for good.") : verdict;
}

function objectOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
