import { describe, expect, it } from "vitest";
import { type Capture, Client, readCaptures } from "./testing.ts";

const captures = readCaptures();
const USER = { clientId: "c", clientSecret: "s", user: "testuser" };
const STAFF = { name: "csstaff", id: 3000 };

/** What this site does otherwise, or cannot show. */
const DIFFERENT = new Map([
  ["fifo", "no pipes in memory"],
  ["utilities/head/split-utf8", "the decoder's words for a character cut in two"],
  ["utilities/file/dir", "depends on the mode above"],
  ["utilities/upload/no-path", "the order of two checks"],
]);

async function start(): Promise<Client> {
  const client = await Client.start({
    accounts: [USER],
    quirks: "1.16.6",
    host: {
      users: [
        { name: "testuser", uid: 3001, groups: [STAFF] },
        { name: "testuser2", uid: 3002, groups: [STAFF] },
      ],
    },
    systems: { refused: {}, noname: {} },
  });
  client.site.faults.add({ kind: "system_unavailable", system: "refused", how: "refused" });
  client.site.faults.add({ kind: "system_unavailable", system: "noname" });
  return client;
}

/** What the person who recorded put there by hand, before the first listing. */
async function putFixtures(client: Client): Promise<void> {
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

async function replay(client: Client, { request }: Capture) {
  const path = request.path.replaceAll("%2Ftmp%2Frig%2Ffs", "");
  let form: FormData | Record<string, string> | undefined = request.form;
  if (request.files !== undefined) {
    const multipart = new FormData();
    for (const [name, value] of Object.entries(request.form ?? {})) multipart.set(name, value);
    for (const [name, { filename, size, head }] of Object.entries(request.files)) {
      multipart.set(name, new File([contentOf(filename, size, head)], filename));
    }
    form = multipart;
  }
  const machine =
    Object.entries(request.headers ?? {}).find(([name]) => name.toLowerCase() === "x-machine-name")?.[1] ?? "";
  const headers = { "x-machine-name": machine };
  return await client.send(request.method, path, form === undefined ? { headers } : { form, headers });
}

/** Small files were recorded whole; of large and binary ones only the size matters. */
function contentOf(filename: string, size: number, head: string): Uint8Array {
  const bytes = new TextEncoder().encode(head);
  if (bytes.byteLength === size) return bytes;
  return Uint8Array.from({ length: size }, (_, index) => (filename === "bin.dat" ? index % 256 : 0));
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

function errorHeaders(headers: Iterable<[string, string]>): Record<string, string> {
  return Object.fromEntries(
    [...headers]
      .filter(([name]) => /^x-/i.test(name))
      .map(([name, value]) => [name.toLowerCase(), String(comparable(value))]),
  );
}

function expectLike(answer: { status: number; headers: Headers; body: unknown }, capture: Capture): void {
  expect.soft(answer.status, capture.name).toBe(capture.response.status);
  expect
    .soft(errorHeaders(answer.headers), capture.name)
    .toMatchObject(errorHeaders(Object.entries(capture.response.headers)));
  if (typeof capture.response.body === "object" && !Object.hasOwn(capture.response.body ?? {}, "$bytes")) {
    expect.soft(comparable(answer.body), capture.name).toEqual(comparable(capture.response.body));
  }
}

function recorded(pattern: RegExp): Capture[] {
  return captures.filter(
    ({ name }) => pattern.test(name) && ![...DIFFERENT.keys()].some((part) => name.includes(part)),
  );
}

describe("answers like those recorded from the real server", () => {
  it("by utilities, from the first directory to the last removal", async () => {
    const client = await start();
    let hasFixtures = false;
    for (const capture of recorded(/^utilities\/(?!.*(?:0000-files|4MB))/)) {
      if (capture.name === "utilities/ls/ok") {
        await putFixtures(client);
        hasFixtures = true;
      }
      const answer = await replay(client, capture);
      // Listings hold files that only the real machine had (a pipe, a 4 MB file).
      if (/^utilities\/ls\/(ok|hidden|page)/.test(capture.name)) expect.soft(answer.status).toBe(200);
      else expectLike(answer, capture);
    }
    expect(hasFixtures).toBe(true);
  });

  it("for systems that are unknown, closed or gone, and for calls that name none", async () => {
    const client = await start();
    // Asking a closed port for partitions makes a task on the real server.
    for (const capture of recorded(/^machine\/(?!refused\/partitions|noname\/(partitions|xfer-ext))/)) {
      expectLike(await replay(client, capture), capture);
    }
  });

  it("for requests that compute and storage refuse at once", async () => {
    const client = await start();
    const { files } = await client.site.host.as("testuser");
    await files.mkdir("/home/testuser/i");
    await client.write("/home/testuser/i/a.txt", "a");
    await files.mkdir("/home/testuser/p/tree", { parents: true });
    await client.write("/home/testuser/p/ok.sh", "#!/bin/bash\ntrue\n");
    await client.write("/home/testuser/p/secret.sh", "#!/bin/bash\ntrue\n");
    await files.chmod("/home/testuser/p/secret.sh", "000");
    await files.mkdir("/home/testuser/x/tree", { parents: true });
    await client.write("/home/testuser/x/secret", "s");
    await files.chmod("/home/testuser/x/secret", "000");
    const refused = recorded(/^(compute|xfer-internal|xfer-external-(?:up|down)load|tasks)\/(?!.*task-life)/).filter(
      ({ name, response }) =>
        response.status >= 400 && !/not-utf8|over-5MB|get-others|get-no-token|direct-delete|list-others/.test(name),
    );
    expect(refused.length).toBeGreaterThan(35);
    for (const capture of refused) expectLike(await replay(client, capture), capture);
  });

  it("for jobs that sbatch refuses, inside the task", async () => {
    const client = await start();
    const lives = new Map(
      captures.filter(({ name }) => name.endsWith("/task-life")).map((capture) => [capture.name, capture]),
    );
    const refused = /^compute\/jobs-upload\/(bad-partition|bad-option|bad-time|no-shebang|dos-lines)$/;
    for (const capture of recorded(refused)) {
      const created = await replay(client, capture);
      expectLike(created, capture);
      const { task_id: id } = created.body as { task_id: string };
      await expect.poll(async () => (await client.look(id)).status).toBe("400");
      const real = (lives.get(`${capture.name}/task-life`)!.response.body as { task: { data: unknown } }).task;
      expect.soft((await client.look(id)).data, capture.name).toBe(real.data);
    }
  });

  it("of the status service, key by key", async () => {
    const client = await start();
    for (const capture of recorded(/^status\/(systems|services|filesystems)\/(nope|compute)$/))
      expectLike(await replay(client, capture), capture);
    const { body } = await client.send("GET", "/status/parameters");
    const real = captures.find(({ name }) => name === "status/parameters")?.response.body;
    const shape = (answer: unknown) =>
      Object.entries((answer as { out: Record<string, Record<string, unknown>[]> }).out)
        .flatMap(([section, list]) =>
          list.map((item) => `${section} ${item.name} ${item.unit} ${typeof item.value} ${Object.keys(item).sort()}`),
        )
        .sort();
    expect(shape(body)).toEqual(shape(real));
  });
});

describe("tasks with the same keys as those recorded", () => {
  const keysOf = (value: unknown): unknown =>
    typeof value === "object" && value !== null ? Object.keys(value).sort() : typeof value;
  const realTask = (name: string) => {
    const capture = captures.find((candidate) => candidate.name === `${name}/task-life`);
    return (
      capture!.response.body as { task: { status: string; data: Record<string, unknown> & Record<string, unknown>[] } }
    ).task;
  };

  it("for submissions, listings, accounting and nodes", async () => {
    const client = await start();
    const submitted = await client.submit("#!/bin/bash\n#SBATCH --time=30\n#FAKE print started\n#FAKE sleep 900\n");
    expect(submitted.status).toBe("200");
    expect(keysOf(submitted.data)).toEqual(keysOf(realTask("compute/jobs-upload/ok").data));
    const { jobid } = submitted.data as { jobid: string };
    await client.site.clock.advance(2_000);
    const listed = (await client.task("GET", `/compute/jobs?jobs=${jobid}`)).data as Record<string, unknown>;
    expect(keysOf(listed["0"])).toEqual(keysOf(realTask("compute/jobs-list/one-running").data["0" as never]));
    const others = (await client.task("GET", "/compute/jobs?userJobs=false")).data as Record<string, unknown>;
    expect(keysOf(others["0"])).toEqual(keysOf(realTask("compute/jobs-list/userJobs-false").data["0" as never]));
    const accounted = (await client.task("GET", `/compute/acct?jobs=${jobid}`)).data as unknown[];
    expect(keysOf(accounted[0])).toEqual(keysOf(realTask("compute/acct/running").data[0]));
    for (const kind of ["nodes", "partitions"]) {
      const rows = (await client.task("GET", `/compute/${kind}`)).data as unknown[];
      expect(keysOf(rows[0])).toEqual(keysOf(realTask(`compute/${kind}/all`).data[0]));
    }
    const whole = (await client.send("GET", `/tasks/${submitted.id}`)).body as { task: unknown };
    expect(keysOf(whole.task)).toEqual(keysOf(realTask("compute/jobs-upload/ok")));
  });

  it("for an external upload, with what only the list view tells", async () => {
    const client = await start();
    await (await client.site.host.as("testuser")).files.mkdir("/home/testuser/x");
    const task = await client.task("POST", "/storage/xfer-external/upload", {
      form: { sourcePath: "nums-up.txt", targetPath: "/home/testuser/x" },
    });
    expect(task.status).toBe("111");
    const real = realTask("xfer-external-upload/ok").data as unknown as { msg: { parameters: { data: unknown } } };
    const ours = task.data as { msg: { parameters: { data: unknown } } };
    expect(keysOf(ours)).toEqual(keysOf(real));
    expect(keysOf(ours.msg)).toEqual(keysOf(real.msg));
    expect(keysOf(ours.msg.parameters)).toEqual(keysOf(real.msg.parameters));
    expect(keysOf(ours.msg.parameters.data)).toEqual(keysOf(real.msg.parameters.data));
    const { body } = await client.send("GET", `/tasks?tasks=${task.id}`);
    const listed = (body as { tasks: Record<string, { data: { msg: unknown } }> }).tasks[task.id];
    expect(keysOf(listed?.data.msg)).toEqual(["action", "cert", "command", "download_url", "parameters"]);
  });
});
