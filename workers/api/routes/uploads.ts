/** Objects that are too large for one request: R2 multipart uploads, part by part. */
import { fromBase64, toBase64Url, utf8 } from "../../../shared/bytes.ts";
import { ObjectSummary } from "../../../shared/contract/transfer.ts";
import { ObjectKey, z } from "../../../shared/contract/words.ts";
import { Problem } from "../../../shared/problem.ts";
import { json, noContent } from "../answers.ts";
import { knownLength } from "../body.ts";
import { type Call, type Routes, requireScope } from "../endpoint.ts";
import { MAX_PUT_BYTES, summaryOf } from "./objects.ts";

const tag = "Objects";
const uploads = "/v1/connections/{c}/uploads";
const upload = `${uploads}/{id}` as const;
/** R2's: every part but the last, all of the same size. */
const MIN_PART_BYTES = 5 * 1024 * 1024;
const MAX_PARTS = 10_000;

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
      const doing = { act: "upload.start", subject: `objects/${call.body.key}` };
      await requireScope(call, "transfers:write", { doing });
      const { deps, connection, body } = call;
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
      const { body } = knownLength(call.request, MAX_PUT_BYTES, "Use smaller parts.");
      const stored = await known(multipart(call).uploadPart(n, body));
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
      description: "Only now is there an object under the key.",
      scope: "transfers:write",
      body: CompleteRequest,
      answers: { 201: { description: "Stored.", schema: ObjectSummary } },
    },
    async (call) => {
      const doing = { act: "upload.complete", subject: `objects/${decodeId(call.params.id).key}` };
      await requireScope(call, "transfers:write", { doing });
      const parts = call.body.parts.map(({ part, etag }) => ({ partNumber: part, etag }));
      const stored = await known(multipart(call).complete(parts));
      const { key } = decodeId(call.params.id);
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
      const doing = { act: "upload.abort", subject: `objects/${decodeId(call.params.id).key}` };
      await requireScope(call, "transfers:write", { doing });
      // Of an upload that it does not know under this key, R2 says that something went wrong inside (10001).
      await known(multipart(call).abort(), { 10001: new Problem("not_found") });
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

/** R2 says what is wrong by a number at the end of its message. */
const R2_REFUSALS: Record<string, Problem> = {
  10011: new Problem("invalid", {
    detail: `Every part but the last must have at least ${MIN_PART_BYTES} bytes.`,
    errors: [{ field: "/parts", message: "has a part that is too small" }],
  }),
  10024: new Problem("not_found"),
  10025: new Problem("invalid", {
    detail: "A part is missing or has another etag; give back what sending it answered.",
    errors: [{ field: "/parts", message: "names a part that is not there" }],
  }),
  10048: new Problem("invalid", {
    detail: "All parts but the last must have the same size.",
    errors: [{ field: "/parts", message: "are not of the same size" }],
  }),
};

async function known<T>(step: Promise<T>, more: Record<string, Problem> = {}): Promise<T> {
  try {
    return await step;
  } catch (error) {
    const code = /\((\d{5})\)$/.exec(error instanceof Error ? error.message : "")?.[1];
    throw (code !== undefined && (more[code] ?? R2_REFUSALS[code])) || error;
  }
}
