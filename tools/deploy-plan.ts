/** What a deployment consists of, decided from wrangler.toml and from what the account already has. Nothing here acts. */
import { z } from "zod";

/** Poller first, since the others bind to its Tracker; api last, since it is the door (docs/deploy.md). */
export const ORDER = ["poller", "transfer", "api"] as const;
export type WorkerEnv = (typeof ORDER)[number];

export type SecretName = "SEAL_KEYS" | "ADMIN_TOKEN";

/** The secrets of each Worker. Where one is missing it is made; one that is there is never touched. */
export const SECRETS: readonly { env: WorkerEnv; name: SecretName }[] = [
  { env: "poller", name: "SEAL_KEYS" },
  { env: "api", name: "ADMIN_TOKEN" },
];

const Named = z.looseObject({ queue: z.string() });
const WorkerConfig = z.looseObject({
  name: z.string(),
  main: z.string(),
  workers_dev: z.boolean().optional(),
  kv_namespaces: z.array(z.looseObject({ binding: z.string(), id: z.string() })).optional(),
  r2_buckets: z.array(z.looseObject({ bucket_name: z.string() })).optional(),
  queues: z.looseObject({ producers: z.array(Named).optional(), consumers: z.array(Named).optional() }).optional(),
});

/** wrangler.toml as far as a deployment depends on it; all else goes through as it is. */
export const Config = z.looseObject({
  env: z.object({ api: WorkerConfig, poller: WorkerConfig, transfer: WorkerConfig }),
});
export type Config = z.infer<typeof Config>;

/** What an account has. `secrets` of a Worker that does not exist are absent. */
export interface Account {
  queues: ReadonlySet<string>;
  /** Id by title. */
  kv: ReadonlyMap<string, string>;
  buckets: ReadonlySet<string>;
  secrets: Partial<Record<WorkerEnv, ReadonlySet<string>>>;
}

export const EMPTY_ACCOUNT: Account = { queues: new Set(), kv: new Map(), buckets: new Set(), secrets: {} };

/** What the operator decides. */
export interface Settings {
  /** Where api is reached from outside: a `workers.dev` address or a host of one of the account's zones. */
  publicUrl: string;
  /** A host of its own for objects, so that other people's bytes get another origin. */
  objectsHost?: string | undefined;
  /** JSON `{"hosts":[…],"cidrs":[…]}`: private addresses that may be called. */
  egressAllow?: string | undefined;
  /** DNS-over-HTTPS endpoint by which names are checked before they are called. */
  dohUrl: string;
}

export type Step =
  | { do: "create_queue"; name: string }
  | { do: "create_kv"; name: string }
  | { do: "create_bucket"; name: string }
  | { do: "put_secret"; env: WorkerEnv; name: SecretName }
  | { do: "deploy"; env: WorkerEnv };

/** Everything that Workers stand on comes first, then each Worker's secret just before the Worker, so that none starts without. */
export function planDeployment(config: Config, account: Account): Step[] {
  const workers = ORDER.map((env) => config.env[env]);
  const queues = workers.flatMap(({ queues: { producers = [], consumers = [] } = {} }) => [...producers, ...consumers]);
  const missing = (names: string[], has: { has(name: string): boolean }) =>
    [...new Set(names)].filter((name) => !has.has(name)).sort();
  return [
    ...missing(
      queues.map(({ queue }) => queue),
      account.queues,
    ).map((name): Step => ({ do: "create_queue", name })),
    ...missing(
      workers.flatMap(({ kv_namespaces = [] }) => kv_namespaces.map(({ id }) => id)),
      account.kv,
    ).map((name): Step => ({ do: "create_kv", name })),
    ...missing(
      workers.flatMap(({ r2_buckets = [] }) => r2_buckets.map(({ bucket_name }) => bucket_name)),
      account.buckets,
    ).map((name): Step => ({ do: "create_bucket", name })),
    ...ORDER.flatMap((env): Step[] => [
      ...SECRETS.filter((secret) => secret.env === env && account.secrets[env]?.has(secret.name) !== true).map(
        (secret): Step => ({ do: "put_secret", ...secret }),
      ),
      { do: "deploy", env },
    ]),
  ];
}

