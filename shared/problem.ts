/**
 * What a refused request is told: RFC 9457 `application/problem+json` with a stable `type` and `code`. One table says which
 * code has which status and title; `detail` and `errors` say what to do about it.
 */
import type { ZodError } from "zod";
import type { FieldProblem, ProblemCode } from "./contract/rpc.ts";
import { z } from "./contract/words.ts";

const PROBLEMS = {
  unauthorized: { status: 401, title: "Credentials are missing or not valid" },
  forbidden: { status: 403, title: "These credentials may not do this" },
  not_found: { status: 404, title: "There is nothing here" },
  method_not_allowed: { status: 405, title: "This address does not know that method" },
  conflict: { status: 409, title: "This conflicts with what is already there" },
  quota_exceeded: { status: 409, title: "There is no room for this in the connection's quota" },
  in_flight: { status: 409, title: "The first request with this key is still being worked on" },
  gone: { status: 410, title: "This is no longer kept" },
  length_required: { status: 411, title: "The body's length must be known beforehand" },
  precondition_failed: { status: 412, title: "What is there is not what the request expected" },
  too_large: { status: 413, title: "The body is too large" },
  unsupported_media_type: { status: 415, title: "This content type is not read here" },
  range_not_satisfiable: { status: 416, title: "The range lies outside of what is there" },
  invalid: { status: 422, title: "The request was understood but is not valid" },
  idempotency_mismatch: { status: 422, title: "This key was used before with another body" },
  rate_limited: { status: 429, title: "Too many requests" },
  internal: { status: 500, title: "Something went wrong on our side" },
  upstream: { status: 502, title: "The site behind this connection did not answer as expected" },
  unavailable: { status: 503, title: "This is not available right now" },
} as const satisfies Record<string, { status: number; title: string }> &
  Record<ProblemCode, { status: number; title: string }>;

/** What to do, where the one who refuses has nothing nearer to say. The same words for everybody: they give nothing away. */
const REMEDIES: Partial<Record<keyof typeof PROBLEMS, string>> = {
  unauthorized:
    "Send `Authorization: Bearer <credential>` with an API key of this connection that is neither expired nor revoked, or an OIDC token of a bound identity. The connection's administrator makes keys and bindings.",
  forbidden: "Use a credential of this connection that has the scope for this route; its administrator makes keys.",
  not_found:
    "Nothing of this name is there for your credential. The list beside it says what is; /docs has all addresses.",
  internal: "Try again; if it stays so, tell the operator of this deployment when it happened.",
};

export type KnownProblemCode = keyof typeof PROBLEMS;

export const PROBLEM_CODES = Object.keys(PROBLEMS) as KnownProblemCode[];

export const ProblemBody = z
  .looseObject({
    type: z.string(),
    code: z.string(),
    title: z.string(),
    status: z.number().int(),
    detail: z.string().optional(),
    errors: z.array(z.object({ field: z.string(), message: z.string() })).optional(),
  })
  .openapi("Problem");

export interface ProblemDetails {
  /** One sentence for the caller: what is wrong with this request and what to do. */
  detail?: string | undefined;
  errors?: FieldProblem[] | undefined;
  retryAfterSeconds?: number | undefined;
  /** Members beside the standard ones, such as `oldest` of a `gone` cursor. */
  extra?: Record<string, unknown> | undefined;
}

/** Thrown where the answer to the caller is already known. */
export class Problem extends Error {
  override readonly name = "Problem";
  readonly code: KnownProblemCode;
  readonly details: ProblemDetails;

  constructor(code: KnownProblemCode, details: ProblemDetails = {}) {
    super(details.detail ?? PROBLEMS[code].title);
    this.code = code;
    this.details = details;
  }

  get status(): (typeof PROBLEMS)[KnownProblemCode]["status"] {
    return PROBLEMS[this.code].status;
  }

  body(): z.infer<typeof ProblemBody> {
    const { errors, extra } = this.details;
    const detail = this.details.detail ?? (errors && summaryOf(errors)) ?? REMEDIES[this.code];
    return {
      ...extra,
      type: `/problems/${this.code}`,
      code: this.code,
      ...PROBLEMS[this.code],
      ...(detail !== undefined && { detail }),
      ...(errors !== undefined && { errors }),
    };
  }

  response(): Response {
    const headers = new Headers({ "content-type": "application/problem+json", "cache-control": "no-store" });
    if (this.code === "unauthorized") headers.set("www-authenticate", "Bearer");
    if (this.details.retryAfterSeconds !== undefined)
      headers.set("retry-after", String(Math.ceil(this.details.retryAfterSeconds)));
    return new Response(JSON.stringify(this.body()), { status: this.status, headers });
  }
}

/** As many as a person will read. */
const MAX_FIELD_PROBLEMS = 20;

/** The 422 for what a schema refused. `input` is what it read; it is looked at, never quoted. */
export function invalidInput(error: ZodError, input: unknown): Problem {
  const errors = fieldProblems(error, input);
  return new Problem("invalid", { detail: summaryOf(errors), errors });
}

