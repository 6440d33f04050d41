/**
 * Tasks: v1 answers nearly everything with "task created", and the outcome is in `GET /tasks`. A task may hang at 100
 * for ever, skip states, and fail inside an HTTP 200. The list shows secrets that nobody asked for (certificates, signed
 * commands): only what a caller decodes leaves this folder.
 */
import { fieldsOf, given, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { SiteAnswer } from "../transport.ts";
import type { Call } from "./call.ts";

export interface Task {
  id: string;
  status: number;
  data: unknown;
  service?: string;
  system?: string;
  /** The site's local time, without zone. */
  createdAt?: string;
}

/** Ids in one request: more would make the address long. */
const IDS_PER_READ = 60;

/** Waits between creating a task and reading it, about 6 s in all: most end within one, none may hold a call for long. */
export const SHORT_WAITS_MS: readonly number[] = [400, 600, 1_000, 1_500, 2_500];

/** The id of a task that was just created. `lost`: whether an unreadable answer may hide a task. */
export function createdTask(operation: string, answer: SiteAnswer): string {
  const id = text(fieldsOf(answer.body).task_id);
  if (id !== undefined && isTaskId(id)) return id;
  throw new FirecrestError(`${operation}: the site's answer names no task`, {
    code: "unreadable_answer",
    retry: "after_check",
    httpStatus: answer.status,
  });
}

export const isTaskId = (id: string): boolean => /^[0-9A-Za-z]{8,64}$/.test(id);

/** The task of a JSON record, or undefined for what is none. Status codes are texts on the wire. */
export function decodeTask(value: unknown): Task | undefined {
  const fields = fieldsOf(value);
  const id = text(fields.task_id) ?? text(fields.hash_id);
  const status = text(fields.status);
  if (id === undefined || status === undefined || !/^\d{3}$/.test(status)) return undefined;
  return {
    id,
    status: Number(status),
    data: fields.data,
    ...given({ service: text(fields.service), system: text(fields.system), createdAt: text(fields.created_at) }),
  };
}

/** `GET /tasks` answers an object keyed by id; ids that are unknown or somebody else's are simply not in it. */
export function decodeTasks(body: unknown): Map<string, Task> {
  const tasks = Object.values(fieldsOf(fieldsOf(body).tasks)).map(decodeTask);
  return new Map(tasks.filter((task) => task !== undefined).map((task) => [task.id, task]));
}

export async function readTasks(call: Call, ids: readonly string[]): Promise<Map<string, Task>> {
  const all = new Map<string, Task>();
  for (let i = 0; i < ids.length; i += IDS_PER_READ) {
    const tasks = ids.slice(i, i + IDS_PER_READ).join(",");
    const answer = await call({ method: "GET", path: "/tasks", query: { tasks }, effect: false });
    for (const [id, task] of decodeTasks(answer.body)) all.set(id, task);
  }
  return all;
}

/** Everything the site has kept for this user. */
export async function readAllTasks(call: Call): Promise<Task[]> {
  const answer = await call({ method: "GET", path: "/tasks", effect: false });
  return [...decodeTasks(answer.body).values()];
}

/** One task by itself: finds what has expired from the list. Undefined when the site has forgotten it. */
export async function readTask(call: Call, id: string): Promise<Task | undefined> {
  try {
    const request = { method: "GET", path: `/tasks/${encodeURIComponent(id)}`, operation: "tasks/{id}" } as const;
    const answer = await call({ ...request, effect: false });
    return decodeTask(fieldsOf(answer.body).task);
  } catch (error) {
    if (error instanceof FirecrestError && (error.httpStatus === 404 || error.httpStatus === 403)) return undefined;
    throw error;
  }
}

/** Of a task that runs a command: 200 and 400 are ends, 3xx means that it is gone. */
export const isFinished = (task: Task | undefined): boolean => task !== undefined && task.status >= 200;

/**
 * Reads tasks after each of the waits until all are finished; one request for all of them each time. Unfinished ones are
 * given as they were last seen, unknown ones not at all.
 */
export async function awaitTasks(
  call: Call,
  sleep: (ms: number) => Promise<void>,
  ids: readonly string[],
  waits: readonly number[] = SHORT_WAITS_MS,
): Promise<Map<string, Task>> {
  let tasks = new Map<string, Task>();
  for (const wait of waits) {
    await sleep(wait);
    tasks = await readTasks(call, ids);
    if (ids.every((id) => isFinished(tasks.get(id)))) break;
  }
  return tasks;
}

/** The error text of a failed task: a string, or in `error` or `msg` of an object. */
export function taskErrorText(task: Task): string {
  const fields = fieldsOf(task.data);
  return text(task.data) ?? text(fields.error) ?? text(fields.msg) ?? "";
}
