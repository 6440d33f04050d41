/**
 * Moving a connection from v1 to v2 changes no line of a user's program: one program runs on both, and its answers have the
 * same shapes. What differs is listed here, each with its reason; what v2 cannot do, its answer says.
 */
import { randomBytes } from "node:crypto";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type Receiver, startReceiver } from "../../local/receiver.ts";
import { type Answer, type Deployment, deploy, eventually } from "./deployment.ts";

const APIS = ["v1", "v2"] as const;
const TEXT = "forty-two\n";

/** Fields that only one API fills, and why. Everything else must be there on both, with the same type. */
const DIFFERENCES: Record<string, string> = {
  "job .timeLimitSeconds": "v1's accounting does not tell the time limit that the site set; v2's rows do",
  "cancelled job .timeLimitSeconds": "the same",
  "events .items[].data.timeLimitSeconds": "the same",
  "rsync ": "v2 has no rsync: 422, and the answer says what to use",
  "copy after a job ": "v2 cannot make one wait for another: 422, and the answer says what to do",
  "attach ": "v1 has no attach: 422, and the answer says what to do",
  "services .items[].system": "v2 looks after each system's services, v1 has its own",
  "services .items[].checkedAt": "v1 does not tell when it looked",
};

let firewatch: Deployment;
let receiver: Receiver;
let callbackSecret = "";
beforeAll(async () => {
  firewatch = await deploy({ apis: [...APIS] });
  receiver = await startReceiver(() => callbackSecret);
});
afterAll(async () => {
  await receiver?.stop();
  await firewatch?.stop();
});

/** What the program was answered: the steps in their order, each with its status and its fields. */
type Transcript = Map<string, { status: number; fields: Set<string>; body: unknown }>;

