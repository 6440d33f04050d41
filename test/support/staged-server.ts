/** A store with one staged file on loopback: any size without memory, ranges, and the faults that a journey asks for. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

/** The content repeats one block of noise, each time with its number at the start, so that no two parts are alike. */
const BLOCK_BYTES = 1024 * 1024;
const NOISE = Buffer.from(Array.from({ length: BLOCK_BYTES }, (_, i) => (Math.imul(i, 2_654_435_761) >>> 13) & 255));

function block(n: number, bytes: number): Buffer {
  const copy = Buffer.from(NOISE.subarray(0, bytes));
  if (bytes >= 4) copy.writeUInt32LE(n, 0);
  return copy;
}

/** Bytes `from` to `end` of a file of that size. */
function* content(from: number, end: number, bytes: number): Generator<Buffer> {
  for (let at = from; at < end; ) {
    const n = Math.floor(at / BLOCK_BYTES);
    const start = n * BLOCK_BYTES;
    const piece = block(n, Math.min(BLOCK_BYTES, bytes - start)).subarray(at - start, end - start);
    at += piece.byteLength;
    yield piece;
  }
}

/** SHA-256 of a file of that size, lower-case hex. */
export function sha256OfStaged(bytes: number): string {
  const hash = createHash("sha256");
  for (const piece of content(0, bytes, bytes)) hash.update(piece);
  return hash.digest("hex");
}

/** `n` counts requests from 1. */
export interface StagedHabits {
  ranges?: boolean;
  etag?: string | null;
  /** Answers with this status instead. */
  status?: (n: number) => number | undefined;
  /** Breaks the connection after so many bytes of the body. */
  cut?: (n: number) => number | undefined;
  /** Stops sending, without an end, after so many bytes of the body. */
  stall?: (n: number) => number | undefined;
}

export interface StagedServer {
  /** The link, with something in it that must never be shown. */
  url: string;
  /** What was asked, in order. */
  ranges: string[];
  /** Answers whose reader went away before the end. */
  abandoned(): number;
  close(): Promise<void>;
}

export const LINK_SECRET = "7f0cc8a2secret";

export async function stagedServer(bytes: number, habits: StagedHabits = {}): Promise<StagedServer> {
  const ranges: string[] = [];
  let abandoned = 0;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const n = ranges.push(request.headers.range ?? "");
    const status = habits.status?.(n);
    if (status !== undefined) return void response.writeHead(status).end();
    const asked = habits.ranges === false ? null : /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "");
    const from = asked ? Number(asked[1]) : 0;
    const end = asked ? Math.min(Number(asked[2]) + 1, bytes) : bytes;
    response.writeHead(asked ? 206 : 200, {
      "content-length": end - from,
      ...(habits.etag === null ? {} : { etag: habits.etag ?? '"staged"' }),
      ...(asked && { "content-range": `bytes ${from}-${end - 1}/${bytes}` }),
    });
    response.on("close", () => {
      if (!response.writableFinished) abandoned += 1;
    });
    const [cut, stall] = [habits.cut?.(n), habits.stall?.(n)];
    const last = Math.min(end, from + (cut ?? stall ?? end));
    await pipeline(Readable.from(content(from, last, bytes)), response, {
      end: cut === undefined && stall === undefined,
    });
    if (cut !== undefined) response.destroy();
  }

  const server = createServer((request, response) => void answer(request, response).catch(() => response.destroy()));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}/staged/file?X-Amz-Signature=${LINK_SECRET}`,
    ranges,
    abandoned: () => abandoned,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
