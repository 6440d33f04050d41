/** `POST /hooks/{c}/{name}`: verify on the raw body, map, hand over. No FirecREST call stands between a request and its answer. */
import { sha256Hex } from "../../../shared/bytes.ts";
import { HookOutcome } from "../../../shared/contract/hook.ts";
import type { VerifiedInbound } from "../../../shared/contract/rpc.ts";
import { ConnectionName, JobId, z } from "../../../shared/contract/words.ts";
import { type Inbound, identityOf, keptOf, mapInbound, readableParams, resultOf } from "../../../shared/domain/hook.ts";
import { Problem, ProblemBody } from "../../../shared/problem.ts";
import { given, json, noContent, text } from "../answers.ts";
import { readBytes } from "../body.ts";
import type { OpenCall, Routes } from "../endpoint.ts";
import { EXAMPLE } from "../examples.ts";
import { type Door, readInbound, requireReadable, textOf, type Verified } from "../inbound.ts";
import { addressOf, HOOKS, spend, type Tally } from "../limits.ts";

const DoorQuery = z.object({
  dry_run: z.enum(["1", "true"]).optional().describe("Answer what would happen, and do nothing."),
});

const DryRun = z
  .object({
    verified: z.literal(true),
    outcome: z.enum(["accepted", "filtered", "refused"]),
    params: z.array(z.string()),
  })
  .openapi("HookVerdict");

type DoorCall = OpenCall<unknown, { c: string }>;

const NOT_JSON: VerifiedInbound["result"] = {
  outcome: "refused",
  errors: [{ field: "", message: "must be JSON in UTF-8" }],
};

/** The one answer to everybody who is not believed, whatever the reason and whether there is such a hook or not. */
const NOT_BELIEVED =
  "No hook at this address believes this request. Check the address, the secret, what is signed, and the clock; the hook's owner can see more with a dry run.";

export function doorRoutes({ open }: Routes, door: Door, tally: Tally): void {
  open(
    {
      id: "receiveHook",
      method: "post",
      path: "/hooks/{c}/{name}",
      tag: "Hooks",
      summary: "Start what a hook starts",
      description:
        "For the sender that the hook knows: signed, or with its token. A repeated message gets its first answer. `?dry_run=1` says whether it would be let through and which parameters were found.",
      query: DoorQuery,
      rawBody: "application/json",
      answers: {
        202: {
          description: "Accepted.",
          schema: HookOutcome,
          example: EXAMPLE.hookOutcome,
          headers: { Location: "Where the job or transfer is read." },
        },
        200: {
          description: "Stopped by the hook's filter, or the verdict of a dry run.",
          schema: z.union([HookOutcome, DryRun]),
        },
        401: {
          description: "Not from a sender that any such hook knows.",
          schema: ProblemBody,
          contentType: "application/problem+json",
        },
        422: {
          description: "A parameter is missing or wrong, or the message was sent before with another body.",
          schema: ProblemBody,
          contentType: "application/problem+json",
        },
      },
    },
    async (call) => {
      const { request, params, query, deps, facts } = call;
      const [connection, name] = [params.c, params.name];
      const sender = `${connection}/${name} ${addressOf(request) ?? ""}`;
      await spend(deps.hooks, HOOKS, sender);
      requireReadable(request);
      const rawBody = await readBytes(request);
      const verification = await door.verify(connection, name, request, rawBody);
      if (!verification.ok) {
        facts.reason = verification.reason;
        throw verification.code === "unavailable"
          ? new Problem("unavailable", {
              detail: "The keys of the token's issuer cannot be read now.",
              retryAfterSeconds: 5,
            })
          : new Problem("unauthorized", { detail: NOT_BELIEVED });
      }
      const { verified } = verification;
      facts.caller = "hook";
      const { ratePerMinute } = verified.hook;
      facts.quota =
        ratePerMinute === undefined
          ? tally.count(HOOKS, sender, deps.now())
          : tally.count(
              { name: "hook", quota: ratePerMinute, windowSeconds: 60, isJudgedHere: true },
              `${connection}/${name}`,
              deps.now(),
            );
      const inbound = readInbound(rawBody, request, verified.claims);
      if (query.dry_run !== undefined) return dryRun(verified, inbound);
      const challenge = verified.hook.source === "slack" ? challengeOf(inbound) : undefined;
      return challenge === undefined ? handOver(call, verified, rawBody, inbound) : text(challenge);
    },
  );
}