/** The user's program. It knows a connection's address and key, and nothing of FirecREST's versions. */
async function program({ url, apiKey }: { url: string; apiKey: string }, home: string): Promise<Transcript> {
  const transcript: Transcript = new Map();
  const kept = (step: string, { status, body, text }: Answer): Answer["body"] => {
    transcript.set(step, { status, fields: new Set(fieldsOf(body ?? "text")), body: body ?? text });
    return body;
  };
  const call = (method: string, path: string, body?: unknown) =>
    firewatch.call(method, `${url}/${path}`, { token: apiKey, ...(body === undefined ? {} : { body }) });
  const settled = (id: string) =>
    eventually(
      async () => {
        const answer = await call("GET", `jobs/${id}?wait=20&until=settled`);
        return answer.body.settledAt === undefined ? undefined : answer;
      },
      `the settling of ${id}`,
      60_000,
    );

  // A hook starts a job; its callback and its result come.
  const subscription = kept(
    "subscribe",
    await call("POST", "subscriptions", { url: receiver.url, events: ["job.settled"] }),
  );
  callbackSecret = subscription.secret;
  const secret = `whsec_${randomBytes(32).toString("base64")}`;
  const hook = {
    source: "standard-webhooks",
    secrets: [secret],
    params: { text: { from: "/text", type: "string" } },
    target: {
      job: {
        system: "cluster",
        name: "answer",
        script: '#!/bin/bash -l\nprintf %s "$TEXT" > answer.txt\necho written\n',
        env: { TEXT: "{text}" },
        outputs: [{ path: "answer.txt" }],
      },
    },
  };
  kept("hook", await call("PUT", "hooks/answer", hook));
  const { Webhook } = await import("standardwebhooks");
  const id = `msg_${randomBytes(8).toString("hex")}`;
  const payload = JSON.stringify({ text: TEXT });
  const now = new Date();
  const sent = await firewatch.call("POST", `/hooks/${url.split("/").at(-1)}/answer`, {
    raw: payload,
    token: null,
    headers: {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign(id, now, payload),
    },
  });
  const { jobId } = kept("webhook", sent);
  const job = kept("job", await settled(jobId));
  expect(job.status).toBe("succeeded");
  await eventually(
    () => receiver.received.some(({ event, verified }) => verified && event.subject === `jobs/${jobId}`) || undefined,
    "the callback",
  );
  const object = await call("GET", `objects/${job.outputs[0].key}`);
  expect(object.text).toBe(TEXT);
  kept(
    "transfer",
    await eventually(
      async () => {
        const answer = await call("GET", `transfers/${job.outputs[0].transferId}`);
        return ["released", "expires", "unreleasable"].includes(answer.body.link.state) ? answer : undefined;
      },
      "the end of the link",
      30_000,
    ),
  );
  const logs = await call("GET", `jobs/${jobId}/logs`);
  kept("logs", logs);
  expect(logs.text).toBe("written\n");
  kept("events", await call("GET", `jobs/${jobId}/events?after=0`));

  // A job is cancelled.
  const long = { system: "cluster", script: "#!/bin/bash -l\nsleep 600\n" };
  const accepted = kept("submit", await call("POST", "jobs", long));
  await eventually(
    async () => {
      const { body } = await call("GET", `jobs/${accepted.id}?wait=5`);
      return body.status === "running" || undefined;
    },
    "the start of the long job",
    30_000,
  );
  kept("attach", await call("POST", `jobs/${accepted.id}/attach`, { command: "true" }));
  expect((await call("POST", `jobs/${accepted.id}/cancel`)).status).toBe(202);
  const cancelled = await settled(accepted.id);
  expect(kept("cancelled job", cancelled).status).toBe("cancelled");

  // Files are worked on.
  kept("systems", await call("GET", "systems"));
  kept("system", await call("GET", "systems/cluster"));
  kept("services", await call("GET", "services"));
  for (const part of ["nodes", "partitions", "reservations"]) kept(part, await call("GET", `systems/cluster/${part}`));
  /** What a program does with any write: 200 is done; 202 is a job, which is followed. */
  const write = async (operation: string, body: object) => {
    const answer = await call("POST", `systems/cluster/files/${operation}`, body);
    if (answer.status !== 202) return answer;
    expect(answer.headers.get("location")).toBe(`/v1/connections/${url.split("/").at(-1)}/jobs/${answer.body.id}`);
    const end = (await settled(answer.body.id)).body;
    expect(end, JSON.stringify(end)).toMatchObject({ status: "succeeded", operation: { op: operation } });
    return { ...answer, status: 200, body: { done: true } };
  };
  const read = (operation: string, query: string) => call("GET", `systems/cluster/files/${operation}?${query}`);
  const dir = `${home}/program`;
  kept("mkdir", await write("mkdir", { path: `${dir}/sub`, parents: true }));
  kept(
    "upload",
    await firewatch.call("POST", `${url}/systems/cluster/files/upload?path=${dir}/sub/a.txt`, {
      token: apiKey,
      raw: TEXT,
      headers: { "content-type": "application/octet-stream" },
    }),
  );
  for (const operation of ["ls", "stat", "head", "tail", "view", "checksum", "file"])
    kept(operation, await read(operation, `path=${dir}/sub${operation === "ls" ? "" : "/a.txt"}`));
  expect((await read("download", `path=${dir}/sub/a.txt`)).text).toBe(TEXT);
  kept("copy", await write("copy", { from: `${dir}/sub/a.txt`, to: `${dir}/b.txt` }));
  kept("move", await write("move", { from: `${dir}/b.txt`, to: `${dir}/c.txt` }));
  kept("symlink", await write("symlink", { target: `${dir}/c.txt`, link: `${dir}/link` }));
  kept("chmod", await write("chmod", { path: `${dir}/c.txt`, mode: "640" }));
  kept("compress", await write("compress", { from: `${dir}/sub`, to: `${dir}/sub.tar.gz` }));
  kept("mkdir out", await write("mkdir", { path: `${dir}/out` }));
  kept("extract", await write("extract", { from: `${dir}/sub.tar.gz`, to: `${dir}/out` }));
  kept("extract as a job", await write("extract", { from: `${dir}/sub.tar.gz`, to: `${dir}/out`, asJob: true }));
  const afterwards = { from: `${dir}/c.txt`, to: `${dir}/d.txt`, after: jobId };
  kept("copy after a job", await write("copy", afterwards));
  kept("rsync", await write("rsync", { from: `${dir}/sub/`, to: `${dir}/mirror` }));
  const names = (await read("ls", `path=${dir}`)).body.items.map(({ name }: { name: string }) => name);
  expect(names).toEqual(expect.arrayContaining(["sub", "c.txt", "link", "sub.tar.gz", "out"]));
  expect((await read("view", `path=${dir}/out/sub/a.txt`)).body.content).toBe(TEXT);
  kept("rm", await write("rm", { path: dir }));
  kept("missing", await read("stat", `path=${dir}`));
  kept("exists", await write("mkdir", { path: home }));
  kept("hostile", await read("stat", `path=${encodeURIComponent(`${home}/it's`)}`));
  return transcript;
}

it("one program, unchanged, does the same on v1 and on v2, and hears of what v2 cannot do", async () => {
  const scratch = firewatch.firecrest.host.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir)?.path;
  const home = `${scratch}/${firewatch.firecrest.user}`;
  const transcripts: Transcript[] = [];
  for (const api of APIS) {
    const connection = firewatch.connections[`local-${api}`];
    if (connection === undefined) throw new Error(`no connection of ${api}`);
    transcripts.push(await program(connection, home));
  }
  const [one, two] = transcripts;
  expect([...(two?.keys() ?? [])]).toEqual([...(one?.keys() ?? [])]);
  const found: string[] = [];
  for (const [step, v1] of one ?? []) {
    const v2 = two?.get(step);
    if (v2?.status !== v1.status) found.push(`${step} `);
    else
      for (const field of new Set(
        [...v1.fields].filter((f) => !v2.fields.has(f)).concat([...v2.fields].filter((f) => !v1.fields.has(f))),
      ))
        found.push(`${step} ${field.split(":")[0]}`);
  }
  expect([...new Set(found)].sort()).toEqual(Object.keys(DIFFERENCES).sort());
  expect(one?.get("rsync")).toMatchObject({ status: 200 });
  expect(two?.get("rsync")).toMatchObject({ status: 422, body: { detail: expect.stringContaining("use copy") } });
  for (const [transcript, step, words] of [
    [one, "attach", "in the job's own script"],
    [two, "copy after a job", "when it has ended"],
  ] as const)
    expect(transcript?.get(step)).toMatchObject({ status: 422, body: { detail: expect.stringContaining(words) } });
  expect(one?.get("copy after a job")).toMatchObject({ status: 200 });
  expect(two?.get("attach")).toMatchObject({ status: 200, body: { exitCode: 0 } });
  expect(two?.get("transfer")?.body).toMatchObject({ link: { state: "expires" } });
}, 240_000);

/** Every field of a value as `.a.b[]:type`. */
function fieldsOf(value: unknown, at = ""): string[] {
  if (Array.isArray(value)) return value.flatMap((item) => fieldsOf(item, `${at}[]`));
  if (typeof value === "object" && value !== null)
    return Object.entries(value).flatMap(([key, inner]) => fieldsOf(inner, `${at}.${key}`));
  return [`${at}:${typeof value}`];
}
