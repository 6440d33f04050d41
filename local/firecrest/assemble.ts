/** Puts a host together from a volume, a scheduler and a list of users. All hosts are made here and differ in the parts. */
import type { Codecs } from "./files/archives.ts";
import { userFiles } from "./files/files.ts";
import { namesOf } from "./files/names.ts";
import type { Volume } from "./files/volume.ts";
import {
  type FileSystem,
  type Files,
  type Host,
  type Identity,
  type Jobs,
  type NodeRow,
  type Seat,
  ToolError,
} from "./host.ts";
import type { JobRecord, Machine } from "./scheduler/records.ts";
import type { Scheduler } from "./scheduler/scheduler.ts";
import { userJobs } from "./scheduler/user-jobs.ts";

/** A user of a machine. Ids are given by position where they are absent. */
export interface UserSpec {
  name: string;
  uid?: number;
  /** Primary group first; default one group, `users`. */
  groups?: { name: string; id: number }[];
  /** Accounts the user may submit under; absent = any. */
  accounts?: string[];
}

const FIRST_UID = 1000;
const DEFAULT_GROUP = { name: "users", id: 100 };

export function identityOf(user: UserSpec, position: number): Identity {
  const groups = user.groups ?? [DEFAULT_GROUP];
  return { user: { name: user.name, id: user.uid ?? FIRST_UID + position }, group: groups[0] ?? DEFAULT_GROUP, groups };
}

export const DEFAULT_MACHINE: Machine = {
  clusterName: "cluster",
  nodeName: "nid000001",
  cpus: 8,
  memoryMiB: 16_384,
  partitions: [{ name: "normal" }, { name: "debug" }, { name: "xfer" }],
  features: ["cpu"],
};

/** Users, files and names: what every host has. */
export interface HostParts {
  volume: Volume;
  codecs: Codecs;
  sha256(body: ReadableStream<Uint8Array>): Promise<string>;
  fileSystems: readonly FileSystem[];
  /** Canonical; usually the paths of the file systems. */
  roots: readonly string[];
  users: readonly UserSpec[];
  now(): number;
  close(): Promise<void>;
}

/** Who runs the jobs, and what is known about the machine. */
export interface Scheduling extends Pick<Host, "nodes" | "partitions" | "reservations"> {
  jobsOf(user: UserSpec, identity: Identity, files: Files): Jobs;
}

export interface SimulatedParts extends HostParts {
  homeOf(user: string): string;
  machine: Machine;
  defaultTimeLimitSeconds?: number;
  attach(job: JobRecord, command: string): Promise<string>;
}

/** A host with a scheduler of our own. `schedulerOf` is asked late: the scheduler's executor needs the host's users. */
export function assembleHost(parts: SimulatedParts, schedulerOf: () => Scheduler): Host {
  return hostFrom(parts, ownScheduling(parts, schedulerOf));
}

export function hostFrom(parts: HostParts, { jobsOf, ...cluster }: Scheduling): Host {
  const identities = parts.users.map(identityOf);
  const names = namesOf(identities);
  const seats = new Map<string, Seat>();

  const seatOf = (name: string): Seat => {
    const position = parts.users.findIndex((user) => user.name === name);
    const user = parts.users[position];
    const identity = identities[position];
    if (user === undefined || identity === undefined) throw new ToolError("ssh", 255, "Authentication failed.");
    const files = userFiles({ ...parts, identity, names });
    return { identity, files, jobs: jobsOf(user, identity, files) };
  };

  return {
    fileSystems: parts.fileSystems,
    now: parts.now,
    async as(name) {
      const seat = seats.get(name) ?? seatOf(name);
      seats.set(name, seat);
      return seat;
    },
    ...cluster,
    close: parts.close,
  };
}

function ownScheduling(parts: SimulatedParts, schedulerOf: () => Scheduler): Scheduling {
  return {
    jobsOf: ({ name, accounts }, identity, files) =>
      userJobs({
        scheduler: schedulerOf(),
        identity,
        files,
        home: parts.homeOf(name),
        attach: parts.attach,
        ...(accounts === undefined ? {} : { accounts }),
        ...(parts.defaultTimeLimitSeconds === undefined
          ? {}
          : { defaultTimeLimitSeconds: parts.defaultTimeLimitSeconds }),
      }),
    async nodes() {
      await schedulerOf().settle();
      return [nodeRow(parts.machine, schedulerOf())];
    },
    async partitions() {
      return parts.machine.partitions.map(({ name, hidden = false }, position) => ({
        name,
        state: "UP" as const,
        cpus: parts.machine.cpus,
        nodes: 1,
        isDefault: position === 0,
        hidden,
      }));
    },
    reservations: async () => [],
  };
}

function nodeRow(machine: Machine, scheduler: Scheduler): NodeRow {
  const used = [...scheduler.jobs].filter(({ state }) => state === "RUNNING").reduce((sum, { cpus }) => sum + cpus, 0);
  return {
    name: machine.nodeName,
    sockets: 1,
    cores: machine.cpus,
    threads: 1,
    cpus: machine.cpus,
    cpusAllocated: used,
    cpuLoad: used,
    memoryMiB: machine.memoryMiB,
    freeMemoryMiB: machine.memoryMiB,
    features: [...machine.features],
    partitions: machine.partitions.map(({ name }) => name),
    state: [used === 0 ? "IDLE" : used < machine.cpus ? "MIXED" : "ALLOCATED"],
  };
}
