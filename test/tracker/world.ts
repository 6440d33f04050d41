/**
 * The Tracker's rooms inside a real Durable Object (real SQLite, real KV and R2), around a virtual clock: the site is the
 * embedded FirecREST in memory, receivers are functions, and the queues are lists that can lose and double their messages.
 * What the Workers do between `begin` and `finish` is their own code.
 */
import { createFirecrest } from "../../local/firecrest/memory.ts";
import type { ChatBot } from "../../shared/contract/chat.ts";
import { partBytesFor } from "../../shared/contract/cut.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { Job, JobRequest } from "../../shared/contract/job.ts";
import type { CallbackMessage, CommandMessage, TransferMessage } from "../../shared/contract/queue.ts";
import type { Transfer, TransferRequest } from "../../shared/contract/transfer.ts";
import type { TrackerWork } from "../../shared/contract/work.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import { viewTransfer } from "../../shared/domain/transfer.ts";
import { createEgress, type Egress } from "../../shared/egress/egress.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import type { Log } from "../../shared/log.ts";
import { createSeal, parseSealKeys } from "../../shared/seal.ts";
import { acceptJob, acceptTransfer, type Desk } from "../../workers/poller/accept.ts";
import { admit } from "../../workers/poller/access.ts";
import * as bytes from "../../workers/poller/bytes.ts";
import { attempt, postDue } from "../../workers/poller/callbacks.ts";
import { attemptForPeople } from "../../workers/poller/channels/outgoing.ts";
import { shareStored } from "../../workers/poller/chat-shares.ts";
import { perform } from "../../workers/poller/commands.ts";
import { create } from "../../workers/poller/connections.ts";
import { effect } from "../../workers/poller/effects.ts";
import * as far from "../../workers/poller/far.ts";
import { House } from "../../workers/poller/house.ts";
import { jobRecord } from "../../workers/poller/jobs.ts";
import * as lanes from "../../workers/poller/lanes.ts";
import { eventsAfter } from "../../workers/poller/ledger.ts";
import { signingKeys } from "../../workers/poller/signing.ts";
import { clientOf, Site } from "../../workers/poller/site.ts";
import { subscribe } from "../../workers/poller/subscriptions.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { transferRecord } from "../../workers/poller/transfers.ts";
import { type ConsumerDeps, consume } from "../../workers/transfer/consume.ts";
import { systemClock } from "../../workers/transfer/patience.ts";
import { Turns } from "../../workers/transfer/turns.ts";
import { runOurLines } from "../support/errands-in-memory.ts";

const ACTOR = { name: "admin" };
const ORIGIN = {};
const SEAL_KEYS = JSON.stringify([{ kid: "t", key: btoa(String.fromCharCode(...new Uint8Array(32))) }]);

type Receive = (request: Request, body: string) => Response | Promise<Response>;
export interface Hit {
  url: string;
  at: number;
  headers: Record<string, string>;
  body: string;
}

export interface Queues {
  commands: CommandMessage[];
  transfers: TransferMessage[];
  callbacks: CallbackMessage[];
}

/** Cloudflare's parts that are real here. */
export interface Bindings {
  TOKENS: KVNamespace;
  INDEX: KVNamespace;
  OBJECTS: R2Bucket;
}

export interface WorldOptions {
  /** The connection's API; default v1. */
  api?: Api;
  /** The connection's budget; the default never holds anything up. */
  requestsPerMinute?: number;
  site?: Parameters<typeof createFirecrest>[0];
  /** How far our clock is ahead of the site's. */
  skewMs?: number;
  /** Where the Tracker's log goes; default nowhere. */
  log?: Log;
}

