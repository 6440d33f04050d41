/** `npm run bench [-- name …] [--bytes 5e9] [--runs 3] [--seconds 600] [--most 1000]`: prints one table per claim, keeps it under bench/results and renews docs/benchmarks.md. */
import { mkdir, writeFile } from "node:fs/promises";
import { cpus, loadavg, release, totalmem } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Bench } from "./bench.ts";
import { GIB } from "./bench.ts";
import { bytes } from "./bytes.ts";
import { copyLoop } from "./copy-loop.ts";
import { cost } from "./cost.ts";
import { deliveries } from "./deliveries.ts";
import { inbound } from "./inbound.ts";
import { latency } from "./latency.ts";
import { manyJobs } from "./many-jobs.ts";
import { BENCH_NAMES, type BenchName, benchmarksPage } from "./page.ts";
import { requests } from "./requests.ts";
import { smallFiles } from "./small-files.ts";
import { formatTable } from "./table.ts";
import { uploads } from "./uploads.ts";

const BENCHES: Record<BenchName, Bench> = {
  requests,
  latency,
  inbound,
  deliveries,
  "many-jobs": manyJobs,
  cost,
  bytes,
  "small-files": smallFiles,
  uploads,
  "copy-loop": copyLoop,
};

/** Numbers mean little without the machine that made them, and what else it did at the time. */
const machine = () => ({
  cpu: cpus()[0]?.model ?? "unknown",
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / GIB),
  system: `${process.platform} ${release()}`,
  node: process.version,
});

/** A whole number above zero, also as `1e9`; undefined where nothing was given. */
function wholeNumber(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1)
    throw new RangeError(`--${name} must be a whole number above zero, not ${text}`);
  return value;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    bytes: { type: "string" },
    runs: { type: "string" },
    seconds: { type: "string" },
    most: { type: "string" },
  },
});
const options = {
  bytes: wholeNumber("bytes", values.bytes),
  runs: wholeNumber("runs", values.runs),
  seconds: wholeNumber("seconds", values.seconds),
  most: wholeNumber("most", values.most),
};
const unknown = positionals.filter((name) => !(name in BENCHES));
if (unknown.length > 0) throw new RangeError(`no benchmark ${unknown.join(", ")}; there are ${BENCH_NAMES.join(", ")}`);

const folder = join(import.meta.dirname, "results");
await mkdir(folder, { recursive: true });
for (const name of BENCH_NAMES) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const loadBefore = Math.round((loadavg()[0] ?? 0) * 100) / 100;
  const table = await BENCHES[name].run(options);
  const at = new Date().toISOString();
  console.log(`\n${formatTable(table)}\n${at} on ${Object.values(machine()).join(", ")}; load before ${loadBefore}\n`);
  await writeFile(
    join(folder, `${name}.json`),
    `${JSON.stringify({ at, machine: machine(), loadBefore, options, ...table }, null, 2)}\n`,
  );
}
await writeFile(join(import.meta.dirname, "..", "docs", "benchmarks.md"), benchmarksPage());
