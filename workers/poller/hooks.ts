/** Hooks and the requests that came through them. */

import { rfc3339 } from "../../shared/clock.ts";
import type { Hook, HookMapping, HookOutcome, HookRequestBody, InboundRequest } from "../../shared/contract/hook.ts";
import type { OpenedHook } from "../../shared/contract/poller-api.ts";
import {
  type Answer,
  type FieldProblem,
  NOT_FOUND,
  type Origin,
  type Page,
  type Refusal,
  type VerifiedInbound,
} from "../../shared/contract/rpc.ts";
import type { Seal } from "../../shared/seal.ts";
import { type Desk, prepareJob, prepareTransfer } from "./accept.ts";
import { type Actor, admit, audit, reaches } from "./access.ts";
import type { House } from "./house.ts";
import { pageOf } from "./page.ts";

interface StoredHook extends Omit<HookRequestBody, "secrets"> {
  secretCount: number;
  version?: number;
  createdAt: number;
  changedAt: number;
  /** What it starts runs on these systems only, where its maker may use no others. */
  systems?: string[];
}

const bindingOf = (house: House, name: string) => ({ purpose: "hook_secrets", connection: house.name, id: name });

export async function putHook(
  house: House,
  seal: Seal,
  actor: Actor,
  name: string,
  request: HookRequestBody,
  origin: Origin,
): Promise<Answer<{ created: boolean; hook: Hook }>> {
  const { secrets = [], ...definition } = request;
  const sealed = await seal.seal(JSON.stringify(secrets), bindingOf(house, name));
  return house.change((): Answer<{ created: boolean; hook: Hook }> => {
    const before = stored(house, name);
    if (before !== undefined && !reaches(actor, before.systems)) {
      return { ok: false, code: "forbidden", detail: "This hook is for systems that your credential may not use." };
    }
    const now = house.now();
    const hook: StoredHook = {
      ...definition,
      secretCount: secrets.length,
      version: nextVersion(house, name, definition),
      createdAt: before?.createdAt ?? now,
      changedAt: now,
      ...(actor.systems === undefined ? {} : { systems: actor.systems }),
    };
    house.run("INSERT OR REPLACE INTO hooks (name, doc, secrets) VALUES (?, ?, ?)", name, JSON.stringify(hook), sealed);
    audit(house, actor, "hook.put", `hooks/${name}`, origin);
    return { ok: true, value: { created: before === undefined, hook: viewHook(house, name, hook) } };
  });
}

/** Keeps what the hook will make of messages under a number that no earlier hook of this name had. */
function nextVersion(house: House, name: string, { filter, dedupe, params, target }: HookMapping): number {
  const last = house.row<{ n: number | null }>("SELECT max(version) AS n FROM hook_versions WHERE hook = ?", name)?.n;
  const version = (last ?? 0) + 1;
  retireVersions(house, name);
  house.run(
    "INSERT INTO hook_versions (hook, version, doc) VALUES (?, ?, ?)",
    name,
    version,
    JSON.stringify({ filter, dedupe, params, target }),
  );
  return version;
}

const retireVersions = (house: House, name: string): void =>
  house.run("UPDATE hook_versions SET replaced_at = ? WHERE hook = ? AND replaced_at IS NULL", house.now(), name);

export function hookVersion(house: House, actor: Actor, name: string, version: number): Answer<HookMapping> {
  if (!mayReadRequests(house, actor, name)) return NOT_FOUND;
  const row = house.row<{ doc: string }>("SELECT doc FROM hook_versions WHERE hook = ? AND version = ?", name, version);
  return row === undefined ? NOT_FOUND : { ok: true, value: JSON.parse(row.doc) as HookMapping };
}

export function listHooks(house: House, actor: Actor): Page<Hook> {
  const rows = house.rows<{ name: string; doc: string }>("SELECT name, doc FROM hooks ORDER BY name");
  const hooks = rows.map(({ name, doc }) => ({ name, hook: JSON.parse(doc) as StoredHook }));
  return {
    items: hooks
      .filter(({ name, hook }) => reaches(actor, hook.systems) && (actor.hooks?.includes(name) ?? true))
      .map(({ name, hook }) => viewHook(house, name, hook)),
  };
}

export function hookOf(house: House, actor: Actor, name: string): Answer<Hook> {
  const hook = theirs(house, actor, name);
  return hook === undefined ? NOT_FOUND : { ok: true, value: viewHook(house, name, hook) };
}

export function removeHook(house: House, actor: Actor, name: string, origin: Origin): Answer<null> {
  return house.change((): Answer<null> => {
    if (theirs(house, actor, name) === undefined) return NOT_FOUND;
    house.run("DELETE FROM hooks WHERE name = ?", name);
    retireVersions(house, name);
    audit(house, actor, "hook.remove", `hooks/${name}`, origin);
    return { ok: true, value: null };
  });
}

