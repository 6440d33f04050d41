/** A staged file into R2 in the local runtime: the whole transfer Worker, queue and Tracker calls included. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CopyWork } from "../shared/contract/work.ts";
import { stagedServer } from "../test/support/staged-server.ts";
import type { TransferHouse } from "../test/support/transfer-house.ts";
import { type Bench, GIB, MIB } from "./bench.ts";
import { copyWork, inRuntime } from "./support/copies.ts";
import { installed, NO_RCLONE, type Use, useOfCommand } from "./support/processes.ts";
import { median, type Row, type Table } from "./table.ts";

const PUT = "one plain streamed put";
const OURS = { "transfer in parts": "parts", "transfer in order, hashed": "hash" } as const;
/** Above a GiB nothing is hashed in order: such a file is copied in parts. */
const LARGE = "transfer in parts";
/** What every way is measured at; larger files are compared with it. */
const USUAL = 1e9;
const LARGEST = 5e9;
/** How much more than its share a file five times as large may take. */
const LINEAR = 1.1;
const FLAT = 1.25;

export const bytes: Bench = {
  name: "bytes",
  async run({ bytes = LARGEST, runs = 1 }) {
    const [first, ...larger] = bytes > USUAL ? [USUAL, bytes] : [bytes];
    const rows = [...(await rowsOf(first, runs, true))];
    for (const size of larger) rows.push(...(await rowsOf(size, runs, false)));
    return tableOf([first, ...larger], runs, rows, await installed("rclone"));
  },
};

const labelOf = (label: string, bytes: number): string => `${label}, ${bytes / 1e9} GB`;

/** All ways beside each other at the first size; at larger ones what is to be compared with itself. */
async function rowsOf(bytes: number, runs: number, all: boolean): Promise<Row[]> {
  const source = await stagedServer(bytes);
  const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  const file = join(folder, "file");
  const ours = Object.entries(OURS).filter(([label]) => all || label === LARGE);
  const ways: [label: string, measure: () => Promise<Use>][] = [
    [PUT, () => inRuntime((house) => house.plainPut(source.url, "bench/plain"))],
    ...ours.map(([label, mode]): [string, () => Promise<Use>] => [
      label,
      () => inRuntime((house) => transfer(house, source.url, bytes, mode)),
    ]),
    ["curl -o", () => useOfCommand(`curl -sS -o '${file}' '${source.url}'`)],
  ];
  if (await installed("rclone"))
    ways.push(["rclone copyurl", () => useOfCommand(`rclone copyurl '${source.url}' '${file}'`)]);
  const uses = new Map<string, Use[]>(ways.map(([label]) => [label, []]));
  try {
    // In turn, so that a busy minute of the machine does not fall on one row alone.
    for (let run = 0; run < runs; run++) for (const [label, measure] of ways) uses.get(label)?.push(await measure());
  } finally {
    await source.close();
    await rm(folder, { recursive: true, force: true });
  }
  return [...uses].map(([label, measured]) => ({
    label: labelOf(label, bytes),
    values: {
      speed: bytes / 1e6 / median(measured.map(({ seconds }) => seconds)),
      cpu: (median(measured.map(({ cpuSeconds }) => cpuSeconds)) / bytes) * GIB,
      memory: median(measured.map(({ peakBytes }) => peakBytes)) / MIB,
    },
  }));
}

async function transfer(house: TransferHouse, url: string, totalBytes: number, mode: CopyWork["mode"]): Promise<void> {
  await house.start("bench", copyWork(url, totalBytes, mode, "bench/ours"));
  const last = (await house.ended("bench")).outcomes.at(-1);
  if (last?.kind !== "completed") throw new Error(`the transfer ended as ${JSON.stringify(last)}`);
}

function tableOf(sizes: readonly number[], runs: number, rows: Row[], hasRclone: boolean): Table {
  const [first = 0, ...larger] = sizes;
  const of = (label: string, size: number, measure: string) =>
    rows.find((row) => row.label === labelOf(label, size))?.values[measure] ?? Number.NaN;
  return {
    name: bytes.name,
    claim: `a staged file of ${sizes.map((size) => size / 1e9).join(" and ")} GB arrives in R2 as fast as one plain put, resumable and proven`,
    measures: {
      speed: { title: "MB/s", digits: 1 },
      cpu: { title: "CPU s/GiB", digits: 1 },
      memory: { title: "peak MiB", digits: 0 },
    },
    rows,
    baseline: labelOf(PUT, first),
    ratios: ["speed", "cpu", "memory"],
    aims: [
      ...Object.keys(OURS).map((label) => ({
        text: `${labelOf(label, first)} ≥ 1.0 × the plain put`,
        met: of(label, first, "speed") >= of(PUT, first, "speed"),
      })),
      ...larger.flatMap((size) => [
        {
          text: `${labelOf(LARGE, size)} takes ≤ ${LINEAR} × its share of the time of ${first / 1e9} GB`,
          met: of(LARGE, first, "speed") / of(LARGE, size, "speed") <= LINEAR,
        },
        {
          text: `${labelOf(LARGE, size)} needs ≤ ${FLAT} × the memory of ${first / 1e9} GB`,
          met: of(LARGE, size, "memory") <= FLAT * of(LARGE, first, "memory"),
        },
      ]),
    ],
    notes: [
      "Miniflare's R2 simulator passes every 4 KiB through JavaScript in one thread, and that is the limit here; Cloudflare's R2 does not run here",
      `CPU and memory of puts and transfers are those of workerd, simulator included; median of ${runs} run${runs === 1 ? "" : "s"}`,
      ...(hasRclone ? [] : [NO_RCLONE]),
    ],
  };
}
