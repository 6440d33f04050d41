import { describe, expect, it } from "vitest";
import { toBase64 } from "../../shared/bytes.ts";
import { readAction } from "../../shared/chat/action.ts";
import { acceptTransfer } from "../../workers/poller/accept.ts";
import { followInChat } from "../../workers/poller/channels/follows.ts";
import * as links from "../../workers/poller/chat-links.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import { lease } from "../../workers/poller/lanes.ts";
import { announce } from "../../workers/poller/ledger.ts";
import { addressOfLink, openLink } from "../../workers/poller/links.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { MattermostDouble, SlackDouble } from "../support/chat-doubles.ts";
import { mattermostProblems, slackProblems } from "../support/chat-limits.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const TOKEN = "xoxb-a-bot";
const ACTION_KEY = toBase64(new Uint8Array(32).fill(3));
const PLACE = { workspace: "lab", channel: "C0LAB" } as const;

function slack(world: World): SlackDouble {
  const double = new SlackDouble({ now: world.house.now, token: TOKEN });
  world.receivers.set("/slack/", (request, body) => double.handle(request, body));
  const apiUrl = "https://receiver.test/slack/api";
  world.bots.set("lab", { platform: "slack", token: TOKEN, apiUrl, actionKey: ACTION_KEY });
  return double;
}

function follow(
  world: World,
  jobId?: string,
  place: { workspace: string; channel: string } | { workspace: string; user: string } = PLACE,
): string {
  const answer = followInChat(
    world.house,
    ACTOR,
    { platform: "slack", place, ...(jobId === undefined ? {} : { jobId }) },
    {},
  );
  return answer.id;
}

const settled = (world: World, id: string) => () => world.job(id).settledAt !== undefined && open(world) === 0;
const open = (world: World): number =>
  world.house.row<{ n: number }>("SELECT count(*) AS n FROM deliveries WHERE status = 'pending'")?.n ?? 0;
const statuses = (world: World): Record<string, number> =>
  Object.fromEntries(
    world.house
      .rows<{ status: string; n: number }>("SELECT status, count(*) AS n FROM deliveries GROUP BY status")
      .map(({ status, n }) => [status, n]),
  );
const textOf = (value: unknown): string => JSON.stringify(value);

