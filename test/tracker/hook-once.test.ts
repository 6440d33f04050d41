import { describe, expect, it } from "vitest";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { VerifiedInbound } from "../../shared/contract/rpc.ts";
import * as hooks from "../../workers/poller/hooks.ts";
import { ACTOR } from "./reception.ts";
import { inWorld, type World } from "./world.ts";

const request = { system: "cluster", script: "#!/bin/bash -l\n#FAKE sleep 5\n" } as JobRequest;

const inbound = (messageId: string, body = "{}"): VerifiedInbound => ({
  messageId,
  bodySha256: body,
  body,
  origin: {},
  result: { outcome: "job", request },
});

const take = (world: World, messageId: string, body?: string) =>
  hooks.acceptFromHook(world.desk, "h", inbound(messageId, body));

const withHook = (scenario: (world: World) => Promise<void>) =>
  inWorld(async (world) => {
    const hook = { source: "bearer" as const, secrets: ["t"], target: { job: {} } };
    await hooks.putHook(world.house, world.desk.seal, ACTOR, "h", hook, {});
    await scenario(world);
  });

/** What one acceptance leaves behind. */
const TABLES = ["inbound", "jobs", "effects", "events", "audit"] as const;
const kept = (world: World): Record<string, number> =>
  Object.fromEntries(
    TABLES.map((table) => [table, world.house.row<{ n: number }>(`SELECT count(*) AS n FROM ${table}`)?.n ?? 0]),
  );

describe("a message that a hook takes", () => {
  it("is on record together with its job, effect, event and audit, or not at all", () =>
    withHook(async (world) => {
      const before = kept(world);
      for (const table of TABLES) {
        world.house.run(`CREATE TRIGGER broken BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'no room'); END`);
        await expect(take(world, "m-1")).rejects.toThrow("no room");
        expect(kept(world)).toEqual(before);
        world.house.run("DROP TRIGGER broken");
      }
      expect(await take(world, "m-1")).toMatchObject({ ok: true, value: { replayed: false } });
      expect(kept(world)).toEqual(Object.fromEntries(TABLES.map((table) => [table, (before[table] ?? 0) + 1])));
    }));

  it("makes one job of copies that come at once, and is refused with another body", () =>
    withHook(async (world) => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => take(world, "m-1")));
      const values = answers.map((answer) => (answer.ok ? answer.value : undefined));
      expect(new Set(values.map((value) => value?.answer.jobId)).size).toBe(1);
      expect(values.filter((value) => value?.replayed === false)).toHaveLength(1);
      expect(await take(world, "m-1", "other")).toMatchObject({ ok: false, code: "idempotency_mismatch" });
      expect(kept(world)).toMatchObject({ inbound: 1, jobs: 1, effects: 1 });
    }));
});
