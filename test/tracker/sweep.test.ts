import {
  createExecutionContext,
  createScheduledController,
  env,
  runInDurableObject,
  waitOnExecutionContext,
} from "cloudflare:test";
import { describe, expect, it, vi } from "vitest";
import poller from "../../workers/poller/index.ts";
import { visited } from "../../workers/poller/sweep.ts";
import type { Tracker } from "../../workers/poller/tracker.ts";

/** Nothing listens there: the accepted job stays live. */
const NOWHERE = "https://nowhere.invalid";
const ADMIN = { kind: "admin" } as const;

async function connectionWithLiveJob(name: string) {
  const stub = env.TRACKER.getByName(name) as unknown as Tracker;
  const auth = { type: "client_credentials" as const, tokenUrl: `${NOWHERE}/token`, clientId: "a", clientSecret: "b" };
  const made = await stub.create(ADMIN, name, { api: "v1", url: NOWHERE, auth }, {});
  expect(made.ok).toBe(true);
  const job = await stub.acceptJob(ADMIN, { system: "cluster", script: "#!/bin/bash -l\ntrue\n" }, { origin: {} });
  expect(job.ok).toBe(true);
  return env.TRACKER.getByName(name);
}

describe("the sweep", () => {
  it("sets an alarm that was lost, for every connection with live work", async () => {
    const stub = await connectionWithLiveJob("lost-alarm");
    await runInDurableObject(stub, async (tracker, state) => {
      // The first attempt has failed and the next one is seconds away: nothing else sets an alarm meanwhile.
      await vi.waitFor(() => {
        const tried = state.storage.sql.exec("SELECT 1 FROM effects WHERE state = 'planned' AND attempt > 0").toArray();
        expect(tried).toHaveLength(1);
      });
      await (tracker as unknown as Tracker).tick();
      await state.storage.deleteAlarm();
      expect(await state.storage.getAlarm()).toBeNull();
    });
    const context = createExecutionContext();
    await poller.scheduled(createScheduledController({ cron: "* * * * *", scheduledTime: Date.now() }), env as never);
    await waitOnExecutionContext(context);
    await runInDurableObject(stub, async (_, state) => {
      expect(await state.storage.getAlarm()).not.toBeNull();
    });
    // Nothing may go on after the test: a live Tracker would.
    expect((await (stub as unknown as Tracker).remove(ADMIN, true, {})).ok).toBe(true);
  });

  it("visits all connections up to 500, and above that each one within as many minutes as there are turns", () => {
    const few = Array.from({ length: 500 }, (_, n) => `c${n}`);
    expect(visited(few, 7)).toEqual(few);
    const many = Array.from({ length: 1_700 }, (_, n) => `c${n}`);
    const turns = [0, 1, 2, 3].map((minute) => visited(many, minute));
    expect(new Set(turns.flat()).size).toBe(1_700);
    for (const turn of turns) expect(turn.length).toBeLessThan(600);
  });

  it("asks nothing of a connection that was never created", async () => {
    const stub = env.TRACKER.getByName("never-created") as unknown as Tracker;
    expect(await stub.tick()).toBe(false);
    expect(await stub.describe(ADMIN)).toEqual({ ok: false, code: "not_found" });
    expect(await stub.describe({ kind: "key", hash: "x" })).toEqual({ ok: false, code: "unauthorized" });
    await runInDurableObject(env.TRACKER.getByName("never-created"), async (_, state) => {
      expect(
        state.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name NOT LIKE '\\_%' ESCAPE '\\'").one(),
      ).toEqual({ n: 0 });
      expect(await state.storage.getAlarm()).toBeNull();
    });
  });
});
