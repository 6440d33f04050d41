/** Chat workspaces, for the operator; and the people in them who may use a connection, for its owner. */

import { slackManifest } from "../../../shared/chat/slack-manifest.ts";
import {
  ChatCode,
  ChatCodeRequest,
  ChatLink,
  Workspace,
  WorkspaceLink,
  WorkspaceName,
  WorkspaceRequest,
} from "../../../shared/contract/chat.ts";
import { pageOf, z } from "../../../shared/contract/words.ts";
import { invalidInput, Problem } from "../../../shared/problem.ts";
import { given, json, noContent } from "../answers.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";

const tag = "Chat";
const workspace = "/v1/workspaces/{w}";
const connection = "/v1/connections/{c}";

export function workspaceRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "putWorkspace",
      method: "put",
      path: workspace,
      tag,
      summary: "Let a Slack or Mattermost workspace in, or change it",
      description: "Secrets go in and are sealed; no answer ever holds them. Links of people stay as they are.",
      scope: "admin",
      body: WorkspaceRequest,
      bodyExample: EXAMPLE.workspaceRequest,
      answers: {
        201: { description: "Made.", schema: Workspace, example: EXAMPLE.workspace },
        200: { description: "Changed.", schema: Workspace },
      },
    },
    async ({ deps, params, body, origin }) => {
      const name = newWorkspace(params.w);
      const { created, workspace: made } = given(await deps.poller.putWorkspace(name, body, origin));
      return json(created ? 201 : 200, made);
    },
  );

  guarded(
    {
      id: "getWorkspace",
      method: "get",
      path: workspace,
      tag,
      summary: "One workspace, without its secrets",
      scope: "admin",
      answers: { 200: { description: "The workspace.", schema: Workspace, example: EXAMPLE.workspace } },
    },
    async ({ deps, params }) => json(200, given(await deps.poller.workspace(knownWorkspace(params.w)))),
  );

  guarded(
    {
      id: "deleteWorkspace",
      method: "delete",
      path: workspace,
      tag,
      summary: "Remove a workspace and what it remembers",
      description: "Nobody in it can do anything from then on. Links stay on record at their connections.",
      scope: "admin",
      answers: { 204: { description: "Removed." } },
    },
    async ({ deps, params, origin }) => {
      given(await deps.poller.removeWorkspace(knownWorkspace(params.w), origin));
      return noContent();
    },
  );

  guarded(
    {
      id: "listWorkspaceLinks",
      method: "get",
      path: `${workspace}/links`,
      tag,
      summary: "Who in a workspace is linked to which connection",
      scope: "admin",
      answers: { 200: { description: "The newest thousand.", schema: pageOf(WorkspaceLink) } },
    },
    async ({ deps, params }) => json(200, given(await deps.poller.workspaceLinks(knownWorkspace(params.w)))),
  );

  guarded(
    {
      id: "getSlackManifest",
      method: "get",
      path: `${workspace}/slack-manifest`,
      tag,
      summary: "The Slack app of a workspace, to be pasted into Slack",
      description: "Before the workspace is made: Slack shows the secrets for it when the app is there.",
      scope: "admin",
      answers: {
        200: { description: "An app manifest.", schema: z.record(z.string(), z.unknown()) },
      },
    },
    ({ params, publicUrl }) => json(200, slackManifest(publicUrl, knownWorkspace(params.w))),
  );

  guarded(
    {
      id: "createChatCode",
      method: "post",
      path: `${connection}/chat-codes`,
      tag,
      summary: "Make a one-time code with which a person in chat links themself",
      description:
        "The person types `/hpc connect <code>` in that workspace, once and within ten minutes, and from then on acts there with a link of their own. A `member` acts on jobs that they start or watch from chat, an `owner` on every job.",
      scope: "connection:admin",
      body: ChatCodeRequest,
      bodyExample: EXAMPLE.chatCodeRequest,
      answers: { 201: { description: "Made.", schema: ChatCode, example: EXAMPLE.chatCode } },
    },
    async (call) => {
      const { tracker, caller, body, origin } = call;
      await requireKnown(call, body.workspace);
      return json(201, given(await tracker.addChatCode(caller, body, origin)));
    },
  );

  guarded(
    {
      id: "listChatLinks",
      method: "get",
      path: `${connection}/chat-links`,
      tag,
      summary: "People in chat who are, or were, linked to this connection",
      scope: "connection:admin",
      answers: { 200: { description: "Newest first.", schema: pageOf(ChatLink) } },
    },
    async ({ tracker, caller }) => json(200, given(await tracker.chatLinks(caller))),
  );

  guarded(
    {
      id: "revokeChatLink",
      method: "delete",
      path: `${connection}/chat-links/{id}`,
      tag,
      summary: "End a person's link",
      scope: "connection:admin",
      answers: { 204: { description: "Ended, at once." } },
    },
    async ({ tracker, caller, params, origin }) => {
      given(await tracker.revokeChatLink(caller, params.id, origin));
      return noContent();
    },
  );
}

/** A code for a workspace that is not there would never work: better said now, to those who may ask at all. */
async function requireKnown(call: Call, name: string): Promise<void> {
  await requireScope(call, "connection:admin");
  if ((await call.deps.poller.openWorkspace(name)) !== undefined) return;
  const errors = [{ field: "/workspace", message: "is not a workspace of this deployment" }];
  throw new Problem("invalid", { errors, detail: "/workspace is not a workspace of this deployment" });
}

/** No Workspace is ever called by a name that none can have. Throws Problem. */
function knownWorkspace(name: string): string {
  if (!WorkspaceName.safeParse(name).success) throw new Problem("not_found");
  return name;
}

function newWorkspace(name: string): string {
  const named = z.object({ name: WorkspaceName }).safeParse({ name });
  if (!named.success) throw invalidInput(named.error, { name });
  return named.data.name;
}
