/** For tests: a client of ours on an embedded site, and a way to send it plain requests as one of its users. */
import type { ClientDeps, Firecrest } from "../../../shared/firecrest/port.ts";
import { createV2Client } from "../../../shared/firecrest/v2/client.ts";
import type { Clock } from "../clock.ts";
import type { ClientAccount } from "../oidc.ts";

export interface Rig {
  client: Firecrest;
  token(): Promise<string>;
  /** Sends to the v2 API with a good token, unless headers say otherwise. */
  api(method: string, path: string, init?: { json?: unknown; headers?: Record<string, string> }): Promise<Response>;
}

interface Server {
  v2Url: string;
  tokenUrl: string;
  clock: Clock;
  fetch(request: Request): Promise<Response>;
}

export function rigOn({ v2Url, tokenUrl, clock, fetch }: Server, { clientId, clientSecret }: ClientAccount): Rig {
  const token = async (): Promise<string> => {
    const body = new URLSearchParams({
      grant_type: "client_credentials",
      client_id: clientId,
      client_secret: clientSecret,
    });
    const response = await fetch(new Request(tokenUrl, { method: "POST", body }));
    return ((await response.json()) as { access_token: string }).access_token;
  };
  const send: ClientDeps["fetch"] = (url, init) => fetch(new Request(url, init));
  return {
    token,
    client: createV2Client({
      api: "v2",
      url: v2Url,
      token,
      fetch: send,
      fetchStaged: send,
      now: clock.now,
      sleep: clock.sleep,
      log: () => undefined,
    }),
    async api(method, path, { json, headers = {} } = {}) {
      const type: Record<string, string> = json === undefined ? {} : { "content-type": "application/json" };
      return await send(v2Url + path, {
        method,
        headers: { authorization: `Bearer ${await token()}`, ...type, ...headers },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
      });
    },
  };
}
