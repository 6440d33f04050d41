/** For tests: recorded exchanges of the real server, sent again to a site in memory, and what of an answer is compared. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type Answer, Client } from "./client.ts";

export interface Capture {
  name: string;
  request: {
    method: string;
    path: string;
    headers?: Record<string, string>;
    form?: Record<string, string>;
    files?: Record<string, { filename: string; size: number; head: string }>;
  };
  response: { status: number; headers: Record<string, string>; body: unknown };
  states?: { body: { task: { status: string; data: unknown } } }[];
}

const CAPTURES = new URL("../../../../test/data/captures/v1.jsonl", import.meta.url);

export function readCaptures(): Capture[] {
  return readFileSync(fileURLToPath(CAPTURES.href), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Capture);
}

export const captures: readonly Capture[] = readCaptures();

const STAFF = { name: "csstaff", id: 3000 };
/** By the name that the recording has for the token. */
const ACCOUNTS = {
  "firecrest-sample": { clientId: "c", clientSecret: "s", user: "testuser" },
  "firecrest-other": { clientId: "d", clientSecret: "t", user: "testuser2" },
};

/** The site of the recordings: two users, and beside the machine one that is closed and one that is gone. */
export async function start(): Promise<Client> {
  const client = await Client.start({
    startAt: Date.UTC(2026, 10, 22, 12, 55),
    accounts: Object.values(ACCOUNTS),
    quirks: "1.16.6",
    host: {
      machine: { nodeName: "vm", partitions: ["part01", "part02", "xfer"].map((name) => ({ name })) },
      users: [
        { name: "testuser", uid: 3001, groups: [STAFF], accounts: ["csstaff"] },
        { name: "testuser2", uid: 3002, groups: [STAFF], accounts: ["csstaff"] },
      ],
    },
    systems: { refused: {}, noname: {} },
  });
  client.site.faults.add({ kind: "system_unavailable", system: "refused", how: "refused" });
  client.site.faults.add({ kind: "system_unavailable", system: "noname" });
  return client;
}

/** What the person who recorded put there by hand, before the first listing. */
export async function putFixtures(client: Client): Promise<void> {
  const { files } = await client.site.host.as("testuser");
  const base = "/home/testuser/u";
  const lines = (count: number) => Array.from({ length: count }, (_, index) => `${index + 1}\n`).join("");
  await files.mkdir(`${base}/d/sub`, { parents: true });
  await client.write(`${base}/d/sub/f1`, "x\n");
  await files.chmod(`${base}/d`, "1777");
  await files.mkdir(`${base}/emptydir`);
  await client.write(`${base}/.hidden`, "");
  await client.write(`${base}/thirty.txt`, lines(30));
  await client.write(`${base}/run.sh`, "#!/bin/bash\ntrue\n");
  await client.write(`${base}/six.dat`, new Uint8Array(6 * 1024 * 1024));
  await files.symlink("hello.txt", `${base}/link`);
  await files.symlink("d", `${base}/dlink`);
  await files.symlink("nowhere", `${base}/broken`);
  await client.write(`${base}/secret`, "s");
  await files.chmod(`${base}/secret`, "000");
  await files.mkdir(`${base}/noread`);
  await files.chmod(`${base}/noread`, "000");
}

/** Sends a request again, with jobs by the numbers that they have here. */
export async function replay(client: Client, { request }: Capture, jobs: ReadonlyMap<string, string> = new Map()) {
  const path = renumbered(request.path.replaceAll("%2Ftmp%2Frig%2Ffs", ""), jobs);
  let form: FormData | Record<string, string> | undefined = request.form;
  const after = form?.stageOutJobId;
  if (after !== undefined) form = { ...form, stageOutJobId: jobs.get(after) ?? after };
  if (request.files !== undefined) {
    const multipart = new FormData();
    for (const [name, value] of Object.entries(request.form ?? {})) multipart.set(name, value);
    for (const [name, { filename, size, head }] of Object.entries(request.files)) {
      multipart.set(name, new File([contentOf(filename, size, head, jobs)], filename));
    }
    form = multipart;
  }
  const machine = new Headers(request.headers).get("x-machine-name") ?? "";
  const headers = { "x-machine-name": machine, ...(await senderOf(client, request)) };
  return await client.send(request.method, path, form === undefined ? { headers } : { form, headers });
}

