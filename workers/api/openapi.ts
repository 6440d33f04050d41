/** The API description: every route registers itself here, so what is documented is what is checked. */
import type { RouteConfig } from "@hono/zod-openapi";
import { ConnectionName, PlainName, SystemName, z } from "../../shared/contract/words.ts";
import { type KnownProblemCode, Problem, ProblemBody } from "../../shared/problem.ts";
import type { AnswerShape, App, Spec } from "./endpoint.ts";

/** What stands in an address, by name. */
const PARAMS: Record<string, z.ZodType> = {
  c: ConnectionName.describe("The connection."),
  s: SystemName.describe("A system behind the connection."),
  id: z.string().describe("The id that an earlier answer gave."),
  request: z.string().describe("The id of a stored inbound request."),
  name: PlainName.describe("A name of your choice."),
  key: z.string().describe("The object's key; it may hold slashes.").openapi({ example: "runs/42/out.nc" }),
  type: z.string().describe("An event type.").openapi({ example: "job.succeeded" }),
  token: z.string().describe("As it stands in the address of a share link."),
  part: z.string().describe("1 to 10,000.").openapi({ example: "1" }),
};

const PROBLEM = { content: { "application/problem+json": { schema: ProblemBody } } };

const refusal = (code: KnownProblemCode, description: string) => ({
  ...PROBLEM,
  description,
  content: { "application/problem+json": { schema: ProblemBody, example: new Problem(code, EXAMPLES[code]).body() } },
});

const EXAMPLES: Partial<Record<KnownProblemCode, ConstructorParameters<typeof Problem>[1]>> = {
  invalid: {
    detail: "/env/PATH is owned by the shell or by Slurm; choose another name",
    errors: [{ field: "/env/PATH", message: "is owned by the shell or by Slurm; choose another name" }],
  },
  rate_limited: { detail: "At most 600 requests in 60 seconds. Wait, then try again." },
  idempotency_mismatch: { detail: "This Idempotency-Key was used with another body. Use a new key for a new request." },
  unsupported_media_type: { detail: "Send JSON with Content-Type: application/json." },
};

/** What OpenAPI is told about a route. */
export function describe(spec: Spec<z.ZodObject, z.ZodType>): RouteConfig {
  const names = [...spec.path.matchAll(/\{(\w+)…?\}/g)].map(([, name]) => name ?? "");
  return {
    method: spec.method,
    path: spec.path.replace("…}", "}"),
    operationId: spec.id,
    tags: [spec.tag],
    summary: spec.summary,
    ...(spec.description !== undefined && { description: spec.description }),
    security: spec.scope === undefined ? [] : [{ bearer: [] }],
    ...(spec.scope !== undefined && { "x-scope": spec.scope }),
    request: {
      ...(names.length > 0 && {
        params: z.object(Object.fromEntries(names.map((name) => [name, PARAMS[name] ?? z.string()]))),
      }),
      ...(spec.query && { query: spec.query }),
      ...(spec.repeatable && {
        headers: z.object({
          "Idempotency-Key": z
            .string()
            .max(255)
            .optional()
            .describe("Makes the request repeatable: the same key and body get the first answer again."),
        }),
      }),
      ...bodyOf(spec),
    },
    responses: {
      ...Object.fromEntries(Object.entries(spec.answers).map(([status, shape]) => [status, answer(shape)])),
      ...refusals(spec, names.length > 0),
    },
  };
}

function bodyOf(spec: Spec<z.ZodObject, z.ZodType>) {
  if (spec.rawBody !== undefined) {
    return {
      body: {
        required: true,
        content: {
          [spec.rawBody]: {
            schema: spec.rawBody === "application/json" ? z.unknown() : z.string().openapi({ format: "binary" }),
          },
        },
      },
    };
  }
  if (spec.body === undefined) return {};
  const example = spec.bodyExample === undefined ? {} : { example: spec.bodyExample };
  return {
    body: { required: spec.bodyOptional !== true, content: { "application/json": { schema: spec.body, ...example } } },
  };
}

