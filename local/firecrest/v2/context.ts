/** What a request's handler works with. */

import type { Host, Seat } from "../host.ts";
import type { Site } from "../site.ts";
import { ApiError } from "./errors.ts";
import type { V2Options } from "./options.ts";

export interface Call {
  site: Site;
  options: V2Options;
  request: Request;
  url: URL;
  user: string;
  /** Route parameters, lower-cased with the whole path. */
  system: string;
  id: string;
  host: Host;
  seat: Seat;
}

export interface Reply {
  status: number;
  /** Absent = no body. */
  json?: unknown;
  bytes?: BodyInit;
}

export type Handler = (call: Call) => Promise<Reply>;

export const ok = (json: unknown, status = 200): Reply => ({ status, json });
export const nothing: Reply = { status: 204 };

export const queryOf = (call: Call): Record<string, string> => Object.fromEntries(call.url.searchParams);

/** Health gates: what the checks have flagged is refused at once. */
export function requireHealthy(call: Call, services: readonly ("scheduler" | "ssh")[], path?: string): void {
  const { unhealthy } = call.options;
  for (const service of services) {
    if (unhealthy.includes(service)) {
      throw new ApiError(503, `The ${service} service for the requested system (${call.system}) is unhealthy.`);
    }
  }
  const place = call.host.fileSystems.find((fs) => path !== undefined && `${path}/`.startsWith(`${fs.path}/`))?.path;
  if (place !== undefined && unhealthy.includes(place)) {
    throw new ApiError(503, `The requested filesystem (${place} on ${call.system}) is unhealthy.`);
  }
}