describe("a job in a Slack channel", () => {
  it("is one message from its first state to its last, and its buttons are bound to it", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({ name: "simulate" });
      follow(world, id);
      await world.until(settled(world, id));
      expect(double.roots).toHaveLength(1);
      const [message] = double.roots;
      expect(message?.text).toContain("simulate on cluster succeeded");
      expect(message?.edits).toBeGreaterThan(0);
      const blocks = (message?.blocks ?? []) as { type: string; elements: { value: string }[] }[];
      const [button] = blocks.find(({ type }) => type === "actions")?.elements ?? [];
      expect(await readAction(ACTION_KEY, button?.value)).toMatchObject({ job: id, connection: world.house.name });
    }));

  it("that ran out of time can be resubmitted with more, as far as its partition allows", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const site = JSON.parse(world.house.meta("site") ?? "{}");
      world.house.setMeta("site", JSON.stringify({ ...site, limits: { "cluster/debug": { timeLimitSeconds: 90 } } }));
      for (const [partition, timeLimitSeconds] of [
        ["debug", 90],
        ["normal", 120],
      ] as const) {
        const script = `#!/bin/bash -l\n#SBATCH --time=1 --partition=${partition}\n#FAKE sleep 600\nsleep 600\n`;
        const { id } = await world.submit({ name: partition, script });
        follow(world, id);
        await world.until(settled(world, id));
        const message = double.roots.find(({ text }) => text.includes(`${partition} on cluster ran out of time`));
        const blocks = (message?.blocks ?? []) as { type: string; elements: { action_id: string; value: string }[] }[];
        const buttons = blocks.find(({ type }) => type === "actions")?.elements ?? [];
        const more = buttons.find(({ action_id }) => action_id === "firewatch:more");
        expect(await readAction(ACTION_KEY, more?.value)).toMatchObject({ job: id, proposal: { timeLimitSeconds } });
      }
    }));

  it("has the end of its errors and its results in its thread, once", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({
        script: "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE exit 3\nexit 3\n",
        outputs: [{ path: "/home/alice/missing.txt", key: "missing.txt", when: "always" }],
      });
      world.tails.set(id, "Traceback: <!channel> *** error\n");
      follow(world, id);
      await world.until(settled(world, id));
      const [message] = double.roots;
      const replies = message === undefined ? [] : double.repliesTo(message);
      expect(double.roots).toHaveLength(1);
      expect(replies.map(({ text }) => text).join()).toMatch(/last lines of its errors/);
      expect(replies.filter(({ blocks }) => textOf(blocks).includes("Traceback"))).toHaveLength(1);
      expect(replies.filter(({ text }) => text.includes("Results of"))).toHaveLength(1);
    }));

  it("shows the newest of several states that are due, and nothing of the others", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      follow(world, id);
      // Slack is away for the whole life of the job.
      double.fate = () => new Response("down", { status: 503 });
      await world.until(() => world.job(id).settledAt !== undefined);
      expect(double.messages).toHaveLength(0);
      double.fate = () => "answer";
      await world.until(() => open(world) === 0);
      expect(double.roots).toHaveLength(1);
      expect(double.roots[0]?.edits).toBe(0);
      expect(double.roots[0]?.text).toContain("succeeded");
      expect(statuses(world)).toMatchObject({ delivered: 1 });
      expect(statuses(world).superseded).toBeGreaterThan(0);
    }));

  it.each(["lose", "drop"] as const)("is posted once although an answer is lost (%s)", (fate) =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      let lost = 0;
      double.fate = (call) => (call === "chat.postMessage" && lost++ < 2 ? fate : "answer");
      follow(world, id);
      await world.until(settled(world, id));
      expect(lost).toBeGreaterThan(0);
      expect(double.roots).toHaveLength(1);
      expect(double.roots[0]?.text).toContain("succeeded");
      expect(double.calls).toContain("conversations.history");
    }),
  );

  it("is posted once although the Worker died after posting and never reported", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      world.fate = (queue) => (queue === "callbacks" ? "drop" : "deliver");
      const receiver = follow(world, id);
      const [leased] = await lease(world.house, world.desk.seal);
      const metadata = {
        event_type: "firewatch_message",
        event_payload: { key: `${world.house.name}/${receiver}/jobs/${id}/main` },
      };
      const ts = `${Math.floor(world.house.now() / 1000)}.000001`;
      double.messages.push({ channel: "C0LAB", ts, text: "posted, and then died", blocks: [], metadata, edits: 0 });
      expect(leased).toMatchObject({ channel: "slack" });
      world.fate = () => "deliver";
      await world.until(settled(world, id));
      expect(double.roots).toHaveLength(1);
      expect(double.roots[0]?.text).toContain("succeeded");
    }));

  it("may be posted twice where the bot is not allowed to read, rather than never", () =>
    inWorld(async (world) => {
      const double = slack(world);
      double.missing.add("conversations.history");
      const { id } = await world.submit({});
      let lost = 0;
      double.fate = (call) => (call === "chat.postMessage" && lost++ === 0 ? "lose" : "answer");
      follow(world, id);
      await world.until(settled(world, id));
      expect(double.roots).toHaveLength(2);
      expect(double.roots.at(-1)?.text).toContain("succeeded");
    }));

  it("is shown anew when somebody has removed its message", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      follow(world, id);
      await world.until(() => double.roots.length === 1);
      double.messages.length = 0;
      await world.until(settled(world, id));
      expect(double.roots).toHaveLength(1);
      expect(double.roots[0]?.text).toContain("succeeded");
    }));

  it("waits as long as Slack asks, with everything else in that channel, and no other channel waits", () =>
    inWorld(async (world) => {
      const double = slack(world);
      double.channels.add("C0TWO");
      const first = await world.submit({ name: "first" });
      let limited = 0;
      double.fate = (call) =>
        call === "chat.postMessage" && limited++ === 0
          ? new Response('{"ok":false,"error":"ratelimited"}', { status: 429, headers: { "retry-after": "120" } })
          : "answer";
      const began = world.house.now();
      follow(world, first.id);
      await world.drain();
      follow(world, first.id, { workspace: "lab", channel: "C0TWO" });
      await world.drain();
      expect(double.roots.map(({ channel }) => channel)).toEqual(["C0TWO"]);
      await world.until(() => double.roots.some(({ channel }) => channel === "C0LAB"));
      expect(world.house.now() - began).toBeGreaterThanOrEqual(120_000);
    }));

  it("keeps to about one message a second in a channel however many jobs it follows", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const jobs: { id: string }[] = [];
      for (let i = 0; i < 6; i++) jobs.push(await world.submit({ name: `job-${i}` }));
      for (const { id } of jobs) follow(world, id);
      const at: number[] = [];
      double.fate = () => {
        at.push(world.house.now());
        return "answer";
      };
      await world.until(() => jobs.every(({ id }) => world.job(id).settledAt !== undefined) && open(world) === 0);
      expect(double.roots).toHaveLength(6);
      expect(double.roots.every(({ text }) => text.includes("succeeded"))).toBe(true);
      for (const [i, time] of at.slice(1).entries()) expect(time - (at[i] ?? 0)).toBeGreaterThanOrEqual(1_000);
    }));

  it.each([
    ["channel_not_found", (double: SlackDouble) => void double.channels.delete("C0LAB")],
    [
      "token_revoked",
      (double: SlackDouble) => {
        double.fate = () => new Response('{"ok":false,"error":"token_revoked"}');
      },
    ],
  ])("stops with a notice after %s, and starts afresh when it is asked for again", (_, breaks) =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      breaks(double);
      const receiver = follow(world, id);
      await world.until(() => world.events().some(({ type }) => type === "callback.disabled"));
      const shown = subscriptions.subscription(world.house, ACTOR, receiver);
      expect(shown).toMatchObject({ value: { status: "disabled", reason: expect.stringMatching(/channel|token/) } });
      expect(textOf(world.events())).not.toContain(TOKEN);
      double.channels.add("C0LAB");
      double.fate = () => "answer";
      follow(world, id);
      await world.until(settled(world, id));
      expect(double.roots.at(-1)?.text).toContain("succeeded");
    }),
  );

  it("stops when the workspace is gone", () =>
    inWorld(async (world) => {
      slack(world);
      world.bots.clear();
      const { id } = await world.submit({});
      const receiver = follow(world, id);
      await world.drain();
      expect(subscriptions.subscription(world.house, ACTOR, receiver)).toMatchObject({ value: { status: "disabled" } });
    }));

  it("hears of no other job, of all of them when asked, and the same wish twice changes nothing", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const mine = await world.submit({ name: "mine" });
      const other = await world.submit({ name: "other" });
      const receiver = follow(world, mine.id);
      expect(follow(world, mine.id)).toBe(receiver);
      await world.until(() => [mine, other].every(({ id }) => settled(world, id)()));
      expect(double.roots.map(({ text }) => text).join()).not.toContain("other");
      const everything = { channel: "slack", chat: PLACE } as const;
      const ask = () => subscriptions.subscribe(world.house, world.desk.seal, ACTOR, everything, { origin: {} });
      expect(await ask()).toMatchObject({ ok: false, errors: [{ field: "/chat/workspace" }] });
      world.house.run(
        "INSERT INTO chat_links (id, workspace, user, revoked, doc) VALUES ('lnk_1', 'lab', 'U0ANNA', 0, '{}')",
      );
      expect(await ask()).toMatchObject({ ok: true, value: { id: receiver, channel: "slack", chat: PLACE } });
      const third = await world.submit({ name: "third" });
      await world.until(settled(world, third.id));
      expect(double.roots).toHaveLength(2);
    }));

  it("reaches one person in their own conversation with the bot", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const { id } = await world.submit({});
      let lost = 0;
      double.fate = (call) => (call === "chat.postMessage" && lost++ === 0 ? "lose" : "answer");
      follow(world, id, { workspace: "lab", user: "U0ANNA" });
      await world.until(settled(world, id));
      expect(double.roots).toHaveLength(1);
      expect(double.roots[0]).toMatchObject({ channel: "DU0ANNA", text: expect.stringContaining("succeeded") });
    }));
});

