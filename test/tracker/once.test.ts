/** What comes twice counts once, also while the first is under way; what is over opens nothing. */
import { expect, it } from "vitest";
import { sha256Hex } from "../../shared/bytes.ts";
import { begin } from "../../workers/poller/far.ts";
import * as lanes from "../../workers/poller/lanes.ts";
import { addLink, openLink } from "../../workers/poller/links.ts";
import { ok, send } from "./reception.ts";
import { inWorld } from "./world.ts";

it("a report that comes again leaves the next attempt, which is under way, alone", () =>
  inWorld(async (world) => {
    world.fate = () => "drop";
    const { id } = await world.receive("r", ok);
    const delivery = send(world, id);
    const { house } = world;
    const lease = async () => (await lanes.lease(house, world.desk.seal))[0]?.attempt;
    const row = () =>
      house.row<{ attempt: number; leased: number }>(
        "SELECT attempt, lease_until > 0 AS leased FROM deliveries WHERE id = ?",
        delivery,
      );
    expect(await lease()).toBe(1);
    const verdict = { outcome: "retry" as const, minDelayMs: 0, laneDelayMs: 0 };
    const first = { delivery, attempt: 1, at: house.now(), durationMs: 1, status: 500, verdict };
    lanes.report(house, [first]);
    await world.firecrest.clock.advance(10_000);
    expect(await lease()).toBe(2);
    lanes.report(house, [first]);
    expect(row()).toEqual({ attempt: 1, leased: 1 });
    lanes.report(house, [{ ...first, attempt: 2 }]);
    expect(row()).toEqual({ attempt: 2, leased: 0 });
  }));

it("a lease that is given back late leaves alone whoever has been given the next one", () =>
  inWorld(async (world) => {
    world.fate = () => "drop";
    const { id } = await world.receive("r", ok);
    send(world, id);
    const { house } = world;
    const lease = async () => (await lanes.lease(house, world.desk.seal))[0];
    const leased = () => house.row<{ until: number }>("SELECT lease_until AS until FROM deliveries")?.until;
    const first = await lease();
    if (first === undefined) throw new Error("nothing was leased");
    await world.firecrest.clock.advance(61_000);
    const second = await lease();
    if (second === undefined) throw new Error("it was not leased again");
    lanes.report(house, [], [first]);
    expect(leased()).toBe(second.until);
    lanes.report(house, [], [second]);
    expect(leased()).toBe(0);
  }));

it("a second message for an effect that is under way starts nothing", () =>
  inWorld(async (world) => {
    await world.submit({});
    const effect = world.queues.commands[0]?.effect ?? "";
    expect(await begin(world.desk, effect)).toMatchObject({ go: true });
    expect(await begin(world.desk, effect)).toEqual({ go: false, why: "already_sent" });
  }));

it("a share link opens until the moment at which it expires", () =>
  inWorld(async (world) => {
    const made = await addLink(world.desk, { name: "admin" }, { key: "k", expiresInSeconds: 60 }, {});
    if (!made.ok) throw new Error("no link");
    const hash = await sha256Hex(made.value.token);
    await world.firecrest.clock.advance(59_999);
    expect(openLink(world.house, hash, {})).toMatchObject({ objectKey: `${world.house.name}/k` });
    await world.firecrest.clock.advance(1);
    expect(openLink(world.house, hash, {})).toBeUndefined();
  }));
