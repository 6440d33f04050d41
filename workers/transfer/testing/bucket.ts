/** An R2 bucket in memory. */
import { sha256Hex } from "../../../shared/bytes.ts";
import { measuredStreams } from "./runtime.ts";

interface StoredUpload {
  key: string;
  options: R2MultipartOptions;
  parts: Map<number, { etag: string; bytes: Uint8Array }>;
}

/** The methods of an R2 bucket that this Worker uses. `onPart` may throw, or wait, before a part is stored; `objectEtag` makes tags. */
export class MemoryBucket {
  readonly objects = new Map<
    string,
    { bytes: Uint8Array; etag: string; size: number; customMetadata: Record<string, string> }
  >();
  readonly uploads = new Map<string, StoredUpload>();
  onPart: (n: number) => void | Promise<void> = () => {};
  #count = 0;
  objectEtag: () => string = () => `object-${++this.#count}`;

  /** As the type that the Worker knows. */
  asBucket(): R2Bucket {
    return this as unknown as R2Bucket;
  }

  async createMultipartUpload(key: string, options: R2MultipartOptions = {}) {
    const uploadId = `upload-${++this.#count}`;
    this.uploads.set(uploadId, { key, options, parts: new Map() });
    return this.resumeMultipartUpload(key, uploadId);
  }

  resumeMultipartUpload(key: string, uploadId: string) {
    const known = () => {
      const upload = this.uploads.get(uploadId);
      if (upload === undefined || upload.key !== key)
        throw new Error("The specified multipart upload does not exist. (10024)");
      return upload;
    };
    return {
      key,
      uploadId,
      uploadPart: async (partNumber: number, body: ReadableStream<Uint8Array>) => {
        if (!measuredStreams.has(body)) throw new TypeError("Provided readable stream must have a known length");
        known();
        const bytes = new Uint8Array(await new Response(body).arrayBuffer());
        await this.onPart(partNumber);
        const etag = `part-${++this.#count}`;
        known().parts.set(partNumber, { etag, bytes });
        return { partNumber, etag };
      },
      abort: async () => {
        known();
        this.uploads.delete(uploadId);
      },
      complete: async (parts: R2UploadedPart[]) => {
        const upload = known();
        const pieces = parts.map(({ partNumber, etag }) => {
          const part = upload.parts.get(partNumber);
          if (part?.etag !== etag) throw new Error("One or more of the specified parts could not be found. (10025)");
          return part.bytes;
        });
        this.uploads.delete(uploadId);
        return this.put(key, Buffer.concat(pieces), upload.options);
      },
    };
  }

  async put(
    key: string,
    value: ReadableStream<Uint8Array> | Uint8Array | string,
    { customMetadata = {}, onlyIf, sha256 }: R2PutOptions = {},
  ) {
    if (onlyIf instanceof Headers && onlyIf.get("if-none-match") === "*" && this.objects.has(key)) return null;
    if (value instanceof ReadableStream && !measuredStreams.has(value))
      throw new TypeError("Provided readable stream must have a known length");
    const bytes = Buffer.from(await new Response(value as BodyInit).arrayBuffer());
    if (sha256 !== undefined && (await sha256Hex(bytes)) !== sha256)
      throw new Error("put: The SHA-256 checksum you specified did not match what we received. (10037)");
    const object = { key, bytes, etag: this.objectEtag(), size: bytes.byteLength, customMetadata };
    this.objects.set(key, object);
    return object;
  }

  async head(key: string) {
    return this.objects.get(key) ?? null;
  }

  async delete(key: string) {
    this.objects.delete(key);
  }
}
