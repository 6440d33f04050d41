/** Hooks: how to verify a sender, what to filter, which parameters to take, what to start. */

import { sha256Hex } from "../../../shared/bytes.ts";
import { Hook, HookOutcome, HookRequestBody, InboundRequest } from "../../../shared/contract/hook.ts";
import type { FieldProblem } from "../../../shared/contract/rpc.ts";
import { PageQuery, pageOf, z } from "../../../shared/contract/words.ts";
import { checkHook, type Inbound, type Mapped, mapInbound, resultOf } from "../../../shared/domain/hook.ts";
import { parseRange } from "../../../shared/egress/address.ts";
import { newId } from "../../../shared/ids.ts";
import { Problem } from "../../../shared/problem.ts";
import { parsePublicKey } from "../../../shared/webhooks/ed25519.ts";
import { parseSecret } from "../../../shared/webhooks/standard.ts";
import { schemeProblem } from "../../../shared/webhooks/verifiers/hmac.ts";
import { hashBearerToken } from "../../../shared/webhooks/verifiers/token.ts";
import { given, json, noContent } from "../answers.ts";
import type { OpenCall, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";
import { type Door, readStored } from "../inbound.ts";
import { newName } from "./connections.ts";
import { outcomeOf } from "./door.ts";

const tag = "Hooks";
const hooks = "/v1/connections/{c}/hooks";
const hook = `${hooks}/{name}` as const;
const shape = { description: "The hook, without its secrets.", schema: Hook, example: EXAMPLE.hook };

const DryRunRequest = z
  .strictObject({
    body: z.unknown().optional(),
    headers: z.record(z.string().max(64), z.string().max(4096)).optional(),
    claims: z.record(z.string().max(128), z.unknown()).optional(),
  })
  .openapi("HookDryRunRequest");

const Scalar = z.union([z.string(), z.number(), z.boolean()]);
const DryRunResult = z
  .object({
    outcome: z.enum(["job", "transfer", "filtered", "refused"]),
    params: z.record(z.string(), Scalar),
    request: z.unknown().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })),
  })
  .openapi("HookDryRun");

export function hookRoutes({ guarded }: Routes, door: Door): void {
  guarded(
    {
      id: "putHook",
      method: "put",
      path: hook,
      tag,
      summary: "Make a hook, or replace it",
      description:
        'Parameters are typed and named; `"{param}"` may stand as a whole value under `env`, `labels`, `name`, `resources`, `inputs[]`, `outputs[].{path,key}` and a transfer\'s `path` and `key`. What could not work is refused here, not when the first request comes.',
      scope: "hooks:admin",
      body: HookRequestBody,
      bodyExample: EXAMPLE.hookRequest,
      answers: { 201: { ...shape, description: "Made." }, 200: { ...shape, description: "Replaced." } },
    },
    async ({ tracker, caller, connection, params, body, origin, publicUrl }) => {
      const name = newName(params.name);
      const errors = [...checkHook(body), ...checkSender(body)];
      if (errors.length > 0)
        throw new Problem("invalid", { detail: `${errors[0]?.field} ${errors[0]?.message}`, errors });
      const { created, hook: saved } = given(await tracker.putHook(caller, name, await sealable(body), origin));
      door.forget(connection, name);
      return json(created ? 201 : 200, seen(saved, connection, publicUrl));
    },
  );

  guarded(
    {
      id: "listHooks",
      method: "get",
      path: hooks,
      tag,
      summary: "All hooks",
      scope: "hooks:admin",
      answers: { 200: { description: "All hooks.", schema: pageOf(Hook) } },
    },
    async ({ tracker, caller, connection, publicUrl }) => {
      const page = given(await tracker.hooks(caller));
      return json(200, { ...page, items: page.items.map((item) => seen(item, connection, publicUrl)) });
    },
  );

  guarded(
    {
      id: "getHook",
      method: "get",
      path: hook,
      tag,
      summary: "One hook",
      scope: "hooks:admin",
      answers: { 200: shape },
    },
    async ({ tracker, caller, connection, params, publicUrl }) =>
      json(200, seen(given(await tracker.hook(caller, params.name)), connection, publicUrl)),
  );

  guarded(
    {
      id: "deleteHook",
      method: "delete",
      path: hook,
      tag,
      summary: "Remove a hook",
      scope: "hooks:admin",
      answers: { 204: { description: "Removed." } },
    },
    async ({ tracker, caller, connection, params, origin }) => {
      given(await tracker.removeHook(caller, params.name, origin));
      door.forget(connection, params.name);
      return noContent();
    },
  );

  guarded(
    {
      id: "dryRunHook",
      method: "post",
      path: `${hook}/dry-run`,
      tag,
      summary: "See what a request would start",
      description: "Without a body the hook's sample is taken. Nothing is stored and nothing is started.",
      scope: "hooks:admin",
      body: DryRunRequest,
      bodyOptional: true,
      bodyExample: { body: { ref: "refs/heads/main" }, headers: { "x-github-event": "push" } },
      answers: { 200: { description: "What the mapping made of it.", schema: DryRunResult } },
    },
    async ({ tracker, caller, params, body }) => {
      const saved = given(await tracker.hook(caller, params.name));
      const headers = Object.fromEntries(
        Object.entries(body.headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]),
      );
      return json(
        200,
        told(mapInbound(saved, { body: body.body ?? saved.sample, headers, claims: body.claims ?? {} })),
      );
    },
  );

  guarded(
    {
      id: "listHookRequests",
      method: "get",
      path: `${hook}/requests`,
      tag,
      summary: "What came in through a hook",
      scope: "hooks:admin",
      query: PageQuery,
      answers: { 200: { description: "A page, newest first.", schema: pageOf(InboundRequest) } },
    },
    async ({ tracker, caller, params, query }) =>
      json(200, given(await tracker.hookRequests(caller, params.name, query))),
  );

  guarded(
    {
      id: "getHookRequest",
      method: "get",
      path: `${hook}/requests/{request}`,
      tag,
      summary: "One stored request with its body",
      scope: "hooks:admin",
      answers: { 200: { description: "The request; bodies are kept 7 days.", schema: InboundRequest } },
    },
    async ({ tracker, caller, params }) =>
      json(200, given(await tracker.hookRequest(caller, params.name, params.request))),
  );

  guarded(
    {
      id: "replayHookRequest",
      method: "post",
      path: `${hook}/requests/{request}/replay`,
      tag,
      summary: "Send a stored request through the hook as it is now",
      description:
        "Starts something new. The stored body is used; headers and tokens are not stored, so parameters that read them need a default.",
      scope: "hooks:admin",
      answers: {
        202: {
          description: "Accepted.",
          schema: HookOutcome,
          example: EXAMPLE.hookOutcome,
          headers: { Location: "Where the job or transfer is read." },
        },
        200: { description: "Stopped by the hook's filter.", schema: HookOutcome },
      },
    },
    async (call) => {
      const { tracker, caller, params, origin, deps } = call;
      const name = params.name;
      const saved = given(await tracker.hook(caller, name));
      const { body } = given(await tracker.hookRequest(caller, name, params.request));
      if (body === undefined) throw new Problem("gone", { detail: "The body of this request is no longer kept." });
      const inbound: Inbound = { ...readStored(body), headers: {}, claims: {} };
      const messageId = newId("replay", deps.now(), deps.random);
      const accepted = await tracker.acceptFromHook(name, {
        messageId,
        bodySha256: await sha256Hex(body),
        body,
        origin,
        result: resultOf(mapInbound(saved, inbound)),
      });
      return outcomeOf(call, given(accepted));
    },
  );
}

