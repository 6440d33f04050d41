/** What a job asks its scheduler for, wherever it says so: in the request itself, else in the header of its script. */
import type { JobRequest } from "../contract/job.ts";
import { optionOf, readHeader, timeLimitOf } from "./header.ts";

export interface Asked {
  partition?: string;
  memoryMiB?: number;
  timeLimitSeconds?: number;
}

/** Of a script that is on the site already, only what the request says is known. */
export function askedOf({ script, resources = {} }: Pick<JobRequest, "script" | "resources">): Asked {
  const header = readHeader(script ?? "");
  const partition = resources.partition ?? optionOf(header, "--partition", "-p");
  const memoryMiB = resources.memoryMiB ?? parseMemory(optionOf(header, "--mem"));
  const timeLimitSeconds = resources.timeLimitSeconds ?? timeLimitOf(script ?? "");
  return {
    ...(partition ? { partition } : {}),
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
    ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
  };
}

const UNITS: Readonly<Record<string, number>> = { K: 1 / 1024, M: 1, G: 1024, T: 1024 * 1024 };

/** sbatch's `--mem`: megabytes unless it says otherwise; 0 is all that a node has, which is no number. */
function parseMemory(text = ""): number | undefined {
  const [, count, unit = "M"] = /^(\d{1,9})([KMGT])?B?$/i.exec(text) ?? [];
  const memoryMiB = Math.ceil(Number(count ?? 0) * (UNITS[unit.toUpperCase()] ?? 1));
  return memoryMiB > 0 ? memoryMiB : undefined;
}
