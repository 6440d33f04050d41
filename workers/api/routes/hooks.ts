/** Hooks: how to verify a sender, what to filter, which parameters to take, what to start. */

import { Hook, HookRequestBody } from "../../../shared/contract/hook.ts";
import type { FieldProblem } from "../../../shared/contract/rpc.ts";
import { pageOf } from "../../../shared/contract/words.ts";
import { checkHook } from "../../../shared/domain/hook.ts";
import { parseRange } from "../../../shared/egress/address.ts";
import { Problem } from "../../../shared/problem.ts";
import { parsePublicKey } from "../../../shared/webhooks/ed25519.ts";
import { parseSecret } from "../../../shared/webhooks/standard.ts";
import { schemeProblem } from "../../../shared/webhooks/verifiers/hmac.ts";
import { hashBearerToken } from "../../../shared/webhooks/verifiers/token.ts";
import { given, json, noContent } from "../answers.ts";
import type { OpenCall, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";
import type { Door } from "../inbound.ts";
import { newName } from "./connections.ts";

const tag = "Hooks";
const hooks = "/v1/connections/{c}/hooks";
export const hook = `${hooks}/{name}` as const;
const shape = { description: "The hook, without its secrets.", schema: Hook, example: EXAMPLE.hook };

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
}

const seen = (saved: Hook, connection: string, publicUrl: OpenCall["publicUrl"]): Hook => ({
  ...saved,
  url: `${publicUrl}/hooks/${connection}/${saved.name}`,
});

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
