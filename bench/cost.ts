/** What things cost on Cloudflare's price list, from operations that were counted. Writes docs/cost.md too. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "./bench.ts";
import { costPage } from "./cost-page.ts";
import { type Bill, dollars, NOTHING, OPERATIONS_OF_A_MESSAGE, plus, scaled } from "./prices.ts";
import type { LifeOutput } from "./rooms/lives.ts";
import { openRooms, type Rooms } from "./support/rooms.ts";
import type { Row } from "./table.ts";

/** What the counted rooms do not show, with where it comes from. */
export const ASSUMED = {
  /** Calls of a consumer to the Tracker for one message, read from its code: begin, token, finish. */
  callsOfACommand: 3,
  /** begin, copyStarted, partsDone, finish */
  callsOfATransfer: 4,
  /** lease, report, and the lease that finds nothing more */
  callsOfACallback: 3,
  /** A v2 list over the network; the object waits for it. */
  secondsOfARound: 1,
  secondsOfACall: 0.02,
  /** Measured locally, rounded up: `npm run bench -- inbound` and `copy-loop`. */
  cpuOfAMessage: 5,
  cpuOfARequest: 3,
  cpuOfAGiB: 4_500,
  minutesOfADay: 1_440,
} as const;

const MIB = 1024 * 1024;
/** Files of two and of four parts: the difference is two parts. Smaller ones go in a single put. */
const TWO_PARTS = 64 * MIB;
const FOUR_PARTS = 128 * MIB;
const PARTS_OF_A_GIB = 32;
const RUN_SECONDS = 600;
const RECEIVERS = 10;
export const LIVE_JOBS = [1, 100, 10_000] as const;

export interface Costs {
  job: Bill;
  callback: Bill;
  gib: Bill;
  /** A day of one connection with so many quiet jobs, its sweep included. */
  days: Map<number, Bill>;
  /** A day of one job in a design in which each job is looked at once a minute by itself. */
  loopDay: Bill;
}

export const cost: Bench = {
  name: "cost",
  async run({ most = Number.POSITIVE_INFINITY }) {
    const rooms = await openRooms();
    const costs = await count(
      rooms,
      LIVE_JOBS.filter((jobs) => jobs <= most),
    ).finally(() => rooms.close());
    await writeFile(join(import.meta.dirname, "..", "docs", "cost.md"), costPage(costs));
    const row = (label: string, bill: Bill): Row => ({
      label,
      values: { ...scaled(bill, 1), operations: bill.queueOperation, price: dollars(bill) * 1e6 },
    });
    const days = [...costs.days].map(([jobs, bill]) =>
      row(`a job watched for a day, 1 of ${jobs}`, scaled(bill, 1 / jobs)),
    );
    return {
      name: cost.name,
      claim: "watching a job for a day costs a share of its connection's rounds, not rounds of its own",
      measures: {
        objectRequest: { title: "object requests", digits: 1 },
        rowWritten: { title: "rows written", digits: 1 },
        rowRead: { title: "rows read", digits: 0 },
        operations: { title: "queue operations", digits: 1 },
        r2ClassA: { title: "class A", digits: 0 },
        kvWrite: { title: "KV writes", digits: 2 },
        objectSecond: { title: "object s", digits: 1 },
        price: { title: "µ$", digits: 2 },
      },
      rows: [
        row(LOOP, costs.loopDay),
        ...days,
        row(`a job of ${RUN_SECONDS / 60} minutes, alone`, costs.job),
        row("a callback", costs.callback),
        row("a GiB moved and proven", costs.gib),
      ],
      baseline: LOOP,
      ratios: ["price"],
      aims: days.slice(1).map(({ label, values }) => ({
        text: `${label}, costs less than a loop of its own`,
        met: (values.price ?? 0) < dollars(costs.loopDay) * 1e6,
      })),
      notes: [
        "rows, alarms, messages, KV and R2 are counted in the Tracker's rooms on the virtual clock; object requests, seconds and CPU follow from them by the assumptions in docs/cost.md",
        "the loop is the cheapest design we know that polls per job: one queue message that puts itself back every minute, keeping nothing",
      ],
    };
  },
};

const LOOP = "a job watched for a day, by its own loop";

async function count(rooms: Rooms, liveJobs: readonly number[]): Promise<Costs> {
  const silent = await rooms.run("life", { runSeconds: RUN_SECONDS, receivers: 0 });
  const told = await rooms.run("life", { runSeconds: RUN_SECONDS, receivers: RECEIVERS });
  const small = await rooms.run("move", { bytes: TWO_PARTS });
  const large = await rooms.run("move", { bytes: FOUR_PARTS });
  const days = new Map<number, Bill>();
  for (const jobs of liveJobs) {
    const day = scaled(billOf(await rooms.run("vigil", { jobs })), 24);
    days.set(jobs, plus(day, { ...NOTHING, objectRequest: ASSUMED.minutesOfADay }));
  }
  // Their rounds fall a little differently; the difference is to be that of the callbacks alone.
  const sameRounds = { alarms: silent.alarms, counts: { ...told.counts, alarmsSet: silent.counts.alarmsSet } };
  const callbacks = scaled(plus(billOf({ ...told, ...sameRounds }), scaled(billOf(silent), -1)), 1 / told.callbacks);
  const part = scaled(plus(billOf(large), scaled(billOf(small), -1)), 1 / 2);
  return {
    job: plus(billOf(silent), {
      ...NOTHING,
      workerRequest: 1,
      objectRequest: 1,
      cpuMillisecond: ASSUMED.cpuOfARequest,
    }),
    callback: plus(callbacks, { ...NOTHING, cpuMillisecond: ASSUMED.cpuOfAMessage }),
    gib: plus(plus(billOf(small), scaled(part, PARTS_OF_A_GIB - 2)), { ...NOTHING, cpuMillisecond: ASSUMED.cpuOfAGiB }),
    days,
    loopDay: scaled(
      { ...NOTHING, queueOperation: OPERATIONS_OF_A_MESSAGE, workerRequest: 1, cpuMillisecond: ASSUMED.cpuOfAMessage },
      ASSUMED.minutesOfADay,
    ),
  };
}

function billOf({ counts, alarms }: LifeOutput): Bill {
  const { commands, transfers, callbacks } = counts.messages;
  const messages = commands + transfers + callbacks;
  const calls =
    commands * ASSUMED.callsOfACommand + transfers * ASSUMED.callsOfATransfer + callbacks * ASSUMED.callsOfACallback;
  return {
    workerRequest: messages,
    cpuMillisecond: messages * ASSUMED.cpuOfAMessage,
    objectRequest: alarms + calls,
    objectSecond: alarms * ASSUMED.secondsOfARound + calls * ASSUMED.secondsOfACall,
    rowRead: counts.rowsRead,
    rowWritten: counts.rowsWritten + counts.alarmsSet,
    queueOperation: messages * OPERATIONS_OF_A_MESSAGE,
    kvRead: counts.kvReads,
    kvWrite: counts.kvWrites,
    r2ClassA: counts.r2ClassA,
    r2ClassB: counts.r2ClassB,
  };
}
