import { env, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import type { Caller } from "../../shared/contract/access.ts";
import type { ChatCodeRequest, ChatInbound, WorkspaceRequest } from "../../shared/contract/chat.ts";
import type { Job } from "../../shared/contract/job.ts";
import type { Answer } from "../../shared/contract/rpc.ts";
import { admit } from "../../workers/poller/access.ts";
import { type ChatTracker, converse, type Reply, type Talk } from "../../workers/poller/chat/conversation.ts";
import { PATIENCE_MS, Register } from "../../workers/poller/chat/register.ts";
import * as links from "../../workers/poller/chat-links.ts";
import type { Tracker } from "../../workers/poller/tracker.ts";
import type { Workspace } from "../../workers/poller/workspace.ts";
import { inWorld, type World } from "./world.ts";

const OWNER = { name: "key:owner" };
const ALICE = { id: "U1", name: "alice" };
const BOB = { id: "U2", name: "bob" };
const MINUTE_MS = 60_000;

const codeFor = async (world: World, request: Partial<ChatCodeRequest> = {}): Promise<string> => {
  const made = await links.addCode(world.house, OWNER, { workspace: "lab", ...request }, {});
  if (!made.ok) throw new Error(JSON.stringify(made));
  return made.value.code;
};

describe("a code", () => {
  it("links one person once, and both sides see it", () =>
    inWorld(async (world) => {
      const code = await codeFor(world, { role: "owner", systems: ["cluster"] });
      expect(links.connectionOfCode(code)).toBe(world.house.name);
      const linked = await links.link(world.house, "lab", ALICE, code);
      expect(linked).toMatchObject({
        ok: true,
        value: { user: "U1", userName: "alice", role: "owner", systems: ["cluster"], invitedBy: "key:owner" },
      });
      expect(await links.link(world.house, "lab", BOB, code)).toEqual({ ok: false, code: "not_found" });
      expect(links.list(world.house).items).toHaveLength(1);
      const acts = world.house
        .rows<{ doc: string }>("SELECT doc FROM audit")
        .map(({ doc }) => JSON.parse(doc) as object);
      expect(acts).toContainEqual(expect.objectContaining({ actor: "key:owner", act: "chat-code.add" }));
      expect(acts).toContainEqual(expect.objectContaining({ actor: "chat:lab:U1", act: "chat-link.add" }));
      // Whoever reads the database learns no code.
      expect(JSON.stringify(world.house.rows("SELECT * FROM chat_codes"))).not.toContain(code.split(".")[1]);
    }));

  it("is read however it is typed, and is worth nothing elsewhere, later, or changed", () =>
    inWorld(async (world) => {
      const code = await codeFor(world);
      const attempts = [
        ["other-lab", code],
        ["lab", `${code.slice(0, -1)}${code.endsWith("0") ? "1" : "0"}`],
        ["lab", "x.000000000000"],
        ["lab", ""],
        ["lab", "'; DROP TABLE chat_codes; --"],
      ] as const;
      for (const [workspace, typed] of attempts)
        expect(await links.link(world.house, workspace, ALICE, typed)).toEqual({ ok: false, code: "not_found" });
      const [connection, secret = ""] = code.split(".");
      expect(await links.link(world.house, "lab", ALICE, `${connection}.${secret.toLowerCase()}`)).toMatchObject({
        ok: true,
      });
      const late = await codeFor(world);
      await world.firecrest.clock.advance(10 * MINUTE_MS);
      expect(await links.link(world.house, "lab", BOB, late)).toEqual({ ok: false, code: "not_found" });
    }));

  it("takes the place of the person's older link; a link that was ended opens nothing", () =>
    inWorld(async (world) => {
      const tracker = { kind: "chat", workspace: "lab", user: "U1" } as const satisfies Caller;
      await links.link(world.house, "lab", ALICE, await codeFor(world, { scopes: ["jobs:read"] }));
      expect(admit(world.house, tracker, "jobs:read")).toEqual({
        ok: true,
        value: { name: "chat:lab:U1", ownOnly: true },
      });
      expect(admit(world.house, tracker, "jobs:write")).toMatchObject({ code: "forbidden" });
      await links.link(world.house, "lab", ALICE, await codeFor(world));
      expect(admit(world.house, tracker, "jobs:write")).toMatchObject({ ok: true });
      expect(admit(world.house, { ...tracker, workspace: "other" }, "jobs:read")).toMatchObject({
        code: "unauthorized",
      });
      expect(admit(world.house, { ...tracker, user: "U2" }, "jobs:read")).toMatchObject({ code: "unauthorized" });
      const link = links.list(world.house).items.find(({ revokedAt }) => revokedAt === undefined);
      expect(links.revoke(world.house, OWNER, link?.id ?? "", {})).toEqual({ ok: true, value: null });
      expect(admit(world.house, tracker, "jobs:read")).toMatchObject({ code: "unauthorized" });
    }));

  it("gives away no system that its maker does not have", () =>
    inWorld(async (world) => {
      const narrow = { name: "key:narrow", systems: ["cluster"] };
      const beyond = await links.addCode(world.house, narrow, { workspace: "lab", systems: ["elsewhere"] }, {});
      expect(beyond).toMatchObject({ ok: false, code: "invalid" });
      const made = await links.addCode(world.house, narrow, { workspace: "lab" }, {});
      const linked = await links.link(world.house, "lab", ALICE, made.ok ? made.value.code : "");
      expect(linked).toMatchObject({ ok: true, value: { systems: ["cluster"] } });
    }));
});

const inRegister = (work: (register: Register, clock: { now: number }) => void) =>
  runInDurableObject(env.WORKSPACES.get(env.WORKSPACES.newUniqueId()), (_: unknown, state) => {
    const clock = { now: Date.parse("2026-11-22T12:00:00Z") };
    const register = new Register(state.storage, () => clock.now);
    expect(register.exists()).toBe(false);
    register.put({ platform: "slack", team: "T1", apiUrl: "https://slack.test" }, { secrets: "s", actionKey: "k" });
    work(register, clock);
  });

describe("a workspace's register", () => {
  it("lets somebody try five codes in ten minutes, and everybody else too", () =>
    inRegister((register, clock) => {
      const tries = () => Array.from({ length: 7 }, () => register.mayTry("U1"));
      expect(tries().filter(Boolean)).toHaveLength(5);
      expect(register.mayTry("U2")).toBe(true);
      clock.now += 10 * MINUTE_MS;
      expect(tries().filter(Boolean)).toHaveLength(5);
    }));

  it("answers a repeat with the first answer, and takes up again what nobody answered, three times at most", () =>
    inRegister((register, clock) => {
      expect(register.arrive("slash:1", "U1", "sealed")).toEqual({ state: "new", known: { links: [] } });
      expect(register.arrive("slash:1", "U1", "sealed")).toEqual({ state: "running" });
      register.answered("slash:1", { body: { text: "done" } });
      expect(register.arrive("slash:1", "U1", "sealed")).toEqual({
        state: "answered",
        answer: { body: { text: "done" } },
      });
      expect(register.nextDue()).toBeUndefined();

      register.arrive("slash:2", "U1", "sealed 2");
      expect(register.overdue()).toEqual([]);
      const taken: string[] = [];
      for (let i = 0; i < 5; i++) {
        clock.now += PATIENCE_MS;
        taken.push(...register.overdue().map(({ inbound }) => inbound));
      }
      expect(taken).toEqual(["sealed 2", "sealed 2"]);
      expect(register.nextDue()).toBeUndefined();
    }));

  it("lets a button have its effect once, and again only if it had none", () =>
    inRegister((register) => {
      expect(register.claim("resubmit x", "U1")).toEqual({ go: true });
      expect(register.claim("resubmit x", "U2")).toEqual({ go: false, by: "U1" });
      register.settle("resubmit x");
      expect(register.claim("resubmit x", "U2")).toEqual({ go: true });
      register.settle("resubmit x", "as job_2");
      expect(register.claim("resubmit x", "U1")).toEqual({ go: false, by: "U2", said: "as job_2" });
    }));

  it("remembers where people are linked, and which one they chose", () =>
    inRegister((register, clock) => {
      register.linked(ALICE, "one");
      clock.now += 1;
      register.linked(ALICE, "two");
      expect(register.known("U1")).toEqual({ links: ["one", "two"], connection: "two" });
      register.use("U1", "one");
      expect(register.known("U1").connection).toBe("one");
      expect(register.links().map(({ connection, isDefault }) => [connection, isDefault])).toEqual([
        ["two", false],
        ["one", true],
      ]);
      register.unlinked("U1", "one");
      expect(register.known("U1")).toEqual({ links: ["two"], connection: "two" });
      expect(register.view("lab", "https://f.test")).toMatchObject({ people: 1 });
    }));
});

// --------------------------------------------------------------- people, with real Trackers and a real Workspace

const ADMIN: Caller = { kind: "admin" };
const workspaceOf = (name: string) => env.WORKSPACES.getByName(name) as unknown as Workspace;
const trackerOf = (name: string) => env.TRACKER.getByName(name) as unknown as Tracker;

let run = 0;
let lab: string;
let mine: string;
let other: string;

// The object runs in this isolate: nothing of it leaves the test.
const outside = vi.fn(async (_url: string, _init?: RequestInit) => new Response("nobody is here", { status: 503 }));
vi.stubGlobal("fetch", outside);

const request = {
  api: "v1",
  url: "https://site.invalid",
  auth: { type: "client_credentials", tokenUrl: "https://site.invalid/token", clientId: "c", clientSecret: "s" },
} as const;

/** A connection whose site is down: what is asked of it stays on record. */
async function connection(name: string): Promise<void> {
  const made = await trackerOf(name).create(ADMIN, name, request, {});
  if (!made.ok) throw new Error(JSON.stringify(made));
}

beforeEach(async () => {
  run++;
  [lab, mine, other] = [`lab-${run}`, `mine-${run}`, `other-${run}`];
  const put = await workspaceOf(lab).put({
    platform: "slack",
    team: "T1",
    signingSecrets: ["signing-secret"],
    botToken: "bot-token",
  });
  expect(put).toMatchObject({ ok: true, value: { created: true } });
  await Promise.all([connection(mine), connection(other)]);
});

const talk = (workspace = lab, more: Partial<Talk> = {}): Talk => ({
  workspace,
  platform: "slack",
  publicUrl: "https://firewatch.test",
  actionKey: btoa("k".repeat(32)),
  tracker: (name) => trackerOf(name) as unknown as ChatTracker,
  register: workspaceOf(workspace),
  logs: async () => ({ ok: true, value: "the last line\n" }),
  script: async (_connection, _caller, system, path) => ({ ok: true, value: `#!/bin/sh\n: ${system}${path}\n` }),
  ...more,
});

let requests = 0;
async function ask(
  person: links.Person,
  what: string | Partial<ChatInbound>,
  talking = talk(),
  id?: string,
): Promise<Reply> {
  const inbound = {
    kind: "command",
    id: id ?? `slash:${++requests}`,
    person,
    channel: "C1",
    text: "",
    ...(typeof what === "string" ? { text: what } : what),
  } as ChatInbound;
  const known = await runInDurableObject(env.WORKSPACES.getByName(talking.workspace), (_: unknown, state) =>
    new Register(state.storage, Date.now).known(person.id),
  );
  return converse(talking, inbound, known);
}
const said = async (...asked: Parameters<typeof ask>): Promise<string> => {
  const reply = await ask(...asked);
  return reply.kind === "say" ? JSON.stringify(reply.message) : JSON.stringify(reply);
};
async function link(person: links.Person, name: string, request: Partial<ChatCodeRequest> = {}): Promise<void> {
  const made = await trackerOf(name).addChatCode(ADMIN, { workspace: lab, ...request }, {});
  if (!made.ok) throw new Error(JSON.stringify(made));
  expect(await said(person, `connect ${made.value.code}`)).toContain(`You are linked to ${name}`);
}
const jobsOf = async (name: string): Promise<Job[]> => {
  const page = (await trackerOf(name).jobs(ADMIN, {})) as Answer<{ items: Job[] }>;
  return page.ok ? page.value.items : [];
};
const SUBMIT = "submit cluster /home/me/run.sh --name sim";

describe("people in chat", () => {
  it("who are not linked get help and nothing else", async () => {
    for (const text of [
      SUBMIT,
      "submit",
      "queue",
      "status 12",
      "logs 12",
      "cancel 12",
      "get 12",
      `use ${mine}`,
      `disconnect ${mine}`,
      "connect",
    ])
      expect(await said(ALICE, text)).toContain("not linked");
    expect(await said(ALICE, "help")).toContain("/hpc");
    const press = {
      kind: "action",
      action: { connection: mine, job: "job_01jd8x0f3q8y2k5v7n9r4t6wzb", act: "cancel" },
    } as const;
    expect(await said(ALICE, press)).toContain("not linked");
    expect(await ask(ALICE, { kind: "form", connection: mine, values: {} })).toEqual({
      kind: "errors",
      errors: { script: "your link has ended" },
    });
    expect(await jobsOf(mine)).toEqual([]);
  });

  it("try a wrong code five times, then wait, even with a right one", async () => {
    const made = await trackerOf(mine).addChatCode(ADMIN, { workspace: lab }, {});
    for (let i = 0; i < 5; i++) expect(await said(ALICE, `connect ${mine}.00000000000${i}`)).toContain("does not work");
    expect(await said(ALICE, `connect ${made.ok ? made.value.code : ""}`)).toContain("Too many");
    expect(await said(ALICE, "queue")).toContain("not linked");
  });

  it("start jobs in their own name, once however often the request comes", async () => {
    await link(ALICE, mine);
    const first = await said(ALICE, SUBMIT, talk(), "slash:again");
    expect(first).toContain("sim on cluster is accepted");
    expect(await said(ALICE, SUBMIT, talk(), "slash:again")).toBe(first);
    const [job, ...more] = await jobsOf(mine);
    expect([job?.name, more]).toEqual(["sim", []]);
    const trail = await trackerOf(mine).audit(ADMIN, {});
    expect(trail.ok && trail.value.items).toContainEqual(
      expect.objectContaining({ actor: `chat:${lab}:U1`, act: "job.submit", subject: `jobs/${job?.id}` }),
    );
    expect(await said(ALICE, "queue")).toContain(job?.id ?? "?");
    expect(await said(ALICE, `status ${job?.id}`)).toContain(`${mine}:${job?.id}:cancel:`);
  });

  it("reach no jobs of others as members, and all of them as owners", async () => {
    await link(ALICE, mine);
    await link(BOB, mine);
    await said(ALICE, SUBMIT);
    const [job] = await jobsOf(mine);
    const id = job?.id ?? "";
    const press = (act: "cancel" | "logs" | "fetch" | "resubmit") =>
      ({ kind: "action", id: `press:${++requests}`, action: { connection: mine, job: id, act } }) as const;
    for (const what of [`status ${id}`, `cancel ${id}`, `logs ${id}`, `get ${id}`, press("cancel"), press("resubmit")])
      expect(await said(BOB, what)).toContain("no such job for you");
    expect(await said(BOB, "queue")).toContain("No jobs");
    expect((await jobsOf(mine))[0]?.status).not.toBe("cancelled");
    await link(BOB, mine, { role: "owner" });
    expect(await said(BOB, press("cancel"))).toContain("being cancelled");
    expect((await jobsOf(mine))[0]?.status).toBe("cancelled");
  });

  it("keep their connections apart, and choose between them", async () => {
    await link(ALICE, mine);
    await link(ALICE, other);
    await said(ALICE, SUBMIT);
    await said(ALICE, `${SUBMIT} --on ${mine}`);
    await said(ALICE, `use ${mine}`);
    await said(ALICE, SUBMIT);
    expect([(await jobsOf(mine)).length, (await jobsOf(other)).length]).toEqual([2, 1]);
    expect(await said(ALICE, "queue --on somebody-elses")).toContain("not linked to somebody-elses");
    const [foreign] = await jobsOf(other);
    expect(await said(ALICE, `status ${foreign?.id}`)).toContain("no such job");
    expect(await said(ALICE, `disconnect ${mine}`)).toContain("no longer linked");
    expect(await said(ALICE, `queue --on ${mine}`)).toContain("not linked");
    expect(await trackerOf(mine).authorize({ kind: "chat", workspace: lab, user: "U1" }, "jobs:read")).toMatchObject({
      code: "unauthorized",
    });
  });

  it("of another workspace are other people, whatever their id", async () => {
    await workspaceOf(`${lab}-x`).put({
      platform: "slack",
      team: "T2",
      signingSecrets: ["signing-secret"],
      botToken: "bot-token",
    });
    await link(ALICE, mine, { role: "owner" });
    await said(ALICE, SUBMIT);
    const [job] = await jobsOf(mine);
    const there = talk(`${lab}-x`);
    expect(await said(ALICE, "queue", there)).toContain("not linked");
    const press = { kind: "action", action: { connection: mine, job: job?.id ?? "", act: "cancel" } } as const;
    expect(await said(ALICE, press, there)).toContain("not linked");
    const made = await trackerOf(mine).addChatCode(ADMIN, { workspace: lab }, {});
    expect(await said(BOB, `connect ${made.ok ? made.value.code : ""}`, there)).toContain("does not work");
    expect(await said(BOB, `connect ${made.ok ? made.value.code : ""}`)).toContain("You are linked");
  });

  it("hear that a link was ended by its owner", async () => {
    await link(ALICE, mine);
    const page = await trackerOf(mine).chatLinks(ADMIN);
    const id = page.ok ? (page.value.items[0]?.id ?? "") : "";
    expect(await trackerOf(mine).revokeChatLink(ADMIN, id, {})).toEqual({ ok: true, value: null });
    expect(await said(ALICE, SUBMIT)).toContain("no longer counts");
    expect(await jobsOf(mine)).toEqual([]);
  });

  it("resubmit a job once, however often and by however many the button is pressed", async () => {
    await link(ALICE, mine);
    await link(BOB, mine, { role: "owner" });
    await said(ALICE, SUBMIT);
    const [job] = await jobsOf(mine);
    const press = () =>
      ({
        kind: "action",
        id: `press:${++requests}`,
        action: { connection: mine, job: job?.id ?? "", act: "resubmit" },
      }) as const;
    // Not while it runs; and that uses up nothing.
    expect(await said(ALICE, press())).toContain("cancel it first");
    await said(ALICE, `cancel ${job?.id}`);
    const answers = await Promise.all([said(ALICE, press()), said(ALICE, press()), said(BOB, press())]);
    expect(answers.filter((text) => text.includes("is accepted"))).toHaveLength(1);
    expect(await said(BOB, press())).toContain("submitted again as job_");
    expect(await jobsOf(mine)).toHaveLength(2);
  });

  it("resubmit with what a button proposes or a command says, in their own right, within what is allowed", async () => {
    await link(ALICE, mine);
    await link(BOB, mine);
    const limits = { cluster: { timeLimitSeconds: 7_200 } };
    const made = await trackerOf(mine).create(ADMIN, mine, { ...request, limits }, {});
    expect(made).toMatchObject({ ok: true, value: { connection: { limits } } });
    await said(ALICE, SUBMIT);
    const [job] = await jobsOf(mine);
    const more = (timeLimitSeconds: number) =>
      ({
        kind: "action",
        id: `press:${++requests}`,
        action: { connection: mine, job: job?.id ?? "", act: "more", proposal: { timeLimitSeconds } },
      }) as const;
    expect(await said(ALICE, `resubmit ${job?.id} time=1h`)).toContain("cancel it first");
    await said(ALICE, `cancel ${job?.id}`);
    // Jobs of others do not exist for a member, however they ask.
    expect(await said(BOB, more(60))).toContain("no such job for you");
    expect(await said(BOB, `resubmit ${job?.id} time=1h`)).toContain("no such job for you");
    expect(await said(ALICE, `resubmit ${job?.id} time=3h`)).toContain(
      "must be at most 7200: that is what cluster allows",
    );
    expect(await said(ALICE, more(7_201))).toContain("must be at most 7200");
    const answers = await Promise.all([said(ALICE, more(3_600)), said(ALICE, more(3_600))]);
    expect(answers.filter((text) => text.includes("is accepted"))).toHaveLength(1);
    expect(await said(ALICE, more(3_600))).toContain("submitted again as job_");
    const [again] = await jobsOf(mine);
    expect(again?.timeLimitSeconds).toBe(3_600);
    // Its script was on the site, where nobody can write resources into it: its text went instead.
    const request_ = await runInDurableObject(env.TRACKER.getByName(mine), (_: unknown, state) =>
      state.storage.sql.exec("SELECT doc FROM jobs WHERE id = ?", again?.id ?? "").toArray(),
    );
    expect(JSON.stringify(request_)).toContain("#!/bin/sh\\\\n: cluster/home/me/run.sh");
    await said(ALICE, `cancel ${again?.id}`);
    expect(await said(ALICE, `resubmit ${again?.id} time=2h memory=4G`)).toContain("is accepted");
    expect(await said(ALICE, `${SUBMIT} --time 90m`)).toContain("is accepted");
    expect((await jobsOf(mine)).map(({ timeLimitSeconds }) => timeLimitSeconds)).toEqual([
      5_400,
      7_200,
      3_600,
      undefined,
    ]);
  });

  it("fill in a form and hear at each field what is wrong with it", async () => {
    const openForm = vi.fn(async () => true);
    await link(ALICE, mine);
    expect(await ask(ALICE, { text: "submit", triggerId: "t1" }, talk(lab, { openForm }))).toEqual({ kind: "nothing" });
    expect(openForm).toHaveBeenCalledWith("t1", { connection: mine, channel: "C1" }, []);
    expect(
      await said(ALICE, { text: "submit", triggerId: "t2" }, talk(lab, { openForm: async () => false })),
    ).toContain("could not be opened");
    const form = (values: Record<string, string>) => ({ kind: "form", connection: mine, values }) as const;
    expect(await ask(ALICE, form({ system: "cluster", script: "no first line", time: "soon", nodes: "many" }))).toEqual(
      {
        kind: "errors",
        errors: { time: "must be like 45m, 2h, 1d or 1:30:00", nodes: "must be a number" },
      },
    );
    expect(await ask(ALICE, form({ system: "cluster", script: "no first line" }))).toMatchObject({
      errors: { script: expect.stringContaining("#!") },
    });
    expect(await ask(ALICE, form({ system: "cluster", script: "#!/bin/sh\n", env: "PATH=/x" }))).toMatchObject({
      errors: { env: expect.stringContaining("owned by the shell") },
    });
    const values = {
      system: "cluster",
      script: "#!/bin/sh\r\necho\r\n",
      env: 'TEXT=$(id) `x` "y"',
      time: "2h",
      here: "yes",
    };
    expect(await ask(ALICE, form(values))).toEqual({ kind: "nothing" });
    expect(await jobsOf(mine)).toMatchObject([{ status: "accepted" }]);
  });
});

it("a request whose Worker died is answered by the Workspace, once, where answers are taken later", async () => {
  const answerUrl = `https://hooks.slack.com/commands/${lab}`;
  const stub = env.WORKSPACES.getByName(lab);
  await workspaceOf(lab).arrive({ kind: "command", id: "slash:dead", person: ALICE, answerUrl, text: "help" });
  const told = () => outside.mock.calls.filter(([url]) => url === answerUrl);
  await runDurableObjectAlarm(stub);
  expect(told()).toEqual([]);
  await runInDurableObject(stub, (_: unknown, state) => {
    state.storage.sql.exec("UPDATE received SET at = at - ?", PATIENCE_MS);
  });
  await runDurableObjectAlarm(stub);
  await runDurableObjectAlarm(stub);
  expect(told()).toHaveLength(1);
  expect(told()[0]?.[1]?.body).toContain("/hpc");
});

describe("what is at rest", () => {
  it("holds no secret of the workspace and no address that takes answers", async () => {
    const inbound: ChatInbound = {
      kind: "command",
      id: "slash:rest",
      person: ALICE,
      answerUrl: "https://hooks.slack.com/commands/very-secret",
      text: "help",
    };
    await workspaceOf(lab).arrive(inbound);
    await runInDurableObject(env.WORKSPACES.getByName(lab), (_: unknown, state) => {
      const rows = ["meta", "received"].flatMap((table) => state.storage.sql.exec(`SELECT * FROM ${table}`).toArray());
      const text = JSON.stringify(rows);
      for (const secret of ["signing-secret", "bot-token", "very-secret"]) expect(text).not.toContain(secret);
    });
    expect(await workspaceOf(lab).opened()).toMatchObject({
      platform: "slack",
      signingSecrets: ["signing-secret"],
      team: "T1",
    });
    expect(await workspaceOf(lab).bot()).toMatchObject({ token: "bot-token", apiUrl: "https://slack.com/api" });
  });

  it("is nothing at all for a workspace that nobody made", async () => {
    const nobody = workspaceOf(`nobody-${run}`);
    expect(await nobody.opened()).toBeUndefined();
    expect(await nobody.bot()).toBeUndefined();
    expect(await nobody.view()).toEqual({ ok: false, code: "not_found" });
    expect(await nobody.arrive({ kind: "command", id: "x", person: ALICE, text: "help" })).toBeUndefined();
    await runInDurableObject(env.WORKSPACES.getByName(`nobody-${run}`), (_: unknown, state) => {
      expect(
        state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name NOT LIKE '\\_cf%' ESCAPE '\\'").toArray(),
      ).toEqual([]);
    });
  });

  it("keeps the key of its buttons when its secrets change, and moves to no other platform", async () => {
    const before = await workspaceOf(lab).bot();
    const again: WorkspaceRequest = {
      platform: "slack",
      team: "T1",
      signingSecrets: ["another-secret"],
      botToken: "bot-token-2",
    };
    expect(await workspaceOf(lab).put(again)).toMatchObject({ ok: true, value: { created: false } });
    expect(await workspaceOf(lab).bot()).toMatchObject({ token: "bot-token-2", actionKey: before?.actionKey });
    const moved: WorkspaceRequest = {
      platform: "mattermost",
      commandTokens: ["command-token"],
      botToken: "bot-token-3",
      apiUrl: "https://chat.example.org",
    };
    expect(await workspaceOf(lab).put(moved)).toMatchObject({ ok: false, code: "conflict" });
    expect(await workspaceOf(`${lab}-private`).put({ ...moved, apiUrl: "https://10.0.0.1" })).toMatchObject({
      code: "invalid",
      errors: [{ field: "/apiUrl" }],
    });
  });
});