describe("a file that somebody fetches from chat", () => {
  const ANNA = { workspace: "lab", user: "U0ANNA" };
  const asked = async (world: World, path: string): Promise<string> => {
    const code = await links.addCode(world.house, ACTOR, { workspace: "lab" }, {});
    await links.link(world.house, "lab", { id: ANNA.user, name: "anna" }, code.ok ? code.value.code : "");
    const answer = await acceptTransfer(
      world.desk,
      { name: "chat:lab:U0ANNA", ownOnly: true },
      { direction: "download", system: "cluster", path, key: "chat/U0ANNA/out.txt" },
      { origin: {}, chat: { place: ANNA, platform: "slack" } },
    );
    return answer.ok ? answer.value.transfer.id : "";
  };
  const written = async (world: World): Promise<void> => {
    const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE write /home/alice/out.txt hello\n" });
    await world.until(settled(world, id));
  };
  const over = (world: World, id: string) => () =>
    ["released", "expires", "none"].includes(world.transfer(id).link.state) &&
    ["stored", "failed"].includes(world.transfer(id).status) &&
    open(world) === 0;
  const address = (blocks: unknown): string | undefined => /"url":"([^"]+)"/.exec(textOf(blocks))?.[1];

  it("is told of once, at its end, with a link that opens it for a day", () =>
    inWorld(async (world) => {
      const double = slack(world);
      await written(world);
      const id = await asked(world, "/home/alice/out.txt");
      await world.until(over(world, id));
      expect(double.messages.map(({ channel, text }) => [channel, text])).toEqual([
        ["DU0ANNA", expect.stringContaining("out.txt is stored")],
      ]);
      const url = address(double.messages[0]?.blocks) ?? "";
      const token = new URL(url).pathname.replace("/links/", "");
      const found = await addressOfLink(world.desk.seal, token);
      expect(found && openLink(world.house, found.hash, {})).toEqual({
        objectKey: `${world.house.name}/chat/U0ANNA/out.txt`,
      });
      await world.firecrest.clock.advance(24 * 3_600_000 + 1);
      expect(found && openLink(world.house, found.hash, {})).toBeUndefined();
      expect(textOf(world.house.rows("SELECT * FROM events"))).not.toContain("/links/");
    }));

  it("comes without a link when the link of the person has ended meanwhile", () =>
    inWorld(async (world) => {
      const double = slack(world);
      await written(world);
      const id = await asked(world, "/home/alice/out.txt");
      links.unlink(world.house, "lab", ANNA.user);
      await world.until(over(world, id));
      expect(double.messages).toHaveLength(1);
      expect(address(double.messages[0]?.blocks)).toBeUndefined();
    }));

  it("that is not there is told of as well", () =>
    inWorld(async (world) => {
      const double = slack(world);
      const id = await asked(world, "/home/alice/missing.txt");
      await world.until(over(world, id));
      expect(double.messages.map(({ text }) => text)).toEqual([expect.stringContaining("could not be copied")]);
    }));
});

