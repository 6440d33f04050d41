/** The Tracker's entrances for whoever administers its connection: the connection itself, its keys, identities and audit. */
import { DurableObject } from "cloudflare:workers";
import type { Caller, IdentityRequest, KeyRequest, Scope } from "../../shared/contract/access.ts";
import type { ConnectionRequest } from "../../shared/contract/connection.ts";
import type { Answer, Authorizing, Origin, Refusal } from "../../shared/contract/rpc.ts";
import * as access from "./access.ts";
import * as connections from "./connections.ts";
import type { Env } from "./env.ts";
import * as invitations from "./invitations.ts";
import { metrics } from "./metrics.ts";
import { officeOf } from "./office.ts";
import { type ResealedConnection, reseal } from "./reseal.ts";
import { ok, Rooms } from "./rooms.ts";
import { rotateSigningKey, webhookKeys } from "./signing.ts";

export abstract class Administration extends DurableObject<Env> {
  protected readonly rooms: Rooms;

  constructor(state: DurableObjectState, env: Env) {
    super(state, env);
    this.rooms = new Rooms(state, env);
  }

  async create(caller: Caller, name: string, request: ConnectionRequest, origin: Origin) {
    const admitted = await this.#admitCreator(caller);
    if (!admitted.ok) return admitted;
    const { actor, invitation } = admitted.value;
    const made = await connections.create(this.rooms.desk, actor, name, request, origin, invitation);
    if (invitation !== undefined && made.ok) await officeOf(this.env).used(invitation.id);
    return made;
  }

  /** A connection that does not exist yet is made by the administrator, or by whom they invited. */
  async #admitCreator(
    caller: Caller,
  ): Promise<{ ok: true; value: { actor: access.Actor; invitation?: invitations.OpenedInvitation } } | Refusal> {
    if (caller.kind !== "invitation" || this.rooms.exists()) {
      const admitted = this.rooms.admitCreator(caller);
      return admitted.ok ? { ok: true, value: { actor: admitted.value } } : admitted;
    }
    const { seal, house } = this.rooms;
    const invitation = await invitations.open(seal, house.name, caller.invitation, house.now());
    const isOpen = invitation !== undefined && (await officeOf(this.env).isOpen(invitation.id));
    if (invitation === undefined || !isOpen) return { ok: false, code: "unauthorized" };
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
      const { name } = this.rooms.house;
      // Its own audit goes with it; and what has made it must not make it again.
      const office = officeOf(this.env);
      if (invitation !== undefined) await office.used(invitation.id);
      await office.note({ actor: actor.name, act: "connection.remove", subject: `connections/${name}`, origin });
      await this.rooms.clear();
      await connections.unmark(this.rooms.house);
      return answer;
    });
  }

  async authorize(
    caller: Caller,
    scope: Scope,
    system?: string,
    { hook, doing }: Authorizing = {},
  ): Promise<Answer<{ actor: string }>> {
    if (caller.kind === "invitation" && scope === "connection:admin") {
      const invited = await this.#admitCreator(caller);
      return invited.ok ? { ok: true, value: { actor: invited.value.actor.name } } : invited;
    }
    const admitted = this.rooms.admit(caller, scope, system, hook);
    if (!admitted.ok) return admitted;
    this.rooms.recordDoing(admitted.value, doing);
    return ok({ actor: admitted.value.name });
  }

  async reseal(origin: Origin): Promise<ResealedConnection> {
    return this.rooms.exists()
      ? reseal(this.rooms.desk, origin)
      : { resealed: 0, unreadable: 0, more: false, staleLinks: { count: 0 } };
  }

  async audiences(issuer: string): Promise<string[]> {
    return this.rooms.exists() ? access.audiences(this.rooms.house, issuer) : [];
  }

  async metrics(caller: Caller) {
    return this.rooms.with(caller, "jobs:read", () => ok(metrics(this.rooms.desk)));
  }

  async webhookKeys() {
    return this.rooms.exists() ? webhookKeys(this.rooms.house) : undefined;
  }

  async rotateSigningKey(caller: Caller, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) => rotateSigningKey(this.rooms.desk, actor, origin));
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
}