const seen = (saved: Hook, connection: string, publicUrl: OpenCall["publicUrl"]): Hook => ({
  ...saved,
  url: `${publicUrl}/hooks/${connection}/${saved.name}`,
});

function told(mapped: Mapped): z.infer<typeof DryRunResult> {
  const { params, problems, composed } = mapped;
  return {
    outcome: resultOf(mapped).outcome,
    params,
    ...(composed !== undefined && { request: composed }),
    errors: problems,
  };
}

/** What can be said of secrets and addresses before the first request comes. */
function checkSender({ source, secrets, hmac, allowFrom }: HookRequestBody): FieldProblem[] {
  const wantsKeys = source === "standard-webhooks";
  const isKey = (secret: string): boolean =>
    parseSecret(secret) !== undefined || (wantsKeys && parsePublicKey(secret) !== undefined);
  const unreadable = (secrets ?? []).flatMap((secret, i) =>
    (wantsKeys || (source === "gitlab" && secret.startsWith("whsec_"))) && !isKey(secret)
      ? [
          {
            field: `/secrets/${i}`,
            message: "must be whsec_ and the base64 of 24 to 64 bytes, or whpk_ and a public key",
          },
        ]
      : [],
  );
  const scheme = hmac && schemeProblem(hmac);
  return [
    ...(source !== "oidc" && (secrets ?? []).length === 0
      ? [{ field: "/secrets", message: "is required: without a secret nobody could be believed" }]
      : []),
    ...unreadable,
    ...(scheme === undefined ? [] : [{ field: "/hmac", message: scheme }]),
    ...(allowFrom ?? []).flatMap((range, i) =>
      parseRange(range) === undefined
        ? [{ field: `/allowFrom/${i}`, message: "must be a CIDR such as 192.0.2.0/24" }]
        : [],
    ),
  ];
}

/** A bearer token is kept as its hash: nothing at rest can be shown as the token. */
async function sealable(body: HookRequestBody): Promise<HookRequestBody> {
  if (body.source !== "bearer" || body.secrets === undefined) return body;
  return { ...body, secrets: await Promise.all(body.secrets.map(hashBearerToken)) };
}
