/** The Tracker's entrances that have to do with chat: who may act from there, and which channels show what. */
import type { Caller } from "../../shared/contract/access.ts";
import type { ChatCodeRequest } from "../../shared/contract/chat.ts";
import type { ChatTarget, Origin } from "../../shared/contract/rpc.ts";
import { Administration } from "./administration.ts";
import * as follows from "./channels/follows.ts";
import * as chatLinks from "./chat-links.ts";
import { NOT_FOUND } from "./rooms.ts";

const ok = <T>(value: T) => ({ ok: true as const, value });

export abstract class ChatEntrances extends Administration {
  // -------------------------------------------------------------------------------------------------------- people

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

  // ------------------------------------------------------------------------------------------------------ channels

  /** Has a chat channel show a job, or everything. */
  async followInChat(caller: Caller, target: ChatTarget, origin: Origin) {
    return this.rooms.with(caller, "jobs:read", (actor) =>
      target.jobId === undefined || this.rooms.ofJob(actor, target.jobId)
        ? follows.followInChat(this.rooms.house, actor, target, origin)
        : NOT_FOUND,
    );
  }
}
