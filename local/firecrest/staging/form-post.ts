/**
 * The S3 browser upload: a `multipart/form-data` body whose signed fields come before the file. The file is passed on as a
 * stream; nothing of it is kept.
 */
import { type Credentials, sameText, signPolicy } from "./sigv4.ts";

/** An S3 error: `status`, `code` and `message` as they go on the wire. */
export class StorageError extends Error {
  override readonly name = "StorageError";
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, message = "") {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const MAX_FIELDS_BYTES = 64 * 1024;
const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** Reads the fields up to the part `file`; `file` is its content and fails if the form does not end after it. */
export async function readForm(
  contentType: string,
  body: ReadableStream<Uint8Array>,
): Promise<{ fields: Map<string, string>; file: ReadableStream<Uint8Array> }> {
  const boundary = /boundary="?([^";]+)"?/i.exec(contentType)?.[1];
  if (boundary === undefined) throw malformed();
  const delimiter = encoder.encode(`\r\n--${boundary}`);
  const reader = body.getReader();
  // The first delimiter has no line break before it; adding one makes all of them alike.
  let buffer: Uint8Array = encoder.encode("\r\n");
  const more = async () => {
    const { done, value } = await reader.read();
    if (done || buffer.byteLength > MAX_FIELDS_BYTES) throw malformed();
    buffer = concat(buffer, value);
  };
  const take = async (until: Uint8Array) => {
    let at = find(buffer, until);
    while (at < 0) {
      await more();
      at = find(buffer, until);
    }
    const before = buffer.subarray(0, at);
    buffer = buffer.subarray(at + until.byteLength);
    return before;
  };

  const fields = new Map<string, string>();
  await take(delimiter);
  for (;;) {
    const headers = decoder.decode(await take(encoder.encode("\r\n\r\n")));
    const name = /;\s*name="([^"]*)"/i.exec(headers)?.[1];
    if (name === undefined) throw malformed();
    if (name === "file") return { fields, file: contentUpTo(delimiter, buffer, reader) };
    fields.set(name.toLowerCase(), decoder.decode(await take(delimiter)));
  }
}

/**
 * Everything before the last delimiter. The file is the last part, so the delimiter is looked for only in the last bytes
 * of the body; those are held back until the body ends.
 */
function contentUpTo(
  delimiter: Uint8Array,
  first: Uint8Array,
  reader: ReadableStreamDefaultReader<Uint8Array>,
): ReadableStream<Uint8Array> {
  const closing = concat(delimiter, encoder.encode("--"));
  const heldBytes = closing.byteLength + 2;
  let held = first;
  return new ReadableStream(
    {
      async pull(controller) {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) {
            const end = find(held, closing);
            if (end < 0) return controller.error(malformed());
            if (end > 0) controller.enqueue(held.subarray(0, end));
            return controller.close();
          }
          const all = concat(held, value);
          const free = all.byteLength - heldBytes;
          held = all.slice(Math.max(0, free));
          if (free > 0) return controller.enqueue(all.subarray(0, free));
        }
      },
      async cancel(reason) {
        await reader.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** Checks signature, expiry and conditions of a form; `bucket` is that of the URL. Throws `StorageError`. */
export async function checkPolicy(
  credentials: Credentials,
  bucket: string,
  fields: ReadonlyMap<string, string>,
  now: number,
): Promise<string> {
  const key = fields.get("key");
  if (key === undefined || key === "") throw new StorageError(400, "InvalidArgument", "Key not specified");
  const policy = fields.get("policy");
  const signature = fields.get("x-amz-signature");
  if (policy === undefined || signature === undefined) throw new StorageError(403, "AccessDenied");
  const expected = await signPolicy(credentials, policy, fields.get("x-amz-date") ?? "");
  if (!sameText(signature, expected)) throw new StorageError(403, "AccessDenied");

  const { expiration, conditions } = JSON.parse(atob(policy)) as {
    expiration: string;
    conditions: Record<string, string>[];
  };
  if (now > Date.parse(expiration)) throw new StorageError(403, "AccessDenied", "Policy expired");
  const promised = new Map(conditions.flatMap((condition) => Object.entries(condition)));
  const given = new Map([...fields, ["bucket", bucket]]);
  for (const [name, value] of promised) {
    if (given.get(name) !== value) {
      throw new StorageError(403, "AccessDenied", `Policy check failed, variable not met condition: ${name}`);
    }
  }
  for (const name of fields.keys()) {
    if (!promised.has(name) && name !== "policy" && name !== "x-amz-signature") {
      throw new StorageError(403, "AccessDenied", `Policy missing condition: ${name}`);
    }
  }
  return key;
}

function malformed(): StorageError {
  return new StorageError(400, "MalformedPOSTRequest", "The body of the form is not well-formed multipart/form-data");
}

function concat(left: Uint8Array, right: Uint8Array): Uint8Array {
  if (left.byteLength === 0) return right;
  const both = new Uint8Array(left.byteLength + right.byteLength);
  both.set(left);
  both.set(right, left.byteLength);
  return both;
}

/** Position of `needle` in `haystack`, or -1. */
function find(haystack: Uint8Array, needle: Uint8Array): number {
  const first = needle[0] ?? 0;
  for (let at = haystack.indexOf(first); at >= 0; at = haystack.indexOf(first, at + 1)) {
    if (at + needle.byteLength > haystack.byteLength) return -1;
    if (needle.every((byte, index) => haystack[at + index] === byte)) return at;
  }
  return -1;
}
