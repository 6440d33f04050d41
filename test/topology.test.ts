/** wrangler.toml against the code: what a Worker may touch is what its `env.ts` says, and no queue is without a reader. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { unstable_readConfig } from "wrangler";
import { z } from "zod";
import { WORKERS } from "../local/workers.ts";
import { SECRETS } from "../tools/deploy-plan.ts";
import { CALLERS, HOOKS } from "../workers/api/limits.ts";
import { membersOf, ROOT, readSource } from "./support/sources.ts";

/** As much of wrangler's configuration as is held here. */
const Config = z.object({
  name: z.string(),
  workers_dev: z.boolean().optional(),
  compatibility_flags: z.array(z.string()),
  observability: z.object({ enabled: z.boolean() }),
  vars: z.record(z.string(), z.unknown()),
  triggers: z.object({ crons: z.array(z.string()).default([]) }),
  migrations: z.array(z.object({ new_sqlite_classes: z.array(z.string()).default([]) })),
  durable_objects: z.object({ bindings: z.array(z.looseObject({ name: z.string() })) }),
  kv_namespaces: z.array(z.object({ binding: z.string() })),
  r2_buckets: z.array(z.object({ binding: z.string(), bucket_name: z.string() })),
  services: z.array(z.looseObject({ binding: z.string() })).default([]),
  ratelimits: z.array(
    z.object({
      name: z.string(),
      namespace_id: z.string(),
      simple: z.object({ limit: z.number(), period: z.number() }),
    }),
  ),
  queues: z.object({
    producers: z.array(z.object({ binding: z.string(), queue: z.string() })).default([]),
    consumers: z.array(z.looseObject({ queue: z.string(), dead_letter_queue: z.string().optional() })).default([]),
  }),
});
type Config = z.infer<typeof Config>;

const configs = Object.fromEntries(
  WORKERS.map((env) => [env, Config.parse(unstable_readConfig({ config: join(ROOT, "wrangler.toml"), env }))]),
) as Record<(typeof WORKERS)[number], Config>;
const everyone = Object.values(configs);
const sourceOf = (file: string) => readSource(file, readFileSync(join(ROOT, file), "utf8"));

/** Each binding with the type that code knows it by. */
function bindingsOf(config: Config): Record<string, string> {
  const kinds: [string, string[]][] = [
    ["KVNamespace", config.kv_namespaces.map(({ binding }) => binding)],
    ["DurableObjectNamespace", config.durable_objects.bindings.map(({ name }) => name)],
    ["Queue", config.queues.producers.map(({ binding }) => binding)],
    ["R2Bucket", config.r2_buckets.map(({ binding }) => binding)],
    ["Service", config.services.map(({ binding }) => binding)],
    ["RateLimit", config.ratelimits.map(({ name }) => name)],
  ];
  return Object.fromEntries(kinds.flatMap(([type, names]) => names.map((name) => [name, type])));
}

describe.each(WORKERS)("%s", (worker) => {
  const config = configs[worker];
  const members = membersOf(sourceOf(`workers/${worker}/env.ts`), "Env");

  it("is bound to exactly what its env.ts names", () => {
    const bound = Object.fromEntries(
      members.filter(({ type }) => type !== "string").map(({ name, type }) => [name, type]),
    );
    expect(bindingsOf(config)).toEqual(bound);
  });

  it("gets exactly the secrets that its env.ts requires, and holds no value in the file", () => {
    const required = members.filter(({ type, optional }) => type === "string" && !optional).map(({ name }) => name);
    expect(SECRETS.filter(({ env }) => env === worker).map(({ name }) => name)).toEqual(required);
    expect(config.vars).toEqual({});
  });

  it("keeps own-zone fetches on the public internet, and is observed", () => {
    expect(config.compatibility_flags).toContain("global_fetch_strictly_public");
    expect(config.observability.enabled).toBe(true);
  });

  it("has an address of its own only if it is the entrance", () => {
    expect(config.workers_dev !== false).toBe(worker === "api");
  });
});

