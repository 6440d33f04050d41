/** Objects: results and inputs in R2, under `<connection>/<key>`. A caller sees the keys of one connection and no others. */

import { fromBase64, toBase64Url, toHex, utf8 } from "../../../shared/bytes.ts";
import { rfc3339 } from "../../../shared/clock.ts";
import type { ObjectChange } from "../../../shared/contract/rpc.ts";
import { ObjectSummary, ObjectsQuery } from "../../../shared/contract/transfer.ts";
import { ObjectKey, pageOf, z } from "../../../shared/contract/words.ts";
import { invalidInput, Problem } from "../../../shared/problem.ts";
import { given, json, noContent } from "../answers.ts";
import { knownLength } from "../body.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import { type StoredObject, sha256Of } from "../object-headers.ts";
import { refusals } from "../r2-refusals.ts";
import { onObjectsHost, serveObject } from "../serve.ts";

const tag = "Objects";
const objects = "/v1/connections/{c}/objects";
/** What fits through one request on every plan of the edge. */
export const MAX_PUT_BYTES = 100_000_000;
/** Where to go with more than that. */
const partsRemedy = (connection: string): string =>
  `Send larger objects in parts: POST /v1/connections/${connection}/uploads.`;

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
        ...(cursor !== undefined && { startAfter: `${call.connection}/${keyOfCursor(cursor)}` }),
        include: ["customMetadata"],
      });
      const items = listed.objects.map((object) => summaryOf(call.connection, object));
      const last = items.at(-1);
      return json(200, { items, ...(listed.truncated && last && { cursor: toBase64Url(utf8(last.key)) }) });
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
      description: `Needs a Content-Length of at most ${MAX_PUT_BYTES} bytes; larger objects go up in parts. \`If-None-Match: *\` makes sure that nothing is replaced, \`If-Match\` that only that version is; a \`Content-Digest\` with SHA-256 is checked.`,
      scope: "transfers:write",
      rawBody: "application/octet-stream",
      answers: {
        201: { description: "Stored.", schema: ObjectSummary },
        200: { description: "Replaced.", schema: ObjectSummary },
        409: { description: "A transfer to this key is under way, or there is no room in the quota." },
        412: { description: "What is under this key is not what the conditions expect." },
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
      const there = await call.deps.objects.head(key);
      if (there === null) throw new Problem("not_found");
      await call.deps.objects.delete(key);
      await tellChange(call, { key: key.slice(call.connection.length + 1), objects: -1, bytes: -there.size });
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

/** A cursor is the last key of the page before: it does not age, and leads nowhere else. Throws Problem for any other text. */
function keyOfCursor(cursor: string): string {
  const bytes = fromBase64(cursor.replaceAll("-", "+").replaceAll("_", "/"));
  const key = bytes && ObjectKey.safeParse(new TextDecoder().decode(bytes));
  if (key?.success) return key.data;
  const message = "is not one that a listing gave";
  throw new Problem("invalid", { detail: `?cursor ${message}`, errors: [{ field: "cursor", message }] });
}

/** A slow line needs this long for what one request may carry. */
const WRITE_SECONDS = 3_600;

async function writeObject(call: Call): Promise<Response> {
  const { request, deps, connection, tracker, caller } = call;
  const key = fullKey(call);
  const { body, bytes: size } = knownLength(request, MAX_PUT_BYTES, partsRemedy(connection));
  const sha256 = digestOf(request.headers);
  const write = { id: `put/${toHex(deps.random(16))}`, key: key.slice(connection.length + 1) };
  given(await tracker.reserveObject(caller, { ...write, bytes: size, keepSeconds: WRITE_SECONDS }));
  let change: Pick<ObjectChange, "objects" | "bytes"> = { objects: 0, bytes: 0 };
  try {
    const before = await deps.objects.head(key);
    const stored = await refusals(
      deps.objects.put(key, body, {
        httpMetadata: { contentType: request.headers.get("content-type") ?? "application/octet-stream" },
        onlyIf: conditionsOf(request.headers),
        ...(sha256 !== undefined && { sha256 }),
      }),
    );
    if (stored === null)
      throw new Problem("precondition_failed", {
        detail: "What is under this key is not what the request's conditions expect.",
      });
    change = { objects: before === null ? 1 : 0, bytes: stored.size - (before?.size ?? 0) };
    const summary = summaryOf(connection, stored);
    return json(before === null ? 201 : 200, summary, { etag: stored.httpEtag, location: call.url.pathname });
  } finally {
    await tellChange(call, { ...write, ...change });
  }
}

/** What the Tracker is not told now it finds out when it counts again: no reason to deny what has happened. */
export async function tellChange({ tracker, caller, origin, deps }: Call, change: ObjectChange): Promise<void> {
  try {
    await tracker.objectChanged(caller, change, origin);
  } catch (error) {
    deps.log({ event: "object.not_counted", error });
  }
}

/** Conditions of a write, for R2 to hold in the same step. */
function conditionsOf(headers: Headers): Headers {
  const names = ["if-match", "if-none-match", "if-unmodified-since"];
  return new Headers(names.flatMap((name) => (headers.has(name) ? [[name, headers.get(name) ?? ""]] : [])));
}

/** The SHA-256 that the sender says its body has (RFC 9530), for R2 to check. Throws Problem for one that cannot be read. */
function digestOf(headers: Headers): string | undefined {
  const field = headers.has("content-digest") ? "Content-Digest" : "Repr-Digest";
  const given = headers.get(field);
  if (given === null) return undefined;
  const digest = fromBase64(/(?:^|,)\s*sha-256=:([^:]*):/i.exec(given)?.[1] ?? "");
  if (digest?.length === 32) return toHex(digest);
  throw new Problem("invalid", {
    detail: `${field} must be sha-256=:<base64 of 32 bytes>:`,
    errors: [{ field, message: "must be sha-256=:<base64 of 32 bytes>:" }],
  });
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
