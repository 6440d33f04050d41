/** What a site is and allows, from S1 and S5. */
import { FirecrestError } from "../errors.ts";
import type { ServiceStatus, SiteParameters, SystemStatus } from "../port.ts";
import { siteText } from "../redact.ts";
import type { Calls } from "./call.ts";
import { OPERATIONS } from "./operations.ts";
import { given } from "./read.ts";
import type { SystemRow } from "./wire.ts";

/** S3's own limits. */
const MAX_PARTS = 10_000;
const MAX_OBJECT_BYTES = 5 * 1024 ** 4;
/** Base64 of the file must stay below the limit that the site sets for any command's output. */
const directBytes = (outputBytes: number): number => Math.floor((outputBytes - 1) / 4) * 3;

const KEEP_MS = 10 * 60_000;

export interface Systems {
  list(): Promise<SystemStatus[]>;
  parameters(): Promise<SiteParameters>;
  services(): Promise<ServiceStatus[]>;
  service(name: string): Promise<ServiceStatus>;
  whoami(system: string): Promise<string>;
  /** From a copy of S1 that is at most ten minutes old. */
  isPbs(system: string): Promise<boolean>;
  /** `<default work file system>/<user>`. */
  homeOf(system: string): Promise<string>;
}

export function createSystems(calls: Calls, now: () => number): Systems {
  let kept: { rows: SystemRow[]; at: number } | undefined;

  const read = async (): Promise<SystemRow[]> => {
    const rows = await calls.call(OPERATIONS.S1_systems, {});
    kept = { rows, at: now() };
    return rows;
  };
  const recent = async (): Promise<SystemRow[]> =>
    kept !== undefined && now() - kept.at < KEEP_MS ? kept.rows : read();
  const whoami = async (system: string): Promise<string> => (await calls.call(OPERATIONS.S5_userinfo, { system })).user;

  return {
    list: async () => (await read()).map(statusOf),
    parameters: async () => parametersOf(await read(), calls.version()),
    services: async () => (await read()).flatMap(servicesOf),
    async service(name) {
      const found = (await read()).flatMap(servicesOf).find((one) => one.name === name);
      if (found !== undefined) return found;
      throw new FirecrestError(`the site has no service ${name}`, { code: "not_found", retry: "never" });
    },
    whoami,
    isPbs: async (system) => (await recent()).find(({ name }) => name === system)?.scheduler === "pbs",
    async homeOf(system) {
      const row = (await recent()).find(({ name }) => name === system);
      const fileSystem = row?.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir);
      if (fileSystem !== undefined) return `${fileSystem.path.replace(/\/+$/, "")}/${await whoami(system)}`;
      throw row === undefined
        ? new FirecrestError(`the site has no system ${system}`, { code: "unknown_system", retry: "never" })
        : new FirecrestError(`the system ${system} has no default work directory`, {
            code: "not_supported",
            retry: "never",
          });
    },
  };
}

/** A broken object store or file system leaves a system of use; without scheduler or SSH it is none. */
function statusOf({ name, health, scheduler, fileSystems }: SystemRow): SystemStatus {
  const bad = health.filter(({ healthy }) => !healthy);
  const words = bad.map(({ service, path, message }) =>
    [path === undefined ? service : `${service} ${path}`, siteText(message) || "unhealthy"].join(": "),
  );
  return {
    name,
    available: !bad.some(({ service }) => ["scheduler", "ssh", "exception", "system"].includes(service)),
    description: words.length === 0 ? (scheduler ?? "") : words.join("; "),
    fileSystems,
  };
}

/** What each system needs, as the site last checked it. */
const servicesOf = ({ name: system, health }: SystemRow): ServiceStatus[] =>
  health.map(({ service, path = "", healthy, message, checkedAt }) => ({
    name: `${system}/${service}${path}`,
    system,
    available: healthy,
    description: siteText(message) || (healthy ? "healthy" : "unhealthy"),
    ...given({ checkedAt }),
  }));

/** Limits that hold on every system of the site; those of systems without a transfer service do not count. */
function parametersOf(rows: SystemRow[], version: string | undefined): SiteParameters {
  const parts = least(rows.map((row) => row.maxPartBytes));
  const output = least(rows.map((row) => row.maxOpsFileBytes));
  return given({
    version,
    scheduler: rows.find((row) => row.scheduler !== undefined)?.scheduler,
    objectStorage: rows.find((row) => row.transferMethod !== undefined)?.transferMethod,
    stagingTtlSeconds: least(rows.map((row) => row.stagingTtlSeconds)),
    stagingMaxBytes: parts === undefined ? undefined : Math.min(MAX_OBJECT_BYTES, parts * MAX_PARTS),
    directMaxBytes: output === undefined ? undefined : directBytes(output),
    directUploadMaxBytes: output,
    commandTimeoutSeconds: least(rows.map((row) => row.commandTimeoutSeconds)),
  });
}

function least(values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.min(...known);
}
