/** A real client of ours on the embedded FirecREST in memory, called in process, on a virtual clock. */
import { createFirecrest as createEmbedded, type MemoryFirecrest } from "../../local/firecrest/memory.ts";
import type { Quirks } from "../../local/firecrest/site.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { clientOf, type SiteClient } from "./site-client.ts";

export interface EmbeddedSite extends SiteClient {
  server: MemoryFirecrest;
  user: string;
  advance(ms: number): Promise<void>;
  now(): number;
}

export async function embeddedSite(api: Api, quirks: Quirks = "none"): Promise<EmbeddedSite> {
  const server = await createEmbedded({ quirks, startAt: Date.UTC(2026, 10, 22, 12) });
  const { clock, clientId, clientSecret, tokenUrl, user } = server;
  const client = clientOf({
    api,
    url: api === "v1" ? server.v1Url : server.v2Url,
    credential: { type: "client_credentials", tokenUrl, clientId, clientSecret },
    send: (url, init) => server.fetch(new Request(url, init)),
    now: clock.now,
    sleep: (ms) => clock.advance(ms),
  });
  return { ...client, server, user, advance: (ms) => clock.advance(ms), now: clock.now };
}
