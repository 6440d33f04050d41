/**
 * FirecREST v2 over a site: all 35 operations of one release, with the statuses, bodies and headers of the real server,
 * defects included. Mounted below a prefix (`/hpc/firecrest/v2`) or at the root.
 */
import { Hono } from "hono";
import { OPERATIONS } from "../../../shared/firecrest/v2/operations.ts";
import { enter, UnknownSystemError } from "../access.ts";
import { ToolError } from "../host.ts";
import { TokenError } from "../oidc.ts";
import type { Site } from "../site.ts";
import type { Handler, Reply } from "./context.ts";
import { ApiError, sshError } from "./errors.ts";
import * as jobs from "./jobs.ts";
import * as ops from "./ops.ts";
import { DEFAULT_V2_OPTIONS, type V2Options } from "./options.ts";
import * as status from "./status.ts";
import * as transfer from "./transfer.ts";

const HANDLERS: Record<Exclude<keyof typeof OPERATIONS, "S1_systems" | "S6_liveness">, Handler> = {
  S2_nodes: status.nodes,
  S3_reservations: status.reservations,
  S4_partitions: status.partitions,
  S5_userinfo: status.userinfo,
  J1_submit: jobs.submit,
  J2_list: jobs.list,
  J3_get: jobs.get,
  J4_metadata: jobs.metadata,
  J5_attach: jobs.attach,
  J6_cancel: jobs.cancel,
  T1_upload: transfer.upload,
  T2_download: transfer.download,
  T3_move: transfer.mv,
  T4_copy: transfer.cp,
  T5_remove: transfer.rm,
  T6_compress: transfer.compress,
  T7_extract: transfer.extract,
  F1_ls: ops.ls,
  F2_head: ops.head,
  F3_tail: ops.tail,
  F4_view: ops.view,
  F5_checksum: ops.checksum,
  F6_file: ops.fileType,
  F7_stat: ops.stat,
  F8_rm: ops.rm,
  F9_mkdir: ops.mkdir,
  F10_symlink: ops.symlink,
  F11_chmod: ops.chmod,
  F12_chown: ops.chown,
  F13_download: ops.download,
  F14_upload: ops.upload,
  F15_compress: ops.compress,
  F16_extract: ops.extract,
};

/** A token with less left than this is refused. */
const MIN_TOKEN_LIFE_MS = 30_000;
const UUID = /^[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}$/i;
const ID_HEADERS = ["x-request-id", "x-correlation-id"] as const;

