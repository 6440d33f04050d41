/** The unmodified pyfirecrest beside us: one loop per job, for real, on the embedded FirecREST. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { commandOutput } from "./processes.ts";

const FOLDER = join(import.meta.dirname, "..", ".venv");
const PYTHON = join(FOLDER, "bin", "python");

export type Library = { version: string } | { missing: string };

/** Installs it on the first use. Without Python or network there is a reason instead. */
export async function pyfirecrest(): Promise<Library> {
  try {
    if (!existsSync(PYTHON)) await commandOutput("python3", ["-m", "venv", FOLDER]);
    const version = () =>
      commandOutput(PYTHON, ["-c", "import importlib.metadata as m; print(m.version('pyfirecrest'))"]);
    return {
      version: await version().catch(() =>
        commandOutput(PYTHON, ["-m", "pip", "install", "--quiet", "pyfirecrest"]).then(version),
      ),
    };
  } catch (error) {
    return { missing: error instanceof Error ? error.message : String(error) };
  }
}

export interface Loops {
  api: "v1" | "v2";
  url: string;
  tokenUrl: string;
  clientId: string;
  clientSecret: string;
  jobs: readonly string[];
  /** The loops are cut off after this long. */
  seconds: number;
  /** Where a loop posts the id of its job when that has ended. */
  callback?: string;
}

/** Runs one loop per job until all have ended or the time is over. */
export async function runLoops({ clientSecret, ...loops }: Loops): Promise<void> {
  const args = [
    ["--api", loops.api],
    ["--url", loops.url],
    ["--token-url", loops.tokenUrl],
    ["--client-id", loops.clientId],
    ["--jobs", loops.jobs.join(",")],
    ["--seconds", String(loops.seconds)],
    ...(loops.callback === undefined ? [] : [["--callback", loops.callback]]),
  ].flat();
  const child = spawn(PYTHON, [join(import.meta.dirname, "pyfirecrest_loop.py"), ...args], {
    stdio: ["ignore", "ignore", "inherit"],
    env: { ...process.env, CLIENT_SECRET: clientSecret },
  });
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`the pyfirecrest loops ended with ${code}`);
}

/** Seconds after its start at which pyfirecrest's v2 wait looks at a job: 0.2, 0.5, 1, 2, … 64, 64, … between looks. */
export function* v2Looks(): Generator<number> {
  yield 0;
  let at = 0.2;
  yield at;
  for (let wait = 0.5; ; wait = wait < 60 ? wait * 2 : wait) {
    at += wait;
    yield at;
  }
}

/** Looks of one v2 wait at a job that runs so long: those before its end, and the one that sees it. */
export function v2LooksUntil(seconds: number): number {
  let looks = 0;
  for (const at of v2Looks()) {
    looks++;
    if (at >= seconds) return looks;
  }
  return looks;
}