describe("queues", () => {
  const producers = everyone.flatMap(({ queues }) => queues.producers);
  const consumers = everyone.flatMap(({ queues }) => queues.consumers);
  const written = [...new Set(producers.map(({ queue }) => queue))];

  it("are three, each written by its producer and read by one consumer that gives up into a dead-letter queue", () => {
    expect(written.sort()).toEqual(["callbacks", "commands", "transfers"]);
    for (const queue of written) {
      const readers = consumers.filter((consumer) => consumer.queue === queue);
      expect(readers).toHaveLength(1);
      expect(readers[0]).toMatchObject({ dead_letter_queue: `${queue}-dead`, max_batch_timeout: 0 });
    }
  });

  it("bury nothing that nobody reads: the poller consumes every dead letter", () => {
    const dead = consumers.flatMap(({ dead_letter_queue }) => dead_letter_queue ?? []);
    const read = configs.poller.queues.consumers.map(({ queue }) => queue);
    expect(read).toEqual(expect.arrayContaining(dead));
    expect(consumers.map(({ queue }) => queue).sort()).toEqual([...written, ...dead].sort());
  });

  it("have the names that the poller tells them apart by", () => {
    const text = readFileSync(join(ROOT, "workers/poller/index.ts"), "utf8");
    const named = [...text.matchAll(/batch\.queue === "([^"]+)"/g)].map(([, name]) => name);
    const alive = configs.poller.queues.consumers.filter(({ dead_letter_queue }) => dead_letter_queue);
    expect(named.sort()).toEqual(alive.map(({ queue }) => queue).sort());
  });

  it("have one message schema each in the contract", () => {
    const schemas = [...readFileSync(join(ROOT, "shared/contract/queue.ts"), "utf8").matchAll(/^\/\*\* `([a-z]+)`:/gm)];
    expect(schemas.map(([, name]) => name).sort()).toEqual(written);
  });
});

describe("the Tracker", () => {
  it("is a SQLite class of the poller like the Workspace and the Office, and the same one for everybody", () => {
    expect(configs.poller.migrations.map(({ new_sqlite_classes }) => new_sqlite_classes)).toEqual([
      ["Tracker"],
      ["Workspace"],
      ["Office"],
    ]);
    for (const worker of ["api", "transfer"] as const) {
      expect(configs[worker].durable_objects.bindings).toEqual([
        { name: "TRACKER", class_name: "Tracker", script_name: configs.poller.name },
      ]);
      expect(configs[worker].migrations).toEqual([]);
    }
  });

  it("is swept every minute, by the poller alone", () => {
    expect(everyone.map(({ triggers }) => triggers.crons)).toEqual([[], ["* * * * *"], []]);
  });
});

it.each(["Workspace", "Office"])("the %s is within the poller's reach only", (name) => {
  const holders = WORKERS.filter((worker) =>
    configs[worker].durable_objects.bindings.some(({ class_name }) => class_name === name),
  );
  expect(holders).toEqual(["poller"]);
});

it("tokens of sites are within the poller's reach only", () => {
  const holders = WORKERS.filter((worker) => configs[worker].kv_namespaces.some(({ binding }) => binding === "TOKENS"));
  expect(holders).toEqual(["poller"]);
});

it("objects are one bucket, shared by the entrance, the copier, and whoever counts them and sends small ones", () => {
  const buckets = everyone.flatMap(({ r2_buckets }) => r2_buckets.map(({ bucket_name }) => bucket_name));
  expect(buckets).toEqual(["firewatch-objects", "firewatch-objects", "firewatch-objects"]);
});

it("api asks the poller by the name under which it is deployed", () => {
  expect(configs.api.services).toEqual([{ binding: "POLLER", service: configs.poller.name, entrypoint: "Poller" }]);
});

it("rate limits are the numbers that a refused caller is told", () => {
  const told = [CALLERS, HOOKS].map(({ name, quota, windowSeconds }) => [name.toUpperCase(), quota, windowSeconds]);
  expect(configs.api.ratelimits.map(({ name, simple }) => [name, simple.limit, simple.period])).toEqual(told);
  expect(new Set(configs.api.ratelimits.map(({ namespace_id }) => namespace_id)).size).toBe(told.length);
});

/** Nothing asks the network: no update check, no telemetry, no account. */
const OFFLINE = {
  WRANGLER_SEND_METRICS: "false",
  WRANGLER_HIDE_BANNER: "true",
  WRANGLER_WRITE_LOGS: "false",
  CLOUDFLARE_CF_FETCH_ENABLED: "false",
};

it.each(WORKERS)("wrangler would deploy %s as it stands", async (worker) => {
  const wrangler = join(ROOT, "node_modules", "wrangler", "bin", "wrangler.js");
  const { stdout } = await promisify(execFile)(process.execPath, [wrangler, "deploy", "--dry-run", "--env", worker], {
    cwd: ROOT,
    env: { ...process.env, ...OFFLINE },
  });
  for (const name of Object.keys(bindingsOf(configs[worker]))) expect(stdout).toContain(`env.${name}`);
  expect(stdout).toContain("--dry-run: exiting now.");
});
