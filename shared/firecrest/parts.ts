/**
 * One job from the parts that a site lists: itself, the elements of an array, the components of a heterogeneous job.
 * Nothing here ends an array on a row that is not one of its elements, nor while one of them lives.
 */
import { given } from "./decode.ts";
import type { JobObservation } from "./port.ts";
import type { RowId } from "./row-id.ts";
import { isEnd } from "./states.ts";

export interface Part {
  id: RowId;
  seen: JobObservation;
}

/** `arraySize`: elements that the submitted spec implies. Undefined where there are no parts. */
export function observeParts(
  schedulerId: string,
  parts: readonly Part[],
  arraySize?: number,
): JobObservation | undefined {
  const elements = parts.filter(({ id }) => id.part.kind === "elements");
  const others = parts.filter(({ id }) => id.part.kind !== "elements");
  if (elements.length > 0) return observeArray(schedulerId, elements, others, arraySize);
  const whole = speakerOf(others);
  if (whole === undefined) return undefined;
  const seen = { ...whole.seen, schedulerId };
  // Before accounting knows an array, the base id is that of its last element: it says nothing about the array's end.
  return arraySize !== undefined && isEnd(seen.state) ? asUnproven(seen) : seen;
}

/** The id exists; how it ended is not known yet. */
export function asUnproven(seen: JobObservation): JobObservation {
  const { schedulerId, schedulerState, name, startedAt, workingDirectory } = seen;
  const proven = given({ name, startedAt, workingDirectory });
  return { schedulerId, schedulerState, state: "unknown", skeleton: true, revocable: false, ...proven };
}

/** What lives speaks before what ended, a failure before a success. */
const WEIGHT: Record<JobObservation["state"], number> = {
  running: 5,
  queued: 4,
  unknown: 3,
  failed: 2,
  cancelled: 1,
  succeeded: 0,
};

const speakerOf = (parts: readonly Part[]): Part | undefined =>
  parts.reduce<Part | undefined>(
    (best, part) => (best === undefined || WEIGHT[part.seen.state] > WEIGHT[best.seen.state] ? part : best),
    undefined,
  );

function observeArray(
  schedulerId: string,
  elements: readonly Part[],
  others: readonly Part[],
  arraySize: number | undefined,
): JobObservation {
  const counts = { succeeded: 0, failed: 0, cancelled: 0, running: 0, queued: 0 };
  const failedIndices: number[] = [];
  let known = 0;
  for (const { seen, id } of elements) {
    if (id.part.kind !== "elements") continue;
    const state = seen.state === "unknown" ? "running" : seen.state;
    counts[state] += id.part.count;
    known += id.part.count;
    if (state === "failed" && id.part.index !== undefined) failedIndices.push(id.part.index);
  }
  const total = Math.max(arraySize ?? 0, known);
  counts.queued += total - known;

  // A queue may show elements a second time under numbers of their own, the base id among them: what lives there lives.
  const alive = others.some(({ seen }) => seen.state === "running" || seen.state === "queued");
  const all = elements.map(({ seen }) => seen);
  const speaker = speakerOf(elements)?.seen;
  const state = arrayState(counts, alive);
  const ended = isEnd(state);
  return {
    schedulerId,
    state,
    schedulerState: state === "running" ? "RUNNING" : (speaker?.schedulerState ?? ""),
    skeleton: false,
    revocable: ended && all.some((seen) => seen.revocable),
    array: { total, ...counts, failedIndices: failedIndices.sort((a, b) => a - b) },
    ...given({
      name: speaker?.name,
      reason: state === "running" ? undefined : speaker?.reason,
      pendingReason: state === "queued" ? speaker?.pendingReason : undefined,
      exitCode: ended ? speaker?.exitCode : undefined,
      signal: ended ? speaker?.signal : undefined,
      startedAt: extreme(
        Math.min,
        all.map((seen) => seen.startedAt),
      ),
      endedAt: ended
        ? extreme(
            Math.max,
            all.map((seen) => seen.endedAt),
          )
        : undefined,
      elapsedSeconds: extreme(
        Math.max,
        all.map((seen) => seen.elapsedSeconds),
      ),
      timeLimitSeconds: speaker?.timeLimitSeconds,
      workingDirectory: speaker?.workingDirectory,
    }),
  };
}

type Counts = Record<"succeeded" | "failed" | "cancelled" | "running" | "queued", number>;

function arrayState(counts: Counts, alive: boolean): JobObservation["state"] {
  const ended = counts.succeeded + counts.failed + counts.cancelled;
  if (counts.running > 0 || (counts.queued > 0 && ended > 0)) return "running";
  if (counts.queued > 0) return "queued";
  if (alive) return "running";
  if (counts.failed > 0) return "failed";
  return counts.cancelled > 0 ? "cancelled" : "succeeded";
}

function extreme(pick: (...values: number[]) => number, values: (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : known.reduce((a, b) => pick(a, b));
}
