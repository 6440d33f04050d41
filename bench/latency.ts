/** From a job's end at the scheduler to the callback, in the local runtime: alone on its connection, which is the worst case. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Launched, launch } from "../local/launch.ts";
import type { Event } from "../shared/contract/event.ts";
import { floorMs } from "../shared/domain/pace.ts";
import type { Api } from "../shared/firecrest/port.ts";
import type { Bench } from "./bench.ts";
import { pyfirecrest, runLoops } from "./support/pyfirecrest.ts";
import { quantile, type Row, type Table } from "./table.ts";

/** What a site may be asked in a minute: the default, and a site that is one's own. */
const BUDGETS = { "60/min (default)": 60, "6000/min": 6_000 } as const;
/** Run times in seconds, spread so that ends fall everywhere between two looks. */
const RUNS = Array.from({ length: 10 }, (_, n) => 3 + 7 * n);
const PATIENCE_SECONDS = 140;
/** Looks of an old and quiet job are further apart; these jobs are all younger than ten minutes. */
const YOUNG_EVERY_MS = 10_000;
/** Requests of one round for one job: v1 three or four, v2 one. */
const ROUND_COST = 4;

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
        const path = label === LOOPS ? `/loops/${id}` : `/${BUDGETS[label as keyof typeof BUDGETS]}/${n}`;
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

const watch = (firewatch: Launched, connection: string, schedulerId: string, callback: string) =>
  send(firewatch, "POST", `${connection}/watches`, {
    system: "cluster",
    schedulerId,
    callbacks: [{ url: callback, events: ["job.succeeded"] }],
  });

async function send({ adminToken }: Launched, method: string, url: string, body: unknown): Promise<void> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${adminToken}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${method} ${url} answered ${response.status}: ${await response.text()}`);
}

function tableOf(rows: Row[], library: string): Table {
  const p99 = (label: string) => rows.find((row) => row.label === label)?.values.p99 ?? Number.NaN;
  /** A round may be 10 % late by design. */
  const oneRound = (budget: number) => (1.1 * Math.max(floorMs(budget, ROUND_COST), YOUNG_EVERY_MS)) / 1000 + 1;
  return {
    name: latency.name,
    claim: "a callback follows the end of a job within one poll round",
    measures: { p50: { title: "p50 s", digits: 2 }, p99: { title: "p99 s", digits: 2 } },
    rows,
    baseline: `v2, ${LOOPS}`,
    ratios: ["p50", "p99"],
    aims: (["v1", "v2"] as const).flatMap((api) =>
      Object.entries(BUDGETS).map(([label, budget]) => ({
        text: `${api}, ${label}: p99 ≤ one poll round + 1 s = ${oneRound(budget).toFixed(1)} s`,
        met: p99(`${api}, ${label}`) <= oneRound(budget),
      })),
    ),
    notes: [
      `${RUNS.length} jobs of ${RUNS[0]} to ${RUNS.at(-1)} s in each row, each alone on a connection of its own, all rows of one API at the same time; p99 of so few is the slowest`,
      `loops: ${library}, one per job: v1 \`poll\` every 10 s, v2 \`wait_for_job\`, whose waits double (up to 64 s): fast for short jobs, up to a minute late for long ones`,
      "the aim of 6000/min is the pace of a job older than a minute; the opt-in ping was not measured",
      "the default budget lets rounds use 30 requests a minute: one every 6 to 8 s on v1, every 2 s on v2, and fewer as a job grows old",
    ],
  };
}