/** Header that makes a request one of its recorded sender. */
export async function senderOf(client: Client, { headers }: Capture["request"]): Promise<Record<string, string>> {
  const sent = new Headers(headers).get("authorization");
  if (sent === null) return { authorization: "" };
  const isOther = sent === "<token of firecrest-other>";
  return isOther ? { authorization: `Bearer ${await client.token(ACCOUNTS["firecrest-other"])}` } : {};
}

function renumbered(path: string, jobs: ReadonlyMap<string, string>): string {
  if (!path.startsWith("/compute/")) return path;
  return path.replace(/(?<=[/=]|%2C)\d+(?=$|[&_]|%2C)/g, (id) => (isPage(path) ? id : (jobs.get(id) ?? id)));
}

const isPage = (path: string): boolean => path.includes("pageSize");

/** Small files were recorded whole; of large and binary ones only the size matters. */
function contentOf(filename: string, size: number, head: string, jobs: ReadonlyMap<string, string>): Uint8Array {
  const bytes = new TextEncoder().encode(head);
  if (bytes.byteLength === size) return new TextEncoder().encode(played(head, jobs));
  return Uint8Array.from({ length: size }, (_, index) => (filename === "bin.dat" ? index % 256 : 0));
}

/** The script as it is for a machine without a shell: what its commands did, said in lines that the machine knows. */
function played(script: string, jobs: ReadonlyMap<string, string>): string {
  const lines = [
    ...[...script.matchAll(/\bsleep (\d+)/g)].map(([, seconds]) => `#FAKE sleep ${seconds}\n`),
    ...[...script.matchAll(/\bexit (\d+)/g)].map(([, code]) => `#FAKE exit ${code}\n`),
    ...(script.includes("kill -SEGV") ? ["#FAKE signal 11\n"] : []),
  ];
  const header = /^#!.*\n(?:#SBATCH.*\n)*/.exec(script)?.[0] ?? "";
  const linked = header.replace(/(?<=--dependency=\w+:)\d+/, (id) => jobs.get(id) ?? id);
  return header === "" ? script : linked + lines.join("") + script.slice(header.length);
}

/** Times, ids and the way a real shell names itself are not compared. */
function comparable(value: unknown): unknown {
  if (typeof value === "string") {
    return value
      .replace(/\/rig\/ssh\/ssh_command_wrapper\.sh: line \d+/g, "bash: line 1")
      .replace(/in position \d+/, "in position <n>")
      .replace(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$/, "<time>");
  }
  if (Array.isArray(value)) return value.map(comparable);
  if (typeof value !== "object" || value === null) return value;
  const volatile = new Set(["atime", "ctime", "mtime", "ino", "dev", "nlink", "task_id", "task_url"]);
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, volatile.has(key) ? `<${key}>` : comparable(inner)]),
  );
}

export function errorHeaders(headers: Iterable<[string, string]>): Record<string, string> {
  return Object.fromEntries(
    [...headers]
      .filter(([name]) => /^x-/i.test(name))
      .map(([name, value]) => [name.toLowerCase(), String(comparable(value))]),
  );
}

/** The same status, the same headers that tell of errors, the same body. */
export function expectLike(answer: Answer, capture: Capture): void {
  expect.soft(answer.status, capture.name).toBe(capture.response.status);
  expect
    .soft(errorHeaders(answer.headers), capture.name)
    .toMatchObject(errorHeaders(Object.entries(capture.response.headers)));
  if (typeof capture.response.body === "object" && !Object.hasOwn(capture.response.body ?? {}, "$bytes")) {
    expect.soft(comparable(answer.body), capture.name).toEqual(comparable(capture.response.body));
  }
}

/** Keys and kinds of a task's data. Rows under numbers are a list; of texts the words are compared, without numbers and paths. */
export function shape(value: unknown): unknown {
  if (typeof value === "string") return value.replace(/\d+/g, "#");
  if (typeof value !== "object" || value === null) return typeof value;
  if (Array.isArray(value)) return value.length === 0 ? "none" : { rows: kinds(value[0]) };
  const keys = Object.keys(value);
  if (keys.length === 0) return "none";
  return keys[0] === "0" ? { rows: kinds((value as Record<string, unknown>)["0"]) } : kinds(value);
}

function kinds(value: unknown): unknown {
  if (Array.isArray(value)) return ["…"];
  if (typeof value !== "object" || value === null) return typeof value;
  const entries = Object.entries(value).map(([key, inner]) => [key, kinds(inner)] as const);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)));
}
