/** A signed webhook to its 202: the whole door of Firewatch against a Worker that only verifies and enqueues. */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from "miniflare";
import { Webhook } from "standardwebhooks";
import { bundle } from "../local/bundle.ts";
import { launch } from "../local/launch.ts";
import type { Bench } from "./bench.ts";
import { quantile, type Table } from "./table.ts";

const BARE = "verify and enqueue only";
const LIMITED = "the same, behind a rate limit";
const KEEPING = "the same, which keeps one row of each";
const OURS = "Firewatch: durable and deduplicated";
const DOOR = "Firewatch: its door only (dry run)";
const SECONDS = 8;
const AT_ONCE = 16;
const WARM_UP = 100;
/** The door lets 300 requests a minute through from one address to one hook: the load comes from many senders. */
const REQUESTS_OF_A_SENDER = 200;

export const inbound: Bench = {
  name: "inbound",
  async run({ seconds = SECONDS }) {
    const secret = `whsec_${randomBytes(32).toString("base64")}`;
    const bare = await withBare(secret, {}, (url) => load(url, secret, seconds));
    const limited = await withBare(secret, RATE_LIMIT, (url) => load(url, secret, seconds));
    const keeping = await withBare(secret, { ...RATE_LIMIT, ...KEEPER }, (url) => load(url, secret, seconds));
    const [door, ours] = await withFirewatch(
      secret,
      async (url) => [await load(`${url}?dry_run=1`, secret, seconds), await load(url, secret, seconds)] as const,
    );
    return tableOf(seconds, { bare, limited, keeping, door, ours });
  },
};

interface Load {
  alone: number[];
  together: number[];
  perSecond: number;
}

async function load(url: string, secret: string, seconds: number): Promise<Load> {
  const signer = new Webhook(secret);
  let sent = 0;
  const post = async (): Promise<number> => {
    const sender = Math.floor(sent++ / REQUESTS_OF_A_SENDER);
    const body = JSON.stringify({ run: { seed: sent }, title: "measure" });
    const id = `msg_${randomUUID()}`;
    const now = new Date();
    const headers = {
      "content-type": "application/json",
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": signer.sign(id, now, body),
      "cf-connecting-ip": `198.18.${sender >> 8}.${sender & 255}`,
    };
    const from = performance.now();
    const response = await fetch(url, { method: "POST", headers, body });
    const answer = await response.text();
    if (!response.ok) throw new Error(`${url} answered ${response.status}: ${answer}`);
    return performance.now() - from;
  };
  const during = async (lanes: number): Promise<number[]> => {
    const times: number[] = [];
    const end = performance.now() + seconds * 1000;
    const lane = async () => {
      while (performance.now() < end) times.push(await post());
    };
    await Promise.all(Array.from({ length: lanes }, lane));
    return times;
  };
  for (let n = 0; n < WARM_UP; n++) await post();
  const alone = await during(1);
  const from = performance.now();
  const together = await during(AT_ONCE);
  return { alone, together, perSecond: together.length / ((performance.now() - from) / 1000) };
}

/** The binding that our door has, with as much room. */
const RATE_LIMIT = { ratelimits: { LIMIT: { namespace_id: "1", simple: { limit: 1_000_000, period: 60 } } } };
/** A Durable Object that takes one row for each message. */
const KEEPER = { durableObjects: { KEEPER: { className: "Keeper", useSQLite: true } } };

