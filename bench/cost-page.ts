/** docs/cost.md, from counted costs. */
import { ASSUMED, type Costs } from "./cost.ts";
import { type Bill, dollars, PRICES, PRICES_AS_OF, PRICES_FROM } from "./prices.ts";

const CONNECTIONS = [1, 50, 5_000];
const DAYS_OF_A_MONTH = 30;
/** The sweep reads a page of a thousand connections each minute. */
const CONNECTIONS_OF_A_PAGE = 1_000;

/** Two digits that count, thousands apart. */
const money = (value: number): string =>
  value === 0 ? "0" : value >= 100 ? Math.round(value).toLocaleString("en-US") : String(Number(value.toPrecision(2)));

const table = (head: string[], rows: string[][]): string =>
  [head, head.map((_, n) => (n === 0 ? "---" : "---:")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

export function costPage(costs: Costs): string {
  const loop = dollars(costs.loopDay);
  const perMillion = (label: string, bill: Bill): string[] => [
    label,
    money(dollars(bill) * 1e6),
    money(bill.rowWritten),
    money(bill.objectRequest),
    money(bill.queueOperation),
    money(bill.r2ClassA),
    money(bill.objectSecond),
  ];
  const days = [...costs.days];
  const sweep = DAYS_OF_A_MONTH * ASSUMED.minutesOfADay;
  const month = (jobs: number, bill: Bill): string[][] =>
    CONNECTIONS.map((connections) => {
      const lists = Math.ceil(connections / CONNECTIONS_OF_A_PAGE);
      const ours =
        connections * DAYS_OF_A_MONTH * dollars(bill) + sweep * (lists * PRICES.kvWrite + PRICES.workerRequest);
      const theirs = connections * jobs * DAYS_OF_A_MONTH * loop;
      const [count, live] = [connections, jobs].map((n) => n.toLocaleString("en-US"));
      return [`${count} × ${live}`, money(ours), money(theirs), `${money(theirs / ours)} ×`];
    });
  return `# What it costs

Made by \`npm run bench -- cost\` from counted operations and Cloudflare's list prices for Workers Paid, in dollars, as of
${PRICES_AS_OF} (${PRICES_FROM}; look them up before you rely on a sum). What the
plan includes each month is not taken off, and neither are its five dollars added. Storage is apart: a job's rows are a few kilobytes, objects in R2 are 0.015 for a GB and month.

## One of each

${table(
  ["", "dollars for a million", "rows written", "object requests", "queue operations", "R2 class A", "object seconds"],
  [
    perMillion("a job of ten minutes, alone on its connection", costs.job),
    perMillion("a callback", costs.callback),
    perMillion("a GiB moved, proven, its link released", costs.gib),
    ...days.map(([jobs, bill]) =>
      perMillion(`a connection's day with ${jobs.toLocaleString("en-US")} quiet jobs`, bill),
    ),
    perMillion("one job's day in a loop of its own", costs.loopDay),
  ],
)}

Bytes themselves are free both ways: R2 has no egress fee, and FirecREST's object store is not Cloudflare's. A GiB is written in
32 parts of 32 MiB, each a class A operation; from 4 GiB on parts are twice as large.

## A month

Connections × live jobs on each, watched day and night, dollars, beside a design in which every job has a loop of its own that looks
once a minute (a queue message that puts itself back; no state, no proof, no callbacks).

${table(
  ["connections × jobs", "Firewatch", "a loop per job", ""],
  days.flatMap(([jobs, bill]) => month(jobs, bill)),
)}

A single job on a connection is dearer here than in a loop: its rounds are the connection's, and each writes down when the next one
is due (four rows with the alarm), so that a crash loses nothing. From five jobs on it is the other way round, since the round is
the same for all of them.

## What is counted, what is assumed

Counted in the Tracker's own code, inside workerd with real SQLite, KV and R2, on a virtual clock: rows read and written (index
entries apart, as Cloudflare does), alarms set (a row each), messages of each queue, KV and R2 operations, alarms that rang.
Assumed:

- calls to the Tracker for one message: ${ASSUMED.callsOfACommand} for a command, ${ASSUMED.callsOfATransfer} for a transfer, ${ASSUMED.callsOfACallback} for a batch of callbacks (read from the consumers' code);
- a message is a batch of its own (up to ten share one Worker request in a busy queue);
- the object waits ${ASSUMED.secondsOfARound} s for the site in each round (a v2 list; v1 takes about three) and works ${ASSUMED.secondsOfACall * 1000} ms for a call;
- ${ASSUMED.cpuOfARequest} ms CPU for a request, ${ASSUMED.cpuOfAMessage} ms for a message, ${ASSUMED.cpuOfAGiB / 1000} s for a GiB with its hash;
- the sweep calls each live connection once a minute and lists a thousand connections in one KV list.

A tight budget, many ends or short-lived tokens (each is a KV write, here one every five minutes) move these numbers; more live
jobs do so only by what their rows cost to read.

## Which limit is met first

| What grows | Met first | What moves it |
|---|---|---|
| live jobs on one connection | not a platform limit: the site's own budget, which the pace respects at any number; then the memory of one object (128 MB), since a round holds all live jobs of a system, somewhere above fifty thousand | a connection per system or project: each is an object of its own |
| connections | the sweep visits 500 in a minute; above that each is visited every second, third, … minute | nothing has to move: alarms do the work, the sweep only repairs |
| accepted requests on one connection | about a thousand requests a second to one object | more connections |
| messages of all connections | 5,000 a second for one queue | a second queue of the same kind |
| callbacks of one connection | the consumers' rounds through one object: see \`deliveries\` in benchmarks.md | more connections; callbacks of different connections do not meet |
| a connection's history | 10 GB in one object | retention: jobs 90 days, event bodies 30 |
| one file | 4.995 TiB in R2, 10,000 parts | nothing |
| free plan | 1,000 KV writes and 10,000 queue operations a day, 10 ms CPU | Workers Paid |
`;
}
