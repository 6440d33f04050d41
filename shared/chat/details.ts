/** What stands in the thread of a job's message: too long, or too late, for the message itself. */
import type { Event } from "../contract/event.ts";
import type { Job } from "../contract/job.ts";
import { nameOf } from "./about-job.ts";
import type { Message } from "./message.ts";

export type DetailKind = "tail" | "results";

const OUTPUTS: Record<Job["outputs"][number]["status"], string> = {
  accepted: "not yet begun",
  staging: "under way",
  staged: "under way",
  copying: "under way",
  verifying: "being checked",
  stored: "stored",
  failed: "failed",
  cancelled: "not copied",
};
const OUTPUTS_SHOWN = 9;

/** Which details an event's job has. `part` names one for good: each run has its own. */
export function detailsOf(event: Event): { kind: DetailKind; part: string }[] {
  if (!event.type.startsWith("job.")) return [];
  const { status, startedAt, settledAt, outputs, run } = event.data as Job;
  return [
    ...(status === "failed" && startedAt !== undefined ? [{ kind: "tail", part: `tail-${run}` } as const] : []),
    ...(settledAt !== undefined && outputs.length > 0 ? [{ kind: "results", part: `results-${run}` } as const] : []),
  ];
}

/** Undefined where there is nothing to show. */
export function detailMessage(kind: DetailKind, job: Job, tail: string | undefined): Message | undefined {
  const name = nameOf(job);
  if (kind === "tail") {
    if (tail === undefined || tail.trim() === "") return undefined;
    return {
      title: `${name}: last lines of its errors`,
      tone: "bad",
      facts: [],
      tail: { caption: "stderr", text: tail },
    };
  }
  const more = job.outputs.length - OUTPUTS_SHOWN;
  const stored = job.outputs.every(({ status }) => status === "stored");
  return {
    title: `Results of ${name}`,
    tone: stored ? "good" : "warning",
    facts: [
      ...job.outputs.slice(0, OUTPUTS_SHOWN).map(({ key, status }) => ({ label: OUTPUTS[status], value: key })),
      ...(more > 0 ? [{ label: "and", value: `${more} more` }] : []),
    ],
  };
}
