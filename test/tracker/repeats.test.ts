/** Acts at the site that a key makes repeatable: what a second request with the key is answered. */
import { expect, it } from "vitest";
import type { Answer, Idempotency } from "../../shared/contract/rpc.ts";
import { acceptOperation } from "../../workers/poller/operations.ts";
import { settleKey, takeKey } from "../../workers/poller/repeats.ts";
import { inWorld, type World } from "./world.ts";

const KEY: Idempotency = { route: "POST /x", key: "k", bodySha256: "aa" };
const ACTOR = "key:one";
const DONE = { ok: true, value: { body: { done: true } } } as const;

const settle = (world: World, answer: Answer<unknown>) =>
  world.house.change(() => settleKey(world.house, ACTOR, KEY, answer));
const take = (world: World, key = KEY, actor = ACTOR) => takeKey(world.house, actor, key);

it("the first takes the key, others wait for it, and afterwards get its answer", () =>
  inWorld(async (world) => {
    expect(take(world)).toEqual({ ok: true, value: {} });
    expect(take(world)).toMatchObject({ ok: false, code: "in_flight", retryAfterSeconds: 2 });
    settle(world, DONE);
    expect(take(world)).toEqual({ ok: true, value: { kept: DONE } });
    // An answer stands, whoever comes later with another one.
    settle(world, { ok: false, code: "invalid" });
    expect(take(world)).toEqual({ ok: true, value: { kept: DONE } });
  }));

it("another body is refused, another caller or route has a key of its own", () =>
  inWorld(async (world) => {
    take(world);
    expect(take(world, { ...KEY, bodySha256: "bb" })).toMatchObject({ ok: false, code: "idempotency_mismatch" });
    expect(take(world, KEY, "key:two")).toEqual({ ok: true, value: {} });
    expect(take(world, { ...KEY, route: "POST /y" })).toEqual({ ok: true, value: {} });
  }));

it("what certainly did not happen gives the key back", () =>
  inWorld(async (world) => {
    take(world);
    settle(world, { ok: false, code: "rate_limited" });
    expect(take(world)).toEqual({ ok: true, value: {} });
  }));

it("what may have happened is never done again under the key, nor is what was interrupted", () =>
  inWorld(async (world) => {
    take(world);
    settle(world, { ok: false, code: "unavailable", detail: "no answer in time", uncertain: true });
    expect(take(world)).toMatchObject({
      ok: true,
      value: { kept: { ok: false, code: "conflict", detail: expect.stringContaining("no answer in time") } },
    });
    const other = { ...KEY, key: "other" };
    take(world, other);
    await world.live(6 * 60_000);
    expect(take(world, other)).toMatchObject({
      ok: false,
      code: "conflict",
      detail: expect.stringContaining("nobody knows whether it happened"),
    });
  }));

it("an operation that is accepted as a job answers its key in the same transaction", () =>
  inWorld(async (world) => {
    take(world);
    const request = { system: "cluster", job: { op: "remove", path: "/scratch/alice/x" } as const, warnings: [] };
    const accepted = acceptOperation(world.house, { name: ACTOR }, request, {}, KEY);
    expect(take(world)).toEqual({
      ok: true,
      value: { kept: { ok: true, value: { job: accepted.ok && accepted.value } } },
    });
  }));
