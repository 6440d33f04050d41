/**
 * What became of long operations. Tasks are read in one request for all; a file job's task ends when its job has been
 * submitted, so those are followed in accounting, and judged by their error log: they end COMPLETED 0:0 when they fail.
 */
import { given } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { FileOps, Handle, HandleState } from "../port.ts";
import { siteText } from "../redact.ts";
import { linkExpiry } from "../staged-link.ts";
import { isEnd, slurmState } from "../states.ts";
import type { Site } from "./call.ts";
import { submissionState } from "./jobs.ts";
import { codeOf } from "./refusals.ts";
import { DEFAULT_LINK_LIFE_MS, fileJobHandle, uploadLink } from "./storage.ts";
import { awaitTasks, createdTask, readTask, readTasks, type Task, taskErrorText } from "./tasks.ts";
import { decodeAccounting, decodeStagedLink, decodeUploadForm } from "./wire.ts";

const LOG_BYTES = 1_000;

export async function observeHandles(
  site: Site,
  files: Pick<FileOps, "head">,
  handles: Handle[],
): Promise<HandleState[]> {
  const ids = handles.flatMap(({ ref }) => ("task" in ref ? [ref.task] : []));
  const tasks = ids.length === 0 ? new Map<string, Task>() : await readTasks(site.call, ids);
  const jobs = new Map<number, Handle>();
  const states = await Promise.all(
    handles.map(async (handle, i): Promise<HandleState> => {
      if ("job" in handle.ref) {
        // A staging that is a job was begun by v2, before the connection changed: here nobody knows it.
        if (handle.kind !== "file_job") return { state: "gone" };
        jobs.set(i, handle);
        return { state: "working" };
      }
      // The list leaves out what it has forgotten: absence there is no end, so it is asked for by itself.
      const task = tasks.get(handle.ref.task) ?? (await readTask(site.call, handle.ref.task));
      if (task === undefined) return { state: "gone" };
      const state = taskState(handle, task, site.deps.now());
      if (handle.kind === "file_job" && state.state === "done") {
        jobs.set(i, fileJobHandle(handle, task.data, task.system));
        return { state: "working" };
      }
      return state;
    }),
  );
  for (const [i, state] of await observeFileJobs(site, files, jobs)) states[i] = state;
  return states;
}

/** State of an operation by its own task. */
export function taskState(handle: Pick<Handle, "kind">, task: Task, now: number): HandleState {
  switch (handle.kind) {
    case "stage":
      return stageState(task, now);
    case "upload":
      return uploadState(task, now);
    case "cancel":
      return task.status === 200 ? { state: "done" } : (ended(task) ?? { state: "working" });
    default:
      return submissionState(task);
  }
}

function stageState(task: Task, now: number): HandleState {
  const url = task.status === 117 ? decodeStagedLink(task.data) : undefined;
  if (url !== undefined) {
    return { state: "done", staging: { url, expiresAt: linkExpiry(url) ?? now + DEFAULT_LINK_LIFE_MS } };
  }
  return (
    ended(task) ?? {
      state: "working",
      ...(task.status === 116 ? { detail: "the site copies the file to its staging area" } : {}),
    }
  );
}

/** 111 waits for us; 115 looks like an end and is not: the site tries again while the object is there. */
const UPLOAD_DETAIL: Record<number, string> = {
  110: "the site prepares a form",
  111: "the site waits for the file",
  112: "the site has noticed the file",
  113: "the site copies the file from its staging area",
  115: "the site could not copy the file from its staging area and tries again",
};

function uploadState(task: Task, now: number): HandleState {
  if (task.status === 114) return { state: "done" };
  const detail = UPLOAD_DETAIL[task.status];
  const upload = task.status === 111 ? decodeUploadForm(task.data) : undefined;
  if (task.status === 111 && upload === undefined) {
    const message = "the site's object store asks for an upload in a form that is not known (s3v2)";
    return { state: "failed", certain: true, code: "not_supported", message };
  }
  return (
    ended(task) ?? {
      state: "working",
      ...uploadLink(task.data, now),
      ...(detail === undefined ? {} : { detail }),
      ...(upload === undefined ? {} : { upload }),
      ...(task.status === 115 ? { retrying: true } : {}),
    }
  );
}

/** 118 and 4xx are failures, 3xx means invalidated or deleted. */
function ended(task: Task): HandleState | undefined {
  if (task.status >= 300 && task.status < 400) return { state: "gone" };
  if (task.status !== 118 && task.status < 400) return undefined;
  const words = taskErrorText(task);
  return {
    state: "failed",
    certain: true,
    code: codeOf(words),
    message: siteText(words) || `the task ended with ${task.status}`,
  };
}

/** One accounting query for each system, one reading of all of them, and the error log of each job that has ended. */
async function observeFileJobs(
  { deps, call }: Site,
  files: Pick<FileOps, "head">,
  jobs: Map<number, Handle>,
): Promise<Map<number, HandleState>> {
  const states = new Map<number, HandleState>();
  const bySystem = Map.groupBy(jobs, ([, handle]) => handle.system);
  const path = "/compute/acct";
  const queries = await Promise.all(
    [...bySystem].map(async ([system, own]) => {
      const ids = own.flatMap(([, { ref }]) => ("job" in ref ? [ref.job] : []));
      if (ids.length === 0) return { own };
      const query = { jobs: ids.join(",") };
      return { own, task: createdTask(path, await call({ method: "GET", path, system, query, effect: false })) };
    }),
  );
  const ids = queries.flatMap(({ task }) => task ?? []);
  const tasks = ids.length === 0 ? new Map<string, Task>() : await awaitTasks(call, deps.sleep, ids);
  for (const { own, task } of queries) {
    const answer = task === undefined ? undefined : tasks.get(task);
    const rows = answer?.status === 200 ? decodeAccounting(answer.data) : [];
    for (const [i, handle] of own) {
      const row = rows.find(({ id }) => "job" in handle.ref && id === handle.ref.job);
      const meaning = row === undefined || row.skeleton ? undefined : slurmState(row.state, row.exit);
      if (meaning === undefined || !isEnd(meaning.state) || meaning.revocable) {
        // The task is forgotten after a day, the job is not.
        const word = meaning?.schedulerState;
        states.set(i, { state: "working", handle, ...given({ detail: word, schedulerState: word }) });
      } else if (meaning.state === "succeeded") {
        states.set(i, await judgeByLog(files, handle));
      } else {
        const message = `the site's job for this operation ended as ${meaning.schedulerState}`;
        const { schedulerState } = meaning;
        states.set(i, { state: "failed", certain: false, code: "site_error", message, schedulerState });
      }
    }
  }
  return states;
}

/** An empty error log is the only word of success. */
async function judgeByLog(files: Pick<FileOps, "head">, handle: Handle): Promise<HandleState> {
  const schedulerId = "job" in handle.ref ? handle.ref.job : "";
  if (handle.logs === undefined) {
    return { state: "done", schedulerId, warning: "the site did not tell where the operation's error log is" };
  }
  try {
    const words = (await files.head(handle.system, handle.logs.error, { bytes: LOG_BYTES })).trim();
    if (words === "") return { state: "done", schedulerId };
    return { state: "failed", certain: true, code: codeOf(words), message: siteText(words) };
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    if (error.code !== "not_found") return { state: "working", detail: "the operation's error log cannot be read yet" };
    return {
      state: "failed",
      certain: false,
      code: "site_error",
      message: "the operation left no log: its job never started",
    };
  }
}
