/** Requests that reach FirecREST while so many live jobs are followed for an hour. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startFirecrest } from "../local/firecrest/server.ts";
import { intervalMs } from "../shared/domain/pace.ts";
import type { Api } from "../shared/firecrest/port.ts";
import type { Bench, BenchOptions } from "./bench.ts";
import type { FollowOutput } from "./rooms/follow.ts";
import { openCountingProxy } from "./support/counting-proxy.ts";
import { type Library, pyfirecrest, runLoops, v2LooksUntil } from "./support/pyfirecrest.ts";
import { openRooms, type Rooms } from "./support/rooms.ts";
import type { Row, Table } from "./table.ts";

const APIS = ["v1", "v2"] as const;
const HOUR_SECONDS = 3_600;
const MOST_IN_ROUND = 6;
const BUDGET = 60;
const TIGHT_BUDGET = 30;
/** Jobs that come and go: each runs ten minutes on the average and is replaced at once. */
const MEAN_RUN_SECONDS = 600;
const QUIET = [1, 10, 100, 1_000, 10_000];
const BUSY = [10, 100];
/** How many loops are run for real. */
const REAL = [1, 10];
const REAL_SECONDS = 40;

export const requests: Bench = {
  name: "requests",
  async run(options) {
    const library = await pyfirecrest();
    const seconds = options.seconds ?? REAL_SECONDS;
    const real = "missing" in library ? [] : await runReal(seconds);
    const rooms = await openRooms();
    try {
      return await measure(rooms, options, library, real);
    } finally {
      await rooms.close();
    }
  },
};

/** What loops that were run for real asked for. */
interface Real {
  api: Api;
  jobs: number;
  seconds: number;
  requests: number;
}

async function runReal(seconds: number): Promise<Real[]> {
  const dir = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  const site = await startFirecrest({ port: 0, dir });
  const proxy = await openCountingProxy(site.url);
  const found: Real[] = [];
  try {
    const { jobs } = await site.host.as(site.user);
    const script = `#!/bin/bash -l\nsleep ${4 * seconds + 60}\n`;
    const ids = await Promise.all(
      Array.from({ length: Math.max(...REAL) }, async () => (await jobs.submit({ script })).jobId),
    );
    for (const api of APIS)
      for (const count of REAL) {
        const before = proxy.requests();
        const at = (address: string) => address.replace(site.url, proxy.url);
        await runLoops({
          ...site,
          api,
          url: at(api === "v1" ? site.v1Url : site.v2Url),
          jobs: ids.slice(0, count),
          seconds,
        });
        found.push({ api, jobs: count, seconds, requests: proxy.requests() - before });
      }
    for (const id of ids) await jobs.cancel(id);
  } finally {
    await proxy.close();
    await site.stop();
    // Jobs that were cancelled a moment ago still write their last lines.
    await rm(dir, { recursive: true, force: true, maxRetries: 10, retryDelay: 200 });
  }
  return found;
}

/** An hour of one loop. v1 asks at an even pace, so the measured pace goes on; v2's waits grow, so they are followed. */
function hourOfOneLoop(api: Api, busy: boolean, real: readonly Real[]): number {
  if (api === "v1") {
    const most = real.filter((run) => run.api === "v1").at(-1);
    return most === undefined ? Number.NaN : (most.requests / most.jobs / most.seconds) * HOUR_SECONDS;
  }
  if (!busy) return v2LooksUntil(HOUR_SECONDS);
  const runs = Array.from({ length: 2 * MEAN_RUN_SECONDS }, (_, n) => n + 1);
  const looksOfOne = runs.reduce((sum, seconds) => sum + v2LooksUntil(seconds), 0) / runs.length;
  return (looksOfOne * HOUR_SECONDS) / MEAN_RUN_SECONDS;
}

/** Our looks at one job that runs so long and is alone, as the pace has them on average. */
function looksAtOne(seconds: number, calls = false): number {
  const job = { status: "running", changedAt: 0, doubtful: false, calls };
  let looks = 1;
  for (let at = 0; at < seconds * 1_000; looks++)
    at += intervalMs([job], { requestsPerMinute: BUDGET, lastRound: 1 }, at) ?? Number.POSITIVE_INFINITY;
  return looks;
}

