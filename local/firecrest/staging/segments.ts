/**
 * The bytes of the staging area: immutable pieces with an id. Objects are lists of pieces (`staging.ts`), so completing a
 * multipart upload copies nothing.
 */
export interface Segments {
  /** Stores a body as one piece. Nothing remains of it if the body breaks off. */
  create(body: ReadableStream<Uint8Array>): Promise<Segment>;
  /** Bytes `[start, end)`. */
  read(id: string, start: number, end: number): ReadableStream<Uint8Array>;
  remove(id: string): Promise<void>;
  /** Removes pieces that nothing refers to (what a crash left behind). */
  keepOnly(ids: ReadonlySet<string>): Promise<void>;
}

export interface Segment {
  id: string;
  size: number;
}

export function memorySegments(): Segments {
  const pieces = new Map<string, Uint8Array>();
  let next = 1;
  return {
    create: async (body) => {
      const bytes = new Uint8Array(await new Response(body).arrayBuffer());
      const id = String(next++);
      pieces.set(id, bytes);
      return { id, size: bytes.byteLength };
    },
    read: (id, start, end) => chunked(pieces.get(id)?.subarray(start, end) ?? new Uint8Array()),
    remove: async (id) => {
      pieces.delete(id);
    },
    keepOnly: async (ids) => {
      for (const id of pieces.keys()) if (!ids.has(id)) pieces.delete(id);
    },
  };
}

const CHUNK_BYTES = 64 * 1024;

/** A stream of copies of `bytes` (a consumer may take the buffers away). */
export function chunked(bytes: Uint8Array): ReadableStream<Uint8Array> {
  let at = 0;
  return new ReadableStream({
    pull: (controller) => {
      if (at >= bytes.byteLength) return controller.close();
      controller.enqueue(bytes.slice(at, at + CHUNK_BYTES));
      at += CHUNK_BYTES;
    },
  });
}

/** Streams one after the other; each is opened only when its turn comes. */
export function joined(parts: (() => ReadableStream<Uint8Array>)[]): ReadableStream<Uint8Array> {
  let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
  let next = 0;
  return new ReadableStream(
    {
      async pull(controller) {
        for (;;) {
          if (reader === undefined) {
            const open = parts[next++];
            if (open === undefined) return controller.close();
            reader = open().getReader();
          }
          const { done, value } = await reader.read();
          if (!done) return controller.enqueue(value);
          reader = undefined;
        }
      },
      async cancel(reason) {
        await reader?.cancel(reason);
      },
    },
    { highWaterMark: 0 },
  );
}
