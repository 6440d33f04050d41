/** docs/benchmarks.md: the newest result of every benchmark, with the machine that made it. */
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { markdownTable, type Table } from "./table.ts";

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
\`bytes\` and \`copy-loop\`. \`requests\` and \`latency\` install pyfirecrest into \`bench/.venv\` on their first run; without Python or a network
they say so and go on. Everything runs in the local runtime (workerd, Miniflare): times say what our code costs beside other
code there, not how fast Cloudflare is. Counts of requests, rows and messages hold anywhere. What it all costs: [cost.md](cost.md).
`;

export async function benchmarksPage(folder: string, order: readonly string[]): Promise<string> {
  const files = await readdir(folder);
  const results = await Promise.all(
    order
      .filter((name) => files.includes(`${name}.json`))
      .map(async (name) => JSON.parse(await readFile(join(folder, `${name}.json`), "utf8")) as Result),
  );
  return `${[HEAD, ...results.map(section)].join("\n")}`;
}

function section(result: Result): string {
  const { at, machine, loadBefore } = result;
  const others = loadBefore !== undefined && loadBefore > QUIET_LOAD ? "; **taken while others used the machine**" : "";
  const load = loadBefore === undefined ? "" : `, load before ${loadBefore}${others}`;
  return `${markdownTable(result)}\n- ${at.slice(0, 10)}, ${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.system}, Node ${machine.node}${load}\n`;
}
