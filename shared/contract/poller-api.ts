/** What the poller Worker answers to api: what needs an opened secret, or a read at the site. */
import type { AuditEntry, Caller } from "./access.ts";
import type { ChatAnswer, ChatInbound, OpenedWorkspace, Workspace, WorkspaceLink, WorkspaceRequest } from "./chat.ts";
import type {
  Invitation,
  InvitationRequest,
  MachinePart,
  OpenInvitation,
  ServiceView,
  SystemView,
} from "./connection.ts";
import type { Hook } from "./hook.ts";
import type { Job } from "./job.ts";
import type { SharedObject } from "./link.ts";
import type { Answer, Idempotency, Origin, Page } from "./rpc.ts";
import type { PageQuery } from "./words.ts";

/** A hook with its opened secrets: api may keep this in memory for at most 5 s, and never stores or logs it. */
export interface OpenedHook {
  hook: Hook;
  secrets: string[];
}

export interface Resealed {
  connections: number;
  /** With the last connections only. */
  workspaces: number;
  /** Values that an older key had sealed and the first one has sealed now. */
  resealed: number;
  /** Values that no key of this deployment opens. */
  unreadable: number;
  /** Connections (and `workspaces/<name>`) with more to do, or that could not be asked: call again. */
  unfinished: string[];
  /** What people hold that an older key sealed: it ends with that key, or by itself at `until`. */
  held: { links: number; invitations: number; until?: string };
  /** The next connections; absent after the last ones. */
  cursor?: string;
}

export interface PollerApi {
  /** Undefined for an unknown connection or hook: both look the same to the caller. */
  openHook(connection: string, hook: string): Promise<OpenedHook | undefined>;

  /** The last lines of a job's output, as they are or with what looks like a secret masked. */
  logs(
    connection: string,
    caller: Caller,
    job: string,
    stream: "stdout" | "stderr",
    tail: number,
    masked: boolean,
  ): Promise<Answer<string>>;
  /** Runs a command beside a running job (v2 only), once for each key. */
  attach(
    connection: string,
    caller: Caller,
    job: string,
    command: string,
    options: { origin: Origin; idempotency?: Idempotency },
  ): Promise<Answer<{ exitCode: number; replayed?: true }>>;
  services(connection: string, caller: Caller): Promise<Answer<Page<ServiceView>>>;
  systems(connection: string, caller: Caller): Promise<Answer<Page<SystemView>>>;
  system(
    connection: string,
    caller: Caller,
    system: string,
  ): Promise<Answer<SystemView & { parameters: Record<string, unknown> }>>;
  /** What a system is made of: `NodeView`, `PartitionView` or `ReservationView`. */
  machine(connection: string, caller: Caller, system: string, part: MachinePart): Promise<Answer<Page<object>>>;
  /** One file operation (`ls`, `stat`, `mkdir` …); `input` is the parsed body or query. `job`: the site runs it as one. */
  file(
    connection: string,
    caller: Caller,
    system: string,
    operation: string,
    input: Record<string, unknown>,
    origin?: Origin,
    idempotency?: Idempotency,
  ): Promise<Answer<({ body: unknown } | { bytes: Uint8Array } | { job: Job }) & { replayed?: true }>>;
  /** What a share link leads to; undefined for every token that does not open, whatever the reason. */
  openLink(token: string, origin: Origin): Promise<SharedObject | undefined>;
  /** Seals everything again that an older key sealed, for some connections; the cursor leads to the next ones. */
  reseal(query: PageQuery, origin: Origin): Promise<Resealed>;
  /** All connections of the deployment, for ADMIN_TOKEN. */
  connections(query: PageQuery): Promise<Page<{ name: string; live: boolean }>>;

  /** For ADMIN_TOKEN: invitations, and what was done to the deployment itself. */
  invite(request: InvitationRequest, origin: Origin): Promise<Answer<Omit<Invitation, "url">>>;
  invitations(query: PageQuery): Promise<Page<OpenInvitation>>;
  revokeInvitation(id: string, origin: Origin): Promise<Answer<null>>;
  audit(query: PageQuery): Promise<Page<AuditEntry>>;

  /** Chat workspaces, for ADMIN_TOKEN. */
  putWorkspace(
    name: string,
    request: WorkspaceRequest,
    origin: Origin,
  ): Promise<Answer<{ created: boolean; workspace: Workspace }>>;
  workspace(name: string): Promise<Answer<Workspace>>;
  removeWorkspace(name: string, origin: Origin): Promise<Answer<null>>;
  workspaceLinks(name: string): Promise<Answer<Page<WorkspaceLink>>>;
  /** Undefined for an unknown workspace. */
  openWorkspace(name: string): Promise<OpenedWorkspace | undefined>;
  /** What to answer to a verified request of a chat platform, well within the time that platforms wait. */
  chat(workspace: string, inbound: ChatInbound): Promise<ChatAnswer>;
}
