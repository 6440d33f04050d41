/**
 * The half of the Tracker's entrances that is about the connection itself and who may use it: its making and removal, keys,
 * identities, people in chat, the audit.
 */
import { DurableObject } from "cloudflare:workers";
import type { Caller, IdentityRequest, KeyRequest, Scope } from "../../shared/contract/access.ts";
import type { ChatCodeRequest } from "../../shared/contract/chat.ts";
import type { ConnectionRequest } from "../../shared/contract/connection.ts";
import type { Answer, Origin, Refusal } from "../../shared/contract/rpc.ts";
import * as access from "./access.ts";
import * as chatLinks from "./chat-links.ts";
import * as connections from "./connections.ts";
import type { Env } from "./env.ts";
import type { OpenInvitation } from "./invitations.ts";
import * as invitations from "./invitations.ts";
import { metrics } from "./metrics.ts";
import { NOT_FOUND, Rooms } from "./rooms.ts";

/** Outside of the tables, which a removed connection does not have. */
const spentKey = (invitation: string): string => `spent/${invitation}`;
const ok = <T>(value: T) => ({ ok: true as const, value });

export abstract class TrackerAccess extends DurableObject<Env> {
  protected readonly rooms: Rooms;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.rooms = new Rooms(state, env);
  }

  async create(caller: Caller, name: string, request: ConnectionRequest, origin: Origin) {
    const admitted = await this.#admitCreator(caller);
    if (!admitted.ok) return admitted;
    const { actor, invitation } = admitted.value;
    return connections.create(this.rooms.desk, actor, name, request, origin, invitation);
  }

  /** A connection that does not exist yet is made by the administrator, or by whom they invited. */
  async #admitCreator(
    caller: Caller,
  ): Promise<{ ok: true; value: { actor: access.Actor; invitation?: OpenInvitation } } | Refusal> {
    if (caller.kind !== "invitation" || this.rooms.exists()) {
      const admitted = this.rooms.admitCreator(caller);
      return admitted.ok ? { ok: true, value: { actor: admitted.value } } : admitted;
    }
    const { seal, house } = this.rooms;
    const invitation = await invitations.open(seal, house.name, caller.invitation, house.now());
    const isSpent = invitation !== undefined && (await this.ctx.storage.get(spentKey(invitation.id))) !== undefined;
    if (invitation === undefined || isSpent) return { ok: false, code: "unauthorized" };
    return { ok: true, value: { actor: { name: `invitation:${invitation.id}` }, invitation } };
  }

  async describe(caller: Caller) {
    return this.rooms.with(caller, "jobs:read", () => ok(connections.describe(this.rooms.desk)));
  }

  async remove(caller: Caller, force: boolean, origin: Origin): Promise<Answer<null>> {
    return this.rooms.with(caller, "connection:admin", async (actor) => {
      const answer = await connections.remove(this.rooms.desk, actor, force, origin);
      if (!answer.ok) return answer;
      const invitation = connections.invitedBy(this.rooms.house);
      await this.ctx.storage.deleteAll();
      if (invitation !== undefined) await this.ctx.storage.put(spentKey(invitation.id), invitation.expiresAt);
      return answer;
    });
  }

  async authorize(caller: Caller, scope: Scope, system?: string): Promise<Answer<{ actor: string }>> {
    if (caller.kind === "invitation" && scope === "connection:admin") {
      const invited = await this.#admitCreator(caller);
      return invited.ok ? { ok: true, value: { actor: invited.value.actor.name } } : invited;
    }
    const admitted = this.rooms.admit(caller, scope, system);
    return admitted.ok ? { ok: true, value: { actor: admitted.value.name } } : admitted;
  }

  async audiences(issuer: string): Promise<string[]> {
    return this.rooms.exists() ? access.audiences(this.rooms.house, issuer) : [];
  }

  async metrics(caller: Caller) {
    return this.rooms.with(caller, "jobs:read", () => ok(metrics(this.rooms.desk)));
  }

  async webhookKeys() {
    return this.rooms.exists() ? connections.webhookKeys(this.rooms.house) : undefined;
  }

  async addKey(caller: Caller, request: KeyRequest, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      access.addKey(this.rooms.house, actor, request, origin),
    );
  }

  async keys(caller: Caller) {
    return this.rooms.with(caller, "connection:admin", () => ok(access.listKeys(this.rooms.house)));
  }

  async revokeKey(caller: Caller, id: string, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      access.revokeKey(this.rooms.house, actor, id, origin),
    );
  }

  async putIdentity(caller: Caller, name: string, request: IdentityRequest, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      access.putIdentity(this.rooms.house, actor, name, request, origin),
    );
  }

  async identity(caller: Caller, name: string) {
    return this.rooms.with(caller, "connection:admin", () => access.identity(this.rooms.house, name));
  }

  async removeIdentity(caller: Caller, name: string, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      access.removeIdentity(this.rooms.house, actor, name, origin),
    );
  }

  async audit(caller: Caller, query: { cursor?: string; limit?: number }) {
    return this.rooms.with(caller, "connection:admin", () => ok(access.auditTrail(this.rooms.house, query)));
  }

  // -------------------------------------------------------------------------------------------------- people in chat

  async addChatCode(caller: Caller, request: ChatCodeRequest, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      chatLinks.addCode(this.rooms.house, actor, request, origin),
    );
  }

  async chatLinks(caller: Caller) {
    return this.rooms.with(caller, "connection:admin", () => ok(chatLinks.list(this.rooms.house)));
  }

  async revokeChatLink(caller: Caller, id: string, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      chatLinks.revoke(this.rooms.house, actor, id, origin),
    );
  }

  /** From the poller Worker only, for a person whom the platform has vouched for. */
  async linkPerson(workspace: string, person: chatLinks.Person, code: string) {
    return this.rooms.exists() ? chatLinks.link(this.rooms.house, workspace, person, code) : NOT_FOUND;
  }

  async unlinkPerson(workspace: string, user: string): Promise<void> {
    if (this.rooms.exists()) chatLinks.unlink(this.rooms.house, workspace, user);
  }
}