/**
 * The configuration to deploy with: real ids instead of names, the operator's settings, the public address. `main` is made
 * relative to where the file will stand. Titles without an id (not created yet) stay as they are.
 */
export function configFor(
  config: Config,
  kv: ReadonlyMap<string, string>,
  settings: Settings,
  upToRoot: string,
): Config {
  const ready = (name: WorkerEnv) => {
    const worker = config.env[name];
    const namespaces = worker.kv_namespaces?.map((one) => ({ ...one, id: kv.get(one.id) ?? one.id }));
    return {
      ...worker,
      main: `${upToRoot}/${worker.main}`,
      ...(namespaces && { kv_namespaces: namespaces }),
      vars: varsOf(settings),
    };
  };
  const { objectsHost } = settings;
  const api = ready("api");
  const vars = { ...api.vars, ...(objectsHost && { OBJECTS_HOST: objectsHost }) };
  return {
    ...config,
    env: { poller: ready("poller"), transfer: ready("transfer"), api: { ...api, vars, ...addressOf(settings) } },
  };
}

const varsOf = ({ publicUrl, dohUrl, egressAllow }: Settings): Record<string, string> => ({
  PUBLIC_URL: publicUrl,
  DOH_URL: dohUrl,
  ...(egressAllow && { EGRESS_ALLOW: egressAllow }),
});

/** A `workers.dev` address comes by itself; any other host becomes a custom domain of api. */
function addressOf({ publicUrl, objectsHost }: Settings): Record<string, unknown> {
  const { host, hostname } = new URL(publicUrl);
  if (hostname.endsWith(".workers.dev")) return { workers_dev: true };
  const hosts = [host, ...(objectsHost ? [objectsHost] : [])];
  return { workers_dev: false, routes: hosts.map((pattern) => ({ pattern, custom_domain: true })) };
}

/** What is wrong with the operator's settings, in words; undefined when nothing is. */
export function problemOf({ publicUrl, objectsHost, egressAllow, dohUrl }: Settings): string | undefined {
  const url = URL.parse(publicUrl);
  if (url?.protocol !== "https:" || url.pathname !== "/" || url.search !== "" || url.port !== "") {
    return `--url must be https://<host> without port and path, not ${JSON.stringify(publicUrl)}`;
  }
  if (URL.parse(dohUrl)?.protocol !== "https:") return `--doh-url must be an https URL, not ${JSON.stringify(dohUrl)}`;
  if (objectsHost !== undefined) {
    if (URL.parse(`https://${objectsHost}`)?.host !== objectsHost)
      return `--objects-host must be a host name, not ${JSON.stringify(objectsHost)}`;
    if (objectsHost === url.host)
      return "--objects-host must be another host than that of --url: its point is another origin";
    if (url.hostname.endsWith(".workers.dev"))
      return "--objects-host needs a --url of your own domain: workers.dev gives api one host only";
  }
  if (egressAllow !== undefined && !isAllowList(egressAllow)) {
    return '--egress-allow must be JSON like {"hosts":["name"],"cidrs":["10.0.0.0/8"]}';
  }
  return undefined;
}

const AllowList = z.strictObject({ hosts: z.array(z.string()).optional(), cidrs: z.array(z.string()).optional() });

function isAllowList(text: string): boolean {
  try {
    return AllowList.safeParse(JSON.parse(text)).success;
  } catch {
    return false;
  }
}

/** One line for people. */
export function describeStep(step: Step): string {
  switch (step.do) {
    case "create_queue":
      return `create queue ${step.name}`;
    case "create_kv":
      return `create KV namespace ${step.name}`;
    case "create_bucket":
      return `create R2 bucket ${step.name}`;
    case "put_secret":
      return `make secret ${step.name} of ${step.env}`;
    case "deploy":
      return `deploy ${step.env}`;
  }
}
