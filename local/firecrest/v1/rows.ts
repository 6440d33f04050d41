/** Rows of squeue, sacct and scontrol in v1's words, with its well-known mix-ups of fields. */
import type { JobRow, NodeRow, PartitionRow, ReservationRow } from "../host.ts";

/** `2026-11-22T12:50:12`, without a zone (the site's clock is UTC). */
export function localTime(at: number): string {
  return new Date(at).toISOString().slice(0, 19);
}

/** squeue's `1-02:03:04`, `4:14`. */
function shortDuration(seconds: number): string {
  const { days, hours, minutes, rest } = split(seconds);
  const clock = `${minutes}:${two(rest)}`;
  if (days > 0) return `${days}-${two(hours)}:${two(minutes)}:${two(rest)}`;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : clock;
}

/** sacct's `1-02:03:04`, `00:04:14`. */
function longDuration(seconds: number): string {
  const { days, hours, minutes, rest } = split(seconds);
  const clock = `${two(hours)}:${two(minutes)}:${two(rest)}`;
  return days > 0 ? `${days}-${clock}` : clock;
}

function split(seconds: number): { days: number; hours: number; minutes: number; rest: number } {
  return {
    days: Math.floor(seconds / 86_400),
    hours: Math.floor(seconds / 3600) % 24,
    minutes: Math.floor(seconds / 60) % 60,
    rest: seconds % 60,
  };
}

function two(number: number): string {
  return String(number).padStart(2, "0");
}

/** `start_time` holds the elapsed time and `time` the start: the real servers mix them up. */
export function queueRow(row: JobRow): Record<string, string> {
  const left =
    row.timeLimitSeconds === undefined
      ? "UNLIMITED"
      : shortDuration(Math.max(0, row.timeLimitSeconds - row.elapsedSeconds));
  return {
    jobid: row.jobId,
    partition: row.partition,
    name: row.name,
    user: row.user.name,
    state: row.state,
    start_time: shortDuration(row.elapsedSeconds),
    time: row.startedAt === undefined ? "N/A" : localTime(row.startedAt),
    time_left: left,
    nodes: String(row.nodeCount),
    nodelist: row.nodeList === "" ? `(${row.reason})` : row.nodeList,
  };
}

/** `time` holds the CPU time and `time_left` the end. */
export function accountingRow(row: JobRow): Record<string, string> {
  const end = row.endedAt === undefined ? "Unknown" : localTime(row.endedAt);
  const cpuTime = longDuration(row.elapsedSeconds * row.cpus);
  return {
    jobid: row.jobId,
    partition: row.partition,
    name: row.name,
    user: row.user.name,
    state: row.state === "CANCELLED" && row.cancelledBy !== undefined ? `CANCELLED by ${row.cancelledBy}` : row.state,
    start_time:
      row.startedAt === undefined ? (row.endedAt === undefined ? "Unknown" : "None") : localTime(row.startedAt),
    termination_time: end,
    time_left: end,
    time: cpuTime,
    cpu_time: cpuTime,
    elapsed_time: longDuration(row.elapsedSeconds),
    nodes: String(row.nodeCount),
    nodelist: row.nodeList === "" ? "None assigned" : row.nodeList,
    exit_code: `${row.exitCode}:${row.signal}`,
  };
}

export function nodeInfo(row: NodeRow): Record<string, unknown> {
  return { NodeName: row.name, ActiveFeatures: row.features, Partitions: row.partitions, State: row.state };
}

export function partitionInfo(row: PartitionRow): Record<string, string> {
  return {
    PartitionName: row.name,
    State: row.state,
    TotalCPUs: String(row.cpus),
    TotalNodes: String(row.nodes),
    Default: row.isDefault ? "YES" : "NO",
  };
}

export function reservationInfo(row: ReservationRow): Record<string, unknown> {
  return {
    ReservationName: row.name,
    State: row.state,
    Nodes: row.nodes,
    StartTime: localTime(row.startsAt),
    EndTime: localTime(row.endsAt),
    Features: row.features.length === 0 ? ["(null)"] : row.features,
  };
}
