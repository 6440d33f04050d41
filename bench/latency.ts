/** From a job's end at the scheduler to the callback, in the local runtime: alone on its connection, which is the worst case. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Launched, launch } from "../local/launch.ts";
import type { Event } from "../shared/contract/event.ts";
import { intervalMs } from "../shared/domain/pace.ts";
import type { Api } from "../shared/firecrest/port.ts";
import type { Bench } from "./bench.ts";
import { pyfirecrest, runLoops } from "./support/pyfirecrest.ts";
import { quantile, type Row, type Table } from "./table.ts";

/** What a site may be asked in a minute: the default, and a site that is one's own. */
const BUDGETS = { "60/min (default)": 60, "6000/min": 6_000 } as const;
/** Run times in seconds, spread so that ends fall everywhere between two looks. */
const RUNS = Array.from({ length: 10 }, (_, n) => 3 + 7 * n);
const PATIENCE_SECONDS = 140;
/** Requests of one round for one job at most. */
const ROUND_COST = { v1: 4, v2: 1 } as const;
/** With the default budget, each job says by itself when it starts and ends. */
const PING = "60/min, ping";
const PING_AIM_SECONDS = 2;

export const latency: Bench = {
  name: "latency",
  async run() {
    const library = await pyfirecrest();
    const rows: Row[] = [];
    for (const api of ["v1", "v2"] as const) rows.push(...(await measure(api, "version" in library)));
    return tableOf(
      rows,
      "version" in library ? `pyfirecrest ${library.version}` : `pyfirecrest was not run: ${library.missing}`,
    );
  },
};

/** Everything at the same time: one job of each length for each way of following it. */
async function measure(api: Api, withLoops: boolean): Promise<Row[]> {
  /** When each callback came, by the path it came to. */
  const came = new Map<string, number>();
  const receiver = await openReceiver((path, isEnd) => {
    if (isEnd) came.set(path, Date.now());
  });
  const firewatch = await launch({
    port: 0,
    firecrestPort: 0,
    apis: [],
    cron: false,
    firecrest: { host: { machine: { cpus: 1_000 } } },
  });

  try {
    const { firecrest } = firewatch;
    const { jobs } = await firecrest.host.as(firecrest.user);
    const submit = async (seconds: number) =>
      (await jobs.submit({ script: `#!/bin/bash -l\nsleep ${seconds}\n` })).jobId;
    /** Scheduler ids by label, in the order of `RUNS`. */
    const ids = new Map<string, string[]>();
    for (const [label, budget] of Object.entries(BUDGETS)) {
      const urls = await Promise.all(
        RUNS.map((seconds) => connect(firewatch, api, `${api}-${budget}-${seconds}`, budget)),
      );
      const submitted: string[] = [];
      for (const [n, seconds] of RUNS.entries()) {
        submitted.push(await submit(seconds));
        await watch(firewatch, urls[n] ?? "", submitted[n] ?? "", `${receiver.url}/${budget}/${n}`);
      }
      ids.set(label, submitted);
    }
    ids.set(
      PING,
      await Promise.all(RUNS.map((seconds, n) => ping(firewatch, api, seconds, `${receiver.url}/${PING_PATH}/${n}`))),
    );
    const loops = withLoops ? await Promise.all(RUNS.map(submit)) : [];
    if (withLoops) {
      ids.set(LOOPS, loops);
      const url = api === "v1" ? firecrest.v1Url : firecrest.v2Url;
      await runLoops({
        ...firecrest,
        api,
        url,
        jobs: loops,
        seconds: PATIENCE_SECONDS,
        callback: `${receiver.url}/loops`,
      });
    }
    const expected = [...ids.values()].flat().length;
    for (const end = Date.now() + PATIENCE_SECONDS * 1000; came.size < expected && Date.now() < end; )
      await new Promise((resolve) => setTimeout(resolve, 100));

    const ends = new Map(
      (await jobs.accounting({ ids: [...ids.values()].flat() })).map(({ jobId, endedAt }) => [jobId, endedAt]),
    );
    return [...ids].map(([label, submitted]) => {
      const delays = submitted.map((id, n) => {
        const path =
          label === LOOPS
            ? `/loops/${id}`
            : `/${label === PING ? PING_PATH : BUDGETS[label as keyof typeof BUDGETS]}/${n}`;
        const [end, received] = [ends.get(id), came.get(path)];
        if (end === undefined || received === undefined) throw new Error(`no callback of ${path} came`);
        return (received - end) / 1000;
      });
      return { label: `${api}, ${label}`, values: { p50: quantile(delays, 0.5), p99: quantile(delays, 0.99) } };
    });
  } finally {
    await firewatch.stop();
    receiver.close();
  }
}

