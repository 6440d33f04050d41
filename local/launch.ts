/** The whole of Firewatch on this machine: the embedded FirecREST, the three Workers, and connections between them. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FirecrestOptions, startFirecrest } from "./firecrest/server.ts";
import { LocalState } from "./state.ts";
import { freePort, type RunningWorkers, startWorkers } from "./workers.ts";

export interface LaunchOptions {
  /** Kept state; absent = a temporary folder that is removed at the end. */
  dir?: string;
  /** 0 picks a free port. */
  port: number;
  firecrestPort: number;
  onLog?: (line: string) => void;
  cron?: boolean;
  /** Which connections to make. */
  apis?: ("v1" | "v2")[];
  firecrest?: Partial<FirecrestOptions>;
}

export interface Launched {
  url: string;
  adminToken: string;
  connections: Record<string, { apiKey: string; url: string }>;
  firecrest: Awaited<ReturnType<typeof startFirecrest>>;
  workers: RunningWorkers;
  state: LocalState;
  stop(): Promise<void>;
}

/** Enough for polls of a second: the site is ours. */
const LOCAL_REQUESTS_PER_MINUTE = 6000;

export async function launch(options: LaunchOptions): Promise<Launched> {
  const temporary = options.dir === undefined ? await mkdtemp(join(tmpdir(), "firewatch-")) : undefined;
  const state = new LocalState(options.dir ?? temporary ?? "");
  const secrets = await state.secrets();
  if (options.port !== 0 && options.port === options.firecrestPort) {
    throw new Error(`FIREWATCH_PORT and FIRECREST_PORT are both ${options.port}; give them two different ports, or 0.`);
  }
  const port = await freePort(options.port, "FIREWATCH_PORT");
  const firecrestPort = await freePort(options.firecrestPort, "FIRECREST_PORT");

  const firecrest = await startFirecrest({ ...options.firecrest, port: firecrestPort, dir: state.path("firecrest") });
  const url = `http://127.0.0.1:${port}`;
  // Loopback is what an operator allows here: receivers, the site and its staging area all live on this machine.
  const egress = JSON.stringify({ hosts: ["localhost"], cidrs: ["127.0.0.0/8", "::1/128"] });
  const workers = await startWorkers({
    port,
    buildDir: state.path("build"),
    stateDir: state.path("state"),
    cron: options.cron ?? true,
    ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
    vars: {
      api: { ADMIN_TOKEN: secrets.adminToken, PUBLIC_URL: url, EGRESS_ALLOW: egress },
      poller: { SEAL_KEYS: secrets.sealKeys, PUBLIC_URL: url, EGRESS_ALLOW: egress },
      transfer: { EGRESS_ALLOW: egress },
    },
  });

  const launched: Launched = {
    url,
    adminToken: secrets.adminToken,
    connections: {},
    firecrest,
    workers,
    state,
    stop: async () => {
      await workers.stop();
      await firecrest.stop();
      if (temporary !== undefined) await rm(temporary, { recursive: true, force: true });
    },
  };
  try {
    for (const api of options.apis ?? ["v1", "v2"]) {
      const base = api === "v1" ? firecrest.v1Url : firecrest.v2Url;
      if (base !== undefined)
        launched.connections[`local-${api}`] = await connect(launched, api, base, secrets.apiKeys);
    }
    await state.keepSecrets(secrets);
  } catch (error) {
    await launched.stop();
    throw error;
  }
  return launched;
}

/** Makes (or points anew) one connection, and its key on the first start. */
async function connect(
  launched: Launched,
  api: "v1" | "v2",
  base: string,
  apiKeys: Record<string, string>,
): Promise<{ apiKey: string; url: string }> {
  const name = `local-${api}`;
  const url = `${launched.url}/v1/connections/${name}`;
  const { tokenUrl, clientId, clientSecret } = launched.firecrest;
  const admin = adminOf(launched);
  const body = {
    api,
    url: base,
    auth: { type: "client_credentials", tokenUrl, clientId, clientSecret },
    requestsPerMinute: LOCAL_REQUESTS_PER_MINUTE,
  };
  await admin("PUT", url, body);
  apiKeys[name] ??= ((await admin("POST", `${url}/keys`, { name: "local" })) as { apiKey: string }).apiKey;
  return { apiKey: apiKeys[name], url };
}

const adminOf =
  ({ adminToken }: Launched) =>
  async (method: string, url: string, body: unknown): Promise<unknown> => {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const answer: unknown = await response.json();
    if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer;
  };
