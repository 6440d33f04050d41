/** Objects: results and inputs in R2, under `<connection>/<key>`. A caller sees the keys of one connection and no others. */

import { rfc3339 } from "../../../shared/clock.ts";
import { ObjectSummary, ObjectsQuery } from "../../../shared/contract/transfer.ts";
import { ObjectKey, pageOf, z } from "../../../shared/contract/words.ts";
import { invalidInput, Problem } from "../../../shared/problem.ts";
import { json, noContent } from "../answers.ts";
import { knownLength } from "../body.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import { type StoredObject, sha256Of } from "../object-headers.ts";
import { onObjectsHost, serveObject } from "../serve.ts";

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
      await requireScope(call, "transfers:write");
      const key = fullKey(call);
      if ((await call.deps.objects.head(key)) === null) throw new Problem("not_found");
      await call.deps.objects.delete(key);
      return noContent();
    },
  );
}

async function readObject(call: Call): Promise<Response> {
  const elsewhere = onObjectsHost(call.url, call.deps);
  if (elsewhere !== undefined) return elsewhere;
  await requireScope(call, "transfers:read");
  return serveObject(call.deps, call.request, fullKey(call));
}

async function writeObject(call: Call): Promise<Response> {
  await requireScope(call, "transfers:write");
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
