/** What stands in front of the services: faults on whole requests, and the way to each part of a site by path. */
import type { Clock } from "./clock.ts";
import { type Fault, type FaultOf, Fault as FaultSchema, type Faults, type Occasion } from "./faults.ts";

/** The connection broke without an answer; a server destroys the socket, an in-process `fetch` fails like the network does. */
export class ConnectionLost extends TypeError {
  override readonly name = "ConnectionLost";

  constructor() {
    super("The connection was lost");
  }
}

type Fetch = (request: Request) => Promise<Response>;

/** Puts the faults that concern whole requests around a handler. */
export function withFaults(faults: Faults, clock: Clock, handle: Fetch): Fetch {
  return async (request) => {
    const url = new URL(request.url);
    const occasion: Occasion = { method: request.method, path: url.pathname + url.search };
    if (faults.strike("down", occasion) !== undefined) throw new ConnectionLost();
    const slow = faults.strike("slow", occasion);
    if (slow !== undefined) await clock.sleep(slow.ms);
    const gateway = faults.strike("bad_gateway", occasion);
    if (gateway !== undefined) return badGateway(gateway.status);
    const limited = faults.strike("rate_limited", occasion);
    if (limited !== undefined) return rateLimited(limited, clock.now());
    const failing = faults.strike("error", occasion);
    if (failing !== undefined) return jsonError(failing.status);

    const response = await handle(request);
    if (faults.strike("lost_answer", occasion) !== undefined) {
      await response.body?.cancel();
      throw new ConnectionLost();
    }
    const spoilt = faults.strike("effect_then_error", occasion);
    if (spoilt === undefined) return response;
    await response.body?.cancel();
    return jsonError(spoilt.status);
  };
}

/** A service account's key in `X-API-Key` is traded for a token, with which the request goes on. */
export function withApiKeys(token: Fetch, handle: Fetch): Fetch {
  return async (request) => {
    const apiKey = request.headers.get("x-api-key");
    if (apiKey === null || request.headers.has("authorization")) return await handle(request);
    const traded = await token(new Request(request.url, { method: "POST", headers: { "x-api-key": apiKey } }));
    if (!traded.ok) return Response.json({ message: "Unauthorized" }, { status: 401 });
    const { access_token } = (await traded.json()) as { access_token: string };
    const headers = new Headers(request.headers);
    headers.delete("x-api-key");
    headers.set("authorization", `Bearer ${access_token}`);
    const { method, url } = request;
    const body = method === "GET" || method === "HEAD" ? null : await request.arrayBuffer();
    return await handle(new Request(url, { method, headers, body }));
  };
}

function badGateway(status: number): Response {
  const page = `<html>\r\n<head><title>${status} Bad Gateway</title></head>\r\n<body>\r\n<center><h1>${status} Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n`;
  return new Response(page, { status, headers: { "content-type": "text/html" } });
}

function jsonError(status: number): Response {
  return Response.json({ message: "An unexpected error occurred" }, { status });
}

function rateLimited(fault: FaultOf<"rate_limited">, now: number): Response {
  const headers = new Headers();
  const seconds = fault.retryAfterSeconds;
  if (seconds !== undefined && fault.form === "seconds") headers.set("retry-after", String(Math.ceil(seconds)));
  if (seconds !== undefined && fault.form === "date")
    headers.set("retry-after", new Date(now + seconds * 1000).toUTCString());
  if (seconds !== undefined && fault.form === "reset") headers.set("ratelimit-reset", String(Math.ceil(seconds)));
  if (fault.gateway === "kong") return Response.json({ message: "API rate limit exceeded" }, { status: 429, headers });
  const body = {
    code: "900803",
    message: "Message throttled out",
    description: "You have exceeded your quota. You can access API after the indicated time.",
  };
  return Response.json(body, { status: 429, headers });
}

/**
 * `GET /_control/faults` lists the faults in force, `POST` adds one, `DELETE` removes all, `DELETE /_control/faults/{id}` one.
 * Pages of a browser are kept out: none of this is meant for them.
 */
export async function controlFaults(faults: Faults, request: Request): Promise<Response> {
  if (request.headers.has("origin")) return new Response(null, { status: 403 });
  const id = /^\/_control\/faults(?:\/(\d+))?$/.exec(new URL(request.url).pathname)?.[1];
  if (request.method === "GET") return Response.json({ faults: faults.list() });
  if (request.method === "DELETE") {
    if (id === undefined) faults.clear();
    else faults.remove(Number(id));
    return new Response(null, { status: 204 });
  }
  if (request.method !== "POST") return new Response(null, { status: 405 });
  const parsed = FaultSchema.safeParse(await request.json().catch(() => undefined));
  if (!parsed.success) return Response.json({ issues: parsed.error.issues }, { status: 422 });
  return Response.json({ id: faults.add(parsed.data satisfies Fault) }, { status: 201 });
}
