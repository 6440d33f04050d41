/** The Tracker's entrances for people in chat: who of them may use its connection. */
import type { Caller } from "../../shared/contract/access.ts";
import type { ChatCodeRequest } from "../../shared/contract/chat.ts";
import { NOT_FOUND, type Origin } from "../../shared/contract/rpc.ts";
import { Administration } from "./administration.ts";
import * as chatLinks from "./chat-links.ts";
import { shareStored } from "./chat-shares.ts";
import { jobRecord } from "./jobs.ts";
import { providedFor } from "./limits.ts";

export abstract class ChatEntrances extends Administration {
  async addChatCode(caller: Caller, request: ChatCodeRequest, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      chatLinks.addCode(this.rooms.house, actor, request, origin),
    );
  }

  async chatLinks(caller: Caller) {
    return this.rooms.with(caller, "connection:admin", () => ({
      ok: true as const,
      value: chatLinks.list(this.rooms.house),
    }));
  }

  async revokeChatLink(caller: Caller, id: string, origin: Origin) {
    return this.rooms.with(caller, "connection:admin", (actor) =>
      chatLinks.revoke(this.rooms.house, actor, id, origin),
    );
  }

  async shareStored(caller: Caller, transferIds: readonly string[], origin: Origin) {
    return this.rooms.with(caller, "transfers:read", (actor) =>
      shareStored(this.rooms.desk, actor, transferIds, origin),
    );
  }

  async provided(caller: Caller, id: string) {
    return this.rooms.with(caller, "jobs:read", (actor) => {
      const record = this.rooms.ofJob(actor, id) ? jobRecord(this.rooms.house, id) : undefined;
      return this.rooms.value(record && providedFor(this.rooms.house, record));
    });
  }

  /** From the poller Worker only, for a person whom the platform has vouched for. */
  async linkPerson(workspace: string, person: chatLinks.Person, code: string, origin: Origin) {
    return this.rooms.exists() ? chatLinks.link(this.rooms.house, workspace, person, code, origin) : NOT_FOUND;
  }

  async unlinkPerson(workspace: string, user: string, origin: Origin): Promise<void> {
    if (this.rooms.exists()) chatLinks.unlink(this.rooms.house, workspace, user, origin);
  }
}
