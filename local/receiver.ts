/** A callback receiver on loopback that checks signatures with the reference library, as anybody's receiver would. */
import { createServer, type Server } from "node:http";
import { Webhook } from "standardwebhooks";

export interface Received {
  event: {
    id: string;
    type: string;
    timestamp: string;
    sequence: number;
    subject: string;
    data: Record<string, unknown>;
  };
  verified: boolean;
  receivedAt: number;
}

export interface Receiver {
  url: string;
  received: Received[];
  /** Resolves with the first callback of this type; rejects after `timeoutMs`. */
  waitFor(type: string, timeoutMs: number): Promise<Received>;
  stop(): Promise<void>;
}

/** `secret` is known only after the subscription was made, so it is asked for when a callback comes. */
export async function startReceiver(secret: () => string | undefined): Promise<Receiver> {
  const received: Received[] = [];
  const waiting = new Set<() => void>();
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const body = Buffer.concat(chunks).toString();
      received.push({
        event: JSON.parse(body) as Received["event"],
        verified: verify(secret(), body, request.headers as Record<string, string>),
        receivedAt: Date.now(),
      });
      response.writeHead(204).end();
      for (const wake of waiting) wake();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;

  return {
    url: `http://127.0.0.1:${port}/callbacks`,
    received,
    waitFor: (type, timeoutMs) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const found = received.find(({ event }) => event.type === type);
          if (found === undefined) return;
          clearTimeout(timer);
          waiting.delete(look);
          resolve(found);
        };
        const timer = setTimeout(() => {
          waiting.delete(look);
          reject(
            new Error(
              `no ${type} callback came within ${timeoutMs / 1000} s; got ${received.map(({ event }) => event.type).join(", ") || "none"}`,
            ),
          );
        }, timeoutMs);
        waiting.add(look);
        look();
      }),
    stop: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

function verify(secret: string | undefined, body: string, headers: Record<string, string>): boolean {
  try {
    new Webhook(secret ?? "").verify(body, headers);
    return true;
  } catch {
    return false;
  }
}
