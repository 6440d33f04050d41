/** Inbound triggers: how to verify a sender, what to filter, which typed parameters to take, what to start. */
import { holdsOnToNumbers } from "./lasting-claims.ts";
import { PlainName, RequestId, Time, z } from "./words.ts";

export const HOOK_SOURCES = [
  "standard-webhooks",
  "github",
  "gitlab",
  "slack",
  "hmac",
  "stripe",
  "shopify",
  "gitea",
  "bearer",
  "oidc",
] as const;

const Scalar = z.union([z.string().max(4096), z.number(), z.boolean()]);

/** `/json/pointer`, `header:<name>`, `claim:<name>` or `jsonpath:<expr>`. */
export const From = z
  .string()
  .max(512)
  .regex(
    /^(\/.*|header:[A-Za-z0-9-]{1,64}|claim:[A-Za-z0-9_:./-]{1,128}|jsonpath:\$.*)$/,
    "must be a JSON Pointer (/a/b), header:<name>, claim:<name> or jsonpath:$…",
  )
  .openapi({ example: "/ref" });

export const FilterTerm = z
  .strictObject({
    from: From,
    op: z.enum(["equals", "in", "matches", "exists"]),
    value: z.union([Scalar, z.array(Scalar).max(100)]).optional(),
  })
  .superRefine((term, context) => {
    const wanted = {
      equals: !Array.isArray(term.value) && term.value !== undefined,
      in: Array.isArray(term.value),
      matches: typeof term.value === "string" && term.value.length <= 256,
      exists: term.value === undefined || typeof term.value === "boolean",
    };
    if (!wanted[term.op]) context.addIssue({ code: "custom", path: ["value"], message: `does not fit op ${term.op}` });
  });

export const HookParam = z.strictObject({
  from: From,
  type: z.enum(["string", "integer", "number", "boolean"]),
  enum: z.array(Scalar).min(1).max(100).optional(),
  pattern: z.string().max(256).optional(),
  min: z.number().optional(),
  max: z.number().optional(),
  maxLength: z.number().int().min(1).max(65_536).optional(),
  default: Scalar.optional(),
  /** True unless there is a default. */
  required: z.boolean().optional(),
});
export type HookParam = z.infer<typeof HookParam>;

export const ParamName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]{0,63}$/, "must be a name of at most 64 characters");

/**
 * What makes two messages the same one: their values at these places. For senders that name no message, or that say the same
 * thing again in other words; without it, the sender's own message id counts.
 */
const Dedupe = z.array(From).min(1).max(8);

/** For source `hmac`: how the sender signs. */
export const HmacConfig = z.strictObject({
  header: z.string().max(64),
  prefix: z.string().max(32).optional(),
  encoding: z.enum(["hex", "base64"]).optional(),
  hash: z.enum(["sha256", "sha1", "sha512"]).optional(),
  /** `{body}` and, where the sender signs a time, `{timestamp}`. */
  content: z.string().max(64).optional(),
  timestampHeader: z.string().max(64).optional(),
  idHeader: z.string().max(64).optional(),
});

/** For source `oidc`. */
export const OidcConfig = z
  .strictObject({
    issuer: z.string().max(512),
    audience: z.string().min(1).max(512),
    claims: z
      .record(z.string(), z.union([Scalar, z.array(Scalar)]))
      .refine((c) => Object.keys(c).length > 0, "must bind at least one claim"),
  })
  .superRefine(holdsOnToNumbers);

export const HookRequestBody = z
  .strictObject({
    source: z.enum(HOOK_SOURCES),
    /** `whsec_<base64>` for standard-webhooks, plain text else. Two may be live during a rotation. */
    secrets: z.array(z.string().min(1).max(512)).max(2).optional(),
    hmac: HmacConfig.optional(),
    oidc: OidcConfig.optional(),
    filter: z.array(FilterTerm).max(50).optional(),
    dedupe: Dedupe.optional(),
    params: z.record(ParamName, HookParam).optional(),
    /** A job or transfer request in which `"{param}"` may stand as a whole value where design allows it. */
    target: z.union([
      z.strictObject({ job: z.record(z.string(), z.unknown()) }),
      z.strictObject({ transfer: z.record(z.string(), z.unknown()) }),
    ]),
    /** An example body; checked against filter and params when the hook is saved. */
    sample: z.unknown().optional(),
    /** Sender addresses, as CIDRs. */
    allowFrom: z.array(z.string().max(64)).max(100).optional(),
    ratePerMinute: z.number().int().min(1).max(6000).optional(),
  })
  .openapi("HookRequest");
export type HookRequestBody = z.infer<typeof HookRequestBody>;

/** A saved hook, without its secrets. */
export const Hook = z
  .object({
    name: PlainName,
    source: z.enum(HOOK_SOURCES),
    secretCount: z.number().int(),
    hmac: HmacConfig.optional(),
    oidc: OidcConfig.optional(),
    filter: z.array(FilterTerm).optional(),
    dedupe: Dedupe.optional(),
    params: z.record(z.string(), HookParam).optional(),
    target: z.unknown(),
    sample: z.unknown().optional(),
    allowFrom: z.array(z.string()).optional(),
    ratePerMinute: z.number().int().optional(),
    url: z.string(),
    /** Counts its changes; a stored request names the one that took it. */
    version: z.number().int().optional(),
    createdAt: Time,
    changedAt: Time,
  })
  .openapi("Hook");
export type Hook = z.infer<typeof Hook>;

export const HookOutcome = z
  .object({
    requestId: RequestId,
    outcome: z.enum(["accepted", "filtered"]),
    jobId: z.string().optional(),
    transferId: z.string().optional(),
    url: z.string().optional(),
  })
  .openapi("HookOutcome");
export type HookOutcome = z.infer<typeof HookOutcome>;

/** One stored inbound request (body kept 7 days). */
export const InboundRequest = z
  .object({
    id: RequestId,
    hook: z.string(),
    at: Time,
    messageId: z.string().optional(),
    outcome: z.enum(["accepted", "filtered", "refused"]),
    jobId: z.string().optional(),
    transferId: z.string().optional(),
    problem: z.string().optional(),
    body: z.string().optional(),
    /** Those that the hook read, and those that say what kind of message it is; kept as long as the body. */
    headers: z.record(z.string(), z.string()).optional(),
    claims: z.record(z.string(), z.unknown()).optional(),
    /** Of the hook that took it. */
    version: z.number().int().optional(),
  })
  .openapi("InboundRequest");
export type InboundRequest = z.infer<typeof InboundRequest>;

/** What a hook makes of a message: the part of it that a replay compares. */
export type HookMapping = Pick<Hook, "filter" | "dedupe" | "params" | "target">;

/** One request to FirecREST as it would be sent, without its bearer token. */
export const FirecrestRequest = z
  .object({
    method: z.string(),
    url: z.string(),
    headers: z.record(z.string(), z.string()),
    json: z.unknown().optional(),
    form: z.record(z.string(), z.string()).optional(),
    /** Uploaded in the form. */
    file: z.object({ name: z.string(), content: z.string() }).optional(),
  })
  .openapi("FirecrestRequest");
export type FirecrestRequest = z.infer<typeof FirecrestRequest>;