/** From inside a job that asked for it: wakes the poll, opens nothing, and answers everybody alike. */
export function pingRoute({ open }: Routes): void {
  open(
    {
      id: "ping",
      method: "post",
      path: "/pings/{c}/{id}/{token}",
      tag: "Hooks",
      summary: "A job says that it starts or ends",
      description:
        "Called by the script of a job with `ping: true`. The scheduler stays the truth; it is only asked sooner.",
      answers: { 204: { description: "Always." } },
    },
    async ({ request, params, deps }) => {
      await spend(deps.hooks, HOOKS, `ping ${addressOf(request) ?? ""}`);
      const known = ConnectionName.safeParse(params.c).success && JobId.safeParse(params.id).success;
      if (known && params.token.length <= 64) await deps.tracker(params.c).ping(params.id, params.token);
      return noContent();
    },
  );
}

async function handOver(
  call: DoorCall,
  { hook, messageId }: Verified,
  rawBody: Uint8Array,
  inbound: Inbound | undefined,
): Promise<Response> {
  const tracker = call.deps.tracker(call.params.c);
  const accepted = await tracker.acceptFromHook(hook.name, {
    ...(await sameness({ hook, messageId }, rawBody, inbound)),
    body: textOf(rawBody) ?? "",
    ...(inbound && keptOf(hook, inbound)),
    ...(hook.version !== undefined && { version: hook.version }),
    origin: call.origin,
    result: inbound === undefined ? NOT_JSON : resultOf(mapInbound(hook, inbound)),
  });
  return outcomeOf(call, given(accepted));
}

/** By what a repeat is known. Where the hook names the values that count, what else the body says does not. */
async function sameness(
  { hook, messageId }: Pick<Verified, "hook"> & { messageId: string | undefined },
  rawBody: Uint8Array,
  inbound: Inbound | undefined,
): Promise<Pick<VerifiedInbound, "messageId" | "bodySha256">> {
  const identity = inbound && identityOf(hook, inbound);
  if (identity === undefined)
    return { ...(messageId !== undefined && { messageId }), bodySha256: await sha256Hex(rawBody) };
  const digest = await sha256Hex(identity);
  return { messageId: `same:${digest}`, bodySha256: digest };
}

/** The stored answer, with addresses as they are from outside. */
export function outcomeOf(
  { params, publicUrl }: Pick<DoorCall, "params" | "publicUrl">,
  { answer, replayed }: { answer: HookOutcome; replayed: boolean },
): Response {
  const headers: Record<string, string> = replayed ? { "idempotency-replayed": "true" } : {};
  if (answer.outcome === "filtered") return json(200, answer, headers);
  const subject = answer.jobId === undefined ? `transfers/${answer.transferId ?? ""}` : `jobs/${answer.jobId}`;
  const location = `/v1/connections/${params.c}/${subject}`;
  return json(202, { ...answer, url: publicUrl + location }, { location, ...headers });
}

/** For a stranger's eyes: verdicts and names, no values and nothing of the composed request. */
function dryRun({ hook }: Verified, inbound: Inbound | undefined): Response {
  const { outcome } = inbound === undefined ? NOT_JSON : resultOf(mapInbound(hook, inbound));
  const verdict = outcome === "filtered" || outcome === "refused" ? outcome : "accepted";
  return json(200, {
    verified: true,
    outcome: verdict,
    params: inbound === undefined ? [] : readableParams(hook, inbound),
  });
}

const Challenge = z.object({ type: z.literal("url_verification"), challenge: z.string().max(4096) });

/** Slack asks once whether this address is ours, and wants its own words back. */
function challengeOf(inbound: Inbound | undefined): string | undefined {
  return Challenge.safeParse(inbound?.body).data?.challenge;
}
