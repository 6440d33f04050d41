/**
 * Share links. A token is sealed, so that its holder learns nothing from it and nobody can make one up: inside are the
 * connection, which is how the door finds its Tracker, and a secret. Here is only the token's hash; this row alone decides.
 */
import { sha256Hex, toBase64Url } from "../../shared/bytes.ts";
import { rfc3339, systemRandom } from "../../shared/clock.ts";
import { LINK_SECONDS, type LinkRequest, type SharedObject, type ShareLink } from "../../shared/contract/link.ts";
import type { Answer, Origin, Page } from "../../shared/contract/rpc.ts";
import { ConnectionName, type PageQuery } from "../../shared/contract/words.ts";
import { type Seal, SealError } from "../../shared/seal.ts";
import type { Desk } from "./accept.ts";
import { type Actor, audit } from "./access.ts";
import type { House } from "./house.ts";
import { pageOf } from "./page.ts";

/** Where a token comes in, nothing is known of it yet: neither connection nor row can be part of what it is bound to. */
const TOKEN_BINDING = { purpose: "share_link", connection: "", id: "" };
const SECRET_BYTES = 16;
const MAX_TOKEN_CHARACTERS = 1_024;
/** Who opens a link is noted at most this often: a download in ranges is one opening. */
const NOTE_EVERY_MS = 3_600_000;

interface LinkRecord {
  id: string;
  key: string;
  etag?: string;
  actor: string;
  createdAt: number;
  expiresAt: number;
  openedAt?: number;
  /** The key that sealed its token: the link ends with it. */
  kid?: string;
}

export async function addLink(
  { house, seal }: Pick<Desk, "house" | "seal">,
  actor: Actor,
  request: LinkRequest,
  origin: Origin,
): Promise<Answer<{ link: ShareLink; token: string }>> {
  const token = await seal.seal(`${house.name} ${toBase64Url(systemRandom(SECRET_BYTES))}`, TOKEN_BINDING);
  const hash = await sha256Hex(token);
  const record: LinkRecord = {
    id: house.id("lnk"),
    key: request.key,
    actor: actor.name,
    createdAt: house.now(),
    kid: seal.current,
    expiresAt: house.now() + (request.expiresInSeconds ?? LINK_SECONDS.default) * 1000,
    ...(request.etag !== undefined && { etag: request.etag }),
  };
  return house.change(() => {
    house.run(
      "INSERT INTO links (id, hash, expires_at, doc) VALUES (?, ?, ?, ?)",
      record.id,
      hash,
      record.expiresAt,
      JSON.stringify(record),
    );
    audit(house, actor, "link.add", `links/${record.id}`, origin);
    return { ok: true, value: { link: viewLink(record), token } };
  });
}

/** Links that still open, newest first. */
export function listLinks(house: House, { cursor, limit = 50 }: PageQuery): Page<ShareLink> {
  const rows = house.rows<{ doc: string }>(
    "SELECT doc FROM links WHERE id < ? AND expires_at > ? ORDER BY id DESC LIMIT ?",
    cursor ?? "lnk_~",
    house.now(),
    limit,
  );
  return pageOf(rows, limit, ({ doc }) => viewLink(JSON.parse(doc) as LinkRecord));
}

export function removeLink(house: House, actor: Actor, id: string, origin: Origin): Answer<null> {
  return house.change(() => {
    if (house.rows("DELETE FROM links WHERE id = ? RETURNING 1", id).length === 0)
      return { ok: false, code: "not_found" };
    audit(house, actor, "link.remove", `links/${id}`, origin);
    return { ok: true, value: null };
  });
}

/** Undefined for whatever does not open, or does not open any more. */
export function openLink(house: House, hash: string, origin: Origin): SharedObject | undefined {
  const now = house.now();
  const row = house.row<{ doc: string }>("SELECT doc FROM links WHERE hash = ? AND expires_at > ?", hash, now);
  if (row === undefined) return undefined;
  const record = JSON.parse(row.doc) as LinkRecord;
  if (record.openedAt === undefined || now - record.openedAt >= NOTE_EVERY_MS) {
    house.change(() => {
      house.run("UPDATE links SET doc = ? WHERE id = ?", JSON.stringify({ ...record, openedAt: now }), record.id);
      audit(house, { name: `link:${record.id}` }, "link.open", `links/${record.id}`, origin);
    });
  }
  return { objectKey: `${house.name}/${record.key}`, ...(record.etag !== undefined && { etag: record.etag }) };
}

/** Which Tracker knows a token, and the hash that it knows it by. Undefined for a token that we did not make. */
export async function addressOfLink(
  seal: Seal,
  token: string,
): Promise<{ connection: string; hash: string } | undefined> {
  if (token.length > MAX_TOKEN_CHARACTERS) return undefined;
  try {
    const connection = ConnectionName.safeParse((await seal.open(token, TOKEN_BINDING)).split(" ")[0]);
    return connection.success ? { connection: connection.data, hash: await sha256Hex(token) } : undefined;
  } catch (error) {
    if (error instanceof SealError) return undefined;
    throw error;
  }
}

function viewLink({ id, key, etag, actor, createdAt, expiresAt, openedAt }: LinkRecord): ShareLink {
  return {
    id,
    key,
    ...(etag !== undefined && { etag }),
    createdBy: actor,
    createdAt: rfc3339(createdAt),
    expiresAt: rfc3339(expiresAt),
    ...(openedAt !== undefined && { lastOpenedAt: rfc3339(openedAt) }),
  };
}
