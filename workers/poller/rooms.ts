/**
 * The rooms of one Tracker under one roof: what they share, the gate that lets callers in, and the two ways in which callers
 * wait. The Tracker's entrances are in `tracker.ts`.
 */
import { systemNow } from "../../shared/clock.ts";
import type { Caller, Scope } from "../../shared/contract/access.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { Job } from "../../shared/contract/job.ts";
import { type Answer, type Doing, NOT_FOUND, type Refusal } from "../../shared/contract/rpc.ts";
import { isEndedJob } from "../../shared/contract/states.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import type { SiteParameters } from "../../shared/firecrest/port.ts";
import { consoleSink, createLog } from "../../shared/log.ts";
import type { Seal } from "../../shared/seal.ts";
import type * as acceptance from "./accept.ts";
import * as access from "./access.ts";
import { isLive, markLive } from "./connections.ts";
import { type Env, sealOf } from "./env.ts";
import { ADDRESS_REFUSED } from "./examine.ts";
import { failureOf } from "./far.ts";
import { House } from "./house.ts";
import * as jobs from "./jobs.ts";
import { exists, migrate } from "./migrations.ts";
import { type BoundSite, Site, type TokenAnswer } from "./site.ts";
import { closeStreams, openStream, pushEvents, type Streams } from "./streams.ts";
import { attend } from "./tracking.ts";
import { transferRecord } from "./transfers.ts";

export interface OutputPlace {
  system: string;
  schedulerId?: string;
  stdoutPath?: string;
  stderrPath?: string;
  /** Nothing of the run that is meant was written before, in ms. */
  since?: number;
}

type Waiter = { subject: string; wake: () => void };

/** An answer that holds what was asked for. */
export const ok = <T>(value: T) => ({ ok: true as const, value });

export class Rooms {
  readonly house: House;
  readonly seal: Seal;
  readonly egress: Egress;
  readonly site: Site;
  readonly streams: Streams;
  readonly #waiters = new Set<Waiter>();
  #attending: Promise<void> | undefined;
  #exists = false;
  readonly #storage: DurableObjectStorage;

  constructor(state: DurableObjectState, env: Env) {
    const name = state.id.name ?? "";
    this.#storage = state.storage;
    const log = createLog({ now: systemNow, sink: consoleSink, fixed: { worker: "poller", connection: name } });
    this.house = new House({ storage: state.storage, env, name, log });
    this.seal = sealOf(env);
    this.egress = egressFrom(env, log);
    this.site = new Site(this.house, this.seal, this.egress);
    this.streams = { state, house: this.house };
    if (exists(state.storage.sql)) state.storage.transactionSync(() => migrate(state.storage.sql));
    this.house.onCommit = (events) => this.#committed(events);
  }

  get desk(): acceptance.Desk {
    return { house: this.house, site: this.site, seal: this.seal, egress: this.egress };
  }

  /** Whether the connection was made. Asked by every call, so the schema is read only until it was. */
  exists(): boolean {
    this.#exists ||= exists(this.house.sql);
    return this.#exists;
  }

