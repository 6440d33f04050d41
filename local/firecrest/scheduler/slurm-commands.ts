/** Slurm's programs as functions. */
import { spawn } from "node:child_process";
import { ToolError } from "../host.ts";

export interface SlurmSetup {
  /** `SLURM_CONF`. */
  config: string;
  /** Directories of the programs, as in `PATH`. */
  path: string;
  /** One command, in milliseconds. */
  limitMs?: number;
}

/** Whose command it is: another account needs root. */
export interface Person {
  uid: number;
  gid: number;
  /** What a login would set. */
  env: Record<string, string>;
  home: string;
}

export interface Printed {
  stdout: string;
  stderr: string;
}

export interface Call {
  stdin?: string;
  limitMs?: number;
}

/** Runs one command. Throws `ToolError` for every exit code but 0; 124 = it took too long. */
export type SlurmCommand = (tool: string, args: readonly string[], call?: Call) => Promise<Printed>;

const LIMIT_MS = 10_000;
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024;
/** All moments as seconds since the epoch, so that no zone matters. */
const READABLE = { SLURM_TIME_FORMAT: "%s" };
/** These hand their environment on to the job, so they get nothing that a login would not give. */
const STARTS_JOBS = new Set(["sbatch", "srun"]);

export function slurmCommands({ config, path, limitMs = LIMIT_MS }: SlurmSetup, person?: Person): SlurmCommand {
  const base = { PATH: path, SLURM_CONF: config };
  return (tool, args, call = {}) =>
    new Promise((resolve, reject) => {
      const child = spawn(tool, args, {
        cwd: person?.home ?? "/",
        env: { ...base, ...person?.env, ...(STARTS_JOBS.has(tool) ? {} : { LC_ALL: "C", ...READABLE }) },
        stdio: ["pipe", "pipe", "pipe"],
        timeout: call.limitMs ?? limitMs,
        killSignal: "SIGKILL",
        ...(person === undefined || person.uid === process.getuid?.() ? {} : { uid: person.uid, gid: person.gid }),
      });
      const stdout = collect(child.stdout, () => child.kill("SIGKILL"));
      const stderr = collect(child.stderr, () => child.kill("SIGKILL"));
      child.on("error", (error) => reject(new ToolError(tool, 127, `bash: ${tool}: ${error.message}`)));
      child.on("close", (code, signal) => {
        const printed = { stdout: stdout(), stderr: stderr().trimEnd() };
        if (code === 0) resolve(printed);
        else if (signal !== null) reject(new ToolError(tool, 124, ""));
        else reject(new ToolError(tool, code ?? 1, printed.stderr || printed.stdout.trimEnd()));
      });
      // A program may end without reading all of its input.
      child.stdin.on("error", () => {});
      child.stdin.end(call.stdin ?? "");
    });
}

function collect(stream: NodeJS.ReadableStream, overflow: () => void): () => string {
  const chunks: Buffer[] = [];
  let bytes = 0;
  stream.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > OUTPUT_BYTES_MAX) overflow();
    else chunks.push(chunk);
  });
  return () => Buffer.concat(chunks).toString();
}
