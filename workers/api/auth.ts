/**
 * Who is asking. The entrance reads the credential and says whose it is; whether that one may do it is the Tracker's answer.
 * Refusals are one vague word to the caller and an exact reason in the log.
 */
import { hashApiKey, looksLikeApiKey, parseApiKey } from "../../shared/api-key.ts";
import { sameSecret } from "../../shared/bytes.ts";
import type { Caller } from "../../shared/contract/access.ts";
import { INVITATION_PREFIX } from "../../shared/contract/connection.ts";
import { ConnectionName } from "../../shared/contract/words.ts";
import { issuerOf, type Oidc } from "../../shared/webhooks/oidc.ts";
import type { Deps } from "./deps.ts";

export type Identified =
  | { ok: true; caller: Caller }
  | { ok: false; code: "unauthorized" | "forbidden" | "unavailable"; reason: string };

const unauthorized = (reason: string): Identified => ({ ok: false, code: "unauthorized", reason });

/** `connection` is the one in the address; undefined on routes that belong to the deployment. */
export async function identify(
  request: Request,
  connection: string | undefined,
  deps: Deps,
  oidc: Oidc,
): Promise<Identified> {
  const token = bearerToken(request);
  if (token === undefined) return unauthorized("no_bearer_token");
  // Whether it is one, and still counts, is for whoever can open it.
  if (token.startsWith(INVITATION_PREFIX))
    return connection === undefined
      ? unauthorized("invitation_elsewhere")
      : { ok: true, caller: { kind: "invitation", invitation: token } };
  if (looksLikeApiKey(token)) return identifyKey(token, connection, deps);
  if (await sameSecret(token, deps.adminToken)) return { ok: true, caller: { kind: "admin" } };
  return connection === undefined ? unauthorized("unknown_token") : identifyJwt(token, connection, deps, oidc);
}

/** The token of `Authorization: Bearer …` (RFC 6750), at most 16 KiB. */
export function bearerToken(request: Request): string | undefined {
  return /^Bearer +([\x21-\x7e]{1,16384}) *$/i.exec(request.headers.get("authorization") ?? "")?.[1];
}

async function identifyKey(token: string, connection: string | undefined, deps: Deps): Promise<Identified> {
  const key = parseApiKey(token);
  if (key === undefined) return unauthorized("malformed_api_key");
  const caller: Caller = { kind: "key", hash: await hashApiKey(token) };
  if (key.connection === connection) return { ok: true, caller };
  // A key of another connection gets a 403 only if it is one: its own Tracker knows.
  const atHome = await deps.tracker(key.connection).authorize(caller, "jobs:read");
  const isLive = atHome.ok || atHome.code === "forbidden";
  return isLive
    ? { ok: false, code: "forbidden", reason: "key_of_another_connection" }
    : unauthorized("unknown_api_key");
}

async function identifyJwt(token: string, connection: string, deps: Deps, oidc: Oidc): Promise<Identified> {
  const issuer = issuerOf(token);
  if (issuer === undefined) return unauthorized("unknown_token");
  // No Tracker is ever called by a name that no connection can have.
  if (!ConnectionName.safeParse(connection).success) return unauthorized("unbound_issuer");
  // An issuer that nobody bound is not asked for keys: anybody could name anything.
  const audiences = await deps.tracker(connection).audiences(issuer);
  if (audiences.length === 0) return unauthorized("unbound_issuer");
  const verdict = await oidc.verify(token, { issuer, audiences, claims: "decided_later" });
  if (verdict.ok) {
    const { aud } = verdict.claims;
    return { ok: true, caller: { kind: "oidc", issuer, audience: [aud ?? []].flat(), claims: { ...verdict.claims } } };
  }
  if (verdict.reason === "keys_unavailable") return { ok: false, code: "unavailable", reason: verdict.reason };
  return unauthorized(verdict.reason);
}
