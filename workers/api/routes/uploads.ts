/** Objects that are too large for one request: R2 multipart uploads, part by part. */
import { fromBase64, sha256Hex, toBase64Url, toHex, utf8 } from "../../../shared/bytes.ts";
import { ObjectSummary } from "../../../shared/contract/transfer.ts";
import { ObjectKey, z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { given, json, noContent } from "../answers.ts";
import { knownLength } from "../body.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import { MIN_PART_BYTES, refusals } from "../r2-refusals.ts";
import { MAX_PUT_BYTES, summaryOf, tellChange } from "./objects.ts";

const tag = "Objects";
const uploads = "/v1/connections/{c}/uploads";
const upload = `${uploads}/{id}` as const;
const MAX_PARTS = 10_000;
/** R2 drops an upload that nobody completes after this long. */
const UNFINISHED_SECONDS = 7 * 86_400;

const UploadRequest = z
  .strictObject({
    key: ObjectKey,
    contentType: z
      .string()
      .min(1)
      .max(255)
      .regex(/^[\x20-\x7e]+$/, "must be printable ASCII")
      .optional(),
  })
  .openapi("UploadRequest");
const Upload = z
  .object({ id: z.string(), key: z.string(), minPartBytes: z.number().int(), maxPartBytes: z.number().int() })
  .openapi("Upload");
const UploadedPart = z
  .strictObject({ part: z.number().int().min(1).max(MAX_PARTS), etag: z.string().min(1).max(512) })
  .openapi("UploadedPart");
const CompleteRequest = z
  .strictObject({ parts: z.array(UploadedPart).min(1).max(MAX_PARTS) })
  .openapi("CompleteUploadRequest");

export function uploadRoutes({ guarded }: Routes): void {
  guarded(
    {
      id: "startUpload",
      method: "post",
      path: uploads,
      tag,
      summary: "Start an upload in parts",
      description:
        "Parts are numbered from 1 and all of the same size, the last one may be smaller. An upload that is not completed is dropped after seven days.",
      scope: "transfers:write",
      body: UploadRequest,
      bodyExample: { key: "inputs/mesh.h5" },
      answers: { 201: { description: "Started.", schema: Upload, headers: { Location: "Where the parts go." } } },
    },
    async (call) => {
      const { deps, connection, body, tracker, caller } = call;
      // No bytes yet: whether there may be any.
      const asked = { id: `start/${toHex(deps.random(16))}`, key: body.key, bytes: 1, keepSeconds: 60 };
      given(await tracker.reserveObject(caller, asked));
      const { uploadId } = await deps.objects.createMultipartUpload(`${connection}/${body.key}`, {
        httpMetadata: { contentType: body.contentType ?? "application/octet-stream" },
      });
      const id = encodeId({ key: body.key, uploadId });
      const location = `/v1/connections/${connection}/uploads/${id}`;
      return json(201, { id, key: body.key, minPartBytes: MIN_PART_BYTES, maxPartBytes: MAX_PUT_BYTES }, { location });
    },
  );

  guarded(
    {
      id: "putPart",
      method: "put",
      path: `${upload}/{part}`,
      tag,
      summary: "Send one part",
      scope: "transfers:write",
      rawBody: "application/octet-stream",
      answers: { 200: { description: "Stored; give this back to complete the upload.", schema: UploadedPart } },
    },
    async (call) => {
      await requireScope(call, "transfers:write");
      const n = /^[1-9]\d{0,4}$/.test(call.params.part) ? Number(call.params.part) : 0;
      if (n < 1 || n > MAX_PARTS)
        throw new Problem("invalid", {
          detail: `part must be 1 to ${MAX_PARTS}`,
          errors: [{ field: "part", message: `must be 1 to ${MAX_PARTS}` }],
        });
      const { body, bytes } = knownLength(call.request, MAX_PUT_BYTES, "Use smaller parts.");
      const { key } = decodeId(call.params.id);
      const id = `${await reservedAs(call.params.id)}${n}`;
      given(await call.tracker.reserveObject(call.caller, { id, key, bytes, keepSeconds: UNFINISHED_SECONDS }));
      const stored = await refusals(multipart(call).uploadPart(n, body));
      return json(200, { part: n, etag: stored.etag });
    },
  );

  guarded(
    {
      id: "completeUpload",
      method: "post",
      path: `${upload}/complete`,
      tag,
      summary: "Put the parts together",
      description: "Only now is there an object under the key. With `If-None-Match: *` nothing is replaced.",
      scope: "transfers:write",
      body: CompleteRequest,
      answers: {
        201: { description: "Stored.", schema: ObjectSummary },
        409: { description: "A transfer to this key is under way." },
        412: { description: "There is something under this key already." },
      },
    },
    async (call) => {
      await requireScope(call, "transfers:write");
      const parts = call.body.parts.map(({ part, etag }) => ({ partNumber: part, etag }));
      const { key } = decodeId(call.params.id);
      const before = await call.deps.objects.head(`${call.connection}/${key}`);
      if (before !== null && call.request.headers.get("if-none-match")?.trim() === "*")
        throw new Problem("precondition_failed", { detail: "There is something under this key already." });
      const id = await reservedAs(call.params.id);
      given(await call.tracker.reserveObject(call.caller, { id: `${id}0`, key, bytes: 0, keepSeconds: 60 }));
      const stored = await refusals(multipart(call).complete(parts));
      const bytes = stored.size - (before?.size ?? 0);
      await tellChange(call, { id, key, objects: before === null ? 1 : 0, bytes });
      const location = `/v1/connections/${call.connection}/objects/${key.split("/").map(encodeURIComponent).join("/")}`;
      return json(201, summaryOf(call.connection, stored), { etag: stored.httpEtag, location });
    },
  );

  guarded(
    {
      id: "abortUpload",
      method: "delete",
      path: upload,
      tag,
      summary: "Give an upload up",
      scope: "transfers:write",
      answers: { 204: { description: "Its parts are gone." } },
    },
    async (call) => {
      await requireScope(call, "transfers:write");
      await refusals(multipart(call).abort());
      const { key } = decodeId(call.params.id);
      await tellChange(call, { id: await reservedAs(call.params.id), key, objects: 0, bytes: 0 });
      return noContent();
    },
  );
}

const UploadRef = z.strictObject({ key: ObjectKey, uploadId: z.string().min(1).max(1024) });
type UploadRef = z.infer<typeof UploadRef>;

/**
 * The id is the key and R2's own id. It needs no signature: R2's id opens only the upload it was made for, and the full key
 * is put together with the caller's connection, so an id from elsewhere names an upload that does not exist.
 */
const encodeId = (ref: UploadRef): string => toBase64Url(utf8(JSON.stringify(ref)));

/** Under which the room of an upload's parts is kept: each part is below it. */
const reservedAs = async (id: string): Promise<string> => `upload/${(await sha256Hex(utf8(id))).slice(0, 32)}/`;

function decodeId(id: string): UploadRef {
  try {
    const bytes = fromBase64(id.replaceAll("-", "+").replaceAll("_", "/"));
    return UploadRef.parse(JSON.parse(new TextDecoder().decode(bytes)));
  } catch {
    throw new Problem("not_found");
  }
}

function multipart({ deps, connection, params }: Call<unknown, unknown, { id: string }>): R2MultipartUpload {
  const { key, uploadId } = decodeId(params.id);
  return deps.objects.resumeMultipartUpload(`${connection}/${key}`, uploadId);
}
