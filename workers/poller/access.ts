/** Who may do what: API keys, OIDC bindings and the audit. */

import { generateApiKey, hashApiKey } from "../../shared/api-key.ts";
import { rfc3339, systemRandom } from "../../shared/clock.ts";
import {
  type AuditEntry,
  type Caller,
  DEFAULT_SCOPES,
  type IdentityRequest,
  type Key,
  type KeyRequest,
  type NewKey,
  SCOPES,
  type Scope,
} from "../../shared/contract/access.ts";
import type { Answer, Origin, Page, Refusal } from "../../shared/contract/rpc.ts";
import { claimsMatch } from "../../shared/webhooks/claims.ts";
import { chatActor, standingLink } from "./chat-links.ts";
import type { House } from "./house.ts";

/** Somebody who was let in. */
export interface Actor {
  /** `key:<id>`, `identity:<name>`, `hook:<name>`, `chat:<workspace>:<user>`, `invitation:<id>` or `admin`. */
  name: string;
  /** Only these systems, where restricted. */
  systems?: string[];
  /** `hooks:admin` for these hooks only, where restricted. */
  hooks?: string[];
  /** Only jobs and transfers that this actor made. */
  ownOnly?: true;
}

interface StoredKey extends Omit<Key, "createdAt" | "expiresAt" | "revokedAt"> {
  createdAt: number;
  expiresAt?: number;
  revokedAt?: number;
}

const UNAUTHORIZED: Refusal = { ok: false, code: "unauthorized" };
const forbidden = (detail: string): Refusal => ({ ok: false, code: "forbidden", detail });
/** Nobody gives away more than they have. */
function beyond(actor: Actor, { systems, hooks }: Pick<Actor, "systems" | "hooks">): Refusal | undefined {
  const errors = [
    ...(reaches(actor, systems)
      ? []
      : [{ field: "/systems", message: "names a system that your own credential may not use" }]),
    ...(actor.hooks === undefined || hooks?.every((hook) => actor.hooks?.includes(hook))
      ? []
      : [{ field: "/hooks", message: "names a hook that your own credential may not change" }]),
  ];
  return errors.length === 0 ? undefined : { ok: false, code: "invalid", errors };
}

/** Stands for "some hook" where the caller sees only those that are theirs. */
export const ANY_HOOK = "*";

/** Answers who the caller is, if the scope and the system are theirs. */
export function admit(
  house: House,
  caller: Caller,
  scope: Scope,
  system?: string,
  hook?: string,
): { ok: true; value: Actor } | Refusal {
  const found = identify(house, caller);
  if (found.length === 0) return UNAUTHORIZED;
  const scoped = found.filter(({ scopes }) => scopes.includes(scope));
  if (scoped.length === 0)
    return forbidden(
      `This needs the scope ${scope}. Use a credential that has it; the connection's administrator makes keys.`,
    );
  const near = scoped.filter(({ actor }) => system === undefined || reaches(actor, [system]));
  if (near.length === 0)
    return forbidden(`This credential has ${scope}, but not for the system ${system}. Use one that may use it.`);
  const suits = near.find(({ actor }) => scope !== "hooks:admin" || mayChange(actor, hook));
  if (suits === undefined)
    return forbidden("This credential has hooks:admin for some hooks only. Use one that has it for this.");
  return { ok: true, value: suits.actor };
}

/** Whether a hook (undefined: what is no single hook's) is among those that this actor may change. */
const mayChange = ({ hooks }: Actor, hook: string | undefined): boolean =>
  hooks === undefined || hook === ANY_HOOK || (hook !== undefined && hooks.includes(hook));

/** Whether something that concerns these systems (undefined: all of them) is this actor's business. */
export function reaches({ systems: own }: Actor, systems: readonly string[] | undefined): boolean {
  return own === undefined || (systems?.every((system) => own.includes(system)) ?? false);
}

/** Whether one job or transfer is this actor's business. */
export const isFor = (actor: Actor, record: { system: string; actor: string }): boolean =>
  reaches(actor, [record.system]) && (actor.ownOnly !== true || record.actor === actor.name);

/** Whether a key is good at this moment: what was opened with it ends with it. */
export function isLiveKey(house: House, hash: string): boolean {
  return identify(house, { kind: "key", hash }).length > 0;
}

