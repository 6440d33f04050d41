/**
 * Chat: workspaces (a Slack team, a Mattermost server), the people in them who act on connections, and what a platform sends.
 * A person's right to act lives in the connection's Tracker, as a link; the workspace only remembers where to look.
 */
import { SCOPES, ScopeRequest, Scope as ScopeWord } from "./access.ts";
import { Resources } from "./job.ts";
import { ConnectionName, idOf, JobId, SystemName, Time, WebUrl, z } from "./words.ts";

/** A chat workspace: named like a connection. */
export const WorkspaceName = ConnectionName.openapi({ example: "lab" });

export const CHAT_PLATFORMS = ["slack", "mattermost"] as const;
export type ChatPlatform = (typeof CHAT_PLATFORMS)[number];

const Secret = z
  .string()
  .min(8)
  .max(4096)
  .regex(/^[\u0021-\u007e]+$/, "must be printable ASCII without spaces");

const SlackWorkspace = z
  .strictObject({
    platform: z.literal("slack"),
    /** `T…` (or `E…` of an organisation): requests of another team are not believed. */
    team: z.string().regex(/^[TE][A-Z0-9]{2,30}$/, "must be a Slack team id such as T0123ABCD"),
    /** The newest first; two while one is being replaced. */
    signingSecrets: z.array(Secret).min(1).max(2),
    botToken: Secret,
    /** Default `https://slack.com/api`. */
    apiUrl: WebUrl.optional(),
  })
  .openapi("SlackWorkspaceRequest");

const MattermostWorkspace = z
  .strictObject({
    platform: z.literal("mattermost"),
    /** The tokens that Mattermost showed when the slash command was made, one for each team that has it. */
    commandTokens: z.array(Secret).min(1).max(20),
    botToken: Secret,
    /** The server, such as `https://chat.example.org`. */
    apiUrl: WebUrl,
  })
  .openapi("MattermostWorkspaceRequest");

export const WorkspaceRequest = z
  .discriminatedUnion("platform", [SlackWorkspace, MattermostWorkspace])
  .openapi("WorkspaceRequest");
export type WorkspaceRequest = z.infer<typeof WorkspaceRequest>;

export const Workspace = z
  .object({
    name: WorkspaceName,
    platform: z.enum(CHAT_PLATFORMS),
    team: z.string().optional(),
    apiUrl: z.string(),
    /** Where the platform sends commands and clicks. */
    requestUrl: z.string(),
    people: z.number().int(),
    createdAt: Time,
    changedAt: Time,
  })
  .openapi("Workspace");
export type Workspace = z.infer<typeof Workspace>;

/** What the workspace remembers of a person: where they are linked, not what they may do there. */
export const WorkspaceLink = z
  .object({
    user: z.string(),
    userName: z.string(),
    connection: ConnectionName,
    isDefault: z.boolean(),
    linkedAt: Time,
  })
  .openapi("WorkspaceLink");
export type WorkspaceLink = z.infer<typeof WorkspaceLink>;

/** `owner`: every job of the connection. `member`: only jobs and transfers that this person started from chat. */
const CHAT_ROLES = ["owner", "member"] as const;

/** What a person may do from chat unless the code says otherwise. */
export const CHAT_SCOPES: readonly ScopeWord[] = SCOPES.filter(
  (scope) => scope.startsWith("jobs:") || scope.startsWith("transfers:"),
);

export const ChatCodeRequest = z
  .strictObject({
    workspace: WorkspaceName,
    role: z.enum(CHAT_ROLES).optional(),
    scopes: ScopeRequest.refine(
      (scopes) => scopes.every((scope) => CHAT_SCOPES.includes(scope)),
      "may hold jobs:* and transfers:* only: there is nothing else to do from chat",
    ).optional(),
    systems: z.array(SystemName).min(1).max(50).optional(),
  })
  .openapi("ChatCodeRequest");
