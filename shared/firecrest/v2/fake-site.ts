/** For tests: a v2 client on a site that answers as the test says, with a clock that the test holds. */
import type { ClientDeps, Firecrest } from "../port.ts";
import { createV2Client } from "./client.ts";

export interface Asked {
  method: string;
  /** Below the base URL, without query. */
  path: string;
  query: URLSearchParams;
  body: unknown;
  headers: Headers;
}

export interface FakeSite {
  client: Firecrest;
  /** Every request to FirecREST so far, as `METHOD path`. */
  asked: string[];
  requests: Asked[];
  log: Record<string, unknown>[];
  clock: { now: number };
}

/** `undefined` = the connection breaks. `staged` answers for the object store. */
export function fakeSite(
  answer: (asked: Asked) => Response | undefined,
  staged: (url: string, init: RequestInit) => Response | undefined = () => undefined,
): FakeSite {
  const base = "https://site.example/hpc/firecrest/v2";
  const site: Omit<FakeSite, "client"> = {
    asked: [],
    requests: [],
    log: [],
    clock: { now: Date.parse("2026-11-22T14:00:00Z") },
  };
  const deps: ClientDeps = {
    api: "v2",
    url: base,
    token: async () => "secret-token",
    fetch: async (input, init) => {
      const url = new URL(input);
      const asked: Asked = {
        method: init.method ?? "GET",
        path: decodeURIComponent(input.slice(base.length).split("?")[0] ?? ""),
        query: url.searchParams,
        body: typeof init.body === "string" ? (JSON.parse(init.body) as unknown) : init.body,
        headers: new Headers(init.headers),
      };
      site.asked.push(`${asked.method} ${asked.path}`);
      site.requests.push(asked);
      return answer(asked) ?? Promise.reject(new TypeError("connection lost"));
    },
    fetchStaged: async (url, init) => staged(url, init) ?? Promise.reject(new TypeError("connection lost")),
    now: () => site.clock.now,
    sleep: async () => undefined,
    log: (line) => site.log.push(line),
  };
  return { ...site, client: createV2Client(deps) };
}

export const json = (body: unknown, status = 200, headers: Record<string, string> = {}): Response =>
  new Response(JSON.stringify(body), {
    status,
    headers: { "content-type": "application/json", "f7t-appversion": "2.5.7", ...headers },
  });

export const empty = (status = 204): Response => new Response(null, { status, headers: { "f7t-appversion": "2.5.7" } });

export const failure = (status: number, message: string, causedBy: string[] | null = null): Response =>
  json({ errorType: "error", message, causedBy, data: null, user: "testuser" }, status);

/** A row as the server writes it; the test says what matters. */
export function wireJob(row: {
  jobId: string | number;
  name?: string;
  state: string | string[];
  reason?: string;
  exitCode?: number | null;
  signal?: number | null;
  start?: number | null;
  end?: number | null;
  elapsed?: number;
  steps?: string[];
  workingDirectory?: string;
  partition?: string;
  nodes?: string;
}): unknown {
  const { jobId, state } = row;
  return {
    jobId,
    name: row.name ?? "job",
    status: {
      state,
      stateReason: row.reason ?? "None",
      exitCode: row.exitCode ?? 0,
      interruptSignal: row.signal ?? 0,
    },
    tasks: (row.steps ?? []).map((step) => ({ id: `${jobId}.batch`, name: "batch", status: { state: step } })),
    time: { elapsed: row.elapsed ?? 0, start: row.start ?? null, end: row.end ?? null, suspended: 0, limit: 600 },
    account: "csstaff",
    allocationNodes: 1,
    cluster: "cluster",
    group: "csstaff",
    nodes: row.nodes ?? "nid1",
    partition: row.partition ?? "normal",
    killRequestUser: null,
    user: "testuser",
    workingDirectory: row.workingDirectory ?? "/home/testuser/run",
    priority: 1,
  };
}

/** What accounting shows of a job that it does not know yet. */
export const skeletonJob = (jobId: string, state: string, start?: number): unknown =>
  wireJob({
    jobId,
    name: "allocation",
    state,
    workingDirectory: "",
    partition: "",
    nodes: "nid1",
    ...(start ? { start } : {}),
  });
