/** The Tracker's entrances that have to do with hooks. */
import type { Caller } from "../../shared/contract/access.ts";
import type { HookRequestBody } from "../../shared/contract/hook.ts";
import type { OpenedHook } from "../../shared/contract/poller-api.ts";
import type { Origin, Started, VerifiedInbound } from "../../shared/contract/rpc.ts";
import { ANY_HOOK } from "./access.ts";
import { ChatEntrances } from "./chat-entrances.ts";
import { targetProblems } from "./examine.ts";
import * as hooks from "./hooks.ts";
import { preview } from "./preview.ts";

export abstract class HookEntrances extends ChatEntrances {
  async putHook(caller: Caller, name: string, request: HookRequestBody, origin: Origin) {
    const { house, seal, desk } = this.rooms;
    return this.rooms.with(
      caller,
      "hooks:admin",
      async (actor) => {
        const errors = targetProblems(desk, actor, request.target);
        return errors.length > 0
          ? ({ ok: false, code: "invalid", errors } as const)
          : hooks.putHook(house, seal, actor, name, request, origin);
      },
      name,
    );
  }

  async hooks(caller: Caller) {
    return this.rooms.with(
      caller,
      "hooks:admin",
      (actor) => ({
        ok: true as const,
        value: hooks.listHooks(this.rooms.house, actor),
      }),
      ANY_HOOK,
    );
  }

  async hook(caller: Caller, name: string) {
    return this.rooms.with(caller, "hooks:admin", (actor) => hooks.hookOf(this.rooms.house, actor, name), name);
  }

  async removeHook(caller: Caller, name: string, origin: Origin) {
    return this.rooms.with(
      caller,
      "hooks:admin",
      (actor) => hooks.removeHook(this.rooms.house, actor, name, origin),
      name,
    );
  }

  async hookRequests(caller: Caller, name: string, query: { cursor?: string; limit?: number }) {
    return this.rooms.with(
      caller,
      "hooks:admin",
      (actor) => hooks.hookRequests(this.rooms.house, actor, name, query),
      name,
    );
  }

  async hookRequest(caller: Caller, name: string, id: string) {
    return this.rooms.with(
      caller,
      "hooks:admin",
      (actor) => hooks.hookRequest(this.rooms.house, actor, name, id),
      name,
    );
  }

  async hookVersion(caller: Caller, name: string, version: number) {
    return this.rooms.with(
      caller,
      "hooks:admin",
      (actor) => hooks.hookVersion(this.rooms.house, actor, name, version),
      name,
    );
  }

  async preview(caller: Caller, started: Started) {
    return this.rooms.with(caller, "hooks:admin", (actor) => preview(this.rooms.desk, actor, started), ANY_HOOK);
  }

  async acceptFromHook(hook: string, inbound: VerifiedInbound) {
    if (!this.rooms.exists()) return { ok: false as const, code: "unauthorized" as const };
    return hooks.acceptFromHook(this.rooms.desk, hook, inbound);
  }

  /** From a Worker of this deployment: never reachable over HTTP. */
  async openHook(name: string): Promise<OpenedHook | undefined> {
    return this.rooms.exists() ? hooks.openHook(this.rooms.house, this.rooms.seal, name) : undefined;
  }
}
