import { createHash, randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Receiver, startReceiver } from "../../local/receiver.ts";
import { isDead, witnessLinks } from "../../local/witness.ts";
import { type Deployment, deploy, eventually } from "./deployment.ts";

let firewatch: Deployment;
let receiver: Receiver;
let links: string[];
let callbackSecret: string;
const senderSecret = `whsec_${randomBytes(32).toString("base64")}`;

const HOOK = {
  source: "standard-webhooks",
  secrets: [senderSecret],
  filter: [{ from: "/kind", op: "equals", value: "run" }],
  params: {
    text: { from: "/text", type: "string", maxLength: 65_536 },
    count: { from: "/count", type: "integer", min: 1, max: 9, default: 3 },
  },
  target: {
    job: {
      system: "cluster",
      name: "copy",
      script: '#!/bin/bash -l\nprintf %s "$TEXT" > text.bin\necho "$COUNT" >&2\n',
      env: { TEXT: "{text}", COUNT: "{count}" },
      outputs: [{ path: "text.bin" }],
    },
  },
};

beforeAll(async () => {
  firewatch = await deploy();
  links = witnessLinks(firewatch.firecrest);
  receiver = await startReceiver(() => callbackSecret);
  callbackSecret = (await firewatch.call("POST", "subscriptions", { body: { url: receiver.url, events: ["*"] } })).body
    .secret;
  expect((await firewatch.call("PUT", "hooks/copy", { body: HOOK })).status).toBe(201);
});

afterAll(async () => {
  await receiver?.stop();
  await firewatch?.stop();
});