/** Whether an OIDC binding lets in whoever came by it as it did then: it is there, may read, and reaches as far. */
export function isLiveIdentity(house: House, name: string, systems: readonly string[] | undefined): boolean {
  const found = identity(house, name);
  if (!found.ok) return false;
  const { scopes = DEFAULT_SCOPES, systems: now } = found.value;
  return scopes.includes("jobs:read") && JSON.stringify(now) === JSON.stringify(systems);
}

type Standing = { actor: Actor; scopes: readonly Scope[] };

/** Everybody whom the caller may act as: claims may fit more than one binding. */
function identify(house: House, caller: Caller): Standing[] {
  switch (caller.kind) {
    case "admin":
      return [{ actor: { name: "admin" }, scopes: SCOPES }];
    case "hook":
      return [{ actor: { name: `hook:${caller.name}` }, scopes: ["jobs:write", "transfers:write"] }];
    // Good for a connection that is not there yet, and for nothing else: `invitations.ts`.
    case "invitation":
      return [];
    case "chat": {
      const link = standingLink(house, caller.workspace, caller.user);
      if (link === undefined) return [];
      const actor = actorOf(chatActor(caller.workspace, caller.user), link);
      return [{ actor: link.role === "owner" ? actor : { ...actor, ownOnly: true }, scopes: link.scopes }];
    }
    case "key": {
      const key = house.row<{ doc: string }>("SELECT doc FROM keys WHERE hash = ?", caller.hash);
      if (key === undefined) return [];
      const stored = JSON.parse(key.doc) as StoredKey;
      if (stored.revokedAt !== undefined || (stored.expiresAt !== undefined && stored.expiresAt <= house.now()))
        return [];
      return [{ actor: actorOf(`key:${stored.id}`, stored), scopes: stored.scopes }];
    }
    case "oidc":
      return house
        .rows<{ name: string; doc: string }>("SELECT name, doc FROM identities ORDER BY name")
        .map(({ name, doc }) => ({ name, bound: JSON.parse(doc) as IdentityRequest }))
        .filter(
          ({ bound }) =>
            bound.issuer === caller.issuer &&
            caller.audience.includes(bound.audience) &&
            claimsMatch(caller.claims, bound.claims),
        )
        .map(({ name, bound }) => ({
          actor: actorOf(`identity:${name}`, bound),
          scopes: bound.scopes ?? DEFAULT_SCOPES,
        }));
  }
}

const actorOf = (name: string, reach: { systems?: string[] | undefined; hooks?: string[] | undefined }): Actor => ({
  name,
  ...(reach.systems === undefined ? {} : { systems: reach.systems }),
  ...(reach.hooks === undefined ? {} : { hooks: reach.hooks }),
});

export async function addKey(house: House, actor: Actor, request: KeyRequest, origin: Origin): Promise<Answer<NewKey>> {
  const systems = request.systems ?? actor.systems;
  const hooks = request.hooks ?? actor.hooks;
  const refusal = beyond(actor, actorOf("", { systems, hooks }));
  if (refusal !== undefined) return refusal;
  const made = await makeKey(house, { ...request, ...(systems && { systems }), ...(hooks && { hooks }) });
  return { ok: true, value: house.change(() => keepKey(house, actor, made, origin)) };
}

/** A key that nobody has yet: hashing leaves the transaction, so it comes before. */
export interface MadeKey {
  apiKey: string;
  hash: string;
  stored: StoredKey;
}

export async function makeKey(house: House, { name, scopes, systems, hooks, expiresAt }: KeyRequest): Promise<MadeKey> {
  const apiKey = generateApiKey(house.name, systemRandom);
  const stored: StoredKey = {
    id: house.id("key"),
    name,
    scopes: [...(scopes ?? DEFAULT_SCOPES)],
    createdAt: house.now(),
    ...(systems === undefined ? {} : { systems }),
    ...(hooks === undefined ? {} : { hooks }),
    ...(expiresAt === undefined ? {} : { expiresAt: Date.parse(expiresAt) }),
  };
  return { apiKey, hash: await hashApiKey(apiKey), stored };
}

/** Call inside `house.change`. */
export function keepKey(house: House, actor: Actor, { apiKey, hash, stored }: MadeKey, origin: Origin): NewKey {
  house.run("INSERT INTO keys (id, hash, doc) VALUES (?, ?, ?)", stored.id, hash, JSON.stringify(stored));
  audit(house, actor, "key.add", `keys/${stored.id}`, origin);
  return { ...viewKey(stored), apiKey };
}

