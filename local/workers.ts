/** The three Workers in one Miniflare, built from wrangler.toml: what `npm start`, the demo and the journeys run on. */
import { mkdir, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptions } from "wrangler";
import { bundle } from "./bundle.ts";

const ROOT = join(import.meta.dirname, "..");
export const WORKERS = ["api", "poller", "transfer"] as const;
export type WorkerName = (typeof WORKERS)[number];

export interface WorkersOptions {
  /** 0 picks a free one. */
  port: number;
  /** Where bundles go; may be thrown away. */
  buildDir: string;
  /** Where Durable Objects, KV and R2 are kept; absent = in memory. */
  stateDir?: string;
  /** Secrets and settings, by Worker. */
  vars: Record<WorkerName, Record<string, string>>;
  /** Worker logs go here, one JSON line each; default: nowhere. */
  onLog?: (line: string) => void;
  /** Run the one-minute cron by a real timer. */
  cron?: boolean;
}

export interface RunningWorkers {
  url: string;
  miniflare: Miniflare;
  /** Runs the poller's sweep now. */
  sweep(at?: number): Promise<void>;
  stop(): Promise<void>;
}

/** The same rate-limit bindings, with more room than any test needs. */
const unlimited = (bindings: unknown): Record<string, unknown> =>
  Object.fromEntries(
    Object.entries(bindings as Record<string, object>).map(([name, binding]) => [
      name,
      { ...binding, simple: { limit: 1_000_000, period: 60 } },
    ]),
  );

export async function startWorkers(options: WorkersOptions): Promise<RunningWorkers> {
  await mkdir(options.buildDir, { recursive: true });
  await Promise.all(WORKERS.map((name) => bundle(`workers/${name}/index.ts`, join(options.buildDir, `${name}.mjs`))));
  const workers = WORKERS.map((name) => {
    const { workerOptions: fromToml } = workerOptions(join(ROOT, "wrangler.toml"), name);
    const { modulesRules: _, ...rest } = fromToml as Record<string, unknown> & {
      bindings?: Record<string, unknown>;
      ratelimits?: unknown;
    };
    return {
      ...rest,
      name: `firewatch-${name}`,
      modules: [{ type: "ESModule" as const, path: join(options.buildDir, `${name}.mjs`) }],
      modulesRoot: options.buildDir,
      bindings: { ...rest.bindings, ...options.vars[name] },
      // Everybody here is one address: the limits of a public entrance would only stop ourselves.
      ...(rest.ratelimits === undefined ? {} : { ratelimits: unlimited(rest.ratelimits) }),
    };
  });
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: options.port,
      cf: false,
      log: new Log(LogLevel.ERROR),
      handleStructuredLogs: ({ message }: { message: string }) => options.onLog?.(message),
      workers,
      ...(options.stateDir === undefined ? {} : { resourcePersistencePath: options.stateDir }),
    } as Parameters<typeof convertV4MiniflareOptions>[0]),
  );
  const url = (await miniflare.ready).href.replace(/\/$/, "");
  const sweep = async (at = Date.now()) => {
    const poller = await miniflare.getWorker("firewatch-poller");
    await poller.scheduled({ cron: "* * * * *", scheduledTime: new Date(at) });
  };
  const timer =
    options.cron === true
      ? setInterval(() => void sweep().catch((error: unknown) => options.onLog?.(`sweep: ${String(error)}`)), 60_000)
      : undefined;
  return {
    url,
    miniflare,
    sweep,
    stop: async () => {
      clearInterval(timer);
      await miniflare.dispose();
      await rm(options.buildDir, { recursive: true, force: true });
    },
  };
}

/** A port nobody holds at the moment; throws a clear error for a wanted one that is taken. */
export async function freePort(wanted: number, name: string): Promise<number> {
  const server = createServer();
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) =>
      reject(
        error.code === "EADDRINUSE"
          ? new Error(
              `Port ${wanted} is taken by another program. Set ${name} to a free port, or to 0 to have one picked.`,
            )
          : error,
      ),
    );
    server.listen(wanted, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : wanted;
      server.close(() => resolve(port));
    });
  });
}
