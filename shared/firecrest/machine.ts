/** What a site and its machines are, as Firewatch speaks of them: part of the port. */

export interface SystemStatus {
  name: string;
  available: boolean;
  description: string;
  fileSystems: { path: string; defaultWorkDir: boolean }[];
}

/** Site limits in bytes and seconds, as far as the site tells; absent = unknown. */
export interface SiteParameters {
  version?: string;
  scheduler?: string;
  objectStorage?: string;
  stagingTtlSeconds?: number;
  stagingMaxBytes?: number;
  /** Of one file, read in one command. */
  directMaxBytes?: number;
  /** Of one file, sent in one request. */
  directUploadMaxBytes?: number;
  commandTimeoutSeconds?: number;
}

/** States are the scheduler's own words. */
export interface MachineNode {
  name: string;
  states: string[];
  partitions: string[];
  features: string[];
}

export interface MachinePartition {
  name: string;
  states: string[];
  cpus?: number;
  nodes?: number;
}

export interface MachineReservation {
  name: string;
  state?: string;
  nodes?: string;
  /** Only where the site tells it with its zone (v2). */
  startsAt?: number;
  endsAt?: number;
}

/** The site's own time without a zone, `YYYY-MM-DDTHH:MM:SS`: what it is elsewhere, only the site knows. */
export type SiteTime = string;

/** Nodes for one account, from and to a time. */
export interface ReservationRequest {
  nodes: number;
  /** The site's word for a kind of node. */
  nodeType: string;
  startsAt: SiteTime;
  endsAt: SiteTime;
}

/** A part of the site, as the site's own checks found it: a service of FirecREST (v1), or what a system needs (v2). */
export interface ServiceStatus {
  /** Unique: `storage` on v1, `daint/scheduler` or `daint/filesystem/scratch` on v2. */
  name: string;
  /** Where it belongs to one. */
  system?: string;
  available: boolean;
  description: string;
  checkedAt?: number;
}

/** Whether something of the site answers now: a service (v1), or the health check of a system (v2). */
export interface Heartbeat {
  name: string;
  alive: boolean;
  /** When it last did; absent = just now. */
  at?: number;
}
