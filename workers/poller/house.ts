/**
 * What every room of the Tracker shares: the tables, the clock, the agenda, and `change`, the one way to write. Inside
 * `change` everything is one SQLite transaction; what it announces to the outside (queue hints, waiters, streams, the alarm)
 * leaves only after the commit. A lost hint costs time, never truth: the agenda sends it again.
 */

import { type Now, systemNow, systemRandom } from "../../shared/clock.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { CallbackMessage, CommandMessage, TransferMessage } from "../../shared/contract/queue.ts";
import { newId } from "../../shared/ids.ts";
import type { Log } from "../../shared/log.ts";
import type { Env } from "./env.ts";
import type { Moving } from "./progress.ts";

/** Kinds with a handful of entries, which change all the time: only the others are worth an index. */
const FEW = "('round', 'handles', 'lane', 'retention', 'health')";

export type AgendaKind =
  | "effect"
  | "line"
  | "round"
  | "handles"
  | "watch"
  | "lane"
  | "debt"
  | "retention"
  | "objects"
  | "health";

type Hint =
  | { queue: "commands"; message: CommandMessage }
  | { queue: "transfers"; message: TransferMessage }
  | { queue: "callbacks"; message: CallbackMessage };

/** What rooms use of a Durable Object's storage. */
export type HouseStorage = Pick<DurableObjectStorage, "sql" | "transactionSync" | "getAlarm"> & {
  setAlarm(at: number): Promise<void>;
};

/** The bindings that rooms use. */
export type HouseEnv = Pick<Env, "TOKENS" | "INDEX" | "OBJECTS" | "PUBLIC_URL"> & {
  COMMANDS: Sender<CommandMessage>;
  TRANSFERS: Sender<TransferMessage>;
  CALLBACKS: Sender<CallbackMessage>;
};
type Sender<T> = { send(message: T): Promise<unknown> };

export class House {
  readonly storage: HouseStorage;
  readonly sql: SqlStorage;
  readonly env: HouseEnv;
  readonly name: string;
  readonly log: Log;
  readonly now: Now;
  readonly sleep: (ms: number) => Promise<void>;
  /** Jobs that said that they start or end, and when: their systems are looked at often until that is seen, for a while. */
  readonly eager = new Map<string, { system: string; saidAt: number }>();
  /** What the last round of each system asked of the site. In memory: the first round after a rest is paced with care. */
  readonly lastRounds = new Map<string, number>();
  /** Copies that are under way, by transfer: how far and how fast, for whoever watches. */
  readonly moving = new Map<string, Moving>();
  /** For metrics: since the object woke. Kept in memory, because a look that sees nothing new writes nothing. */
  readonly counted = { rounds: 0, requests: 0 };
  /** The mark in KV that is being written, see `markLive`. A failed one must not stop the next. */
  marking: Promise<void> = Promise.resolve();
  /** Objects that are being removed because they are too old. Never rejects. */
  clearing: Promise<void> = Promise.resolve();
  #hints: Hint[] = [];
  #events: Event[] = [];
  /** The earliest time that this commit put on the agenda. */
  #soonest = Number.POSITIVE_INFINITY;
  #depth = 0;
  /** Set by the Tracker: called after each commit with the events that it made. */
  onCommit: (events: Event[]) => void = () => {};

