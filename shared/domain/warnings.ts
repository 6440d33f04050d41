/** What is told about a job beside its steps: that its time runs out, or that it waits in vain. Once each. */
import type { JobRecord, SeenJob, Step } from "./job.ts";

const WALLTIME_PERCENTS = [90, 80, 50] as const;

/** The walltime warning that is due and was not given yet. */
export function walltimePercent(record: JobRecord, seen: SeenJob): number | undefined {
  if (record.status !== "running" || seen.elapsedSeconds === undefined || !record.timeLimitSeconds) return undefined;
  const used = (100 * seen.elapsedSeconds) / record.timeLimitSeconds;
  const percent = WALLTIME_PERCENTS.find((p) => used >= p);
  return percent !== undefined && percent > (record.warnedPercent ?? 0) ? percent : undefined;
}

/** The step with a warning, where a queued job waits for something that time alone does not bring; once for each reason. */
export function stuck(step: Step, { waiting, pendingReason = "" }: SeenJob, now: number): Step {
  if (waiting === undefined) return step;
  const code = waiting.never ? "never_starts" : "held_back";
  const warning = { code, message: `${waiting.words} (${pendingReason})` };
  const { warnings } = step.record;
  if (warnings.some(({ message }) => message === warning.message)) return step;
  return {
    record: { ...step.record, warnings: [...warnings, warning], changedAt: now },
    announce: [...step.announce, { type: "job.warning", extra: { warning, pendingReason } }],
    changed: true,
  };
}
