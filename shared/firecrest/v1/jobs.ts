/** Submitting, cancelling and finding jobs. */
import { given } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import { observeParts } from "../parts.ts";
import type { Handle, HandleState, NameLookup, Submission, SubmitResult } from "../port.ts";
import { siteText } from "../redact.ts";
import type { Site } from "./call.ts";
import { codeOf, isCertainRefusal } from "./refusals.ts";
import { dayBefore, isJobId } from "./round.ts";
import { observeAccountingRow, observeQueueRow } from "./rows.ts";
import { awaitTasks, createdTask, isFinished, readAllTasks, type Task, taskErrorText } from "./tasks.ts";
import { decodeAccounting, decodeQueue, decodeSubmitted } from "./wire.ts";

/** Not resent, and not read for longer than a few seconds: what has not ended by then is a pending handle. */
export async function submitJob(site: Site, job: Submission): Promise<SubmitResult> {
  const scriptPath = job.scriptPath ?? (job.workingDirectory === undefined ? undefined : await uploadScript(site, job));
  const path = scriptPath === undefined ? "/compute/jobs/upload" : "/compute/jobs/path";
  const answer = await site.call({
    method: "POST",
    path,
    system: job.system,
    form: {
      targetPath: scriptPath === undefined ? undefined : site.guard.path("submit_path", scriptPath),
      account: job.account,
      env: job.env === undefined ? undefined : JSON.stringify(job.env),
    },
    ...(scriptPath === undefined ? { file: { name: "job.sh", content: job.script ?? "" } } : {}),
    effect: true,
  });
  const task = createdTask(path, answer);
  const handle: Handle = { kind: "submit", ref: { task }, system: job.system, releasable: false };
  const seen = await readQuietly(site, task);
  const state: HandleState = seen === undefined ? { state: "working" } : submissionState(seen);
  if (state.state === "failed" && state.certain) {
    throw new FirecrestError(state.message, { code: state.code, retry: retryOf(state.code) });
  }
  // `jobs/path` may show 400 and then 200: a failure that is not certain is looked at again by whoever holds the handle.
  if (state.state !== "done" || state.schedulerId === undefined) return { outcome: "pending", handle };
  const { schedulerId, stdoutPath, stderrPath, warning } = state;
  const workingDirectory = job.workingDirectory ?? state.workingDirectory;
  return { outcome: "submitted", schedulerId, ...given({ workingDirectory, stdoutPath, stderrPath, warning }) };
}

/** After the submission has left, failing to read its task is no failure of the submission. */
async function readQuietly({ deps, call }: Site, task: string): Promise<Task | undefined> {
  try {
    return (await awaitTasks(call, deps.sleep, [task])).get(task);
  } catch (error) {
    if (error instanceof FirecrestError) return undefined;
    throw error;
  }
}

const retryOf = (code: FirecrestError["code"]) =>
  code === "system_unavailable" || code === "site_error" ? "later" : "never";

/** What the task of a submission says. A status of 200 without a job id submitted nothing that we can follow. */
export function submissionState(task: Task): HandleState {
  if (task.status < 200) return { state: "working" };
  if (task.status >= 300 && task.status < 400) return { state: "gone" };
  if (task.status === 200) {
    const { jobId, warning, ...paths } = decodeSubmitted(task.data);
    if (jobId !== undefined) {
      return {
        state: "done",
        schedulerId: jobId,
        ...paths,
        ...(warning === undefined ? {} : { warning: siteText(warning) }),
      };
    }
    return {
      state: "failed",
      certain: false,
      code: "scheduler_refused",
      message: "the site accepted the script but names no job",
    };
  }
  const words = taskErrorText(task);
  const code = codeOf(words);
  return {
    state: "failed",
    certain: isCertainRefusal(words),
    code: code === "not_found" || code === "invalid_path" ? "scheduler_refused" : code,
    message: siteText(words) || "the site could not submit the job",
  };
}

/** Puts the script beside the job's files. Writing it again is harmless, so nothing here is ever `after_check`. */
async function uploadScript({ call, guard }: Site, job: Submission): Promise<string> {
  const directory = guard.path("working_directory", job.workingDirectory ?? "");
  const script = job.script ?? "";
  const name = guard.fileName(`.${job.name ?? `fw-${await digest(script)}`}.sh`);
  const target = `${directory.replace(/\/+$/, "")}/${name}`;
  guard.path("submit_path", target);
  const request = { method: "POST", path: "/utilities/upload", system: job.system } as const;
  try {
    await call({
      ...request,
      form: { targetPath: directory },
      file: { name, content: script },
      effect: true,
      expect: "nothing",
    });
  } catch (error) {
    if (!(error instanceof FirecrestError) || error.retry !== "after_check") throw error;
    const { code, httpStatus, requestId } = error;
    const details = given({ httpStatus, requestId });
    throw new FirecrestError(`${error.message} (nothing was submitted)`, {
      code,
      retry: "later",
      cause: error,
      ...details,
    });
  }
  return target;
}