/** A hook that this caller may see and change. */
function theirs(house: House, actor: Actor, name: string): StoredHook | undefined {
  const hook = stored(house, name);
  return hook !== undefined && reaches(actor, hook.systems) ? hook : undefined;
}

/** With its secrets opened, for verifying one request in api. */
export async function openHook(house: House, seal: Seal, name: string): Promise<OpenedHook | undefined> {
  const row = house.row<{ doc: string; secrets: string }>("SELECT doc, secrets FROM hooks WHERE name = ?", name);
  if (row === undefined) return undefined;
  const secrets = JSON.parse(await seal.open(row.secrets, bindingOf(house, name))) as string[];
  return { hook: viewHook(house, name, JSON.parse(row.doc) as StoredHook), secrets };
}

function stored(house: House, name: string): StoredHook | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM hooks WHERE name = ?", name);
  return row === undefined ? undefined : (JSON.parse(row.doc) as StoredHook);
}

function viewHook(house: House, name: string, { createdAt, changedAt, systems: _, ...hook }: StoredHook): Hook {
  return {
    ...hook,
    name,
    url: `${house.env.PUBLIC_URL ?? ""}/hooks/${house.name}/${name}`,
    createdAt: rfc3339(createdAt),
    changedAt: rfc3339(changedAt),
  } as Hook;
}

// --------------------------------------------------------------------------------------------------------------- inbound

type Taken = Answer<{ answer: HookOutcome; replayed: boolean }>;

interface StoredMessage {
  body_sha256: string;
  doc: string;
}

interface StoredInbound {
  outcome: HookOutcome | { outcome: "refused"; problem: string; code: string };
  messageId?: string;
  headers?: Record<string, string>;
  claims?: Record<string, unknown>;
  version?: number;
}

/**
 * Takes a verified, mapped request once: its row and what it starts are one transaction, so a hundred copies make one job and
 * get one answer.
 */
export async function acceptFromHook(desk: Desk, name: string, inbound: VerifiedInbound): Promise<Taken> {
  const { house } = desk;
  const admitted = admit(house, { kind: "hook", name }, "jobs:write");
  if (!admitted.ok) return admitted;
  const hook = stored(house, name);
  // Removed since it was opened: what it was restricted to is gone with it.
  if (hook === undefined) return { ok: false, code: "unauthorized" };
  const { systems } = hook;
  const actor: Actor = systems === undefined ? admitted.value : { ...admitted.value, systems };
  const { result, origin, bodySha256 } = inbound;
  const requestId = house.id("req");
  // A sender that names no message means each request anew (a person with curl).
  const message = inbound.messageId ?? requestId;
  const earlier = (): Taken | undefined => {
    const row = house.row<StoredMessage>(
      "SELECT body_sha256, doc FROM inbound WHERE hook = ? AND message = ?",
      name,
      message,
    );
    return row && replayed(row, bodySha256);
  };
  const before = earlier();
  if (before !== undefined) return before;

  const keep = (key: string, outcome: StoredInbound["outcome"]) =>
    keepInbound(house, { id: requestId, hook: name, message: key }, inbound, outcome);
  const take = (make: () => Answer<HookOutcome>): Taken =>
    house.change(() => {
      const raced = earlier();
      if (raced !== undefined) return raced;
      const made = make();
      // What cannot be taken now is on record for the hook's owner, but not as the message's answer: it may be sent again.
      if (made.ok) keep(message, made.value);
      else keep(requestId, refusedAs(made));
      return made.ok ? { ok: true, value: { answer: made.value, replayed: false } } : made;
    });
  const started = (what: Pick<HookOutcome, "jobId" | "transferId">, subject: string): Answer<HookOutcome> => ({
    ok: true,
    value: { requestId, outcome: "accepted", ...what, url: urlOf(house, subject) },
  });

  switch (result.outcome) {
    case "filtered":
      return take(() => ({ ok: true, value: { requestId, outcome: "filtered" } }));
    case "refused": {
      const refusal: Refusal = { ok: false, code: "invalid", errors: result.errors };
      house.change(() => earlier() ?? keep(message, refusedAs(refusal)));
      return refusal;
    }
    case "job": {
      const prepared = await prepareJob(desk, actor, result.request, { origin });
      return take(() => {
        const made = prepared.ok ? prepared.make() : prepared;
        return made.ok ? started({ jobId: made.value.id }, `jobs/${made.value.id}`) : made;
      });
    }
    case "transfer": {
      const prepared = await prepareTransfer(desk, actor, result.request, { origin });
      return take(() => {
        const made = prepared.ok ? prepared.make() : prepared;
        return made.ok ? started({ transferId: made.value.id }, `transfers/${made.value.id}`) : made;
      });
    }
  }
}