const LOOPS = "pyfirecrest loop";
const PING_PATH = "ping";

async function openReceiver(take: (path: string, isEnd: boolean) => void) {
  const server = createServer((request, response) => {
    let body = "";
    request.on("data", (piece) => {
      body += String(piece);
    });
    request.on("end", () => {
      response.writeHead(204).end();
      // Loops post the bare id of the job, and only when it has ended.
      if (!body.startsWith("{")) return take(`${request.url}/${body}`, true);
      take(request.url ?? "", (JSON.parse(body) as Event).type === "job.succeeded");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

async function connect(firewatch: Launched, api: Api, name: string, requestsPerMinute: number): Promise<string> {
  const { v1Url, v2Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
  const url = `${firewatch.url}/v1/connections/${name}`;
  const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
  await send(firewatch, "PUT", url, { api, url: api === "v1" ? v1Url : v2Url, auth, requestsPerMinute });
  return url;
}

const watch = (firewatch: Launched, connection: string, schedulerId: string, callback: string): Promise<Answered> =>
  send(firewatch, "POST", `${connection}/watches`, {
    system: "cluster",
    schedulerId,
    callbacks: [{ url: callback, events: ["job.succeeded"] }],
  });

/** Submits a job of ours that pings, alone on a connection of its own; answers its scheduler id. */
async function ping(firewatch: Launched, api: Api, seconds: number, callback: string): Promise<string> {
  const connection = await connect(firewatch, api, `${api}-${PING_PATH}-${seconds}`, BUDGETS["60/min (default)"]);
  const { id } = await send(firewatch, "POST", `${connection}/jobs`, {
    system: "cluster",
    script: `#!/bin/bash -l\nsleep ${seconds}\n`,
    ping: true,
    callbacks: [{ url: callback, events: ["job.succeeded"] }],
  });
  for (const end = Date.now() + PATIENCE_SECONDS * 1000; Date.now() < end; ) {
    const { schedulerId } = await send(firewatch, "GET", `${connection}/jobs/${id}`);
    if (schedulerId !== undefined) return schedulerId;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  throw new Error(`the site never took job ${id}`);
}

type Answered = { id: string; schedulerId?: string };

async function send({ adminToken }: Launched, method: string, url: string, body?: unknown): Promise<Answered> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as Answered;
}

function tableOf(rows: Row[], library: string): Table {
  const p99 = (label: string) => rows.find((row) => row.label === label)?.values.p99 ?? Number.NaN;
  const longest = { status: "running", changedAt: 0, doubtful: false };
  /** From the last look at the longest of these jobs to the next, which may be 10 % late by design, and a second. */
  const oneRound = (api: Api, requestsPerMinute: number) => {
    const spending = { requestsPerMinute, lastRound: ROUND_COST[api] };
    return (1.1 * (intervalMs([longest], spending, 1_000 * Math.max(...RUNS)) ?? 0)) / 1_000 + 1;
  };
  return {
    name: latency.name,
    claim: "a callback follows the end of a job within one poll round",
    measures: { p50: { title: "p50 s", digits: 2 }, p99: { title: "p99 s", digits: 2 } },
    rows,
    baseline: `v2, ${LOOPS}`,
    ratios: ["p50", "p99"],
    aims: (["v1", "v2"] as const).flatMap((api) => [
      ...Object.entries(BUDGETS).map(([label, budget]) => ({
        text: `${api}, ${label}: p99 ≤ one poll round + 1 s = ${oneRound(api, budget).toFixed(1)} s`,
        met: p99(`${api}, ${label}`) <= oneRound(api, budget),
      })),
      {
        text: `${api}, ${PING}: p99 < ${PING_AIM_SECONDS} s`,
        met: p99(`${api}, ${PING}`) < PING_AIM_SECONDS,
      },
    ]),
    notes: [
      `${RUNS.length} jobs of ${RUNS[0]} to ${RUNS.at(-1)} s in each row, each alone on a connection of its own, all rows of one API at the same time; p99 of so few is the slowest`,
      `loops: ${library}, one per job: v1 \`poll\` every 10 s, v2 \`wait_for_job\`, whose waits double (up to 64 s): fast for short jobs, up to a minute late for long ones`,
      "ping: jobs that were submitted with `ping: true`, whose own scripts call when they start and end; the others are watched, as jobs of anybody",
      "the default budget lets rounds use 30 requests a minute: one every 4 to 8 s on v1, every 3 s on v2, and fewer as a job grows old",
    ],
  };
}