/** `prefix` is the path that the app is mounted below, without a trailing slash. `options` may be changed while it runs. */
export function createV2(
  site: Site,
  prefix = "",
  options: Partial<V2Options> = {},
): { fetch(request: Request): Promise<Response> } {
  const current = Object.assign(options, { ...DEFAULT_V2_OPTIONS, ...options });
  const app = new Hono();

  const routes = new Set<string>();
  for (const [id, { method, route }] of Object.entries(OPERATIONS)) {
    const path = route.replace(/\{(\w+)\}/g, ":$1");
    routes.add(path);
    app.on(method, path, async (c) => {
      const { system = "", id: job = "" } = c.req.param() as { system?: string; id?: string };
      return await answer(id as keyof typeof OPERATIONS, c.req.raw, system, job);
    });
  }
  // In the order of the real server: the path first, then the method, then who asks.
  for (const path of routes) app.all(path, (c) => refused(c.req.raw, new ApiError(405, "Method Not Allowed")));
  for (const path of routes) {
    const other = path.endsWith("/") ? path.slice(0, -1) : `${path}/`;
    app.all(other, (c) => {
      const url = new URL(c.req.url);
      url.pathname = prefix + (url.pathname.endsWith("/") ? url.pathname.slice(0, -1) : `${url.pathname}/`);
      return withHeaders(c.req.raw, new Response(null, { status: 307, headers: { location: url.href } }));
    });
  }
  app.notFound((c) => refused(c.req.raw, new ApiError(404, "Not Found")));

  async function answer(id: keyof typeof OPERATIONS, request: Request, system: string, job: string): Promise<Response> {
    let user: string | undefined;
    try {
      if (id === "S6_liveness") return replied(request, status.liveness(site));
      user = await authenticate(request);
      if (id === "S1_systems") return replied(request, status.systems(site, current));
      const url = new URL(request.url);
      const seat = await enter(site, system, user, { method: request.method, path: url.pathname + url.search });
      const host = site.systems.get(system);
      if (host === undefined) throw new UnknownSystemError(system);
      const call = { site, options: current, request, url, user, system, id: job, host, seat };
      return replied(request, await HANDLERS[id](call));
    } catch (error) {
      return refused(request, translated(error, id, user ?? ""), user);
    }
  }

  async function authenticate(request: Request): Promise<string> {
    const token = /^Bearer\s+(\S+)$/i.exec(request.headers.get("authorization") ?? "")?.[1];
    if (token === undefined) throw new ApiError(401, "Not authenticated");
    const unauthorized = (message: string) => new ApiError(401, message, { token });
    try {
      const bearer = await site.oidc.verify(`Bearer ${token}`);
      if (bearer.expiresAt - site.clock.now() >= MIN_TOKEN_LIFE_MS) return bearer.user;
    } catch (error) {
      if (!(error instanceof TokenError)) throw error;
      throw unauthorized(error.problem === "expired" ? "Access token expired" : "Access token is invalid.");
    }
    throw unauthorized("Access token expires too soon (less than 30s remaining).");
  }

  function replied(request: Request, { status: code, json, bytes }: Reply): Response {
    if (json !== undefined) return withHeaders(request, Response.json(json, { status: code }));
    const headers: Record<string, string> = bytes === undefined ? {} : { "content-type": "application/octet-stream" };
    return withHeaders(request, new Response(bytes ?? null, { status: code, headers }));
  }

  function refused(request: Request, error: ApiError, user?: string): Response {
    const { status: code, message, causedBy, fields, token, isUnhandled } = error;
    const body = {
      errorType: fields === undefined ? "error" : "validation",
      message,
      causedBy,
      data: fields === undefined ? null : { fields },
      user: isUnhandled ? null : (user ?? null),
    };
    const headers = new Headers();
    if (user !== undefined && !isUnhandled) headers.set("f7t-authusername", user);
    if (code === 401 && token === undefined) headers.set("www-authenticate", "Bearer");
    if (token !== undefined) headers.set("auth-token", token);
    return withHeaders(request, Response.json(body, { status: code, headers }), !isUnhandled || fields !== undefined);
  }

  /** An exception that nobody handled passes by the part that writes the ids. */
  function withHeaders(request: Request, response: Response, hasIds = true): Response {
    const headers = new Headers(response.headers);
    headers.set("f7t-timestamp", String(site.clock.now() / 1000));
    headers.set("f7t-appversion", current.release);
    for (const name of hasIds ? ID_HEADERS : [])
      headers.set(name, request.headers.get(name) ?? crypto.randomUUID().replaceAll("-", ""));
    return new Response(response.body, { status: response.status, headers });
  }

  return {
    async fetch(request) {
      if (ID_HEADERS.some((name) => !UUID.test(request.headers.get(name) ?? crypto.randomUUID())))
        return new Response(null, { status: 400 });
      if (request.method === "HEAD")
        return withHeaders(request, new Response(null, { status: 405, headers: { allow: "GET" } }));
      return await app.fetch(withoutPrefix(request, prefix));
    },
  };
}

/** The real server lower-cases the whole path before it looks for a route. */
function withoutPrefix(request: Request, prefix: string): Request {
  const url = new URL(request.url);
  url.pathname = url.pathname.slice(prefix.length).toLowerCase();
  return new Request(url, request);
}

function translated(error: unknown, id: keyof typeof OPERATIONS, user: string): ApiError {
  if (error instanceof ApiError) return error;
  if (error instanceof UnknownSystemError) return new ApiError(404, "System not found");
  if (error instanceof ToolError && error.tool === "ssh") {
    const asked = /^(J[23]|S5)_/.test(id) ? "scheduler" : /^S/.test(id) ? "status" : "command";
    return sshError(error, user, asked);
  }
  return new ApiError(500, `("${error instanceof Error ? error.message : String(error)}",)`, { isUnhandled: true });
}
