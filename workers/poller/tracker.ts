/**
 * The Tracker: one Durable Object per connection, the only writer of that connection's records. The class is a list of
 * entrances; what happens is in the rooms beside it. An object whose connection was never created answers `not_found` and
 * writes nothing.
 */
import { DurableObject } from "cloudflare:workers";
import { systemNow } from "../../shared/clock.ts";
import type { Caller, IdentityRequest, KeyRequest, Scope } from "../../shared/contract/access.ts";
import type { ConnectionRequest } from "../../shared/contract/connection.ts";
import type { Event, EventsQuery } from "../../shared/contract/event.ts";
import type { HookRequestBody } from "../../shared/contract/hook.ts";
import type { Job, JobRequest, JobsQuery, ResubmitRequest, WatchRequest } from "../../shared/contract/job.ts";
import type {
  Answer,
  ByteOutcome,
  Idempotency,
  OpenedHook,
  Origin,
  PartDone,
  Refusal,
  TrackerApi,
  TrackerWork,
  VerifiedInbound,
} from "../../shared/contract/rpc.ts";
import { isEndedJob } from "../../shared/contract/states.ts";
import type {
  DeliveriesQuery,
  RotateRequest,
  SubscriptionPatch,
  SubscriptionRequest,
} from "../../shared/contract/subscription.ts";
import type { TransferRequest, TransfersQuery } from "../../shared/contract/transfer.ts";
import { viewJob } from "../../shared/domain/job.ts";
import { viewTransfer } from "../../shared/domain/transfer.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import type { Seal } from "../../shared/seal.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import * as acceptance from "./accept.ts";
import * as access from "./access.ts";
import * as bytes from "./bytes.ts";
import * as connections from "./connections.ts";
import { type Env, sealOf } from "./env.ts";
import * as far from "./far.ts";
import * as hooks from "./hooks.ts";
import { House } from "./house.ts";
import * as jobs from "./jobs.ts";
import * as lanes from "./lanes.ts";
import * as ledger from "./ledger.ts";
import { exists, migrate } from "./migrations.ts";
import * as receivers from "./receivers.ts";
import { Site, type SiteConfig, type TokenAnswer } from "./site.ts";
import { openStream, pushEvents, pushProgress, type Streams } from "./streams.ts";
import { attend } from "./tracking.ts";
import * as transfers from "./transfers.ts";

type Options = { idempotency?: Idempotency; origin: Origin };
type Waiter = { subject: string; wake: () => void };

const NOT_FOUND: Refusal = { ok: false, code: "not_found" };
/** The alarm handler arms itself again before it does anything: a crash costs a minute, not the connection. */
const REARM_MS = 60_000;

