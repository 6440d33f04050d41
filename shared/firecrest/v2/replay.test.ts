/**
 * Every recorded exchange with a real FirecREST v2, a real Slurm and a real object store goes through the client's own
 * readers. A line that no table below speaks of fails the suite, and so does a table row that no line needs.
 */
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FirecrestError } from "../errors.ts";
import { probeLink } from "../staged-link.ts";
import { isEnd } from "../states.ts";
import { createCalls } from "./call.ts";
import { failure, fakeSite, json } from "./fake-site.ts";
import type { JobRow } from "./job-row.ts";
import { isSkeleton, observeJob } from "./observation.ts";
import { OPERATIONS, type Operation } from "./operations.ts";
import { FILE_JOBS, LIVES, NOT_OURS, NOTES, REFUSED, STORE } from "./replay-tables.ts";

interface Line {
  name: string;
  request?: { method: string; path: string };
  response?: { status: number; headers?: Record<string, string>; body: unknown };
  states?: { after_ms: number; status: number; body: unknown }[];
  error?: string;
  trace?: unknown[][];
  probes?: { status: number }[];
  latencies_s?: [number, number][];
  s?: number[];
}
type Exchange = Line & Required<Pick<Line, "request" | "response">>;

const LINES = readFileSync(`${import.meta.dirname}/../../../test/data/captures/v2.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Line);

function operationOf({ method, path }: Exchange["request"]): [string, Operation] | undefined {
  const route = (path.split("?")[0] ?? "").toLowerCase();
  return Object.entries(OPERATIONS).find(
    ([, operation]) =>
      operation.method === method && new RegExp(`^${operation.route.replace(/\{\w+\}/g, "[^/]+")}$`).test(route),
  );
}

/** The recorder cut long texts after 2,500 characters; the whole rows among them are read. */
function mended(body: unknown): unknown {
  if (typeof body !== "string" || body.length !== 2_500) return body;
  if (/^\{"output": "/.test(body)) return `${body.replace(/\\u?[0-9a-f]{0,3}$/i, "")}"}`;
  return /^\{"(jobs|output)": \[/.test(body) ? `${body.slice(0, body.lastIndexOf("}, {") + 1)}]}` : body;
}

function recorded({ response }: Exchange): Response {
  const { status, headers = {} } = response;
  const body = mended(response.body);
  const text =
    body === null || body === undefined || status === 204 || status === 304
      ? null
      : typeof body === "string"
        ? body
        : JSON.stringify(body);
  const kept = Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-encoding");
  return new Response(text, { status, headers: Object.fromEntries(kept) });
}

/** The decoded answer, or `code retry`. */
async function replay(line: Exchange, operation: Operation): Promise<{ value: unknown } | { refused: string }> {
  const calls = createCalls({
    api: "v2",
    url: "https://site.example",
    token: async () => "token",
    fetch: async () => recorded(line),
    fetchStaged: async () => recorded(line),
    now: () => 0,
    sleep: async () => undefined,
    log: () => undefined,
  });
  try {
    const input = { system: "cluster", id: "1" };
    return {
      value:
        operation.answer === "bytes"
          ? await calls.bytes(operation as Operation<void>, input)
          : await calls.call(operation, input),
    };
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    expect(error.message, line.name).not.toMatch(/eyJ|X-Amz-Signature|traceback|file "\/app/i);
    return { refused: `${error.code} ${error.retry}` };
  }
}

const used = new Set<RegExp>();
function lookUp<T>(table: [RegExp, T][], name: string): T | undefined {
  const row = table.find(([pattern]) => pattern.test(name));
  if (row !== undefined) used.add(row[0]);
  return row?.[1];
}

const isExchange = (line: Line): line is Exchange => line.request !== undefined && line.response !== undefined;
const ofStore = (line: Exchange) => /^https?:/.test(line.request.path);

const exchanges = LINES.filter(isExchange);
const spoken = exchanges.filter((line) => !ofStore(line) && operationOf(line.request) !== undefined);
const [refusedLines, answeredLines] = [
  spoken.filter(({ response }) => response.status >= 400),
  spoken.filter(({ response }) => response.status < 400),
];

type Raw = Record<string, unknown>;
type Rows = Raw[];
const namesIn = (key: string) => (raw: Raw) => (raw[key] as Rows).map(({ name }) => name);
const transfer = (raw: Raw, directives: (given: Raw) => Raw = () => ({})): Raw => {
  const { jobId, system, logs } = raw.transferJob as { jobId: string; system: string; logs: Record<string, string> };
  const job = { jobId, system, logs: { output: logs.outputLog, error: logs.errorLog } };
  return { ...job, ...directives(raw.transferDirectives as Raw) };
};
const file = ({ name, size, type }: Raw): Raw => ({ name: plain(String(name)), size: Number(size), type });
/** Octal escapes are compared in the file operations' own tests. */
const plain = (name: string): string => (/[^ -~]|\\/.test(name) ? "…" : name);
const fileRead = ({ name, size, type }: Raw): Raw => ({ name: plain(String(name)), size, type });
const output = (raw: Raw): Raw => raw.output as Raw;

/** The raw JSON in the words of the domain, written down a second time without the decoders; and what to compare. */
const ORACLES: Record<string, { says: (raw: Raw) => unknown; of?: (value: never) => unknown }> = {
  S1: { says: namesIn("systems"), of: (rows: Rows) => rows.map(({ name }) => name) },
  S2: { says: namesIn("nodes"), of: (rows: Rows) => rows.map(({ name }) => name) },
  S3: { says: namesIn("reservations"), of: (rows: Rows) => rows.map(({ name }) => name) },
  S4: {
    says: (raw) =>
      (raw.partitions as Rows).map(({ name, partition, cpus, totalNodes }) => ({
        name,
        states: [partition],
        cpus,
        nodes: totalNodes,
      })),
  },
  S5: { says: (raw) => (raw.user as Raw).name, of: ({ user }: Raw) => user },
  S6: {
    says: (raw) =>
      Object.entries(raw.healthcheckRuns as Raw).map(([name, at]) => ({
        name,
        alive: true,
        at: Date.parse(at as string),
      })),
  },
  J1: { says: (raw) => raw.jobId },
  J2: {
    says: (raw) => (raw.jobs as Rows).map(jobWords),
    of: (rows: JobRow[]) => rows.map(({ id, states }) => [id, states]),
  },
  J3: {
    says: (raw) => (raw.jobs as Rows).map(jobWords),
    of: (rows: JobRow[]) => rows.map(({ id, states }) => [id, states]),
  },
  J4: {
    says: (raw) =>
      (raw.jobs as Rows).map(({ jobId, standardOutput, standardError }) => ({
        jobId,
        stdoutPath: standardOutput,
        stderrPath: standardError,
      })),
  },
  T1: {
    says: (raw) =>
      transfer(raw, ({ partsUploadUrls, completeUploadUrl, maxPartSize }) => ({
        partUrls: partsUploadUrls,
        completeUrl: completeUploadUrl,
        partBytes: maxPartSize,
      })),
  },
  T2: { says: (raw) => transfer(raw, ({ downloadUrl }) => ({ url: downloadUrl })) },
  ...Object.fromEntries(["T3", "T4", "T5", "T6", "T7"].map((id) => [id, { says: (raw: Raw) => transfer(raw) }])),
  F1: { says: (raw) => (raw.output as Rows).map(file), of: (rows: Rows) => rows.map(fileRead) },
  F2: { says: (raw) => output(raw).content },
  F3: { says: (raw) => output(raw).content },
  F4: { says: (raw) => raw.output },
  F5: { says: (raw) => output(raw).checksum },
  F6: { says: (raw) => raw.output },
  F7: {
    says: (raw) => [output(raw).size, output(raw).mode, output(raw).mtime],
    of: ({ size, mode, mtime }: Raw) => [size, mode, mtime],
  },
  ...Object.fromEntries(
    ["F9", "F10", "F11", "F12"].map((id) => [id, { says: (raw: Raw) => file(output(raw)), of: fileRead }]),
  ),
};

function jobWords({ jobId, status }: Raw): unknown {
  return [jobId, [(status as Raw).state]];
}

function expectSame(id: string, line: Exchange, value: unknown): void {
  const oracle = ORACLES[id];
  if (oracle === undefined) {
    expect(["J5", "J6", "F8", "F13", "F14", "F15", "F16"], line.name).toContain(id);
    return;
  }
  const body = mended(line.response.body);
  const raw = (typeof body === "string" ? JSON.parse(body) : body) as Raw;
  expect(oracle.of === undefined ? value : oracle.of(value as never), line.name).toEqual(oracle.says(raw));
}

describe("every recorded exchange", () => {
  it("belongs to exactly one part of this suite", () => {
    const strangers = LINES.filter((line) => {
      if (NOTES.test(line.name)) return false;
      if (!isExchange(line)) return true;
      if (ofStore(line)) return lookUp(STORE, line.name) === undefined;
      return operationOf(line.request) === undefined && lookUp(NOT_OURS, line.name) === undefined;
    });
    expect(strangers.map(({ name }) => name)).toEqual([]);
    expect(LINES).toHaveLength(927);
  });

  it("with an error status becomes the error that its text means", async () => {
    for (const line of refusedLines) {
      const [, operation] = operationOf(line.request)!;
      const expected = lookUp(REFUSED, line.name);
      const result = await replay(line, operation);
      expect(expected, `no row for ${line.name}: ${JSON.stringify(result)}`).toBeDefined();
      const [codes = "", retry] = expected!.split(" ");
      expect(
        codes.split("|").map((code) => `${code} ${retry}`),
        line.name,
      ).toContain("refused" in result ? result.refused : "an answer");
    }
    expect(refusedLines.length).toBeGreaterThan(200);
  });

  it("with a good status is read completely", async () => {
    for (const line of answeredLines) {
      const [id, operation] = operationOf(line.request)!;
      const result = await replay(line, operation);
      if (line.name === "transfer/upload/size-6TB") {
        // Cut in the middle by the recorder, as a connection may be: the job behind it was started.
        expect(result).toEqual({ refused: "unreadable_answer after_check" });
        continue;
      }
      if ("refused" in result) expect.fail(`${line.name}: ${result.refused}`);
      expectSame(id.split("_")[0]!, line, result.value);
    }
    expect(answeredLines.length).toBeGreaterThan(400);
  });

  it("of one job's life proves what the scheduler did, and nothing before it is proven", async () => {
    for (const line of exchanges.filter(({ name }) => name.endsWith("/job-life"))) {
      const id = /jobs\/(\w+)$/.exec(line.request.path)![1]!;
      for (const state of line.states ?? []) {
        const answer = { ...line, response: { status: state.status, body: state.body } };
        const result = await replay(answer, OPERATIONS.J3_get);
        if ("refused" in result) continue;
        const rows = result.value as JobRow[];
        const seen = observeJob(id, rows);
        if (rows.every(isSkeleton) && seen !== undefined) expect(isEnd(seen.state), line.name).toBe(false);
      }
      const last = await replay(line, OPERATIONS.J3_get);
      if ("refused" in last) continue;
      const seen = observeJob(id, last.value as JobRow[])!;
      const words = [
        seen.state,
        seen.reason,
        seen.exitCode,
        ...(seen.signal === undefined ? [] : ["signal", seen.signal]),
      ];
      const said = words.filter((word) => word !== undefined).join(" ");
      expect(lookUp(LIVES, line.name)?.split("|"), line.name).toContain(said);
    }
  });

  it("of a file job and its logs shows whether the operation worked (fact 3)", async () => {
    const latest = new Map(exchanges.map((line) => [line.name, line]));
    let judged = 0;
    for (const [name, life] of latest) {
      const base = name.replace(/\/job-life$/, "");
      const [output, error] = [latest.get(`${base}/outlog`), latest.get(`${base}/errlog`)];
      if (!name.endsWith("/job-life") || /^life|download/.test(name) || output === undefined || error === undefined)
        continue;
      const log = ({ response }: Exchange) =>
        response.status === 200
          ? json({ output: { content: (response.body as { output: string }).output } })
          : failure(404, "No such file or directory");
      const site = fakeSite(({ path, query }) => {
        if (path.endsWith("/ops/tail")) return log(query.get("path") === "/out" ? output : error);
        if (path.endsWith("/ops/stat")) return json({ output: { size: 5, mode: 0o100644, mtime: 1 } });
        return recorded(life);
      });
      const job = /jobs\/(\w+)$/.exec(life.request.path)![1]!;
      const kind = base.includes("/upload/") ? "upload" : "file_job";
      const [state] = await site.client.observe([
        {
          kind,
          ref: { job, system: "cluster" },
          system: "cluster",
          releasable: false,
          logs: { output: "/out", error: "/err" },
          expects: { present: { path: "/target", bytes: 5 } },
        },
      ]);
      expect(lookUp(FILE_JOBS, base), `${base}: ${JSON.stringify(state)}`).toBe(state?.state);
      judged++;
    }
    expect(judged).toBeGreaterThan(30);
  });

  it("with the object store gives the probe that the store's answer proves (fact 7)", async () => {
    for (const line of exchanges.filter(ofStore)) {
      const expected = lookUp(STORE, line.name)!;
      const { status } = line.response;
      if (expected.startsWith("another method")) {
        expect(expected.split(": ")[1]!.split("|"), line.name).toContain(String(status));
        continue;
      }
      const response = new Response(status === 304 ? null : "body", {
        status,
        headers: line.response.headers ?? {},
      });
      const probe = await probeLink({ fetchStaged: async () => response }, "https://store.example/x");
      const said = probe.outcome === "live" ? "live" : `${probe.outcome} ${probe.status}`;
      expect(said, line.name).toBe(expected);
    }
  });

  it("that the client would not make is taken for what it is", async () => {
    for (const line of exchanges.filter((line) => !ofStore(line) && operationOf(line.request) === undefined)) {
      const result = await replay(line, { ...OPERATIONS.F4_view, answer: "nothing" });
      expect("refused" in result ? result.refused : "read", line.name).toBe(lookUp(NOT_OURS, line.name));
    }
  });

  it("that the recorder summed up is consistent with what the readers hold", async () => {
    for (const line of LINES.filter(({ name }) => NOTES.test(name))) {
      if (line.error !== undefined) {
        // The connection broke while the job was being submitted.
        const site = fakeSite(({ path }) =>
          path.endsWith("/ops/mkdir") ? json({ output: { name: "/d" } }, 201) : undefined,
        );
        const work = site.client.submit({ system: "cluster", script: "#!/bin/sh\n", workingDirectory: "/d" });
        await expect(work, line.name).rejects.toMatchObject({ code: "network", retry: "after_check" });
      } else if (line.probes !== undefined) {
        expect(line.probes.map(({ status }) => status)).toEqual([404, 206]);
      } else if (line.latencies_s !== undefined) {
        expect(line.latencies_s.every(([seconds, status]) => status === 200 && seconds < 30)).toBe(true);
      } else if (line.s !== undefined) {
        expect(Math.max(...line.s)).toBeLessThan(30);
      } else if (line.name.endsWith("/recovery")) {
        expect(line.trace!.every(([, probed]) => probed === 200 || probed === 503)).toBe(true);
      } else if (!isExchange(line)) {
        expectTimeline(line);
      }
    }
  });

  it("is needed by every row of the tables", () => {
    const tables = [REFUSED, LIVES, FILE_JOBS, STORE, NOT_OURS] as [RegExp, unknown][][];
    const idle = tables.flat().filter(([pattern]) => !used.has(pattern));
    expect(idle.map(([pattern]) => String(pattern))).toEqual([]);
  });
});

/** `visibility/*` and `list/array-while-running`: [seconds, …, [[id, name, state] or [name, state]]]. */
function expectTimeline({ name, trace }: Line): void {
  for (const moment of trace ?? []) {
    const rows = moment.find((part): part is string[][] => Array.isArray(part) && Array.isArray(part[0])) ?? [];
    for (const row of rows) {
      const [id, label, state] =
        name === "list/array-while-running"
          ? [row[0]!, row[2]!, row[1]!]
          : row.length === 3
            ? [row[0]!, row[1]!, row[2]!]
            : ["1", row[0]!, row[1]!];
      const known = label === "allocation" ? {} : { workingDirectory: "/w", partition: "p" };
      const seen = observeJob(id, [{ id, name: label, states: [state], stepStates: [], ...known }])!;
      expect(seen.skeleton, name).toBe(label === "allocation" && state === "COMPLETED" ? true : label === "allocation");
      expect(isEnd(seen.state), name).toBe(label !== "allocation" && state === "COMPLETED");
    }
  }
}