export class World {
  readonly house: House;
  readonly desk: Desk;
  readonly firecrest: Awaited<ReturnType<typeof createFirecrest>>;
  readonly queues: Queues;
  readonly hits: Hit[] = [];
  /** What the transfer Worker logged. */
  readonly lines: Record<string, unknown>[] = [];
  /** By path; one that ends with a slash gets everything below it. */
  readonly receivers = new Map<string, Receive>();
  /** Of chat workspaces. */
  readonly bots = new Map<string, ChatBot>();
  /** What jobs wrote last. */
  readonly tails = new Map<string, string>();
  readonly egress: Egress;
  readonly #objects: R2Bucket;
  /** When it rings next, in ms. */
  alarm: number | null = null;
  /** Whether the alarm that stands dies unrung. Then only the sweep brings the work back, at the next full minute. */
  alarmDies: () => boolean = () => false;
  /** How often the alarm was set: each time is a row written. */
  alarmsSet = 0;
  /** How often it rang. */
  rings = 0;
  /** Called with each message before it is consumed: `drop` loses it, `double` delivers it twice. */
  fate: (queue: keyof Queues) => "deliver" | "drop" | "double" = () => "deliver";
  /** What the transfer Worker is given for one message: a scenario may put something else around it. */
  worker: (deps: ConsumerDeps, message: TransferMessage) => ConsumerDeps = (deps) => deps;
  /** Called when the work of an effect is done and nobody has heard of it yet. */
  midway: () => void = () => {};
  /** The Worker dies in the next effect of this kind: before its work, or after it and before `finish`. */
  crash: { kind: EffectKind; when: "before" | "after" } | undefined;

  private constructor(
    house: House,
    desk: Desk,
    firecrest: World["firecrest"],
    queues: Queues,
    egress: Egress,
    objects: R2Bucket,
  ) {
    this.house = house;
    this.desk = desk;
    this.firecrest = firecrest;
    this.queues = queues;
    this.egress = egress;
    this.#objects = objects;
  }

  static async create(
    state: DurableObjectState,
    env: Bindings,
    { api = "v1", requestsPerMinute = 6000, site = {}, log = () => {}, skewMs = 0 }: WorldOptions = {},
  ): Promise<World> {
    const firecrest = await createFirecrest({ ...site, host: { shell: runOurLines, ...site.host } });
    const { clock } = firecrest;
    const now = () => clock.now() + skewMs;
    const queues: Queues = { commands: [], transfers: [], callbacks: [] };
    let world: World;
    const house = new House({
      storage: {
        sql: state.storage.sql,
        transactionSync: (work) => state.storage.transactionSync(work),
        getAlarm: async () => world.alarm,
        setAlarm: async (at) => {
          world.alarm = at;
          world.alarmsSet++;
        },
      },
      env: {
        TOKENS: env.TOKENS,
        INDEX: env.INDEX,
        OBJECTS: env.OBJECTS,
        PUBLIC_URL: "https://firewatch.test",
        COMMANDS: { send: async (message) => queues.commands.push(message) },
        TRANSFERS: { send: async (message) => queues.transfers.push(message) },
        CALLBACKS: { send: async (message) => queues.callbacks.push(message) },
      },
      name: state.id.name ?? "world",
      log,
      now,
      sleep: clock.sleep,
    });
    const seal = createSeal(parseSealKeys(SEAL_KEYS));
    const egress = createEgress({
      fetch: (url, init) => world.#route(url, init),
      now,
      allow: { hosts: ["site.test", "receiver.test"], cidrs: [] },
    });
    const desk: Desk = { house, seal, egress, site: new Site(house, seal, egress) };
    world = new World(house, desk, firecrest, queues, egress, env.OBJECTS);
    await world.run(
      create(
        desk,
        ACTOR,
        house.name,
        {
          api,
          url: api === "v1" ? firecrest.v1Url : firecrest.v2Url,
          auth: {
            type: "client_credentials",
            tokenUrl: firecrest.tokenUrl,
            clientId: firecrest.clientId,
            clientSecret: firecrest.clientSecret,
          },
          requestsPerMinute,
        },
        ORIGIN,
      ),
    );
    return world;
  }

