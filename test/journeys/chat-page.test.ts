/** docs/chat.md, followed literally: each command of its set-ups, against doubles that take only what the platforms take. */
import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  mailProblems,
  mattermostProblems,
  rocketchatProblems,
  slackProblems,
  teamsProblems,
} from "../support/chat-limits.ts";
import { type Deployment, deploy, eventually } from "./deployment.ts";

const PAGE = readFileSync(join(import.meta.dirname, "..", "..", "docs", "chat.md"), "utf8");

interface SetUp {
  title: string;
  steps: number;
  request: { channel: string; url?: string; email?: { apiKey: string } };
}

/** The set-ups of out-only channels, as a reader finds them. */
const SETUPS: SetUp[] = PAGE.slice(PAGE.indexOf("## Out-only channels"), PAGE.indexOf("## What was not tried live"))
  .split(/^### /m)
  .slice(1)
  .map((section) => ({
    title: section.split("\n", 1)[0] ?? "",
    steps: [...section.matchAll(/^\d+\. /gm)].length,
    request: JSON.parse(/-d '(\{.*\})'/.exec(section)?.[1] ?? "null"),
  }));

interface Hit {
  path: string;
  headers: Record<string, unknown>;
  body: string;
}

/** What each platform would say to a body, and what is wrong with it. */
const PLATFORMS: Record<string, { problems(body: unknown): string[]; answer: [status: number, body: string] }> = {
  slack_webhook: { problems: slackProblems, answer: [200, "ok"] },
  mattermost_webhook: { problems: mattermostProblems, answer: [200, "ok"] },
  rocketchat_webhook: { problems: rocketchatProblems, answer: [200, '{"success":true}'] },
  teams_workflow: { problems: teamsProblems, answer: [202, ""] },
  email: {
    problems: (body) => mailProblems(body as Parameters<typeof mailProblems>[0]),
    answer: [200, '{"id":"49a3999c"}'],
  },
};

let firewatch: Deployment;
let server: Server;
let base = "";
const hits: Hit[] = [];

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const path = request.url ?? "";
      const [status, body] = PLATFORMS[path.split("/")[1] ?? ""]?.answer ?? [404, ""];
      hits.push({ path, headers: request.headers, body: Buffer.concat(chunks).toString() });
      response.writeHead(status).end(body);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  firewatch = await deploy();
});

afterAll(async () => {
  await firewatch.stop();
  await new Promise((resolve) => server.close(resolve));
});

/** The platform's own address becomes the double's; what makes it a secret stays. */
function here({ channel, url = "https://api.resend.com/emails" }: SetUp["request"]): string {
  const { pathname, search } = new URL(url);
  return `${base}/${channel}${pathname}${search}`;
}

describe("docs/chat.md", () => {
  it("has every out-only channel, each in at most five steps", () => {
    expect(SETUPS.map(({ request }) => request.channel).sort()).toEqual(Object.keys(PLATFORMS).sort());
    for (const { steps } of SETUPS) expect(steps).toBeLessThanOrEqual(5);
  });

  it.each(SETUPS)("$title: its commands make a receiver that gets a message", async ({ request }) => {
    const url = here(request);
    const made = await firewatch.call("POST", "subscriptions", { body: { ...request, url } });
    expect(made.body).toMatchObject({ channel: request.channel, url: `${base}/…`, status: "active" });
    expect(made.status).toBe(201);
    expect(made.body.secret).toBeUndefined();
    for (const secret of [new URL(url).pathname, request.email?.apiKey ?? url]) {
      expect(made.text).not.toContain(secret);
      expect((await firewatch.call("GET", "subscriptions")).text).not.toContain(secret);
    }

    expect((await firewatch.call("POST", `subscriptions/${made.body.id}/test`)).status).toBe(202);
    const hit = await eventually(() => hits.find(({ path }) => path === url.slice(base.length)), "the test message");
    expect(hit.headers["content-type"]).toMatch(/^application\/json/);
    expect(PLATFORMS[request.channel]?.problems(JSON.parse(hit.body))).toEqual([]);
    expect(hit.body).toContain("This is a test");
    const delivery = await eventually(async () => {
      const { body, text } = await firewatch.call("GET", `deliveries?subscription=${made.body.id}`);
      expect(text).not.toContain(new URL(url).pathname);
      return body.items[0]?.status === "delivered" ? body.items[0] : undefined;
    }, "the delivery");
    expect(delivery.channel).toBe(request.channel);
  });

  it("tells every out-only channel of a job's end, with the end of its errors", async () => {
    hits.length = 0;
    const script = "#!/bin/bash\necho '@all <!channel> it broke' >&2\nexit 3\n";
    const job = (await firewatch.call("POST", "jobs", { body: { system: "cluster", script, name: "doomed" } })).body;
    await firewatch.settled(job.id);
    for (const [channel, { problems }] of Object.entries(PLATFORMS)) {
      const hit = await eventually(
        () => hits.find(({ path, body }) => path.startsWith(`/${channel}/`) && body.includes("exit code 3")),
        `news in ${channel}`,
      );
      expect(problems(JSON.parse(hit.body))).toEqual([]);
      expect(hit.body).toContain("it broke");
    }
    expect(firewatch.logs.join("\n")).not.toContain("XXXX");
  });

  it("asks no more of a request than it says", async () => {
    const refused = async (body: unknown) => (await firewatch.call("POST", "subscriptions", { body })).body.errors?.[0];
    expect(await refused({ channel: "slack_webhook" })).toMatchObject({ field: "/url" });
    expect(await refused({ channel: "email" })).toMatchObject({ field: "/email" });
    expect(await refused({ channel: "teams_workflow", url: base, format: "cloudevents" })).toMatchObject({
      field: "/format",
    });
    expect(await refused({ channel: "slack" })).toMatchObject({ field: "/chat" });
    expect(await refused({ channel: "slack", chat: { workspace: "foreign", channel: "C0" } })).toMatchObject({
      field: "/chat/workspace",
    });
    expect(await refused({ channel: "smoke", url: base })).toMatchObject({ field: "/channel" });
  });
});