export type ChatCodeRequest = z.infer<typeof ChatCodeRequest>;

/** The code is in this answer and nowhere else. */
export const ChatCode = z
  .object({ code: z.string(), command: z.string(), workspace: WorkspaceName, expiresAt: Time })
  .openapi("ChatCode");
export type ChatCode = z.infer<typeof ChatCode>;

export const ChatLinkId = idOf("lnk");

export const ChatLink = z
  .object({
    id: ChatLinkId,
    workspace: WorkspaceName,
    /** The platform's own id of the person. */
    user: z.string(),
    /** As the platform showed it when the link was made: for reading, never for deciding. */
    userName: z.string(),
    role: z.enum(CHAT_ROLES),
    scopes: z.array(ScopeWord),
    systems: z.array(z.string()).optional(),
    /** Who made the code. */
    invitedBy: z.string(),
    createdAt: Time,
    revokedAt: Time.optional(),
  })
  .openapi("ChatLink");
export type ChatLink = z.infer<typeof ChatLink>;

/** Where a job's message goes: a channel, or one person's own conversation with the bot. */
export type ChatPlace = { workspace: string } & ({ channel: string } | { user: string });

// ---------------------------------------------------------------------------------------------------------------------
// Between api and the poller Worker

/** What api needs to tell the platform's requests from others: kept in memory for at most 5 s, never stored or logged. */
export type OpenedWorkspace =
  | { platform: "slack"; team: string; signingSecrets: string[]; actionKey: string }
  | { platform: "mattermost"; tokenHashes: string[]; actionKey: string };

/** A platform's id of a person, a channel, a message: what may stand in an actor's name and in a row. */
export const PlatformId = z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, "must be an id of the platform");

/** What people do with a job by pressing a button. */
export const CHAT_ACTS = ["cancel", "resubmit", "more", "logs", "fetch"] as const;
export type ChatAct = (typeof CHAT_ACTS)[number];

/** What a button proposes to resubmit a job with. */
export const Proposal = Resources.pick({ timeLimitSeconds: true, memoryMiB: true });
export type Proposal = z.infer<typeof Proposal>;

/** One job and what is to be done with it: what a button is bound to. `more` is a resubmission with its `proposal`. */
export const BoundAction = z
  .object({ connection: ConnectionName, job: JobId, act: z.enum(CHAT_ACTS), proposal: Proposal.optional() })
  .refine(({ act, proposal }) => (act === "more") === (proposal !== undefined), "`more` proposes something");
export type BoundAction = z.infer<typeof BoundAction>;

/** A verified request of a platform, in words of no platform. */
export type ChatInbound = {
  /** The same for every repeat of the same request. */
  id: string;
  person: { id: string; name: string };
  channel?: string;
  /** Takes later answers for half an hour: a secret. */
  answerUrl?: string;
  /** Opens a form within 3 s: a secret. */
  triggerId?: string;
} & (
  | { kind: "command"; text: string }
  | { kind: "action"; action: BoundAction }
  | { kind: "form"; connection: string; values: Record<string, string> }
);

/** The JSON to answer the platform with; absent = an empty 200. */
export interface ChatAnswer {
  body?: unknown;
}

// ---------------------------------------------------------------------------------------------------------------------
// Between a chat workspace and whoever posts there: how a message that people see gets there

/** What posts as this workspace's bot. Secrets: held while one batch is posted, never stored, logged or shown. */
export interface ChatBot {
  platform: ChatPlatform;
  token: string;
  /** `https://slack.com/api`, or a Mattermost server. */
  apiUrl: string;
  /** Binds what buttons carry (`shared/chat/action.ts`). */
  actionKey: string;
}

/** Where news is shown: of a job (one message, edited in place), of a transfer's end, or of the whole connection. */
export interface ChatTarget {
  place: ChatPlace;
  platform: ChatPlatform;
  jobId?: string;
  transferId?: string;
}
