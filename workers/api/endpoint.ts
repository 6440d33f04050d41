/**
 * One way for every route: identify → limit → read → hand over → answer. A route file says what is special about it (address,
 * scope, shapes, handler); the order of the checks, the refusals and the API description come from here.
 */
import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Context } from "hono";
import type { Caller, Scope } from "../../shared/contract/access.ts";
import type { Idempotency, Origin } from "../../shared/contract/rpc.ts";
import { ConnectionName, z } from "../../shared/contract/words.ts";
import { invalidInput, Problem } from "../../shared/problem.ts";
import type { Oidc } from "../../shared/webhooks/oidc.ts";
import { given, Refused } from "./answers.ts";
import { identify } from "./auth.ts";
import type { Deps, Tracker } from "./deps.ts";
import { addressOf, CALLERS, type Quota, spend, type Tally } from "./limits.ts";
import { describe } from "./openapi.ts";
import { queryReader, readBody } from "./read.ts";

/** What one request's log line is made of; filled as the request goes along. */
export interface Facts {
  route?: string;
  connection?: string;
  caller?: string;
  /** Exactly why a request was refused; never told to the caller. */
  reason?: string;
  /** What is left to whoever was let in; told in the answer's headers, not logged. */
  quota?: Quota;
}
export type AppEnv = { Variables: { facts: Facts } };
export type App = OpenAPIHono<AppEnv>;

export interface AnswerShape {
  description: string;
  /** Absent = no body. */
  schema?: z.ZodType;
  example?: unknown;
  /** Default `application/json`. */
  contentType?: string;
  /** What else a caller may ask for with `Accept`, by content type. */
  also?: Record<string, z.ZodType>;
  headers?: Record<string, string>;
}

export interface Spec<Query extends z.ZodObject, Body extends z.ZodType, Path extends string = string> {
  id: string;
  method: "get" | "post" | "put" | "patch" | "delete";
  /** `{name}` is one segment, a last `{name…}` all the rest. */
  path: Path;
  tag: string;
  summary: string;
  description?: string;
  /** `admin`: the deployment's ADMIN_TOKEN only. */
  scope?: Scope | "admin";
  query?: Query;
  body?: Body;
  bodyExample?: unknown;
  /** Where one example cannot show it: several, by name. */
  bodyExamples?: Record<string, unknown>;
  /** No body at all stands for `{}`. */
  bodyOptional?: true;
  /** The body is bytes, which the handler takes itself. */
  rawBody?: string;
  /** Takes an Idempotency-Key. */
  repeatable?: true;
  answers: Record<number, AnswerShape>;
}

/** What stands between the braces of a path. */
type ParamsOf<Path extends string> = Record<NamesIn<Path>, string>;
type NamesIn<Path> = Path extends `${string}{${infer Name}}${infer Rest}` ? Bare<Name> | NamesIn<Rest> : never;
type Bare<Name> = Name extends `${infer Before}…` ? Before : Name;

/** What a handler gets to know of a request that everybody may make. */
export interface OpenCall<Query = unknown, Params = Record<never, string>> {
  request: Request;
  url: URL;
  /** Where this deployment is reached, for links in answers. */
  publicUrl: string;
  params: Params;
  query: Query;
  origin: Origin;
  facts: Facts;
  deps: Deps;
}

/** …and of one that needs a credential: whose it is, and which Tracker decides. */
export interface Call<Query = unknown, Body = unknown, Params = Record<never, string>> extends OpenCall<Query, Params> {
  caller: Caller;
  connection: string;
  tracker: Tracker;
  body: Body;
  idempotency?: Idempotency;
}

type Handler<C> = (call: C) => Promise<Response> | Response;

export interface Routes {
  /** A route that needs a credential. */
  guarded<Query extends z.ZodObject, Body extends z.ZodType, const Path extends string>(
    spec: Spec<Query, Body, Path> & { scope: Scope | "admin" },
    handler: Handler<Call<z.output<Query>, z.output<Body>, ParamsOf<Path>>>,
  ): void;
  /** A route that needs none. */
  open<Query extends z.ZodObject, const Path extends string>(
    spec: Omit<Spec<Query, never, Path>, "scope" | "repeatable">,
    handler: Handler<OpenCall<z.output<Query>, ParamsOf<Path>>>,
  ): void;
}

/**
 * Adds routes to the app, and knows the methods of each address. A 405 is made where nothing was found, not by more routes:
 * with those, Hono's fast router gives up and its slow one answers everybody.
 */
