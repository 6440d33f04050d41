/** A fresh embedded FirecREST for one suite of Python cases, and what the suite said. */
import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type FirecrestOptions, startFirecrest } from "../../local/firecrest/server.ts";

/** One suite on one release of the client. */
export interface Run {
  /** Folder of the virtual environment, as `requirements-<client>.txt` is named. */
  client: string;
  /** Script beside this file, and its arguments. */
  script: string;
  args: readonly string[];
  options?: Partial<FirecrestOptions>;
}

export interface Case {
  case: string;
  error: string | null;
  seconds: number;
}

export interface Outcome {
  cases: Case[];
  /** What the interpreter said when it did not get to the end. */
  crash: string | undefined;
}

const MAX_OUTPUT_BYTES = 64 * 1_048_576;
const LIVE = new Set(["PENDING", "RUNNING", "COMPLETING"]);
const LIMIT_MS = 600_000;

/** Runs a suite with the given Python against a server of its own, on a free port and in a folder that is removed afterwards. */
export async function runSuite(python: string, { script, args, options = {} }: Run): Promise<Outcome> {
  const dir = await mkdtemp(join(tmpdir(), "firewatch-conformance-"));
  const server = await startFirecrest({
    port: 0,
    dir,
    control: true,
    // Uploads that were never finished go on waiting, each on a CPU of its own.
    host: { machine: { cpus: 32 } },
    ...options,
    v2: { ingressPollMs: 100, ...options.v2 },
    limits: { storagePollMs: 100, ...options.limits },
  });
  const desk = join(dir, "desk");
  await mkdir(desk);
  const { v1Url, v2Url, tokenUrl, clientId, clientSecret, apiKey, user, url } = server;
  const home = join(dir, "cluster", "home", user);
  const scratch = join(dir, "cluster", "scratch", user);
  const release = server.v2Options.release;
  const facts = { url, v1Url, v2Url, tokenUrl, clientId, clientSecret, apiKey, user, release, home, scratch, desk };
  try {
    return await new Promise((resolve) => {
      const environment = { ...process.env, FIRECREST_SITE: JSON.stringify(facts), PYTHONDONTWRITEBYTECODE: "1" };
      const settings = { env: environment, cwd: desk, timeout: LIMIT_MS, maxBuffer: MAX_OUTPUT_BYTES };
      execFile(python, [join(import.meta.dirname, script), ...args], settings, (error, stdout, stderr) => {
        const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
        resolve({
          cases: lines.map((line) => JSON.parse(line) as Case),
          crash: error === null ? undefined : stderr.slice(-4000),
        });
      });
    });
  } finally {
    const { jobs } = await server.host.as(user);
    for (const { plainId } of await jobs.queue()) await jobs.cancel(plainId).catch(() => {});
    while ((await jobs.queue()).some(({ state }) => LIVE.has(state))) await new Promise((done) => setTimeout(done, 50));
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}