function answer({ description, schema, example, contentType, also, headers }: AnswerShape) {
  return {
    description,
    ...(schema && {
      content: {
        [contentType ?? "application/json"]: { schema, ...(example !== undefined && { example }) },
        ...Object.fromEntries(Object.entries(also ?? {}).map(([type, other]) => [type, { schema: other }])),
      },
    }),
    ...(headers && {
      headers: z.object(
        Object.fromEntries(Object.entries(headers).map(([name, words]) => [name, z.string().describe(words)])),
      ),
    }),
  };
}

function refusals(spec: Spec<z.ZodObject, z.ZodType>, hasParams: boolean) {
  const reads = spec.body !== undefined || spec.query !== undefined;
  return {
    ...(spec.scope !== undefined && {
      401: refusal("unauthorized", "No credential, or one that is malformed, unknown, expired or revoked."),
      403: refusal("forbidden", "A good credential, but of another connection or without the scope."),
    }),
    ...(hasParams && { 404: refusal("not_found", "Nothing with this name or id.") }),
    ...(spec.repeatable && { 409: refusal("in_flight", "The first request with this key is still being worked on.") }),
    ...((spec.body || spec.rawBody) && { 413: refusal("too_large", "The body is too large.") }),
    ...(spec.body && { 415: refusal("unsupported_media_type", "The body is not JSON.") }),
    ...(reads && { 422: refusal("invalid", "A field is missing, unknown or wrong; `errors` names each one.") }),
    429: refusal("rate_limited", "Too many requests; `Retry-After` says when to come back."),
  };
}

const TAGS = [
  { name: "Jobs", description: "Batch jobs: submit, follow, cancel; or watch one that somebody else submitted." },
  { name: "Transfers", description: "One file between an HPC path and an object." },
  { name: "Objects", description: "Results and inputs in object storage." },
  { name: "Events", description: "The ledger of everything that happened, numbered without gaps." },
  { name: "Callbacks", description: "Receivers of events, and what became of each delivery." },
  { name: "Hooks", description: "Inbound triggers: a signed request becomes a job or a transfer." },
  { name: "Chat", description: "Slack and Mattermost workspaces, and the people in them who act on connections." },
  { name: "Systems and files", description: "The machines behind a connection, and files on them." },
  { name: "Connections", description: "One FirecREST deployment, one credential, and who may use it." },
  { name: "Service", description: "Keys, health and this description." },
];

const DESCRIPTION = `Firewatch turns FirecREST, which has to be polled, into something that calls you.

Send \`Authorization: Bearer <API key or OIDC token>\`. Errors are RFC 9457 \`application/problem+json\` with a stable \`code\`.
Lists answer \`{items, cursor?}\`; give the cursor back as \`?cursor=\` for the next page. Writes that take an
\`Idempotency-Key\` may be repeated safely. Times are RFC 3339 in UTC, sizes are bytes. Fields may be added to answers at any
time; unknown fields in requests are refused.`;

type Document = ReturnType<App["getOpenAPI31Document"]>;

/** OpenAPI 3.1. `serverUrl` is where this deployment is reached. */
export function openApiDocument(app: App, serverUrl: string): Document {
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "Firewatch", version: "1", description: DESCRIPTION, license: { name: "Apache-2.0" } },
    servers: [{ url: serverUrl }],
    tags: TAGS,
  });
  for (const { get } of Object.values(document.paths ?? {})) {
    for (const parameter of get?.parameters ?? []) {
      if ("schema" in parameter && parameter.schema !== undefined) neverNull(parameter.schema);
    }
  }
  return document;
}

/** What is read from text by coercion is described as "number or null", but a query cannot hold a null. */
function neverNull(schema: object): void {
  const type: unknown = Reflect.get(schema, "type");
  if (Array.isArray(type))
    Reflect.set(
      schema,
      "type",
      type.find((one) => one !== "null"),
    );
}
