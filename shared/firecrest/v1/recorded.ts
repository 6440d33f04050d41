/** For tests: the recorded exchanges of a real v1 deployment, and what the client's decoders make of each. */
import { fieldsOf, text } from "../decode.ts";
import { FirecrestError } from "../errors.ts";
import type { ClientDeps } from "../port.ts";
import { probeLink } from "../staged-link.ts";
import { isEnd, slurmState } from "../states.ts";
import { createTokenSource } from "../token.ts";
import { createCall } from "./call.ts";
import { taskState } from "./observe.ts";
import { codeOf } from "./refusals.ts";
import { observeAccountingRow, observeQueueRow } from "./rows.ts";
import { createdTask, decodeTask, decodeTasks, type Task, taskErrorText } from "./tasks.ts";
import { decodeAccounting, decodeEntries, decodeParameters, decodeQueue, decodeStat, decodeSystems } from "./wire.ts";

export interface Line {
  name: string;
  request?: { method: "GET" | "POST" | "PUT" | "DELETE" | "HEAD"; path: string; headers: Record<string, string> };
  response?: { status: number; headers: Record<string, string>; body: unknown };
  states?: { status: number; body: unknown }[];
  job?: string;
  trace?: unknown[];
  squeue?: string;
  task_status?: string;
  latencies_s?: number[];
  direct_to?: string;
}

/** The exchanges of a recording, one JSON object a line, and what is needed to know what each task is about. */
export interface Recording {
  lines: Line[];
  /** `METHOD /path` of the request that made a task. */
  madeBy: Map<string, string>;
}

export function readRecording(jsonLines: string): Recording {
  const lines = jsonLines
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  const made = lines.flatMap(({ request, response }) => {
    const id = text(fieldsOf(response?.body).task_id);
    return id === undefined || request === undefined
      ? []
      : [[id, `${request.method} ${request.path.split("?")[0]}`] as const];
  });
  return { lines, madeBy: new Map(made) };
}

const AT = Date.parse("2026-11-22T13:00:00Z");

function captured({ response }: Line): Response {
  const { status = 0, headers = {}, body } = response ?? {};
  const content = body === null || body === undefined ? null : typeof body === "string" ? body : JSON.stringify(body);
  const kept = Object.entries(headers).filter(([name]) => !/^(transfer-encoding|connection)$/i.test(name));
  return new Response(status === 204 ? null : content, { status, headers: Object.fromEntries(kept) });
}

const depsFor = (line: Line): ClientDeps => ({
  api: "v1",
  url: "https://site.example",
  token: async () => "token",
  fetch: async () => captured(line),
  fetchStaged: async () => captured(line),
  now: () => AT,
  sleep: async () => undefined,
  log: () => undefined,
});

/** What the client makes of a line, as one word or two. */
export async function outcomeOf({ madeBy }: Pick<Recording, "madeBy">, line: Line): Promise<string> {
  const { request } = line;
  if (line.states !== undefined)
    return line.states.map(({ body }) => wordOfTask(madeBy, fieldsOf(body).task)).join(" > ");
  if (request === undefined) return wordOfTrace(line);
  const path = request.path.split("?")[0] ?? "";
  if (path.endsWith("/openid-connect/token")) return wordOfToken(line);
  if (/^https?:/.test(path)) return request.method === "POST" ? `form ${line.response?.status}` : wordOfLink(line);
  const effect = request.method !== "GET";
  const expect =
    path === "/utilities/download" ? "bytes" : path.startsWith("/utilities") && effect ? "nothing" : "json";
  try {
    const method = request.method === "HEAD" ? "GET" : request.method;
    const answer = await createCall(depsFor(line))({ method, path, effect, expect });
    if (text(fieldsOf(answer.body).task_id) !== undefined)
      return createdTask(path, answer).length === 32 ? "task" : "short task id";
    return wordOfBody(madeBy, path, answer.body, answer.bytes.byteLength, answer.status);
  } catch (error) {
    if (error instanceof FirecrestError) return `${error.code} ${error.retry}`;
    throw error;
  }
}

async function wordOfToken(line: Line): Promise<string> {
  const credential = { type: "client_credentials", tokenUrl: "https://t", clientId: "a", clientSecret: "b" } as const;
  const cache = { get: async () => undefined, put: async () => undefined };
  const source = createTokenSource({
    credential,
    fetch: async () => captured(line),
    cache,
    now: () => AT,
    log: () => undefined,
  });
  try {
    return `token ${(await source()).length}`;
  } catch (error) {
    return error instanceof FirecrestError ? `${error.code} ${error.retry}` : "thrown";
  }
}