async function withBare<T>(secret: string, more: object, work: (url: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  await bundle("bench/support/bare-worker.ts", join(folder, "worker.mjs"));
  const miniflare = new Miniflare(
    convertV4MiniflareOptions({
      host: "127.0.0.1",
      port: 0,
      cf: false,
      log: new Log(LogLevel.ERROR),
      handleStructuredLogs: () => {},
      resourcePersistencePath: join(folder, "state"),
      workers: [
        {
          name: "bare",
          compatibilityDate: "2026-10-20",
          modulesRoot: folder,
          modules: [{ type: "ESModule", path: join(folder, "worker.mjs") }],
          bindings: { SECRET: secret },
          queueProducers: { WORK: { queueName: "work" } },
          queueConsumers: { work: { maxBatchSize: 10, maxBatchTimeout: 0 } },
          ...more,
        },
      ],
    }),
  );
  try {
    return await work(new URL("/hooks", await miniflare.ready).href);
  } finally {
    await miniflare.dispose();
    await rm(folder, { recursive: true, force: true });
  }
}

async function withFirewatch<T>(secret: string, work: (url: string) => Promise<T>): Promise<T> {
  const firewatch = await launch({ port: 0, firecrestPort: 0, apis: ["v1"], cron: false });
  try {
    const { connections, adminToken, firecrest } = firewatch;
    const connection = connections["local-v1"]?.url;
    const put = async (path: string, body: unknown): Promise<{ url: string }> => {
      const response = await fetch(`${connection}${path}`, {
        method: "PUT",
        headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`PUT ${path} answered ${response.status}: ${await response.text()}`);
      return (await response.json()) as { url: string };
    };
    // The smallest budget holds the jobs back: what follows an acceptance is not what is measured here.
    const { v1Url, tokenUrl, clientId, clientSecret } = firecrest;
    const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
    await put("", { api: "v1", url: v1Url, auth, requestsPerMinute: 6 });
    const hook = await put("/hooks/bench", {
      source: "standard-webhooks",
      secrets: [secret],
      params: { seed: { from: "/run/seed", type: "integer" }, title: { from: "/title", type: "string" } },
      target: {
        job: { system: "cluster", script: "#!/bin/bash -l\ntrue\n", env: { SEED: "{seed}", TITLE: "{title}" } },
      },
    });
    return await work(hook.url);
  } finally {
    await firewatch.stop();
  }
}

function tableOf(
  seconds: number,
  { bare, limited, keeping, door, ours }: Record<"bare" | "limited" | "keeping" | "door" | "ours", Load>,
): Table {
  const valuesOf = ({ alone, together, perSecond }: Load) => ({
    p50: quantile(alone, 0.5),
    p99: quantile(alone, 0.99),
    loadedP50: quantile(together, 0.5),
    loadedP99: quantile(together, 0.99),
    rate: perSecond,
  });
  return {
    name: inbound.name,
    claim: "a signed webhook is answered 202 when its job is on disk, at half the speed of a Worker that keeps nothing",
    measures: {
      p50: { title: "p50 ms, alone", digits: 1 },
      p99: { title: "p99 ms, alone", digits: 1 },
      loadedP50: { title: `p50 ms, ${AT_ONCE} at once`, digits: 1 },
      loadedP99: { title: "p99 ms", digits: 1 },
      rate: { title: "requests/s", digits: 0 },
    },
    rows: [
      { label: BARE, values: valuesOf(bare) },
      { label: LIMITED, values: valuesOf(limited) },
      { label: KEEPING, values: valuesOf(keeping) },
      { label: DOOR, values: valuesOf(door) },
      { label: OURS, values: valuesOf(ours) },
    ],
    baseline: BARE,
    ratios: ["p50", "rate"],
    aims: [
      { text: "at least half of the bare Worker's requests/s", met: ours.perSecond >= bare.perSecond / 2 },
      { text: "at least half of one that keeps a row of each", met: ours.perSecond >= keeping.perSecond / 2 },
    ],
    notes: [
      `${seconds} s one after another, then ${seconds} s with ${AT_ONCE} at once; the sender is this Node process and shares the machine`,
      "ours keeps the request, the job, its effect, its event and the audit in one SQLite transaction before it answers, and starts its effect by a queue as the bare one does; the job itself is held back by the connection's budget",
      "the rate limit is Miniflare's: an object that writes to disk, so each request behind it pays a commit before anything of ours begins. Cloudflare's binding does not; the second row shows what it costs here, and the aim is held against the first",
      "the third row is the least that a durable answer costs here",
      "all run in Miniflare, whose entry and queues are one JavaScript thread: this says what our door costs, not how fast Cloudflare is. Senders differ by `cf-connecting-ip`, since the door's rate limit stays on",
    ],
  };
}
