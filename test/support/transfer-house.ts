/** The real transfer Worker, as wrangler.toml describes it, in workerd with R2 and the queue, beside a stub Tracker. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { unstable_getMiniflareWorkerOptions as workerOptions } from "wrangler";
import { bundle } from "../../local/bundle.ts";
import type { ByteWork } from "../../shared/contract/work.ts";
import type { Seen } from "./stub-tracker.ts";

export interface TransferHouse {
  bucket: R2Bucket;
  /** Starts a piece of work. The further segments of a copy and its completion follow by themselves. */
  start(connection: string, work: ByteWork): Promise<Seen>;
  /** The same for many transfers of one connection. */
  startAll(connection: string, works: readonly ByteWork[]): Promise<Seen>;
  cancel(connection: string): Promise<Seen>;
  /** What a Worker without Firewatch would do: one streamed put, in the same runtime. */
  plainPut(url: string, key: string): Promise<void>;
  /** The same the other way: one streamed request with the object as its body. */
  plainSend(key: string, url: string): Promise<void>;
  seen(connection: string): Promise<Seen>;
  /** What was seen when nothing more follows. */
  ended(connection: string): Promise<Seen>;
  /** Lines that the Workers wrote. */
  lines: string[];
  close(): Promise<void>;
}

/** `kept`: a folder that is there already and stays, with the objects in it. */
export async function openTransferHouse(kept?: string): Promise<TransferHouse> {
  const folder = kept ?? (await mkdtemp(join(tmpdir(), "firewatch-transfer-")));
  const lines: string[] = [];
  await Promise.all([
    bundle("workers/transfer/index.ts", join(folder, "transfer.mjs")),
    bundle("test/support/stub-tracker.ts", join(folder, "tracker.mjs")),
  ]);
  // Wrangler's type hides these two behind an index signature.
  const transfer = workerOptions("wrangler.toml", "transfer").workerOptions as {
    compatibilityDate: string;
    compatibilityFlags: string[];
  };
  const { compatibilityDate, compatibilityFlags } = transfer;
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      handleStructuredLogs: ({ message }) => void lines.push(message),
      resourcePersistencePath: join(folder, "state"),
      workers: [
        {
          compatibilityDate,
          compatibilityFlags,
          name: "firewatch-poller",
          modulesRoot: folder,
          modules: [{ type: "ESModule", path: join(folder, "tracker.mjs") }],
          durableObjects: { TRACKER: { className: "Tracker", useSQLite: true } },
          queueProducers: { TRANSFERS: { queueName: "transfers" } },
          r2Buckets: { OBJECTS: "firewatch-objects" },
        },
        {
          ...transfer,
          name: "firewatch-transfer",
          modulesRoot: folder,
          modules: [{ type: "ESModule", path: join(folder, "transfer.mjs") }],
          bindings: { EGRESS_ALLOW: '{"cidrs":["127.0.0.0/8"]}' },
        },
      ],
    }),
  );
  const url = await miniflare.ready;
  const call = async (path: string, body?: unknown): Promise<Seen> => {
    const response = await fetch(
      new URL(path, url),
      body === undefined ? {} : { method: "POST", body: JSON.stringify(body) },
    );
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return (await response.json()) as Seen;
  };
  return {
    bucket: (await miniflare.getR2Bucket("OBJECTS", "firewatch-transfer")) as unknown as R2Bucket,
    start: (connection, work) => call(`/${connection}/start`, work),
    startAll: (connection, works) => call(`/${connection}/start-all`, works),
    plainPut: async (url, key) => void (await call("/plain-put", { url, key })),
    plainSend: async (key, url) => void (await call("/plain-send", { url, key })),
    cancel: (connection) => call(`/${connection}/cancel`, {}),
    seen: (connection) => call(`/${connection}`),
    ended: (connection) => call(`/${connection}/ended`),
    lines,
    async close() {
      await miniflare.dispose();
      if (kept === undefined) await rm(folder, { recursive: true, force: true });
    },
  };
}
