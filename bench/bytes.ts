/** A staged file into R2 in the local runtime: the whole transfer Worker, queue and Tracker calls included. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { CopyWork } from "../shared/contract/rpc.ts";
import { stagedServer } from "../test/support/staged-server.ts";
import { openTransferHouse, type TransferHouse } from "../test/support/transfer-house.ts";
import { type Bench, GIB, MIB } from "./bench.ts";
import { commandOf, descendants, installed, type Use, useOf, useOfCommand } from "./support/processes.ts";
import { median, type Row, type Table } from "./table.ts";

const PUT = "one plain streamed put";
const OURS = { "transfer in parts": "parts", "transfer in order, hashed": "hash" } as const;

export const bytes: Bench = {
  name: "bytes",
  async run({ bytes = 1e9, runs = 1 }) {
    const source = await stagedServer(bytes);
    const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
    const file = join(folder, "file");
    const ways: [label: string, measure: () => Promise<Use>][] = [
      [PUT, () => inRuntime((house) => house.plainPut(source.url, "bench/plain"))],
      ...Object.entries(OURS).map(([label, mode]): [string, () => Promise<Use>] => [
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
    const rows = [...uses].map(([label, all]) => ({
      label,
      values: {
        speed: bytes / 1e6 / median(all.map(({ seconds }) => seconds)),
        cpu: (median(all.map(({ cpuSeconds }) => cpuSeconds)) / bytes) * GIB,
        memory: median(all.map(({ peakBytes }) => peakBytes)) / MIB,
      },
    }));
    return tableOf(bytes, runs, rows);
  },
};

/** Measures workerd, in a runtime of its own each time: what one leaves behind would weigh on the next. */
async function inRuntime(work: (house: TransferHouse) => Promise<void>): Promise<Use> {
  const house = await openTransferHouse();
  try {
    const workerd = descendants(process.pid).find((pid) => commandOf(pid) === "workerd");
    if (workerd === undefined) throw new Error("there is no workerd below this process");
    return await useOf(workerd, () => work(house));
  } finally {
    await house.close();
  }
}

async function transfer(house: TransferHouse, url: string, totalBytes: number, mode: CopyWork["mode"]): Promise<void> {
  const work: CopyWork = {
    kind: "copy",
    transfer: `tr_${"0".repeat(26)}`,
    url,
    objectKey: "bench/ours",
    expectedBytes: totalBytes,
    parts: [],
    mode,
    hashParts: false,
    segmentMs: 45_000,
    metadata: {},
  };
  await house.start("bench", work);
  const last = (await house.ended("bench")).outcomes.at(-1);
  if (last?.kind !== "completed") throw new Error(`the transfer ended as ${JSON.stringify(last)}`);
}

function tableOf(totalBytes: number, runs: number, rows: Row[]): Table {
  const speed = (label: string) => rows.find((row) => row.label === label)?.values.speed ?? Number.NaN;
  return {
    name: bytes.name,
    claim: `a staged file of ${(totalBytes / 1e9).toFixed(2)} GB arrives in R2 as fast as one plain put, resumable and proven`,
    measures: {
      speed: { title: "MB/s", digits: 1 },
      cpu: { title: "CPU s/GiB", digits: 1 },
      memory: { title: "peak MiB", digits: 0 },
    },
    rows,
    baseline: PUT,
    ratios: ["speed", "cpu", "memory"],
    aims: Object.keys(OURS).map((label) => ({
      text: `${label} ≥ 1.0 × the plain put`,
      met: speed(label) >= speed(PUT),
    })),
    notes: [
      "Miniflare's R2 simulator passes every 4 KiB through JavaScript in one thread, and that is the limit here; Cloudflare's R2 does not run here",
      `CPU and memory of the first rows are those of workerd, simulator included; median of ${runs} run${runs === 1 ? "" : "s"}`,
    ],
  };
}
