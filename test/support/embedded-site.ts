/** A real client of ours on the embedded FirecREST in memory, called in process, on a virtual clock. */
import { createFirecrest as createEmbedded, type MemoryFirecrest } from "../../local/firecrest/memory.ts";
import type { Quirks } from "../../local/firecrest/site.ts";
import { createFirecrest } from "../../shared/firecrest/client.ts";
import type { Api, Firecrest } from "../../shared/firecrest/port.ts";
import { createTokenSource } from "../../shared/firecrest/token.ts";

export interface EmbeddedSite {
  client: Firecrest;
  server: MemoryFirecrest;
  user: string;
  /** Sends a request to the object store, as the transfer worker or a user's curl would. */
  staged(url: string, init: RequestInit): Promise<Response>;
  /** Lets the next answer to a request that matches get lost, after the site has done what it asks. */
  loseAnswerTo(method: string, path: RegExp): void;
  advance(ms: number): Promise<void>;
  now(): number;
}

export async function embeddedSite(api: Api, quirks: Quirks = "none"): Promise<EmbeddedSite> {
  const server = await createEmbedded({ quirks, startAt: Date.UTC(2026, 10, 22, 12) });
  const { clock, clientId, clientSecret, tokenUrl, user } = server;
  const send = (url: string, init: RequestInit) => server.fetch(new Request(url, init));
  const lost: { method: string; path: RegExp }[] = [];

  const client = createFirecrest({
    api,
    url: api === "v1" ? server.v1Url : server.v2Url,
    token: createTokenSource({
      credential: { type: "client_credentials", tokenUrl, clientId, clientSecret },
      fetch: send,
      cache: { get: async () => undefined, put: async () => undefined },
      now: clock.now,
      log: () => undefined,
    }),
    async fetch(url, init) {
      const response = await send(url, init);
      const i = lost.findIndex(({ method, path }) => method === init.method && path.test(new URL(url).pathname));
      if (i === -1) return response;
      lost.splice(i, 1);
      throw new TypeError("Network connection lost.");
    },
    fetchStaged: send,
    now: clock.now,
    sleep: (ms) => clock.advance(ms),
    log: () => undefined,
  });
  return {
    client,
    server,
    user,
    staged: send,
    loseAnswerTo: (method, path) => void lost.push({ method, path }),
    advance: (ms) => clock.advance(ms),
    now: clock.now,
  };
}
