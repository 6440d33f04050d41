/** Which events a receiver hears. */
import { EVENT_TYPES } from "./states.ts";
import { z } from "./words.ts";

/** Slurm's own mail types, accepted as filter aliases. */
const SLURM_ALIASES: Record<string, readonly string[]> = {
  ALL: ["job.*"],
  BEGIN: ["job.running"],
  END: ["job.succeeded", "job.failed", "job.cancelled"],
  FAIL: ["job.failed"],
  REQUEUE: ["job.requeued"],
  STAGE_OUT: ["job.settled"],
  INVALID_DEPEND: ["job.warning"],
  TIME_LIMIT: ["job.failed"],
  TIME_LIMIT_50: ["job.walltime_warning"],
  TIME_LIMIT_80: ["job.walltime_warning"],
  TIME_LIMIT_90: ["job.walltime_warning"],
};

/** Whether an event type passes a filter. Some facts of its data narrow the Slurm aliases that need them. */
export function matchesFilter(
  filter: readonly string[],
  type: string,
  data: { percent?: unknown; reason?: unknown; pendingReason?: unknown } = {},
): boolean {
  return filter.some((entry) => {
    const percent = /^TIME_LIMIT_(\d+)$/.exec(entry)?.[1];
    if (percent !== undefined && data.percent !== Number(percent)) return false;
    if (entry === "TIME_LIMIT" && data.reason !== "timeout") return false;
    if (entry === "INVALID_DEPEND" && data.pendingReason !== "DependencyNeverSatisfied") return false;
    return (SLURM_ALIASES[entry] ?? [entry]).some(
      (pattern) =>
        pattern === "*" || (pattern.endsWith(".*") ? type.startsWith(pattern.slice(0, -1)) : pattern === type),
    );
  });
}

/** An entry that can never match is a mistake worth telling. */
function isKnown(entry: string): boolean {
  if (entry === "*" || Object.hasOwn(SLURM_ALIASES, entry)) return true;
  if (entry.endsWith(".*")) return EVENT_TYPES.some((type) => type.startsWith(entry.slice(0, -1)));
  return (EVENT_TYPES as readonly string[]).includes(entry);
}

/** Filters over event types: `job.*`, `job.succeeded`, `*`, or Slurm's own names (`END`, `FAIL`, …). */
export const EventFilter = z
  .array(
    z
      .string()
      .refine(
        isKnown,
        "must be an event type, a glob such as job.*, or a Slurm mail type; /v1/schemas lists the types",
      ),
  )
  .min(1)
  .max(50);
