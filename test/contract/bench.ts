/** What the contract suite of FirecREST clients works on: a client of ours before each kind of host, on each API. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type RunningFirecrest, startFirecrest } from "../../local/firecrest/server.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { embeddedSite } from "../support/embedded-site.ts";
import { clientOf, type SiteClient } from "../support/site-client.ts";

/** A client and an empty directory of its user. */
export interface Bench extends SiteClient {
  api: Api;
  user: string;
  home: string;
  /** Lets time go by there until a look shows something. Throws after a while. */
  until<T>(look: () => Promise<T | undefined>, what: string): Promise<T>;
  now(): number;
}

/** A site that lasts for a whole suite; each test gets its own bench there. */
export interface Place {
  bench(): Promise<Bench>;
  stop(): Promise<void>;
}

export interface HostKind {
  name: string;
  /** The shortest time limit, as `--time` takes it. */
  shortLimit: string;
  /** How many seconds a job must run to be seen running. */
  beatSeconds: number;
  patienceMs: number;
  /** Whether commands do what they say. */
  hasShell: boolean;
  start(api: Api): Promise<Place>;
}

export const MEMORY: HostKind = {
  name: "memory",
  shortLimit: "1",
  beatSeconds: 30,
  patienceMs: 30_000,
  hasShell: false,
  start: async (api) => ({
    async bench() {
      const site = await embeddedSite(api);
      return {
        ...site,
        api,
        home: `/scratch/${site.user}`,
        async until(look, what) {
          for (let second = 0; second < 300; second++) {
            const found = await look();
            if (found !== undefined) return found;
            await site.advance(1_000);
          }
          throw new Error(`${what} did not happen within 300 s of virtual time`);
        },
      };
    },
    stop: async () => undefined,
  }),
};

export const PROCESS: HostKind = {
  name: "process",
  shortLimit: "0:01",
  beatSeconds: 2,
  patienceMs: 60_000,
  hasShell: true,
  async start(api) {
    const dir = await mkdtemp(join(tmpdir(), "firewatch-contract-"));
    const site = await startFirecrest({
      port: 0,
      dir,
      limits: { storagePollMs: 100 },
      host: { killWaitMs: 500, machine: { cpus: 16 } },
      v2: { ingressPollMs: 100 },
    });
    return placeOn(site, api, this.patienceMs, {
      directory: () => mkdtemp(join(dir, "cluster", "scratch", site.user, "test-")),
      async stop() {
        const { jobs } = await site.host.as(site.user);
        for (const { jobId } of await jobs.queue()) await jobs.cancel(jobId).catch(() => undefined);
        await site.stop();
        await rm(dir, { recursive: true, force: true });
      },
    });
  },
};

/** Benches on a server that is up, in real time. */
export function placeOn(
  site: RunningFirecrest,
  api: Api,
  patienceMs: number,
  { directory, stop }: { directory(): Promise<string>; stop(): Promise<void> },
): Place {
  const { clientId, clientSecret, tokenUrl, user } = site;
  return {
    async bench() {
      const client = clientOf({
        api,
        url: api === "v1" ? site.v1Url : site.v2Url,
        credential: { type: "client_credentials", tokenUrl, clientId, clientSecret },
        send: (url, init) => fetch(url, init),
        now: Date.now,
        sleep: delay,
      });
      return {
        ...client,
        api,
        user,
        home: await directory(),
        now: Date.now,
        async until(look, what) {
          for (const end = Date.now() + patienceMs; Date.now() < end; await delay(200)) {
            const found = await look();
            if (found !== undefined) return found;
          }
          throw new Error(`${what} did not happen within ${patienceMs / 1000} s`);
        },
      };
    },
    stop,
  };
}
