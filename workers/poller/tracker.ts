/**
 * The Tracker: one Durable Object per connection, the only writer of that connection's records. The class is a list of
 * entrances (those for administrators, people in chat and hooks are in `administration.ts`, `chat-entrances.ts` and
 * `hook-entrances.ts`); what happens is in the rooms beside it. An object whose connection was never created answers `not_found`
 * and writes nothing.
 */
import type { Caller, Scope } from "../../shared/contract/access.ts";
import type { ChatTarget } from "../../shared/contract/chat.ts";
import type { EventsQuery } from "../../shared/contract/event.ts";
import type { JobRequest, JobsQuery, ResubmitRequest, WatchRequest } from "../../shared/contract/job.ts";
import type { LinkRequest } from "../../shared/contract/link.ts";
import {
  type Answer,
  type Doing,
  type Idempotency,
  NOT_FOUND,
  type ObjectChange,
  type ObjectWrite,
  type Origin,
  type TrackerApi,
} from "../../shared/contract/rpc.ts";
import type {
  DeliveriesQuery,
  RotateRequest,
  SubscriptionPatch,
  SubscriptionRequest,
} from "../../shared/contract/subscription.ts";
import type { TransferRequest, TransfersQuery } from "../../shared/contract/transfer.ts";
import type { PageQuery } from "../../shared/contract/words.ts";
import type { ByteOutcome, PartDone, TrackerWork } from "../../shared/contract/work.ts";
import { viewTransfer } from "../../shared/domain/transfer.ts";
import type { PrivateJwk } from "../../shared/webhooks/ed25519.ts";
import * as acceptance from "./accept.ts";
import * as bytes from "./bytes.ts";
import { channelPatch } from "./channels/out-only.ts";
import { unmark } from "./connections.ts";
import * as deliveries from "./deliveries.ts";
import * as far from "./far.ts";
import { HookEntrances } from "./hook-entrances.ts";
import * as jobs from "./jobs.ts";
import * as lanes from "./lanes.ts";
import * as ledger from "./ledger.ts";
import * as links from "./links.ts";
import * as objects from "./objects.ts";
import * as operations from "./operations.ts";
import { copyEnded, copyMoved, withPace } from "./progress.ts";
import { receipt } from "./receipts.ts";
import { settleKey, takeKey } from "./repeats.ts";
import { ok } from "./rooms.ts";
import { signingKeys } from "./signing.ts";
import type { TokenAnswer } from "./site.ts";
import * as subscriptions from "./subscriptions.ts";
import * as transfers from "./transfers.ts";
import * as watching from "./watching.ts";

type Options = { idempotency?: Idempotency; origin: Origin; chat?: Pick<ChatTarget, "place" | "platform"> };

type Upload = Parameters<TrackerWork["copyStarted"]>[1];
const OVER = { go: false, why: "over" } as const;

export class Tracker extends HookEntrances implements TrackerApi, TrackerWork {
  readonly #rooms = this.rooms;

  // -------------------------------------------------------------------------------------------------------------- jobs

