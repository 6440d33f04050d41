/** What squeue and sacct print, read into rows. Pure; moments are printed as seconds since the epoch. */
import type { JobRow, JobStep } from "../host.ts";
import { exitOf, moment, seconds, stateOf, told } from "./slurm-fields.ts";

/** Between columns: nothing that a name usually has in it. */
const SEPARATOR = "\x1f";

/** Columns by their names here. The job's name comes last, as it may hold anything. */
const QUEUE_COLUMNS = {
  jobId: "%i",
  plainId: "%A",
  arrayId: "%F",
  partition: "%P",
  state: "%T",
  user: "%u",
  uid: "%U",
  group: "%g",
  gid: "%G",
  account: "%a",
  reservation: "%v",
  reason: "%r",
  submit: "%V",
  start: "%S",
  limit: "%l",
  elapsed: "%M",
  nodeCount: "%D",
  nodeList: "%N",
  cpus: "%C",
  priority: "%Q",
  name: "%j",
} as const;
export const QUEUE_FORMAT = Object.values(QUEUE_COLUMNS).join(SEPARATOR);

const ACCOUNTING_COLUMNS = {
  jobId: "JobID",
  plainId: "JobIDRaw",
  partition: "Partition",
  state: "State",
  user: "User",
  uid: "UID",
  group: "Group",
  gid: "GID",
  account: "Account",
  reservation: "Reservation",
  reason: "Reason",
  submit: "Submit",
  start: "Start",
  end: "End",
  limit: "Timelimit",
  elapsed: "ElapsedRaw",
  exitCode: "ExitCode",
  nodeCount: "NNodes",
  nodeList: "NodeList",
  cpus: "NCPUS",
  priority: "Priority",
  workingDirectory: "WorkDir",
  name: "JobName",
} as const;
export const ACCOUNTING_FORMAT = [
  "--parsable2",
  `--delimiter=${SEPARATOR}`,
  `--format=${Object.values(ACCOUNTING_COLUMNS).join(",")}`,
];

type Line<Columns> = { [K in keyof Columns]: string };

/** Lines that have all columns; what a name with a line break in it leaves behind is dropped. */
function* linesOf<Columns extends object>(columns: Columns, text: string): Generator<Line<Columns>> {
  const names = Object.keys(columns);
  for (const line of text.split("\n")) {
    const fields = line.split(SEPARATOR);
    if (fields.length < names.length || !/^\d/.test(fields[0] ?? "")) continue;
    const name = fields.slice(names.length - 1).join(SEPARATOR);
    yield Object.fromEntries(
      names.map((key, at) => [key, at === names.length - 1 ? name : (fields[at] ?? "").trim()]),
    ) as Line<Columns>;
  }
}

/** What only `scontrol` tells of a job. */
const UNTOLD = {
  workingDirectory: "",
  command: "",
  scriptText: "",
  standardInput: "",
  standardOutput: "",
  standardError: "",
  restarts: 0,
  steps: [] as JobStep[],
};

export function readQueue(text: string): JobRow[] {
  return [...linesOf(QUEUE_COLUMNS, text)].map((line) => ({
    ...UNTOLD,
    ...common(line),
    ...(line.jobId === line.plainId ? {} : { arrayId: line.arrayId }),
    elapsedSeconds: seconds(line.elapsed) ?? 0,
    exitCode: 0,
    signal: 0,
  }));
}

/** Steps come after their job, and belong to it by their id. */
export function readAccounting(text: string): JobRow[] {
  const rows: JobRow[] = [];
  for (const line of linesOf(ACCOUNTING_COLUMNS, text)) {
    const [jobId = "", step] = line.jobId.split(".", 2);
    const end = { exitCode: exitOf(line.exitCode)[0], signal: exitOf(line.exitCode)[1] };
    const endedAt = moment(line.end);
    if (step !== undefined) {
      rows
        .find((row) => row.jobId === jobId)
        ?.steps.push({
          id: line.jobId,
          name: line.name,
          state: stateOf(line.state).state,
          ...end,
          startedAt: moment(line.start) ?? 0,
          ...(endedAt === undefined ? {} : { endedAt }),
        });
      continue;
    }
    const [base = "", element] = line.jobId.split("_", 2);
    rows.push({
      ...UNTOLD,
      ...common(line),
      ...end,
      ...(element === undefined ? {} : { arrayId: base }),
      ...(endedAt === undefined ? {} : { endedAt }),
      elapsedSeconds: Number(line.elapsed) || 0,
      workingDirectory: line.workingDirectory,
      steps: [],
    });
  }
  return rows;
}

type Shared =
  | "jobId"
  | "plainId"
  | "partition"
  | "state"
  | "user"
  | "uid"
  | "group"
  | "gid"
  | "account"
  | "reservation"
  | "reason"
  | "submit"
  | "start"
  | "limit"
  | "nodeCount"
  | "nodeList"
  | "cpus"
  | "priority"
  | "name";

function common(line: Record<Shared, string>) {
  const startedAt = moment(line.start);
  const timeLimitSeconds = seconds(line.limit);
  return {
    jobId: line.jobId,
    plainId: line.plainId,
    name: line.name,
    user: { name: line.user, id: Number(line.uid) || 0 },
    group: { name: line.group, id: Number(line.gid) || 0 },
    account: told(line.account),
    partition: line.partition,
    reservation: told(line.reservation),
    ...stateOf(line.state),
    reason: line.reason,
    submittedAt: moment(line.submit) ?? 0,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
    nodeCount: Number(line.nodeCount) || 0,
    nodeList: line.nodeList === "None assigned" ? "" : told(line.nodeList),
    cpus: Number(line.cpus) || 0,
    priority: Number(line.priority) || 0,
  };
}
