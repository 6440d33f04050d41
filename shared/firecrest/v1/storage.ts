/** The staging area: links out, forms in, their release; and file operations that run as jobs. */
import { given } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { FileJob, Handle, UploadForm } from "../port.ts";
import { linkExpiry, linkSignedAt, signedOn } from "../staged-link.ts";
import type { Site } from "./call.ts";
import { isJobId } from "./round.ts";
import { awaitTasks, createdTask, isTaskId, readAllTasks } from "./tasks.ts";
import {
  decodeStagedLink,
  decodeStagingSource,
  decodeSubmitted,
  decodeUploadForm,
  decodeUploadLink,
  decodeUploadTarget,
} from "./wire.ts";

/** Assumed life of a link that does not tell it: the default of `STORAGE_TEMPURL_EXP_TIME`. */
export const DEFAULT_LINK_LIFE_MS = 7 * 86_400_000;

const STAGING_STATES = new Set([100, 116, 117]);
/** The site's clock may be ahead of or behind ours. */
const CLOCK_SLACK_MS = 120_000;
/** A form is there after 0.1 s, where the object store is well. */
const FORM_WAITS_MS = [300, 700, 1_500, 3_000];

/** Each call makes a new object: never sent twice. */
export async function stageFile({ call, guard }: Site, system: string, path: string): Promise<Handle> {
  const route = "/storage/xfer-external/download";
  const form = { sourcePath: guard.path("stage", path) };
  const task = createdTask(route, await call({ method: "POST", path: route, system, form, effect: true }));
  return { kind: "stage", ref: { task }, system, releasable: true };
}

/** A staging of this file that began after `since`, the latest first; found in the list of all kept tasks. */
export async function findStaged(site: Site, system: string, path: string, since: number): Promise<Handle | undefined> {
  const tasks = await readAllTasks(site.call);
  const candidates = tasks.filter((task) => {
    if (task.service !== "storage" || task.system !== system || !STAGING_STATES.has(task.status)) return false;
    if (decodeStagingSource(task.data) !== path) return false;
    const url = decodeStagedLink(task.data);
    const signedAt = url === undefined ? undefined : linkSignedAt(url);
    return signedAt === undefined || signedAt >= since - CLOCK_SLACK_MS;
  });
  const latest = candidates.sort((a, b) => (b.createdAt ?? "").localeCompare(a.createdAt ?? ""))[0];
  return latest === undefined ? undefined : { kind: "stage", ref: { task: latest.id }, system, releasable: true };
}

/** `path` is the whole target: a directory would get the name appended, an unwritable one be taken for a name. */
export async function startUpload(
  { deps, call, guard }: Site,
  system: string,
  path: string,
): Promise<{ handle: Handle; form?: UploadForm }> {
  const route = "/storage/xfer-external/upload";
  const targetPath = guard.path("stage_upload", path);
  const form = { sourcePath: targetPath.slice(targetPath.lastIndexOf("/") + 1), targetPath };
  const id = createdTask(route, await call({ method: "POST", path: route, system, form, effect: true }));
  const handle: Handle = { kind: "upload", ref: { task: id }, system, releasable: true };
  for (const wait of FORM_WAITS_MS) {
    const task = (await awaitTasks(call, deps.sleep, [id], [wait]).catch(ignoreSiteErrors))?.get(id);
    const upload = task?.status === 111 ? decodeUploadForm(task.data) : undefined;
    if (task !== undefined && upload !== undefined)
      return { handle: { ...handle, ...uploadLink(task.data, deps.now()) }, form: upload };
    if (task !== undefined && task.status > 111) break;
  }
  return { handle };
}

