/** Many small files into R2 in the local runtime: what a file costs beside its bytes. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stagedServer } from "../test/support/staged-server.ts";
import type { TransferHouse } from "../test/support/transfer-house.ts";
import { type Bench, MIB } from "./bench.ts";
import { FORMULA, operationsOfAFile } from "./file-cost.ts";
import { copyWork, inRuntime } from "./support/copies.ts";
import { installed, type Use, useOfCommand } from "./support/processes.ts";
import { median, type Row, type Table } from "./table.ts";

const FILES = 100;
const FILE_BYTES = 1e6;
const PUT = "plain streamed puts, one after the other";
const OURS = "transfers, as the queue brings them";

export const smallFiles: Bench = {
  name: "small-files",
  async run({ bytes = FILE_BYTES, runs = 1 }) {
    const source = await stagedServer(bytes);
    const folder = await mkdtemp(join(tmpdir(), "firewatch-bench-"));
    const numbers = Array.from({ length: FILES }, (_, n) => n);
    const shell = (command: string) => `for n in $(seq ${FILES}); do ${command}; done`;
    const ways: [label: string, measure: () => Promise<Use>][] = [
      [
        PUT,
        () =>
          inRuntime(async (house) => {
            for (const n of numbers) await house.plainPut(source.url, `bench/plain-${n}`);
          }),
      ],
      [OURS, () => inRuntime((house) => transfers(house, source.url, bytes, numbers))],
      ["curl -o, one after the other", () => useOfCommand(shell(`curl -sS -o '${folder}'/$n '${source.url}'`))],
    ];
    if (await installed("rclone"))
      ways.push([
        "rclone copyurl, one after the other",
        () => useOfCommand(shell(`rclone copyurl '${source.url}' '${folder}'/$n`)),
      ]);
    const uses = new Map<string, Use[]>(ways.map(([label]) => [label, []]));
    try {
      for (let run = 0; run < runs; run++) for (const [label, measure] of ways) uses.get(label)?.push(await measure());
    } finally {
      await source.close();
      await rm(folder, { recursive: true, force: true });
    }
    return tableOf(bytes, runs, uses);
  },
};

/** All are wanted at once; the queue brings them one by one. */
async function transfers(house: TransferHouse, url: string, bytes: number, numbers: readonly number[]): Promise<void> {
  await Promise.all(numbers.map((n) => house.start(`small-${n}`, copyWork(url, bytes, "hash", `bench/small-${n}`))));
  for (const n of numbers) {
    const last = (await house.ended(`small-${n}`)).outcomes.at(-1);
    if (last?.kind !== "completed") throw new Error(`file ${n} ended as ${JSON.stringify(last)}`);
  }
}

function tableOf(bytes: number, runs: number, uses: ReadonlyMap<string, Use[]>): Table {
  const ours = operationsOfAFile(bytes);
  const rows: Row[] = [...uses].map(([label, all]) => ({
    label,
    values: {
      files: FILES / median(all.map(({ seconds }) => seconds)),
      cpu: (median(all.map(({ cpuSeconds }) => cpuSeconds)) / FILES) * 1000,
      memory: median(all.map(({ peakBytes }) => peakBytes)) / MIB,
      ...(label === PUT && { classA: 1, invocations: 1 }),
      ...(label === OURS && { classA: ours.r2ClassA, invocations: ours.transferInvocations }),
    },
  }));
  const of = (label: string, measure: string) => rows.find((row) => row.label === label)?.values[measure] ?? Number.NaN;
  return {
    name: smallFiles.name,
    claim: `${FILES} files of ${(bytes / 1e6).toFixed(1)} MB each cost little more than their bytes`,
    measures: {
      files: { title: "files/s", digits: 1 },
      cpu: { title: "CPU ms/file", digits: 1 },
      memory: { title: "peak MiB", digits: 0 },
      classA: { title: "class A/file", digits: 0 },
      invocations: { title: "invocations/file", digits: 0 },
    },
    rows,
    baseline: PUT,
    ratios: ["files", "cpu"],
    aims: [
      { text: "at least half as many files a second as plain puts", met: of(OURS, "files") >= of(PUT, "files") / 2 },
    ],
    notes: [
      FORMULA,
      "locally the queue brings one message after the other; at Cloudflare consumers run beside each other",
      `a plain put neither goes on after a crash nor proves anything; median of ${runs} run${runs === 1 ? "" : "s"}`,
    ],
  };
}