  /** `now` and `sleep` are the real ones unless a test holds the clock. */
  constructor(parts: {
    storage: HouseStorage;
    env: HouseEnv;
    name: string;
    log: Log;
    now?: Now;
    sleep?: (ms: number) => Promise<void>;
  }) {
    this.storage = parts.storage;
    this.sql = parts.storage.sql;
    this.env = parts.env;
    this.name = parts.name;
    this.log = parts.log;
    this.now = parts.now ?? systemNow;
    this.sleep = parts.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)));
  }

  id(prefix: string): string {
    return newId(prefix, this.now(), systemRandom);
  }

  /** An id that sorts before every id made at or after that time. */
  idAt(prefix: string, at: number): string {
    return newId(prefix, at, (count) => new Uint8Array(count));
  }

  random(): number {
    return Math.random();
  }

  rows<T>(query: string, ...bindings: SqlStorageValue[]): T[] {
    return this.sql.exec(query, ...bindings).toArray() as T[];
  }

  row<T>(query: string, ...bindings: SqlStorageValue[]): T | undefined {
    return this.rows<T>(query, ...bindings)[0];
  }

  run(query: string, ...bindings: SqlStorageValue[]): void {
    this.sql.exec(query, ...bindings);
  }

  /** One transaction. Nested calls join the outer one. */
  change<T>(write: () => T): T {
    if (this.#depth > 0) return write();
    this.#depth++;
    let result: T;
    try {
      result = this.storage.transactionSync(write);
    } catch (error) {
      this.#hints = [];
      this.#events = [];
      this.#soonest = Number.POSITIVE_INFINITY;
      throw error;
    } finally {
      this.#depth--;
    }
    this.#flush();
    return result;
  }

  /** A part of a change that may fail alone: then nothing of it is left, and the rest goes on. Call inside `change`. */
  attempt<T>(write: () => T): { ok: true; value: T } | { ok: false; error: unknown } {
    const before = { hints: this.#hints.length, events: this.#events.length, soonest: this.#soonest };
    try {
      return { ok: true, value: this.storage.transactionSync(write) };
    } catch (error) {
      this.#hints.length = before.hints;
      this.#events.length = before.events;
      this.#soonest = before.soonest;
      return { ok: false, error };
    }
  }

  /** Sends a queue message after the commit. */
  hint(hint: Hint): void {
    this.#hints.push(hint);
  }

  /** Something for waiters and streams, after the commit. */
  announced(event: Event): void {
    this.#events.push(event);
  }

  /** Something is due; an earlier time for the same thing wins only when `keepEarlier` says so. */
  due(kind: AgendaKind, subject: string, at: number, keepEarlier = false): void {
    const rule = keepEarlier ? "due_at = min(due_at, excluded.due_at)" : "due_at = excluded.due_at";
    this.run(
      `INSERT INTO agenda (kind, subject, due_at) VALUES (?, ?, ?) ON CONFLICT (kind, subject) DO UPDATE SET ${rule}`,
      kind,
      subject,
      Math.ceil(at),
    );
    this.#soonest = Math.min(this.#soonest, Math.ceil(at));
  }

  notDue(kind: AgendaKind, subject: string): void {
    this.run("DELETE FROM agenda WHERE kind = ? AND subject = ?", kind, subject);
  }

  isDue(kind: AgendaKind, subject: string): boolean {
    const entry = this.row(
      "SELECT 1 FROM agenda WHERE kind = ? AND subject = ? AND due_at <= ?",
      kind,
      subject,
      this.now(),
    );
    return entry !== undefined;
  }

  /** What is due, the oldest first; at most so many of each of the two sorts of kinds. */
  whatIsDue(limit: number): { kind: AgendaKind; subject: string }[] {
    return [`kind IN ${FEW}`, `kind NOT IN ${FEW}`].flatMap((sort) =>
      this.rows<{ kind: AgendaKind; subject: string }>(
        `SELECT kind, subject FROM agenda WHERE ${sort} AND due_at <= ? ORDER BY due_at LIMIT ?`,
        this.now(),
        limit,
      ),
    );
  }

  meta(key: string): string | undefined {
    return this.row<{ value: string }>("SELECT value FROM meta WHERE key = ?", key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value);
  }

  /** The alarm is the smallest entry of the agenda. Not written when it already stands earlier or at that time. */
  async arm(): Promise<void> {
    const next = [`kind IN ${FEW}`, `kind NOT IN ${FEW}`].reduce((least, sort) => {
      const at = this.row<{ at: number | null }>(`SELECT min(due_at) AS at FROM agenda WHERE ${sort}`)?.at;
      return Math.min(least, at ?? Number.POSITIVE_INFINITY);
    }, Number.POSITIVE_INFINITY);
    if (!Number.isFinite(next)) return;
    await this.#armFor(next, await this.storage.getAlarm());
  }

  /** After a commit only what it added can be earlier than the alarm; without an alarm the whole agenda is asked. */
  async #armAfter(soonest: number): Promise<void> {
    const standing = await this.storage.getAlarm();
    await (standing === null ? this.arm() : this.#armFor(soonest, standing));
  }

  async #armFor(next: number, standing: number | null): Promise<void> {
    // What is due since ever (0) is due now: the platform takes no such time.
    if (standing === null || standing > next) await this.storage.setAlarm(Math.max(next, 1));
  }

  /** Never throws: what is committed is done, whatever becomes of the news of it. */
  #flush(): void {
    const hints = this.#hints;
    const events = this.#events;
    const soonest = this.#soonest;
    this.#hints = [];
    this.#events = [];
    this.#soonest = Number.POSITIVE_INFINITY;
    for (const hint of dedupe(hints))
      this.#send(hint).catch((error: unknown) => this.log({ event: "hint.lost", queue: hint.queue, error }));
    this.#armAfter(soonest).catch((error: unknown) => this.log({ event: "alarm.not_set", error }));
    try {
      this.onCommit(events);
    } catch (error) {
      this.log({ event: "commit.not_told", error });
    }
  }

  async #send({ queue, message }: Hint): Promise<void> {
    if (queue === "commands") await this.env.COMMANDS.send(message);
    else if (queue === "transfers") await this.env.TRANSFERS.send(message);
    else await this.env.CALLBACKS.send(message);
  }
}

/** One callbacks message a commit is enough, however many lanes it filled. */
function dedupe(hints: Hint[]): Hint[] {
  const seen = new Set<string>();
  return hints.filter((hint) => {
    const key = hint.queue + JSON.stringify(hint.message);
    return !seen.has(key) && seen.add(key);
  });
}
