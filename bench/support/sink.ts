/** An HTTP server on loopback that takes bodies and keeps nothing. */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

export interface Sink {
  url: string;
  /** Bytes taken so far. */
  bytes(): number;
  close(): Promise<void>;
}

export async function openSink(): Promise<Sink> {
  let bytes = 0;
  const server = createServer((request, response) => {
    request.on("data", (piece: Buffer) => {
      bytes += piece.byteLength;
    });
    request.on("end", () => response.writeHead(200, { etag: '"taken"' }).end());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bytes: () => bytes,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
