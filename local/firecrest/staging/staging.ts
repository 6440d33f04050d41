/**
 * The staging area: an object store that speaks as much S3 as FirecREST and its clients use. Objects live below
 * `<url>/<bucket>/<key>` and are reached only through presigned URLs and signed forms; the functions of this class are
 * what the FirecREST server itself does with its own credentials.
 */
import type { Store } from "../store.ts";
import { checkPolicy, readForm, StorageError } from "./form-post.ts";
import { joined, type Segment, type Segments } from "./segments.ts";
import { awsEncode, type Credentials, policyFields, presign, signPolicy, verifyPresigned } from "./sigv4.ts";
import { errorResponse, objectResponse, readCompletion, xmlResponse } from "./wire.ts";

export interface StagedObject {
  size: number;
  /** Without quotes. Changes with every write. */
  etag: string;
  createdAt: number;
  /** When the store removes it by itself. */
  expiresAt: number;
  segments: Segment[];
}

interface Upload {
  bucket: string;
  key: string;
  createdAt: number;
  parts: Record<string, { etag: string; segment: Segment }>;
}

export interface StagingOptions {
  store: Store;
  segments: Segments;
  credentials: Credentials;
  now(): number;
  /** Whole seconds after which objects disappear (at least a day, like a bucket's life cycle rule). */
  objectLifeSeconds: number;
  /** Called before a body is sent: bytes after which the connection shall break. */
  cutAfter?(request: Request): number | undefined;
}

const MIN_PART_BYTES = 5 * 1024 * 1024;
const DAY_SECONDS = 86_400;

export class Staging {
  readonly #options: StagingOptions;
  #url: string | undefined;

  constructor(options: StagingOptions) {
    this.#options = options;
  }

