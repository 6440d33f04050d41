/** A staged file in memory, with the habits and faults of object stores. */
import type { FetchStaged } from "../source.ts";
import { measuredStreams } from "./runtime.ts";

/** How a store behaves. `answer` may replace the answer to the n-th request (from 1); `cut` ends its body after so many bytes. */
export interface StoreHabits {
  ranges?: boolean;
  etag?: string | undefined;
  /** False: chunked, without Content-Length. */
  lengths?: boolean;
  answer?: (n: number, request: Request) => Response | undefined | Promise<Response | undefined>;
  cut?: (n: number) => number | undefined;
}

/** A file behind a link. `requests` is what was asked, in order. */
export function stagedFile(content: Uint8Array, habits: StoreHabits = {}): { fetch: FetchStaged; requests: Request[] } {
  const requests: Request[] = [];
  const fetch: FetchStaged = async (url, init) => {
    const request = new Request(url, init);
    const n = requests.push(request);
    const replaced = await habits.answer?.(n, request);
    if (replaced) return replaced;
    const asked = /^bytes=(\d+)-(\d+)$/.exec(request.headers.get("range") ?? "");
    const ranged = asked !== null && habits.ranges !== false;
    const from = ranged ? Number(asked[1]) : 0;
    const bytes = ranged ? content.subarray(from, Number(asked[2]) + 1) : content;
    const headers = new Headers();
    if (habits.etag !== undefined) headers.set("etag", habits.etag);
    if (ranged) headers.set("content-range", `bytes ${from}-${from + bytes.byteLength - 1}/${content.byteLength}`);
    if (habits.lengths !== false) headers.set("content-length", String(bytes.byteLength));
    const body = byteStream(bytes, { signal: init.signal, cutAfter: habits.cut?.(n) });
    if (habits.lengths !== false) measuredStreams.add(body);
    return new Response(body, { status: ranged ? 206 : 200, headers });
  };
  return { fetch, requests };
}

/** A byte stream in uneven pieces. With `cutAfter` the connection is lost after so many bytes; it also ends with `signal`. */
export function byteStream(
  bytes: Uint8Array,
  options: { signal?: AbortSignal; cutAfter?: number | undefined } = {},
): ReadableStream<Uint8Array> {
  const end = Math.min(options.cutAfter ?? Number.POSITIVE_INFINITY, bytes.byteLength);
  let at = 0;
  return new ReadableStream({
    type: "bytes",
    start(controller) {
      options.signal?.addEventListener("abort", () => controller.error(options.signal?.reason), { once: true });
    },
    pull(controller) {
      if (at < end) {
        const next = Math.min(end, at + 1 + ((at * 7919) % 4096));
        controller.enqueue(new Uint8Array(bytes.subarray(at, next)));
        at = next;
      } else if (end < bytes.byteLength) {
        controller.error(new TypeError("Network connection lost."));
      } else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  }) as ReadableStream<Uint8Array>;
}
