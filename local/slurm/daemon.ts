/** A program that goes on after the command that started it: its log, its process id, its end. */
import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface Daemon {
  /** Names its log (`<logs>/<name>.log`) and its process id file (`<pids>/<name>.pid`). */
  name: string;
  program: string;
  /** Must keep it in the foreground. */
  args: string[];
  env?: Record<string, string>;
}

interface Folders {
  logs: string;
  pids: string;
}

const LOOK_MS = 100;
const LOG_LINES = 8;

/**
 * Starts it in a session of its own and waits until `ready` is true (a rejection is "not yet"). Fails with the end of its
 * log and the last thing that `ready` complained about.
 */
export async function startDaemon(
  daemon: Daemon,
  folders: Folders,
  ready: () => Promise<boolean>,
  limitMs: number,
): Promise<void> {
  const log = join(folders.logs, `${daemon.name}.log`);
  const output = openSync(log, "a", 0o600);
  const child = spawn(daemon.program, daemon.args, {
    detached: true,
    stdio: ["ignore", output, output],
    cwd: "/",
    env: { PATH: process.env.PATH ?? "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C", ...daemon.env },
  });
  closeSync(output);
  let end: string | undefined;
  child.on("error", (error) => {
    end = error.message;
  });
  child.on("exit", (code, signal) => {
    end ??= `it ended with ${code ?? signal}`;
  });
  if (child.pid !== undefined)
    await writeFile(join(folders.pids, `${daemon.name}.pid`), `${child.pid} ${daemon.program}\n`);
  child.unref();
  const fail = async (why: string): Promise<never> => {
    const lines = (await readFile(log, "utf8").catch(() => "")).trimEnd().split("\n").slice(-LOG_LINES);
    throw new Error(
      `${daemon.name} did not come up: ${why}. The end of ${log}:\n${lines.map((line) => `  ${line}`).join("\n")}`,
    );
  };
  let complaint = "";
  const look = () =>
    ready().catch((error: unknown) => {
      complaint = ` (${error instanceof Error ? error.message.trim() : error})`;
      return false;
    });
  for (const deadline = Date.now() + limitMs; !(await look()); await delay(LOOK_MS)) {
    if (end !== undefined) await fail(end);
    if (Date.now() > deadline) await fail(`it was not ready after ${limitMs / 1000} s${complaint}`);
  }
}

/** TERM, then KILL after `graceMs`. Nothing happens to a process that has taken over the number. */
export async function stopDaemon(name: string, folders: Folders, graceMs: number): Promise<void> {
  const pid = await runningDaemon(name, folders);
  for (const [signal, patience] of [
    ["SIGTERM", graceMs],
    ["SIGKILL", graceMs],
  ] as const) {
    if (pid === undefined || !signalTo(pid, signal)) break;
    for (
      const deadline = Date.now() + patience;
      Date.now() < deadline && (await runningDaemon(name, folders)) === pid;
    )
      await delay(LOOK_MS);
  }
  await rm(join(folders.pids, `${name}.pid`), { force: true });
}

/** Process id of a daemon that is alive. */
export async function runningDaemon(name: string, folders: Folders): Promise<number | undefined> {
  const note = await readFile(join(folders.pids, `${name}.pid`), "utf8").catch(() => "");
  const [number = "", program = ""] = note.trim().split(" ");
  const pid = Number(number);
  if (!Number.isInteger(pid) || pid <= 1 || program === "") return undefined;
  // Ids are used again; a zombie has an empty command line.
  const command = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return command.split("\0")[0]?.endsWith(program.slice(program.lastIndexOf("/") + 1)) === true ? pid : undefined;
}

function signalTo(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false;
  }
}