export function listKeys(house: House): Page<Key> {
  return {
    items: house
      .rows<{ doc: string }>("SELECT doc FROM keys ORDER BY id")
      .map(({ doc }) => viewKey(JSON.parse(doc) as StoredKey)),
  };
}

export function revokeKey(house: House, actor: Actor, id: string, origin: Origin): Answer<null> {
  return house.change(() => {
    const row = house.row<{ doc: string }>("SELECT doc FROM keys WHERE id = ?", id);
    if (row === undefined) return { ok: false, code: "not_found" };
    const stored = JSON.parse(row.doc) as StoredKey;
    stored.revokedAt ??= house.now();
    house.run("UPDATE keys SET doc = ? WHERE id = ?", JSON.stringify(stored), id);
    audit(house, actor, "key.revoke", `keys/${id}`, origin);
    return { ok: true, value: null };
  });
}

function viewKey(stored: StoredKey): Key {
  const { createdAt, expiresAt, revokedAt, ...rest } = stored;
  return {
    ...rest,
    createdAt: rfc3339(createdAt),
    ...(expiresAt === undefined ? {} : { expiresAt: rfc3339(expiresAt) }),
    ...(revokedAt === undefined ? {} : { revokedAt: rfc3339(revokedAt) }),
  };
}

type NamedIdentity = IdentityRequest & { name: string };

export function putIdentity(
  house: House,
  actor: Actor,
  name: string,
  request: IdentityRequest,
  origin: Origin,
): Answer<{ created: boolean; identity: NamedIdentity }> {
  const systems = request.systems ?? actor.systems;
  const hooks = request.hooks ?? actor.hooks;
  const reach = { ...(systems && { systems }), ...(hooks && { hooks }) };
  const refusal = beyond(actor, actorOf("", reach));
  if (refusal !== undefined) return refusal;
  const bound: IdentityRequest = { ...request, ...reach };
  return house.change(() => {
    const created = house.row("SELECT 1 FROM identities WHERE name = ?", name) === undefined;
    house.run("INSERT OR REPLACE INTO identities (name, doc) VALUES (?, ?)", name, JSON.stringify(bound));
    audit(house, actor, "identity.put", `identities/${name}`, origin);
    return { ok: true, value: { created, identity: { ...bound, name } } };
  });
}

export function identity(house: House, name: string): Answer<NamedIdentity> {
  const row = house.row<{ doc: string }>("SELECT doc FROM identities WHERE name = ?", name);
  return row === undefined
    ? { ok: false, code: "not_found" }
    : { ok: true, value: { ...(JSON.parse(row.doc) as IdentityRequest), name } };
}

export function removeIdentity(house: House, actor: Actor, name: string, origin: Origin): Answer<null> {
  return house.change(() => {
    if (house.row("SELECT 1 FROM identities WHERE name = ?", name) === undefined)
      return { ok: false, code: "not_found" };
    house.run("DELETE FROM identities WHERE name = ?", name);
    audit(house, actor, "identity.remove", `identities/${name}`, origin);
    return { ok: true, value: null };
  });
}

export function audiences(house: House, issuer: string): string[] {
  const bound = house
    .rows<{ doc: string }>("SELECT doc FROM identities")
    .map(({ doc }) => JSON.parse(doc) as IdentityRequest);
  return [...new Set(bound.filter((b) => b.issuer === issuer).map((b) => b.audience))];
}

/** One line for every act that changes something. Call inside `house.change`. */
export function audit(house: House, actor: Actor, act: string, subject: string, origin: Origin): void {
  const from = origin.ip ?? origin.place;
  const entry: AuditEntry = {
    at: rfc3339(house.now()),
    actor: actor.name,
    act,
    subject,
    ...(from === undefined ? {} : { origin: from }),
  };
  house.run("INSERT INTO audit (at, doc) VALUES (?, ?)", house.now(), JSON.stringify(entry));
}

export function auditTrail(house: House, query: { cursor?: string; limit?: number }): Page<AuditEntry> {
  const before = query.cursor === undefined ? Number.MAX_SAFE_INTEGER : Number.parseInt(query.cursor, 10) || 0;
  const limit = query.limit ?? 100;
  const rows = house.rows<{ id: number; doc: string }>(
    "SELECT id, doc FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
    before,
    limit,
  );
  const items = rows.map(({ doc }) => JSON.parse(doc) as AuditEntry);
  const last = rows.at(-1);
  return rows.length === limit && last !== undefined ? { items, cursor: String(last.id) } : { items };
}
