/** An object store, a network and a Worker that fail in the middle of a copy: what the soak test puts around the real ones. */
import type { ConsumerDeps } from "../../workers/transfer/consume.ts";

/** What may befall one read of a staged file. `anew`: the copy has to begin again, which a transfer is forgiven twice. */
export const FAULTS = {
  link_dead: { anew: true },
  link_gone: { anew: true },
  link_expires_midway: { anew: true },
  wrong_length: { anew: true },
  other_etag: { anew: true },
  file_changed: { anew: true },
  out_of_range: { anew: true },
  server_error: { anew: false },
  overloaded: { anew: false },
  truncated: { anew: false },
  connection_broken: { anew: false },
  worker_killed: { anew: false },
} as const satisfies Record<string, { anew: boolean }>;
export type Fault = keyof typeof FAULTS;

/** How the store is, for all reads of a file. */
export const HABITS = ["no_range", "no_etag"] as const;
export type Habit = (typeof HABITS)[number];

/** What one file is to meet: each fault once, at most one a read, in this order. */
export interface Fate {
  faults: Fault[];
  /** Whether the next fault strikes this read. */
  isNow(): boolean;
  habits: ReadonlySet<Habit>;
  /** Replaces the file on the machine by another one. */
  change(): Promise<void>;
}

type Stream = ConsumerDeps["egress"]["stream"];

/** Pauses are taken twenty times as fast; time-outs are kept, since bytes move in real time. */
const LONGEST_PAUSE_MS = 10_000;
const HURRY = 20;
export const hurried = ({ now, sleep }: ConsumerDeps["clock"]): ConsumerDeps["clock"] => ({
  now,
  sleep: (ms, signal) => sleep(ms <= LONGEST_PAUSE_MS ? ms / HURRY : ms, signal),
});

/** The transfer Worker with a fate. `struck` hears of every fault. */
export function ill(deps: ConsumerDeps, fate: Fate, struck: (what: Fault | Habit) => void): ConsumerDeps {
  let isKilled = false;
  const stream: Stream = async (url, init, options) => {
    if (isKilled) throw new Error("this Worker is dead");
    const headers = new Headers(init?.headers);
    if (fate.habits.has("no_range")) headers.delete("range");
    const answer = await deps.egress.stream(url, { ...init, headers: Object.fromEntries(headers) }, options);
    for (const habit of fate.habits) struck(habit);
    const habitual = fate.habits.has("no_etag") ? without(answer, "etag") : answer;
    const fault = fate.faults.length > 0 && fate.isNow() ? fate.faults.shift() : undefined;
    if (fault === undefined) return habitual;
    struck(fault);
    if (fault === "link_expires_midway") fate.faults.unshift("link_dead");
    if (fault === "file_changed") await fate.change();
    return failing(fault, habitual, () => {
      isKilled = true;
    });
  };
  const trackerOf: ConsumerDeps["trackerOf"] = (connection) => {
    if (isKilled) throw new Error("this Worker is dead");
    return deps.trackerOf(connection);
  };
  return { ...deps, egress: { ...deps.egress, stream }, trackerOf };
}

function failing(fault: Fault, answer: Response, kill: () => void): Response {
  const middle = Math.floor(Number(answer.headers.get("content-length") ?? 2) / 2);
  switch (fault) {
    case "link_dead":
      return instead(answer, 403);
    case "link_gone":
      return instead(answer, 404);
    case "out_of_range":
      return instead(answer, 416);
    case "server_error":
      return instead(answer, 503);
    case "overloaded":
      return instead(answer, 429, { "retry-after": "1" });
    case "wrong_length": {
      const total = Number(/\/(\d+)$/.exec(answer.headers.get("content-range") ?? "")?.[1] ?? 0) + 1;
      const header = answer.status === 206 ? "content-range" : "content-length";
      const value = answer.status === 206 ? `bytes 0-${total - 2}/${total}` : String(middle * 2 + 7);
      const headers = new Headers(answer.headers);
      headers.set(header, value);
      return new Response(cut(answer, middle, "end"), { status: answer.status, headers });
    }
    case "other_etag": {
      const headers = new Headers(answer.headers);
      headers.set("etag", '"of another object"');
      return new Response(answer.body, { status: answer.status, headers });
    }
    case "file_changed":
      return answer;
    case "truncated":
    case "link_expires_midway":
      return new Response(cut(answer, middle, "end"), answer);
    case "connection_broken":
      return new Response(cut(answer, middle, "break"), answer);
    case "worker_killed":
      return new Response(cut(answer, middle, "break", kill), answer);
  }
}

function instead({ body }: Response, status: number, headers: Record<string, string> = {}): Response {
  void body?.cancel();
  return new Response(`<Error><Code>Fault</Code></Error>`, { status, headers });
}

function without(answer: Response, header: string): Response {
  const headers = new Headers(answer.headers);
  headers.delete(header);
  return new Response(answer.body, { status: answer.status, headers });
}

/** So many bytes of the body, then an early end or a broken connection. */
function cut(answer: Response, bytes: number, then: "end" | "break", before: () => void = () => {}): ReadableStream {
  const { body } = answer;
  const length = answer.headers.get("content-length");
  const { readable, writable } =
    length === null ? new IdentityTransformStream() : new FixedLengthStream(Number(length));
  const pump = async () => {
    const writer = writable.getWriter();
    let left = bytes;
    for await (const piece of body as unknown as AsyncIterable<Uint8Array>) {
      if (left > 0) await writer.write(piece.subarray(0, left));
      left -= piece.byteLength;
      if (left <= 0) break;
    }
    before();
    await (then === "end" ? writer.close() : writer.abort(new Error("the connection broke")));
  };
  pump().catch(() => {});
  return readable;
}

/** A bucket that knows which multipart uploads were begun and neither completed nor given up, and how many parts each object has. */
export function watched(bucket: R2Bucket, open: Set<string>, partsOf: number[]): R2Bucket {
  const follow = (upload: R2MultipartUpload): R2MultipartUpload => ({
    key: upload.key,
    uploadId: upload.uploadId,
    uploadPart: (n, value, options) => upload.uploadPart(n, value, options),
    complete: async (parts) => {
      const object = await upload.complete(parts);
      open.delete(upload.uploadId);
      partsOf.push(parts.length);
      return object;
    },
    abort: async () => {
      await upload.abort();
      open.delete(upload.uploadId);
    },
  });
  return {
    head: (key: string) => bucket.head(key),
    put: (key: string, value: string | ReadableStream, options: R2PutOptions) => bucket.put(key, value, options),
    delete: (key: string) => bucket.delete(key),
    createMultipartUpload: async (key: string, options?: R2MultipartOptions) => {
      const upload = await bucket.createMultipartUpload(key, options);
      open.add(upload.uploadId);
      return follow(upload);
    },
    resumeMultipartUpload: (key: string, id: string) => follow(bucket.resumeMultipartUpload(key, id)),
  } as unknown as R2Bucket;
}
