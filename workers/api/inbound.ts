/** The public door: is this request from the sender that the hook knows, and what does it say? */
import { sha256Hex } from "../../shared/bytes.ts";
import type { Hook } from "../../shared/contract/hook.ts";
import type { OpenedHook } from "../../shared/contract/poller-api.ts";
import { ConnectionName, PlainName } from "../../shared/contract/words.ts";
import type { Inbound } from "../../shared/domain/hook.ts";
import { inRange, parseAddress, parseRange } from "../../shared/egress/address.ts";
import { Problem } from "../../shared/problem.ts";
import type { Oidc } from "../../shared/webhooks/oidc.ts";
import { verifyInbound } from "../../shared/webhooks/verifiers/index.ts";
import { bearerToken } from "./auth.ts";
import { isJson } from "./body.ts";
import type { Deps } from "./deps.ts";
import { addressOf } from "./limits.ts";

/** Opened secrets are kept this long, so that a revoked one stops working within it. */
const OPENED_FOR_MS = 5_000;
const MAX_OPENED = 500;

export interface Verified {
  hook: Hook;
  /** What makes a repeat a repeat; absent where each request stands for itself. */
  messageId?: string;
  claims: Record<string, unknown>;
}

export type Verification =
  | { ok: true; verified: Verified }
  | { ok: false; code: "unauthorized" | "unavailable"; reason: string };

export interface Door {
  verify(connection: string, name: string, request: Request, rawBody: Uint8Array): Promise<Verification>;
  /** After a hook was changed through this Worker: its next request sees the change at once. */
  forget(connection: string, name: string): void;
}

export function createDoor(deps: Deps, oidc: Oidc): Door {
  const opened = new Map<string, { until: number; opened: OpenedHook }>();

  async function open(connection: string, name: string): Promise<OpenedHook | undefined> {
    if (!ConnectionName.safeParse(connection).success || !PlainName.safeParse(name).success) return undefined;
    const place = `${connection}/${name}`;
    const kept = opened.get(place);
    if (kept !== undefined && kept.until > deps.now()) return kept.opened;
    opened.delete(place);
    const fresh = await deps.poller.openHook(connection, name);
    if (fresh === undefined) return undefined;
    const oldest = opened.keys().next();
    if (opened.size >= MAX_OPENED && !oldest.done) opened.delete(oldest.value);
    opened.set(place, { until: deps.now() + OPENED_FOR_MS, opened: fresh });
    return fresh;
  }

  return {
    async verify(connection, name, request, rawBody) {
      const known = await open(connection, name);
      if (known === undefined) return refuse("unknown_hook");
      const { hook, secrets } = known;
      if (!isAllowedFrom(hook, request)) return refuse("address_not_allowed");
      if (hook.source === "oidc") return verifyToken(hook, request, oidc);
      const verdict = await verifyInbound(hook, {
        headers: request.headers,
        rawBody,
        nowSeconds: Math.floor(deps.now() / 1000),
        secrets,
      });
      if (!verdict.ok) return refuse(verdict.reason);
      const messageId = verdict.messageId ?? (await standInFor(hook, verdict.timestampSeconds, rawBody));
      return { ok: true, verified: { hook, claims: {}, ...(messageId !== undefined && { messageId }) } };
    },
    forget: (connection, name) => void opened.delete(`${connection}/${name}`),
  };
}

const refuse = (reason: string): Verification => ({ ok: false, code: "unauthorized", reason });

async function verifyToken(hook: Hook, request: Request, oidc: Oidc): Promise<Verification> {
  const token = bearerToken(request);
  if (token === undefined || hook.oidc === undefined)
    return refuse(token === undefined ? "no_bearer_token" : "not_configured");
  const { issuer, audience, claims } = hook.oidc;
  const verdict = await oidc.verify(token, { issuer, audiences: [audience], claims });
  if (verdict.ok)
    return {
      ok: true,
      verified: { hook, claims: { ...verdict.claims }, ...(verdict.jti !== undefined && { messageId: verdict.jti }) },
    };
  return verdict.reason === "keys_unavailable"
    ? { ok: false, code: "unavailable", reason: verdict.reason }
    : refuse(verdict.reason);
}

/**
 * A signed request that names no message can be copied and sent again by whoever sees it, so its content stands in for the
 * name. Senders that show a token could send anything anyway: there each request means what it says.
 */
async function standInFor(
  hook: Hook,
  timestampSeconds: number | undefined,
  rawBody: Uint8Array,
): Promise<string | undefined> {
  if (hook.source === "bearer" || hook.source === "gitlab") return undefined;
  const digest = await sha256Hex(rawBody);
  return timestampSeconds === undefined ? `sha256:${digest}` : `sha256:${digest}@${timestampSeconds}`;
}

function isAllowedFrom(hook: Hook, request: Request): boolean {
  if (hook.allowFrom === undefined) return true;
  const address = parseAddress(addressOf(request) ?? "");
  return (
    address !== undefined &&
    hook.allowFrom.map(parseRange).some((range) => range !== undefined && inRange(address, range))
  );
}

const FORM = /^application\/x-www-form-urlencoded *(;|$)/i;

/** Throws Problem for a content type that no hook reads; asked before anything is looked up. */
export function requireReadable(request: Request): void {
  const type = request.headers.get("content-type");
  if (type === null || isJson(request) || FORM.test(type)) return;
  throw new Problem("unsupported_media_type", {
    detail: "Send application/json or application/x-www-form-urlencoded.",
  });
}

/** Undefined for what is not UTF-8: put right, it would be another text, and could be thrice as long as what was let in. */
export function textOf(rawBody: Uint8Array): string | undefined {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(rawBody);
  } catch {
    return undefined;
  }
}

/** What the mapping sees of a verified request; undefined where the body is not what its content type says. */
export function readInbound(
  rawBody: Uint8Array,
  request: { headers: Headers },
  claims: Record<string, unknown>,
): Inbound | undefined {
  const headers = Object.fromEntries(request.headers);
  const isForm = FORM.test(headers["content-type"] ?? "");
  const text = textOf(rawBody);
  const body = text === undefined ? undefined : readInboundBody(text, isForm);
  return body && { ...body, headers, claims };
}

/** GitHub and chat platforms put JSON into one form field called `payload`; that JSON is the body then. */
function readInboundBody(text: string, isForm: boolean): Pick<Inbound, "body" | "bodyIsText"> | undefined {
  if (text === "") return { body: undefined };
  if (!isForm) return parsed(text);
  const fields = new URLSearchParams(text);
  const payload = fields.get("payload");
  return (payload === null ? undefined : parsed(payload)) ?? { body: Object.fromEntries(fields), bodyIsText: true };
}

function parsed(text: string): { body: unknown } | undefined {
  try {
    return { body: JSON.parse(text) };
  } catch {
    return undefined;
  }
}

/** A stored body without its content type: JSON if it is JSON, else a form. */
export function readStored(text: string): Pick<Inbound, "body" | "bodyIsText"> {
  return readInboundBody(text, false) ?? readInboundBody(text, true) ?? { body: undefined };
}