describe("a job in a Mattermost channel", () => {
  it("is one post, edited, with buttons that lead back to us, also when an answer is lost", () =>
    inWorld(async (world) => {
      const double = new MattermostDouble({ now: world.house.now, token: TOKEN });
      world.receivers.set("/mm/", (request, body) => double.handle(request, body));
      const bot = {
        platform: "mattermost",
        token: TOKEN,
        apiUrl: "https://receiver.test/mm",
        actionKey: ACTION_KEY,
      } as const;
      world.bots.set("lab", bot);
      const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 5\nexit 3\n#FAKE exit 3\n" });
      world.tails.set(id, "@all ``` it broke");
      let lost = 0;
      double.fate = (call) => (call === "POST /posts" && lost++ === 0 ? "lose" : "answer");
      const target = { platform: "mattermost", place: { workspace: "lab", channel: "chan1" }, jobId: id } as const;
      followInChat(world.house, ACTOR, target, {});
      await world.until(settled(world, id));
      const roots = double.posts.filter(({ root_id }) => root_id === "");
      expect(roots).toHaveLength(1);
      expect(roots[0]?.edits).toBeGreaterThan(0);
      expect(textOf(roots[0]?.props)).toContain("https://firewatch.test/chat/lab/mattermost");
      expect(roots.flatMap((post) => mattermostProblems(post))).toEqual([]);
    }));
});

