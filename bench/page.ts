/** docs/benchmarks.md: the newest result of every benchmark, with the machine that made it. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { markdownTable, type Table } from "./table.ts";

/** All benchmarks, as they stand on the page. */
export const BENCH_NAMES = [
  "requests",
  "latency",
  "inbound",
  "deliveries",
  "many-jobs",
  "cost",
  "bytes",
  "small-files",
  "uploads",
  "copy-loop",
] as const;
export type BenchName = (typeof BENCH_NAMES)[number];

/** What `run.ts` keeps of one run. */
export interface Result extends Table {
  at: string;
  machine: { cpu: string; cores: number; memoryGiB: number; system: string; node: string };
  /** Processes that wanted the machine in the minute before; absent in older results. */
  loadBefore?: number;
}

/** One job on two cores is enough to disturb the times of another. */
const QUIET_LOAD = 1;

const HEAD = `# Benchmarks

Each claim against what one would do without Firewatch, in the same run, on one machine. The tables are made by the programs in
\`bench/\`; none is written by hand, and aims that were missed stay here.

    npm run bench                       # all
    npm run bench -- requests latency   # some
    npm run bench -- bytes --bytes 5e9 --runs 3
    npm run bench -- requests --seconds 600 --most 1000

\`--seconds\` is how long others are run for real, \`--most\` the largest number of jobs, \`--bytes\` and \`--runs\` the file and the repeats of
\`bytes\`, \`uploads\` and \`copy-loop\`. \`requests\` and \`latency\` install pyfirecrest into \`bench/.venv\` on their first run; without Python or a network
they say so and go on. Everything runs in the local runtime (workerd, Miniflare): times say what our code costs beside other
code there, not how fast Cloudflare is. Counts of requests, rows and messages hold anywhere. What it all costs: [cost.md](cost.md).
`;

export function benchmarksPage(): string {
  const results = BENCH_NAMES.map((name) => join(import.meta.dirname, "results", `${name}.json`))
    .filter((file) => existsSync(file))
    .map((file) => JSON.parse(readFileSync(file, "utf8")) as Result);
  return [HEAD, ...results.map(section)].join("\n");
}

function section(result: Result): string {
  const { at, machine, loadBefore } = result;
  const others = loadBefore !== undefined && loadBefore > QUIET_LOAD ? "; **taken while others used the machine**" : "";
  const load = loadBefore === undefined ? "" : `, load before ${loadBefore}${others}`;
  return `${markdownTable(result)}\n- ${at.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}${load}\n`;
}