/** The first thing that is wrong, and how many more there are. */
function summaryOf([first, ...others]: readonly FieldProblem[]): string | undefined {
  if (first === undefined) return undefined;
  const more = others.length > 0 ? ` (and ${others.length} more)` : "";
  return `${first.field || "the body"} ${first.message}${more}`;
}

/** One entry per field, each with a remedy in words. */
export function fieldProblems(error: ZodError, input: unknown): FieldProblem[] {
  return error.issues.flatMap((issue) => explain(issue, [], input)).slice(0, MAX_FIELD_PROBLEMS);
}

type Issue = ZodError["issues"][number];
type Path = readonly PropertyKey[];

function explain(issue: Issue, base: Path, input: unknown): FieldProblem[] {
  const path = [...base, ...issue.path];
  const at = (message: string): FieldProblem[] => [{ field: pointer(path), message }];
  switch (issue.code) {
    case "unrecognized_keys":
      return issue.keys.map((key) => ({
        field: pointer([...path, key]),
        message: "is not known here; remove it or check its spelling",
      }));
    case "invalid_union":
      return explainUnion(issue, path, input);
    case "invalid_type":
      return at(
        valueAt(input, path) === undefined ? `is required: ${kind(issue.expected)}` : `must be ${kind(issue.expected)}`,
      );
    case "invalid_value": {
      const choices = issue.values.map(String).join(", ");
      const wanted = issue.values.length === 1 ? choices : `one of ${choices}`;
      return at(valueAt(input, path) === undefined ? `is required: ${wanted}` : `must be ${wanted}`);
    }
    case "too_small":
      return at(`must ${measure(issue.origin, issue.inclusive ? "at least" : "more than", Number(issue.minimum))}`);
    case "too_big":
      return at(`must ${measure(issue.origin, issue.inclusive ? "at most" : "less than", Number(issue.maximum))}`);
    case "not_multiple_of":
      return at(`must be a multiple of ${issue.divisor}`);
    case "invalid_key":
      return at(`is not allowed as a name: it ${issue.issues.map(ownWords).join(", ")}`);
    case "invalid_element":
      return at("holds an element that is not valid");
    case "invalid_format":
    case "custom":
      return at(ownWords(issue));
  }
}

/**
 * Of several shapes, the one that the caller seems to have meant: the one with the fewest things wrong. Where nothing is there
 * that would tell, what each of them needs.
 */
function explainUnion(issue: Extract<Issue, { code: "invalid_union" }>, path: Path, input: unknown): FieldProblem[] {
  if ("discriminator" in issue && "options" in issue && Array.isArray(issue.options)) {
    const wanted = `one of ${issue.options.map(String).join(", ")}`;
    return [
      {
        field: pointer(path),
        message: valueAt(input, path) === undefined ? `is required: ${wanted}` : `must be ${wanted}`,
      },
    ];
  }
  if (valueAt(input, path) === undefined) return [{ field: pointer(path), message: "is required" }];
  const missing = issue.errors.map((issues) => issues.map((inner) => inner.path));
  if (missing.flat().every((step) => step.length > 0 && valueAt(input, [...path, ...step]) === undefined)) {
    const needs = missing.map((steps) => steps.map((step) => step.join("/")).join(" and "));
    return [{ field: pointer(path), message: `needs ${needs.join(", or ")}` }];
  }
  const shapes = issue.errors.map((issues) => issues.flatMap((inner) => explain(inner, path, input)));
  const [nearest] = shapes.toSorted((a, b) => a.length - b.length || longest(b) - longest(a));
  return nearest ?? [{ field: pointer(path), message: "fits none of the shapes allowed here" }];
}

const longest = (problems: FieldProblem[]): number => Math.max(0, ...problems.map(({ field }) => field.length));

const KINDS: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
  null: "null",
};

const kind = (expected: string): string => KINDS[expected] ?? expected;

function measure(origin: string, how: string, limit: number): string {
  if (origin === "string") return `have ${how} ${limit} character${limit === 1 ? "" : "s"}`;
  if (origin === "array" || origin === "set") return `have ${how} ${limit} item${limit === 1 ? "" : "s"}`;
  return `be ${how} ${limit}`;
}

const FORMATS: Record<string, string> = {
  datetime: "must be a time in RFC 3339, UTC with milliseconds and Z, such as 2026-11-22T12:00:00.000Z",
  url: "must be a URL",
  email: "must be an e-mail address",
  uuid: "must be a UUID",
};

/** Our schemas say "must …" themselves; what the library would say instead is replaced. */
function ownWords(issue: { message: string; code?: string | undefined; format?: unknown }): string {
  if (!/^(Invalid|Unrecognized|Too) ?/.test(issue.message)) return issue.message;
  return FORMATS[String(issue.format)] ?? "is not valid";
}

/** RFC 6901; "" is the whole body. */
const pointer = (path: Path): string =>
  path.map((step) => `/${clip(String(step)).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

const MAX_NAME_SHOWN = 100;

/** A name that the caller chose, as much of it as helps to find it. */
export const clip = (name: string): string =>
  name.length > MAX_NAME_SHOWN ? `${name.slice(0, MAX_NAME_SHOWN)}…` : name;

function valueAt(input: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, step) => (typeof value === "object" && value !== null ? Reflect.get(value, step) : undefined),
    input,
  );
}
