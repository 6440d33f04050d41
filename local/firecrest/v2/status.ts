/** S1–S6. */
import type { Site } from "../site.ts";
import { type Call, type Handler, ok, requireHealthy } from "./context.ts";
import type { V2Options } from "./options.ts";

const CHECK_INTERVAL_SECONDS = 15;
export const TRANSFER_PARTITION = "xfer";

export const directivesOf = (options: V2Options): string[] => [
  "#SBATCH --nodes=1",
  `#SBATCH --time=0-00:${String(options.jobMinutes).padStart(2, "0")}:00`,
  options.accountRequired ? "#SBATCH --account={account}" : `#SBATCH --partition=${TRANSFER_PARTITION}`,
];

const iso = (ms: number): string => new Date(ms).toISOString();
const seconds = (ms: number): number => Math.floor(ms / 1000);

/** `dataOperation` mixes its cases, as the real one does. */
function systemJson(site: Site, options: V2Options, name: string) {
  const host = site.systems.get(name);
  const lastChecked = iso(site.clock.now());
  const check = (serviceType: string, key = serviceType) => ({
    serviceType,
    lastChecked,
    latency: 0.01,
    healthy: !options.unhealthy.includes(key),
    message: null,
  });
  const fileSystems = host?.fileSystems ?? [];
  const timeout = site.limits.commandTimeoutSeconds;
  return {
    name,
    ssh: {
      host: "127.0.0.1",
      port: 22,
      proxyHost: null,
      proxyPort: null,
      maxClients: 100,
      timeout: { connection: 5, login: 5, commandExecution: timeout, idleTimeout: 60, keepAlive: 5 },
    },
    scheduler: {
      type: "slurm",
      connectionMode: "ssh",
      version: "24.05.0",
      apiUrl: null,
      apiVersion: null,
      timeout: 10,
    },
    servicesHealth: [
      check("scheduler"),
      check("ssh"),
      ...fileSystems.map(({ path }) => ({ ...check("filesystem", path), path })),
      check("s3"),
    ],
    probing: {
      services: { scheduler: { timeout }, ssh: { timeout }, filesystem: { timeout }, s3: { timeout } },
      intervalCheck: CHECK_INTERVAL_SECONDS,
    },
    lastHealthCheck: lastChecked,
    fileSystems: fileSystems.map(({ path, dataType, defaultWorkDir }) => ({ path, dataType, defaultWorkDir })),
    dataOperation: {
      datatransfer_jobs_directives: directivesOf(options),
      max_ops_file_size: site.limits.directMaxBytes,
      data_transfer: {
        serviceType: "s3",
        name: "s3-storage",
        privateUrl: "**********",
        publicUrl: site.staging.url,
        accessKeyId: "**********",
        secretAccessKey: "**********",
        region: "default",
        ttl: site.limits.stagingTtlSeconds,
        tenant: null,
        multipart: { use_split: false, max_part_size: options.maxPartBytes, parallel_runs: 3, tmp_folder: "tmp" },
        bucketLifecycleConfiguration: { days: 10 },
      },
    },
  };
}

export const systems = (site: Site, options: V2Options) =>
  ok({ systems: [...site.systems.keys()].map((name) => systemJson(site, options, name)) });

export const liveness = (site: Site) =>
  ok({
    healthcheckRuns: Object.fromEntries([...site.systems.keys()].map((name) => [name, iso(site.clock.now())])),
    lastUpdate: 0,
  });

export const nodes: Handler = async ({ host }) =>
  ok({
    nodes: (await host.nodes()).map((node) => ({
      sockets: node.sockets,
      cores: node.sockets,
      threads: node.sockets,
      cpus: node.cpus,
      cpuLoad: node.cpuLoad,
      freeMemory: node.freeMemoryMiB,
      features: node.features.join(","),
      name: node.name,
      address: node.name,
      hostname: node.name,
      state: node.state,
      partitions: node.partitions,
      weight: 1,
      allocMemory: node.memoryMiB - node.freeMemoryMiB,
      allocCpus: node.cpusAllocated,
      idleCpus: node.cpus - node.cpusAllocated,
    })),
  });

/** The field named `partition` holds the state. */
export const partitions: Handler = async ({ host, url }) => {
  const all = /^(true|1|yes|on)$/i.test(url.searchParams.get("show_hidden") ?? "");
  const rows = (await host.partitions()).filter(({ hidden }) => all || !hidden);
  return ok({
    partitions: rows.map(({ name, cpus, nodes: totalNodes, state }) => ({ name, cpus, totalNodes, partition: state })),
  });
};

export const reservations: Handler = async ({ host }) =>
  ok({
    reservations: (await host.reservations()).map(({ name, nodes: nodeList, startsAt, endsAt, features, state }) => ({
      name,
      nodeList,
      endTime: seconds(endsAt),
      startTime: seconds(startsAt),
      features: features.length === 0 ? null : features.join(","),
      state: state.toLowerCase(),
    })),
  });

export const userinfo: Handler = async (call: Call) => {
  requireHealthy(call, ["ssh"]);
  const { user, group, groups } = call.seat.identity;
  const named = ({ id, name }: { id: number; name: string }) => ({ id: String(id), name });
  return ok({
    user: named(user),
    group: named(group),
    groups: groups.map(named),
    accounts: [{ name: group.name, default: true }],
  });
};
