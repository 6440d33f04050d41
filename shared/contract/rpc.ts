/**
 * Calls between Workers. `TrackerApi` is what the Durable Object of one connection answers; `PollerApi` is what the poller
 * Worker answers to api (what needs an opened secret or a read at the site). RPC is additive: a newer caller tolerates the
 * previous version's answers.
 *
 * Expected refusals are values (`Answer`), because classes of errors do not survive RPC; broken promises are thrown.
 */
import type { AuditEntry, Caller, IdentityRequest, Key, KeyRequest, NewKey, Scope } from "./access.ts";
import type {
  ChatAnswer,
  ChatCode,
  ChatCodeRequest,
  ChatInbound,
  ChatLink,
  ChatPlace,
  ChatPlatform,
  OpenedWorkspace,
  Workspace,
  WorkspaceLink,
  WorkspaceRequest,
} from "./chat.ts";
import type {
  Connection,
  ConnectionRequest,
  Invitation,
  InvitationRequest,
  MachinePart,
  MadeConnection,
  SystemView,
} from "./connection.ts";
import type { Event, EventsQuery } from "./event.ts";
import type { FirecrestRequest, Hook, HookMapping, HookOutcome, HookRequestBody, InboundRequest } from "./hook.ts";
import type { Job, JobRequest, JobsQuery, ResubmitRequest, WatchRequest } from "./job.ts";
import type { LinkRequest, SharedObject, ShareLink } from "./link.ts";
import type { Metric } from "./metrics.ts";
import type { OpenReceipt } from "./receipt.ts";
import type {
  DeliveriesQuery,
  Delivery,
  NewSubscription,
  RotateRequest,
  Subscription,
  SubscriptionPatch,
  SubscriptionRequest,
} from "./subscription.ts";
import type { Transfer, TransferRequest, TransfersQuery } from "./transfer.ts";
import type { PageQuery } from "./words.ts";

export type ProblemCode =
  | "unauthorized"
  | "forbidden"
  | "not_found"
  | "conflict"
  | "quota_exceeded"
  | "in_flight"
  | "gone"
  | "too_large"
  | "invalid"
  | "idempotency_mismatch"
  | "rate_limited"
  | "upstream"
  | "unavailable";

/** `field` is a JSON Pointer into the body (`/env/PATH`) or a query/parameter name. */
export interface FieldProblem {
  field: string;
  message: string;
}

export type Refusal = {
  ok: false;
  code: ProblemCode;
  detail?: string;
  errors?: FieldProblem[];
  retryAfterSeconds?: number;
  [extra: string]: unknown;
};
export type Answer<T> = { ok: true; value: T } | Refusal;
export type Page<T> = { items: T[]; cursor?: string };

/** Makes a write repeatable: unique per (actor, route, key); `bodySha256` is of the raw body. */
export interface Idempotency {
  route: string;
  key: string;
  bodySha256: string;
}

/** What api knows about where a request came from; kept in the audit. */
export interface Origin {
  ip?: string;
  traceparent?: string;
}

export interface TrackerApi {
  // The connection itself
  create(
    caller: Caller,
    name: string,
    request: ConnectionRequest,
    origin: Origin,
  ): Promise<Answer<{ created: boolean; connection: MadeConnection }>>;
  describe(caller: Caller): Promise<Answer<Connection>>;
  remove(caller: Caller, force: boolean, origin: Origin): Promise<Answer<null>>;
  /** Who this is, if the scope (and, where given, the system) is theirs. */
  authorize(caller: Caller, scope: Scope, system?: string): Promise<Answer<{ actor: string }>>;
  /** OIDC bindings of an issuer, for api to verify a token against. Public knowledge only. */
  audiences(issuer: string): Promise<string[]>;
  /** What the connection does and owes, in numbers. */
  metrics(caller: Caller): Promise<Answer<Metric[]>>;
  /** JWKS of the connection's signing keys; undefined when there is no such connection. */
  webhookKeys(): Promise<{ keys: Record<string, unknown>[] } | undefined>;
  /** Signs with a new key; the one before stays published, and signs callbacks beside it for a while. */
  rotateSigningKey(caller: Caller, origin: Origin): Promise<Answer<{ kid: string; previousValidUntil: string }>>;

