import { describe, expect, it } from "vitest";
import {
  type Account,
  Config,
  configFor,
  EMPTY_ACCOUNT,
  planDeployment,
  problemOf,
  type Settings,
} from "./deploy-plan.ts";

const config = Config.parse({
  name: "house",
  compatibility_date: "2026-10-20",
  env: {
    api: {
      name: "house-api",
      main: "workers/api/index.ts",
      r2_buckets: [{ binding: "OBJECTS", bucket_name: "things" }],
    },
    poller: {
      name: "house-poller",
      main: "workers/poller/index.ts",
      workers_dev: false,
      kv_namespaces: [{ binding: "TOKENS", id: "tokens" }],
      queues: {
        producers: [{ binding: "WORK", queue: "work" }],
        consumers: [{ queue: "work", dead_letter_queue: "work-dead" }, { queue: "work-dead" }],
      },
    },
    transfer: {
      name: "house-transfer",
      main: "workers/transfer/index.ts",
      r2_buckets: [{ binding: "OBJECTS", bucket_name: "things" }],
    },
  },
});
const complete: Account = {
  queues: new Set(["work", "work-dead"]),
  kv: new Map([["tokens", "0f3c"]]),
  buckets: new Set(["things"]),
  secrets: { poller: new Set(["SEAL_KEYS"]), api: new Set(["ADMIN_TOKEN"]) },
};
const settings: Settings = { publicUrl: "https://house.example.org", dohUrl: "https://dns.example.org/q" };

describe("the plan", () => {
  it("on an empty account makes everything once, dead-letter queues too, before the Worker that stands on it", () => {
    expect(planDeployment(config, EMPTY_ACCOUNT)).toEqual([
      { do: "create_queue", name: "work" },
      { do: "create_queue", name: "work-dead" },
      { do: "create_kv", name: "tokens" },
      { do: "create_bucket", name: "things" },
      { do: "put_secret", env: "poller", name: "SEAL_KEYS" },
      { do: "deploy", env: "poller" },
      { do: "deploy", env: "transfer" },
      { do: "put_secret", env: "api", name: "ADMIN_TOKEN" },
      { do: "deploy", env: "api" },
    ]);
  });

  it("on a complete account only deploys: no secret is ever made anew", () => {
    expect(planDeployment(config, complete).map((step) => step.do)).toEqual(["deploy", "deploy", "deploy"]);
  });

  it("goes on where an earlier run broke off", () => {
    const half: Account = { ...complete, queues: new Set(["work"]), secrets: { poller: new Set(["SEAL_KEYS"]) } };
    const made = planDeployment(config, half).filter((step) => step.do !== "deploy");
    expect(made).toEqual([
      { do: "create_queue", name: "work-dead" },
      { do: "put_secret", env: "api", name: "ADMIN_TOKEN" },
    ]);
  });
});

describe("the configuration to deploy with", () => {
  const made = configFor(config, complete.kv, settings, "..");

  it("has the account's ids and finds its sources, and says all else as wrangler.toml does", () => {
    expect(made.env.poller).toMatchObject({
      main: "../workers/poller/index.ts",
      kv_namespaces: [{ binding: "TOKENS", id: "0f3c" }],
    });
    expect(made.env.poller.queues).toEqual(config.env.poller.queues);
    expect(made).toMatchObject({ name: "house", compatibility_date: "2026-10-20" });
    expect(config.env.poller.main).toBe("workers/poller/index.ts");
  });

  it("tells every Worker where the deployment is reached, and holds no secret", () => {
    for (const worker of Object.values(made.env))
      expect(worker.vars).toEqual({ PUBLIC_URL: "https://house.example.org", DOH_URL: "https://dns.example.org/q" });
  });

  it("puts api, and nobody else, on a host of its own", () => {
    expect(made.env.api).toMatchObject({
      workers_dev: false,
      routes: [{ pattern: "house.example.org", custom_domain: true }],
    });
    expect(made.env.poller.routes).toBeUndefined();
    const dev = configFor(
      config,
      complete.kv,
      { ...settings, publicUrl: "https://house-api.somebody.workers.dev" },
      "..",
    );
    expect(dev.env.api).toMatchObject({ workers_dev: true });
    expect(dev.env.api.routes).toBeUndefined();
  });

  it("gives objects a second host where the operator wants one", () => {
    const { env } = configFor(config, complete.kv, { ...settings, objectsHost: "bytes.example.org" }, "..");
    expect(env.api.routes).toContainEqual({ pattern: "bytes.example.org", custom_domain: true });
    expect(env.api.vars).toMatchObject({ OBJECTS_HOST: "bytes.example.org" });
    expect(env.poller.vars).not.toHaveProperty("OBJECTS_HOST");
  });
});

describe("the operator's settings", () => {
  it("may be a workers.dev address or a host of one's own", () => {
    for (const publicUrl of ["https://house.example.org", "https://house-api.somebody.workers.dev"])
      expect(problemOf({ ...settings, publicUrl })).toBeUndefined();
    expect(
      problemOf({ ...settings, objectsHost: "bytes.example.org", egressAllow: '{"cidrs":["10.0.0.0/8"]}' }),
    ).toBeUndefined();
  });

  it.each<[string, Partial<Settings>]>([
    ["--url", { publicUrl: "house.example.org" }],
    ["--url", { publicUrl: "http://house.example.org" }],
    ["--url", { publicUrl: "https://house.example.org/base" }],
    ["--url", { publicUrl: "https://house.example.org:8443" }],
    ["--doh-url", { dohUrl: "http://dns.example.org" }],
    ["--objects-host", { objectsHost: "https://bytes.example.org" }],
    ["--objects-host", { objectsHost: "house.example.org" }],
    ["--objects-host", { publicUrl: "https://h.s.workers.dev", objectsHost: "bytes.example.org" }],
    ["--egress-allow", { egressAllow: "10.0.0.0/8" }],
    ["--egress-allow", { egressAllow: '{"hosts":"x"}' }],
  ])("are refused before anything is done, naming %s: %j", (option, wrong) => {
    expect(problemOf({ ...settings, ...wrong })).toContain(option);
  });
});