export function createRoutes(
  app: App,
  deps: Deps,
  oidc: Oidc,
  tally: Tally,
): Routes & { methodsAt(path: string): string[] } {
  const methods = new Map<string, Set<string>>();

  function add(spec: Spec<z.ZodObject, z.ZodType>, handle: (c: Context<AppEnv>) => Promise<Response>): void {
    const path = spec.path.replace(/\{(\w+)…\}$/, ":$1{.+}").replaceAll(/\{(\w+)\}/g, ":$1");
    methods.set(path, (methods.get(path) ?? new Set()).add(spec.method.toUpperCase()));
    app.openAPIRegistry.registerPath(describe(spec));
    app.on(spec.method.toUpperCase(), path, (c) => {
      c.get("facts").route = spec.id;
      return handle(c);
    });
  }

  return {
    guarded: (spec, handler) => {
      const queryOf = queryReader(spec.query);
      add(spec, async (c) => {
        const call = openCall(c, deps);
        const caller = await admitted(call, spec.scope, oidc, tally);
        const connection = call.facts.connection ?? "";
        const known: Call = {
          ...call,
          caller,
          connection,
          tracker: deps.tracker(connection),
          query: {},
          body: undefined,
        };
        try {
          const query = queryOf(known.url);
          const input = takesBody(spec) ? await readBody(spec, known.request, known.url.pathname) : {};
          // The schemas of this spec have just read query and body: the types say what they let through.
          return await handler({ ...known, query, ...input } as Call<never, never, never>);
        } catch (error) {
          throw await retold(error, known, spec.scope);
        }
      });
    },

    open: (spec, handler) => {
      const queryOf = queryReader(spec.query);
      add(spec, async (c) => {
        const call = openCall(c, deps);
        return handler({ ...call, query: queryOf(call.url) } as OpenCall<never, never>);
      });
    },

    methodsAt(path) {
      const known = [...methods].flatMap(([template, found]) => (shapeOf(template).test(path) ? [...found] : []));
      return [...new Set(known.includes("GET") ? [...known, "HEAD"] : known)].sort();
    },
  };
}

/** `/jobs/:id` and `/objects/:key{.+}` as what a path of theirs looks like. */
const shapeOf = (template: string): RegExp =>
  new RegExp(
    `^${template
      .replaceAll(".", "\\.")
      .replace(/:\w+\{\\\.\+\}$/, ".+")
      .replaceAll(/:\w+/g, "[^/]+")}$`,
  );

function openCall(c: Context<AppEnv>, deps: Deps): OpenCall {
  const request = c.req.raw;
  const url = new URL(request.url);
  const params: Record<string, string> = c.req.param();
  const facts = c.get("facts");
  if (params.c !== undefined) facts.connection = params.c;
  return {
    request,
    url,
    publicUrl: deps.publicUrl ?? url.origin,
    params,
    query: {},
    origin: originOf(request),
    facts,
    deps,
  };
}

function originOf(request: Request): Origin {
  const ip = addressOf(request);
  const traceparent = request.headers.get("traceparent");
  const isTrace = traceparent !== null && /^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/.test(traceparent);
  return { ...(ip !== undefined && { ip }), ...(isTrace && { traceparent }) };
}

/** The same whether the connection exists or not. */
const ELSEWHERE = "This API key belongs to another connection. Use a key of the connection in the address.";

const Named = z.object({ c: ConnectionName });

/** Who is asking, within the limits of one credential. Throws Problem. */
async function admitted(
  { request, facts, deps }: OpenCall,
  scope: Scope | "admin",
  oidc: Oidc,
  tally: Tally,
): Promise<Caller> {
  const name = scope === "admin" ? undefined : facts.connection;
  const identified = await identify(request, name, deps, oidc);
  if (!identified.ok) {
    facts.reason = identified.reason;
    throw new Problem(identified.code, identified.code === "forbidden" ? { detail: ELSEWHERE } : {});
  }
  const { caller } = identified;
  facts.caller = caller.kind;
  const who =
    caller.kind === "key"
      ? `key:${caller.hash}`
      : caller.kind === "oidc"
        ? `oidc:${caller.issuer} ${String(caller.claims.sub)}`
        : undefined;
  if (who !== undefined) {
    await spend(deps.callers, CALLERS, who);
    facts.quota = tally.count(CALLERS, who, deps.now());
  }
  // No Tracker is ever called by a name that no connection can have.
  if (name !== undefined) {
    const named = Named.safeParse({ c: name });
    if (!named.success)
      throw request.method === "PUT" ? invalidInput(named.error, { c: name }) : new Problem("not_found");
  }
  return caller;
}

/** Bytes are read by their handler. */
const takesBody = ({
  body,
  rawBody,
  repeatable,
}: Pick<Spec<z.ZodObject, z.ZodType>, "body" | "rawBody" | "repeatable">): boolean =>
  rawBody === undefined && (body !== undefined || repeatable !== undefined);

/**
 * What is wrong with a request is told only to those who may make it: everybody else learns that they may not. So what api
 * itself refuses is first held against the caller's standing.
 */
async function retold(
  error: unknown,
  { caller, tracker, facts, params }: Call<unknown, unknown, { name?: string }>,
  scope: Scope | "admin",
): Promise<unknown> {
  const isOurs = error instanceof Problem && !(error instanceof Refused);
  if (!isOurs || caller.kind === "admin" || scope === "admin") return error;
  const hook = scope === "hooks:admin" ? params.name : undefined;
  const standing = await tracker.authorize(caller, scope, undefined, hook === undefined ? {} : { hook });
  if (standing.ok) return error;
  facts.reason = `standing: ${standing.code}`;
  return new Refused(standing);
}

/** For routes whose work is not the Tracker's: stops whoever may not do it, and records what others do. Throws Problem. */
export async function requireScope(
  { tracker, caller, origin }: Call,
  scope: Scope,
  { system, doing }: { system?: string; doing?: { act: string; subject: string } } = {},
): Promise<void> {
  given(await tracker.authorize(caller, scope, system, doing === undefined ? {} : { doing: { ...doing, origin } }));
}