/** An upload to this path that began after `since` and still waits for its file, the latest first. */
export async function findUpload(site: Site, system: string, path: string, since: number): Promise<Handle | undefined> {
  const waiting = (await readAllTasks(site.call)).filter((task) => {
    if (task.service !== "storage" || task.system !== system || task.status !== 111) return false;
    if (decodeUploadTarget(task.data) !== path) return false;
    const form = decodeUploadForm(task.data);
    const signedAt = form?.kind === "form" ? signedOn(form.fields["x-amz-date"] ?? "") : undefined;
    return signedAt !== undefined && signedAt >= since - CLOCK_SLACK_MS;
  });
  const latest = waiting.sort((a, b) => (b.createdAt ?? "").localeCompare(a.createdAt ?? ""))[0];
  return latest === undefined ? undefined : { kind: "upload", ref: { task: latest.id }, system, releasable: true };
}

/** The link of what an upload will stage, as part of its handle. */
export function uploadLink(data: unknown, now: number): Pick<Handle, "staging"> {
  const url = decodeUploadLink(data);
  return url === undefined ? {} : { staging: { url, expiresAt: linkExpiry(url) ?? now + DEFAULT_LINK_LIFE_MS } };
}

/** What was started goes on, whether or not we could look at it at once. */
function ignoreSiteErrors(error: unknown): undefined {
  if (!(error instanceof FirecrestError)) throw error;
  return undefined;
}

const FILE_JOB_ROUTES: Record<FileJob["op"], string> = {
  move: "mv",
  copy: "cp",
  rsync: "rsync",
  compress: "compress",
  extract: "extract",
  remove: "rm",
};

/** The task says only that a job was submitted; what became of it is in the job's error log, see `observe.ts`. */
export async function startFileJob(
  { deps, call, guard }: Site,
  system: string,
  job: FileJob,
  account?: string,
  after?: string,
): Promise<Handle> {
  if (after !== undefined && !isJobId(after))
    throw new FirecrestError(`${after} is no id of a job that an operation could wait for`, {
      code: "invalid_request",
      retry: "never",
    });
  const route = `/storage/xfer-internal/${FILE_JOB_ROUTES[job.op]}`;
  const form =
    job.op === "remove"
      ? { targetPath: guard.path("file_job", job.path), account, stageOutJobId: after }
      : {
          sourcePath: guard.path("file_job", job.from),
          targetPath: guard.path("file_job", job.to),
          account,
          stageOutJobId: after,
          dereference: job.dereference === true ? "true" : undefined,
        };
  const id = createdTask(route, await call({ method: "POST", path: route, system, form, effect: true }));
  const pending: Handle = { kind: "file_job", ref: { task: id }, system, releasable: false };
  const task = (await awaitTasks(call, deps.sleep, [id]).catch(ignoreSiteErrors))?.get(id);
  if (task?.status !== 200) return pending;
  return fileJobHandle(pending, task.data, task.system);
}

/** The job of a file operation, which may run on another system than it was asked for on. */
export function fileJobHandle(pending: Handle, data: unknown, system = pending.system): Handle {
  const { jobId, stdoutPath, stderrPath } = decodeSubmitted(data);
  if (jobId === undefined) return pending;
  const logs =
    stdoutPath === undefined || stderrPath === undefined ? undefined : { output: stdoutPath, error: stderrPath };
  return { ...pending, ref: { job: jobId, system }, system, ...given({ logs }) };
}

/**
 * Asks for the release. The answer proves nothing: 201 may leave the link alive (1.16.1–1.16.6 on S3), 500 may mean that
 * nothing was staged, and an unknown task is gone already. Only what never reached the site is an error.
 */
export async function releaseStaged({ call }: Site, handle: Handle): Promise<void> {
  if (!("task" in handle.ref) || !isTaskId(handle.ref.task)) return;
  const request = { method: "POST", path: "/storage/xfer-external/invalidate", effect: false } as const;
  try {
    await call({ ...request, headers: { "x-task-id": handle.ref.task }, expect: "nothing" });
  } catch (error) {
    const answered = error instanceof FirecrestError && (error.httpStatus === 400 || error.httpStatus === 500);
    if (!answered) throw error;
  }
}
