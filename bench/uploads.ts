/** An object of R2 to a site's staging area in the local runtime: the whole transfer Worker, queue and Tracker calls included. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { UpWork } from "../shared/contract/up.ts";
import { stagedServer } from "../test/support/staged-server.ts";
import { openTransferHouse, type TransferHouse } from "../test/support/transfer-house.ts";
import { type Bench, GIB, MIB } from "./bench.ts";
import { inRuntime } from "./support/copies.ts";
import { type Use, useOfCommand } from "./support/processes.ts";
import { openSink, type Sink } from "./support/sink.ts";
import { median, type Row, type Table } from "./table.ts";

const LARGE_BYTES = 1e9;
/** How much smaller the file is with which the memory is compared. */
const SHARE = 5;
const FLAT = 1.25;
const LEAST = 0.8;
/** Of FirecREST v2 as CSCS runs it. */
const PART_BYTES = 128 * MIB;
const OBJECT = "bench/file";

const PLAIN = "one plain streamed request";
const PARTS = "upload in parts (v2)";
const FORM = "upload in a form (v1)";
const CURL = "curl -T";

export const uploads: Bench = {
  name: "uploads",
  async run({ bytes = LARGE_BYTES, runs = 1 }) {
    const sizes = [bytes, Math.ceil(bytes / SHARE)] as const;
    const rows: Row[] = [];
    for (const size of sizes) rows.push(...(await rowsOf(size, runs)));
    return tableOf(sizes, runs, rows);
  },
};

const labelOf = (label: string, bytes: number): string => `${label}, ${bytes / 1e9} GB`;

async function rowsOf(bytes: number, runs: number): Promise<Row[]> {
  const sink = await openSink();
  const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
  try {
    const etag = await makeObject(folder, bytes, join(folder, "file"));
    const ways: [label: string, measure: () => Promise<Use>][] = [
      [PLAIN, () => inRuntime((house) => house.plainSend(OBJECT, sink.url), folder)],
      [PARTS, () => inRuntime((house) => upload(house, inParts(bytes, etag, sink)), folder)],
      [FORM, () => inRuntime((house) => upload(house, inForm(bytes, etag, sink)), folder)],
      [CURL, () => useOfCommand(`curl -sS -o /dev/null -T '${folder}/file' '${sink.url}'`)],
    ];
    const uses = new Map<string, Use[]>(ways.map(([label]) => [label, []]));
    for (let run = 0; run < runs; run++)
      for (const [label, measure] of ways) {
        const before = sink.bytes();
        uses.get(label)?.push(await measure());
        if (sink.bytes() - before < bytes) throw new Error(`${label}: not every byte arrived`);
      }
    return [...uses].map(([label, all]) => ({
      label: labelOf(label, bytes),
      values: {
        speed: bytes / 1e6 / median(all.map(({ seconds }) => seconds)),
        cpu: (median(all.map(({ cpuSeconds }) => cpuSeconds)) / bytes) * GIB,
        memory: median(all.map(({ peakBytes }) => peakBytes)) / MIB,
      },
    }));
  } finally {
    await sink.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/** The same bytes as an object, left in the folder for other runtimes, and as a file. Answers the object's tag. */
async function makeObject(folder: string, bytes: number, file: string): Promise<string> {
  const source = await stagedServer(bytes);
  const house = await openTransferHouse(folder);
  try {
    await house.plainPut(source.url, OBJECT);
    await useOfCommand(`curl -sS -o '${file}' '${source.url}'`);
    return (await house.bucket.head(OBJECT))?.etag ?? "";
  } finally {
    await house.close();
    await source.close();
  }
}

const workOf = (bytes: number, etag: string, sink: Sink) => ({
  transfer: `tr_${"0".repeat(26)}`,
  source: { objectKey: OBJECT, etag, bytes },
  storageOrigins: [new URL(sink.url).origin],
});

const inParts = (bytes: number, etag: string, sink: Sink): UpWork => ({
  kind: "send_parts",
  ...workOf(bytes, etag, sink),
  partBytes: PART_BYTES,
  partUrls: Array.from({ length: Math.ceil(bytes / PART_BYTES) }, (_, n) => ({
    n: n + 1,
    url: `${sink.url}/?part=${n + 1}`,
  })),
  completeUrl: `${sink.url}/?complete`,
  parts: [],
  again: false,
  segmentMs: Number.MAX_SAFE_INTEGER,
});

const inForm = (bytes: number, etag: string, sink: Sink): UpWork => ({
  kind: "send_form",
  ...workOf(bytes, etag, sink),
  form: { url: sink.url, fields: { key: "alice/file", signature: "0".repeat(64) } },
  fileName: "file",
});

async function upload(house: TransferHouse, work: UpWork): Promise<void> {
  await house.start("bench", work);
  const last = (await house.ended("bench")).outcomes.at(-1);
  if (last?.kind !== "sent") throw new Error(`the upload ended as ${JSON.stringify(last)}`);
}

function tableOf([large, small]: readonly [number, number], runs: number, rows: Row[]): Table {
  const of = (label: string, size: number, measure: string) =>
    rows.find((row) => row.label === labelOf(label, size))?.values[measure] ?? Number.NaN;
  return {
    name: uploads.name,
    claim: `an object of ${large / 1e9} GB goes up in resumable parts, or in a form, about as fast as one plain request, and in the memory of a small one`,
    measures: {
      speed: { title: "MB/s", digits: 1 },
      cpu: { title: "CPU s/GiB", digits: 1 },
      memory: { title: "peak MiB", digits: 0 },
    },
    rows,
    baseline: labelOf(PLAIN, large),
    ratios: ["speed", "cpu", "memory"],
    aims: [PARTS, FORM].flatMap((label) => [
      {
        text: `${labelOf(label, large)} ≥ ${LEAST} × the plain request`,
        met: of(label, large, "speed") >= LEAST * of(PLAIN, large, "speed"),
      },
      {
        text: `${labelOf(label, large)} needs ≤ ${FLAT} × the memory of ${small / 1e9} GB`,
        met: of(label, large, "memory") <= FLAT * of(label, small, "memory"),
      },
    ]),
    notes: [
      "the store is a Node process on loopback that keeps nothing; curl reads a file, all others an object of Miniflare's R2 simulator, in workerd",
      `CPU and memory are those of workerd, simulator included (of curl in its rows); median of ${runs} run${runs === 1 ? "" : "s"}`,
    ],
  };
}