async function measure(
  rooms: Rooms,
  { most = Number.POSITIVE_INFINITY }: BenchOptions,
  library: Library,
  real: Real[],
): Promise<Table> {
  const cases = [
    ...QUIET.map((jobs) => ({ jobs, busy: false, budget: BUDGET })),
    ...BUSY.map((jobs) => ({ jobs, busy: true, budget: BUDGET })),
    { jobs: 100, busy: true, budget: TIGHT_BUDGET },
  ].filter(({ jobs }) => jobs <= most);
  const rows: Row[] = [];
  const all: { output: FollowOutput; budget: number }[] = [];
  for (const { jobs, busy, budget } of cases) {
    const values: Row["values"] = {};
    for (const api of APIS) {
      const output = await rooms.run("follow", {
        api,
        jobs,
        requestsPerMinute: budget,
        seconds: HOUR_SECONDS,
        ...(busy ? { meanRunSeconds: MEAN_RUN_SECONDS } : {}),
      });
      const loops = hourOfOneLoop(api, busy, real) * jobs;
      all.push({ output, budget });
      values[api] = output.requests;
      if (!Number.isNaN(loops))
        Object.assign(values, { [`${api}Loops`]: loops, [`${api}Times`]: loops / output.requests });
      values.tokens = Math.max(values.tokens ?? 0, output.tokens);
      values.round = Math.max(values.round ?? 0, output.mostInRound);
      values.minute = Math.max(values.minute ?? 0, output.mostInMinute);
      if (busy) values.delay = Math.max(values.delay ?? 0, output.meanDelaySeconds);
    }
    rows.push({
      label: `${jobs} job${jobs === 1 ? "" : "s"}${busy ? ", all replaced every 10 min" : ""}${budget === BUDGET ? "" : `, ${budget}/min`}`,
      values,
    });
  }
  return {
    name: requests.name,
    claim: "an hour of following jobs costs FirecREST the same few requests however many jobs there are",
    measures: {
      v1: { title: "v1", digits: 0 },
      v1Loops: { title: "v1 loops", digits: 0 },
      v1Times: { title: "loops / ours", digits: 1 },
      v2: { title: "v2", digits: 0 },
      v2Loops: { title: "v2 loops", digits: 0 },
      v2Times: { title: "loops / ours", digits: 1 },
      tokens: { title: "tokens", digits: 0 },
      round: { title: "most/round", digits: 0 },
      minute: { title: "most/min", digits: 0 },
      delay: { title: "end seen after s", digits: 1 },
    },
    rows,
    baseline: "",
    ratios: [],
    aims: [
      {
        text: `≤ ${MOST_IN_ROUND} requests per round and system at any number of jobs`,
        met: all.every(({ output }) => output.mostInRound <= MOST_IN_ROUND),
      },
      {
        text: "never above the connection's budget in any minute",
        met: all.every(({ output, budget }) => output.mostInMinute <= budget),
      },
      {
        text: "fewer requests than the loops, in every row",
        met: rows.every(({ values }) =>
          [values.v1Times, values.v2Times].every((times) => times === undefined || times > 1),
        ),
      },
    ],
    notes: [
      `ours: the Tracker's rooms and the real clients on the virtual clock, budget ${BUDGET}/min where nothing else is said; every request that reaches the site counts; looks at single jobs (v2) count in every column but most/round`,
      "tokens: what we ask the identity provider for within that hour, at 300 s a token; counted in most/min, in no other column of ours, and not at all for the loops, of which each program fetches its own",
      "missing" in library
        ? `v1 loops: not run, pyfirecrest could not be installed (${library.missing}); v2 loops: computed from its wait schedule`
        : `loops: one per job with unmodified pyfirecrest ${library.version}. Run for real: ${real.map((run) => `${run.api} ${run.jobs} job${run.jobs === 1 ? "" : "s"} ${run.requests} requests in ${run.seconds} s`).join("; ")}. The hours are computed from that: v1 by its even pace, v2 by the library's own waits (0.2, 0.5, 1, … 64, 64 s; ${real[0] === undefined ? "" : v2LooksUntil(real[0].seconds - 0.01) - 1} looks in ${real[0]?.seconds} s), times the number of jobs`,
      "v1 loops: `poll` every 10 s per job, our choice, since the library has no wait for v1 jobs; v2 loops: `wait_for_job`, which hears of an end up to 64 s late",
      `not in the table: one lone job of ${MEAN_RUN_SECONDS / 60} minutes takes ${looksAtOne(MEAN_RUN_SECONDS)} looks of ours and ${v2LooksUntil(MEAN_RUN_SECONDS)} of a v2 loop, since we look more often in its first minute; two such jobs at a time share our looks, and a job that pings takes ${looksAtOne(MEAN_RUN_SECONDS, true)}`,
    ],
  };
}
