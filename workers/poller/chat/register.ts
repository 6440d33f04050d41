/**
 * What one workspace holds: its platform and sealed secrets, who of its people is linked where, which requests came, and which
 * buttons have had their effect. Rights are not among it: those are rows of the connections' Trackers.
 */
import { rfc3339 } from "../../../shared/clock.ts";
import type { ChatAnswer, ChatPlatform, Workspace, WorkspaceLink } from "../../../shared/contract/chat.ts";
import type { Person } from "../chat-links.ts";

/** As numbered steps, like the Tracker's: a step is never edited once released. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE people (user TEXT PRIMARY KEY, name TEXT NOT NULL, connection TEXT) WITHOUT ROWID;
  CREATE TABLE links (user TEXT NOT NULL, connection TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (user, connection)) WITHOUT ROWID;
  CREATE TABLE tries (user TEXT NOT NULL, at INTEGER NOT NULL);
  CREATE INDEX tries_user ON tries (user, at);
  CREATE TABLE received (id TEXT PRIMARY KEY, at INTEGER NOT NULL, attempts INTEGER NOT NULL, inbound TEXT, answer TEXT) WITHOUT ROWID;
  CREATE INDEX received_at ON received (at);
  CREATE INDEX received_open ON received (at) WHERE answer IS NULL;
  CREATE TABLE acts (act TEXT PRIMARY KEY, at INTEGER NOT NULL, user TEXT NOT NULL, said TEXT) WITHOUT ROWID;
  `,
];

/** What is told of a workspace, without its secrets. */
export interface Settings {
  platform: ChatPlatform;
  team?: string;
  apiUrl: string;
  createdAt: number;
  changedAt: number;
}

/** A person as the workspace knows them: links in the order in which they were made. */
export interface Known {
  links: string[];
  connection?: string;
}

export type Arrival =
  | { state: "new"; known: Known }
  /** The same request is being worked on. */
  | { state: "running" }
  | { state: "answered"; answer: ChatAnswer };

const MAX_TRIES = 5;
const TRIES_WITHIN_MS = 10 * 60_000;
/** Platforms repeat a request for minutes; what was answered is kept no longer than that is worth. */
const KEPT_MS = 60 * 60_000;
/** A request that has not been answered by then is taken up again: its Worker must have died. */
export const PATIENCE_MS = 60_000;
const MAX_ATTEMPTS = 3;
/** A button whose effect was never reported may be pressed again after this long. */
const ACT_PATIENCE_MS = 60_000;

export class Register {
  readonly #storage: Pick<DurableObjectStorage, "sql" | "transactionSync">;
  readonly #now: () => number;

  constructor(storage: Pick<DurableObjectStorage, "sql" | "transactionSync">, now: () => number) {
    this.#storage = storage;
    this.#now = now;
    if (this.exists()) this.#migrate();
  }

  exists(): boolean {
    return this.rows("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'meta'").length > 0;
  }

  rows<T>(query: string, ...bindings: SqlStorageValue[]): T[] {
    return this.#storage.sql.exec(query, ...bindings).toArray() as T[];
  }

  change<T>(write: () => T): T {
    return this.#storage.transactionSync(write);
  }