/** Call inside `house.change`. */
function keepInbound(
  house: House,
  { id, hook, message }: { id: string; hook: string; message: string },
  { messageId, headers, claims, version, bodySha256, body }: VerifiedInbound,
  outcome: StoredInbound["outcome"],
): void {
  const doc: StoredInbound = {
    outcome,
    ...(messageId === undefined ? {} : { messageId }),
    ...(headers === undefined ? {} : { headers }),
    ...(claims === undefined || Object.keys(claims).length === 0 ? {} : { claims }),
    ...(version === undefined ? {} : { version }),
  };
  house.run(
    "INSERT INTO inbound (id, hook, message, body_sha256, at, doc, body) VALUES (?, ?, ?, ?, ?, ?, ?)",
    id,
    hook,
    message,
    bodySha256,
    house.now(),
    JSON.stringify(doc),
    body,
  );
}

const refusedAs = ({ code, detail, errors }: Refusal): StoredInbound["outcome"] => ({
  outcome: "refused",
  problem: errors === undefined ? (detail ?? code) : inWords(errors),
  code,
});

const inWords = (errors: FieldProblem[]): string =>
  errors.map(({ field, message }) => `${field} ${message}`).join("; ");

const urlOf = (house: House, subject: string): string =>
  `${house.env.PUBLIC_URL ?? ""}/v1/connections/${house.name}/${subject}`;

function replayed(row: StoredMessage, bodySha256: string): Taken {
  if (row.body_sha256 !== bodySha256)
    return { ok: false, code: "idempotency_mismatch", detail: "This message id was used with another body." };
  const { outcome } = JSON.parse(row.doc) as StoredInbound;
  if (outcome.outcome === "refused") return { ok: false, code: "invalid", detail: outcome.problem };
  return { ok: true, value: { answer: outcome, replayed: true } };
}

export function hookRequests(
  house: House,
  actor: Actor,
  name: string,
  query: { cursor?: string; limit?: number },
): Answer<Page<InboundRequest>> {
  if (!mayReadRequests(house, actor, name) || !isRemembered(house, name)) return NOT_FOUND;
  const limit = query.limit ?? 50;
  const rows = house.rows<InboundRow>(
    "SELECT id, hook, at, doc, NULL AS body FROM inbound WHERE hook = ? AND id < ? ORDER BY id DESC LIMIT ?",
    name,
    query.cursor ?? "req_~",
    limit,
  );
  return { ok: true, value: pageOf(rows, limit, viewInbound) };
}

/** There, or there before and with requests still kept. */
const isRemembered = (house: House, name: string): boolean =>
  stored(house, name) !== undefined ||
  house.row("SELECT 1 AS found FROM inbound WHERE hook = ? LIMIT 1", name) !== undefined;

/** Requests outlive their hook; then only those who may see everything may see them. */
const mayReadRequests = (house: House, actor: Actor, name: string): boolean =>
  actor.systems === undefined || theirs(house, actor, name) !== undefined;

export function hookRequest(house: House, actor: Actor, name: string, id: string): Answer<InboundRequest> {
  if (!mayReadRequests(house, actor, name)) return NOT_FOUND;
  const row = house.row<InboundRow>("SELECT id, hook, at, doc, body FROM inbound WHERE hook = ? AND id = ?", name, id);
  return row === undefined ? NOT_FOUND : { ok: true, value: viewInbound(row) };
}

interface InboundRow {
  id: string;
  hook: string;
  at: number;
  doc: string;
  body: string | null;
}

function viewInbound(row: InboundRow): InboundRequest {
  const { outcome, messageId, headers, claims, version } = JSON.parse(row.doc) as StoredInbound;
  return {
    id: row.id,
    hook: row.hook,
    at: rfc3339(row.at),
    outcome: outcome.outcome,
    ...(messageId === undefined ? {} : { messageId }),
    ...("jobId" in outcome && outcome.jobId !== undefined ? { jobId: outcome.jobId } : {}),
    ...("transferId" in outcome && outcome.transferId !== undefined ? { transferId: outcome.transferId } : {}),
    ...("problem" in outcome ? { problem: outcome.problem } : {}),
    ...(row.body === null ? {} : { body: row.body }),
    ...(headers === undefined || row.body === null ? {} : { headers }),
    ...(claims === undefined || row.body === null ? {} : { claims }),
    ...(version === undefined ? {} : { version }),
  };
}
