/** Trying a hook out: dry runs, the requests that came in, and sending them through the hook again. */
import { sha256Hex } from "../../../shared/bytes.ts";
import { FirecrestRequest, HookOutcome, HookRequestBody, InboundRequest } from "../../../shared/contract/hook.ts";
import { cursorOf, PageQuery, pageOf, RequestId, z } from "../../../shared/contract/words.ts";
import {
  changesBetween,
  checkHook,
  type Inbound,
  type Mapped,
  mapInbound,
  resultOf,
} from "../../../shared/domain/hook.ts";
import { newId } from "../../../shared/ids.ts";
import { Problem } from "../../../shared/problem.ts";
import { given, json } from "../answers.ts";
import type { Call, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";
import { type Door, readInbound, readStored } from "../inbound.ts";
import { outcomeOf } from "./door.ts";
import { hook } from "./hooks.ts";

const tag = "Hooks";

const DryRunRequest = z
  .strictObject({
    body: z.unknown().optional(),
    raw: z
      .string()
      .max(1_048_576)
      .optional()
      .describe("The body as it was sent, to the byte: then its proof is checked as well."),
    headers: z
      .record(
        z.string().regex(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$/, "is no name of a header"),
        z
          .string()
          .max(16_384)
          .regex(/^[^\u0000-\u0008\u000a-\u001f\u007f\u0100-\uffff]*$/, "cannot stand in a header"),
      )
      .optional(),
    claims: z.record(z.string().max(128), z.unknown()).optional(),
  })
  .openapi("HookDryRunRequest");

const Field = z.object({ field: z.string(), message: z.string() });
const Trial = z.object({
  outcome: z.enum(["job", "transfer", "filtered", "refused"]),
  params: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])),
  request: z.unknown().optional().describe("The job or transfer, as composed."),
  firecrest: z.array(FirecrestRequest).optional().describe("What FirecREST would be sent for it, in order."),
  errors: z.array(Field),
});
type Trial = z.infer<typeof Trial>;

const Verification = z.object({
  ok: z.boolean(),
  reason: z.string().optional().describe("Why it would not be believed. A sender is never told."),
  messageId: z.string().optional(),
});
const DryRunResult = Trial.extend({
  verification: Verification.optional().describe("Only where `raw` was given."),
}).openapi("HookDryRun");

const ReplayQuery = z.object({
  dry_run: z.enum(["1", "true"]).optional().describe("Answer what would be different, and do nothing."),
});
const ReplayRequest = z
  .strictObject({ hook: HookRequestBody.optional() })
  .describe("`hook`: compare with this one, before it is saved. For a dry run only.")
  .openapi("HookReplayRequest");
const Comparison = z
  .object({
    before: Trial.optional().describe("By the hook that took it; absent where that one is no longer kept."),
    after: Trial,
    changes: z.array(z.object({ field: z.string(), before: z.unknown().optional(), after: z.unknown().optional() })),
  })
  .openapi("HookComparison");

