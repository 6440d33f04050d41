/** Rooms of the Tracker in a real runtime, from outside. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { bundle } from "../../local/bundle.ts";
import { commandOf, cpuSeconds, descendants } from "./processes.ts";
import type { Scenarios } from "./rooms-worker.ts";

type Input<S extends keyof Scenarios> = Parameters<Scenarios[S]>[2];
type Output<S extends keyof Scenarios> = Awaited<ReturnType<Scenarios[S]>>;

export interface Rooms {
  run<S extends keyof Scenarios>(scenario: S, input: Input<S>): Promise<Output<S>>;
  /** Processor time of the runtime so far. */
  cpuSeconds(): number;
  close(): Promise<void>;
}

export async function openRooms(): Promise<Rooms> {
  const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  await bundle("bench/support/rooms-worker.ts", join(folder, "worker.mjs"));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      // Its warnings about bodies of the embedded site.
      handleStructuredLogs: () => {},
      workers: [
        {
          name: "rooms",
          compatibilityDate: "2026-10-20",
          modulesRoot: folder,
          modules: [{ type: "ESModule", path: join(folder, "worker.mjs") }],
          durableObjects: { ROOM: { className: "Room", useSQLite: true } },
          kvNamespaces: ["TOKENS", "INDEX"],
          r2Buckets: ["OBJECTS"],
        },
      ],
    }),
  );
  const url = await miniflare.ready;
  const workerd = descendants(process.pid).findLast((pid) => commandOf(pid) === "workerd");
  if (workerd === undefined) throw new Error("there is no workerd below this process");
  return {
    async run(scenario, input) {
      const response = await miniflare.dispatchFetch(url.href, {
        method: "POST",
        body: JSON.stringify({ scenario, input }),
      });
      if (!response.ok) throw new Error(`${scenario} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as never;
    },
    cpuSeconds: () => cpuSeconds(workerd),
    async close() {
      await miniflare.dispose();
      await rm(folder, { recursive: true, force: true });
    },
  };
}
