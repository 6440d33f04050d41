/** Every page of docs/recipes, done as it says, and then sent what the sender's own documentation shows. */
import { createHmac, randomBytes } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Webhook } from "standardwebhooks";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { blocksOf, run } from "../support/pages.ts";
import { ROOT } from "../support/sources.ts";
import { type Answer, type Deployment, deploy } from "./deployment.ts";

interface Documented {
  documented: string[];
  headers: Record<string, string>;
  body: unknown;
}

interface Recipe {
  /** What the job of the page's own try-out leaves behind. */
  tried: RegExp;
  /** The same for the documented message; none for a sender that has no documentation. */
  sent?: string;
  proof: (secret: string, body: string) => Record<string, string>;
}

const github: Recipe["proof"] = (secret, body) => ({
  "x-hub-signature-256": `sha256=${createHmac("sha256", secret).update(body).digest("hex")}`,
});
const bearer: Recipe["proof"] = (secret) => ({ authorization: `Bearer ${secret}` });

const RECIPES: Record<string, Recipe> = {
  "github-push": {
    tried: /^6113728f27ae82c7b1a177c8d03f9e96e0adf246 of https:/,
    sent: "6113728f27ae82c7b1a177c8d03f9e96e0adf246 of https://github.com/Codertocat/Hello-World.git\n",
    proof: github,
  },
  "github-release": {
    tried: /^0\.0\.1 from https:/,
    sent: "0.0.1 from https://api.github.com/repos/Codertocat/Hello-World/tarball/0.0.1\n",
    proof: github,
  },
  "gitlab-pipeline": {
    tried: /^pipeline 31: bcbb5ec396a2c0f828686f14fac9b80b780504f2 of https:/,
    sent: "pipeline 31: bcbb5ec396a2c0f828686f14fac9b80b780504f2 of http://192.168.64.1:3005/gitlab-org/gitlab-test\n",
    proof: (secret) => ({ "x-gitlab-token": secret }),
  },
  alertmanager: {
    tried: /^ScratchAlmostFull on mds01:9100: \/scratch is 95 % full\n.*Use%/s,
    sent: "ScratchAlmostFull on mds01:9100: /scratch is 95 % full\n",
    proof: bearer,
  },
  "s3-object-created": {
    tried: /^example-key \(5 bytes\)/,
    sent: "example-key (5 bytes) of amzn-s3-demo-bucket1\n",
    proof: bearer,
  },
  "r2-object-created": { tried: /^my-new-object of my-bucket$/m, sent: "my-new-object of my-bucket\n", proof: bearer },
  curl: { tried: /^AB-0042 at 77\.4 K$/m, proof: bearer },
};

let firewatch: Deployment;
let folder: string;

beforeAll(async () => {
  firewatch = await deploy();
  folder = await mkdtemp(join(tmpdir(), "firewatch-recipes-"));
  await mkdir(join(folder, ".firewatch"));
  // What `npm start` writes there.
  await writeFile(
    join(folder, ".firewatch", "local.json"),
    JSON.stringify({ url: firewatch.url, connections: { "local-v1": firewatch.connection } }),
  );
});
afterAll(async () => {
  await firewatch?.stop();
  await rm(folder, { recursive: true, force: true });
});

const page = (name: string): string => `docs/recipes/${name}.md`;

async function hookOf(name: string, secret: string): Promise<Record<string, unknown>> {
  const [json = ""] = await blocksOf(page(name), "json");
  return JSON.parse(json.replaceAll("SECRET", secret));
}

const documented = async (name: string): Promise<Documented> =>
  JSON.parse(await readFile(join(ROOT, "test/data/recipes", `${name}.json`), "utf8"));

const post = (hook: string, body: string, headers: Record<string, string>): Promise<Answer> =>
  firewatch.call("POST", `/hooks/local-v1/${hook}`, { token: null, raw: body, headers });

/** The text of the one file that a recipe's job leaves. */
async function leftBy(jobId: string): Promise<string> {
  const job = (await firewatch.settled(jobId)) as { status: string; outputs: { key: string; status: string }[] };
  expect(job).toMatchObject({ status: "succeeded", outputs: [{ status: "stored" }] });
  return (await firewatch.call("GET", `objects/${job.outputs[0]?.key}`)).text;
}

describe.each(Object.entries(RECIPES))("recipe %s", (name, { tried, sent, proof }) => {
  it("works as its page says, command by command", async () => {
    const [hook = ""] = await blocksOf(page(name), "json");
    await writeFile(join(folder, "hook.json"), hook);
    const commands = (await blocksOf(page(name), "sh")).join("\n");
    const { code, stdout, stderr } = await run("bash", ["-euo", "pipefail"], { cwd: folder, input: commands });
    expect([code, stderr]).toEqual([0, ""]);
    const answer = JSON.parse(stdout.slice(stdout.lastIndexOf('{"requestId"')));
    expect(answer).toMatchObject({ outcome: "accepted" });
    expect(await leftBy(answer.jobId)).toMatch(tried);
  });

  it.runIf(sent !== undefined)("takes what the sender's documentation shows, once", async () => {
    const secret = randomBytes(32).toString("hex");
    const { headers, body } = await documented(name);
    const text = JSON.stringify(body);
    expect((await firewatch.call("PUT", `hooks/${name}`, { body: await hookOf(name, secret) })).status).toBe(200);
    const send = (with_: string) => post(name, text, { ...headers, ...proof(with_, text) });
    expect((await send(randomBytes(32).toString("hex"))).status).toBe(401);
    const [first, again] = [await send(secret), await send(secret)];
    expect([first.status, again.body]).toEqual([202, first.body]);
    expect(await leftBy(first.body.jobId)).toContain(sent);
  });

  it("has at most five steps, and says what was not tried live or needs nothing else to be tried", async () => {
    const text = await readFile(join(ROOT, page(name)), "utf8");
    expect(text.match(/^\d+\. \*\*/gm)?.length).toBeLessThanOrEqual(5);
    expect(/Not yet tried/.test(text)).toBe(sent !== undefined);
  });
});

