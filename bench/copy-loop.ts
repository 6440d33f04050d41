/** What the copy itself costs: bare workerd, a staged file on one side and a sink that keeps nothing on the other. */
import type { CopyWork } from "../shared/contract/work.ts";
import { sha256OfStaged, stagedServer } from "../test/support/staged-server.ts";
import { type Bench, GIB, MIB } from "./bench.ts";
import { residentBytes, type Use, useOf, useOfCommand } from "./support/processes.ts";
import { openSink } from "./support/sink.ts";
import { openWorker } from "./support/workerd.ts";
import { median, type Row, type Table } from "./table.ts";

const AIMS = { plainCpu: 2.5, hashedCpu: 4.5, plainMiB: 64, hashedMiB: 110 } as const;
const WAYS = {
  "copy in parts": { mode: "parts", hashParts: false },
  "copy in parts, each hashed": { mode: "parts", hashParts: true },
  "copy in order, hashed": { mode: "hash", hashParts: false },
} as const satisfies Record<string, Pick<CopyWork, "mode" | "hashParts">>;
const PASS = "body passed through";
const CURL = "curl | curl";

export const copyLoop: Bench = {
  name: "copy-loop",
  async run({ bytes = GIB, runs = 3 }) {
    const source = await stagedServer(bytes);
    const sink = await openSink();
    const sha256 = sha256OfStaged(bytes);
    const uses = new Map<string, LoopUse[]>();
    const keep = (label: string, use: LoopUse) => uses.set(label, [...(uses.get(label) ?? []), use]);
    try {
      // In turn, so that a busy minute of the machine does not fall on one row alone.
      for (let run = 0; run < runs; run++) {
        keep(PASS, await inWorker({ kind: "pass", source: source.url, sink: sink.url }, sha256));
        for (const [label, way] of Object.entries(WAYS)) {
          const work = copyWork(source.url, bytes, way);
          keep(label, await inWorker({ kind: "copy", source: source.url, sink: sink.url, work }, sha256));
        }
        const taken = sink.bytes();
        const curl = `curl -sS '${source.url}' | curl -sS -o /dev/null -T - '${sink.url}'`;
        keep(CURL, { ...(await useOfCommand(curl)), idleBytes: 0 });
        if (sink.bytes() - taken !== bytes) throw new Error("curl did not bring every byte");
      }
    } finally {
      await Promise.all([source.close(), sink.close()]);
    }
    return tableOf(bytes, runs, uses);
  },
};

function copyWork(url: string, bytes: number, way: Pick<CopyWork, "mode" | "hashParts">): CopyWork {
  return {
    kind: "copy",
    transfer: "tr_bench",
    url,
    objectKey: "bench/file",
    expectedBytes: bytes,
    parts: [],
    segmentMs: 600_000,
    metadata: {},
    ...way,
  };
}

/** What the Worker is told, and what it answers: `support/copy-worker.ts`. */
interface Order {
  kind: "copy" | "pass";
  source: string;
  sink: string;
  work?: CopyWork;
}

interface LoopUse extends Use {
  /** Resident before the order came. */
  idleBytes: number;
}

/** One order in a fresh workerd. Throws unless its outcome is right. */
async function inWorker(order: Order, sha256: string): Promise<LoopUse> {
  const worker = await openWorker("bench/support/copy-worker.ts");
  const send = async (body: Order) => {
    const response = await fetch(worker.url, { method: "POST", body: JSON.stringify(body) });
    return (await response.json()) as { outcome: { kind: string; sha256?: string } };
  };
  try {
    // The first request loads the code. An empty file is refused, so nothing is copied yet.
    await send({ ...order, kind: "copy", work: copyWork(order.source, 0, WAYS["copy in parts"]) });
    const idleBytes = residentBytes(worker.pid);
    const use = await useOf(worker.pid, async () => {
      const { outcome } = await send(order);
      if (outcome.kind !== "copied") throw new Error(`the copy ended as ${JSON.stringify(outcome)}`);
      if (order.work?.mode === "hash" && outcome.sha256 !== sha256) throw new Error("the hash is wrong");
    });
    return { ...use, idleBytes };
  } finally {
    await worker.close();
  }
}

function tableOf(bytes: number, runs: number, uses: Map<string, LoopUse[]>): Table {
  const gib = bytes / GIB;
  const rows: Row[] = [...uses].map(([label, all]) => ({
    label,
    values: {
      speed: bytes / 1e6 / median(all.map(({ seconds }) => seconds)),
      cpu: median(all.map(({ cpuSeconds }) => cpuSeconds)) / gib,
      memory: median(all.map(({ peakBytes, idleBytes }) => peakBytes - idleBytes)) / MIB,
    },
  }));
  const of = (label: string, measure: string) => rows.find((row) => row.label === label)?.values[measure] ?? Number.NaN;
  const hashed = ["copy in parts, each hashed", "copy in order, hashed"];
  const worst = (measure: string) => Math.max(...hashed.map((label) => of(label, measure)));
  return {
    name: copyLoop.name,
    claim: `the copy loop alone moves ${gib.toFixed(2)} GiB through a Worker at little more than the cost of passing it through`,
    measures: {
      speed: { title: "MB/s", digits: 0 },
      cpu: { title: "CPU s/GiB", digits: 2 },
      memory: { title: "MiB above idle", digits: 0 },
    },
    rows,
    baseline: PASS,
    ratios: ["speed", "cpu"],
    aims: [
      { text: `plain ≤ ${AIMS.plainCpu} CPU s/GiB`, met: of("copy in parts", "cpu") <= AIMS.plainCpu },
      { text: `hashed ≤ ${AIMS.hashedCpu} CPU s/GiB`, met: worst("cpu") <= AIMS.hashedCpu },
      { text: `plain ≤ ${AIMS.plainMiB} MiB above idle`, met: of("copy in parts", "memory") <= AIMS.plainMiB },
      { text: `hashed ≤ ${AIMS.hashedMiB} MiB above idle`, met: worst("memory") <= AIMS.hashedMiB },
    ],
    notes: [
      `median of ${runs} runs; source and sink are one Node process on loopback that shares the machine, so MB/s is theirs as much as ours`,
      "CPU and memory are workerd's own (of both curl processes in that row)",
    ],
  };
}
