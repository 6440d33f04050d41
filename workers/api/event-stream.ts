/**
 * Server-sent events from the Tracker's WebSocket. api holds the open connection to the reader, the Tracker's end hibernates:
 * a thousand idle readers keep no Durable Object awake.
 */
import { z } from "../../shared/contract/words.ts";

/** Proxies drop connections that say nothing. */
const COMMENT_EVERY_MS = 15_000;

/** A reader this far behind is let go; it comes back by itself with `Last-Event-ID` and misses nothing. */
const MAX_BEHIND_BYTES = 1024 * 1024;

/** What the Tracker sends: facts, which are numbered, and progress, which is not kept. */
const FactFrame = z.object({
  event: z.custom<{ sequence: number }>((event) => z.object({ sequence: z.number().int() }).safeParse(event).success),
});
const ProgressFrame = z.object({
  progress: z.custom<object>((progress) => typeof progress === "object" && progress !== null),
});

/** One frame as text/event-stream, its content as it came; undefined for what this version does not know. */
export function sseOf(frame: unknown): string | undefined {
  const value = typeof frame === "string" ? jsonOrUndefined(frame) : undefined;
  const fact = FactFrame.safeParse(value);
  if (fact.success) return `id: ${fact.data.event.sequence}\ndata: ${JSON.stringify(fact.data.event)}\n\n`;
  const passing = ProgressFrame.safeParse(value);
  return passing.success ? `event: progress\ndata: ${JSON.stringify(passing.data.progress)}\n\n` : undefined;
}

/** The open answer. Whoever goes first, reader or Tracker, the other end is closed too. */
export function eventStream(socket: WebSocket, every: (ms: number, tick: () => void) => () => void): Response {
  const encoder = new TextEncoder();
  let stopComments = (): void => {};
  let isOpen = true;
  const close = (): void => {
    isOpen = false;
    stopComments();
    socket.close(1000, "done");
  };
  const body = new ReadableStream<Uint8Array>(
    {
      start(controller) {
        const send = (text: string): void => {
          if (!isOpen) return;
          controller.enqueue(encoder.encode(text));
          if ((controller.desiredSize ?? 0) <= 0) end();
        };
        const end = (): void => {
          if (!isOpen) return;
          close();
          controller.close();
        };
        socket.addEventListener("message", ({ data }) => {
          const text = sseOf(data);
          if (text !== undefined) send(text);
        });
        socket.addEventListener("close", end);
        socket.addEventListener("error", end);
        stopComments = every(COMMENT_EVERY_MS, () => send(":\n\n"));
        // The first bytes tell every proxy on the way that this is a stream.
        send("retry: 3000\n\n");
        socket.accept();
      },
      cancel: close,
    },
    { highWaterMark: MAX_BEHIND_BYTES, size: (chunk) => chunk.byteLength },
  );
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

function jsonOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
