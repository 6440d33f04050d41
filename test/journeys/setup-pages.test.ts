/** The set-ups of docs/chat-slack.md, docs/chat-mattermost.md and docs/invitations.md, command by command, as a reader would. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { MattermostServer, SlackTeam } from "../support/chat-people.ts";
import { blocksOf, run } from "../support/pages.ts";
import { ROOT } from "../support/sources.ts";
import { type Deployment, deploy } from "./deployment.ts";

let firewatch: Deployment;
const slack = new SlackTeam();
const mattermost = new MattermostServer();

beforeAll(async () => {
  firewatch = await deploy();
  await Promise.all([slack.start(), mattermost.start()]);
});
afterAll(async () => {
  await Promise.all([slack.stop(), mattermost.stop()]);
  await firewatch?.stop();
});

/** Each command of a page with what it answers; `own` says what a reader puts in place of the page's examples. */
async function followed(page: string, own: Record<string, string>, then: (answer: Record<string, string>) => void) {
  const ownerKey = await firewatch.call("POST", "keys", {
    token: firewatch.adminToken,
    body: { name: "owner", scopes: ["connection:admin"] },
  });
  const env: Record<string, string> = {
    URL: firewatch.url,
    ADMIN_TOKEN: firewatch.adminToken,
    OWNER_KEY: ownerKey.body.apiKey,
  };
  for (const block of await blocksOf(page, "sh")) {
    const command = Object.entries(own).reduce((text, [theirs, ours]) => text.replaceAll(theirs, ours), block);
    const { code, stdout } = await run("bash", ["-euo", "pipefail"], { cwd: ROOT, env, input: `${command}` });
    const answer = JSON.parse(stdout) as Record<string, string>;
    expect([code, answer.status === undefined ? "" : answer.detail]).toEqual([0, ""]);
    then(answer);
    // What the page has its reader keep for the next step.
    if (answer.invitation !== undefined) env.INVITATION = answer.invitation;
  }
}

const stepsOf = async (page: string, upTo: string): Promise<number> => {
  const text = await readFile(join(ROOT, page), "utf8");
  return [...text.slice(0, text.indexOf(upTo)).matchAll(/^\d+\. /gm)].length;
};

it("Slack is set up in five steps at most, and the last one lets a person in", async () => {
  const page = "docs/chat-slack.md";
  expect(await stepsOf(page, "## What people type")).toBeLessThanOrEqual(5);
  const answers: Record<string, string>[] = [];
  const own = {
    "cscs-hpc": "local-v1",
    T0123ABCD: slack.team,
    '"signingSecrets":["…"]': `"signingSecrets":["${slack.signingSecret}"]`,
    // The one thing that no reader writes: the double is not at Slack's own address.
    '"botToken":"…"': `"botToken":"${slack.double.token}","apiUrl":"${slack.url}/api"`,
  };
  await followed(page, own, (answer) => answers.push(answer));
  const [manifest, workspace, code] = answers;
  expect(JSON.stringify(manifest)).toContain(`${firewatch.url}/chat/lab/slack`);
  slack.target = workspace?.requestUrl ?? "";
  const typed = await slack.type("U0ALICE", (code?.command ?? "").replace("/hpc ", ""));
  expect(JSON.stringify(typed.body)).toContain("You are linked to local-v1");
  await slack.type("U0ALICE", "submit");
  expect(slack.views).toHaveLength(1);
  expect(await readFile(join(ROOT, page), "utf8")).toMatch(/^## Not tried live$/m);
});

it("Mattermost is set up in five steps at most, and the last one lets a person in", async () => {
  const page = "docs/chat-mattermost.md";
  expect(await stepsOf(page, "## What people type")).toBeLessThanOrEqual(5);
  const answers: Record<string, string>[] = [];
  const own = {
    "cscs-hpc": "local-v1",
    "https://chat.example.org": mattermost.url,
    '"commandTokens":["…"]': `"commandTokens":["${mattermost.commandToken}"]`,
    '"botToken":"…"': `"botToken":"${mattermost.double.token}"`,
  };
  await followed(page, own, (answer) => answers.push(answer));
  const [workspace, code] = answers;
  mattermost.target = workspace?.requestUrl ?? "";
  const typed = await mattermost.type("alice1", (code?.command ?? "").replace("/hpc ", ""));
  expect(JSON.stringify(typed.body)).toContain("You are linked to local-v1");
  expect(await readFile(join(ROOT, page), "utf8")).toMatch(/^## Not tried live$/m);
});

it("an invitation works as its page says", async () => {
  const page = "docs/invitations.md";
  expect(await stepsOf(page, "`GET $URL")).toBeLessThanOrEqual(5);
  const { v1Url, tokenUrl, clientId, clientSecret } = firewatch.firecrest;
  const auth = { type: "client_credentials", tokenUrl, clientId, clientSecret };
  const own = {
    '{"preset":"cscs-hpc","auth":{"clientId":"…","clientSecret":"…"}}': JSON.stringify({ api: "v1", url: v1Url, auth }),
    "cscs-hpc": "invited",
  };
  const answers: { url?: string; ownerKey?: { apiKey: string } }[] = [];
  await followed(page, own, (answer) => answers.push(answer));
  expect(answers[0]?.url).toBe(`${firewatch.url}/v1/connections/invited`);
  const token = answers[1]?.ownerKey?.apiKey ?? "";
  expect((await firewatch.call("GET", "/v1/connections/invited/keys", { token })).status).toBe(200);
});