export class Tracker extends DurableObject<Env> implements TrackerApi, TrackerWork {
  readonly #house: House;
  readonly #seal: Seal;
  readonly #egress: Egress;
  readonly #site: Site;
  readonly #streams: Streams;
  readonly #waiters = new Set<Waiter>();
  #attending: Promise<void> | undefined;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    const name = state.id.name ?? "";
    const log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "poller", connection: name } });
    this.#house = new House({ storage: state.storage, env, name, log });
    this.#seal = sealOf(env);
    this.#egress = egressFrom(env, log);
    this.#site = new Site(this.#house, this.#seal, this.#egress);
    this.#streams = { state, house: this.#house };
    if (exists(state.storage.sql)) state.storage.transactionSync(() => migrate(state.storage.sql));
    this.#house.onCommit = (events) => this.#committed(events);
  }

  get #desk(): acceptance.Desk {
    return { house: this.#house, site: this.#site, seal: this.#seal, egress: this.#egress };
  }

  #exists(): boolean {
    return exists(this.ctx.storage.sql);
  }

  /** Lets a caller in, or answers why not: the one gate of every call that people make. */
  #admit(caller: Caller, scope: Scope, system?: string): { ok: true; value: access.Actor } | Refusal {
    if (this.#exists()) return access.admit(this.#house, caller, scope, system);
    return caller.kind === "admin" ? NOT_FOUND : { ok: false, code: "unauthorized" };
  }

  async #with<T>(caller: Caller, scope: Scope, work: (actor: access.Actor) => T | Promise<T>): Promise<T | Refusal> {
    const admitted = this.#admit(caller, scope);
    return admitted.ok ? work(admitted.value) : admitted;
  }

  #value<T>(value: T | undefined): Answer<T> {
    return value === undefined ? NOT_FOUND : { ok: true, value };
  }

  // -------------------------------------------------------------------------------------------------------- connection

  async create(caller: Caller, name: string, request: ConnectionRequest, origin: Origin) {
    const admitted = this.#exists()
      ? this.#admit(caller, "connection:admin")
      : caller.kind === "admin"
        ? ({ ok: true, value: { name: "admin" } } as const)
        : ({ ok: false, code: "unauthorized" } as const);
    if (!admitted.ok) return admitted;
    return connections.create(this.#desk, admitted.value, name, request, origin);
  }

  async describe(caller: Caller) {
    return this.#with(caller, "jobs:read", () => ({ ok: true as const, value: connections.describe(this.#desk) }));
  }

  async remove(caller: Caller, force: boolean, origin: Origin): Promise<Answer<null>> {
    return this.#with(caller, "connection:admin", async (actor) => {
      const answer = await connections.remove(this.#desk, actor, force, origin);
      if (answer.ok) await this.ctx.storage.deleteAll();
      return answer;
    });
  }

  async authorize(caller: Caller, scope: Scope, system?: string): Promise<Answer<{ actor: string }>> {
    const admitted = this.#admit(caller, scope, system);
    return admitted.ok ? { ok: true, value: { actor: admitted.value.name } } : admitted;
  }

  async audiences(issuer: string): Promise<string[]> {
    return this.#exists() ? access.audiences(this.#house, issuer) : [];
  }

  async webhookKeys() {
    return this.#exists() ? connections.webhookKeys(this.#house) : undefined;
  }

  async addKey(caller: Caller, request: KeyRequest, origin: Origin) {
    return this.#with(caller, "connection:admin", (actor) => access.addKey(this.#house, actor, request, origin));
  }

  async keys(caller: Caller) {
    return this.#with(caller, "connection:admin", () => ({ ok: true as const, value: access.listKeys(this.#house) }));
  }

  async revokeKey(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "connection:admin", (actor) => access.revokeKey(this.#house, actor, id, origin));
  }

  async putIdentity(caller: Caller, name: string, request: IdentityRequest, origin: Origin) {
    return this.#with(caller, "connection:admin", (actor) => ({
      ok: true as const,
      value: access.putIdentity(this.#house, actor, name, request, origin),
    }));
  }

  async identity(caller: Caller, name: string) {
    return this.#with(caller, "connection:admin", () => access.identity(this.#house, name));
  }

  async removeIdentity(caller: Caller, name: string, origin: Origin) {
    return this.#with(caller, "connection:admin", (actor) => access.removeIdentity(this.#house, actor, name, origin));
  }

  async audit(caller: Caller, query: { cursor?: string; limit?: number }) {
    return this.#with(caller, "connection:admin", () => ({
      ok: true as const,
      value: access.auditTrail(this.#house, query),
    }));
  }

  // -------------------------------------------------------------------------------------------------------------- jobs

  async acceptJob(caller: Caller, request: JobRequest, options: Options) {
    return this.#with(caller, "jobs:write", (actor) => acceptance.acceptJob(this.#desk, actor, request, options));
  }

  async watch(caller: Caller, request: WatchRequest, options: Options) {
    return this.#with(caller, "jobs:write", (actor) => acceptance.watch(this.#desk, actor, request, options));
  }

  async jobs(caller: Caller, query: JobsQuery) {
    return this.#with(caller, "jobs:read", (actor) => ({
      ok: true as const,
      value: jobs.listJobs(this.#house, query, actor.systems),
    }));
  }

  async job(caller: Caller, id: string, wait?: { seconds: number; until: "ended" | "settled" }): Promise<Answer<Job>> {
    return this.#with(caller, "jobs:read", async (actor): Promise<Answer<Job>> => {
      const deadline = systemNow() + (wait?.seconds ?? 0) * 1000;
      for (;;) {
        const record = jobs.jobRecord(this.#house, id);
        if (record === undefined) return NOT_FOUND;
        if (actor.systems !== undefined && !actor.systems.includes(record.system)) return NOT_FOUND;
        const rests =
          record.status === "lost" ||
          (isEndedJob(record.status) && (wait?.until !== "settled" || record.settledAt !== undefined));
        const left = deadline - systemNow();
        if (rests || left <= 0) return { ok: true, value: viewJob(record, this.#house.name) };
        await this.#nextEvent(`jobs/${id}`, left);
      }
    });
  }

  async cancelJob(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "jobs:write", (actor) => acceptance.cancelJob(this.#house, actor, id, origin));
  }

  async resubmit(caller: Caller, id: string, request: ResubmitRequest, options: Options) {
    return this.#with(caller, "jobs:write", (actor) => acceptance.resubmit(this.#desk, actor, id, request, options));
  }

  // --------------------------------------------------------------------------------------------------------- transfers

  async acceptTransfer(caller: Caller, request: TransferRequest, options: Options) {
    return this.#with(caller, "transfers:write", (actor) =>
      acceptance.acceptTransfer(this.#desk, actor, request, options),
    );
  }

  async transfers(caller: Caller, query: TransfersQuery) {
    return this.#with(caller, "transfers:read", () => ({
      ok: true as const,
      value: transfers.listTransfers(this.#house, query),
    }));
  }

  async transfer(caller: Caller, id: string) {
    return this.#with(caller, "transfers:read", () => {
      const record = transfers.transferRecord(this.#house, id);
      return this.#value(record && viewTransfer(record, this.#house.name));
    });
  }

  async cancelTransfer(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "transfers:write", (actor) => acceptance.cancelTransfer(this.#house, actor, id, origin));
  }

  // ---------------------------------------------------------------------------------------------- events and callbacks

  async events(caller: Caller, query: EventsQuery) {
    return this.#with(caller, "jobs:read", () => ledger.eventsAfter(this.#house, query));
  }

  async subscribe(caller: Caller, request: SubscriptionRequest, options: Options) {
    return this.#with(caller, "hooks:admin", async (actor) => {
      const refused = this.#egress.refusal(request.url) !== undefined;
      if (refused)
        return {
          ok: false as const,
          code: "invalid" as const,
          errors: [{ field: "/url", message: acceptance.ADDRESS_REFUSED }],
        };
      return receivers.subscribe(this.#house, this.#seal, actor, request, options);
    });
  }

  async subscriptions(caller: Caller) {
    return this.#with(caller, "hooks:admin", () => ({
      ok: true as const,
      value: receivers.listSubscriptions(this.#house),
    }));
  }

  async subscription(caller: Caller, id: string) {
    return this.#with(caller, "hooks:admin", () => {
      const record = receivers.subscriptionOf(this.#house, id);
      return this.#value(record && receivers.viewSubscription(this.#house, record));
    });
  }

  async changeSubscription(caller: Caller, id: string, patch: SubscriptionPatch, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => {
      const refused = patch.url !== undefined && this.#egress.refusal(patch.url) !== undefined;
      if (refused)
        return {
          ok: false as const,
          code: "invalid" as const,
          errors: [{ field: "/url", message: acceptance.ADDRESS_REFUSED }],
        };
      return receivers.changeSubscription(this.#house, actor, id, patch, origin);
    });
  }

  async removeSubscription(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => receivers.removeSubscription(this.#house, actor, id, origin));
  }

  async rotateSecret(caller: Caller, id: string, request: RotateRequest, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) =>
      receivers.rotateSecret(this.#house, this.#seal, actor, id, request, origin),
    );
  }

  async testSubscription(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => lanes.sendTest(this.#house, actor, id, origin));
  }

  async recover(caller: Caller, id: string, since: string, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => receivers.recover(this.#house, actor, id, since, origin));
  }

  async deliveries(caller: Caller, query: DeliveriesQuery) {
    return this.#with(caller, "jobs:read", () => ({
      ok: true as const,
      value: lanes.listDeliveries(this.#house, query),
    }));
  }

  async resend(caller: Caller, id: string, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => lanes.resend(this.#house, actor, id, origin));
  }

  // ------------------------------------------------------------------------------------------------------------- hooks

  async putHook(caller: Caller, name: string, request: HookRequestBody, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) =>
      hooks.putHook(this.#house, this.#seal, actor, name, request, origin),
    );
  }

  async hooks(caller: Caller) {
    return this.#with(caller, "hooks:admin", () => ({ ok: true as const, value: hooks.listHooks(this.#house) }));
  }

  async hook(caller: Caller, name: string) {
    return this.#with(caller, "hooks:admin", () => hooks.hookOf(this.#house, name));
  }

  async removeHook(caller: Caller, name: string, origin: Origin) {
    return this.#with(caller, "hooks:admin", (actor) => hooks.removeHook(this.#house, actor, name, origin));
  }

  async hookRequests(caller: Caller, name: string, query: { cursor?: string; limit?: number }) {
    return this.#with(caller, "hooks:admin", () => ({
      ok: true as const,
      value: hooks.hookRequests(this.#house, name, query),
    }));
  }

  async hookRequest(caller: Caller, name: string, id: string) {
    return this.#with(caller, "hooks:admin", () => hooks.hookRequest(this.#house, name, id));
  }

  async acceptFromHook(hook: string, inbound: VerifiedInbound) {
    if (!this.#exists()) return { ok: false as const, code: "unauthorized" as const };
    return hooks.acceptFromHook(this.#desk, hook, inbound);
  }

  // ------------------------------------------------- from Workers of this deployment: never reachable over HTTP

  async openHook(name: string): Promise<OpenedHook | undefined> {
    return this.#exists() ? hooks.openHook(this.#house, this.#seal, name) : undefined;
  }

  async begin(effect: string) {
    return this.#exists() ? far.begin(this.#desk, effect) : { go: false as const, why: "over" as const };
  }

  async finish(effect: string, outcome: far.FarOutcome): Promise<void> {
    if (this.#exists()) await far.finish(this.#desk, effect, outcome);
  }

  async beginBytes(effect: string) {
    return this.#exists() ? bytes.beginBytes(this.#desk, effect) : { go: false as const, why: "over" as const };
  }

  async copyStarted(
    effect: string,
    upload: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string },
  ) {
    return this.#exists() ? bytes.copyStarted(this.#house, effect, upload) : { go: false, upload };
  }

  async partsDone(effect: string, parts: PartDone[]) {
    if (!this.#exists()) return { go: false };
    const answer = bytes.partsDone(this.#house, effect, parts);
    pushProgress(this.#streams, effect);
    return answer;
  }

  async finishBytes(effect: string, outcome: ByteOutcome): Promise<void> {
    if (this.#exists()) bytes.finishBytes(this.#house, effect, outcome);
  }

  /** Deliveries to post now, and the key that signs them. */
  async lease(): Promise<{ leases: lanes.Lease[]; signingKey: PrivateJwk } | undefined> {
    if (!this.#exists()) return undefined;
    const leases = await lanes.lease(this.#house, this.#seal);
    return leases.length === 0 ? undefined : { leases, signingKey: await connections.signingKey(this.#desk) };
  }

  async report(reports: lanes.AttemptReport[]): Promise<void> {
    if (this.#exists()) lanes.report(this.#house, reports);
  }

  /** Errors of this class do not survive RPC, so what went wrong is a value here and thrown again by `tokenFrom`. */
  async token(renew?: boolean): Promise<TokenAnswer> {
    try {
      return { ok: true, token: await this.#site.token(renew) };
    } catch (error) {
      return { ok: false, ...far.failureOf(error) };
    }
  }

  /** For a read that a person waits for: lets them in, takes the budget, tells where the site is. */
  async read(
    caller: Caller,
    scope: Scope,
    system: string | undefined,
    requests: number,
  ): Promise<Answer<{ site: SiteConfig }>> {
    const admitted = this.#admit(caller, scope, system);
    if (!admitted.ok) return admitted;
    const wait = this.#site.take(requests, "user");
    if (wait !== undefined) {
      const retryAfterSeconds = Math.max(1, Math.ceil((wait - systemNow()) / 1000));
      return {
        ok: false,
        code: "rate_limited",
        detail: "The connection's request budget for FirecREST is used up for the moment.",
        retryAfterSeconds,
      };
    }
    return { ok: true, value: { site: this.#site.config() } };
  }

  /** Where a job's output is, as far as the record knows. */
  async output(
    caller: Caller,
    id: string,
  ): Promise<Answer<{ system: string; schedulerId?: string; stdoutPath?: string; stderrPath?: string }>> {
    return this.#with(caller, "jobs:read", () => {
      const record = jobs.jobRecord(this.#house, id);
      if (record === undefined) return NOT_FOUND;
      const { system, schedulerId, stdoutPath, stderrPath } = record;
      return {
        ok: true as const,
        value: {
          system,
          ...(schedulerId === undefined ? {} : { schedulerId }),
          ...(stdoutPath === undefined ? {} : { stdoutPath }),
          ...(stderrPath === undefined ? {} : { stderrPath }),
        },
      };
    });
  }

  /** Keeps what the site told about its systems, for checks before submitting. */
  async keepFacts(facts: import("./site.ts").SiteFacts): Promise<void> {
    if (this.#exists()) this.#house.change(() => this.#house.setMeta("facts", JSON.stringify(facts)));
  }

  async rememberDead(queue: string, body: string): Promise<void> {
    if (!this.#exists()) return;
    this.#house.change(() =>
      this.#house.run("INSERT INTO dead (queue, at, body) VALUES (?, ?, ?)", queue, systemNow(), body),
    );
  }

  /** The sweep: rebuilds the alarm if it was lost, and attends to what is overdue. True while there is live work. */
  async tick(): Promise<boolean> {
    if (!this.#exists()) return false;
    await this.#attend();
    await connections.markLive(this.#house);
    return connections.isLive(this.#house);
  }

  override async alarm(): Promise<void> {
    if (!this.#exists()) return;
    await this.ctx.storage.setAlarm(systemNow() + REARM_MS);
    await this.#attend();
    await connections.markLive(this.#house);
  }

  /** One pass at a time: alarm and sweep join the one that runs. */
  async #attend(): Promise<void> {
    this.#attending ??= attend(this.#desk).finally(() => {
      this.#attending = undefined;
    });
    await this.#attending;
    await this.#house.arm();
  }

  #committed(events: Event[]): void {
    pushEvents(this.#streams, events);
    const subjects = new Set(events.map(({ subject }) => subject));
    for (const waiter of this.#waiters) if (subjects.has(waiter.subject)) waiter.wake();
  }

  #nextEvent(subject: string, timeoutMs: number): Promise<void> {
    return new Promise((resolve) => {
      const waiter: Waiter = { subject, wake: () => done() };
      const timer = setTimeout(() => done(), timeoutMs);
      const done = () => {
        clearTimeout(timer);
        this.#waiters.delete(waiter);
        resolve();
      };
      this.#waiters.add(waiter);
    });
  }

  // ------------------------------------------------------------------------------------------------------------ stream

  /** The event stream, for api only: a hibernating WebSocket. */
  override async fetch(request: Request): Promise<Response> {
    const caller = request.headers.get("x-caller");
    const admitted =
      caller === null
        ? ({ ok: false, code: "unauthorized" } as const)
        : this.#admit(JSON.parse(caller) as Caller, "jobs:read");
    if (!admitted.ok)
      return Response.json(
        { code: admitted.code },
        { status: admitted.code === "not_found" ? 404 : admitted.code === "forbidden" ? 403 : 401 },
      );
    return openStream(this.#streams, request);
  }

  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket): Promise<void> {
    socket.close();
  }
}
