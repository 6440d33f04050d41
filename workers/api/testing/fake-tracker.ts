/**
 * The Tracker's contract in memory, as far as an entrance can see it: who may do what, records that are kept, writes that are
 * repeatable, hooks that take a message once. No site, no clock, no deliveries.
 */

import { generateApiKey, hashApiKey } from "../../../shared/api-key.ts";
import { systemRandom } from "../../../shared/clock.ts";
import {
  type Caller,
  DEFAULT_SCOPES,
  type IdentityRequest,
  type Key,
  type KeyRequest,
  SCOPES,
  type Scope,
} from "../../../shared/contract/access.ts";
import type { ChatLink } from "../../../shared/contract/chat.ts";
import type { Connection } from "../../../shared/contract/connection.ts";
import type { Event } from "../../../shared/contract/event.ts";
import type { Hook, HookOutcome, InboundRequest } from "../../../shared/contract/hook.ts";
import type { Job } from "../../../shared/contract/job.ts";
import type { Receipt } from "../../../shared/contract/receipt.ts";
import type { Answer, Idempotency, Page, Refusal, VerifiedInbound } from "../../../shared/contract/rpc.ts";
import type { Delivery, Subscription } from "../../../shared/contract/subscription.ts";
import type { Transfer } from "../../../shared/contract/transfer.ts";
import { newId } from "../../../shared/ids.ts";
import type { Tracker } from "../deps.ts";
import { EXAMPLE } from "../examples.ts";
import { FakeShelf } from "./fake-shelf.ts";

export const AT = "2026-11-22T12:00:00.000Z";
const NOT_FOUND: Refusal = { ok: false, code: "not_found" };
const ok = <T>(value: T): { ok: true; value: T } => ({ ok: true, value });
const idOf = (prefix: string): string => newId(prefix, Date.parse(AT), systemRandom);
const pageOf = <T>(items: Iterable<T>): { ok: true; value: Page<T> } => ok({ items: [...items] });

interface StoredHook {
  hook: Hook;
  secrets: string[];
}

export class FakeTracker extends FakeShelf implements Tracker {
  readonly name: string;
  exists = false;
  readonly heldKeys = new Map<string, Key>();
  readonly pings: string[] = [];
  readonly identities = new Map<string, IdentityRequest>();
  readonly heldJobs = new Map<string, Job>();
  readonly heldTransfers = new Map<string, Transfer>();
  readonly heldHooks = new Map<string, StoredHook>();
  readonly heldVersions = new Map<string, Hook[]>();
  readonly heldSubscriptions = new Map<string, Subscription>();
  readonly heldEvents: Event[] = [];
  readonly inbound = new Map<string, { bodySha256: string; answer: HookOutcome; request: InboundRequest }>();
  readonly #answers = new Map<string, { bodySha256: string; value: unknown }>();
  /** Every call by name, for asking whether anything reached the Tracker at all. */
  readonly calls: string[] = [];
  /** What the stream of events is opened with. */
  socket: { url: string; caller: string; webSocket: WebSocket } | undefined;

  constructor(name: string) {
    super();
    this.name = name;
  }

  admit(caller: Caller, scope: Scope): { ok: true; value: { actor: string } } | Refusal {
    this.calls.push(scope);
    if (!this.exists) return caller.kind === "admin" ? NOT_FOUND : { ok: false, code: "unauthorized" };
    const scopes = this.#scopesOf(caller);
    if (scopes === undefined) return { ok: false, code: "unauthorized", detail: "for the log only" };
    return scopes.includes(scope) ? ok({ actor: caller.kind }) : { ok: false, code: "forbidden" };
  }