  addKey(caller: Caller, request: KeyRequest, origin: Origin): Promise<Answer<NewKey>>;
  keys(caller: Caller): Promise<Answer<Page<Key>>>;
  revokeKey(caller: Caller, id: string, origin: Origin): Promise<Answer<null>>;
  putIdentity(
    caller: Caller,
    name: string,
    request: IdentityRequest,
    origin: Origin,
  ): Promise<Answer<{ created: boolean; identity: IdentityRequest & { name: string } }>>;
  identity(caller: Caller, name: string): Promise<Answer<IdentityRequest & { name: string }>>;
  removeIdentity(caller: Caller, name: string, origin: Origin): Promise<Answer<null>>;
  audit(caller: Caller, query: PageQuery): Promise<Answer<Page<AuditEntry>>>;
  /** A one-time code with which a person in a chat workspace links themself to this connection. */
  addChatCode(caller: Caller, request: ChatCodeRequest, origin: Origin): Promise<Answer<ChatCode>>;
  chatLinks(caller: Caller): Promise<Answer<Page<ChatLink>>>;
  revokeChatLink(caller: Caller, id: string, origin: Origin): Promise<Answer<null>>;

  // Jobs
  acceptJob(
    caller: Caller,
    request: JobRequest,
    options: { idempotency?: Idempotency; origin: Origin },
  ): Promise<Answer<{ job: Job; replayed: boolean }>>;
  watch(
    caller: Caller,
    request: WatchRequest,
    options: { idempotency?: Idempotency; origin: Origin },
  ): Promise<Answer<{ job: Job; replayed: boolean }>>;
  jobs(caller: Caller, query: JobsQuery): Promise<Answer<Page<Job>>>;
  job(caller: Caller, id: string, wait?: { seconds: number; until: "ended" | "settled" }): Promise<Answer<Job>>;
  /** From the job itself, at its start and end: only wakes the poll. A wrong token is answered like a right one. */
  ping(id: string, token: string): Promise<void>;
  cancelJob(caller: Caller, id: string, origin: Origin): Promise<Answer<Job>>;
  resubmit(
    caller: Caller,
    id: string,
    request: ResubmitRequest,
    options: { idempotency?: Idempotency; origin: Origin },
  ): Promise<Answer<{ job: Job; replayed: boolean }>>;

  // Transfers
  acceptTransfer(
    caller: Caller,
    request: TransferRequest,
    options: { idempotency?: Idempotency; origin: Origin },
  ): Promise<Answer<{ transfer: Transfer; replayed: boolean }>>;
  transfers(caller: Caller, query: TransfersQuery): Promise<Answer<Page<Transfer>>>;
  transfer(caller: Caller, id: string): Promise<Answer<Transfer>>;
  cancelTransfer(caller: Caller, id: string, origin: Origin): Promise<Answer<Transfer>>;
  /** Signed; of a stored transfer only. */
  receipt(caller: Caller, id: string): Promise<Answer<OpenReceipt>>;

  // Objects: api moves their bytes
  /** Before bytes are written: may they be? Their room is kept until `objectChanged`, or until its time is over. */
  reserveObject(caller: Caller, write: ObjectWrite): Promise<Answer<null>>;
  /** Afterwards, well or not: what there is more or less of. */
  objectChanged(caller: Caller, change: ObjectChange, origin: Origin): Promise<Answer<null>>;

  // Share links
  addLink(caller: Caller, request: LinkRequest, origin: Origin): Promise<Answer<{ link: ShareLink; token: string }>>;
  links(caller: Caller, query: PageQuery): Promise<Answer<Page<ShareLink>>>;
  removeLink(caller: Caller, id: string, origin: Origin): Promise<Answer<null>>;

  // Events and callbacks
  events(caller: Caller, query: EventsQuery): Promise<Answer<Page<Event>>>;
  subscribe(
    caller: Caller,
    request: SubscriptionRequest,
    options: { idempotency?: Idempotency; origin: Origin },
  ): Promise<Answer<NewSubscription>>;
  subscriptions(caller: Caller): Promise<Answer<Page<Subscription>>>;
  subscription(caller: Caller, id: string): Promise<Answer<Subscription>>;
  changeSubscription(
    caller: Caller,
    id: string,
    patch: SubscriptionPatch,
    origin: Origin,
  ): Promise<Answer<Subscription>>;
  removeSubscription(caller: Caller, id: string, origin: Origin): Promise<Answer<null>>;
  rotateSecret(
    caller: Caller,
    id: string,
    request: RotateRequest,
    origin: Origin,
  ): Promise<Answer<{ secret: string; previousValidUntil: string }>>;
  testSubscription(caller: Caller, id: string, origin: Origin): Promise<Answer<Delivery>>;
  /** Sends again what this subscription never got since then. */
  recover(caller: Caller, id: string, since: string, origin: Origin): Promise<Answer<{ scheduled: number }>>;
  deliveries(caller: Caller, query: DeliveriesQuery): Promise<Answer<Page<Delivery>>>;
  resend(caller: Caller, id: string, origin: Origin): Promise<Answer<Delivery>>;

