/**
 * The Tracker: one Durable Object per connection, the only writer of that connection's records. The class is a list of
 * entrances (those of hooks are in `hook-entrances.ts`); what happens is in the rooms beside it. An object whose connection was never created answers `not_found` and
 * writes nothing.
 */
import type { Caller, IdentityRequest, KeyRequest, Scope } from "../../shared/contract/access.ts";
import type { ConnectionRequest } from "../../shared/contract/connection.ts";
import type { EventsQuery } from "../../shared/contract/event.ts";
import type { JobRequest, JobsQuery, ResubmitRequest, WatchRequest } from "../../shared/contract/job.ts";
import type {
  Answer,
  Authorizing,
  ByteOutcome,
  Doing,
  Idempotency,
  Origin,
  PartDone,
  Refusal,
  TrackerApi,
  TrackerWork,
} from "../../shared/contract/rpc.ts";
import type {
  DeliveriesQuery,
  RotateRequest,
  SubscriptionPatch,
  SubscriptionRequest,
} from "../../shared/contract/subscription.ts";
import type { TransferRequest, TransfersQuery } from "../../shared/contract/transfer.ts";
import { viewTransfer } from "../../shared/domain/transfer.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import * as acceptance from "./accept.ts";
import * as access from "./access.ts";
import * as bytes from "./bytes.ts";
import * as connections from "./connections.ts";
import * as deliveries from "./deliveries.ts";
import { ADDRESS_REFUSED } from "./examine.ts";
import * as far from "./far.ts";
import { HookEntrances } from "./hook-entrances.ts";
import * as jobs from "./jobs.ts";
import * as lanes from "./lanes.ts";
import * as ledger from "./ledger.ts";
import { metrics } from "./metrics.ts";
import { type ResealedRows, reseal } from "./reseal.ts";
import { NOT_FOUND, type Rooms } from "./rooms.ts";
import type { TokenAnswer } from "./site.ts";
import { pushProgress } from "./streams.ts";
import * as subscriptions from "./subscriptions.ts";
import * as transfers from "./transfers.ts";

type Options = { idempotency?: Idempotency; origin: Origin };

type Upload = Parameters<TrackerWork["copyStarted"]>[1];
const OVER = { go: false, why: "over" } as const;
const ok = <T>(value: T) => ({ ok: true as const, value });

