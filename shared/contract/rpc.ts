/**
 * Calls between Workers. `TrackerApi` is what the Durable Object of one connection answers; what the poller Worker answers to
 * api is in `poller-api.ts`, what is done to bytes that go up in `up.ts`. RPC is additive: a newer caller tolerates the
 * previous version's answers.
 *
 * Expected refusals are values (`Answer`), because classes of errors do not survive RPC; broken promises are thrown.
 */
import type { AuditEntry, Caller, IdentityRequest, Key, KeyRequest, NewKey, Scope } from "./access.ts";
import type { ChatCode, ChatCodeRequest, ChatLink } from "./chat.ts";
import type { Connection, ConnectionRequest, MadeConnection } from "./connection.ts";
import type { Event, EventsQuery } from "./event.ts";
import type { FirecrestRequest, Hook, HookMapping, HookOutcome, HookRequestBody, InboundRequest } from "./hook.ts";
import type { Job, JobRequest, JobsQuery, ResubmitRequest, WatchRequest } from "./job.ts";
import type { LinkRequest, ShareLink } from "./link.ts";
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

/** Nothing of this name, or nothing that this caller may know of. */
export const NOT_FOUND: Refusal = { ok: false, code: "not_found" };

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
  /** For what was asked for in chat: platform, workspace and channel. */
  place?: string;
  traceparent?: string;
}

export interface Doing {
  act: string;
  subject: string;
  origin: Origin;
}

export interface Authorizing {
  hook?: string;
  doing?: Doing;
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
  /**
   * Who this is, if the scope (and, where given, the system and the hook) is theirs. `doing` is what they do then, elsewhere
   * than here: it goes into the audit.
   */
  authorize(caller: Caller, scope: Scope, system?: string, more?: Authorizing): Promise<Answer<{ actor: string }>>;
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
  /** What the audit calls it; a write that did not happen has no name. */
  act?: string;
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
