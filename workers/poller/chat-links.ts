/**
 * People in chat who may use this connection. An owner makes a code, the person types it in their workspace, and from then on
 * the platform's word for who is typing is their credential here. Both sides see who was linked; the owner can end it.
 */
import { sha256Hex } from "../../shared/bytes.ts";
import { rfc3339, systemRandom } from "../../shared/clock.ts";
import { CHAT_SCOPES, type ChatCode, type ChatCodeRequest, type ChatLink } from "../../shared/contract/chat.ts";
import type { Answer, Origin, Page } from "../../shared/contract/rpc.ts";
import { type Actor, audit, reaches } from "./access.ts";
import type { House } from "./house.ts";

export interface Person {
  /** The platform's own id. */
  id: string;
  name: string;
}

type Granted = Pick<ChatLink, "role" | "scopes" | "systems" | "invitedBy">;
interface StoredLink extends Omit<ChatLink, "createdAt" | "revokedAt"> {
  createdAt: number;
  revokedAt?: number;
}

const CODE_LIFE_MS = 10 * 60_000;
/** Without letters that look like digits, and without `u`. */
const ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_CHARACTERS = 12;
/** A code says where it belongs: the connection's name, a dot, and 60 random bits. */
const CODE = /^([a-z0-9][a-z0-9-]{0,62})\.([0-9A-Za-z]{12})$/;

export const chatActor = (workspace: string, user: string): string => `chat:${workspace}:${user}`;

/** Which connection a code is for; undefined for what cannot be a code. Costs nothing. */
export const connectionOfCode = (code: string): string | undefined => CODE.exec(code)?.[1];

/** A code counts in one workspace only, so it is worth nothing where somebody else might see it. */
const hashOf = (workspace: string, code: string): Promise<string> => {
  const [, connection, secret = ""] = CODE.exec(code) ?? [];
  return sha256Hex(`${workspace} ${connection} ${secret.toUpperCase()}`);
};

export async function addCode(
  house: House,
  actor: Actor,
  { workspace, role, scopes, systems = actor.systems }: ChatCodeRequest,
  origin: Origin,
): Promise<Answer<ChatCode>> {
  if (!reaches(actor, systems)) {
    const message = "names a system that your own credential may not use";
    return { ok: false, code: "invalid", errors: [{ field: "/systems", message }] };
  }
  const secret = [...systemRandom(CODE_CHARACTERS)].map((byte) => ALPHABET.charAt(byte & 31)).join("");
  const code = `${house.name}.${secret}`;
  const hash = await hashOf(workspace, code);
  const expiresAt = house.now() + CODE_LIFE_MS;
  const granted: Granted = {
    role: role ?? "member",
    scopes: [...(scopes ?? CHAT_SCOPES)],
    invitedBy: actor.name,
    ...(systems === undefined ? {} : { systems }),
  };
  house.change(() => {
    house.run("DELETE FROM chat_codes WHERE expires_at <= ?", house.now());
    house.run(
      "INSERT INTO chat_codes (hash, expires_at, doc) VALUES (?, ?, ?)",
      hash,
      expiresAt,
      JSON.stringify(granted),
    );
    audit(house, actor, "chat-code.add", `workspaces/${workspace}`, origin);
  });
  return { ok: true, value: { code, command: `/hpc connect ${code}`, workspace, expiresAt: rfc3339(expiresAt) } };
}

/** A code works once. A person who is linked already gets what the new code grants instead. */
export async function link(
  house: House,
  workspace: string,
  person: Person,
  code: string,
  origin: Origin = {},
): Promise<Answer<ChatLink>> {
  const hash = await hashOf(workspace, code);
  return house.change((): Answer<ChatLink> => {
    const now = house.now();
    const row = house.row<{ doc: string }>("SELECT doc FROM chat_codes WHERE hash = ? AND expires_at > ?", hash, now);
    if (row === undefined) return { ok: false, code: "not_found" };
    house.run("DELETE FROM chat_codes WHERE hash = ?", hash);
    revokeRow(house, standingLink(house, workspace, person.id));
    const stored: StoredLink = {
      ...(JSON.parse(row.doc) as Granted),
      id: house.id("lnk"),
      workspace,
      user: person.id,
      userName: person.name,
      createdAt: now,
    };
    house.run(
      "INSERT INTO chat_links (id, workspace, user, revoked, doc) VALUES (?, ?, ?, 0, ?)",
      stored.id,
      workspace,
      person.id,
      JSON.stringify(stored),
    );
    audit(house, { name: chatActor(workspace, person.id) }, "chat-link.add", `chat-links/${stored.id}`, origin);
    return { ok: true, value: view(stored) };
  });
}

export function standingLink(house: House, workspace: string, user: string): StoredLink | undefined {
  const row = house.row<{ doc: string }>(
    "SELECT doc FROM chat_links WHERE workspace = ? AND user = ? AND revoked = 0",
    workspace,
    user,
  );
  return row === undefined ? undefined : (JSON.parse(row.doc) as StoredLink);
}

export function list(house: House): Page<ChatLink> {
  const rows = house.rows<{ doc: string }>("SELECT doc FROM chat_links ORDER BY id DESC LIMIT 1000");
  return { items: rows.map(({ doc }) => view(JSON.parse(doc) as StoredLink)) };
}

export function revoke(house: House, actor: Actor, id: string, origin: Origin): Answer<null> {
  return house.change((): Answer<null> => {
    const row = house.row<{ doc: string }>("SELECT doc FROM chat_links WHERE id = ?", id);
    if (row === undefined) return { ok: false, code: "not_found" };
    revokeRow(house, JSON.parse(row.doc) as StoredLink);
    audit(house, actor, "chat-link.revoke", `chat-links/${id}`, origin);
    return { ok: true, value: null };
  });
}

/** The person's own wish. */
export function unlink(house: House, workspace: string, user: string, origin: Origin = {}): void {
  house.change(() => {
    const stored = standingLink(house, workspace, user);
    if (stored === undefined) return;
    revokeRow(house, stored);
    audit(house, { name: chatActor(workspace, user) }, "chat-link.revoke", `chat-links/${stored.id}`, origin);
  });
}

function revokeRow(house: House, stored: StoredLink | undefined): void {
  if (stored === undefined || stored.revokedAt !== undefined) return;
  const revoked = { ...stored, revokedAt: house.now() };
  house.run("UPDATE chat_links SET revoked = 1, doc = ? WHERE id = ?", JSON.stringify(revoked), stored.id);
}

function view({ createdAt, revokedAt, ...rest }: StoredLink): ChatLink {
  return {
    ...rest,
    createdAt: rfc3339(createdAt),
    ...(revokedAt === undefined ? {} : { revokedAt: rfc3339(revokedAt) }),
  };
}
