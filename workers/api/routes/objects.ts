/** Objects: results and inputs in R2, under `<connection>/<key>`. A caller sees the keys of one connection and no others. */

import { rfc3339 } from "../../../shared/clock.ts";
import { ObjectSummary, ObjectsQuery } from "../../../shared/contract/transfer.ts";
import { ObjectKey, pageOf, z } from "../../../shared/contract/words.ts";
import { invalidInput, Problem } from "../../../shared/problem.ts";
import { json, noContent } from "../answers.ts";
import { knownLength } from "../body.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import {
  objectHeaders,
  parseRange,
  precondition,
  resolveRange,
  type StoredObject,
  sha256Of,
} from "../object-headers.ts";

const tag = "Objects";
const objects = "/v1/connections/{c}/objects";
/** What fits through one request on every plan of the edge. */
export const MAX_PUT_BYTES = 100_000_000;
const PARTS_REMEDY = "Send larger objects in parts: POST …/uploads.";

const bytes = {
  description: "The bytes, as an attachment.",
  schema: z.string().openapi({ format: "binary" }),
  contentType: "application/octet-stream",
  headers: { ETag: "Of these bytes.", "Accept-Ranges": "bytes" },
};

export function objectRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "listObjects",
      method: "get",
      path: objects,
      tag,
      summary: "Objects by prefix",
      scope: "transfers:read",
      query: ObjectsQuery,
      answers: { 200: { description: "A page, sorted by key.", schema: pageOf(ObjectSummary) } },
    },
    async (call) => {
      await requireScope(call, "transfers:read");
      const { prefix = "", cursor, limit = 100 } = call.query;
      const listed = await call.deps.objects.list({
        prefix: `${call.connection}/${prefix}`,
        limit,
        ...(cursor !== undefined && { cursor }),
        include: ["customMetadata"],
      });
      const items = listed.objects.map((object) => summaryOf(call.connection, object));
      return json(200, { items, ...(listed.truncated && { cursor: listed.cursor }) });
    },
  );

  guarded(
    {
      id: "getObject",
      method: "get",
      path: `${objects}/{key…}`,
      tag,
      summary: "An object's bytes",
      description:
        "Takes `Range` (one range), `If-Range`, `If-None-Match` and the other conditions; `HEAD` gives the headers alone. `Repr-Digest` holds the SHA-256 where it is known.",
      scope: "transfers:read",
      answers: {
        200: bytes,
        206: { ...bytes, description: "The range that was asked for." },
        304: { description: "Not modified." },
        412: { description: "A condition failed." },
        416: { description: "The range lies outside." },
      },
    },
    readObject,
  );

  guarded(
    {
      id: "putObject",
      method: "put",
      path: `${objects}/{key…}`,
      tag,
      summary: "Store an object",
      description: `Needs a Content-Length of at most ${MAX_PUT_BYTES} bytes; larger objects go up in parts. \`If-None-Match: *\` makes sure that nothing is replaced.`,
      scope: "transfers:write",
      rawBody: "application/octet-stream",
      answers: {
        201: { description: "Stored.", schema: ObjectSummary },
        200: { description: "Replaced.", schema: ObjectSummary },
        412: { description: "There is something under this key already." },
      },
    },
    writeObject,
  );

  guarded(
    {
      id: "deleteObject",
      method: "delete",
      path: `${objects}/{key…}`,
      tag,
      summary: "Remove an object",
      scope: "transfers:write",
      answers: { 204: { description: "Removed." } },
    },
    async (call) => {
      await requireScope(call, "transfers:write", { doing: doing("object.delete", call) });
      const key = fullKey(call);
      if ((await call.deps.objects.head(key)) === null) throw new Problem("not_found");
      await call.deps.objects.delete(key);
      return noContent();
    },
  );
}

async function readObject(call: Call): Promise<Response> {
  const elsewhere = onObjectsHost(call);
  if (elsewhere !== undefined) return elsewhere;
  await requireScope(call, "transfers:read");
  const { request, deps } = call;
  const key = fullKey(call);
  const head = await deps.objects.head(key);
  if (head === null) throw new Problem("not_found");

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
  const object = await deps.objects.get(key, { onlyIf: { etagMatches: head.etag }, ...(range && { range }) });
  if (object === null) throw new Problem("not_found");
  if (!("body" in object))
    throw new Problem("unavailable", { detail: "The object was just replaced. Try again.", retryAfterSeconds: 1 });
  return new Response(object.body, { status: range ? 206 : 200, headers });
}

/** `If-Range`: a range only of the very object that the reader has begun. */
function rangeApplies(headers: Headers, { httpEtag }: StoredObject): boolean {
  const ifRange = headers.get("if-range");
  return ifRange === null || ifRange === httpEtag;
}

function unsatisfiable(size: number): Response {
  const response = new Problem("range_not_satisfiable", { detail: `There are ${size} bytes.` }).response();
  response.headers.set("content-range", `bytes */${size}`);
  return response;
}

/** Bytes that somebody else wrote come from their own origin, where one is set. */
function onObjectsHost({ url, deps }: Call): Response | undefined {
  if (deps.objectsHost === undefined || url.host === deps.objectsHost) return undefined;
  const there = new URL(url);
  there.host = deps.objectsHost;
  return new Response(null, { status: 307, headers: { location: there.href } });
}

const doing = (act: string, { params }: { params: Record<string, string> }) => ({
  act,
  subject: `objects/${params.key}`,
});

async function writeObject(call: Call): Promise<Response> {
  await requireScope(call, "transfers:write", { doing: doing("object.put", call) });
  const { request, deps, connection } = call;
  const key = fullKey(call);
  const { body } = knownLength(request, MAX_PUT_BYTES, PARTS_REMEDY);
  const ifMatch = request.headers.get("if-match")?.replaceAll('"', "");
  const onlyNew = request.headers.get("if-none-match")?.trim() === "*";
  const before = await deps.objects.head(key);
  const stored = await deps.objects.put(key, body, {
    httpMetadata: { contentType: request.headers.get("content-type") ?? "application/octet-stream" },
    ...(onlyNew
      ? { onlyIf: { etagDoesNotMatch: "*" } }
      : ifMatch !== undefined && { onlyIf: { etagMatches: ifMatch } }),
  });
  if (stored === null)
    throw new Problem("precondition_failed", {
      detail: "What is under this key is not what If-Match or If-None-Match expects.",
    });
  const summary = summaryOf(connection, stored);
  return json(before === null ? 201 : 200, summary, { etag: stored.httpEtag, location: call.url.pathname });
}

/** `<connection>/<key>`, from the address as it was sent. Throws Problem for a key that cannot be. */
export function fullKey({ url, connection }: Pick<Call, "url" | "connection">): string {
  const encoded = url.pathname.split("/").slice(5).join("/");
  return `${connection}/${checkedKey(decodeOrNothing(encoded))}`;
}

/** Throws Problem. */
export function checkedKey(key: string): string {
  const read = z.object({ key: ObjectKey }).safeParse({ key });
  if (!read.success) throw invalidInput(read.error, { key });
  return read.data.key;
}

function decodeOrNothing(encoded: string): string {
  try {
    return decodeURIComponent(encoded);
  } catch {
    return "";
  }
}

export function summaryOf(connection: string, object: StoredObject): z.infer<typeof ObjectSummary> {
  const sha256 = sha256Of(object);
  return {
    key: object.key.slice(connection.length + 1),
    bytes: object.size,
    etag: object.httpEtag,
    uploadedAt: rfc3339(object.uploaded.getTime()),
    ...(sha256 !== undefined && { sha256 }),
  };
}
