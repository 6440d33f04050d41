/** An object as an answer: conditions, one range, and never bytes that the headers are not about. */
import { Problem } from "../../shared/problem.ts";
import type { Deps } from "./deps.ts";
import { objectHeaders, parseRange, precondition, resolveRange, type StoredObject } from "./object-headers.ts";

/** `etag` is the only version that may be served; without it, whatever is there. Throws Problem. */
export async function serveObject(deps: Deps, request: Request, objectKey: string, etag?: string): Promise<Response> {
  const head = await deps.objects.head(objectKey);
  if (head === null || (etag !== undefined && head.httpEtag !== etag)) throw new Problem("not_found");

  const headers = objectHeaders(head);
  const verdict = precondition(request.headers, head);
  if (verdict === "failed") throw new Problem("precondition_failed");
  if (verdict === "not_modified") return new Response(null, { status: 304, headers });

  const wanted =
    request.method === "GET" && rangeApplies(request.headers, head)
      ? parseRange(request.headers.get("range"))
      : undefined;
  const range = wanted && resolveRange(wanted, head.size);
  if (wanted !== undefined && range === undefined) return unsatisfiable(head.size);
  headers.set("content-length", String(range?.length ?? head.size));
  if (range) headers.set("content-range", `bytes ${range.offset}-${range.offset + range.length - 1}/${head.size}`);
  if (request.method === "HEAD") return new Response(null, { headers });

  // The same bytes that the headers are about, or none: it may have been replaced since.
  const object = await deps.objects.get(objectKey, { onlyIf: { etagMatches: head.etag }, ...(range && { range }) });
  if (object === null) throw new Problem("not_found");
  if (!("body" in object))
    throw new Problem("unavailable", { detail: "The object was just replaced. Try again.", retryAfterSeconds: 1 });
  return new Response(object.body, { status: range ? 206 : 200, headers });
}

/** `If-Range`: a range only of the very object that the reader has begun, known by its ETag or its time. */
function rangeApplies(headers: Headers, { httpEtag, uploaded }: StoredObject): boolean {
  const ifRange = headers.get("if-range");
  return ifRange === null || ifRange === httpEtag || ifRange === uploaded.toUTCString();
}

function unsatisfiable(size: number): Response {
  const response = new Problem("range_not_satisfiable", { detail: `There are ${size} bytes.` }).response();
  response.headers.set("content-range", `bytes */${size}`);
  return response;
}

/** Bytes that somebody else wrote come from their own origin, where one is set. */
export function onObjectsHost(url: URL, { objectsHost }: Deps): Response | undefined {
  if (objectsHost === undefined || url.host === objectsHost) return undefined;
  const there = new URL(url);
  there.host = objectsHost;
  return new Response(null, { status: 307, headers: { location: there.href } });
}
