/**
 * The embedded site against recordings of the real server: the same requests, on the same files, have the same status,
 * the same words and the same fields. Numbers are compared by their presence only.
 */
import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { createFirecrest } from "../memory.ts";
import type { ClientAccount } from "../oidc.ts";
import { rigOn } from "./testing.ts";

interface Line {
  name: string;
  request: { method: string; path: string; headers: Record<string, string>; body: unknown };
  response: { status: number; headers: Record<string, string>; body: unknown };
}

/** What can be asked without the jobs, systems and users of the recording. */
const SAME = [
  /^status\/(systems|liveness|nodes|partitions|reservations|userinfo|request-id|systems-slash|liveness-no-slash|upper)/,
  /^(not-found|wrong-method|head-systems|options-systems)$/,
  /^submit\/(no-|bad-(partition|reservation|constraint|sbatch-line)|crlf|null|empty-script|env-|array-too-big|unknown-|path-(missing|denied))/,
  /^list\/(window-bad|name-300|bad-allusers|name-none|account-unknown)$/,
  /^get\/(invalid|array-element|comma)|^cancel\/(unknown|invalid|array-like)$|^metadata\/unknown$|^attach\/(unknown-job|no-command)$/,
  /^ops\/(mkdir|ls|head|tail|view|checksum|file|stat|symlink|chmod|rm|chown|download)\//,
  /^transfer\/\w+\/(missing|streamer|no-path|no-target|outside-source|outside|body|no-directives-key|size-missing|no-size-key|denied-parent)$/,
];
/** Files, users and systems that this site does not have, wounds that are not reproduced, and words of other versions of a tool. */
const OTHER = [
  /\/(refused|hidden|ghost|other|one|no-features|down|node-down)$/,
  /^submit\/no-json-content-type$/,
  /^ops\/\w+\/(quote|6MB.*|3932\w+|\d+-files|\w+-timeout|fifo|binary|5\w+)$|^ops\/(mkdir\/dotdot-outside|ls\/root-of-fs|chown\/(ok|not|bad).*)$/,
  /^ops\/view\/directory$|^ops\/mkdir\/ok$/,
  /^transfer\/(cp|mv|rm|compress|extract)\/missing$/,
];

const ME: ClientAccount = { clientId: "c", clientSecret: "s", user: "testuser" };
const OWN = "/home/testuser/v2o";

const lines = readFileSync(`${import.meta.dirname}/../../../test/data/captures/v2.jsonl`, "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Line)
  .filter(
    ({ name, request, response }) =>
      request !== undefined && response !== undefined && is(SAME, name) && !is(OTHER, name),
  )
  .filter(({ request }) => !/\/(refused|nodata|cluster-raw)\//.test(request.path));

function is(patterns: RegExp[], name: string): boolean {
  return patterns.some((pattern) => pattern.test(name));
}

const local = (text: string) =>
  text.replaceAll("%2Ftmp%2Frig%2Ffs%2Fhome", "%2Fhome").replaceAll("/tmp/rig/fs/home", "/home");

/** The recorder kept JSON as JSON, and what was none as text. */
function bodyOf({ body }: Line["request"]): string | undefined {
  if (body === null || body === undefined) return undefined;
  return local(typeof body === "string" ? body : JSON.stringify(body));
}

const plain = (text: unknown) => (typeof text === "string" ? text.replace(/\d+/g, "#") : text);

/** What an answer says, without what only its machine can know. */
function said(status: number, body: unknown): unknown {
  if (typeof body !== "object" || body === null) return { status };
  const { errorType, message, causedBy, data, user } = body as Record<string, unknown>;
  if (status < 400) return { status, keys: Object.keys(body), output: shape((body as { output?: unknown }).output) };
  if (errorType === "validation") return { status, errorType, data, user };
  return {
    status,
    errorType,
    message: plain(message),
    causedBy: (causedBy as unknown[] | null)?.map(plain) ?? null,
    user,
  };
}

/** Keys and kinds, not values. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.length === 0 ? [] : [shape(value[0])];
  if (typeof value !== "object" || value === null) return value === null ? "string" : typeof value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, shape(inner)]));
}

it("is like the real server where it can be", async () => {
  const site = await createFirecrest({ accounts: [ME, { clientId: "d", clientSecret: "t", user: "testuser2" }] });
  const { files } = await site.host.as(ME.user);
  const write = (name: string, text: string) => files.write(`${OWN}/${name}`, new TextEncoder().encode(text));
  for (const path of [OWN, `${OWN}/d/sub`, `${OWN}/emptydir`]) await files.mkdir(path, { parents: true });
  await write("thirty.txt", Array.from({ length: 30 }, (_, i) => `${i + 1}\n`).join(""));
  await write("hello.txt", "line one\nline two ünï\nline three\n");
  for (const name of ["run.sh", "café.txt", "with space.txt", "noread", "d/sub/f1"]) await write(name, "x\n");
  await write("empty.txt", "");
  await write("secret", "x");
  await files.chmod(`${OWN}/secret`, "000");
  await files.remove(`${OWN}/noread`);
  await files.mkdir(`${OWN}/noread`);
  await files.chmod(`${OWN}/noread`, "000");
  for (const [target, link] of [
    ["nowhere", "broken"],
    ["hello.txt", "link"],
    ["d", "dlink"],
  ])
    await files.symlink(`${target}`, `${OWN}/${link}`);

  const token = await rigOn(site, ME).token();
  for (const { name, request, response } of lines) {
    const ids = Object.entries(request.headers).filter(([key]) => /^x-/i.test(key));
    const body = bodyOf(request);
    const answer = await site.fetch(
      new Request(site.v2Url + local(request.path), {
        method: request.method,
        headers: {
          authorization: `Bearer ${token}`,
          ...Object.fromEntries(ids),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body }),
      }),
    );
    const text = await answer.text();
    const json: unknown = /json/.test(answer.headers.get("content-type") ?? "") ? JSON.parse(text) : null;
    expect.soft(said(answer.status, json), name).toEqual(said(response.status, response.body));
    const special = (header: string) =>
      header.startsWith("f7t-") || /^x-(request|correlation)-id$|^location$/.test(header);
    const headers = Object.keys(response.headers)
      .map((header) => header.toLowerCase())
      .filter(special);
    expect.soft([...answer.headers.keys()].filter(special).sort(), name).toEqual(headers.sort());
  }
  expect(lines.length).toBeGreaterThan(150);
});