  #scopesOf(caller: Caller): readonly Scope[] | undefined {
    switch (caller.kind) {
      case "admin":
        return SCOPES;
      case "hook":
        return ["jobs:write", "transfers:write"];
      case "chat":
      case "invitation":
        return undefined;
      case "key": {
        const key = this.heldKeys.get(caller.hash);
        return key?.revokedAt === undefined ? key?.scopes : undefined;
      }
      case "oidc": {
        const bound = [...this.identities.values()].find(
          ({ issuer, claims }) =>
            issuer === caller.issuer && Object.entries(claims).every(([name, value]) => caller.claims[name] === value),
        );
        return bound && (bound.scopes ?? DEFAULT_SCOPES);
      }
    }
  }

  /** Does `work` for those who may, once for each Idempotency-Key. */
  #once<T>(
    caller: Caller,
    scope: Scope,
    idempotency: Idempotency | undefined,
    work: () => T,
  ): Answer<T & { replayed: boolean }> {
    const admitted = this.admit(caller, scope);
    if (!admitted.ok) return admitted;
    const place = idempotency && `${idempotency.route} ${idempotency.key}`;
    const earlier = place === undefined ? undefined : this.#answers.get(place);
    if (earlier !== undefined) {
      return earlier.bodySha256 === idempotency?.bodySha256
        ? ok({ ...(earlier.value as T), replayed: true })
        : { ok: false, code: "idempotency_mismatch" };
    }
    const value = work();
    if (place !== undefined && idempotency !== undefined)
      this.#answers.set(place, { bodySha256: idempotency.bodySha256, value });
    return ok({ ...value, replayed: false });
  }

  #for<T>(caller: Caller, scope: Scope, work: () => Answer<T>): Answer<T> {
    const admitted = this.admit(caller, scope);
    return admitted.ok ? work() : admitted;
  }

  #found<T>(caller: Caller, scope: Scope, held: ReadonlyMap<string, T>, id: string): Answer<T> {
    const value = held.get(id);
    return this.#for(caller, scope, () => (value === undefined ? NOT_FOUND : ok(value)));
  }

  #removed(caller: Caller, scope: Scope, held: Map<string, unknown>, id: string): Answer<null> {
    return this.#for(caller, scope, () => (held.delete(id) ? ok(null) : NOT_FOUND));
  }

  // The connection itself
  create: Tracker["create"] = async (caller, name) => {
    if (caller.kind !== "admin") return { ok: false, code: "forbidden" };
    const created = !this.exists;
    this.exists = true;
    return ok({ created, connection: { ...(EXAMPLE.connection as Connection), name } });
  };
  describe: Tracker["describe"] = async (caller) =>
    this.#for(caller, "jobs:read", () => ok({ ...(EXAMPLE.connection as Connection), name: this.name }));
  remove: Tracker["remove"] = async (caller, force) =>
    this.#for(caller, "connection:admin", () =>
      force ? ok(null) : { ok: false, code: "conflict", detail: "Two staged files are still to be released." },
    );
  authorize: Tracker["authorize"] = async (caller, scope) => this.admit(caller, scope);
  audiences: Tracker["audiences"] = async (issuer) =>
    [...this.identities.values()].filter((identity) => identity.issuer === issuer).map(({ audience }) => audience);
  metrics: Tracker["metrics"] = async (caller) => {
    const admitted = this.admit(caller, "jobs:read");
    if (!admitted.ok) return admitted;
    return ok([
      {
        name: "firewatch_jobs",
        type: "gauge" as const,
        help: "Jobs.",
        samples: [{ labels: { status: "queued" }, value: 2 }],
      },
    ]);
  };

  webhookKeys: Tracker["webhookKeys"] = async () =>
    this.exists ? { keys: [{ kty: "OKP", crv: "Ed25519", x: "…" }] } : undefined;

  rotateSigningKey: Tracker["rotateSigningKey"] = async (caller) =>
    this.#for(caller, "connection:admin", () => ok({ kid: "new", previousValidUntil: AT }));

  ping: Tracker["ping"] = async (id, token) => {
    this.pings.push(`${id} ${token}`);
  };

  addKey: Tracker["addKey"] = async (caller, request) => {
    const admitted = this.admit(caller, "connection:admin");
    if (!admitted.ok) return admitted;
    const { key, apiKey } = await this.issueKey(request);
    return ok({ ...key, apiKey });
  };
  keys: Tracker["keys"] = async (caller) => this.#for(caller, "connection:admin", () => pageOf(this.heldKeys.values()));
  revokeKey: Tracker["revokeKey"] = async (caller, id) =>
    this.#for(caller, "connection:admin", () => {
      const found = [...this.heldKeys].find(([, key]) => key.id === id);
      if (found === undefined) return NOT_FOUND;
      this.heldKeys.set(found[0], { ...found[1], revokedAt: AT });
      return ok(null);
    });
  putIdentity: Tracker["putIdentity"] = async (caller, name, request) =>
    this.#for(caller, "connection:admin", () => {
      const created = !this.identities.has(name);
      this.identities.set(name, request);
      return ok({ created, identity: { ...request, name } });
    });
  identity: Tracker["identity"] = async (caller, name) => {
    const found = this.#found(caller, "connection:admin", this.identities, name);
    return found.ok ? ok({ ...found.value, name }) : found;
  };
  removeIdentity: Tracker["removeIdentity"] = async (caller, name) =>
    this.#removed(caller, "connection:admin", this.identities, name);
  audit: Tracker["audit"] = async (caller) =>
    this.#for(caller, "connection:admin", () =>
      pageOf([{ at: AT, actor: "admin", act: "key.add", subject: "keys/x" }]),
    );

  addChatCode: Tracker["addChatCode"] = async (caller, { workspace }) =>
    this.#for(caller, "connection:admin", () =>
      ok({
        code: `${this.name}.0123456789AB`,
        command: `/hpc connect ${this.name}.0123456789AB`,
        workspace,
        expiresAt: AT,
      }),
    );
  chatLinks: Tracker["chatLinks"] = async (caller) =>
    this.#for(caller, "connection:admin", () => pageOf([EXAMPLE.chatLink as ChatLink]));
  revokeChatLink: Tracker["revokeChatLink"] = async (caller, id) =>
    this.#for(caller, "connection:admin", () => (id === EXAMPLE.chatLink.id ? ok(null) : NOT_FOUND));

  // Jobs and transfers
  acceptJob: Tracker["acceptJob"] = async (caller, { system, name }, { idempotency }) =>
    this.#once(caller, "jobs:write", idempotency, () => ({ job: this.#newJob(system, name) }));
  watch: Tracker["watch"] = async (caller, { system }, { idempotency }) =>
    this.#once(caller, "jobs:write", idempotency, () => ({ job: this.#newJob(system) }));
  resubmit: Tracker["resubmit"] = async (caller, id, _request, { idempotency }) => {
    const found = this.#found(caller, "jobs:write", this.heldJobs, id);
    return found.ok
      ? this.#once(caller, "jobs:write", idempotency, () => ({ job: this.#newJob(found.value.system) }))
      : found;
  };
  jobs: Tracker["jobs"] = async (caller, { status }) =>
    this.#for(caller, "jobs:read", () =>
      pageOf([...this.heldJobs.values()].filter((job) => status === undefined || job.status === status)),
    );
  job: Tracker["job"] = async (caller, id, wait) => {
    const found = this.#found(caller, "jobs:read", this.heldJobs, id);
    return found.ok && wait !== undefined
      ? ok({ ...found.value, detail: `waited ${wait.seconds} s until ${wait.until}` })
      : found;
  };
  cancelJob: Tracker["cancelJob"] = async (caller, id) => this.#found(caller, "jobs:write", this.heldJobs, id);
  acceptTransfer: Tracker["acceptTransfer"] = async (caller, request, { idempotency }) =>
    this.#once(caller, "transfers:write", idempotency, () => ({ transfer: this.#newTransfer(request.path) }));
  transfers: Tracker["transfers"] = async (caller) =>
    this.#for(caller, "transfers:read", () => pageOf(this.heldTransfers.values()));
  transfer: Tracker["transfer"] = async (caller, id) => this.#found(caller, "transfers:read", this.heldTransfers, id);
  cancelTransfer: Tracker["cancelTransfer"] = async (caller, id) =>
    this.#found(caller, "transfers:write", this.heldTransfers, id);

  receipt: Tracker["receipt"] = async (caller, id) => {
    const found = this.#found(caller, "transfers:read", this.heldTransfers, id);
    if (!found.ok) return found;
    if (found.value.status !== "stored") return { ok: false, code: "conflict", detail: `It is ${found.value.status}.` };
    return ok({ receipt: EXAMPLE.receipt as Receipt, jws: "e30.e30.c2ln", keysUrl: "https://firewatch.test/keys" });
  };

  // Events and callbacks
  events: Tracker["events"] = async (caller, { after = 0, job }) =>
    this.#for(caller, "jobs:read", () =>
      after > 0 && after < (this.heldEvents[0]?.sequence ?? 1) - 1
        ? { ok: false, code: "gone", detail: "Events this old are no longer kept.", oldest: 5 }
        : pageOf(
            this.heldEvents.filter(
              (event) => event.sequence > after && (job === undefined || event.subject === `jobs/${job}`),
            ),
          ),
    );
  subscribe: Tracker["subscribe"] = async (caller, { url = "" }) =>
    this.#for(caller, "hooks:admin", () => {
      const made = { ...(EXAMPLE.newSubscription as Subscription & { secret: string }), id: idOf("sub"), url };
      this.heldSubscriptions.set(made.id, made);
      return ok(made);
    });
  subscriptions: Tracker["subscriptions"] = async (caller) =>
    this.#for(caller, "hooks:admin", () => pageOf(this.heldSubscriptions.values()));
  subscription: Tracker["subscription"] = async (caller, id) =>
    this.#found(caller, "hooks:admin", this.heldSubscriptions, id);
  changeSubscription: Tracker["changeSubscription"] = async (caller, id) =>
    this.#found(caller, "hooks:admin", this.heldSubscriptions, id);
  removeSubscription: Tracker["removeSubscription"] = async (caller, id) =>
    this.#removed(caller, "hooks:admin", this.heldSubscriptions, id);
  rotateSecret: Tracker["rotateSecret"] = async (caller) =>
    this.#for(caller, "hooks:admin", () => ok({ secret: "whsec_new", previousValidUntil: AT }));
  testSubscription: Tracker["testSubscription"] = async (caller, id) =>
    this.#for(caller, "hooks:admin", () => ok(this.#delivery(id)));
  recover: Tracker["recover"] = async (caller) => this.#for(caller, "hooks:admin", () => ok({ scheduled: 2 }));
  deliveries: Tracker["deliveries"] = async (caller) => this.#for(caller, "jobs:read", () => pageOf<Delivery>([]));
  resend: Tracker["resend"] = async (caller) => this.#for(caller, "hooks:admin", () => ok(this.#delivery(idOf("sub"))));

  // Hooks
  putHook: Tracker["putHook"] = async (caller, name, { secrets = [], ...request }) =>
    this.#for(caller, "hooks:admin", () => {
      const created = !this.heldHooks.has(name);
      const version = (this.heldVersions.get(name)?.length ?? 0) + 1;
      const saved = { secretCount: secrets.length, url: "", version, createdAt: AT, changedAt: AT };
      const hook = { ...request, name, ...saved } as Hook;
      this.heldVersions.set(name, [...(this.heldVersions.get(name) ?? []), hook]);
      this.heldHooks.set(name, { hook, secrets });
      return ok({ created, hook });
    });
  hooks: Tracker["hooks"] = async (caller) =>
    this.#for(caller, "hooks:admin", () => pageOf([...this.heldHooks.values()].map(({ hook }) => hook)));
  hook: Tracker["hook"] = async (caller, name) => {
    const found = this.#found(caller, "hooks:admin", this.heldHooks, name);
    return found.ok ? ok(found.value.hook) : found;
  };
  removeHook: Tracker["removeHook"] = async (caller, name) =>
    this.#removed(caller, "hooks:admin", this.heldHooks, name);
  hookRequests: Tracker["hookRequests"] = async (caller) =>
    this.#for(caller, "hooks:admin", () => pageOf([...this.inbound.values()].map(({ request }) => request)));
  hookRequest: Tracker["hookRequest"] = async (caller, _name, id) =>
    this.#for(caller, "hooks:admin", () => {
      const found = [...this.inbound.values()].find(({ request }) => request.id === id);
      return found === undefined ? NOT_FOUND : ok(found.request);
    });
  hookVersion: Tracker["hookVersion"] = async (caller, name, version) =>
    this.#for(caller, "hooks:admin", () => {
      const held = this.heldVersions.get(name)?.[version - 1];
      return held === undefined ? NOT_FOUND : ok(held);
    });
  /** There is no site here: what a real one would be sent is tried in test/tracker. */
  preview: Tracker["preview"] = async (caller, { request }) =>
    this.#for(caller, "hooks:admin", () =>
      ok({ requests: [{ method: "POST", url: "https://site.test/jobs", headers: {}, json: request }], problems: [] }),
    );
  acceptFromHook: Tracker["acceptFromHook"] = async (hook, inbound) => {
    this.calls.push("acceptFromHook");
    const requestId = idOf("req");
    const earlier = this.inbound.get(`${hook} ${inbound.messageId ?? requestId}`);
    if (earlier !== undefined)
      return earlier.bodySha256 === inbound.bodySha256
        ? ok({ answer: earlier.answer, replayed: true })
        : { ok: false, code: "idempotency_mismatch" };
    if (inbound.result.outcome === "refused") return { ok: false, code: "invalid", errors: inbound.result.errors };
    const answer: HookOutcome = { requestId, ...this.#started(inbound.result) };
    const { body, headers, claims, version } = inbound;
    const request = JSON.parse(
      JSON.stringify({ id: requestId, hook, at: AT, outcome: answer.outcome, body, headers, claims, version }),
    ) as InboundRequest;
    this.inbound.set(`${hook} ${inbound.messageId ?? requestId}`, { bodySha256: inbound.bodySha256, answer, request });
    return ok({ answer, replayed: false });
  };

  async fetch(url: string, init: RequestInit): Promise<Response> {
    const webSocket = this.socket?.webSocket;
    this.socket = { url, caller: new Headers(init.headers).get("x-caller") ?? "", webSocket: webSocket as WebSocket };
    // Node's Response knows no 101 and no WebSocket.
    return { status: 101, webSocket } as unknown as Response;
  }

  /** Makes a key as an administrator would. */
  async issueKey(request: KeyRequest): Promise<{ key: Key; apiKey: string }> {
    const apiKey = generateApiKey(this.name, systemRandom);
    const key: Key = {
      id: idOf("key"),
      name: request.name,
      scopes: request.scopes ?? [...DEFAULT_SCOPES],
      createdAt: AT,
    };
    this.heldKeys.set(await hashApiKey(apiKey), key);
    return { key, apiKey };
  }

  #started(result: VerifiedInbound["result"]): Pick<HookOutcome, "outcome" | "jobId" | "transferId" | "url"> {
    if (result.outcome === "job")
      return {
        outcome: "accepted",
        jobId: this.#newJob(result.request.system, result.request.name).id,
        url: "/relative",
      };
    if (result.outcome === "transfer")
      return { outcome: "accepted", transferId: this.#newTransfer(result.request.path).id, url: "/relative" };
    return { outcome: "filtered" };
  }

  #newJob(system: string, name?: string): Job {
    const job: Job = {
      id: idOf("job"),
      connection: this.name,
      system,
      status: "accepted",
      run: 1,
      acceptedAt: AT,
      outputs: [],
      warnings: [],
      ...(name !== undefined && { name }),
    };
    this.heldJobs.set(job.id, job);
    this.heldEvents.push({
      id: idOf("evt"),
      type: "job.accepted",
      timestamp: AT,
      sequence: this.heldEvents.length + 1,
      subject: `jobs/${job.id}`,
      data: job,
    });
    return job;
  }

  #newTransfer(path: string): Transfer {
    const transfer = { ...(EXAMPLE.transfer as Transfer), id: idOf("tr"), connection: this.name, path };
    this.heldTransfers.set(transfer.id, transfer);
    return transfer;
  }

  #delivery(subscription: string): Delivery {
    return {
      id: idOf("dlv"),
      event: idOf("evt"),
      type: "callback.test",
      sequence: 1,
      subscription,
      channel: "webhook",
      url: "https://example.org",
      status: "pending",
      attempts: [],
      createdAt: AT,
    };
  }
}
