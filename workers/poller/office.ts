/**
 * The Office: one Durable Object of the deployment, for what belongs to no connection and to no workspace. Which invitations
 * are open, which chat workspaces there are, and what was done to the deployment itself.
 */
import { DurableObject } from "cloudflare:workers";
import { rfc3339, systemNow, systemRandom } from "../../shared/clock.ts";
import type { AuditEntry } from "../../shared/contract/access.ts";
import type { Invitation, InvitationRequest, OpenInvitation } from "../../shared/contract/connection.ts";
import type { Answer, Origin, Page } from "../../shared/contract/rpc.ts";
import type { PageQuery } from "../../shared/contract/words.ts";
import { newId } from "../../shared/ids.ts";
import { type Env, sealOf } from "./env.ts";
import * as invitations from "./invitations.ts";

/** As numbered steps, like the Tracker's: a step is never edited once released. */
const STEPS: readonly string[] = [
  `
  CREATE TABLE invitations (id TEXT PRIMARY KEY, connection TEXT NOT NULL, kid TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE workspaces (name TEXT PRIMARY KEY) WITHOUT ROWID;
  CREATE TABLE acts (id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL, doc TEXT NOT NULL);
  `,
];
const KEEP_ACTS_MS = 365 * 24 * 3_600_000;
const ADMIN = "admin";

export interface Act {
  actor: string;
  act: string;
  subject: string;
  origin: Origin;
}

/** There is one: whoever needs it gets it here. */
export const officeOf = (env: Pick<Env, "OFFICE">) => env.OFFICE.getByName("office");

export class Office extends DurableObject<Env> {
  readonly #sql: SqlStorage;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.#sql = state.storage.sql;
    state.storage.transactionSync(() => {
      this.#sql.exec("CREATE TABLE IF NOT EXISTS schema (steps INTEGER NOT NULL)");
      const done = this.#rows<{ steps: number }>("SELECT steps FROM schema")[0]?.steps ?? 0;
      for (const step of STEPS.slice(done)) this.#sql.exec(step);
      if (done === 0) this.#sql.exec("INSERT INTO schema (steps) VALUES (0)");
      if (done !== STEPS.length) this.#sql.exec("UPDATE schema SET steps = ?", STEPS.length);
    });
  }

  #rows<T>(query: string, ...bindings: SqlStorageValue[]): T[] {
    return this.#sql.exec(query, ...bindings).toArray() as T[];
  }

  // ------------------------------------------------------------------------------------------------------- invitations

  async invite(request: InvitationRequest, origin: Origin): Promise<Omit<Invitation, "url">> {
    const seals = sealOf(this.env);
    const now = systemNow();
    const made = await invitations.seal(seals, newId("inv", now, systemRandom), request, now);
    this.ctx.storage.transactionSync(() => {
      this.#rows("DELETE FROM invitations WHERE expires_at <= ?", now);
      this.#rows(
        "INSERT INTO invitations (id, connection, kid, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        made.id,
        made.connection,
        seals.current,
        now,
        Date.parse(made.expiresAt),
      );
      this.#note({ actor: ADMIN, act: "invitation.add", subject: `invitations/${made.id}`, origin });
    });
    return made;
  }

  /** Those that can still be used, newest first, without what is sealed in them. */
  async invitations({ cursor, limit = 50 }: PageQuery): Promise<Page<OpenInvitation>> {
    const rows = this.#rows<{ id: string; connection: string; created_at: number; expires_at: number }>(
      "SELECT * FROM invitations WHERE expires_at > ? AND id < ? ORDER BY id DESC LIMIT ?",
      systemNow(),
      cursor ?? "inv_~",
      limit,
    );
    const items = rows.map(({ id, connection, created_at, expires_at }) => ({
      id,
      connection,
      createdAt: rfc3339(created_at),
      expiresAt: rfc3339(expires_at),
    }));
    const last = items.at(-1);
    return items.length === limit && last !== undefined ? { items, cursor: last.id } : { items };
  }

  /** Whether it has neither been used nor called back. Its time is told by what is sealed in it. */
  async isOpen(invitation: string): Promise<boolean> {
    return this.#rows("SELECT 1 FROM invitations WHERE id = ?", invitation).length > 0;
  }

  async used(invitation: string): Promise<void> {
    this.#rows("DELETE FROM invitations WHERE id = ?", invitation);
  }

  async revokeInvitation(id: string, origin: Origin): Promise<Answer<null>> {
    return this.ctx.storage.transactionSync((): Answer<null> => {
      const open = this.#rows("DELETE FROM invitations WHERE id = ? AND expires_at > ? RETURNING 1", id, systemNow());
      if (open.length === 0) return { ok: false, code: "not_found" };
      this.#note({ actor: ADMIN, act: "invitation.revoke", subject: `invitations/${id}`, origin });
      return { ok: true, value: null };
    });
  }

  /** Open ones that an older key sealed: they are in people's hands, and cannot be sealed again. */
  async staleInvitations(): Promise<{ count: number; until?: number }> {
    const [row] = this.#rows<{ count: number; until: number | null }>(
      "SELECT count(*) AS count, max(expires_at) AS until FROM invitations WHERE expires_at > ? AND kid <> ?",
      systemNow(),
      sealOf(this.env).current,
    );
    return row?.until == null ? { count: 0 } : { count: row.count, until: row.until };
  }

  // -------------------------------------------------------------------------------------------------------- workspaces

  /** Before one is made, so that none is there that nobody knows. */
  async enlist(workspace: string): Promise<void> {
    this.#rows("INSERT OR IGNORE INTO workspaces (name) VALUES (?)", workspace);
  }

  async strike(workspace: string): Promise<void> {
    this.#rows("DELETE FROM workspaces WHERE name = ?", workspace);
  }

  async workspaces(): Promise<string[]> {
    return this.#rows<{ name: string }>("SELECT name FROM workspaces ORDER BY name").map(({ name }) => name);
  }

  // --------------------------------------------------------------------------------------------------------------- acts

  async note(act: Act): Promise<void> {
    this.#note(act);
  }

  #note({ actor, act, subject, origin }: Act): void {
    const at = systemNow();
    const entry: AuditEntry = {
      at: rfc3339(at),
      actor,
      act,
      subject,
      ...(origin.ip === undefined ? {} : { origin: origin.ip }),
    };
    this.#rows("DELETE FROM acts WHERE at < ?", at - KEEP_ACTS_MS);
    this.#rows("INSERT INTO acts (at, doc) VALUES (?, ?)", at, JSON.stringify(entry));
  }

  async audit({ cursor, limit = 100 }: PageQuery): Promise<Page<AuditEntry>> {
    const before = cursor === undefined ? Number.MAX_SAFE_INTEGER : Number.parseInt(cursor, 10) || 0;
    const rows = this.#rows<{ id: number; doc: string }>(
      "SELECT id, doc FROM acts WHERE id < ? ORDER BY id DESC LIMIT ?",
      before,
      limit,
    );
    const items = rows.map(({ doc }) => JSON.parse(doc) as AuditEntry);
    const last = rows.at(-1);
    return rows.length === limit && last !== undefined ? { items, cursor: String(last.id) } : { items };
  }
}
