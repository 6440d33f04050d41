#!/usr/bin/env node
// The one entrance of every npm script: installs what is missing, picks a Node that can run the tools, hands over.
// Plain JavaScript for Node 20, since on a fresh clone nothing else is there yet.
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const bin = join(root, "node_modules", ".bin");
const [command = "help", ...rest] = process.argv.slice(2);

/**
 * What `check` leaves to `test` and CI: the Tracker under every fault in turn, under long outages and large loads, and the
 * ways of files in all their forms. Minutes, where all other rooms together take one.
 */
const LONG =
  "test/tracker/{chaos,soak,faults,inputs,outputs,perseverance,pieces,submission-cuts,systems,*outage,upload-*,site-trouble}.test.ts";

/**
 * Each command is a list of steps that follow each other. A step is a program with arguments, or several that run beside each
 * other. The rest of the line goes to the last one.
 */
const node = (...args) => ["node", ...args];
const COMMANDS = {
  start: [node("local/start.ts")],
  demo: [node("local/demo.ts")],
  test: [["vitest", "run"]],
  check: [
    [
      ["biome", "check", "--error-on-warnings", "."],
      ["tsc", "-p", "."],
      ["knip", "--no-progress"],
      node("tools/docs.ts", "--check"),
    ],
    ["vitest", "run", "--project", "unit", "--project", "poller", "--exclude", LONG],
  ],
  deploy: [node("tools/deploy.ts")],
  bench: [node("bench/run.ts")],
  docs: [node("tools/docs.ts")],
  slurm: [node("local/slurm.ts")],
};

if (!(command in COMMANDS)) {
  console.error(`Unknown command ${command}. There is: ${Object.keys(COMMANDS).join(", ")}.`);
  process.exit(2);
}

install();
const runner = nodeForTools();
for (const [index, step] of COMMANDS[command].entries()) {
  const last = index === COMMANDS[command].length - 1;
  const programs = Array.isArray(step[0]) ? step : [step];
  const codes = await Promise.all(
    programs.map(([program, ...args]) =>
      run(program === "node" ? runner : join(bin, program), [...args, ...(last ? rest : [])]),
    ),
  );
  const failed = codes.find((code) => code !== 0);
  if (failed !== undefined) process.exit(failed);
}

/** `npm ci` when the lockfile is newer than what is installed, once for every clone and after every pull. */
function install() {
  const installed = join(root, "node_modules", ".package-lock.json");
  if (existsSync(installed) && statSync(installed).mtimeMs >= statSync(join(root, "package-lock.json")).mtimeMs) return;
  console.error("Installing dependencies (npm ci), once…");
  const npm = process.env.npm_execpath;
  const [program, args] = npm ? [process.execPath, [npm]] : ["npm", []];
  // Its output would stand before the one line of JSON that --json promises.
  const { status } = spawnSync(program, [...args, "ci"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: npm === undefined && process.platform === "win32",
  });
  if (status !== 0) {
    console.error("npm ci failed; see above.");
    process.exit(status ?? 1);
  }
}

/** The Node that package.json brings along where the platform has one, else the system's if it is new enough. */
function nodeForTools() {
  const own = join(bin, "node");
  if (existsSync(own)) return own;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > 22 || (major === 22 && minor >= 18)) return process.execPath;
  console.error(
    `Node ${process.versions.node} is too old for the tools here and this platform gets no newer one from npm; install Node 22.18 or later (package.json: ${JSON.parse(readFileSync(join(root, "package.json"), "utf8")).engines.node}).`,
  );
  process.exit(1);
}

function run(program, args) {
  const quiet = {
    WRANGLER_SEND_METRICS: "false",
    WRANGLER_HIDE_BANNER: "true",
    WRANGLER_WRITE_LOGS: "false",
    CLOUDFLARE_CF_FETCH_ENABLED: "false",
    NODE_NO_WARNINGS: "1",
  };
  const env = { ...quiet, ...process.env, PATH: `${bin}:${process.env.PATH}`, FIREWATCH_PARENT: String(process.pid) };
  const child = spawn(program, args, { cwd: root, stdio: "inherit", env });
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.on(signal, () => child.kill(signal));
  return new Promise((resolve) =>
    child.on("close", (code, signal) => resolve(code ?? (signal === "SIGINT" ? 130 : 143))),
  );
}
