/** Reading what a caller sent: query, JSON body and Idempotency-Key, all strict, each refusal naming its field. */
import { sha256Hex } from "../../shared/bytes.ts";
import type { Idempotency } from "../../shared/contract/rpc.ts";
import { z } from "../../shared/contract/words.ts";
import { clip, invalidInput, Problem } from "../../shared/problem.ts";
import { isJson, parseJson, readBytes } from "./body.ts";

/**
 * Reads the query of a route. Unknown parameters are refused: a misspelt filter would otherwise silently answer everything.
 * The schema is made when the route is: making one costs more than all the rest of a request.
 */
export function queryReader(schema: z.ZodObject = z.object({})): (url: URL) => unknown {
  const strict = schema.strict();
  return (url) => readQuery(strict, url);
}

function readQuery(schema: z.ZodObject, url: URL): unknown {
  const names = [...url.searchParams.keys()];
  const twice = names.find((name, n) => names.indexOf(name) !== n);
  if (twice !== undefined)
    throw new Problem("invalid", {
      detail: `?${clip(twice)} must be given once.`,
      errors: [{ field: clip(twice), message: "must be given once" }],
    });
  const given = Object.fromEntries(url.searchParams);
  const read = schema.safeParse(given);
  if (read.success) return read.data;
  const problem = invalidInput(read.error, given);
  // Fields of a query are names, not pointers into a body.
  const errors = problem.details.errors?.map(({ field, message }) => ({ field: field.slice(1), message }));
  throw new Problem("invalid", { ...problem.details, detail: `?${problem.details.detail?.slice(1)}`, errors });
}

export interface BodySpec {
  body?: z.ZodType;
  bodyOptional?: true;
  repeatable?: true;
}

export async function readBody(
  spec: BodySpec,
  request: Request,
  path: string,
): Promise<{ body?: unknown; idempotency?: Idempotency }> {
  if (spec.repeatable) idempotencyKey(request);
  const bytes = await readBytes(request);
  const idempotency = spec.repeatable ? await idempotencyOf(request, path, bytes) : undefined;
  return {
    ...(spec.body && { body: parseBody(spec.body, spec.bodyOptional, request, bytes) }),
    ...(idempotency && { idempotency }),
  };
}

/** The request's key, if it has one, for this route and this body. */
export async function idempotencyOf(
  request: Request,
  path: string,
  body: Uint8Array,
): Promise<Idempotency | undefined> {
  const key = idempotencyKey(request);
  return key === undefined ? undefined : { route: `${request.method} ${path}`, key, bodySha256: await sha256Hex(body) };
}

function parseBody(schema: z.ZodType, optional: true | undefined, request: Request, bytes: Uint8Array): unknown {
  if (bytes.byteLength > 0 && !isJson(request)) {
    throw new Problem("unsupported_media_type", { detail: "Send JSON with Content-Type: application/json." });
  }
  const value = bytes.byteLength > 0 ? parseJson(bytes) : optional ? {} : undefined;
  const read = schema.safeParse(value);
  if (!read.success) throw invalidInput(read.error, value);
  return read.data;
}

/** 1 to 255 visible characters; the quotes of an RFC 8941 string are taken off. Undefined where there is none. */
export function idempotencyKey(request: Request): string | undefined {
  const header = request.headers.get("idempotency-key");
  if (header === null) return undefined;
  const quoted = /^"((?:[^"\\]|\\["\\])*)"$/.exec(header)?.[1];
  const key = quoted === undefined ? header : quoted.replaceAll(/\\(["\\])/g, "$1");
  if (/^[\x21-\x7e]{1,255}$/.test(key)) return key;
  throw new Problem("invalid", {
    detail: "The Idempotency-Key must be 1 to 255 visible ASCII characters without spaces.",
    errors: [{ field: "Idempotency-Key", message: "must be 1 to 255 visible ASCII characters without spaces" }],
  });
}
