/**
 * The embedded v1 in its quirks mode against recordings of the real server, name by name: answers, and tasks from their
 * beginning to their end. What is not compared stands in the list below, with its reason.
 */
import { describe, expect, it } from "vitest";
import type { Client } from "./testing/client.ts";
import {
  type Capture,
  captures,
  expectLike,
  putFixtures,
  replay,
  senderOf,
  shape,
  start,
} from "./testing/recordings.ts";

/** Recordings that have nothing to be compared with here, and why. Each of them is a deliberate difference, or another test's. */
const REASONS: [RegExp, string][] = [
  [/fifo/, "there are no pipes in memory"],
  [/^utilities\/.*(0000-files|4MB)|^utilities\/ls\/(ok|hidden|page)/, "files that only the real machine had"],
  [/^utilities\/head\/split-utf8$/, "our decoder has other words for a character that was cut in two"],
  [/^utilities\/file\/dir$/, "depends on the mode of the directory above"],
  [/^utilities\/upload\/no-path$/, "two checks are made in the other order"],
  [/not-utf8|over-5MB|big-20MB|20MB/, "the bytes that were sent were not recorded"],
  [/others-task|^tasks\/(get-others|list-others)/, "tasks of the recording's other user"],
  [/^tasks\/direct-delete|^auth\/direct|\/compute-slash$/, "was sent to a service itself, behind the gateway"],
  [/^compute\/jobs-list\/page1/, "which rows a page holds depends on squeue's order"],
  [/^compute\/reservations\/(no-features|some|filter)/, "nobody makes reservations here"],
  [/^machine\/(refused\/partitions|noname\/(partitions|xfer-ext))/, "makes a task there, and is refused at once here"],
  [
    /^auth\/gateway\/(expired|garbage|not-bearer|bad-signature)|^token-expires/,
    "tokens were not recorded: oidc.test.ts",
  ],
  [/^emulated-token/, "the recorder's own token server"],
  [/^auth\/ghost/, "a user that the machine does not know: access.ts has no such account"],
  [/^(states|job-data|lag|fresh|x)(\/|$)/, "moments of a real Slurm: host.contract.ts, on all hosts"],
  [
    /^(outage|restart|concurrency)\//,
    "parts of the deployment that fall out: faults.test.ts strikes by what a client sees",
  ],
  [
    /^(temp-url|s3|s3-form-post)\/|-after-post|invalidate|^tasks\/at-115/,
    "links of the recording: storage.test.ts, staging.test.ts",
  ],
  [
    /target-breaks|unwritable-dir|bad-form|^xfer-external-upload\/denied/,
    "whose end comes after a form was posted: storage.test.ts",
  ],
  [/no-bucket-create/, "the staging area always has its bucket"],
  [/^node\//, "the recorder's own client: process-host and client tests send the same"],
];

/** How often a task is looked at before it is held to have come to another end. */
const LOOKS = 30;
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

const compared = new Set<string>();

const exactly = (name: string) => new RegExp(`^${name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`);

function recorded(pattern: RegExp): Capture[] {
  const found = captures.filter(({ name }) => pattern.test(name) && !REASONS.some(([other]) => other.test(name)));
  for (const { name } of found) compared.add(name);
  return found;
}

describe("answers like those recorded from the real server", () => {
  it("by utilities, from the first directory to the last removal", async () => {
    const client = await start();
    for (const capture of captures.filter(({ name }) => /^utilities\//.test(name))) {
      if (capture.name === "utilities/ls/ok") await putFixtures(client);
      if (recorded(exactly(capture.name)).length > 0) expectLike(await replay(client, capture), capture);
    }
    await client.read("/home/testuser/u/.hidden");
  });

  it("for systems that are unknown, closed or gone, and for calls that name none", async () => {
    const client = await start();
    for (const capture of recorded(/^machine\//)) expectLike(await replay(client, capture), capture);
  });

  it("by the gateway, to requests that nobody is meant to answer", async () => {
    const client = await start();
    for (const capture of recorded(/^(auth\/gateway|head|slash|reservations-svc)\//))
      expectLike(await replay(client, capture), capture);
  });

  it("for requests that storage and tasks refuse at once", async () => {
    const client = await start();
    const { files } = await client.site.host.as("testuser");
    await files.mkdir("/home/testuser/x/tree", { parents: true });
    await client.write("/home/testuser/x/secret", "s");
    await files.chmod("/home/testuser/x/secret", "000");
    const refused = recorded(/^(xfer-external-(?:up|down)load|tasks)\/(?!.*task-life)/).filter(
      ({ response }) => response.status >= 400,
    );
    expect(refused.length).toBeGreaterThan(12);
    for (const capture of refused) expectLike(await replay(client, capture), capture);
  });

  it("of the status service, key by key", async () => {
    const client = await start();
    for (const capture of recorded(/^status\/(?!parameters$)/)) {
      const answer = await replay(client, capture);
      // Descriptions, addresses and file systems are this site's own.
      if (answer.status === 200) expect.soft(shape(answer.body), capture.name).toEqual(shape(capture.response.body));
      else expectLike(answer, capture);
    }
    compared.add("status/parameters");
    const { body } = await client.send("GET", "/status/parameters");
    const real = captures.find(({ name }) => name === "status/parameters")?.response.body;
    const parameters = (answer: unknown) =>
      Object.entries((answer as { out: Record<string, Record<string, unknown>[]> }).out)
        .flatMap(([section, list]) =>
          list.map((item) => `${section} ${item.name} ${item.unit} ${typeof item.value} ${Object.keys(item).sort()}`),
        )
        .sort();
    expect(parameters(body)).toEqual(parameters(real));
  });
});

describe("tasks that live as those recorded", () => {
  interface Life {
    status: string;
    data: unknown;
  }
  const lives = new Map(
    captures
      .filter(({ name }) => name.endsWith("/task-life"))
      .map(({ name, response }) => [name, (response.body as { task: Life }).task]),
  );

  /** Sends the request; the answer must be the recorded one, and the task it makes must come to the same end. */
  async function relive(client: Client, capture: Capture, jobs: Map<string, string>): Promise<void> {
    const answer = await replay(client, capture, jobs);
    expectLike(answer, capture);
    const life = lives.get(`${capture.name}/task-life`);
    const { task_id: id } = answer.body as { task_id?: string };
    if (life === undefined || id === undefined) return;
    compared.add(`${capture.name}/task-life`);
    const headers = await senderOf(client, capture.request);
    const look = async () => (await client.send("GET", `/tasks/${id}`, { headers })).body as { task: Life };
    for (let looks = 0; looks < LOOKS && (await look()).task.status !== life.status; looks++) await turn();
    const { status, data } = (await look()).task;
    expect.soft(status, capture.name).toBe(life.status);
    expect.soft(shape(data), capture.name).toEqual(shape(life.data));
    const [real, ours] = [life.data, data].map((value) => (value as { jobid?: string } | null)?.jobid);
    if (typeof real === "string" && typeof ours === "string") jobs.set(real, ours);
  }

  it("of jobs: submitted, refused, listed, accounted for, cancelled", async () => {
    const client = await start();
    const { files } = await client.site.host.as("testuser");
    await files.mkdir("/home/testuser/p");
    await files.mkdir("/home/testuser/i/src", { parents: true });
    const scripts = { ok: "true\n", secret: "true\n", bad: "", badpart: "#SBATCH --partition=nosuch\ntrue\n" };
    for (const [name, body] of Object.entries(scripts))
      await client.write(`/home/testuser/p/${name}.sh`, name === "bad" ? "echo hi\n" : `#!/bin/bash\n${body}`);
    await files.chmod("/home/testuser/p/secret.sh", "000");
    for (const name of ["a.txt", "mvme.txt", "rmme.txt", "src/b.txt"])
      await client.write(`/home/testuser/i/${name}`, "a");
    const jobs = new Map<string, string>();
    let phase = 0;
    for (const capture of recorded(/^(compute|xfer-internal)\/(?!.*task-life)/)) {
      // The recording went on after a minute, and again after the queue had forgotten what had ended.
      if (phase === 0 && /^compute\/jobs-list/.test(capture.name)) await client.site.clock.advance(90_000 * ++phase);
      if (phase === 1 && /after-MinJobAge/.test(capture.name)) await client.site.clock.advance(200_000 * ++phase);
      await relive(client, capture, jobs);
    }
  });

  it("of files: staged, and awaited in the staging area", async () => {
    const client = await start();
    const { files } = await client.site.host.as("testuser");
    await files.mkdir("/home/testuser/x/dst", { parents: true });
    for (const name of ["nums.txt", "empty.txt", "with space.txt"]) await client.write(`/home/testuser/x/${name}`, "1");
    for (const capture of recorded(/^xfer-external-(download|upload)\/(?!.*task-life)/))
      if (capture.response.status < 400) await relive(client, capture, new Map());
  });

  it("for an external upload, with what only the list view tells", async () => {
    const client = await start();
    await (await client.site.host.as("testuser")).files.mkdir("/home/testuser/x");
    const task = await client.task("POST", "/storage/xfer-external/upload", {
      form: { sourcePath: "nums-up.txt", targetPath: "/home/testuser/x" },
    });
    expect(task.status).toBe("111");
    const real = lives.get("xfer-external-upload/ok/task-life");
    expect(shape(task.data)).toEqual(shape(real?.data));
    const { body } = await client.send("GET", `/tasks?tasks=${task.id}`);
    const listed = (body as { tasks: Record<string, { data: { msg: unknown } }> }).tasks[task.id];
    expect(Object.keys(listed?.data.msg ?? {}).sort()).toEqual([
      "action",
      "cert",
      "command",
      "download_url",
      "parameters",
    ]);
  });
});

it("leaves no recording out without a reason, and has no reason for what is compared", () => {
  const names = captures.filter(({ response }) => response !== undefined).map(({ name }) => name);
  const reasonOf = (name: string) => REASONS.find(([pattern]) => pattern.test(name))?.[1];
  expect(names.filter((name) => !compared.has(name) && reasonOf(name) === undefined)).toEqual([]);
  expect(REASONS.filter(([pattern]) => !names.some((name) => pattern.test(name)))).toEqual([]);
  expect(compared.size).toBeGreaterThan(450);
});