async function wordOfLink(line: Line): Promise<string> {
  if (line.request?.method === "HEAD") return `head ${line.response?.status}`;
  return `link ${(await probeLink(depsFor(line), "https://s3")).outcome}`;
}

function wordOfTrace(line: Line): string {
  if (line.latencies_s !== undefined) return "latencies";
  if (line.task_status !== undefined) return `task left at ${line.task_status}`;
  const words = (line.trace ?? []).flatMap((step) =>
    Array.isArray(step) ? step.slice(1) : Object.values(fieldsOf(step)).slice(1),
  );
  const states = words
    .filter((word) => typeof word === "string" && word !== "")
    .map((word) => slurmState(String(word)).state);
  return `trace ${[...new Set(states)].join(",")}`;
}

function wordOfTask(madeBy: Recording["madeBy"], value: unknown): string {
  const task = decodeTask(value);
  if (task === undefined) return "no task";
  const [method, route = ""] = (madeBy.get(task.id) ?? "").split(" ");
  if (task.status < 200 && !route.startsWith("/storage/xfer-external")) return "queued";
  if (/^\/compute\/(jobs|acct)$/.test(route)) return wordOfRows(route, task);
  if (/^\/compute\/(nodes|partitions|reservations)/.test(route)) return `other ${task.status}`;
  const kind = route.endsWith("/download")
    ? "stage"
    : route.endsWith("external/upload")
      ? "upload"
      : method === "DELETE"
        ? "cancel"
        : "submit";
  const state = taskState({ kind }, task, AT);
  if (state.state === "failed") return `${kind} failed ${state.code} ${state.certain ? "certain" : "maybe"}`;
  if (state.state === "done") {
    const known = [
      state.schedulerId && "id",
      state.stdoutPath && "out",
      state.staging && "link",
      state.warning && "warning",
    ];
    return [kind, "done", ...known.filter(Boolean)].join(" ");
  }
  return state.state === "working" && state.upload !== undefined ? `${kind} form` : `${kind} ${state.state}`;
}

function wordOfRows(route: string, task: Task): string {
  if (task.status !== 200) return `query failed ${codeOf(taskErrorText(task))}`;
  const parts =
    route === "/compute/acct"
      ? decodeAccounting(task.data).map((row) => observeAccountingRow(row, AT))
      : decodeQueue(task.data).map((row) => observeQueueRow(row, AT));
  const words = parts.map(({ seen }) => {
    // No live row without a start, no end without a duration, and no date that cannot be placed.
    const placed = seen.state !== "running" || (seen.startedAt ?? AT + 1) <= AT;
    const lasted = !isEnd(seen.state) || (seen.elapsedSeconds ?? -1) >= 0;
    if (!placed || !lasted || seen.endedAt !== undefined || !/^\d+$/.test(seen.schedulerId)) return "odd";
    return seen.skeleton ? "skeleton" : seen.state;
  });
  return `rows ${[...new Set(words)].sort().join(",")}`;
}

function wordOfBody(madeBy: Recording["madeBy"], path: string, body: unknown, bytes: number, status: number): string {
  const output = fieldsOf(body).output;
  if (path === "/utilities/ls") {
    const entries = decodeEntries(output);
    if (!entries.every((entry) => Number.isInteger(entry.size))) return "odd entries";
    return `entries ${Math.min(entries.length, 1)}`;
  }
  if (path === "/utilities/stat") return decodeStat(output) === undefined ? "unreadable" : "stat";
  if (path === "/utilities/download") return `bytes ${Math.min(bytes, 1)}`;
  if (path.startsWith("/utilities/")) return status === 204 ? "removed" : `output ${typeof output}`;
  if (path.startsWith("/status/systems")) return `systems ${decodeSystems(body, undefined).length}`;
  if (path === "/status/parameters") return Object.keys(decodeParameters(body)).join(",");
  if (path.startsWith("/status/")) return `status ${Object.keys(fieldsOf(body)).length > 0}`;
  if (/^\/tasks\/?$/.test(path)) return `tasks ${Math.min(decodeTasks(body).size, 3)}`;
  if (path.startsWith("/tasks/")) return `one ${wordOfTask(madeBy, fieldsOf(body).task)}`;
  if (path.endsWith("/invalidate")) return "invalidated";
  return `body ${Object.keys(fieldsOf(body)).join(",")}`;
}
