/** For tests: a client of ours on any FirecREST, over a way to send that the test holds in its hands. */
import { createFirecrest } from "../../shared/firecrest/client.ts";
import type { Api, Firecrest } from "../../shared/firecrest/port.ts";
import { type Credential, createTokenSource } from "../../shared/firecrest/token.ts";

export interface SiteAccess {
  api: Api;
  /** Base URL of the API. */
  url: string;
  credential: Credential;
  send(url: string, init: RequestInit): Promise<Response>;
  now(): number;
  sleep(ms: number): Promise<void>;
}

export interface SiteClient {
  client: Firecrest;
  /** Sends a request to the object store, as the transfer worker or a user's curl would. */
  staged(url: string, init: RequestInit): Promise<Response>;
  /** Lets the next answer to a request that matches get lost, after the site has done what it asks. */
  loseAnswerTo(method: string, path: RegExp): void;
}

export function clientOf({ api, url, credential, send, now, sleep }: SiteAccess): SiteClient {
  const lost: { method: string; path: RegExp }[] = [];
  const client = createFirecrest({
    api,
    url,
    token: createTokenSource({
      credential,
      fetch: send,
      cache: { get: async () => undefined, put: async () => undefined },
      now,
      log: () => undefined,
    }),
    async fetch(address, init) {
      const response = await send(address, init);
      const i = lost.findIndex(({ method, path }) => method === init.method && path.test(new URL(address).pathname));
      if (i === -1) return response;
      lost.splice(i, 1);
      throw new TypeError("Network connection lost.");
    },
    fetchStaged: send,
    now,
    sleep,
    log: () => undefined,
  });
  return { client, staged: send, loseAnswerTo: (method, path) => void lost.push({ method, path }) };
}