export class Tracker extends HookEntrances implements TrackerApi, TrackerWork {
  get #rooms(): Rooms {
    return this.rooms;
  }

  // -------------------------------------------------------------------------------------------------------- connection

  async create(caller: Caller, name: string, request: ConnectionRequest, origin: Origin) {
    const admitted = this.#rooms.admitCreator(caller);
    if (!admitted.ok) return admitted;
    return connections.create(this.#rooms.desk, admitted.value, name, request, origin);
  }

  async describe(caller: Caller) {
    return this.#rooms.with(caller, "jobs:read", () => ok(connections.describe(this.#rooms.desk)));
  }

  async remove(caller: Caller, force: boolean, origin: Origin): Promise<Answer<null>> {
    return this.#rooms.with(caller, "connection:admin", async (actor) => {
      const answer = await connections.remove(this.#rooms.desk, actor, force, origin);
      if (answer.ok) await this.ctx.storage.deleteAll();
      return answer;
    });
  }

  async authorize(caller: Caller, scope: Scope, system?: string, { hook, doing }: Authorizing = {}) {
    const admitted = this.#rooms.admit(caller, scope, system, hook);
    if (!admitted.ok) return admitted;
    this.#rooms.recordDoing(admitted.value, doing);
    return ok({ actor: admitted.value.name });
  }

  async audiences(issuer: string): Promise<string[]> {
    return this.#rooms.exists() ? access.audiences(this.#rooms.house, issuer) : [];
  }

  async metrics(caller: Caller) {
    return this.#rooms.with(caller, "jobs:read", () => ok(metrics(this.#rooms.desk)));
  }

  async webhookKeys() {
    return this.#rooms.exists() ? connections.webhookKeys(this.#rooms.house) : undefined;
  }

  async addKey(caller: Caller, request: KeyRequest, origin: Origin) {
    return this.#rooms.with(caller, "connection:admin", (actor) =>
      access.addKey(this.#rooms.house, actor, request, origin),
    );
  }

  async keys(caller: Caller) {
    return this.#rooms.with(caller, "connection:admin", () => ok(access.listKeys(this.#rooms.house)));
  }

  async revokeKey(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "connection:admin", (actor) =>
      access.revokeKey(this.#rooms.house, actor, id, origin),
    );
  }

  async putIdentity(caller: Caller, name: string, request: IdentityRequest, origin: Origin) {
    return this.#rooms.with(caller, "connection:admin", (actor) =>
      access.putIdentity(this.#rooms.house, actor, name, request, origin),
    );
  }

  async identity(caller: Caller, name: string) {
    return this.#rooms.with(caller, "connection:admin", () => access.identity(this.#rooms.house, name));
  }

  async removeIdentity(caller: Caller, name: string, origin: Origin) {
    return this.#rooms.with(caller, "connection:admin", (actor) =>
      access.removeIdentity(this.#rooms.house, actor, name, origin),
    );
  }

  async audit(caller: Caller, query: { cursor?: string; limit?: number }) {
    return this.#rooms.with(caller, "connection:admin", () => ok(access.auditTrail(this.#rooms.house, query)));
  }

  // -------------------------------------------------------------------------------------------------------------- jobs

  async acceptJob(caller: Caller, request: JobRequest, options: Options) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      acceptance.acceptJob(this.#rooms.desk, actor, request, options),
    );
  }

  async watch(caller: Caller, request: WatchRequest, options: Options) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      acceptance.watch(this.#rooms.desk, actor, request, options),
    );
  }

  async jobs(caller: Caller, query: JobsQuery) {
    return this.#rooms.with(caller, "jobs:read", (actor) => ok(jobs.listJobs(this.#rooms.house, query, actor.systems)));
  }

  async job(caller: Caller, id: string, wait?: { seconds: number; until: "ended" | "settled" }) {
    return this.#rooms.with(caller, "jobs:read", (actor) => this.#rooms.awaitJob(actor, id, wait));
  }

  async ping(id: string, token: string): Promise<void> {
    if (this.#rooms.exists()) jobs.pinged(this.#rooms.house, id, token);
  }

  async cancelJob(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      this.#rooms.ofJob(actor, id) ? acceptance.cancelJob(this.#rooms.house, actor, id, origin) : NOT_FOUND,
    );
  }

  async resubmit(caller: Caller, id: string, request: ResubmitRequest, options: Options) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      this.#rooms.ofJob(actor, id) ? acceptance.resubmit(this.#rooms.desk, actor, id, request, options) : NOT_FOUND,
    );
  }

  // --------------------------------------------------------------------------------------------------------- transfers

  async acceptTransfer(caller: Caller, request: TransferRequest, options: Options) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      acceptance.acceptTransfer(this.#rooms.desk, actor, request, options),
    );
  }

  async transfers(caller: Caller, query: TransfersQuery) {
    return this.#rooms.with(caller, "transfers:read", (actor) =>
      ok(transfers.listTransfers(this.#rooms.house, query, actor.systems)),
    );
  }

  async transfer(caller: Caller, id: string) {
    return this.#rooms.with(caller, "transfers:read", (actor) => {
      const record = this.#rooms.ofTransfer(actor, id) ? transfers.transferRecord(this.#rooms.house, id) : undefined;
      return this.#rooms.value(record && viewTransfer(record, this.#rooms.house.name));
    });
  }

  async cancelTransfer(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      this.#rooms.ofTransfer(actor, id) ? acceptance.cancelTransfer(this.#rooms.house, actor, id, origin) : NOT_FOUND,
    );
  }

  // ---------------------------------------------------------------------------------------------- events and callbacks

  async events(caller: Caller, query: EventsQuery) {
    return this.#rooms.with(caller, "jobs:read", (actor) => ledger.eventsAfter(this.#rooms.house, query, actor));
  }

  #refusalOf(url: string): Refusal | undefined {
    if (this.#rooms.egress.refusal(url) === undefined) return undefined;
    return { ok: false, code: "invalid", errors: [{ field: "/url", message: ADDRESS_REFUSED }] };
  }

  async subscribe(caller: Caller, request: SubscriptionRequest, options: Options) {
    return this.#rooms.with(caller, "hooks:admin", async (actor) => {
      const refusal = this.#refusalOf(request.url);
      if (refusal !== undefined) return refusal;
      return subscriptions.subscribe(this.#rooms.house, this.#rooms.seal, actor, request, options);
    });
  }

  async subscriptions(caller: Caller) {
    return this.#rooms.with(caller, "hooks:admin", (actor) =>
      ok(subscriptions.listSubscriptions(this.#rooms.house, actor)),
    );
  }

  async subscription(caller: Caller, id: string) {
    return this.#rooms.with(caller, "hooks:admin", (actor) => subscriptions.subscription(this.#rooms.house, actor, id));
  }

  async changeSubscription(caller: Caller, id: string, patch: SubscriptionPatch, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) => {
      const refusal = patch.url === undefined ? undefined : this.#refusalOf(patch.url);
      if (refusal !== undefined) return refusal;
      return subscriptions.changeSubscription(this.#rooms.house, actor, id, patch, origin);
    });
  }

  async removeSubscription(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) =>
      subscriptions.removeSubscription(this.#rooms.house, actor, id, origin),
    );
  }

  async rotateSecret(caller: Caller, id: string, request: RotateRequest, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) =>
      subscriptions.rotateSecret(this.#rooms.house, this.#rooms.seal, actor, id, request, origin),
    );
  }

  async testSubscription(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) =>
      deliveries.sendTest(this.#rooms.house, actor, id, origin),
    );
  }

  async recover(caller: Caller, id: string, since: string, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) =>
      subscriptions.recover(this.#rooms.house, actor, id, since, origin),
    );
  }

  async deliveries(caller: Caller, query: DeliveriesQuery) {
    return this.#rooms.with(caller, "jobs:read", (actor) =>
      ok(deliveries.listDeliveries(this.#rooms.house, query, actor)),
    );
  }

  async resend(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "hooks:admin", (actor) => deliveries.resend(this.#rooms.house, actor, id, origin));
  }

  // ------------------------------------------------- from Workers of this deployment: never reachable over HTTP

  async begin(effect: string) {
    return this.#rooms.exists() ? far.begin(this.#rooms.desk, effect) : OVER;
  }

  async finish(effect: string, outcome: far.FarOutcome): Promise<void> {
    if (this.#rooms.exists()) await far.finish(this.#rooms.desk, effect, outcome);
  }

  async beginBytes(effect: string) {
    return this.#rooms.exists() ? bytes.beginBytes(this.#rooms.desk, effect) : OVER;
  }

  async copyStarted(effect: string, upload: Upload) {
    return this.#rooms.exists() ? bytes.copyStarted(this.#rooms.house, effect, upload) : { go: false, upload };
  }

  async partsDone(effect: string, parts: PartDone[]) {
    if (!this.#rooms.exists()) return { go: false };
    const answer = bytes.partsDone(this.#rooms.house, effect, parts);
    pushProgress(this.#rooms.streams, effect);
    return answer;
  }

  async finishBytes(effect: string, outcome: ByteOutcome): Promise<void> {
    if (this.#rooms.exists()) bytes.finishBytes(this.#rooms.house, effect, outcome);
  }

  /** Deliveries to post now, and the key that signs them. */
  async lease(): Promise<{ leases: lanes.Lease[]; signingKey: PrivateJwk } | undefined> {
    if (!this.#rooms.exists()) return undefined;
    const leases = await lanes.lease(this.#rooms.house, this.#rooms.seal);
    return leases.length === 0 ? undefined : { leases, signingKey: await connections.signingKey(this.#rooms.desk) };
  }

  async report(reports: lanes.AttemptReport[], unposted: string[] = []): Promise<void> {
    if (this.#rooms.exists()) lanes.report(this.#rooms.house, reports, unposted);
  }

  async token(renew?: boolean): Promise<TokenAnswer> {
    return this.#rooms.token(renew);
  }

  async read(caller: Caller, scope: Scope, system: string | undefined, requests: number, doing?: Doing) {
    return this.#rooms.read(caller, scope, system, requests, doing);
  }

  async output(caller: Caller, id: string) {
    return this.#rooms.with(caller, "jobs:read", (actor) =>
      this.#rooms.ofJob(actor, id) ? this.#rooms.output(id) : NOT_FOUND,
    );
  }

  async reseal(origin: Origin): Promise<ResealedRows> {
    return this.#rooms.exists() ? reseal(this.#rooms.desk, origin) : { resealed: 0, unreadable: 0, more: false };
  }

  /** Keeps what the site told about its systems, for checks before submitting. */
  async keepFacts(facts: import("./site.ts").SiteFacts): Promise<void> {
    if (this.#rooms.exists()) this.#rooms.house.change(() => this.#rooms.house.setMeta("facts", JSON.stringify(facts)));
  }

  async rememberDead(queue: string, body: string): Promise<void> {
    if (this.#rooms.exists()) this.#rooms.rememberDead(queue, body);
  }

  /** The sweep: rebuilds the alarm if it was lost, and attends to what is overdue. True while there is live work. */
  async tick(): Promise<boolean> {
    return this.#rooms.exists() && this.#rooms.attend();
  }

  override async alarm(): Promise<void> {
    if (this.#rooms.exists()) await this.#rooms.alarm();
  }

  // ------------------------------------------------------------------------------------------------------------ stream

  /** The event stream, for api only: a hibernating WebSocket. */
  override async fetch(request: Request): Promise<Response> {
    return this.#rooms.stream(request);
  }

  override async webSocketMessage(): Promise<void> {}

  override async webSocketClose(socket: WebSocket): Promise<void> {
    socket.close();
  }
}
