/** What a machine is made of, as its scheduler says: each a task that runs one command. */
import { count, fieldsOf, given, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { MachineNode, MachinePartition, MachineReservation } from "../port.ts";
import { siteText } from "../redact.ts";
import type { Site } from "./call.ts";
import { codeOf } from "./refusals.ts";
import { awaitTasks, createdTask, isFinished, taskErrorText } from "./tasks.ts";

type Row = Record<string, unknown>;

export const readNodes = (site: Site, system: string): Promise<MachineNode[]> => ask(site, system, "nodes", nodeOf);

export const readPartitions = (site: Site, system: string): Promise<MachinePartition[]> =>
  ask(site, system, "partitions", partitionOf);

export const readReservations = (site: Site, system: string): Promise<MachineReservation[]> =>
  ask(site, system, "reservations", reservationOf);

async function ask<T>(
  { call, deps }: Site,
  system: string,
  what: string,
  rowOf: (row: Row) => T | undefined,
): Promise<T[]> {
  const path = `/compute/${what}`;
  const id = createdTask(path, await call({ method: "GET", path, system, effect: false }));
  const task = (await awaitTasks(call, deps.sleep, [id])).get(id);
  if (task === undefined || !isFinished(task))
    throw new FirecrestError(`compute/${what}: the site did not finish the query in time`, {
      code: "task_stuck",
      retry: "later",
    });
  if (task.status !== 200) {
    const words = taskErrorText(task);
    throw new FirecrestError(`compute/${what}: ${siteText(words) || `the task ended with ${task.status}`}`, {
      code: codeOf(words),
      retry: "later",
    });
  }
  return (Array.isArray(task.data) ? task.data : []).flatMap((row) => rowOf(fieldsOf(row)) ?? []);
}

/** Words of a list; Slurm's way to say that there are none is `(null)`. */
const words = (value: unknown): string[] =>
  (Array.isArray(value) ? value : []).filter((word): word is string => typeof word === "string" && word !== "(null)");

function nodeOf(row: Row): MachineNode | undefined {
  const name = text(row.NodeName);
  if (name === undefined) return undefined;
  return { name, states: words(row.State), partitions: words(row.Partitions), features: words(row.ActiveFeatures) };
}

function partitionOf(row: Row): MachinePartition | undefined {
  const name = text(row.PartitionName);
  if (name === undefined) return undefined;
  const state = text(row.State);
  return {
    name,
    states: state === undefined ? [] : [state],
    ...given({ cpus: count(row.TotalCPUs), nodes: count(row.TotalNodes) }),
  };
}

/** Its times are the site's, without zone, and are left out. */
function reservationOf(row: Row): MachineReservation | undefined {
  const name = text(row.ReservationName);
  return name === undefined ? undefined : { name, ...given({ state: text(row.State), nodes: text(row.Nodes) }) };
}
