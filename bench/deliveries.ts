/** One dead receiver among a hundred: what it does to the ninety-nine others. */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { launch } from "../local/launch.ts";
import type { Event } from "../shared/contract/event.ts";
import type { Bench } from "./bench.ts";
import { openRooms } from "./support/rooms.ts";
import { quantile, type Row, type Table } from "./table.ts";

const RECEIVERS = 100;
const JOBS = 4;
const PATIENCE_MS = 90_000;
const ALIVE = "all 100 answer";
const FIRST = { alive: ALIVE, refusing: "one answers 500 at once", hanging: "one never answers" } as const;
type First = keyof typeof FIRST;

export const deliveries: Bench = {
  name: "deliveries",
  async run() {
    const identical = await sameDecisions();
    const rows: Row[] = [];
    for (const first of Object.keys(FIRST) as First[]) rows.push({ label: FIRST[first], values: await deliver(first) });
    return tableOf(rows, identical);
  },
};

/** On the virtual clock, decision by decision. */
async function sameDecisions(): Promise<boolean> {
  const rooms = await openRooms();
  try {
    const run = (isFirstDead: boolean) => rooms.run("lanes", { receivers: RECEIVERS, jobs: JOBS, isFirstDead });
    const [[, ...alive], [first = [], ...dead]] = [(await run(false)).lanes, (await run(true)).lanes];
    if (!first.some((sent) => sent.endsWith("#2"))) throw new Error("the dead receiver was not tried again");
    return alive.length === RECEIVERS - 1 && JSON.stringify(alive) === JSON.stringify(dead);
  } finally {
    await rooms.close();
  }
}

/** In the local runtime, over real connections. Seconds and callbacks are those of the ninety-nine. */
async function deliver(first: First): Promise<Row["values"]> {
  const delays: number[] = [];
  let firstAt = Number.POSITIVE_INFINITY;
  let lastAt = 0;
  const server = createServer((request, response) => {
    const isFirst = request.url === "/r0";
    let body = "";
    request.on("data", (piece) => {
      body += String(piece);
    });
    request.on("end", () => {
      if (isFirst && first === "hanging") return;
      response.writeHead(isFirst && first === "refusing" ? 500 : 204).end();
      if (isFirst) return;
      const now = Date.now();
      firstAt = Math.min(firstAt, now);
      lastAt = now;
      delays.push(now - Date.parse((JSON.parse(body) as Event).timestamp));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const receiver = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const firewatch = await launch({ port: 0, firecrestPort: 0, apis: ["v1"] });
  try {
    const connection = firewatch.connections["local-v1"];
    const headers = { authorization: `Bearer ${firewatch.adminToken}`, "content-type": "application/json" };
    const post = async (path: string, body: unknown): Promise<void> => {
      const response = await fetch(`${connection?.url}${path}`, {
        method: "POST",
        headers,
        body: JSON.stringify(body),
      });
      if (!response.ok) throw new Error(`POST ${path} answered ${response.status}: ${await response.text()}`);
    };
    const jobEvents = async (): Promise<Event[]> => {
      const response = await fetch(`${connection?.url}/events?limit=200`, { headers });
      const { items } = (await response.json()) as { items: Event[] };
      return items.filter(({ type }) => type.startsWith("job."));
    };
    for (let n = 0; n < RECEIVERS; n++) await post("/subscriptions", { url: `${receiver}/r${n}`, events: ["job.*"] });
    for (let n = 0; n < JOBS; n++) await post("/jobs", { system: "cluster", script: "#!/bin/bash -l\nsleep 1\n" });
    let wanted = Number.POSITIVE_INFINITY;
    for (const end = Date.now() + PATIENCE_MS; delays.length < wanted && Date.now() < end; ) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      const events = await jobEvents();
      if (events.filter(({ type }) => type === "job.settled").length === JOBS) wanted = (RECEIVERS - 1) * events.length;
    }
    return {
      delivered: delays.length,
      missing: wanted - delays.length,
      p50: quantile(delays, 0.5) / 1000,
      p99: quantile(delays, 0.99) / 1000,
      rate: delays.length / ((lastAt - firstAt) / 1000),
    };
  } finally {
    await firewatch.stop();
    server.closeAllConnections();
    server.close();
  }
}

function tableOf(rows: Row[], identical: boolean): Table {
  const of = (first: First, measure: string) =>
    rows.find(({ label }) => label === FIRST[first])?.values[measure] ?? Number.NaN;
  return {
    name: deliveries.name,
    claim: "one dead receiver among a hundred changes nothing for the ninety-nine others",
    measures: {
      delivered: { title: "delivered", digits: 0 },
      missing: { title: "missing", digits: 0 },
      p50: { title: "event → received p50 s", digits: 2 },
      p99: { title: "p99 s", digits: 2 },
      rate: { title: "callbacks/s", digits: 0 },
    },
    rows,
    baseline: ALIVE,
    ratios: ["p50", "p99", "rate"],
    aims: [
      { text: "lane decisions of the other 99 are identical, on the virtual clock", met: identical },
      { text: "every callback of the other 99 arrives", met: rows.every(({ values }) => values.missing === 0) },
      {
        text: "with one that answers 500, callbacks/s of the others ≥ 0.9 ×",
        met: of("refusing", "rate") >= 0.9 * of("alive", "rate"),
      },
      {
        text: "with one that never answers, callbacks/s of the others ≥ 0.9 ×",
        met: of("hanging", "rate") >= 0.9 * of("alive", "rate"),
      },
    ],
    notes: [
      `${RECEIVERS} subscriptions hear every event of ${JOBS} jobs; the rows are the local runtime with real connections, receivers in this Node process, which shares the machine`,
      "only the 99 are counted",
      "the identical decisions are those beside a receiver that answers 500; one that never answers was measured in the local runtime only",
      "Miniflare runs one consumer of a queue at a time, and used to wait for the unanswered posts: 0.11 × callbacks/s. Now a consumer that is held up for a second hands over, and its slow posts end beside the next one",
    ],
  };
}
