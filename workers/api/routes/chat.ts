/**
 * Where chat platforms send what people type and press. Who sends is proven here, on the raw body; what is asked is done by the
 * poller Worker, which answers within the platform's time. Everybody else gets one and the same 401.
 */

import { readMattermost } from "../../../shared/chat/mattermost-in.ts";
import { readSlack } from "../../../shared/chat/slack-in.ts";
import { type OpenedWorkspace, WorkspaceName } from "../../../shared/contract/chat.ts";
import { z } from "../../../shared/contract/words.ts";
import { Problem, ProblemBody } from "../../../shared/problem.ts";
import { verifyInbound } from "../../../shared/webhooks/verifiers/index.ts";
import { json, text } from "../answers.ts";
import { readBytes } from "../body.ts";
import type { Deps } from "../deps.ts";
import type { Facts, OpenCall, Routes } from "../endpoint.ts";
import { addressOf, HOOKS, spend } from "../limits.ts";

const tag = "Chat";
/** Room for the longest form of a modal, percent-encoded; nothing that people type comes near. */
const MAX_BODY_BYTES = 512 * 1024;
const FORM = /^application\/x-www-form-urlencoded *(;|$)/i;

/** Opened secrets are kept this long, so that a removed one stops working within it. */
const OPENED_FOR_MS = 5_000;
const MAX_OPENED = 200;

const answers = {
  200: { description: "What the platform shows, or nothing.", schema: z.record(z.string(), z.unknown()) },
  401: {
    description: "Not from the platform of any such workspace.",
    schema: ProblemBody,
    contentType: "application/problem+json",
  },
};

export function chatRoutes({ open }: Routes, deps: Deps): void {
  const opened = createOpened(deps);

  open(
    {
      id: "receiveSlack",
      method: "post",
      path: "/chat/{w}/slack",
      tag,
      summary: "Commands, buttons and forms of a Slack workspace",
      description: "Signed by Slack. Answers within its three seconds; what takes longer follows by itself.",
      rawBody: "application/x-www-form-urlencoded",
      answers,
    },
    async (call) => {
      const { rawBody, body, isForm } = await received(call);
      // Slack asks from time to time whether the certificate is good, and signs nothing then.
      if (isForm && new URLSearchParams(body).get("ssl_check") === "1") return new Response(null, { status: 200 });
      const workspace = await opened(call.params.w);
      if (workspace?.platform !== "slack") throw stranger(call.facts, "unknown_workspace");
      const verdict = await verifyInbound(
        { source: "slack" },
        {
          headers: call.request.headers,
          rawBody,
          nowSeconds: Math.floor(deps.now() / 1000),
          secrets: workspace.signingSecrets,
        },
      );
      if (!verdict.ok) throw stranger(call.facts, verdict.reason);
      const read = await readSlack(body, isForm, workspace.actionKey);
      if (read === undefined) throw new Problem("invalid", { detail: "This is not what Slack sends." });
      if (read.kind === "challenge") return text(read.challenge);
      if (read.kind === "nothing") return new Response(null, { status: 200 });
      // One app may be installed in several teams, and all have the same signing secret.
      if (!read.teams.includes(workspace.team)) throw stranger(call.facts, "another_team");
      return answerOf(await deps.poller.chat(call.params.w, read.inbound));
    },
  );

  open(
    {
      id: "receiveMattermost",
      method: "post",
      path: "/chat/{w}/mattermost",
      tag,
      summary: "Commands and buttons of a Mattermost server",
      description: "A command shows its token; a button carries what only this deployment can have made.",
      rawBody: "application/x-www-form-urlencoded",
      answers,
    },
    async (call) => {
      const { body, isForm } = await received(call);
      const workspace = await opened(call.params.w);
      if (workspace?.platform !== "mattermost") throw stranger(call.facts, "unknown_workspace");
      const inbound = await readMattermost(body, isForm, workspace);
      if (inbound === undefined) throw stranger(call.facts, "bad_token");
      return answerOf(await deps.poller.chat(call.params.w, inbound));
    },
  );
}

type ChatCall = OpenCall<unknown, { w: string }>;

async function received({ request, params, deps }: ChatCall) {
  await spend(deps.hooks, HOOKS, `chat ${params.w} ${addressOf(request) ?? ""}`);
  const rawBody = await readBytes(request, MAX_BODY_BYTES);
  const isForm = FORM.test(request.headers.get("content-type") ?? "");
  return { rawBody, body: new TextDecoder().decode(rawBody), isForm };
}

const answerOf = ({ body }: { body?: unknown }): Response =>
  body === undefined ? new Response(null, { status: 200 }) : json(200, body);

/** The reason is for the log: outside, an unknown workspace and a bad signature look the same. */
function stranger(facts: Facts, reason: string): Problem {
  facts.reason = reason;
  return new Problem("unauthorized");
}

function createOpened(deps: Deps): (name: string) => Promise<OpenedWorkspace | undefined> {
  const kept = new Map<string, { until: number; workspace: OpenedWorkspace }>();
  return async (name) => {
    if (!WorkspaceName.safeParse(name).success) return undefined;
    const known = kept.get(name);
    if (known !== undefined && known.until > deps.now()) return known.workspace;
    kept.delete(name);
    const workspace = await deps.poller.openWorkspace(name);
    if (workspace === undefined) return undefined;
    const oldest = kept.keys().next();
    if (kept.size >= MAX_OPENED && !oldest.done) kept.delete(oldest.value);
    kept.set(name, { until: deps.now() + OPENED_FOR_MS, workspace });
    return workspace;
  };
}
