/** For tests: a v1 deployment made of handlers, with tasks that go through given states, one at each reading. */
import { fieldsOf } from "../decode.ts";
import type { ClientDeps, Firecrest } from "../port.ts";
import { createV1Client } from "./client.ts";

export interface SeenRequest {
  method: string;
  path: string;
  query: Record<string, string>;
  form: Record<string, string>;
  /** Name and content of the multipart file. */
  file?: { name: string; content: string };
  system: string | undefined;
  headers: Headers;
}

/** A response, or the states of the task that the call creates. */
export type Answer = Response | TaskStates;
export interface TaskStates {
  states: Record<string, unknown>[];
  http: number;
}
export type Handlers = Record<string, (request: SeenRequest) => Answer | Promise<Answer>>;

/** A task that shows one state at each reading, and the last one from then on. */
export const task = (...states: [status: number, data?: unknown][]): TaskStates => ({
  http: 200,
  states: states.map(([status, data = "Queued"]) => ({ status: String(status), data })),
});

export const json = (status: number, body: unknown, headers: Record<string, string> = {}): Response =>
  Response.json(body, { status, headers });

export const output = (value: unknown): Response => json(200, { description: "ok", output: value });

/** An error as v1 writes it: always 400, the kind in a header. */
export const refused = (header: string, error = "", status = 400): Response =>
  json(status, { description: "Error on operation", error }, { [header]: "set" });

export const page = (status: number): Response =>
  new Response("<!doctype html><title>x</title>", { status, headers: { "content-type": "text/html" } });

export interface FakeSite {
  client: Firecrest;
  deps: ClientDeps;
  requests: SeenRequest[];
  /** `GET /compute/acct` and so on, in order, without `/tasks`. */
  calls(): string[];
  slept: number[];
  clock: { now: number };
  lines: Record<string, unknown>[];
  /** Puts a task there that no call created. */
  addTask(id: string, fields: Record<string, unknown>): void;
}

/** `handlers` by `METHOD /path`, exact; `staged` answers for the object store. */
export function fakeSite(
  handlers: Handlers,
  staged: (url: string, init: RequestInit) => Response = () => page(500),
): FakeSite {
  const requests: SeenRequest[] = [];
  const slept: number[] = [];
  const lines: Record<string, unknown>[] = [];
  const clock = { now: Date.parse("2026-11-22T12:00:00Z") };
  const tasks = new Map<string, { states: Record<string, unknown>[]; system: string | undefined }>();

  const create = ({ states, http }: TaskStates, request: SeenRequest): Response => {
    const id = String(tasks.size + 1).padStart(32, "0");
    tasks.set(id, { states: [...states], system: request.system });
    return json(request.method === "POST" ? 201 : http, {
      success: "Task created",
      task_id: id,
      task_url: `/tasks/${id}`,
    });
  };
  const show = (id: string): Record<string, unknown> | undefined => {
    const known = tasks.get(id);
    const state = known === undefined ? undefined : known.states.length > 1 ? known.states.shift() : known.states[0];
    return state && { task_id: id, service: "compute", system: known?.system, ...state };
  };
  const builtIn = (request: SeenRequest): Response | undefined => {
    if (request.path === "/tasks") {
      const ids = request.query.tasks?.split(",") ?? [...tasks.keys()];
      return json(200, { tasks: Object.fromEntries(ids.flatMap((id) => (tasks.has(id) ? [[id, show(id)]] : []))) });
    }
    const id = /^\/tasks\/(\w+)$/.exec(request.path)?.[1];
    if (id === undefined) return undefined;
    const one = show(id);
    return one === undefined ? json(404, { error: `Task ${id} does not exist` }) : json(200, { task: one });
  };

  const deps: ClientDeps = {
    api: "v1",
    url: "https://site.example/hpc/v1",
    token: async () => "token",
    async fetch(input, init) {
      const request = await seen(input, init);
      requests.push(request);
      const handler = handlers[`${request.method} ${request.path}`];
      if (handler === undefined) return builtIn(request) ?? page(404);
      const answer = await handler(request);
      return answer instanceof Response ? answer : create(answer, request);
    },
    fetchStaged: async (url, init) => staged(url, init),
    now: () => clock.now,
    sleep: async (ms) => {
      slept.push(ms);
      clock.now += ms;
    },
    log: (line) => lines.push(line),
  };
  return {
    client: createV1Client(deps),
    deps,
    requests,
    calls: () =>
      requests.filter(({ path }) => !path.startsWith("/tasks")).map(({ method, path }) => `${method} ${path}`),
    slept,
    clock,
    lines,
    addTask: (id, fields) => tasks.set(id, { states: [fields], system: fieldsOf(fields).system as string | undefined }),
  };
}

async function seen(input: string, init: RequestInit): Promise<SeenRequest> {
  const url = new URL(input.replace("/hpc/v1", ""));
  const headers = new Headers(init.headers);
  const form: Record<string, string> = {};
  let file: SeenRequest["file"];
  if (init.body instanceof FormData) {
    for (const [name, value] of init.body.entries()) {
      if (typeof value === "string") form[name] = value;
      else file = { name: (value as File).name, content: await (value as File).text() };
    }
  } else if (init.body instanceof URLSearchParams) {
    Object.assign(form, Object.fromEntries(init.body));
  }
  return {
    method: init.method ?? "GET",
    path: url.pathname,
    query: Object.fromEntries(url.searchParams),
    form,
    ...(file === undefined ? {} : { file }),
    system: headers.get("x-machine-name") ?? undefined,
    headers,
  };
}