  /** Removes everything: the connection is as if it had never been made. */
  async clear(): Promise<void> {
    closeStreams(this.streams);
    await this.#storage.deleteAll();
    this.#exists = false;
    for (const waiter of this.#waiters) waiter.wake();
  }

  /** Lets a caller in, or answers why not: the one gate of every call that people make. */
  admit(caller: Caller, scope: Scope, system?: string, hook?: string): { ok: true; value: access.Actor } | Refusal {
    if (this.exists()) return access.admit(this.house, caller, scope, system, hook);
    return caller.kind === "admin" ? NOT_FOUND : { ok: false, code: "unauthorized" };
  }

  /** A connection that does not exist yet can only be made by the administrator. */
  admitCreator(caller: Caller): { ok: true; value: access.Actor } | Refusal {
    if (this.exists()) return this.admit(caller, "connection:admin");
    return caller.kind === "admin" ? { ok: true, value: { name: "admin" } } : { ok: false, code: "unauthorized" };
  }

  async with<T>(
    caller: Caller,
    scope: Scope,
    work: (actor: access.Actor) => T | Promise<T>,
    hook?: string,
  ): Promise<T | Refusal> {
    const admitted = this.admit(caller, scope, undefined, hook);
    return admitted.ok ? work(admitted.value) : admitted;
  }

  /** Why a subscription may not call this address. */
  refusalOf(url: string): Refusal | undefined {
    if (this.egress.refusal(url) === undefined) return undefined;
    return { ok: false, code: "invalid", errors: [{ field: "/url", message: ADDRESS_REFUSED }] };
  }

  value<T>(value: T | undefined): Answer<T> {
    return value === undefined ? NOT_FOUND : { ok: true, value };
  }

  /** A job as it is, or as it is when it rests: a caller may wait for that. */
  async awaitJob(
    actor: access.Actor,
    id: string,
    wait?: { seconds: number; until: "ended" | "settled" },
  ): Promise<Answer<Job>> {
    const deadline = systemNow() + (wait?.seconds ?? 0) * 1000;
    for (;;) {
      // The connection may have been removed meanwhile, and its tables with it.
      if (!this.exists()) return NOT_FOUND;
      const record = jobs.jobRecord(this.house, id);
      if (record === undefined) return NOT_FOUND;
      if (!access.isFor(actor, record)) return NOT_FOUND;
      const ended = isEndedJob(record.status) && (wait?.until !== "settled" || record.settledAt !== undefined);
      const left = deadline - systemNow();
      if (ended || record.status === "lost" || left <= 0) return { ok: true, value: viewJob(record, this.house.name) };
      await this.#nextEvent(`jobs/${id}`, left);
    }
  }

  /** For a read that a person waits for: lets them in, takes the budget, tells where the site is. */
  async read(
    caller: Caller,
    scope: Scope,
    system: string | undefined,
    requests: number,
    doing?: Doing,
  ): Promise<Answer<{ site: BoundSite; limits: SiteParameters }>> {
    const admitted = this.admit(caller, scope, system);
    if (!admitted.ok) return admitted;
    const wait = this.site.take(requests, "user");
    if (wait !== undefined) {
      const retryAfterSeconds = Math.max(1, Math.ceil((wait - systemNow()) / 1000));
      return {
        ok: false,
        code: "rate_limited",
        detail: "The connection's request budget for FirecREST is used up for the moment.",
        retryAfterSeconds,
      };
    }
    this.recordDoing(admitted.value, doing);
    return { ok: true, value: { site: this.site.bound(), limits: this.site.facts()?.parameters ?? {} } };
  }

  /** What somebody does elsewhere than in the Tracker: to a file of the site, or to an object. */
  recordDoing(actor: access.Actor, doing: Doing | undefined): void {
    if (doing === undefined) return;
    const { act, subject, origin } = doing;
    this.house.change(() => access.audit(this.house, actor, act, subject, origin));
  }

  /** Whether a job is this actor's business: one of a system that they may not use does not exist for them. */
  ofJob(actor: access.Actor, id: string): boolean {
    const record = jobs.jobRecord(this.house, id);
    return record !== undefined && access.isFor(actor, record);
  }

  ofTransfer(actor: access.Actor, id: string): boolean {
    const record = transferRecord(this.house, id);
    return record !== undefined && access.isFor(actor, record);
  }

  /** Where a job's output is, as far as the record knows. */
  output(id: string): Answer<OutputPlace> {
    const record = jobs.jobRecord(this.house, id);
    if (record === undefined) return NOT_FOUND;
    const { system, schedulerId, stdoutPath, stderrPath } = record;
    const since = record.startedAt ?? record.submittedAt;
    return {
      ok: true,
      value: {
        system,
        ...(schedulerId === undefined ? {} : { schedulerId }),
        ...(stdoutPath === undefined ? {} : { stdoutPath }),
        ...(stderrPath === undefined ? {} : { stderrPath }),
        ...(since === undefined ? {} : { since }),
      },
    };
  }

  /** Errors of this class do not survive RPC, so what went wrong is a value here and thrown again by `tokenFrom`. */
  async token(renew: boolean | undefined, credential: string): Promise<TokenAnswer> {
    try {
      return { ok: true, token: await this.site.token(renew, credential) };
    } catch (error) {
      return { ok: false, ...failureOf(error) };
    }
  }

  /** A message that its queue gave up: shown to people; the agenda brings its work back. */
  rememberDead(queue: string, body: string): void {
    this.house.change(() =>
      this.house.run("INSERT INTO dead (queue, at, body) VALUES (?, ?, ?)", queue, systemNow(), body),
    );
  }

  /** The event stream, for api only: who asks stands in a header, since a WebSocket starts as a request. */
  async stream(request: Request): Promise<Response> {
    const header = request.headers.get("x-caller");
    const asking = header === null ? undefined : (JSON.parse(header) as Caller);
    const admitted: { ok: true; value: access.Actor } | Refusal =
      asking === undefined ? { ok: false, code: "unauthorized" } : this.admit(asking, "jobs:read");
    if (admitted.ok && asking !== undefined) return openStream(this.streams, request, asking, admitted.value);
    const code = admitted.ok ? "unauthorized" : admitted.code;
    const status = code === "not_found" ? 404 : code === "forbidden" ? 403 : 401;
    return Response.json({ code }, { status });
  }

  /** One pass at a time: alarm and sweep join the one that runs. */
  async attend(): Promise<boolean> {
    this.#attending ??= attend(this.desk).finally(() => {
      this.#attending = undefined;
    });
    await this.#attending;
    await this.house.arm();
    await markLive(this.house);
    return isLive(this.house);
  }

  /** The first commit of `attend` arms the next alarm before anything is asked of anybody. */
  async alarm(): Promise<void> {
    await this.attend();
  }

  #committed(events: Event[]): void {
    if (events.length > 0) pushEvents(this.streams, events);
    // From the first row on: the sweep must find this connection even if its first alarm is lost.
    markLive(this.house).catch((error: unknown) => this.house.log({ event: "index.not_marked", error }));
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
}