it("every recipe has its page, and every page is tried", async () => {
  const pages = (await readdir(join(ROOT, "docs/recipes"))).filter((file) => file !== "README.md");
  expect(pages.sort()).toEqual(
    Object.keys(RECIPES)
      .map((name) => `${name}.md`)
      .sort(),
  );
});

describe("beside the main road", () => {
  it("GitHub's ping and other branches are filtered, and start nothing", async () => {
    const secret = "s".repeat(32);
    await firewatch.call("PUT", "hooks/quiet", { body: await hookOf("github-push", secret) });
    const { headers, body } = await documented("github-push");
    for (const [event, change] of [
      ["ping", { zen: "Design for failure." }],
      ["push", { ref: "refs/heads/other" }],
      ["push", { deleted: true, after: "0".repeat(40) }],
    ] as const) {
      const text = JSON.stringify({ ...(body as object), ...change });
      const answer = await post("quiet", text, {
        ...headers,
        "x-github-event": event,
        "x-github-delivery": `${event} ${JSON.stringify(change)}`.slice(0, 60),
        ...github(secret, text),
      });
      expect([answer.status, answer.body.outcome]).toEqual([200, "filtered"]);
    }
  });

  it("GitLab's signing token is a Standard Webhook, and the plain token opens nothing then", async () => {
    const secret = `whsec_${randomBytes(32).toString("base64")}`;
    await firewatch.call("PUT", "hooks/signed", { body: await hookOf("gitlab-pipeline", secret) });
    const { headers, body } = await documented("gitlab-pipeline");
    const text = JSON.stringify(body);
    const id = headers["idempotency-key"] ?? "";
    const now = new Date();
    const signed = {
      "webhook-id": id,
      "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
      "webhook-signature": new Webhook(secret).sign(id, now, text),
    };
    expect((await post("signed", text, { ...headers, ...signed })).status).toBe(202);
    expect((await post("signed", text, { ...headers, "x-gitlab-token": secret })).status).toBe(401);
    expect((await post("signed", `${text} `, { ...headers, ...signed })).status).toBe(401);
  });

  it("an alert that is told again in other words starts nothing; one that fires anew does", async () => {
    const secret = "a".repeat(32);
    await firewatch.call("PUT", "hooks/alerts", { body: await hookOf("alertmanager", secret) });
    const { headers, body } = await documented("alertmanager");
    const alert = body as { alerts: Record<string, unknown>[] };
    const send = async (message: unknown) =>
      (await post("alerts", JSON.stringify(message), { ...headers, ...bearer(secret, "") })).body;
    const first = await send(alert);
    expect(await send({ ...alert, commonAnnotations: { summary: "worse" } })).toEqual(first);
    expect(await send({ ...alert, status: "resolved" })).toMatchObject({ outcome: "filtered" });
    const anew = await send({ ...alert, alerts: [{ ...alert.alerts[0], startsAt: "2026-11-23T08:00:00.000Z" }] });
    expect(anew.outcome).toBe("accepted");
    expect(anew.jobId).not.toBe(first.jobId);
  });

  it("R2's message passes through the page's own Worker, and waits where the door is busy", async () => {
    const secret = "r".repeat(32);
    await firewatch.call("PUT", "hooks/bucket", { body: await hookOf("r2-object-created", secret) });
    const [source = ""] = await blocksOf(page("r2-object-created"), "js");
    await writeFile(join(folder, "consumer.mjs"), source);
    const consumer = (await import(join(folder, "consumer.mjs"))).default as {
      queue(batch: unknown, env: Record<string, string>): Promise<void>;
    };
    const { body } = await documented("r2-object-created");
    const fates: string[] = [];
    const message = { body, ack: () => fates.push("ack"), retry: () => fates.push("retry") };
    const door = `${firewatch.url}/hooks/local-v1/bucket`;
    await consumer.queue({ messages: [message, message] }, { DOOR: door, SECRET: secret });
    expect(fates).toEqual(["ack", "ack"]);
    const { body: listed } = await firewatch.call("GET", "hooks/bucket/requests");
    expect(listed.items).toMatchObject([{ outcome: "accepted" }]);
    await firewatch.call("PUT", "hooks/bucket", {
      body: { ...(await hookOf("r2-object-created", secret)), ratePerMinute: 1 },
    });
    await consumer.queue({ messages: [message, message] }, { DOOR: door, SECRET: secret });
    expect(fates).toEqual(["ack", "ack", "ack", "retry"]);
  });
});