  #migrate(): void {
    this.#storage.transactionSync(() => {
      const done = this.exists() ? Number(this.meta("schema") ?? 0) : 0;
      for (const step of STEPS.slice(done)) this.#storage.sql.exec(step);
      if (done !== STEPS.length) this.#setMeta("schema", String(STEPS.length));
    });
  }

  meta(key: string): string | undefined {
    return this.rows<{ value: string }>("SELECT value FROM meta WHERE key = ?", key)[0]?.value;
  }

  #setMeta(key: string, value: string): void {
    this.rows("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", key, value);
  }

  // --------------------------------------------------------------------------------------------------------- settings

  /** True where the workspace is new. `actionKey` is kept from the first time on: old buttons go on working. */
  put(settings: Omit<Settings, "createdAt" | "changedAt">, sealed: { secrets: string; actionKey: string }): boolean {
    this.#migrate();
    return this.#storage.transactionSync(() => {
      const before = this.settings();
      const now = this.#now();
      const after: Settings = { ...settings, createdAt: before?.createdAt ?? now, changedAt: now };
      this.#setMeta("settings", JSON.stringify(after));
      this.#setMeta("secrets", sealed.secrets);
      if (before === undefined) this.#setMeta("action_key", sealed.actionKey);
      return before === undefined;
    });
  }

  settings(): Settings | undefined {
    const text = this.exists() ? this.meta("settings") : undefined;
    return text === undefined ? undefined : (JSON.parse(text) as Settings);
  }

  view(name: string, publicUrl: string): Workspace | undefined {
    const settings = this.settings();
    if (settings === undefined) return undefined;
    const { platform, team, apiUrl, createdAt, changedAt } = settings;
    return {
      name,
      platform,
      ...(team === undefined ? {} : { team }),
      apiUrl,
      requestUrl: `${publicUrl}/chat/${name}/${platform}`,
      people: this.rows<{ n: number }>("SELECT count(DISTINCT user) AS n FROM links")[0]?.n ?? 0,
      createdAt: rfc3339(createdAt),
      changedAt: rfc3339(changedAt),
    };
  }

  // ----------------------------------------------------------------------------------------------------------- people

  known(user: string): Known {
    const links = this.rows<{ connection: string }>("SELECT connection FROM links WHERE user = ? ORDER BY at", user);
    const [person] = this.rows<{ connection: string | null }>("SELECT connection FROM people WHERE user = ?", user);
    return {
      links: links.map(({ connection }) => connection),
      ...(person?.connection == null ? {} : { connection: person.connection }),
    };
  }

  /** Whether this person may try a code now; counts the try. */
  mayTry(user: string): boolean {
    return this.#storage.transactionSync(() => {
      const now = this.#now();
      this.rows("DELETE FROM tries WHERE at <= ?", now - TRIES_WITHIN_MS);
      const [tries] = this.rows<{ n: number }>("SELECT count(*) AS n FROM tries WHERE user = ?", user);
      if ((tries?.n ?? 0) >= MAX_TRIES) return false;
      this.rows("INSERT INTO tries (user, at) VALUES (?, ?)", user, now);
      return true;
    });
  }

  /** The newest link is the one that commands are for. */
  linked({ id, name }: Person, connection: string): void {
    this.#storage.transactionSync(() => {
      this.rows("DELETE FROM tries WHERE user = ?", id);
      this.rows("INSERT OR REPLACE INTO links (user, connection, at) VALUES (?, ?, ?)", id, connection, this.#now());
      this.rows("INSERT OR REPLACE INTO people (user, name, connection) VALUES (?, ?, ?)", id, name, connection);
    });
  }

  unlinked(user: string, connection: string): void {
    this.#storage.transactionSync(() => {
      this.rows("DELETE FROM links WHERE user = ? AND connection = ?", user, connection);
      const next = this.known(user).links.at(-1) ?? null;
      this.rows("UPDATE people SET connection = ? WHERE user = ? AND connection = ?", next, user, connection);
    });
  }

  use(user: string, connection: string): void {
    this.rows("UPDATE people SET connection = ? WHERE user = ?", connection, user);
  }

  links(): WorkspaceLink[] {
    const rows = this.rows<{ user: string; name: string; connection: string; chosen: number; at: number }>(
      "SELECT links.user, people.name, links.connection, people.connection IS links.connection AS chosen, at FROM links JOIN people ON people.user = links.user ORDER BY at DESC LIMIT 1000",
    );
    return rows.map(({ user, name, connection, chosen, at }) => ({
      user,
      userName: name,
      connection,
      isDefault: chosen === 1,
      linkedAt: rfc3339(at),
    }));
  }

  // --------------------------------------------------------------------------------------------------------- requests

  /** Before anything is done about a request: a repeat of it gets the first one's answer. `inbound` is sealed. */
  arrive(id: string, user: string, inbound: string): Arrival {
    return this.#storage.transactionSync((): Arrival => {
      const now = this.#now();
      this.rows("DELETE FROM received WHERE at <= ?", now - KEPT_MS);
      const [row] = this.rows<{ answer: string | null }>("SELECT answer FROM received WHERE id = ?", id);
      if (row?.answer != null) return { state: "answered", answer: JSON.parse(row.answer) as ChatAnswer };
      if (row !== undefined) return { state: "running" };
      this.rows("INSERT INTO received (id, at, attempts, inbound) VALUES (?, ?, 1, ?)", id, now, inbound);
      return { state: "new", known: this.known(user) };
    });
  }

  answered(id: string, answer: ChatAnswer): void {
    this.rows("UPDATE received SET answer = ?, inbound = NULL WHERE id = ?", JSON.stringify(answer), id);
  }

  /** Requests that nobody has answered for too long, each counted as taken up once more; given up after three times. */
  overdue(): { id: string; inbound: string }[] {
    return this.#storage.transactionSync(() => {
      const before = this.#now() - PATIENCE_MS;
      this.rows(
        "UPDATE received SET answer = '{}', inbound = NULL WHERE answer IS NULL AND at <= ? AND attempts >= ?",
        before,
        MAX_ATTEMPTS,
      );
      const rows = this.rows<{ id: string; inbound: string }>(
        "SELECT id, inbound FROM received WHERE answer IS NULL AND at <= ? LIMIT 20",
        before,
      );
      for (const { id } of rows)
        this.rows("UPDATE received SET attempts = attempts + 1, at = ? WHERE id = ?", this.#now(), id);
      return rows;
    });
  }

  /** When somebody has to look again. */
  nextDue(): number | undefined {
    const [row] = this.rows<{ at: number | null }>("SELECT min(at) AS at FROM received WHERE answer IS NULL");
    return row?.at == null ? undefined : row.at + PATIENCE_MS;
  }

  // ---------------------------------------------------------------------------------------------------------- buttons

  /** A button that may have its effect once: the first to press it goes on, everybody else hears what came of it. */
  claim(act: string, user: string): { go: true } | { go: false; by: string; said?: string } {
    return this.#storage.transactionSync(() => {
      const now = this.#now();
      const [row] = this.rows<{ at: number; user: string; said: string | null }>(
        "SELECT at, user, said FROM acts WHERE act = ?",
        act,
      );
      const isStale = row?.said === null && row.at <= now - ACT_PATIENCE_MS;
      if (row !== undefined && !isStale)
        return { go: false, by: row.user, ...(row.said === null ? {} : { said: row.said }) };
      this.rows("INSERT OR REPLACE INTO acts (act, at, user) VALUES (?, ?, ?)", act, now, user);
      return { go: true };
    });
  }

  /** What came of it; nothing: it was refused, and may be pressed again. */
  settle(act: string, said?: string): void {
    if (said === undefined) this.rows("DELETE FROM acts WHERE act = ?", act);
    else this.rows("UPDATE acts SET said = ? WHERE act = ?", said, act);
  }
}
