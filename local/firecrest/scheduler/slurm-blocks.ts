/** What `scontrol show` prints, read into rows. Pure; moments are printed as seconds since the epoch. */
import type { JobRow, NodeRow, PartitionRow, ReservationRow } from "../host.ts";
import { exitOf, idOf, isEnd, list, moment, seconds, stateOf, told } from "./slurm-fields.ts";

/** `scontrol show job`: a block of lines per job. */
export function readJobs(text: string): JobRow[] {
  return blocks(text)
    .filter((block) => block.startsWith("JobId="))
    .map((block) => {
      const { JobId: plainId = "", ArrayJobId: arrayId, ArrayTaskId: element, ...fields } = pairs(block);
      const get = (key: string) => told(fields[key] ?? "");
      const isOver = isEnd(get("JobState"));
      const [startedAt, endedAt, timeLimitSeconds] = [
        moment(get("StartTime")),
        moment(get("EndTime")),
        seconds(get("TimeLimit")),
      ];
      const [exitCode, signal] = exitOf(get("ExitCode"));
      const isRest = element !== undefined && !/^\d+$/.test(element);
      return {
        jobId:
          arrayId === undefined || element === undefined ? plainId : `${arrayId}_${isRest ? `[${element}]` : element}`,
        plainId,
        ...(arrayId === undefined ? {} : { arrayId }),
        name: get("JobName"),
        user: idOf(get("UserId")),
        group: idOf(get("GroupId")),
        account: get("Account"),
        partition: get("Partition"),
        reservation: get("Reservation"),
        ...stateOf(get("JobState")),
        reason: get("Reason"),
        exitCode,
        signal,
        submittedAt: moment(get("SubmitTime")) ?? 0,
        ...(startedAt === undefined ? {} : { startedAt }),
        // Of a live job it is when the limit will strike.
        ...(endedAt === undefined || !isOver ? {} : { endedAt }),
        ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
        elapsedSeconds: seconds(get("RunTime")) ?? 0,
        nodeCount: Number.parseInt(get("NumNodes"), 10) || 0,
        nodeList: get("NodeList"),
        cpus: Number.parseInt(get("NumCPUs"), 10) || 0,
        priority: Number(get("Priority")) || 0,
        workingDirectory: get("WorkDir"),
        command: get("Command"),
        scriptText: "",
        standardInput: get("StdIn"),
        standardOutput: get("StdOut"),
        standardError: get("StdErr"),
        restarts: Number(get("Restarts")) || 0,
        steps: [],
      };
    });
}

export function readNodes(text: string): NodeRow[] {
  return blocks(text)
    .filter((block) => block.startsWith("NodeName="))
    .map((block) => {
      const fields = pairs(block);
      const number = (key: string) => Number(fields[key]) || 0;
      return {
        name: fields.NodeName ?? "",
        sockets: number("Sockets"),
        cores: number("CoresPerSocket"),
        threads: number("ThreadsPerCore"),
        cpus: number("CPUTot"),
        cpusAllocated: number("CPUAlloc"),
        cpuLoad: number("CPULoad"),
        memoryMiB: number("RealMemory"),
        freeMemoryMiB: number("FreeMem"),
        features: list(fields.ActiveFeatures, ","),
        partitions: list(fields.Partitions, ","),
        state: list(fields.State, "+"),
      };
    });
}

export function readPartitions(text: string): PartitionRow[] {
  return blocks(text)
    .filter((block) => block.startsWith("PartitionName="))
    .map((block) => {
      const fields = pairs(block);
      return {
        name: fields.PartitionName ?? "",
        state: fields.State === "UP" ? "UP" : "DOWN",
        cpus: Number(fields.TotalCPUs) || 0,
        nodes: Number(fields.TotalNodes) || 0,
        isDefault: fields.Default === "YES",
        hidden: fields.Hidden === "YES",
      };
    });
}

export function readReservations(text: string): ReservationRow[] {
  return blocks(text)
    .filter((block) => block.startsWith("ReservationName="))
    .map((block) => {
      const fields = pairs(block);
      return {
        name: fields.ReservationName ?? "",
        state: fields.State ?? "",
        nodes: told(fields.Nodes ?? ""),
        startsAt: moment(fields.StartTime ?? "") ?? 0,
        endsAt: moment(fields.EndTime ?? "") ?? 0,
        features: list(fields.Features, "&"),
      };
    });
}

const blocks = (text: string): string[] => text.split(/\n\s*\n/).map((block) => block.trim());

/** These have the rest of their line for themselves, spaces and all. */
const WHOLE_LINE = new Set(["JobName", "Command", "WorkDir", "StdIn", "StdOut", "StdErr"]);

function pairs(block: string): Record<string, string> {
  const found: Record<string, string> = {};
  for (const line of block.split("\n")) {
    const words = line.trim().split(" ");
    for (const [at, word] of words.entries()) {
      const equals = word.indexOf("=");
      if (equals < 1) continue;
      const key = word.slice(0, equals);
      if (WHOLE_LINE.has(key)) {
        found[key] ??= words
          .slice(at)
          .join(" ")
          .slice(equals + 1);
        break;
      }
      found[key] ??= word.slice(equals + 1);
    }
  }
  return found;
}
