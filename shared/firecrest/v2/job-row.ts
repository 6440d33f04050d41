/** One row of J2 and J3 as the server merged it from accounting and queue; nothing is concluded from it here. */
import { count, epochMs, type Fields, fields, given, list, text, words } from "./read.ts";

export interface JobRow {
  /** As it came: `88`, `88_3`, `88_[4-10%2]`, `12+0`, `123[7]`. */
  id: string;
  name?: string;
  /** Scheduler words: one over SSH (`CANCELLED by 26191`), a list over Slurm's REST interface. */
  states: string[];
  /** Slurm writes the word `None` where there is none; that is absent here. */
  stateReason?: string;
  exitCode?: number;
  signal?: number;
  /** Words of the job's steps; empty for rows of the queue and for PBS. */
  stepStates: string[];
  startedAt?: number;
  endedAt?: number;
  elapsedSeconds?: number;
  timeLimitSeconds?: number;
  allocatedNodes?: number;
  nodes?: string;
  partition?: string;
  workingDirectory?: string;
  user?: string;
}

/** Undefined for anything without an id or a state. */
export function jobRow(row: Fields): JobRow | undefined {
  const id = text(row.jobId);
  const status = row.status === undefined || row.status === null ? earlyStatus(row) : fields(row.status);
  const states = words(status.state);
  if (id === undefined || states.length === 0) return undefined;
  const time = fields(row.time);
  const reason = text(status.stateReason);
  const nodes = text(row.nodes);
  return given({
    id,
    states,
    name: text(row.name),
    stateReason: reason === "None" ? undefined : reason,
    exitCode: count(status.exitCode),
    signal: count(status.interruptSignal),
    stepStates: list(row.tasks).flatMap((step) => words(fields(step.status).state)),
    startedAt: epochMs(time.start),
    endedAt: epochMs(time.end),
    elapsedSeconds: count(time.elapsed),
    timeLimitSeconds: count(time.limit),
    allocatedNodes: count(row.allocationNodes),
    nodes: nodes === "None assigned" ? undefined : nodes,
    partition: text(row.partition),
    workingDirectory: text(row.workingDirectory),
    user: text(row.user),
  });
}

/** The first releases: `state: {current: [..], reason}` and `exitCode: {returnCode}` beside each other. */
function earlyStatus(row: Fields): Fields {
  const state = fields(row.state);
  const exit = fields(row.exitCode);
  return {
    state: state.current ?? row.state,
    stateReason: state.reason,
    exitCode: count(exit.returnCode) ?? fields(exit.returnCode).number,
    interruptSignal: fields(exit.signal).signalId,
  };
}
