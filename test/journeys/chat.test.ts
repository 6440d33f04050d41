/** People in chat, through the real Workers: they type, press and fill in forms, while FirecREST takes its time. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { MattermostServer, SlackTeam } from "../support/chat-people.ts";
import { type Deployment, deploy, eventually } from "./deployment.ts";

const ALICE = "U0ALICE";
const BOB = "U0BOB";
const SCRIPT = '#!/bin/bash\necho hello from "$WHO"\necho trouble >&2\nsleep 1\n';

let firewatch: Deployment;
const slack = new SlackTeam();
const mattermost = new MattermostServer();

const admin = (method: string, path: string, body?: unknown) =>
  firewatch.call(method, path, { token: firewatch.adminToken, ...(body === undefined ? {} : { body }) });

async function code(workspace: string, role: "owner" | "member"): Promise<string> {
  const made = await admin("POST", "/v1/connections/local-v1/chat-codes", { workspace, role });
  expect(made.status).toBe(201);
  return made.body.command.replace("/hpc ", "");
}

beforeAll(async () => {
  firewatch = await deploy();
  await Promise.all([slack.start(), mattermost.start()]);
  slack.target = `${firewatch.url}/chat/lab/slack`;
  mattermost.target = `${firewatch.url}/chat/server/mattermost`;
  const lab = {
    platform: "slack",
    team: slack.team,
    signingSecrets: [slack.signingSecret],
    botToken: slack.double.token,
    apiUrl: `${slack.url}/api`,
  };
  const server = {
    platform: "mattermost",
    commandTokens: [mattermost.commandToken],
    botToken: mattermost.double.token,
    apiUrl: mattermost.url,
  };
  expect((await admin("PUT", "/v1/workspaces/lab", lab)).status).toBe(201);
  expect((await admin("PUT", "/v1/workspaces/server", server)).status).toBe(201);
});

afterAll(async () => {
  await Promise.all([slack.stop(), mattermost.stop()]);
  await firewatch.stop();
});

const newest = async (): Promise<Record<string, string>> => (await firewatch.call("GET", "jobs?limit=1")).body.items[0];

describe("in Slack", () => {
  it("a stranger is told how to get in, and a code lets them in before both sides' eyes", async () => {
    expect(JSON.stringify((await slack.type(ALICE, "queue")).body)).toContain("not linked");
    const answer = await slack.type(ALICE, await code("lab", "owner"));
    expect(answer.body).toMatchObject({ response_type: "ephemeral" });
    expect(JSON.stringify(answer.body)).toContain("You are linked to local-v1");
    const links = await admin("GET", "/v1/connections/local-v1/chat-links");
    expect(links.body.items).toMatchObject([
      { workspace: "lab", user: ALICE, userName: `name-of-${ALICE}`, role: "owner" },
    ]);
    expect((await admin("GET", "/v1/workspaces/lab/links")).body.items).toMatchObject([
      { user: ALICE, isDefault: true },
    ]);
    expect((await admin("GET", "/v1/workspaces/lab")).body).toMatchObject({ people: 1 });
  });

  it("a form starts a job, one message follows it to its end, and its buttons work", async () => {
    await slack.type(ALICE, "submit");
    const view = slack.views.at(-1);
    if (view === undefined) throw new Error("no form was opened");
    const wrong = await slack.fill(ALICE, view, { system: "cluster", script: "echo", time: "soon" });
    expect(wrong.body).toEqual({
      response_action: "errors",
      errors: { time: expect.stringContaining("must be like") },
    });
    const headless = await slack.fill(ALICE, view, { system: "cluster", script: "echo" });
    expect(headless.body.errors.script).toContain("#!");

    const values = { system: "cluster", script: SCRIPT, name: "greeting", env: 'WHO=$(id) `x` "<!channel>"' };
    expect(await slack.fill(ALICE, view, values)).toMatchObject({ status: 200, body: undefined });
    // A second press of the same button is the same request.
    expect(await slack.fill(ALICE, view, values)).toMatchObject({ status: 200, body: undefined });
    const job = await newest();
    expect(job).toMatchObject({ name: "greeting" });
    expect((await firewatch.call("GET", "jobs?limit=10")).body.items).toHaveLength(1);
    await firewatch.settled(job.id ?? "");

    const message = await eventually(
      () => slack.double.roots.find(({ text }) => text.includes("greeting") && text.includes("succeeded")),
      "the message that says how it ended",
    );
    expect(slack.double.roots.filter(({ channel }) => channel === `D${ALICE}`)).toHaveLength(1);
    const buttons = (message.blocks as { type: string; elements: Record<string, string>[] }[])
      .filter(({ type }) => type === "actions")
      .flatMap(({ elements }) => elements);
    const logs = buttons.find(({ action_id }) => action_id === "firewatch:logs");
    const pressed = await slack.press(ALICE, { action_id: logs?.action_id, value: logs?.value });
    expect(pressed).toMatchObject({ status: 200, body: undefined });
    const [told] = await eventually(() => {
      const answers = slack.toldAt(pressed.answersAt);
      return answers.length > 0 ? answers : undefined;
    }, "the output");
    expect(told).toMatchObject({ response_type: "ephemeral", replace_original: false });
    expect(JSON.stringify(told)).toContain("hello from $(id) `x`");

    // Somebody else, who is not linked, presses the same button.
    const stranger = await slack.press(BOB, { action_id: logs?.action_id, value: logs?.value });
    await eventually(() => slack.toldAt(stranger.answersAt)[0], "an answer to a stranger");
    expect(JSON.stringify(slack.toldAt(stranger.answersAt))).toContain("not linked");

    // Once, however often it is pressed.
    const again = buttons.find(({ action_id }) => action_id === "firewatch:resubmit");
    const { body } = slack.click(ALICE, { action_id: again?.action_id, value: again?.value });
    await Promise.all([slack.post(body), slack.post(body, { retry: 1 })]);
    const second = await slack.press(ALICE, { action_id: again?.action_id, value: again?.value });
    await eventually(() => slack.toldAt(second.answersAt)[0], "an answer to the second press");
    expect((await firewatch.call("GET", "jobs?limit=10")).body.items).toHaveLength(2);
    await firewatch.settled((await newest()).id ?? "");
  });

  it("answers within three seconds while FirecREST takes ten, and says the rest later", async () => {
    const job = await newest();
    firewatch.firecrest.faults.add({ kind: "slow", ms: 10_000 });
    slack.slowestMs = 0;
    const commands = [
      "help",
      "queue",
      `status ${job.id}`,
      `submit cluster /tmp/none.sh --here`,
      "watch cluster 4711",
      `get ${job.id}`,
      "get cluster /tmp/file",
      `cancel ${job.id}`,
      "connect",
      "use local-v1",
      "submit",
      `logs ${job.id} --stderr`,
    ];
    const answers = await Promise.all(commands.map((text) => slack.type(ALICE, text)));
    expect(answers.map(({ status }) => status)).toEqual(commands.map(() => 200));
    expect(slack.slowestMs).toBeLessThan(3_000);
    const logs = answers.at(-1);
    expect(JSON.stringify(logs?.body)).toContain("On it");
    const told = await eventually(() => slack.toldAt(logs?.answersAt ?? "")[0], "the late output", 40_000);
    firewatch.firecrest.faults.clear();
    expect(JSON.stringify(told)).toContain("trouble");
    expect(slack.toldAt(logs?.answersAt ?? "")).toHaveLength(1);
  });

  it("takes a repeated request once, and gives it the first answer", async () => {
    const { body } = slack.slash(ALICE, "submit cluster /tmp/none.sh --name repeated");
    const first = await slack.post(body);
    const retries = await Promise.all([slack.post(body, { retry: 1 }), slack.post(body, { retry: 2 })]);
    for (const retry of retries) expect(retry.body).toEqual(first.body);
    const { items } = (await firewatch.call("GET", "jobs?limit=50")).body;
    expect(items.filter(({ name }: { name?: string }) => name === "repeated")).toHaveLength(1);
  });

  it("a result and any other file come as links that a browser opens, without a credential, to whoever asked", async () => {
    const body = {
      system: "cluster",
      script: "#!/bin/bash\necho the result > out.txt\n",
      outputs: [{ path: "out.txt" }, { path: "none.txt" }],
    };
    const { id } = (await firewatch.call("POST", "jobs", { body })).body;
    await firewatch.settled(id);
    const { body: shown } = await slack.type(ALICE, `get ${id}`);
    const links = [...JSON.stringify(shown).matchAll(/"url":"([^"]+)"/g)].map(([, url]) => url ?? "");
    expect(links).toHaveLength(1);
    const opened = await fetch(links[0] ?? "");
    expect([opened.status, await opened.text()]).toEqual([200, "the result\n"]);
    expect(JSON.stringify(shown)).toContain("none.txt");

    const home = (await firewatch.call("GET", "systems")).body.items[0].fileSystems[0].path;
    const path = `${home}/alice/fetched-${Date.now()}.txt`;
    expect(
      (await firewatch.call("POST", `systems/cluster/files/upload?path=${path}`, { raw: "the file" })).status,
    ).toBe(200);
    expect(JSON.stringify((await slack.type(ALICE, `get cluster ${path}`)).body)).toContain("is being fetched");
    const told = await eventually(
      () =>
        slack.double.roots.find(({ channel, text }) => channel === `D${ALICE}` && /fetched-.* is stored/.test(text)),
      "the message that says that the file is here",
    );
    const url = /"url":"([^"]+)"/.exec(JSON.stringify(told.blocks))?.[1] ?? "";
    expect(await (await fetch(url)).text()).toBe("the file");
    const { items } = (await admin("GET", "/v1/connections/local-v1/audit?limit=50")).body;
    expect(items).toContainEqual(expect.objectContaining({ act: "link.add", actor: `chat:lab:${ALICE}` }));
  });

  it("shows hostile text as text, and believes no forged or old request", async () => {
    for (const text of ['<!channel> `$(id)` "x', "status <@U1>|<!here>", "`".repeat(65_536), "queue \u202e"]) {
      const { status, body } = await slack.type(ALICE, text);
      expect(status).toBe(200);
      expect(String(body.text)).not.toContain("<!");
    }
    const { body } = slack.slash(ALICE, "queue");
    expect((await slack.post(body, { at: Math.floor(Date.now() / 1000) - 301 })).status).toBe(401);
    const forged = await firewatch.call("POST", "/chat/lab/slack", {
      token: null,
      raw: body,
      headers: {
        "content-type": "application/x-www-form-urlencoded",
        "x-slack-request-timestamp": String(Math.floor(Date.now() / 1000)),
        "x-slack-signature": `v0=${"0".repeat(64)}`,
      },
    });
    expect(forged.status).toBe(401);
  });
});

describe("in Mattermost", () => {
  it("people link themselves, start and follow a job, and press its buttons", async () => {
    expect((await mattermost.type("alice1", "queue", "another-token")).status).toBe(401);
    expect(JSON.stringify((await mattermost.type("alice1", "queue")).body)).toContain("not linked");
    expect(JSON.stringify((await mattermost.type("alice1", await code("server", "member"))).body)).toContain(
      "are linked",
    );
    expect(JSON.stringify((await mattermost.type("alice1", "queue")).body)).toContain("No jobs");
    const body = { system: "cluster", script: "#!/bin/sh\n" };
    const { body: job } = await firewatch.call("POST", "jobs", { body });
    // Jobs of others do not exist for a member.
    expect(JSON.stringify((await mattermost.type("alice1", `status ${job.id}`)).body)).toContain("no such job");
    firewatch.firecrest.faults.add({ kind: "slow", ms: 5_000 });
    const started = await mattermost.type("alice1", "submit cluster /tmp/none.sh --name from-mattermost");
    expect(JSON.stringify(started.body)).toContain("accepted");
    const mine = await newest();
    const status = await mattermost.type("alice1", `status ${mine.id}`);
    const actions: { id: string; integration: { context: { click: string } } }[] = status.body.attachments[0].actions;
    const cancel = actions.find(({ id }) => id === "cancel")?.integration.context;
    expect((await mattermost.press("bob1", cancel)).body.ephemeral_text).toContain("not linked");
    const other = { click: cancel?.click.replace(mine.id ?? "", job.id) };
    expect((await mattermost.press("alice1", other)).status).toBe(401);
    expect((await mattermost.press("alice1", { click: "" })).status).toBe(401);
    expect((await mattermost.press("alice1", cancel)).body.ephemeral_text).toContain("being cancelled");
    firewatch.firecrest.faults.clear();
    await eventually(
      () => mattermost.double.posts.find(({ props }) => JSON.stringify(props).includes("from")),
      "the message in the conversation with the bot",
    );
  });
});

it("no secret of chat is in any log", () => {
  const text = firewatch.logs.join("\n");
  const secrets = [
    slack.signingSecret,
    slack.double.token,
    mattermost.commandToken,
    mattermost.double.token,
    "/answers/",
  ];
  for (const secret of secrets) expect(text).not.toContain(secret);
});