export function hookTrialRoutes({ guarded }: Routes, door: Door): void {
  guarded(
    {
      id: "dryRunHook",
      method: "post",
      path: `${hook}/dry-run`,
      tag,
      summary: "See what a request would start",
      description:
        "The verdicts of filter and parameters, the job or transfer, and the exact requests that FirecREST would get. Without a body the hook's sample is taken. Nothing is stored and nothing is started.",
      scope: "hooks:admin",
      body: DryRunRequest,
      bodyOptional: true,
      bodyExample: { body: { ref: "refs/heads/main" }, headers: { "x-github-event": "push" } },
      answers: { 200: { description: "What the hook made of it.", schema: DryRunResult } },
    },
    async (call) => {
      const { tracker, caller, params, body, connection } = call;
      const saved = given(await tracker.hook(caller, params.name));
      const headers = new Headers(body.headers ?? {});
      const claims = body.claims ?? {};
      if (body.raw === undefined) {
        const inbound = { body: body.body ?? saved.sample, headers: Object.fromEntries(headers), claims };
        return json(200, await tried(call, mapInbound(saved, inbound)));
      }
      const rawBody = new TextEncoder().encode(body.raw);
      const sent = new Request("https://door.invalid/", { method: "POST", headers });
      const verdict = await door.verify(connection, params.name, sent, rawBody);
      const verified = verdict.ok ? { ...verdict.verified.claims } : claims;
      const inbound = readInbound(rawBody, { headers }, verified);
      const { messageId } = verdict.ok ? verdict.verified : {};
      return json(200, {
        verification: verdict.ok
          ? { ok: true, ...(messageId !== undefined && { messageId }) }
          : { ok: false, reason: verdict.reason },
        ...(await tried(call, inbound === undefined ? UNREADABLE : mapInbound(saved, inbound))),
      });
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
      query: PageQuery.extend({ cursor: cursorOf(RequestId) }),
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
        "Starts something new. Body, claims and the headers that matter are stored; proofs are not, and are not asked for again. `?dry_run=1` starts nothing and says what the hook makes of the request now, what it made of it then, and where the two differ; with `hook` in the body, what that one would make of it.",
      scope: "hooks:admin",
      query: ReplayQuery,
      body: ReplayRequest,
      bodyOptional: true,
      answers: {
        202: {
          description: "Accepted.",
          schema: HookOutcome,
          example: EXAMPLE.hookOutcome,
          headers: { Location: "Where the job or transfer is read." },
        },
        200: {
          description: "Stopped by the hook's filter, or the comparison of a dry run.",
          schema: z.union([HookOutcome, Comparison]),
        },
      },
    },
    async (call) => {
      const { tracker, caller, params, origin, deps, query, body } = call;
      const name = params.name;
      const stored = given(await tracker.hookRequest(caller, name, params.request));
      const inbound = inboundOf(stored);
      if (query.dry_run !== undefined) return json(200, await comparison(call, stored, inbound));
      if (body.hook !== undefined) {
        const message = "is for a dry run; save the hook first, or add ?dry_run=1";
        throw new Problem("invalid", { detail: `/hook ${message}`, errors: [{ field: "/hook", message }] });
      }
      const saved = given(await tracker.hook(caller, name));
      const accepted = await tracker.acceptFromHook(name, {
        messageId: newId("replay", deps.now(), deps.random),
        bodySha256: await sha256Hex(stored.body ?? ""),
        body: stored.body ?? "",
        headers: stored.headers ?? {},
        claims: stored.claims ?? {},
        ...(saved.version !== undefined && { version: saved.version }),
        origin,
        result: resultOf(mapInbound(saved, inbound)),
      });
      return outcomeOf(call, given(accepted));
    },
  );
}

const UNREADABLE: Mapped = { passed: true, params: {}, problems: [{ field: "", message: "must be JSON in UTF-8" }] };

/** Throws Problem where the body is no longer kept. */
function inboundOf({ body, headers = {}, claims = {} }: InboundRequest): Inbound {
  if (body === undefined)
    throw new Problem("gone", { detail: "The body of this request is no longer kept; bodies are kept for 7 days." });
  return { ...readStored(body), headers, claims };
}

type TrialCall = Pick<Call, "tracker" | "caller">;

/** What came of the mapping, and what FirecREST would be sent for it. */
async function tried({ tracker, caller }: TrialCall, mapped: Mapped): Promise<Trial> {
  const { params, problems, composed, request } = mapped;
  const far = request === undefined ? undefined : given(await tracker.preview(caller, request));
  const errors = [...problems, ...(far?.problems ?? [])];
  return {
    outcome: errors.length > 0 ? "refused" : resultOf(mapped).outcome,
    params,
    ...(composed !== undefined && { request: composed }),
    ...(far !== undefined && far.requests.length > 0 && { firecrest: far.requests }),
    errors,
  };
}

async function comparison(
  call: Call<unknown, z.infer<typeof ReplayRequest>, Record<"name", string>>,
  stored: InboundRequest,
  inbound: Inbound,
): Promise<z.infer<typeof Comparison>> {
  const { tracker, caller, params, body } = call;
  const problems = body.hook === undefined ? [] : checkHook(body.hook);
  const errors = problems.map(({ field, message }) => ({ field: `/hook${field}`, message }));
  if (errors[0] !== undefined)
    throw new Problem("invalid", { detail: `${errors[0].field} ${errors[0].message}`, errors });
  const now = body.hook ?? given(await tracker.hook(caller, params.name));
  const after = await tried(call, mapInbound(now, inbound));
  const then =
    stored.version === undefined ? undefined : await tracker.hookVersion(caller, params.name, stored.version);
  // It may be older than what is kept: then there is nothing to compare with.
  if (then === undefined || (!then.ok && then.code === "not_found")) return { after, changes: [] };
  const before = await tried(call, mapInbound(given(then), inbound));
  const compared = ({ outcome, params: values, request, errors: wrong }: Trial) => ({
    outcome,
    params: values,
    request,
    errors: wrong,
  });
  return { before, after, changes: changesBetween(compared(before), compared(after)) };
}