  async #route(url: string, init: RequestInit): Promise<Response> {
    const request = new Request(url, init);
    const { pathname } = new URL(url);
    const below = [...this.receivers.keys()].find((path) => path.endsWith("/") && pathname.startsWith(path));
    const receive = this.receivers.get(pathname) ?? this.receivers.get(below ?? "");
    if (new URL(url).hostname !== "receiver.test") return asFromNetwork(await this.firecrest.fetch(request));
    const body = await request.text();
    this.hits.push({ url, at: this.house.now(), headers: Object.fromEntries(request.headers), body });
    return receive === undefined ? new Response(null, { status: 404 }) : receive(request, body);
  }

  // ------------------------------------------------------------------------------------------------------------- time

  /** Waits for work that sleeps on the virtual clock, by moving it. */
  async run<T>(work: Promise<T>): Promise<T> {
    let settled = false;
    const watched = work.finally(() => {
      settled = true;
    });
    watched.catch(() => {});
    while (!settled) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      if (!settled) await this.firecrest.clock.advance(100);
    }
    return watched;
  }

  /** Lives on: messages are consumed, what is due is attended to, time moves to the next thing that is due. */
  async until(condition: () => boolean, limitMs = 3 * 3_600_000): Promise<void> {
    const end = this.house.now() + limitMs;
    for (let turns = 0; ; turns++) {
      await this.drain();
      if (condition()) return;
      if (turns > MAX_TURNS)
        throw new Error(
          `turning in circles: ${JSON.stringify(this.house.rows("SELECT * FROM agenda"))} ${JSON.stringify(this.house.rows("SELECT id, kind, state, doc FROM effects"))} ${JSON.stringify(this.house.rows("SELECT doc FROM transfers UNION ALL SELECT doc FROM debts"))}`,
        );
      if (this.house.now() >= end)
        throw new Error(`still not so after ${limitMs / 1000} s of virtual time: ${condition.toString()}`);
      const next =
        this.house.row<{ at: number | null }>(
          "SELECT min(due_at) AS at FROM agenda WHERE kind NOT IN ('retention', 'objects')",
        )?.at ?? this.house.now() + 1_000;
      const rings = this.alarmDies() ? nextSweep(Math.max(next, this.house.now())) : next;
      const wait = Math.min(Math.max(rings - this.house.now(), 10), 3_600_000);
      await this.firecrest.clock.advance(wait);
      await this.run(this.ring());
    }
  }

  /** What the Tracker does when its alarm rings, which then no longer stands. */
  async ring(): Promise<void> {
    this.rings++;
    this.alarm = null;
    await attend(this.desk);
    await this.house.arm();
  }

  async live(ms: number): Promise<void> {
    const end = this.house.now() + ms;
    await this.until(() => this.house.now() >= end, ms + 120_000);
  }

  // ----------------------------------------------------------------------------------------------------------- queues

  async drain(): Promise<void> {
    for (;;) {
      await Promise.resolve();
      const queue = (["commands", "transfers", "callbacks"] as const).find((name) => this.queues[name].length > 0);
      if (queue === undefined) return;
      const message = this.queues[queue].shift();
      const fate = this.fate(queue);
      const times = fate === "drop" ? 0 : fate === "double" ? 2 : 1;
      for (let i = 0; i < times; i++) {
        if (queue === "commands") await this.run(this.#command(message as CommandMessage));
        else if (queue === "transfers") await this.#bytes(message as TransferMessage);
        else await this.run(this.#callbacks());
      }
    }
  }

  #dies(kind: EffectKind | undefined, when: "before" | "after"): boolean {
    if (this.crash === undefined || this.crash.kind !== kind || this.crash.when !== when) return false;
    this.crash = undefined;
    return true;
  }

  async #command({ effect: id }: CommandMessage): Promise<void> {
    const begun = await far.begin(this.desk, id);
    if (!begun.go || this.#dies(begun.work.kind, "before")) return;
    const client = clientOf(begun.work.site, this.egress, {
      token: (renew) => this.desk.site.token(renew, begun.work.site.credential),
      now: this.house.now,
      sleep: this.house.sleep,
      log: () => {},
    });
    const outcome = await perform(begun.work, client, this.#objects);
    if (this.#dies(begun.work.kind, "after")) return;
    this.midway();
    await far.finish(this.desk, id, outcome, begun.attempt);
  }

  async #bytes(message: TransferMessage): Promise<void> {
    const kind = effect(this.house, message.effect)?.kind;
    if (this.#dies(kind, "before")) {
      await bytes.beginBytes(this.desk, message.effect);
      return;
    }
    const tracker: TrackerWork = {
      beginBytes: (id) => bytes.beginBytes(this.desk, id),
      copyStarted: async (id, upload) => bytes.copyStarted(this.house, id, upload),
      partsDone: async (id, parts) => bytes.partsDone(this.house, id, parts),
      finishBytes: async (id, outcome, attempt) => {
        if (this.#dies(kind, "after")) return;
        this.midway();
        bytes.finishBytes(this.house, id, outcome, attempt);
      },
    };
    // Bytes move in real time: R2 does not know the virtual clock, and a virtual stall would be none.
    await consume(
      { body: message, attempts: 1, ack: () => {}, retry: () => {} },
      this.worker(
        {
          bucket: this.#objects,
          egress: this.egress,
          trackerOf: () => tracker,
          partBytesFor,
          clock: systemClock,
          turns: new Turns(),
          log: (line) => this.lines.push(line),
        },
        message,
      ),
    );
  }

  async #callbacks(): Promise<void> {
    const keys = await signingKeys(this.desk);
    const { egress } = this;
    const { now, name: connection, env: settings, sleep } = this.house;
    const { late } = await postDue({
      lease: () => lanes.lease(this.house, this.desk.seal),
      report: async (reports, unposted) => lanes.report(this.house, reports, unposted),
      attempt: (lease) => {
        const way = { connection, egress, now, publicUrl: settings.PUBLIC_URL };
        if (lease.channel === "webhook") return attempt(lease, { signingKeys: keys, ...way });
        const bot = async (workspace: string) => this.bots.get(workspace);
        const share = async (person: { workspace: string; user: string }, transfer: string) => {
          const admitted = admit(this.house, { kind: "chat", ...person }, "transfers:read");
          const shared = admitted.ok ? await shareStored(this.desk, admitted.value, [transfer], {}) : admitted;
          return shared.ok ? shared.value : [];
        };
        return attemptForPeople(lease, { ...way, bot, share, tail: async (job) => this.tails.get(job) });
      },
      now,
      sleep,
      handOver: async () => this.queues.callbacks.push({ v: 1, connection }),
    });
    await late;
  }

  // ----------------------------------------------------------------------------------------------------------- people

  async submit(request: Partial<JobRequest>): Promise<Job> {
    const answer = await acceptJob(
      this.desk,
      ACTOR,
      { system: "cluster", script: "#!/bin/bash -l\n#FAKE sleep 5\n", ...request } as JobRequest,
      { origin: ORIGIN },
    );
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    return answer.value.job;
  }

  async download(path: string, key: string, more: Partial<TransferRequest> = {}): Promise<Transfer> {
    const answer = await acceptTransfer(
      this.desk,
      ACTOR,
      { direction: "download", system: "cluster", path, key, ...more },
      { origin: ORIGIN },
    );
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    return answer.value.transfer;
  }

  /** A receiver at `https://receiver.test/<path>`, subscribed. Answers its secret. */
  async receive(path: string, receive: Receive, events?: string[]): Promise<{ id: string; secret: string }> {
    this.receivers.set(`/${path}`, receive);
    const answer = await subscribe(
      this.house,
      this.desk.seal,
      ACTOR,
      { url: `https://receiver.test/${path}`, ...(events === undefined ? {} : { events }) },
      { origin: ORIGIN },
    );
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    return { id: answer.value.id, secret: answer.value.secret ?? "" };
  }

  job(id: string): Job {
    const record = jobRecord(this.house, id);
    if (record === undefined) throw new Error(`no job ${id}`);
    return viewJob(record, this.house.name);
  }

  transfer(id: string): Transfer {
    const record = transferRecord(this.house, id);
    if (record === undefined) throw new Error(`no transfer ${id}`);
    return viewTransfer(record, this.house.name);
  }

  events(): Event[] {
    const all: Event[] = [];
    for (let after = 0; ; ) {
      const page = eventsAfter(this.house, { after, limit: 200 });
      if (!page.ok) throw new Error("events are gone");
      all.push(...page.value.items);
      const last = page.value.items.at(-1);
      if (page.value.cursor === undefined || last === undefined) return all;
      after = last.sequence;
    }
  }

  types(subject: string): string[] {
    return this.events()
      .filter((event) => event.subject === subject)
      .map(({ type }) => type);
  }

  /** How often the scheduler really has a job of ours. */
  async jobsOnMachine(): Promise<number> {
    return (await this.firecrest.host.jobs()).length;
  }

  owed(): number {
    return this.house.row<{ n: number }>("SELECT count(*) AS n FROM debts WHERE open = 1")?.n ?? 0;
  }

  async put(key: string, content: Uint8Array | string): Promise<void> {
    await this.#objects.put(`${this.house.name}/${key}`, content);
  }

  async remove(key: string): Promise<void> {
    await this.#objects.delete(`${this.house.name}/${key}`);
  }

  /** Everything that lies in R2 beside the objects of connections: nothing, when no upload is on its way. */
  async spooled(): Promise<string[]> {
    const { objects } = await this.#objects.list({ prefix: `.uploads/${this.house.name}/` });
    return objects.map(({ key }) => key);
  }

  /** A file on the machine; undefined where there is none. */
  async file(path: string): Promise<Uint8Array | undefined> {
    const { files } = await this.firecrest.host.as("alice");
    const there = await files.stat(path, {}).catch(() => undefined);
    if (there === undefined) return undefined;
    return new Uint8Array(await new Response((await files.read(path)).body).arrayBuffer());
  }

  async upload(path: string, from: Partial<TransferRequest>): Promise<Transfer> {
    const answer = await acceptTransfer(
      this.desk,
      ACTOR,
      { direction: "upload", system: "cluster", path, ...from },
      { origin: ORIGIN },
    );
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    return answer.value.transfer;
  }

  async object(key: string): Promise<Uint8Array | undefined> {
    const object = await this.#objects.get(`${this.house.name}/${key}`);
    return object === null ? undefined : new Uint8Array(await object.arrayBuffer());
  }

  /** What of ours is still on the machine: every file and directory whose name is of our making, FirecREST's own aside. */
  async leftovers(): Promise<string[]> {
    const { files } = await this.firecrest.host.as("alice");
    const found: string[] = [];
    for (const root of ["/home/alice", "/scratch/alice"])
      for (const { name } of await files.list(root, { hidden: true, recursive: true }))
        if (/(^|\/)(\.fw-|fw-|\.f7t_)[^/]*$/.test(name)) found.push(`${root}/${name}`);
    return found;
  }

  /** Unfinished multipart uploads leave no trace in a listing; what can be seen is that no object appeared. */
  async objectKeys(): Promise<string[]> {
    return (await this.#objects.list({ prefix: `${this.house.name}/` })).objects.map(({ key }) =>
      key.slice(this.house.name.length + 1),
    );
  }
}

/** A body as the network gives it: a byte stream of the runtime's own, of the length that was told, which breaks when its source does. */
function asFromNetwork(response: Response): Response {
  if (response.body === null) return response;
  const length = response.headers.get("content-length");
  const { readable, writable } =
    length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  response.body.pipeTo(writable).catch(() => {});
  return new Response(readable, response);
}

const MINUTE_MS = 60_000;
const nextSweep = (from: number): number => Math.ceil((from + 1) / MINUTE_MS) * MINUTE_MS;

/** More turns than any scenario needs: a world that does not come to rest says why. */
const MAX_TURNS = 10_000;

let worlds = 0;

/** Runs a scenario in a Tracker of its own. */
export async function inWorld(
  scenario: (world: World) => Promise<void>,
  site: Parameters<typeof createFirecrest>[0] = {},
  options: Omit<WorldOptions, "site"> = {},
): Promise<void> {
  // Only here: a World also lives outside of a test runner.
  const { env, runInDurableObject } = await import("cloudflare:test");
  const stub = env.TRACKER.getByName(`world-${++worlds}`);
  await runInDurableObject(stub, async (_tracker, state) =>
    scenario(await World.create(state, env, { ...options, site })),
  );
}
