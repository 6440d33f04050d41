/**
 * The embedded FirecREST as a server on this machine: real files and processes below one folder, v1 and v2, tokens and a
 * staging area on one loopback port.
 */
import { mkdir } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { getRequestListener } from "@hono/node-server";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Clock } from "./clock.ts";
import { diskStore } from "./disk-store.ts";
import type { Faults } from "./faults.ts";
import { ConnectionLost } from "./gateway.ts";
import { responseWithNames } from "./header-names.ts";
import type { Host } from "./host.ts";
import type { ClientAccount } from "./oidc.ts";
import { type ProcessHostOptions, processHost } from "./process-host.ts";
import type { Site } from "./site.ts";
import { createSiteServer, isV2, type SiteOptions } from "./site-server.ts";
import { diskSegments } from "./staging/disk-segments.ts";
import type { Store } from "./store.ts";
import type { V2Options } from "./v2/options.ts";

export interface FirecrestOptions
  extends Partial<Pick<SiteOptions, "quirks" | "limits" | "tokenLifeSeconds" | "seed" | "control" | "v2">> {
  /** 0 = a free one. */
  port: number;
  /** Everything it keeps: users' files in `cluster/`, the rest in `state/`. */
  dir: string;
  /** Users' files, where they shall lie elsewhere. */
  root?: string;
  /** Users beside the first; each gets a client of its own. */
  users?: readonly string[];
  /** How the machine behaves. */
  host?: Omit<ProcessHostOptions, "root" | "stateDir" | "users">;
  /** Another machine in place of this one. */
  cluster?: Host;
}

export interface RunningFirecrest extends ClientAccount {
  /** `http://127.0.0.1:<port>` */
  url: string;
  v1Url: string;
  v2Url: string;
  tokenUrl: string;
  certsUrl: string;
  stagingUrl: string;
  /** One client per user, the first one is that of this object. */
  accounts: readonly ClientAccount[];
  host: Host;
  faults: Faults;
  site: Site;
  /** What v2 goes by; change it at any time. */
  v2Options: Partial<V2Options>;
  /** Frees the port and lets go of everything; running jobs go on. */
  stop(): Promise<void>;
}

const LOOPBACK = "127.0.0.1";
const DEFAULT_USER = "alice";
/** Longer than clients keep idle connections, so that none is closed under a request. */
const KEEP_ALIVE_MS = 75_000;

export async function startFirecrest(options: FirecrestOptions): Promise<RunningFirecrest> {
  const stateDir = join(options.dir, "state");
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  const store = diskStore(join(stateDir, "site.jsonl"));
  const users = options.users ?? [DEFAULT_USER];
  const accounts = users.map((user) => accountOf(store, user));
  const host =
    options.cluster ??
    (await processHost({
      ...options.host,
      root: options.root ?? join(options.dir, "cluster"),
      stateDir: join(stateDir, "cluster"),
      users: users.map((name) => ({ name })),
    }));
  const clock = stoppableClock();
  const mover = [process.execPath, fileURLToPath(new URL("./v2/mover.ts", import.meta.url).href)];
  const server = await createSiteServer({
    ...options,
    systems: new Map([["cluster", host]]),
    clock,
    store,
    segments: await diskSegments(join(stateDir, "staging")),
    accounts,
    v2: { mover, ...options.v2 },
  });

  const http = createServer(
    { ServerResponse: responseWithNames(isV2) },
    getRequestListener((request, env) => answer(server.fetch, request, env), { overrideGlobalObjects: false }),
  );
  http.keepAliveTimeout = KEEP_ALIVE_MS;
  http.requestTimeout = 0;
  const release = async () => {
    clock.stop();
    await host.close();
    store.close();
  };
  let url: string;
  try {
    url = await listen(http, options.port);
  } catch (error) {
    await release();
    throw error;
  }
  server.publish(url);

  return {
    ...(accounts[0] as ClientAccount),
    ...server.urls(),
    url,
    accounts,
    host,
    faults: server.site.faults,
    site: server.site,
    v2Options: server.v2Options,
    async stop() {
      const closed = new Promise((resolve) => http.close(resolve));
      http.closeAllConnections();
      await closed;
      await release();
    },
  };
}

/** A broken connection has no answer: the socket goes away. */
async function answer(
  fetch: (request: Request) => Promise<Response>,
  request: Request,
  { outgoing }: { outgoing: { destroy(): unknown } },
): Promise<Response> {
  try {
    return await fetch(request);
  } catch (error) {
    if (!(error instanceof ConnectionLost)) throw error;
    outgoing.destroy();
    return RESPONSE_ALREADY_SENT;
  }
}

function listen(http: Server, port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    http.once("error", (error: NodeJS.ErrnoException) => {
      const isTaken = error.code === "EADDRINUSE";
      reject(
        isTaken ? new Error(`Port ${port} is already in use: give FirecREST another one, or 0 for a free one`) : error,
      );
    });
    http.listen(port, LOOPBACK, () => {
      const address = http.address();
      resolve(`http://${LOOPBACK}:${typeof address === "object" ? address?.port : port}`);
    });
  });
}

/** The client of a user, made at the first start and kept. */
function accountOf(store: Store, user: string): ClientAccount {
  const key = `account/${user}`;
  const saved = store.get<ClientAccount>(key);
  if (saved !== undefined) return saved;
  const secret = () => (crypto.randomUUID() + crypto.randomUUID()).replaceAll("-", "");
  const account = { clientId: `firewatch-${user}`, clientSecret: secret(), apiKey: secret(), user };
  store.set(key, account);
  return account;
}

/** Real time whose sleepers are left asleep when the server stops. */
function stoppableClock(): Clock & { stop(): void } {
  const timers = new Set<NodeJS.Timeout>();
  return {
    now: () => Date.now(),
    sleep: (ms) =>
      new Promise((resolve) => {
        const timer = setTimeout(() => {
          timers.delete(timer);
          resolve();
        }, ms);
        timers.add(timer);
      }),
    stop: () => {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
