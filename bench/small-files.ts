/** Many small files into R2 in the local runtime: what a file costs beside its bytes. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sha256OfStaged, stagedServer } from "../test/support/staged-server.ts";
import type { TransferHouse } from "../test/support/transfer-house.ts";
import { type Bench, MIB } from "./bench.ts";
import { FORMULA, operationsOfAFile } from "./file-cost.ts";
import { copyWork, inRuntime } from "./support/copies.ts";
import { installed, NO_RCLONE, type Use, useOfCommand } from "./support/processes.ts";
import { median, type Row, type Table } from "./table.ts";

const FILES = 100;
const FILE_BYTES = 1e6;
const PUT = "plain streamed puts, one after the other";
const OURS = "transfers, as the queue brings them";

export const smallFiles: Bench = {
  name: "small-files",
  async run({ bytes = FILE_BYTES, runs = 3 }) {
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
    const hasRclone = await installed("rclone");
    if (hasRclone)
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
    return tableOf(bytes, runs, uses, hasRclone);
  },
};

/** All are wanted at once; the queue brings them as it does. */
async function transfers(house: TransferHouse, url: string, bytes: number, numbers: readonly number[]): Promise<void> {
  const whole = { sha256: sha256OfStaged(bytes), overwrite: false };
  const works = numbers.map((n) => ({ ...copyWork(url, bytes, "hash", `bench/small-${n}`), whole }));
  await house.startAll("small", works);
  const { outcomes } = await house.ended("small");
  const stored = outcomes.filter(({ kind }) => kind === "completed");
  if (stored.length !== numbers.length)
    throw new Error(`${stored.length} files arrived; the first outcome is ${JSON.stringify(outcomes[0])}`);
}

function tableOf(bytes: number, runs: number, uses: ReadonlyMap<string, Use[]>, hasRclone: boolean): Table {
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
      "locally the queue brings one batch of six after the other; at Cloudflare consumers run beside each other",
      "R2 compares each of our files with the hash that the site told: the local simulator hashes in JavaScript, Cloudflare's does not",
      `a plain put neither goes on after a crash nor proves anything; median of ${runs} run${runs === 1 ? "" : "s"}`,
      ...(hasRclone ? [] : [NO_RCLONE]),
    ],
  };
}