describe("a place where messages can only be left", () => {
  const subscribe = (world: World, request: Parameters<typeof subscriptions.subscribe>[3]) =>
    subscriptions.subscribe(world.house, world.desk.seal, ACTOR, request, { origin: {} });

  it("gets each end as a message of its own; its URL is kept sealed and shown only as where it leads", () =>
    inWorld(async (world) => {
      world.receivers.set("/services/T0/B0/hush", () => new Response("ok"));
      const url = "https://receiver.test/services/T0/B0/hush";
      const made = await subscribe(world, { channel: "slack_webhook", url });
      expect(made).toMatchObject({ ok: true, value: { channel: "slack_webhook", url: "https://receiver.test/…" } });
      expect(made).not.toHaveProperty("value.secret");
      const { id } = await world.submit({ name: "simulate" });
      await world.until(settled(world, id));
      const bodies = world.hits.map(({ body }) => JSON.parse(body) as { text: string });
      expect(bodies.flatMap((body) => slackProblems(body))).toEqual([]);
      expect(bodies.at(-1)?.text).toContain("simulate on cluster succeeded");
      expect(bodies.length).toBeLessThanOrEqual(2);
      const rows = ["receivers", "events", "deliveries", "attempts", "audit"].flatMap((table) =>
        world.house.rows(`SELECT * FROM ${table}`),
      );
      expect(textOf(rows)).not.toContain("hush");
      expect(textOf(deliveries.listDeliveries(world.house, {}))).not.toContain("hush");
    }));

  it("can be given another URL, which is sealed too, and has no signing secret to change", () =>
    inWorld(async (world) => {
      const made = await subscribe(world, {
        channel: "teams_workflow",
        url: "https://receiver.test/old?sig=oldsecret",
      });
      if (!made.ok) throw new Error("not made");
      const record = subscriptions.subscriptionOf(world.house, ACTOR, made.value.id);
      const { channelPatch } = await import("../../workers/poller/channels/out-only.ts");
      const refused = await channelPatch(world.house, world.desk.seal, record, { format: "cloudevents" });
      expect(refused).toMatchObject({ ok: false, code: "invalid", errors: [{ field: "/format" }] });
      const patch = await channelPatch(world.house, world.desk.seal, record, {
        url: "https://receiver.test/new?sig=newsecret",
      });
      if (!patch.ok) throw new Error("not sealed");
      subscriptions.changeSubscription(world.house, ACTOR, made.value.id, patch.value, {});
      world.receivers.set("/new", () => new Response(null, { status: 202 }));
      deliveries.sendTest(world.house, ACTOR, made.value.id, {});
      await world.drain();
      expect(world.hits.map(({ url }) => url)).toEqual(["https://receiver.test/new?sig=newsecret"]);
      expect(textOf(world.house.rows("SELECT doc FROM receivers"))).not.toContain("secret=");
      expect(textOf(world.house.rows("SELECT doc FROM receivers"))).not.toContain("newsecret");
      const rotated = await subscriptions.rotateSecret(world.house, world.desk.seal, ACTOR, made.value.id, {}, {});
      expect(rotated).toMatchObject({ ok: false, code: "conflict" });
    }));

  it("is a mailbox as well, with a key that never shows and one conversation per job", () =>
    inWorld(async (world) => {
      world.receivers.set("/emails", () => Response.json({ id: "m1" }));
      const made = await subscribe(world, {
        channel: "email",
        url: "https://receiver.test/emails",
        email: {
          provider: "resend",
          apiKey: "re_very_secret",
          from: "Firewatch <jobs@example.org>",
          to: ["anna@example.org"],
        },
      });
      expect(made).toMatchObject({ value: { email: { provider: "resend", to: ["anna@example.org"] } } });
      expect(textOf(made)).not.toContain("re_very_secret");
      const { id } = await world.submit({ name: "simulate" });
      await world.until(settled(world, id));
      expect(world.hits).toHaveLength(1);
      const [hit] = world.hits;
      expect(hit?.headers.authorization).toBe("Bearer re_very_secret");
      expect(JSON.parse(hit?.body ?? "{}")).toMatchObject({
        from: "Firewatch <jobs@example.org>",
        to: ["anna@example.org"],
        subject: "✅ simulate on cluster succeeded",
        headers: { References: `<jobs.${id}@firewatch>` },
      });
      expect(textOf(world.house.rows("SELECT doc FROM receivers"))).not.toContain("re_very_secret");
    }));

  it("that is gone is switched off in its own words, and a refused message is not sent again", () =>
    inWorld(async (world) => {
      let answer = new Response("invalid_payload", { status: 400 });
      world.receivers.set("/hook", () => answer);
      const made = await subscribe(world, { channel: "slack_webhook", url: "https://receiver.test/hook" });
      if (!made.ok) throw new Error("not made");
      deliveries.sendTest(world.house, ACTOR, made.value.id, {});
      await world.drain();
      expect(statuses(world)).toEqual({ aborted: 1 });
      answer = new Response("channel_is_archived", { status: 410 });
      deliveries.sendTest(world.house, ACTOR, made.value.id, {});
      await world.until(() => world.events().some(({ type }) => type === "callback.disabled"));
      expect(subscriptions.subscription(world.house, ACTOR, made.value.id)).toMatchObject({
        value: { status: "disabled", reason: "The channel was archived." },
      });
    }));

  it("is shown no state that is over, and every piece of news", () =>
    inWorld(async (world) => {
      const made = await subscribe(world, {
        channel: "rocketchat_webhook",
        url: "https://receiver.test/rc",
        events: ["job.*", "connection.*"],
      });
      if (!made.ok) throw new Error("not made");
      world.receivers.set("/rc", () => new Response("down", { status: 503 }));
      const { id } = await world.submit({});
      world.house.change(() => {
        for (const type of ["connection.unhealthy", "connection.recovered"] as const)
          announce(world.house, {
            type,
            subject: "connection",
            data: { connection: world.house.name, reason: "test" },
          });
      });
      await world.until(() => world.job(id).settledAt !== undefined);
      world.receivers.set("/rc", () => Response.json({ success: true }));
      world.hits.length = 0;
      await world.until(() => open(world) === 0);
      const texts = world.hits.map(({ body }) => (JSON.parse(body) as { text: string }).text);
      expect(texts.filter((text) => text.includes("FirecREST"))).toHaveLength(2);
      expect(texts.filter((text) => text.includes("cluster"))).toHaveLength(1);
    }));
});