describe("webhook → job → callback → R2", () => {
  it("carries hostile text from a webhook through a real shell into R2, byte for byte", async () => {
    const text = `'"\n$(touch pwned) \`id\` ; rm -rf / #SBATCH --time=1\n\\ {{x}} é \u{1f600}\r\n\t!${"€".repeat(10_000)}\n\n`;
    const answer = await firewatch.send("copy", senderSecret, { kind: "run", text });
    expect(answer.status).toBe(202);
    expect(answer.body).toMatchObject({
      outcome: "accepted",
      url: `${firewatch.connection.url}/jobs/${answer.body.jobId}`,
    });
    expect(answer.headers.get("location")).toContain(answer.body.jobId);

    const job = (await firewatch.settled(answer.body.jobId)) as {
      status: string;
      outputs: { transferId: string; key: string }[];
    };
    expect(job.status).toBe("succeeded");
    const [output] = job.outputs;
    const object = await fetch(`${firewatch.connection.url}/objects/${output?.key}`, {
      headers: { authorization: `Bearer ${firewatch.connection.apiKey}` },
    });
    expect(Buffer.from(await object.arrayBuffer()).toString()).toBe(text);

    const transfer = await eventually(async () => {
      const { body } = await firewatch.call("GET", `transfers/${output?.transferId}`);
      return body.link.state === "released" ? body : undefined;
    }, "the release of the link");
    expect(transfer).toMatchObject({ status: "stored", proof: "hash" });
    expect(links.length).toBeGreaterThan(0);
    expect(await Promise.all(links.map(isDead))).toEqual(links.map(() => true));
    const original = await readFile(transfer.path);
    expect(createHash("sha256").update(original).digest("hex")).toBe(transfer.sha256);

    await receiver.waitFor("job.settled", 20_000);
    expect(receiver.received.every(({ verified }) => verified)).toBe(true);
    const logs = await firewatch.call("GET", `jobs/${answer.body.jobId}/logs?stream=stderr`);
    expect(logs.headers.get("content-type")).toContain("text/plain");
  });

  it("shows what a job printed as it is, masked where others read along, and never what an earlier job left there", async () => {
    const printing = async (script: string) => {
      const { body } = await firewatch.call("POST", "jobs", { body: { system: "cluster", script } });
      await firewatch.settled(body.id);
      return (query: string) => firewatch.call("GET", `jobs/${body.id}/logs${query}`);
    };
    const logs = await printing("#!/bin/bash -l\necho DB_PASSWORD=hunter2\necho done\n");
    expect((await logs("")).text).toBe("DB_PASSWORD=hunter2\ndone\n");
    expect((await logs("?masked=true&tail=2")).text).toBe("DB_PASSWORD=[redacted]\ndone\n");
    const old = await printing("#!/bin/bash -l\necho old\ntouch -d 2001-01-01 /proc/self/fd/1\n");
    expect((await old("")).text).toBe("");
  });

  it("signs callbacks with a public key that anybody can look up", async () => {
    const { body } = await firewatch.call("GET", "/.well-known/webhook-keys/local-v1", { token: null });
    const [jwk] = body.keys;
    const key = await crypto.subtle.importKey("jwk", { kty: jwk.kty, crv: jwk.crv, x: jwk.x }, "Ed25519", false, [
      "verify",
    ]);
    const { createServer } = await import("node:http");
    const seen = new Promise<{ headers: Record<string, string>; body: string }>((resolve) => {
      const server = createServer((request, response) => {
        let text = "";
        request.on("data", (chunk) => {
          text += chunk;
        });
        request.on("end", () => {
          response.end();
          server.close();
          resolve({ headers: request.headers as Record<string, string>, body: text });
        });
      });
      server.listen(0, "127.0.0.1", async () => {
        const address = server.address();
        const url = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}/`;
        await firewatch.call("POST", "jobs", {
          body: { system: "cluster", script: "#!/bin/bash -l\ntrue\n", callbacks: [{ url, events: ["job.accepted"] }] },
        });
      });
    });
    const { headers, body: text } = await seen;
    const signature = headers["webhook-signature"]?.split(" ") ?? [];
    expect(signature).toHaveLength(1);
    expect(signature[0]).toMatch(/^v1a,/);
    const content = new TextEncoder().encode(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${text}`);
    expect(
      await crypto.subtle.verify("Ed25519", key, Buffer.from(signature[0]?.slice(4) ?? "", "base64"), content),
    ).toBe(true);
  });

  it("makes one job of a hundred copies sent at once", async () => {
    const before = (await firewatch.call("GET", "jobs?limit=200")).body.items.length;
    const payload = { kind: "run", text: "once" };
    const answers = await Promise.all(
      Array.from({ length: 100 }, () =>
        firewatch.send("copy", senderSecret, payload, {
          id: "msg_hundred",
          timestamp: Math.floor(Date.now() / 1000) * 1000,
        }),
      ),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([202]));
    expect(new Set(answers.map(({ body }) => body.jobId)).size).toBe(1);
    expect((await firewatch.call("GET", "jobs?limit=200")).body.items.length).toBe(before + 1);
  });

  it("answers a repeated id with another body with 422, and a filtered request with 200", async () => {
    await firewatch.send("copy", senderSecret, { kind: "run", text: "a" }, { id: "msg_same" });
    expect((await firewatch.send("copy", senderSecret, { kind: "run", text: "b" }, { id: "msg_same" })).status).toBe(
      422,
    );
    const filtered = await firewatch.send("copy", senderSecret, { kind: "other", text: "a" });
    expect(filtered).toMatchObject({ status: 200, body: { outcome: "filtered" } });
  });

  it("names the parameter that is wrong, and starts nothing", async () => {
    const answer = await firewatch.send("copy", senderSecret, { kind: "run", text: "a", count: 12 });
    expect(answer.status).toBe(422);
    expect(answer.text).toContain("count");
  });

  it("gives one constant 401 for a wrong signature, a flipped body, an old or new timestamp, and whatever does not exist", async () => {
    const payload = { kind: "run", text: "x" };
    const now = Date.now();
    const answers = [
      await firewatch.send("copy", `whsec_${randomBytes(32).toString("base64")}`, payload),
      await firewatch.send("copy", senderSecret, payload, { body: JSON.stringify({ kind: "run", text: "y" }) }),
      await firewatch.send("copy", senderSecret, payload, { timestamp: now - 302_000 }),
      await firewatch.send("copy", senderSecret, payload, { timestamp: now + 302_000 }),
      await firewatch.send("nothing", senderSecret, payload),
      await firewatch.call("POST", "/hooks/nobody/copy", { body: payload, token: null }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([401, 401, 401, 401, 401, 401]);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  it("shows names and verdicts to a sender's dry run, and starts nothing", async () => {
    const before = (await firewatch.call("GET", "jobs?limit=200")).body.items.length;
    const { Webhook } = await import("standardwebhooks");
    const body = JSON.stringify({ kind: "run", text: "secret text" });
    const stamp = new Date();
    const answer = await firewatch.call("POST", "/hooks/local-v1/copy?dry_run=1", {
      raw: body,
      token: null,
      headers: {
        "webhook-id": "msg_dry",
        "webhook-timestamp": String(Math.floor(stamp.getTime() / 1000)),
        "webhook-signature": new Webhook(senderSecret).sign("msg_dry", stamp, body),
      },
    });
    expect(answer.status).toBe(200);
    expect(answer.text).not.toContain("secret text");
    expect((await firewatch.call("GET", "jobs?limit=200")).body.items.length).toBe(before);
  });
});

describe("events", () => {
  it("are numbered without gaps and stream live, resuming where the reader stopped", async () => {
    const { body } = await firewatch.call("GET", "events?after=0&limit=200");
    expect(body.items.map(({ sequence }: { sequence: number }) => sequence)).toEqual(
      body.items.map((_: unknown, n: number) => n + 1),
    );
    const last = body.items.at(-1).sequence;
    const abort = new AbortController();
    const stream = await fetch(`${firewatch.connection.url}/events`, {
      headers: {
        authorization: `Bearer ${firewatch.connection.apiKey}`,
        accept: "text/event-stream",
        "last-event-id": String(last - 1),
      },
      signal: abort.signal,
    });
    expect(stream.headers.get("content-type")).toContain("text/event-stream");
    const { body: job } = await firewatch.call("POST", "jobs", {
      body: { system: "cluster", script: "#!/bin/bash -l\ntrue\n" },
    });
    const decoder = new TextDecoder();
    let text = "";
    for await (const chunk of stream.body ?? []) {
      text += decoder.decode(chunk, { stream: true });
      if (text.includes(`jobs/${job.id}`) && text.includes("job.succeeded")) break;
    }
    abort.abort();
    expect(text).toContain(`id: ${last}\n`);
    expect(text).not.toContain(`id: ${last - 1}\n`);
  });
});

describe("what nobody may see", () => {
  it("keeps secrets, links and tokens out of logs and answers", async () => {
    const everything = firewatch.logs.join("\n");
    expect(everything).not.toContain(senderSecret);
    expect(everything).not.toContain(callbackSecret);
    expect(everything).not.toContain(firewatch.connection.apiKey);
    expect(everything).not.toContain(firewatch.firecrest.clientSecret);
    expect(everything).not.toMatch(/X-Amz-Signature=[0-9a-f]/i);
    expect(everything).not.toMatch(/eyJ[A-Za-z0-9_-]{20,}/);
  });
});

describe("a job that pings", () => {
  it("is announced as ended before the next poll would have come, and a wrong ping does nothing", async () => {
    expect(
      (await firewatch.call("POST", "/pings/local-v1/job_00000000000000000000000000/x", { token: null })).status,
    ).toBe(204);
    const { body } = await firewatch.call("POST", "jobs", {
      body: { system: "cluster", script: "#!/bin/bash -l\nsleep 2\nexit 3\n", ping: true },
    });
    const job = await firewatch.settled(body.id);
    expect(job).toMatchObject({ status: "failed", exitCode: 3 });
    expect(firewatch.logs.filter((line) => line.includes('"route":"ping"')).length).toBeGreaterThanOrEqual(3);
  });
});
