/** What other processes use, read from Linux's /proc. CPU in seconds, memory in bytes. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const TICKS_PER_SECOND = 100;

/** Fields of /proc/<pid>/stat after the command's name, which may itself hold spaces. */
const statOf = (pid: number): string[] =>
  readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")
    .split(" ");

/** User and system time of a process so far. */
export function cpuSeconds(pid: number): number {
  const stat = statOf(pid);
  return (Number(stat[11]) + Number(stat[12])) / TICKS_PER_SECOND;
}

function statusBytes(pid: number, field: "VmRSS" | "VmHWM"): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/status`, "latin1"));
  return Number(found?.[1] ?? 0) * 1024;
}

export const residentBytes = (pid: number): number => statusBytes(pid, "VmRSS");

/** The most memory a process has had since its start or since `resetPeak`. */
export const peakBytes = (pid: number): number => statusBytes(pid, "VmHWM");

export const resetPeak = (pid: number): void => writeFileSync(`/proc/${pid}/clear_refs`, "5");

/** All processes below one, however deep. */
export function descendants(pid: number): number[] {
  const parents = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [{ pid: Number(name), parent: Number(statOf(Number(name))[1]) }];
      } catch {
        return []; // it ended meanwhile
      }
    });
  const below = (of: number): number[] =>
    parents.filter(({ parent }) => parent === of).flatMap((child) => [child.pid, ...below(child.pid)]);
  return below(pid);
}

export const commandOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, "latin1").trim();

export interface Use {
  seconds: number;
  cpuSeconds: number;
  peakBytes: number;
}

/** What one process uses while `work` runs. */
export async function useOf(pid: number, work: () => Promise<void>): Promise<Use> {
  resetPeak(pid);
  const cpu = cpuSeconds(pid);
  const from = performance.now();
  await work();
  return { seconds: (performance.now() - from) / 1000, cpuSeconds: cpuSeconds(pid) - cpu, peakBytes: peakBytes(pid) };
}

/** Runs a shell command and measures it, pipes and all. Throws if it fails. */
export async function useOfCommand(command: string): Promise<Use> {
  const child = spawn("bash", ["-o", "pipefail", "-c", `TIMEFORMAT='%R %U %S'; time { ${command} ; }`], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  let errors = "";
  child.stderr.on("data", (text) => {
    errors += String(text);
  });
  let peak = 0;
  const watch = setInterval(() => {
    let sum = 0;
    for (const pid of child.pid ? descendants(child.pid) : []) {
      try {
        sum += peakBytes(pid);
      } catch {
        // it ended meanwhile
      }
    }
    peak = Math.max(peak, sum);
  }, 50);
  const [code] = await once(child, "close");
  clearInterval(watch);
  const [seconds, user, system] = (errors.trim().split("\n").at(-1) ?? "").split(" ").map(Number);
  if (code !== 0 || seconds === undefined || user === undefined || system === undefined)
    throw new Error(`${command} failed: ${errors}`);
  return { seconds, cpuSeconds: user + system, peakBytes: peak };
}

/** What a program prints to its standard output. Throws with its errors where it fails or is not there. */
export async function commandOutput(program: string, args: readonly string[]): Promise<string> {
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const texts = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => (texts.stdout += String(text)));
  child.stderr.on("data", (text) => (texts.stderr += String(text)));
  const [code] = await once(child, "close");
  if (code !== 0)
    throw new Error(`${program} ${args[0] ?? ""} ended with ${code}: ${texts.stderr.trim().split("\n").at(-1)}`);
  return texts.stdout.trim();
}

/** Said where a row is missing from a table. */
export const NO_RCLONE = "rclone is not installed on this machine, so its row is missing";

/** Whether a program is installed. */
export async function installed(program: string): Promise<boolean> {
  const child = spawn("bash", ["-c", `command -v ${program}`], { stdio: "ignore" });
  const [code] = await once(child, "close");
  return code === 0;
}
