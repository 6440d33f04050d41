/** `npm start`: Firewatch on this machine, until Ctrl-C. State is kept under `.firewatch/`. */

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { appendFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { launch } from "./launch.ts";
import { LocalState } from "./state.ts";

/** How long a process that was killed may take to be gone, and its port with it. */
const GONE_WITHIN_MS = 5_000;

const dir = join(import.meta.dirname, "..", ".firewatch");
if (process.argv.length > 2) {
  console.error(
    `npm start takes no arguments (${process.argv.slice(2).join(" ")}); ports are set by FIREWATCH_PORT and FIRECREST_PORT.`,
  );
  process.exit(2);
}
const port = readPort("FIREWATCH_PORT", 8787);
const firecrestPort = readPort("FIRECREST_PORT", 8788);
const state = new LocalState(dir);

try {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  await endOrphans();
  // After a kill the file of the last run still stands; from here on it would mislead whoever waits for this one.
  await state.unpublish();
  const launched = await launch({
    dir,
    port,
    firecrestPort,
    onLog: (line) => void appendFile(state.path("workers.log"), `${line}\n`),
  });
  writeFileSync(state.path("children.json"), JSON.stringify(childrenOf(process.pid)));
  const { firecrest } = launched;
  await state.publish({
    url: launched.url,
    adminToken: launched.adminToken,
    connections: launched.connections,
    firecrest: {
      v1Url: firecrest.v1Url,
      ...(firecrest.v2Url === undefined ? {} : { v2Url: firecrest.v2Url }),
      tokenUrl: firecrest.tokenUrl,
      clientId: firecrest.clientId,
      clientSecret: firecrest.clientSecret,
      root: state.path("firecrest", "cluster"),
    },
    pid: process.pid,
  });
  console.log(`
Firewatch is up.

  API          ${launched.url}        docs at ${launched.url}/docs
  FirecREST    ${firecrest.v1Url}
               ${firecrest.v2Url ?? ""}
  Connections  ${Object.keys(launched.connections).join(", ")}
  Everything   .firewatch/local.json (URLs, keys), .firewatch/workers.log

Ctrl-C stops it; nothing accepted is lost. Deleting .firewatch/ starts anew.`);

  let stopping = false;
  const stop = async (code: number) => {
    if (stopping) return;
    stopping = true;
    await state.unpublish();
    await launched.stop();
    process.exit(code);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    // Miniflare would end the process at once; the order is ours: unpublish, stop the Workers, then the site.
    process.removeAllListeners(signal);
    process.on(signal, () => void stop(0));
  }
  // A killed parent sends no signal: it is noticed by being somebody else's child.
  const parent = process.ppid;
  setInterval(() => {
    if (process.ppid !== parent) void stop(0);
  }, 500);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(1);
}

function readPort(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === "") return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= 65_535) return value;
  console.error(`${name} must be a port from 0 to 65535 (0 picks a free one), not ${JSON.stringify(text)}.`);
  process.exit(2);
}

interface Child {
  pid: number;
  command: string;
}

function processes(): { pid: number; ppid: number; command: string }[] {
  try {
    const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,args="], { encoding: "utf8" }).trim().split("\n");
    return lines.map((line) => {
      const [pid = "0", ppid = "0", ...command] = line.trim().split(/\s+/);
      return { pid: Number(pid), ppid: Number(ppid), command: command.join(" ") };
    });
  } catch {
    return [];
  }
}

function childrenOf(pid: number): Child[] {
  return processes()
    .filter(({ ppid, command }) => ppid === pid && command.includes("workerd"))
    .map(({ pid: child, command }) => ({ pid: child, command }));
}

/** A launcher that was killed leaves its workerd behind, on our port: it is ended before we start. */
async function endOrphans(): Promise<void> {
  let children: Child[];
  try {
    children = JSON.parse(readFileSync(state.path("children.json"), "utf8")) as Child[];
  } catch {
    return;
  }
  const alive = processes();
  for (const { pid, command } of children) {
    const orphan = alive.find((process) => process.pid === pid && process.command === command);
    if (orphan === undefined) continue;
    const owner = alive.find((process) => process.pid === orphan.ppid);
    if (owner?.command.includes("local/start.ts") === true) {
      throw new Error(`Firewatch already runs here (pid ${owner.pid}). Stop it first, or read .firewatch/local.json.`);
    }
    process.kill(pid, "SIGKILL");
    const isThere = () => processes().some((process) => process.pid === pid && process.command === command);
    for (const end = Date.now() + GONE_WITHIN_MS; isThere() && Date.now() < end; ) await setTimeout(50);
  }
}
