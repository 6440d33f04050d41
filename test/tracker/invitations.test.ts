import { env, runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { hashApiKey } from "../../shared/api-key.ts";
import type { Caller } from "../../shared/contract/access.ts";
import { type ConnectionRequest, INVITATION_PREFIX } from "../../shared/contract/connection.ts";
import { createSeal, parseSealKeys } from "../../shared/seal.ts";
import * as invitations from "../../workers/poller/invitations.ts";
import type { Office } from "../../workers/poller/office.ts";
import type { Tracker } from "../../workers/poller/tracker.ts";

// The object runs in this isolate: nothing of it leaves the test.
vi.stubGlobal("fetch", async () => new Response("nobody is here", { status: 503 }));

const ADMIN: Caller = { kind: "admin" };
const HOUR_MS = 3_600_000;
const request: ConnectionRequest = {
  api: "v1",
  url: "https://site.example.org",
  auth: { type: "api_key", tokenUrl: "https://site.example.org/token", apiKey: "hers-alone" },
};
/** The pool's own keys. */
const seals = createSeal(parseSealKeys(JSON.stringify([{ kid: "t", key: btoa("\u0000".repeat(32)) }])));
const trackerOf = (name: string) => env.TRACKER.getByName(name) as unknown as Tracker;

let run = 0;
let name: string;
beforeEach(() => {
  name = `invited-${++run}`;
});

const office = (): Office => env.OFFICE.getByName("office") as unknown as Office;
const FROM = { ip: "192.0.2.7" };

const invite = async (): Promise<Caller> => {
  const made = await office().invite({ connection: name }, FROM);
  return { kind: "invitation", invitation: made.invitation };
};

describe("an invitation", () => {
  it("makes its connection, and its owner gets a key that administers it", async () => {
    const caller = await invite();
    expect(await trackerOf(name).authorize(caller, "connection:admin")).toMatchObject({ ok: true });
    const made = await trackerOf(name).create(caller, name, request, {});
    if (!made.ok) throw new Error(JSON.stringify(made));
    expect(made.value.created).toBe(true);
    const { apiKey = "", scopes } = made.value.connection.ownerKey ?? {};
    expect(scopes).toContain("connection:admin");
    const owner: Caller = { kind: "key", hash: await hashApiKey(apiKey) };
    const trail = await trackerOf(name).audit(owner, {});
    expect(trail.ok && trail.value.items.map(({ actor, act }) => [actor.split("_")[0], act])).toEqual([
      ["invitation:inv", "key.add"],
      ["invitation:inv", "connection.create"],
    ]);
    // What was shown once is shown nowhere else.
    expect(JSON.stringify(await trackerOf(name).describe(owner))).not.toContain(apiKey);
  });

  it("is used up by that: it changes nothing, reads nothing, and makes it no second time", async () => {
    const caller = await invite();
    await trackerOf(name).create(caller, name, request, {});
    const again = await trackerOf(name).create(caller, name, request, {});
    expect(again).toMatchObject({ ok: false, code: "unauthorized" });
    expect(await trackerOf(name).describe(caller)).toMatchObject({ code: "unauthorized" });
    expect(await trackerOf(name).authorize(caller, "connection:admin")).toMatchObject({ code: "unauthorized" });
    expect(await trackerOf(name).remove(ADMIN, false, {})).toEqual({ ok: true, value: null });
    expect(await trackerOf(name).create(caller, name, request, {})).toMatchObject({ code: "unauthorized" });
    expect(await trackerOf(name).create(await invite(), name, request, {})).toMatchObject({ ok: true });
  });

  it("in two hands makes one connection", async () => {
    const caller = await invite();
    const both = await Promise.all([1, 2].map(() => trackerOf(name).create(caller, name, request, {})));
    expect(both.map(({ ok }) => ok).sort()).toEqual([false, true]);
  });

  it("is worth nothing for another connection, changed, too late, or sealed for something else", async () => {
    const made = await invitations.seal(seals, "inv_1", { connection: name, hours: 1 }, Date.now());
    const open = (text: string, connection = name, now = Date.now()) => invitations.open(seals, connection, text, now);
    expect(await open(made.invitation)).toMatchObject({ id: made.id });
    expect(await open(made.invitation, "another")).toBeUndefined();
    expect(await open(made.invitation, name, Date.now() + HOUR_MS)).toBeUndefined();
    expect(await open(`${made.invitation.slice(0, -2)}AA`)).toBeUndefined();
    for (const text of ["fwi_", "fwi_x", "", "fw_x", "fwi_eyJ.a.b.c.d"]) expect(await open(text)).toBeUndefined();
    const foreign = await seals.seal('{"id":"inv_x","expiresAt":9999999999999}', {
      purpose: "credential",
      connection: name,
      id: "invitation",
    });
    expect(await open(`fwi_${foreign}`)).toBeUndefined();
    const stranger: Caller = { kind: "invitation", invitation: "fwi_x" };
    expect(await trackerOf(name).create(stranger, name, request, {})).toMatchObject({ code: "unauthorized" });
    await runInDurableObject(env.TRACKER.getByName(name), (_: unknown, state) => {
      expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'meta'").toArray()).toEqual([]);
    });
  });

  it("can be called back before its time, and is listed only while it can be used", async () => {
    const [kept, revoked] = [
      await office().invite({ connection: name }, FROM),
      await office().invite({ connection: name, hours: 1 }, FROM),
    ];
    const listed = async () => (await office().invitations({ limit: 100 })).items.map(({ id }) => id);
    expect(await listed()).toEqual(expect.arrayContaining([kept.id, revoked.id]));
    expect(JSON.stringify(await office().invitations({}))).not.toContain(INVITATION_PREFIX);
    expect(await office().revokeInvitation(revoked.id, FROM)).toEqual({ ok: true, value: null });
    expect(await office().revokeInvitation(revoked.id, FROM)).toMatchObject({ ok: false, code: "not_found" });
    const holder = (invitation: string): Caller => ({ kind: "invitation", invitation });
    const taken = await trackerOf(name).create(holder(revoked.invitation), name, request, {});
    expect(taken).toMatchObject({ ok: false, code: "unauthorized" });
    expect(await trackerOf(name).create(holder(kept.invitation), name, request, {})).toMatchObject({ ok: true });
    expect(await listed()).not.toContain(kept.id);
    expect(await listed()).not.toContain(revoked.id);
    const acts = (await office().audit({ limit: 200 })).items;
    for (const [act, id] of [
      ["invitation.add", kept.id],
      ["invitation.add", revoked.id],
      ["invitation.revoke", revoked.id],
    ])
      expect(acts).toContainEqual(
        expect.objectContaining({ actor: "admin", act, subject: `invitations/${id}`, origin: FROM.ip }),
      );
  });

  it("pages through what is open", async () => {
    for (let n = 0; n < 5; n++) await office().invite({ connection: name }, FROM);
    const seen: string[] = [];
    for (let cursor: string | undefined; ; ) {
      const page = await office().invitations({ limit: 2, ...(cursor === undefined ? {} : { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      ({ cursor } = page);
      if (cursor === undefined) break;
    }
    expect(new Set(seen).size).toBe(seen.length);
    expect(seen.length).toBeGreaterThanOrEqual(5);
    expect(seen).toEqual([...seen].sort().reverse());
  });
});

describe("a removed connection", () => {
  it("lets go whoever read its events: the next one of its name is somebody else's", async () => {
    const tracker = trackerOf(name);
    await tracker.create(ADMIN, name, request, {});
    const headers = { upgrade: "websocket", "x-caller": JSON.stringify(ADMIN) };
    const { webSocket } = await env.TRACKER.getByName(name).fetch("https://tracker/", { headers });
    if (webSocket === null) throw new Error("no stream");
    const closed = new Promise<number>((resolve) => webSocket.addEventListener("close", ({ code }) => resolve(code)));
    webSocket.accept();
    expect(await tracker.remove(ADMIN, true, {})).toMatchObject({ ok: true });
    expect(await closed).toBe(4001);
  });

  it("is visited by the sweep no more, though a mark of it was left behind", async () => {
    const tracker = trackerOf(name);
    await tracker.create(ADMIN, name, request, {});
    await tracker.remove(ADMIN, true, {});
    const marked = async () => (await env.INDEX.list({ prefix: `connection/${name}` })).keys.length;
    expect(await marked()).toBe(0);
    await env.INDEX.put(`connection/${name}`, "", { metadata: { live: true } });
    expect(await tracker.tick()).toBe(false);
    expect(await marked()).toBe(0);
  });
});
