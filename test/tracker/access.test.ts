import { env, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { hashApiKey } from "../../shared/api-key.ts";
import type { Caller } from "../../shared/contract/access.ts";
import type { Event } from "../../shared/contract/event.ts";
import type { HookRequestBody } from "../../shared/contract/hook.ts";
import * as access from "../../workers/poller/access.ts";
import * as deliveries from "../../workers/poller/deliveries.ts";
import * as hooks from "../../workers/poller/hooks.ts";
import { announce, eventsAfter } from "../../workers/poller/ledger.ts";
import { openStream, pushEvents } from "../../workers/poller/streams.ts";
import * as subscriptions from "../../workers/poller/subscriptions.ts";
import { inWorld, World } from "./world.ts";

const ADMIN: access.Actor = { name: "admin" };
const LAB: access.Actor = { name: "key:lab", systems: ["cluster"] };
const OTHER: access.Actor = { name: "key:other", systems: ["elsewhere"] };
const SYSTEMS = { systems: { elsewhere: {} } };
const ok = () => new Response(null, { status: 200 });

/** An event about a job of a system, without any job. */
function tell(world: World, system: string): Event {
  return world.house.change(() =>
    announce(world.house, { type: "job.queued", subject: `jobs/of-${system}`, data: { system } }),
  );
}

describe("a credential for one system", () => {
  it("reads events of that system and of the connection only", () =>
    inWorld(async (world) => {
      tell(world, "cluster");
      tell(world, "elsewhere");
      world.house.change(() =>
        announce(world.house, {
          type: "connection.unhealthy",
          subject: "connection",
          data: { connection: "c", reason: "network" },
        }),
      );
      const seen = (actor: access.Actor) => {
        const page = eventsAfter(world.house, {}, actor);
        return page.ok ? page.value.items.map(({ sequence }) => sequence) : [];
      };
      expect([seen(ADMIN), seen(LAB), seen(OTHER)]).toEqual([
        [1, 2, 3],
        [1, 3],
        [2, 3],
      ]);
    }, SYSTEMS));

  it("subscribes to that system only, and neither sees nor touches the receivers of others", () =>
    inWorld(async (world) => {
      const all = await world.receive("all", ok);
      world.receivers.set("/lab", ok);
      const made = await subscriptions.subscribe(
        world.house,
        world.desk.seal,
        LAB,
        { url: "https://receiver.test/lab", events: ["*"] },
        { origin: {} },
      );
      if (!made.ok) throw new Error("not made");
      tell(world, "cluster");
      tell(world, "elsewhere");
      await world.drain();
      const heard = (path: string) =>
        world.hits.filter(({ url }) => url.endsWith(path)).map(({ body }) => (JSON.parse(body) as Event).sequence);
      expect([heard("/all"), heard("/lab")]).toEqual([[1, 2], [1]]);
      expect(subscriptions.listSubscriptions(world.house, LAB).items.map(({ id }) => id)).toEqual([made.value.id]);
      expect(subscriptions.listSubscriptions(world.house, OTHER).items).toEqual([]);
      const notFound = { ok: false, code: "not_found" };
      expect(
        subscriptions.changeSubscription(world.house, LAB, all.id, { url: "https://receiver.test/lab" }, {}),
      ).toMatchObject(notFound);
      expect(
        await subscriptions.rotateSecret(world.house, world.desk.seal, OTHER, made.value.id, {}, {}),
      ).toMatchObject(notFound);
      expect(subscriptions.removeSubscription(world.house, OTHER, made.value.id, {})).toMatchObject(notFound);
      expect(deliveries.sendTest(world.house, OTHER, made.value.id, {})).toMatchObject(notFound);
      const [sent] = deliveries.listDeliveries(world.house, {}, ADMIN).items;
      expect(deliveries.resend(world.house, OTHER, sent?.id ?? "", {})).toMatchObject(notFound);
      expect(deliveries.listDeliveries(world.house, {}, OTHER).items.map(({ sequence }) => sequence)).toEqual([2]);
    }, SYSTEMS));

  it("starts nothing through a hook that was removed while its request was under way", () =>
    inWorld(async (world) => {
      const definition: HookRequestBody = { source: "bearer", secrets: ["hush"], target: { job: {} } };
      await hooks.putHook(world.house, world.desk.seal, OTHER, "theirs", definition, {});
      hooks.removeHook(world.house, OTHER, "theirs", {});
      const inbound = {
        messageId: "m1",
        bodySha256: "a",
        body: "{}",
        origin: {},
        result: { outcome: "job" as const, request: { system: "cluster", script: "#!/bin/sh\n" } },
      };
      expect(await hooks.acceptFromHook(world.desk, "theirs", inbound)).toEqual({ ok: false, code: "unauthorized" });
      expect(await world.jobsOnMachine()).toBe(0);
      expect(world.house.rows("SELECT id FROM jobs")).toEqual([]);
    }, SYSTEMS));

  it("makes hooks that start nothing elsewhere, and keys that reach no further", () =>
    inWorld(async (world) => {
      const definition: HookRequestBody = { source: "bearer", secrets: ["hush"], target: { job: {} } };
      await hooks.putHook(world.house, world.desk.seal, OTHER, "theirs", definition, {});
      const inbound = {
        messageId: "m1",
        bodySha256: "a",
        body: "{}",
        origin: {},
        result: { outcome: "job" as const, request: { system: "cluster", script: "#!/bin/sh\n" } },
      };
      expect(await hooks.acceptFromHook(world.desk, "theirs", inbound)).toMatchObject({ ok: false, code: "invalid" });
      // What was refused is on record for the hook's owner, and may be sent again.
      expect(hooks.hookRequests(world.house, OTHER, "theirs", {})).toMatchObject({
        value: { items: [{ outcome: "refused", messageId: "m1", problem: expect.stringContaining("/system") }] },
      });
      expect(hooks.hookRequests(world.house, LAB, "theirs", {})).toMatchObject({ code: "not_found" });
      const again = {
        ...inbound,
        result: { ...inbound.result, request: { ...inbound.result.request, system: "elsewhere" } },
      };
      expect(await hooks.acceptFromHook(world.desk, "theirs", again)).toMatchObject({
        ok: true,
        value: { answer: { outcome: "accepted" } },
      });
      expect(await hooks.putHook(world.house, world.desk.seal, LAB, "theirs", definition, {})).toMatchObject({
        ok: false,
        code: "forbidden",
      });
      expect(hooks.hookOf(world.house, LAB, "theirs")).toMatchObject({ ok: false, code: "not_found" });
      expect(JSON.stringify(hooks.hookOf(world.house, OTHER, "theirs"))).not.toContain("elsewhere");

      expect(await access.addKey(world.house, LAB, { name: "more", systems: ["elsewhere"] }, {})).toMatchObject({
        ok: false,
        code: "invalid",
      });
      expect(await access.addKey(world.house, LAB, { name: "same" }, {})).toMatchObject({
        ok: true,
        value: { systems: ["cluster"] },
      });
    }, SYSTEMS));

  it("acts by whichever of its OIDC bindings allows it", () =>
    inWorld(async (world) => {
      const bind = (name: string, rest: object) =>
        access.putIdentity(
          world.house,
          ADMIN,
          name,
          { issuer: "https://ci.example", audience: "fw", claims: { repository_id: "1" }, ...rest },
          {},
        );
      bind("a-reads", { scopes: ["jobs:read"] });
      bind("b-submits", { scopes: ["jobs:write"], systems: ["cluster"] });
      const caller: Caller = {
        kind: "oidc",
        issuer: "https://ci.example",
        audience: ["fw"],
        claims: { repository_id: 1 },
      };
      expect(access.admit(world.house, caller, "jobs:read")).toMatchObject({
        ok: true,
        value: { name: "identity:a-reads" },
      });
      expect(access.admit(world.house, caller, "jobs:write", "cluster")).toMatchObject({
        ok: true,
        value: { name: "identity:b-submits" },
      });
      expect(access.admit(world.house, caller, "jobs:write", "elsewhere")).toMatchObject({
        ok: false,
        code: "forbidden",
      });
      expect(access.admit(world.house, { ...caller, claims: { repository_id: 2 } }, "jobs:read")).toMatchObject({
        ok: false,
        code: "unauthorized",
      });
    }));
});

describe("an open stream", () => {
  let rooms = 0;
  /** A world whose Durable Object has real sockets. */
  const withSockets = (scenario: (world: World, state: DurableObjectState) => Promise<void>) =>
    runInDurableObject(env.TRACKER.getByName(`stream-${++rooms}`), async (_tracker, state) =>
      scenario(await World.create(state, env), state),
    );

  async function open(world: World, state: DurableObjectState, caller: Caller, actor: access.Actor, after = 0) {
    const streams = { state, house: world.house };
    world.house.onCommit = (events) => pushEvents(streams, events);
    const answer = openStream(
      streams,
      new Request(`https://tracker/stream?after=${after}`, { headers: { upgrade: "websocket" } }),
      caller,
      actor,
    );
    const socket = answer.webSocket as WebSocket;
    const seen: number[] = [];
    const closed: number[] = [];
    socket.addEventListener("message", ({ data }) =>
      seen.push((JSON.parse(String(data)) as { event: Event }).event.sequence),
    );
    socket.addEventListener("close", ({ code }) => closed.push(code));
    socket.accept();
    return { seen, closed };
  }
  const soon = async (condition: () => boolean) => {
    for (let n = 0; n < 200 && !condition(); n++) await new Promise((resolve) => setTimeout(resolve, 0));
    expect(condition()).toBe(true);
  };

  it("catches up first, goes on with what happens, and shows no other systems", () =>
    withSockets(async (world, state) => {
      tell(world, "cluster");
      tell(world, "elsewhere");
      const all = await open(world, state, { kind: "admin" }, ADMIN, 1);
      const lab = await open(world, state, { kind: "admin" }, LAB);
      tell(world, "elsewhere");
      tell(world, "cluster");
      await soon(() => all.seen.length === 3 && lab.seen.length === 2);
      expect([all.seen, lab.seen]).toEqual([
        [2, 3, 4],
        [1, 4],
      ]);
    }));

  it("ends with the key that opened it, before the next event", () =>
    withSockets(async (world, state) => {
      const key = await access.addKey(world.house, ADMIN, { name: "reader" }, {});
      if (!key.ok) throw new Error("no key");
      const { seen, closed } = await open(
        world,
        state,
        { kind: "key", hash: await hashApiKey(key.value.apiKey) },
        { name: `key:${key.value.id}` },
      );
      tell(world, "cluster");
      await soon(() => seen.length === 1);
      access.revokeKey(world.house, ADMIN, key.value.id, {});
      tell(world, "cluster");
      await soon(() => closed.length === 1);
      expect([seen, closed]).toEqual([[1], [4001]]);
    }));

  it("ends with the token that opened it", () =>
    withSockets(async (world, state) => {
      access.putIdentity(world.house, ADMIN, "ci", { issuer: "i", audience: "a", claims: { id: "1" } }, {});
      const exp = Math.floor(world.house.now() / 1000) + 300;
      const { seen, closed } = await open(
        world,
        state,
        { kind: "oidc", issuer: "i", audience: [], claims: { exp } },
        { name: "identity:ci" },
      );
      await world.firecrest.clock.advance(301_000);
      tell(world, "cluster");
      await soon(() => closed.length === 1);
      expect([seen, closed]).toEqual([[], [4001]]);
    }));

  it("ends with the binding that let its token in, also where that is only narrowed", () =>
    withSockets(async (world, state) => {
      const bound = { issuer: "https://ci.test", audience: "a", claims: { id: "1" } };
      const caller: Caller = { kind: "oidc", issuer: bound.issuer, audience: ["a"], claims: { id: "1" } };
      for (const name of ["removed", "narrowed", "kept"]) access.putIdentity(world.house, ADMIN, name, bound, {});
      const readers = await Promise.all(
        ["removed", "narrowed", "kept"].map((name) => open(world, state, caller, { name: `identity:${name}` })),
      );
      access.removeIdentity(world.house, ADMIN, "removed", {});
      access.putIdentity(world.house, ADMIN, "narrowed", { ...bound, systems: ["elsewhere"] }, {});
      tell(world, "cluster");
      await soon(() => readers[2]?.seen.length === 1 && readers[1]?.closed.length === 1);
      expect(readers.map(({ seen, closed }) => [seen, closed])).toEqual([
        [[], [4001]],
        [[], [4001]],
        [[1], []],
      ]);
    }));

  it("gives 5,000 events at a time, so that a reader from the start does not fill the Tracker's memory", () =>
    withSockets(async (world, state) => {
      world.house.change(() => {
        for (let n = 1; n <= 5_400; n++)
          world.house.run(
            "INSERT INTO events (sequence, id, type, subject, at, body) VALUES (?, ?, 'job.queued', 'jobs/x', 0, ?)",
            n,
            `evt_${n}`,
            JSON.stringify({ id: `evt_${n}`, sequence: n }),
          );
      });
      const first = await open(world, state, { kind: "admin" }, ADMIN);
      await soon(() => first.closed.length === 1);
      expect([first.seen.length, first.closed]).toEqual([5_000, [4002]]);
      const second = await open(world, state, { kind: "admin" }, ADMIN, 5_000);
      await soon(() => second.seen.length === 400);
    }));
});

describe("a key", () => {
  it("is good until the moment at which it expires", () =>
    inWorld(async (world) => {
      const expiresAt = new Date(world.house.now() + 60_000).toISOString();
      const made = await access.addKey(world.house, ADMIN, { name: "short", expiresAt }, {});
      if (!made.ok) throw new Error("no key");
      const caller: Caller = { kind: "key", hash: await hashApiKey(made.value.apiKey) };
      await world.firecrest.clock.advance(59_999);
      expect(access.admit(world.house, caller, "jobs:read")).toMatchObject({ ok: true });
      await world.firecrest.clock.advance(1);
      expect(access.admit(world.house, caller, "jobs:read")).toEqual({ ok: false, code: "unauthorized" });
    }));
});

describe("a credential for one hook", () => {
  const bearer: HookRequestBody = { source: "bearer", secrets: ["t"], target: { job: {} } };

  it("has hooks:admin for that hook, and for nothing else that it covers", () =>
    inWorld(async (world) => {
      for (const name of ["mine", "yours"]) await hooks.putHook(world.house, world.desk.seal, ADMIN, name, bearer, {});
      const made = await access.addKey(
        world.house,
        ADMIN,
        { name: "ci", scopes: ["hooks:admin", "jobs:read", "connection:admin"], hooks: ["mine"] },
        {},
      );
      if (!made.ok) throw new Error(JSON.stringify(made));
      expect(made.value.hooks).toEqual(["mine"]);
      const caller: Caller = { kind: "key", hash: await hashApiKey(made.value.apiKey) };
      const admitted = (hook?: string) => access.admit(world.house, caller, "hooks:admin", undefined, hook);
      expect([admitted("mine").ok, admitted(access.ANY_HOOK).ok]).toEqual([true, true]);
      for (const other of ["yours", "new", undefined])
        expect(admitted(other)).toMatchObject({
          code: "forbidden",
          detail: expect.stringContaining("some hooks only"),
        });
      const actor = access.admit(world.house, caller, "jobs:read");
      if (!actor.ok) throw new Error("not admitted");
      expect(hooks.listHooks(world.house, actor.value).items.map(({ name }) => name)).toEqual(["mine"]);
      // Nor can it give away more than it has.
      expect(await access.addKey(world.house, actor.value, { name: "more", hooks: ["yours"] }, {})).toMatchObject({
        errors: [{ field: "/hooks" }],
      });
      expect(await access.addKey(world.house, actor.value, { name: "same" }, {})).toMatchObject({
        value: { hooks: ["mine"] },
      });
    }));
});

describe("a refusal", () => {
  it("names the scope or the system that is missing", () =>
    inWorld(async (world) => {
      const made = await access.addKey(world.house, LAB, { name: "r", scopes: ["jobs:read"] }, {});
      if (!made.ok) throw new Error(JSON.stringify(made));
      const caller: Caller = { kind: "key", hash: await hashApiKey(made.value.apiKey) };
      expect(access.admit(world.house, caller, "files:write")).toMatchObject({
        code: "forbidden",
        detail: expect.stringContaining("the scope files:write"),
      });
      expect(access.admit(world.house, caller, "jobs:read", "elsewhere")).toMatchObject({
        code: "forbidden",
        detail: expect.stringContaining("the system elsewhere"),
      });
    }, SYSTEMS));
});
