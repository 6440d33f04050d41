/** Submit, follow, fetch, and end as the job ended. */
import { createHash, randomUUID } from "node:crypto";
import { createWriteStream, existsSync, mkdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { Readable, Transform } from "node:stream";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "./firewatch.mjs";
import { fail, input, keep, lines, output, quote, say, warn } from "./runner.mjs";
import { createTail, TAIL_LINES } from "./tail.mjs";

const ENDED = ["succeeded", "failed", "cancelled"];
/** The exit code of a shell that was interrupted. */
const INTERRUPTED = 130;
const LOST_SECONDS = 30;

const firewatch = connect({
  url: input("url"),
  connection: input("connection"),
  audience: input("audience") || input("url"),
});

async function submit() {
  const job = await firewatch.json("POST", "jobs", {
    body: requestOf(),
    // Of this step alone: a request that has to be sent again starts nothing new.
    headers: { "idempotency-key": randomUUID() },
  });
  keep("job", job.id);
  output("job-id", job.id);
  say(`Firewatch took the job as ${job.id}.`);
  for (const { message } of job.warnings) warn(message);
  return job.id;
}

function requestOf() {
  const script = input("script");
  const outputs = lines("outputs").map((path) => ({ path }));
  const env = Object.fromEntries(lines("env").map(assignment));
  return {
    ...(input("request") === "" ? {} : JSON.parse(input("request"))),
    system: input("system"),
    script: script.startsWith("#!") ? `${script}\n` : readFileSync(script, "utf8"),
    ...(input("name") === "" ? {} : { name: input("name") }),
    ...(outputs.length === 0 ? {} : { outputs }),
    ...(Object.keys(env).length === 0 ? {} : { env }),
  };
}

function assignment(line) {
  const at = line.indexOf("=");
  if (at < 1) throw new Error(`the input env needs NAME=value on each line; "${line}" is none`);
  return [line.slice(0, at), line.slice(at + 1)];
}

/** Follows the job until every output has ended too. */
async function follow(id) {
  const every = Math.min(55, Math.max(1, Number(input("refresh-seconds")) || 10));
  const show = createViewer(id);
  let told = "";
  for (;;) {
    const job = await firewatch.json("GET", `jobs/${id}?wait=${every}`);
    const words = [job.status, job.reason, job.schedulerId && `job ${job.schedulerId} on ${job.system}`].filter(
      Boolean,
    );
    if (words.join(", ") !== told) say(`▶ ${words.join(", ")}`);
    told = words.join(", ");
    if (ENDED.includes(job.status)) break;
    if (job.status === "running") await show(false);
    // Where it is nobody knows at the moment; a lost job answers at once and may be found again.
    if (job.status === "lost") await sleep(LOST_SECONDS * 1000);
  }
  await show(true);
  for (;;) {
    const job = await firewatch.json("GET", `jobs/${id}?wait=50&until=settled`);
    if (job.settledAt !== undefined) return job;
  }
}

/** Shows what both streams of a job say, as far as it was not shown yet. */
function createViewer(id) {
  const tails = { stdout: createTail(), stderr: createTail() };
  const read = async (stream) => {
    const response = await firewatch.request("GET", `jobs/${id}/logs?stream=${stream}&tail=${TAIL_LINES}&masked=true`);
    return response.ok ? await response.text() : "";
  };
  const print = (fresh) => {
    if (fresh !== "") quote(fresh);
  };
  /** Schedulers write both streams into one file unless they are told otherwise; the first thing on stderr tells. */
  let isOneFile;
  return async (whole) => {
    const stderr = await read("stderr");
    const stdout = await read("stdout");
    if (stderr !== "") isOneFile ??= stdout.startsWith(stderr);
    print(tails.stdout(stdout, whole));
    if (isOneFile === false) print(tails.stderr(stderr, whole));
  };
}

/** Fetches what was stored; answers what was not. */
async function fetchResults(job) {
  const folder = resolve(input("download-to") || "firewatch-outputs");
  const missing = [];
  for (const { path, key, status, transferId } of job.outputs) {
    if (status !== "stored") {
      missing.push(`${path} (${status})`);
      continue;
    }
    mkdirSync(folder, { recursive: true });
    const { sha256 } = await firewatch.json("GET", `transfers/${transferId}`);
    const file = freeName(folder, basename(path));
    await download(key, file, sha256);
    say(`Fetched ${path} to ${file}`);
  }
  return missing;
}

const taken = new Set();

/** Two files of one name, from two folders, are both kept. */
function freeName(folder, name) {
  for (let n = 0; ; n++) {
    const file = join(folder, n === 0 ? name : `${n}-${name}`);
    if (taken.has(file) || (n === 0 && [".", ".."].includes(name)) || (n > 0 && existsSync(file))) continue;
    taken.add(file);
    return file;
  }
}

async function download(key, file, sha256) {
  const response = await firewatch.request("GET", `objects/${key.split("/").map(encodeURIComponent).join("/")}`);
  if (!response.ok || response.body === null) throw new Error(`${key} could not be fetched: ${response.status}`);
  const hash = createHash("sha256");
  const hashing = new Transform({
    transform(chunk, _, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
  await pipeline(Readable.fromWeb(response.body), hashing, createWriteStream(file));
  if (sha256 !== undefined && hash.digest("hex") !== sha256) throw new Error(`${file} arrived with other bytes`);
}

/** The runner asks with SIGINT when the workflow is cancelled, and gives 7.5 s. */
function cancelWhenAsked(id) {
  let asked = false;
  const cancel = async () => {
    if (asked) return;
    asked = true;
    say("The workflow was cancelled: cancelling the job.");
    const response = await firewatch.request("POST", `jobs/${id}/cancel`).catch((error) => error);
    if (response instanceof Response && response.ok) keep("ended", "yes");
    process.exit(INTERRUPTED);
  };
  process.on("SIGINT", cancel);
  process.on("SIGTERM", cancel);
}

async function main() {
  const id = await submit();
  cancelWhenAsked(id);
  const job = await follow(id);
  keep("ended", "yes");
  output("status", job.status);
  if (job.exitCode !== undefined) output("exit-code", job.exitCode);
  const missing = await fetchResults(job);
  if (missing.length > 0) fail(`Not fetched: ${missing.join(", ")}`);
  if (job.status !== "succeeded") fail(`The job ended as ${job.status}${job.reason ? ` (${job.reason})` : ""}.`);
  const failed = job.status !== "succeeded" || missing.length > 0;
  process.exitCode = failed ? job.exitCode || 1 : 0;
}

main().catch((error) => {
  fail(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
});
