import { createHmac } from "node:crypto";
import { readFileSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { bindAction } from "../../../shared/chat/action.ts";
import { VERBS } from "../../../shared/chat/command.ts";
import { SLACK_SCOPES } from "../../../shared/chat/slack-manifest.ts";
import vectors from "../../../test/data/vectors/slack.json" with { type: "json" };
import { ADMIN_TOKEN, createWorld, problemIn, type World } from "../testing/world.ts";

const SECRET = "a-signing-secret-of-slack";
const TOKEN = "the-token-of-a-command";
const SLACK = { platform: "slack", team: "T1DC2JH3J", signingSecrets: [SECRET], botToken: "bot-token-1" };
const MATTERMOST = {
  platform: "mattermost",
  commandTokens: [TOKEN],
  botToken: "bot-token-2",
  apiUrl: "https://chat.example.org",
};
const JOB = "job_01jd8x0f3q8y2k5v7n9r4t6wzb";
const FORM = { "content-type": "application/x-www-form-urlencoded" };

let world: World;
beforeEach(async () => {
  world = await createWorld();
  for (const [name, body] of Object.entries({ lab: SLACK, server: MATTERMOST })) {
    expect((await world.send(`/v1/workspaces/${name}`, { method: "PUT", token: ADMIN_TOKEN, body })).status).toBe(201);
  }
});

function slack(
  body: string,
  {
    secret = SECRET,
    at = Math.floor(world.clock.now / 1000),
    to = "lab",
    headers = FORM as Record<string, string>,
  } = {},
): Promise<Response> {
  const signature = `v0=${createHmac("sha256", secret).update(`v0:${at}:${body}`).digest("hex")}`;
  return world.send(`/chat/${to}/slack`, {
    method: "POST",
    headers: { ...headers, "x-slack-signature": signature, "x-slack-request-timestamp": String(at) },
    body,
  });
}

const slash = (change: Record<string, string> = {}): string =>
  new URLSearchParams({
    team_id: "T1DC2JH3J",
    channel_id: "C1",
    user_id: "U1",
    user_name: "alice",
    command: "/hpc",
    text: "queue",
    trigger_id: "13345224609.738474920.8088930838d88f008e0",
    response_url: "https://hooks.slack.com/commands/1/2",
    ...change,
  }).toString();

const payload = (value: unknown): string => new URLSearchParams({ payload: JSON.stringify(value) }).toString();

describe("Slack's door", () => {
  it.each(vectors.vectors)("vector $id: $expect", async (vector) => {
    const body = { ...SLACK, signingSecrets: [vector.secret] };
    world.clock.now = vector.now * 1000;
    // A secret that no workspace may have is not configured; its vector is one of refusal.
    const put = await world.send("/v1/workspaces/vector", { method: "PUT", token: ADMIN_TOKEN, body });
    const headers: Record<string, string> = { ...FORM };
    if (vector.signature) headers["x-slack-signature"] = vector.signature;
    if (vector.timestamp) headers["x-slack-request-timestamp"] = vector.timestamp;
    const response = await world.send("/chat/vector/slack", { method: "POST", headers, body: vector.body });
    if (vector.expect === "reject" || !put.ok) expect(response.status).toBe(401);
    else expect(response.status).not.toBe(401);
  });

  it("hands over who typed what and where, and answers what comes of it", async () => {
    world.chat.says = { body: { text: "three jobs" } };
    const response = await slack(slash());
    expect([response.status, await response.json()]).toEqual([200, { text: "three jobs" }]);
    expect(world.chat.heard).toEqual([
      {
        workspace: "lab",
        inbound: {
          kind: "command",
          id: "slash:13345224609.738474920.8088930838d88f008e0",
          person: { id: "U1", name: "alice" },
          channel: "C1",
          answerUrl: "https://hooks.slack.com/commands/1/2",
          triggerId: "13345224609.738474920.8088930838d88f008e0",
          text: "queue",
        },
      },
    ]);
  });

  it("gives strangers one and the same answer", async () => {
    const flipped = slash().replace("queue", "queuf");
    const signature = `v0=${createHmac("sha256", SECRET)
      .update(`v0:${Math.floor(world.clock.now / 1000)}:${slash()}`)
      .digest("hex")}`;
    const answers = await Promise.all([
      slack(slash(), { secret: "another-secret" }),
      slack(slash(), { at: Math.floor(world.clock.now / 1000) - 301 }),
      slack(slash(), { at: Math.floor(world.clock.now / 1000) + 301 }),
      slack(slash(), { to: "nobody" }),
      slack(slash(), { to: "server" }),
      slack(slash(), { to: "..%2f" }),
      slack(slash({ team_id: "T999" })),
      world.send("/chat/lab/slack", { method: "POST", headers: FORM, body: slash() }),
      world.send("/chat/lab/slack", {
        method: "POST",
        headers: {
          ...FORM,
          "x-slack-signature": signature,
          "x-slack-request-timestamp": String(Math.floor(world.clock.now / 1000)),
        },
        body: flipped,
      }),
    ]);
    const told = await Promise.all(answers.map(async (answer) => `${answer.status} ${await answer.text()}`));
    expect(new Set(told).size).toBe(1);
    expect(told[0]).toContain("401");
    expect(world.chat.heard).toEqual([]);
  });

  it("answers Slack's own questions: is this your address, is your certificate good", async () => {
    const json = { "content-type": "application/json" };
    const challenge = await slack(JSON.stringify({ type: "url_verification", challenge: "3eZbrw1a" }), {
      headers: json,
    });
    expect([challenge.status, await challenge.text()]).toEqual([200, "3eZbrw1a"]);
    const unsigned = await world.send("/chat/lab/slack", {
      method: "POST",
      headers: FORM,
      body: "ssl_check=1&token=x",
    });
    expect([unsigned.status, await unsigned.text()]).toEqual([200, ""]);
    expect(
      (
        await world.send("/chat/lab/slack", {
          method: "POST",
          headers: json,
          body: '{"type":"url_verification","challenge":"x"}',
        })
      ).status,
    ).toBe(401);
  });

  it("knows a button by what it carries, and passes by what it did not make", async () => {
    const opened = world.chat.held.get("lab")?.opened;
    const value = await bindAction(opened?.actionKey ?? "", { connection: "cscs-hpc", job: JOB, act: "cancel" });
    const click = (change: object) =>
      payload({
        type: "block_actions",
        team: { id: "T1DC2JH3J" },
        user: { id: "U2", username: "bob" },
        channel: { id: "C1" },
        container: { message_ts: "17.1" },
        response_url: "https://hooks.slack.com/actions/1/2",
        actions: [{ action_id: "firewatch:cancel", value, action_ts: "18.2", ...change }],
      });
    expect((await slack(click({}))).status).toBe(200);
    expect(world.chat.heard[0]?.inbound).toEqual({
      kind: "action",
      id: "press:17.1:firewatch:cancel:18.2:U2",
      person: { id: "U2", name: "bob" },
      channel: "C1",
      answerUrl: "https://hooks.slack.com/actions/1/2",
      action: { connection: "cscs-hpc", job: JOB, act: "cancel" },
    });
    for (const change of [
      { value: value.replace("cancel", "resubmit") },
      { value: await bindAction(btoa("x".repeat(32)), { connection: "cscs-hpc", job: JOB, act: "cancel" }) },
      { value: "" },
      { action_id: "somebody:else" },
      { action_id: "firewatch:open", value: undefined },
    ])
      expect((await slack(click(change))).status).toBe(200);
    expect(world.chat.heard).toHaveLength(1);
  });

  it("reads what was filled into a form, another time as another request", async () => {
    const submitted = (script: string) =>
      payload({
        type: "view_submission",
        team: { id: "T1DC2JH3J" },
        user: { id: "U1", name: "alice" },
        view: {
          id: "V1",
          callback_id: "firewatch:submit",
          private_metadata: JSON.stringify({ connection: "cscs-hpc", channel: "C1" }),
          state: {
            values: {
              system: { value: { type: "static_select", selected_option: { value: "daint" } } },
              script: { value: { type: "plain_text_input", value: script } },
              name: { value: { type: "plain_text_input", value: null } },
              here: { value: { type: "checkboxes", selected_options: [{ value: "yes" }] } },
            },
          },
        },
      });
    world.chat.says = { body: { response_action: "errors", errors: { script: "needs a first line" } } };
    expect(await (await slack(submitted("x"))).json()).toMatchObject({ response_action: "errors" });
    await slack(submitted("#!/bin/sh\n"));
    const [first, second] = world.chat.heard.map(({ inbound }) => inbound);
    expect(first).toMatchObject({
      kind: "form",
      connection: "cscs-hpc",
      channel: "C1",
      values: { system: "daint", script: "x", here: "yes" },
    });
    expect(first?.id).not.toBe(second?.id);
  });

  it("takes 64 KiB of anything without a stumble", async () => {
    for (const text of ["<!channel> `$(id)` \" ' ".repeat(2_800), "\u0000\u202e".repeat(10_000)]) {
      expect((await slack(slash({ text }))).status).toBe(200);
    }
    expect((await slack(`text=${"a".repeat(600_000)}`)).status).toBe(413);
  });

  it("passes by events and shortcuts that nobody asked for, and refuses what no Slack sends", async () => {
    const event = JSON.stringify({ type: "event_callback", event: { type: "app_mention" } });
    expect((await slack(event, { headers: { "content-type": "application/json" } })).status).toBe(200);
    expect((await slack(payload({ type: "shortcut", callback_id: "x" }))).status).toBe(200);
    expect((await slack("nothing=here")).status).toBe(422);
    expect((await slack("payload=%7B")).status).toBe(422);
    expect(world.chat.heard).toEqual([]);
  });
});

describe("Mattermost's door", () => {
  const typed = (change: Record<string, string> = {}, to = "server") =>
    world.send(`/chat/${to}/mattermost`, {
      method: "POST",
      headers: FORM,
      body: new URLSearchParams({
        channel_id: "c1",
        user_id: "u1",
        user_name: "alice",
        command: "/hpc",
        text: "queue",
        token: TOKEN,
        trigger_id: "t1",
        response_url: "https://chat.example.org/hooks/commands/x",
        ...change,
      }).toString(),
    });
  const pressed = (click: unknown, to = "server") =>
    world.send(`/chat/${to}/mattermost`, {
      method: "POST",
      body: {
        user_id: "u1",
        user_name: "alice",
        channel_id: "c1",
        post_id: "p1",
        trigger_id: "t1",
        context: { click },
      },
    });

  it("hands over a command that shows its token", async () => {
    expect((await typed()).status).toBe(200);
    await typed({ trigger_id: "t2" });
    await typed();
    const [first, other, repeated] = world.chat.heard.map(({ inbound }) => inbound);
    expect(first).toMatchObject({ kind: "command", text: "queue", person: { id: "u1", name: "alice" } });
    expect(first?.id).not.toBe(other?.id);
    expect(first?.id).toBe(repeated?.id);
  });

  it("believes a button for what it holds, in its own workspace only", async () => {
    await world.send("/v1/workspaces/other-server", { method: "PUT", token: ADMIN_TOKEN, body: MATTERMOST });
    const key = world.chat.held.get("server")?.opened.actionKey ?? "";
    const click = await bindAction(key, { connection: "cscs-hpc", job: JOB, act: "cancel" });
    expect((await pressed(click)).status).toBe(200);
    expect(world.chat.heard[0]?.inbound).toMatchObject({ kind: "action", action: { job: JOB, act: "cancel" } });
    const refused = [
      await pressed(click, "other-server"),
      await pressed(click.replace("cancel", "resubmit")),
      await pressed(click.replace("wzb", "wzc")),
      await pressed(""),
      await pressed({ $ne: "" }),
      await typed({ token: "another-token" }),
      await typed({ token: "" }),
      await typed({}, "nobody"),
      await typed({}, "lab"),
    ];
    const told = await Promise.all(refused.map(async (answer) => `${answer.status} ${await answer.text()}`));
    expect(new Set(told).size).toBe(1);
    expect(told[0]).toContain("401");
    expect(world.chat.heard).toHaveLength(1);
  });
});

describe("workspaces", () => {
  it("are the operator's: nobody else makes, sees or removes one", async () => {
    const strangers = [
      { status: 401 },
      { status: 401, token: "wrong" },
      { status: 403, token: world.apiKey },
      { status: 403, token: await world.keyWith("connection:admin") },
    ];
    for (const { status, token } of strangers) {
      const who = token === undefined ? {} : { token };
      for (const sent of [{ method: "PUT", body: SLACK }, { method: "GET" }, { method: "DELETE" }])
        expect((await world.send("/v1/workspaces/lab", { ...who, ...sent })).status).toBe(status);
      expect((await world.send("/v1/workspaces/lab/links", who)).status).toBe(status);
    }
  });

  it("show no secret, say where to send, and are gone when removed", async () => {
    const admin = { token: ADMIN_TOKEN };
    const shown = await (await world.send("/v1/workspaces/lab", admin)).text();
    expect(shown).not.toContain(SECRET);
    expect(shown).not.toContain("bot-token");
    expect(JSON.parse(shown)).toMatchObject({ requestUrl: "https://firewatch.test/chat/lab/slack", team: "T1DC2JH3J" });
    expect((await world.send("/v1/workspaces/lab", { ...admin, method: "PUT", body: SLACK })).status).toBe(200);
    expect((await world.send("/v1/workspaces/lab", { ...admin, method: "DELETE" })).status).toBe(204);
    expect((await world.send("/v1/workspaces/lab", admin)).status).toBe(404);
    world.clock.now += 5_001;
    expect((await slack(slash())).status).toBe(401);
  });

  it.each([
    [{ ...SLACK, team: "not a team" }, "/team"],
    [{ ...SLACK, signingSecrets: [] }, "/signingSecrets"],
    [{ ...SLACK, signingSecrets: [" "] }, "/signingSecrets/0"],
    [{ ...MATTERMOST, apiUrl: undefined }, "/apiUrl"],
    [{ ...MATTERMOST, platform: "irc" }, "/platform"],
  ])("are refused with the field that is wrong: %j", async (body, field) => {
    const response = await world.send("/v1/workspaces/lab", { method: "PUT", token: ADMIN_TOKEN, body });
    const problem = await problemIn(response);
    expect(problem.status).toBe(422);
    expect(problem.errors?.[0]?.field).toBe(field);
  });

  it("open for an owner's code only where they exist, and only for who administers the connection", async () => {
    const owner = await world.keyWith("connection:admin");
    const ask = (token: string, workspace: string) =>
      world.send("/v1/connections/lab/chat-codes", { method: "POST", token, body: { workspace } });
    expect((await ask(owner, "lab")).status).toBe(201);
    expect((await problemIn(await ask(owner, "nowhere"))).errors?.[0]?.field).toBe("/workspace");
    expect((await ask(world.apiKey, "lab")).status).toBe(403);
    expect((await ask(world.apiKey, "nowhere")).status).toBe(403);
  });
});

describe("the Slack app", () => {
  it("is one paste that leads here, made for a workspace that is not there yet", async () => {
    const response = await world.send("/v1/workspaces/not-yet/slack-manifest", { token: ADMIN_TOKEN });
    const manifest = (await response.json()) as {
      features: { slash_commands: Record<string, unknown>[] };
      settings: { interactivity: unknown };
      oauth_config: { scopes: { bot: string[] } };
    };
    const url = "https://firewatch.test/chat/not-yet/slack";
    expect(manifest.settings.interactivity).toEqual({ is_enabled: true, request_url: url });
    expect(manifest.features.slash_commands).toMatchObject([{ command: "/hpc", url, should_escape: false }]);
    for (const verb of Object.keys(VERBS)) expect(manifest.features.slash_commands[0]?.usage_hint).toContain(verb);
    expect(manifest.oauth_config.scopes.bot).toEqual(Object.keys(SLACK_SCOPES));
    expect((await world.send("/v1/workspaces/not-yet/slack-manifest")).status).toBe(401);
    expect((await world.send("/v1/workspaces/Not%20a%20name/slack-manifest", { token: ADMIN_TOKEN })).status).toBe(404);
  });

  it("is described with each permission that it asks for", () => {
    const page = readFileSync("docs/chat-slack.md", "utf8");
    for (const [scope, why] of Object.entries(SLACK_SCOPES)) expect(page).toContain(`| \`${scope}\` | ${why} |`);
    for (const [usage, about] of Object.values(VERBS))
      expect(page).toContain(`| \`/hpc ${usage.replaceAll("|", "\\|")}\` | ${about} |`);
  });
});

describe("invitations", () => {
  it("are made by the operator, and say where to take them", async () => {
    const body = { connection: "cscs-hpc" };
    const made = await world.send("/v1/invitations", { method: "POST", token: ADMIN_TOKEN, body });
    expect([made.status, await made.json()]).toEqual([
      201,
      expect.objectContaining({ invitation: "fwi_x", url: "https://firewatch.test/v1/connections/cscs-hpc" }),
    ]);
    expect((await world.send("/v1/invitations", { method: "POST", token: world.apiKey, body })).status).toBe(403);
    expect((await world.send("/v1/invitations", { method: "POST", token: "fwi_x", body })).status).toBe(401);
    expect((await world.send("/v1/connections", { token: "fwi_x" })).status).toBe(401);
  });
});