  // Hooks
  putHook(
    caller: Caller,
    name: string,
    request: HookRequestBody,
    origin: Origin,
  ): Promise<Answer<{ created: boolean; hook: Hook }>>;
  hooks(caller: Caller): Promise<Answer<Page<Hook>>>;
  hook(caller: Caller, name: string): Promise<Answer<Hook>>;
  removeHook(caller: Caller, name: string, origin: Origin): Promise<Answer<null>>;
  hookRequests(caller: Caller, name: string, query: PageQuery): Promise<Answer<Page<InboundRequest>>>;
  hookRequest(caller: Caller, name: string, id: string): Promise<Answer<InboundRequest>>;
  /** What the hook was at that version, as long as requests that it took can be replayed. */
  hookVersion(caller: Caller, name: string, version: number): Promise<Answer<HookMapping>>;
  /** What FirecREST would be sent for this, and what is wrong with it. Nothing is kept or sent. */
  preview(
    caller: Caller,
    started: Started,
  ): Promise<Answer<{ requests: FirecrestRequest[]; problems: FieldProblem[] }>>;
  /**
   * A verified inbound request, mapped by api. The Tracker dedupes by (hook, messageId): the same message with the same body
   * gets the stored answer, with another body `idempotency_mismatch`. Without a messageId the body's hash stands in where the
   * sender signs no time.
   */
  acceptFromHook(hook: string, inbound: VerifiedInbound): Promise<Answer<{ answer: HookOutcome; replayed: boolean }>>;
}

/** What a hook starts. */
export type Started = { outcome: "job"; request: JobRequest } | { outcome: "transfer"; request: TransferRequest };

export interface ObjectWrite {
  /** Of the caller's choice; the same id again replaces what it reserved. */
  id: string;
  key: string;
  bytes: number;
  keepSeconds: number;
}

export interface ObjectChange {
  /** What was reserved; ending with `/`, everything below it. */
  id?: string;
  key: string;
  /** Differences to before. */
  objects: -1 | 0 | 1;
  bytes: number;
}

export interface VerifiedInbound {
  messageId?: string;
  bodySha256: string;
  /** Kept 7 days for replay, with the headers and claims that matter (no credentials). */
  body: string;
  headers?: Record<string, string>;
  claims?: Record<string, unknown>;
  /** Of the hook that mapped it. */
  version?: number;
  origin: Origin;
  /** What the mapping made of it. `refused` is recorded and answered 422. */
  result: { outcome: "filtered" } | Started | { outcome: "refused"; errors: FieldProblem[] };
}

/** A hook with its opened secrets: api may keep this in memory for at most 5 s, and never stores or logs it. */
export interface OpenedHook {
  hook: Hook;
  secrets: string[];
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
  ): Promise<Answer<{ body: unknown } | { bytes: Uint8Array } | { job: Job }>>;
  /** What a share link leads to; undefined for every token that does not open, whatever the reason. */
  openLink(token: string, origin: Origin): Promise<SharedObject | undefined>;
  /** All connections of the deployment, for ADMIN_TOKEN. */
  connections(query: PageQuery): Promise<Page<{ name: string; live: boolean }>>;

  /** For ADMIN_TOKEN. Nothing is stored: an invitation is worth what is sealed in it, as long as its connection is not there. */
  invite(request: InvitationRequest): Promise<Answer<Omit<Invitation, "url">>>;

  /** Chat workspaces, for ADMIN_TOKEN. */
  putWorkspace(name: string, request: WorkspaceRequest): Promise<Answer<{ created: boolean; workspace: Workspace }>>;
  workspace(name: string): Promise<Answer<Workspace>>;
  removeWorkspace(name: string): Promise<Answer<null>>;
  workspaceLinks(name: string): Promise<Answer<Page<WorkspaceLink>>>;
  /** Undefined for an unknown workspace. */
  openWorkspace(name: string): Promise<OpenedWorkspace | undefined>;
  /** What to answer to a verified request of a chat platform, well within the time that platforms wait. */
  chat(workspace: string, inbound: ChatInbound): Promise<ChatAnswer>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Between the Tracker and the Workers that carry out effects. These calls carry links and tokens: they are never logged.

