/** Whether the jobs that a job depends on let it start. */
import { isFinal, type JobRecord } from "./records.ts";

/** What a dependency needs to know of the queue. */
export interface Queue {
  readonly jobs: Iterable<JobRecord>;
  job(id: number): JobRecord | undefined;
  arrayElements(base: number): JobRecord[];
}

export type DependencyState = "met" | "waiting" | "never";

/** `afterok:1:2,afterany:3` (all of them), `singleton`. Ids that nobody knows are taken as fulfilled, as Slurm does. */
export function dependencyState(job: JobRecord, queue: Queue): DependencyState {
  let result: DependencyState = "met";
  for (const condition of job.dependency.split(/[,?]/).filter((part) => part !== "")) {
    const state = conditionState(condition, job, queue);
    if (state === "never") return "never";
    if (state === "waiting") result = "waiting";
  }
  return result;
}

function conditionState(condition: string, job: JobRecord, queue: Queue): DependencyState {
  const [kind = "", ...ids] = condition.split(":");
  if (kind === "singleton") {
    const before = [...queue.jobs].some(
      (other) => other.id < job.id && other.name === job.name && other.user.id === job.user.id && !isFinal(other.state),
    );
    return before ? "waiting" : "met";
  }
  const states = ids.flatMap((id) => targets(id, queue)).map((target) => targetState(kind, target));
  if (states.includes("never")) return "never";
  return states.includes("waiting") ? "waiting" : "met";
}

/** `12` (an array: all of it), `12_3`, with Slurm's `+delay` ignored. */
function targets(id: string, queue: Queue): JobRecord[] {
  const [, base = "", index] = /^(\d+)(?:_(\d+|\*))?(?:\+\d+)?$/.exec(id) ?? [];
  const elements = queue.arrayElements(Number(base));
  if (elements.length > 0)
    return index === undefined || index === "*"
      ? elements
      : elements.filter(({ array }) => array?.index === Number(index));
  const single = queue.job(Number(base));
  return single === undefined ? [] : [single];
}

function targetState(kind: string, target: JobRecord): DependencyState {
  const ended = isFinal(target.state);
  const succeeded = target.state === "COMPLETED";
  switch (kind) {
    case "after":
      return target.startedAt !== undefined || ended ? "met" : "waiting";
    case "afterok":
    case "aftercorr":
      return succeeded ? "met" : ended ? "never" : "waiting";
    case "afternotok":
      return succeeded ? "never" : ended ? "met" : "waiting";
    default:
      return ended ? "met" : "waiting";
  }
}

/** Whether a `--dependency` text is one that sbatch takes. */
export function isDependency(text: string): boolean {
  return text
    .split(/[,?]/)
    .every((part) =>
      /^(?:singleton|(?:after|afterany|afterok|afternotok|aftercorr|afterburstbuffer)(?::\d+(?:_(?:\d+|\*))?(?:\+\d+)?)+)$/.test(
        part,
      ),
    );
}