  async acceptJob(caller: Caller, request: JobRequest, options: Options) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      acceptance.acceptJob(this.#rooms.desk, actor, request, options),
    );
  }

  async watch(caller: Caller, request: WatchRequest, options: Options) {
    return this.#rooms.with(caller, "jobs:write", (actor) => watching.watch(this.#rooms.desk, actor, request, options));
  }

  async jobs(caller: Caller, query: JobsQuery) {
    return this.#rooms.with(caller, "jobs:read", (actor) => ok(jobs.listJobs(this.#rooms.house, query, actor)));
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

  /** From the poller Worker, which has checked the paths. */
  async acceptOperation(
    caller: Caller,
    request: operations.OperationRequest,
    origin: Origin,
    idempotency?: Idempotency,
  ) {
    const admitted = this.#rooms.admit(caller, "files:write", request.system);
    if (!admitted.ok) return admitted;
    return operations.acceptOperation(this.#rooms.house, admitted.value, request, origin, idempotency);
  }

  /** From the poller Worker: which job a command goes beside. */
  async attachable(caller: Caller, id: string) {
    return this.#rooms.with(caller, "jobs:write", (actor) =>
      this.#rooms.ofJob(actor, id) ? jobs.attachable(this.#rooms.house, id) : NOT_FOUND,
    );
  }

  /** From the poller Worker, before an act at the site that is to be repeatable; `settleKey` after it. */
  async takeKey(caller: Caller, scope: Scope, system: string | undefined, idempotency: Idempotency) {
    const admitted = this.#rooms.admit(caller, scope, system);
    if (!admitted.ok) return admitted;
    const taken = takeKey(this.#rooms.house, admitted.value.name, idempotency);
    return taken.ok ? ok({ ...taken.value, actor: admitted.value.name }) : taken;
  }

  async settleKey(actor: string, idempotency: Idempotency, answer: Answer<unknown>): Promise<void> {
    const { house } = this.#rooms;
    if (this.#rooms.exists()) house.change(() => settleKey(house, actor, idempotency, answer));
  }

  // --------------------------------------------------------------------------------------------------------- transfers

  async acceptTransfer(caller: Caller, request: TransferRequest, options: Options) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      acceptance.acceptTransfer(this.#rooms.desk, actor, request, options),
    );
  }

  async transfers(caller: Caller, query: TransfersQuery) {
    return this.#rooms.with(caller, "transfers:read", (actor) =>
      ok(transfers.listTransfers(this.#rooms.house, query, actor)),
    );
  }

  async transfer(caller: Caller, id: string) {
    return this.#rooms.with(caller, "transfers:read", (actor) => {
      const record = this.#rooms.ofTransfer(actor, id) ? transfers.transferRecord(this.#rooms.house, id) : undefined;
      return this.#rooms.value(record && withPace(this.#rooms.house, viewTransfer(record, this.#rooms.house.name)));
    });
  }

  async receipt(caller: Caller, id: string) {
    return this.#rooms.with(caller, "transfers:read", (actor) =>
      this.#rooms.ofTransfer(actor, id) ? receipt(this.#rooms.desk, id) : NOT_FOUND,
    );
  }

  async cancelTransfer(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      this.#rooms.ofTransfer(actor, id) ? acceptance.cancelTransfer(this.#rooms.house, actor, id, origin) : NOT_FOUND,
    );
  }

  // ------------------------------------------------------------------------------------------- objects and share links

  async reserveObject(caller: Caller, write: ObjectWrite) {
    return this.#rooms.with(caller, "transfers:write", () => objects.reserveObject(this.#rooms.house, write));
  }

  async objectChanged(caller: Caller, change: ObjectChange, origin: Origin) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      objects.objectChanged(this.#rooms.house, actor, change, origin),
    );
  }

  async addLink(caller: Caller, request: LinkRequest, origin: Origin) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      links.addLink(this.#rooms.desk, actor, request, origin),
    );
  }

  async links(caller: Caller, query: PageQuery) {
    return this.#rooms.with(caller, "transfers:read", () => ok(links.listLinks(this.#rooms.house, query)));
  }

  async removeLink(caller: Caller, id: string, origin: Origin) {
    return this.#rooms.with(caller, "transfers:write", (actor) =>
      links.removeLink(this.#rooms.house, actor, id, origin),
    );
  }

  // ---------------------------------------------------------------------------------------------- events and callbacks

  async events(caller: Caller, query: EventsQuery) {
    return this.#rooms.with(caller, "jobs:read", (actor) => ledger.eventsAfter(this.#rooms.house, query, actor));
  }

  async subscribe(caller: Caller, request: SubscriptionRequest, options: Options) {
    return this.#rooms.with(caller, "hooks:admin", async (actor) => {
      const refusal = request.url === undefined ? undefined : this.#rooms.refusalOf(request.url);
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
    return this.#rooms.with(caller, "hooks:admin", async (actor) => {
      const refusal = patch.url === undefined ? undefined : this.#rooms.refusalOf(patch.url);
      if (refusal !== undefined) return refusal;
      const { house, seal } = this.#rooms;
      const sealed = await channelPatch(house, seal, subscriptions.subscriptionOf(house, actor, id), patch);
      return sealed.ok ? subscriptions.changeSubscription(house, actor, id, sealed.value, origin) : sealed;
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

  async openLink(hash: string, origin: Origin) {
    return this.#rooms.exists() ? links.openLink(this.#rooms.house, hash, origin) : undefined;
  }

  async begin(effect: string) {
    return this.#rooms.exists() ? far.begin(this.#rooms.desk, effect) : OVER;
  }

  async finish(effect: string, outcome: far.FarOutcome, attempt: number): Promise<void> {
    if (this.#rooms.exists()) await far.finish(this.#rooms.desk, effect, outcome, attempt);
  }

  async beginBytes(effect: string) {
    if (!this.#rooms.exists()) return OVER;
    const begun = await bytes.beginBytes(this.#rooms.desk, effect);
    if (begun.go) copyMoved(this.#rooms.streams, effect);
    return begun;
  }

  async copyStarted(effect: string, upload: Upload) {
    if (!this.#rooms.exists()) return { go: false, upload };
    const answer = bytes.copyStarted(this.#rooms.house, effect, upload);
    copyMoved(this.#rooms.streams, effect);
    return answer;
  }

  async partsDone(effect: string, parts: PartDone[]) {
    if (!this.#rooms.exists()) return { go: false };
    const answer = bytes.partsDone(this.#rooms.house, effect, parts);
    copyMoved(this.#rooms.streams, effect);
    return answer;
  }

  async finishBytes(effect: string, outcome: ByteOutcome, attempt: number): Promise<void> {
    if (!this.#rooms.exists()) return;
    bytes.finishBytes(this.#rooms.house, effect, outcome, attempt);
    copyEnded(this.#rooms.streams, effect);
  }

  /** Deliveries to post now, and the keys that sign them. */
  async lease(): Promise<{ leases: lanes.Lease[]; signingKeys: PrivateJwk[] } | undefined> {
    if (!this.#rooms.exists()) return undefined;
    const leases = await lanes.lease(this.#rooms.house, this.#rooms.seal);
    return leases.length === 0 ? undefined : { leases, signingKeys: await signingKeys(this.#rooms.desk) };
  }

  async report(reports: lanes.AttemptReport[], unposted: lanes.Unposted[] = []): Promise<void> {
    if (this.#rooms.exists()) lanes.report(this.#rooms.house, reports, unposted);
  }

  async token(renew: boolean | undefined, credential: string): Promise<TokenAnswer> {
    return this.#rooms.token(renew, credential);
  }

  async read(caller: Caller, scope: Scope, system: string | undefined, requests: number, doing?: Doing) {
    return this.#rooms.read(caller, scope, system, requests, doing);
  }

  async output(caller: Caller, id: string) {
    return this.#rooms.with(caller, "jobs:read", (actor) =>
      this.#rooms.ofJob(actor, id) ? this.#rooms.output(id) : NOT_FOUND,
    );
  }

  /** Keeps what the site told about its systems, for checks before submitting. */
  async keepFacts(facts: import("./site.ts").SiteFacts): Promise<void> {
    if (this.#rooms.exists()) this.#rooms.house.change(() => this.#rooms.house.setMeta("facts", JSON.stringify(facts)));
  }

  async rememberDead(queue: string, body: string): Promise<void> {
    if (this.#rooms.exists()) this.#rooms.rememberDead(queue, body);
  }

  /**
   * The sweep: rebuilds the alarm if it was lost, and attends to what is overdue. True while there is live work. A connection
   * that is gone is not visited again.
   */
  async tick(): Promise<boolean> {
    if (this.#rooms.exists()) return this.#rooms.attend();
    await unmark(this.#rooms.house);
    return false;
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