async function digest(script: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(script));
  return [...new Uint8Array(hash, 0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** scancel's words for a job that is over, or of which Slurm knows nothing any more. */
const ALREADY_OVER = /already completing or completed|invalid job id specified/i;

export async function cancelJob(
  { deps, call }: Site,
  system: string,
  schedulerId: string,
): Promise<"requested" | "over"> {
  if (!isJobId(schedulerId)) {
    throw new FirecrestError(`${siteText(schedulerId)} is no job id`, { code: "invalid_request", retry: "never" });
  }
  const operation = "compute/jobs/{id}";
  const request = { method: "DELETE", path: `/compute/jobs/${schedulerId}`, operation, system } as const;
  // Cancelling twice does no harm: whatever is lost here may be sent again.
  const id = createdTask(operation, await call({ ...request, effect: false }));
  const task = (await awaitTasks(call, deps.sleep, [id])).get(id);
  if (task === undefined || !isFinished(task)) {
    throw new FirecrestError("the site did not finish the cancellation in time", {
      code: "task_stuck",
      retry: "later",
    });
  }
  if (task.status === 200) return "requested";
  const words = taskErrorText(task);
  if (ALREADY_OVER.test(words)) return "over";
  const code = codeOf(words);
  throw new FirecrestError(siteText(words) || "the site could not cancel the job", { code, retry: retryOf(code) });
}

/**
 * Accounting since the day before, and everybody's queue, matched by the exact name. Inconclusive while a row without a
 * name is young enough to be ours, or when one of the two did not answer.
 */
export async function findByName(
  { deps, call }: Site,
  system: string,
  name: string,
  since: number,
): Promise<NameLookup> {
  const requestedAt = deps.now();
  const create = async (path: string, query: Record<string, string>) =>
    createdTask(path, await call({ method: "GET", path, system, query, effect: false }));
  const ids = [
    await create("/compute/acct", { starttime: dayBefore(since) }),
    await create("/compute/jobs", { userJobs: "false" }),
  ];
  const tasks = await awaitTasks(call, deps.sleep, ids).catch((error: unknown) => {
    // Everybody's queue can be larger than we read: accounting by itself then, which finds but cannot conclude.
    if (error instanceof FirecrestError && error.code === "too_large")
      return awaitTasks(call, deps.sleep, ids.slice(0, 1));
    throw error;
  });
  const [accounting, queue] = ids.map((id) => tasks.get(id)).map((task) => (task?.status === 200 ? task : undefined));
  const rows = accounting === undefined ? [] : decodeAccounting(accounting.data);
  const queued = queue === undefined ? [] : decodeQueue(queue.data);
  const parts = [
    ...rows.filter((row) => row.name === name).map((row) => observeAccountingRow(row, requestedAt)),
    ...queued.filter((row) => row.name === name).map((row) => observeQueueRow(row, requestedAt)),
  ];
  const matches = [...Map.groupBy(parts, ({ id }) => id.base)].flatMap(([id, own]) => observeParts(id, own) ?? []);
  const answered = accounting !== undefined && queue !== undefined;
  return { requestedAt, matches, conclusive: answered && !rows.some((row) => row.skeleton) };
}

/**
 * The task that submitted the job still knows (a day long); else the queue tells, for one's own active jobs, at three
 * commands for the one job: never asked in a poll round.
 */
export async function outputPaths(
  { deps, call }: Site,
  system: string,
  schedulerId: string,
): Promise<{ stdoutPath?: string; stderrPath?: string; workingDirectory?: string }> {
  if (!isJobId(schedulerId)) return {};
  const tasks = await readAllTasks(call).catch((error: unknown) => {
    if (error instanceof FirecrestError && error.retry === "never") return [];
    // Only the task knows where a job works that has ended: not to have read it is no reason to say that nobody knows.
    throw error;
  });
  const known = tasks
    .filter((task) => task.service === "compute" && task.system === system && task.status === 200)
    .map((task) => decodeSubmitted(task.data))
    .find((job) => job.jobId === schedulerId && job.workingDirectory !== undefined);
  if (known !== undefined) return pathsOf(known);
  const path = "/compute/jobs";
  const id = createdTask(
    path,
    await call({ method: "GET", path, system, query: { jobs: schedulerId }, effect: false }),
  );
  const task = (await awaitTasks(call, deps.sleep, [id])).get(id);
  const row =
    task?.status === 200 ? decodeQueue(task.data).find(({ stdoutPath }) => stdoutPath !== undefined) : undefined;
  return pathsOf(row ?? {});
}

const pathsOf = ({
  stdoutPath,
  stderrPath,
  workingDirectory,
}: {
  stdoutPath?: string;
  stderrPath?: string;
  workingDirectory?: string;
}) => given({ stdoutPath, stderrPath, workingDirectory });