  /** Where the area is reachable, without a trailing slash. Known only once the server listens. */
  get url(): string {
    if (this.#url === undefined) throw new Error("The staging area has no address yet");
    return this.#url;
  }

  publish(url: string): void {
    this.#url = url;
  }

  // ------------------------------------------------------------------------------------------------ objects

  async put(bucket: string, key: string, body: ReadableStream<Uint8Array>): Promise<StagedObject> {
    return await this.#replace(bucket, key, [await this.#options.segments.create(body)]);
  }

  /** `undefined` when absent or past its life. */
  stat(bucket: string, key: string): StagedObject | undefined {
    const object = this.#options.store.get<StagedObject>(objectKey(bucket, key));
    return object === undefined || object.expiresAt <= this.#options.now() ? undefined : object;
  }

  /** Bytes `[start, end)`; default all. */
  read(object: StagedObject, start = 0, end = object.size): ReadableStream<Uint8Array> {
    const parts: (() => ReadableStream<Uint8Array>)[] = [];
    let offset = 0;
    for (const { id, size } of object.segments) {
      const from = Math.max(start - offset, 0);
      const to = Math.min(end - offset, size);
      if (from < to) parts.push(() => this.#options.segments.read(id, from, to));
      offset += size;
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only() : joined(parts);
  }

  /** Whether there was anything to remove. */
  async remove(bucket: string, key: string): Promise<boolean> {
    const object = this.#options.store.get<StagedObject>(objectKey(bucket, key));
    if (object === undefined) return false;
    this.#options.store.delete(objectKey(bucket, key));
    for (const segment of object.segments) await this.#options.segments.remove(segment.id);
    return true;
  }

  /** Keys of a bucket that begin with `prefix`. */
  list(bucket: string, prefix: string): string[] {
    const within = objectKey(bucket, "");
    return this.#options.store
      .entries<StagedObject>(objectKey(bucket, prefix))
      .map(({ key }) => key.slice(within.length));
  }

  /** Removes what has outlived its time and what a crash left behind. */
  async sweep(): Promise<void> {
    const { store, segments, now } = this.#options;
    const kept = new Set<string>();
    for (const { key, value } of store.entries<StagedObject>("object/")) {
      if (value.expiresAt <= now()) store.delete(key);
      else for (const segment of value.segments) kept.add(segment.id);
    }
    for (const { key, value } of store.entries<Upload>("upload/")) {
      if (value.createdAt + this.#objectLifeMs() <= now()) store.delete(key);
      else for (const { segment } of Object.values(value.parts)) kept.add(segment.id);
    }
    await segments.keepOnly(kept);
  }

  // -------------------------------------------------------------------------------------------- signed access

  /** A GET-only link. A secret. */
  presignGet(bucket: string, key: string, ttlSeconds: number): Promise<string> {
    return this.#presign("GET", bucket, key, {}, ttlSeconds);
  }

  /** A form for one upload by POST. Its fields go before the part `file`. */
  async presignPost(
    bucket: string,
    key: string,
    ttlSeconds: number,
  ): Promise<{ url: string; fields: Record<string, string> }> {
    const now = this.#options.now();
    const signed = policyFields(this.#options.credentials, now);
    const expiration = `${new Date(now + ttlSeconds * 1000).toISOString().slice(0, 19)}Z`;
    const conditions = [{ bucket }, { key }, ...Object.entries(signed).map(([name, value]) => ({ [name]: value }))];
    const policy = btoa(unescape(encodeURIComponent(JSON.stringify({ expiration, conditions }))));
    const signature = await signPolicy(this.#options.credentials, policy, signed["x-amz-date"] ?? "");
    return {
      url: `${this.url}/${awsEncode(bucket)}`,
      fields: { key, ...signed, policy, "x-amz-signature": signature },
    };
  }

  /** Opens a multipart upload and signs `parts` part URLs (numbered from 1) and the completion. All are secrets. */
  async presignMultipart(
    bucket: string,
    key: string,
    parts: number,
    ttlSeconds: number,
  ): Promise<{ uploadId: string; partUrls: string[]; completeUrl: string }> {
    const uploadId = crypto.randomUUID();
    const upload: Upload = { bucket, key, createdAt: this.#options.now(), parts: {} };
    this.#options.store.set(uploadKey(uploadId), upload);
    const partUrls: string[] = [];
    for (let part = 1; part <= parts; part++) {
      partUrls.push(await this.#presign("PUT", bucket, key, { partNumber: String(part), uploadId }, ttlSeconds));
    }
    return { uploadId, partUrls, completeUrl: await this.#presign("POST", bucket, key, { uploadId }, ttlSeconds) };
  }

  #presign(
    method: string,
    bucket: string,
    key: string,
    query: Record<string, string>,
    ttlSeconds: number,
  ): Promise<string> {
    const resource = `${this.url}/${awsEncode(bucket)}/${key.split("/").map(awsEncode).join("/")}`;
    return presign(this.#options.credentials, method, resource, query, this.#options.now(), ttlSeconds);
  }

  // ----------------------------------------------------------------------------------------------------- wire

  /** Answers one request to the area, as S3 does. Refusals are answers too; only a bug throws. */
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const [bucket = "", ...rest] = url.pathname
      .slice(new URL(this.url).pathname.length)
      .split("/")
      .slice(1)
      .map(decode);
    const key = rest.join("/");
    try {
      if (request.method === "POST" && key === "") return await this.#formPost(bucket, request);
      const now = this.#options.now();
      const refusal = await verifyPresigned(this.#options.credentials, request.method, url, request.headers, now);
      if (refusal !== undefined)
        throw new StorageError(refusal === "AccessDenied" || refusal === "SignatureDoesNotMatch" ? 403 : 400, refusal);
      const uploadId = url.searchParams.get("uploadId");
      if (request.method === "GET") return this.#get(bucket, key, request);
      if (request.method === "PUT" && uploadId !== null) {
        return await this.#putPart(uploadId, url.searchParams.get("partNumber") ?? "", request);
      }
      if (request.method === "POST" && uploadId !== null) return await this.#complete(uploadId, request);
      throw new StorageError(405, "MethodNotAllowed");
    } catch (error) {
      if (error instanceof StorageError) return errorResponse(error, bucket, request.method);
      throw error;
    }
  }

  #get(bucket: string, key: string, request: Request): Response {
    const object = this.stat(bucket, key);
    if (object === undefined) throw new StorageError(404, "NoSuchKey");
    return objectResponse(
      object,
      request.headers,
      (start, end) => this.read(object, start, end),
      this.#options.cutAfter?.(request),
    );
  }

  async #formPost(bucket: string, request: Request): Promise<Response> {
    const body = sizedBody(request);
    const { fields, file } = await readForm(request.headers.get("content-type") ?? "", body);
    const key = await checkPolicy(this.#options.credentials, bucket, fields, this.#options.now());
    await this.put(bucket, key, file);
    return new Response(null, { status: 204, headers: { "accept-ranges": "bytes" } });
  }

  async #putPart(uploadId: string, partNumber: string, request: Request): Promise<Response> {
    const { store, segments } = this.#options;
    const body = sizedBody(request);
    if (store.get<Upload>(uploadKey(uploadId)) === undefined) throw new StorageError(404, "NoSuchUpload");
    const segment = await segments.create(body);
    const etag = newEtag();
    // Other parts arrive meanwhile: read the record again, change it and write it back in one go.
    const upload = store.get<Upload>(uploadKey(uploadId));
    if (upload === undefined) {
      await segments.remove(segment.id);
      throw new StorageError(404, "NoSuchUpload");
    }
    const replaced = upload.parts[partNumber];
    upload.parts[partNumber] = { etag, segment };
    store.set(uploadKey(uploadId), upload);
    if (replaced !== undefined) await segments.remove(replaced.segment.id);
    return new Response(null, { status: 200, headers: { etag: `"${etag}"`, "accept-ranges": "bytes" } });
  }

  async #complete(uploadId: string, request: Request): Promise<Response> {
    const { store, segments } = this.#options;
    const listed = readCompletion(await request.text());
    const upload = store.get<Upload>(uploadKey(uploadId));
    if (upload === undefined) return this.#completedBefore(uploadId);
    const chosen = listed.map(({ partNumber, etag }) => {
      const part = upload.parts[partNumber];
      if (part === undefined || part.etag !== etag) throw new StorageError(400, "InvalidPart");
      return part.segment;
    });
    if (chosen.length === 0) throw new StorageError(400, "MalformedXML");
    if (chosen.slice(0, -1).some((segment) => segment.size < MIN_PART_BYTES))
      throw new StorageError(400, "EntityTooSmall");

    store.delete(uploadKey(uploadId));
    const object = await this.#replace(upload.bucket, upload.key, chosen);
    store.set(completedKey(uploadId), { bucket: upload.bucket, key: upload.key, etag: object.etag });
    const used = new Set(chosen.map(({ id }) => id));
    for (const { segment } of Object.values(upload.parts)) if (!used.has(segment.id)) await segments.remove(segment.id);
    return this.#completion(upload.bucket, upload.key, object.etag);
  }

  /** A repeated completion is answered like the first. */
  #completedBefore(uploadId: string): Response {
    const done = this.#options.store.get<{ bucket: string; key: string; etag: string }>(completedKey(uploadId));
    if (done === undefined) throw new StorageError(404, "NoSuchUpload");
    return this.#completion(done.bucket, done.key, done.etag);
  }

  #completion(bucket: string, key: string, etag: string): Response {
    return xmlResponse(200, "CompleteMultipartUploadResult", {
      Location: `${this.url}/${bucket}/${key}`,
      Bucket: bucket,
      Key: key,
      ETag: `"${etag}"`,
    });
  }

  async #replace(bucket: string, key: string, segments: Segment[]): Promise<StagedObject> {
    const now = this.#options.now();
    const before = this.#options.store.get<StagedObject>(objectKey(bucket, key));
    const object: StagedObject = {
      size: segments.reduce((sum, segment) => sum + segment.size, 0),
      etag: newEtag(),
      createdAt: now,
      expiresAt: now + this.#objectLifeMs(),
      segments,
    };
    this.#options.store.set(objectKey(bucket, key), object);
    for (const segment of before?.segments ?? []) await this.#options.segments.remove(segment.id);
    return object;
  }

  #objectLifeMs(): number {
    return Math.max(DAY_SECONDS, this.#options.objectLifeSeconds) * 1000;
  }
}

/** S3 takes no body of unknown length. */
function sizedBody(request: Request): ReadableStream<Uint8Array> {
  if (!request.headers.has("content-length")) throw new StorageError(411, "MissingContentLength");
  return request.body ?? new ReadableStream({ start: (controller) => controller.close() });
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

function newEtag(): string {
  return crypto.randomUUID().replaceAll("-", "");
}

function objectKey(bucket: string, key: string): string {
  return `object/${bucket}/${key}`;
}

function uploadKey(uploadId: string): string {
  return `upload/${uploadId}`;
}

function completedKey(uploadId: string): string {
  return `completed/${uploadId}`;
}
