/** The poller's chat half in memory, as far as an entrance can see it: secrets are opened, requests are written down. */
import { sha256Hex, toBase64 } from "../../../shared/bytes.ts";
import type { ChatAnswer, ChatInbound, OpenedWorkspace, Workspace } from "../../../shared/contract/chat.ts";
import type { PollerApi, Refusal } from "../../../shared/contract/rpc.ts";
import { AT } from "./fake-tracker.ts";

const NOT_FOUND: Refusal = { ok: false, code: "not_found" };

type ChatApi = Pick<
  PollerApi,
  "putWorkspace" | "workspace" | "removeWorkspace" | "workspaceLinks" | "openWorkspace" | "chat"
>;

export class FakeWorkspaces implements ChatApi {
  readonly held = new Map<string, { workspace: Workspace; opened: OpenedWorkspace }>();
  readonly heard: { workspace: string; inbound: ChatInbound }[] = [];
  /** What the next request is answered. */
  says: ChatAnswer = {};
  opened = 0;

  putWorkspace: PollerApi["putWorkspace"] = async (name, request) => {
    const created = !this.held.has(name);
    const workspace: Workspace = {
      name,
      platform: request.platform,
      apiUrl: request.apiUrl ?? "https://slack.com/api",
      requestUrl: `https://firewatch.test/chat/${name}/${request.platform}`,
      people: 0,
      createdAt: AT,
      changedAt: AT,
      ...(request.platform === "slack" ? { team: request.team } : {}),
    };
    const actionKey = toBase64(new Uint8Array(32).fill(name.length));
    const opened: OpenedWorkspace =
      request.platform === "slack"
        ? { platform: "slack", team: request.team, signingSecrets: request.signingSecrets, actionKey }
        : { platform: "mattermost", tokenHashes: await Promise.all(request.commandTokens.map(sha256Hex)), actionKey };
    this.held.set(name, { workspace, opened });
    return { ok: true, value: { created, workspace } };
  };
  workspace: PollerApi["workspace"] = async (name) => {
    const found = this.held.get(name);
    return found === undefined ? NOT_FOUND : { ok: true, value: found.workspace };
  };
  removeWorkspace: PollerApi["removeWorkspace"] = async (name) =>
    this.held.delete(name) ? { ok: true, value: null } : NOT_FOUND;
  workspaceLinks: PollerApi["workspaceLinks"] = async (name) =>
    this.held.has(name) ? { ok: true, value: { items: [] } } : NOT_FOUND;
  openWorkspace: PollerApi["openWorkspace"] = async (name) => {
    this.opened++;
    return this.held.get(name)?.opened;
  };
  chat: PollerApi["chat"] = async (workspace, inbound) => {
    this.heard.push({ workspace, inbound });
    return this.says;
  };
}