/** `begin` commits `sent` before anything leaves. */
export type Begun<Work> =
  | { go: true; work: Work; attempt: number }
  /** Not now (budget, paused): the Tracker has put it on its agenda. Or already sent, done, unknown id. Acknowledge. */
  | { go: false; why: "not_yet" | "already_sent" | "over" };

/** What the transfer Worker does to bytes. R2 keys are full keys (`<connection>/<key>`). */
export type ByteWork =
  | CopyWork
  | {
      kind: "complete";
      transfer: string;
      objectKey: string;
      uploadId: string;
      parts: { n: number; etag: string }[];
      bytes: number;
      overwrite: boolean;
      metadata: Record<string, string>;
    }
  | { kind: "abort"; transfer: string; objectKey: string; uploadId: string }
  /** Empty files are not staged: the object is made directly. */
  | { kind: "put_empty"; transfer: string; objectKey: string; overwrite: boolean; metadata: Record<string, string> };

export interface CopyWork {
  kind: "copy";
  transfer: string;
  /** The staged link: a secret. */
  url: string;
  /** Origins of the site's object store, to which the link must lead. Absent: the Tracker has checked it. */
  storageOrigins?: string[];
  objectKey: string;
  /** From `stat` before staging. */
  expectedBytes: number;
  /** The link leads to this piece of the file only. Its parts are copied, and `copied` speaks of them. */
  piece?: { from: number; bytes: number };
  /** Fixed at the first start; every later invocation goes on with these. */
  upload?: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string };
  /** Parts already stored. */
  parts: { n: number; etag: string }[];
  /** `hash`: read in order and hash the whole while copying (≤ 1 GiB). `parts`: any order, each part hashed where asked. */
  mode: "hash" | "parts";
  /** Hash each part (to compare with a manifest). */
  hashParts: boolean;
  /** Stop after about this long and report `paused`; the Tracker sends the next segment. */
  segmentMs: number;
  metadata: Record<string, string>;
}

export interface PartDone {
  n: number;
  etag: string;
  bytes: number;
  sha256?: string;
}

export type ByteOutcome =
  /** Every part is stored. `sha256` of the whole in mode `hash`. */
  | { kind: "copied"; totalBytes: number; sha256?: string }
  | { kind: "paused" }
  | { kind: "completed"; etag: string; bytes: number }
  | { kind: "aborted" }
  /**
   * `link_dead`: 403/404/410 → stage again. `changed`: ETag or length differs → start over. `later`: try this again.
   * `upload_gone`: R2 no longer knows the multipart upload → start over. `exists`: another object is already under the key
   * and may not be replaced (`overwrite: false`). `never`: give up.
   */
  | {
      kind: "failed";
      why: "link_dead" | "changed" | "upload_gone" | "exists" | "later" | "never";
      detail: string;
      retryAfterSeconds?: number;
    };

/** What the Tracker answers to the Workers of this deployment only (never reachable from HTTP). */
export interface TrackerWork {
  beginBytes(effect: string): Promise<Begun<ByteWork>>;
  /** First start of a copy. Answers the upload that counts: if another invocation was first, abort your own and use theirs. */
  copyStarted(
    effect: string,
    upload: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string },
  ): Promise<{ go: boolean; upload: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string } }>;
  /** Records stored parts (also renews the effect's deadline). `go: false`: cancelled meanwhile, stop. */
  partsDone(effect: string, parts: PartDone[]): Promise<{ go: boolean }>;
  finishBytes(effect: string, outcome: ByteOutcome): Promise<void>;
}

// ---------------------------------------------------------------------------------------------------------------------
// Between the consumer of `callbacks` and a chat workspace: how a message that people see gets there.

/** What posts as this workspace's bot. Secrets: held while one batch is posted, never stored, logged or shown. */
export interface ChatBot {
  platform: "slack" | "mattermost";
  token: string;
  /** `https://slack.com/api`, or a Mattermost server. */
  apiUrl: string;
  /** Binds what buttons carry (`shared/chat/action.ts`). */
  actionKey: string;
}

export interface ChatWorkspace {
  /** Undefined: there is no such workspace, or its bot was removed. */
  bot(): Promise<ChatBot | undefined>;
}

/** Where a job's (or, without `jobId`, the connection's) news is shown: one message per job, edited in place. */
export interface ChatTarget {
  place: ChatPlace;
  platform: ChatPlatform;
  jobId?: string;
}
