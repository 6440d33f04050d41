/** One connection, two machines, one of them down: the other is followed as if nothing were, and the bad one is left alone. */
import { describe, expect, it } from "vitest";
import { viewHealth } from "../../workers/poller/health.ts";
import { inWorld, type World } from "./world.ts";

const HOUR_MS = 3_600_000;
const LONG = "#!/bin/bash -l\n#FAKE sleep 900000\n";
const SITE = { systems: { other: {} } };

/** When each system was asked anything, from now on. */
function listen(world: World): Record<"cluster" | "other", number[]> {
  const asked = { cluster: [] as number[], other: [] as number[] };
  const { fetch } = world.firecrest;
  world.firecrest.fetch = (request) => {
    const name = request.headers.get("x-machine-name") ?? /\/compute\/([^/]+)\//.exec(request.url)?.[1];
    if (name === "cluster" || name === "other") asked[name].push(world.house.now());
    return fetch(request);
  };
  return asked;
}

const news = (world: World) => world.events().flatMap(({ type }) => (type.startsWith("connection.") ? [type] : []));

/** A job that runs on each of the two. */
async function followBoth(world: World): Promise<void> {
  const ids = [await world.submit({ script: LONG }), await world.submit({ system: "other", script: LONG })];
  await world.until(() => ids.every(({ id }) => world.job(id).status === "running"));
}

describe.each(["v1", "v2"] as const)("on %s, while one of two systems is down", (api) => {
  it("the other keeps its pace, the bad one is asked ever less, and the connection is not called unhealthy", () =>
    inWorld(
      async (world) => {
        await followBoth(world);
        const asked = listen(world);
        const fault = world.firecrest.faults.add({ kind: "system_unavailable", system: "other" });
        const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 30\n" });
        await world.until(() => world.job(id).settledAt !== undefined);
        const { startedAt = "", endedAt = "" } = world.job(id);
        // Thirty seconds, and what may go by until the next look.
        expect(Date.parse(endedAt) - Date.parse(startedAt)).toBeLessThan(45_000);

        await world.live(2 * HOUR_MS);
        const since = world.house.now();
        await world.live(HOUR_MS);
        const lately = (times: number[]) => times.filter((at) => at > since).length;
        // One each five minutes, and what it costs to ask.
        expect(lately(asked.other)).toBeLessThan(40);
        // A quiet job is looked at each 150 s: neither less often nor in a hurry.
        expect(lately(asked.cluster)).toBeGreaterThanOrEqual(20);
        expect(lately(asked.cluster)).toBeLessThan(100);
        expect(news(world)).toEqual([]);
        expect(viewHealth(world.house)).toMatchObject({ state: "healthy", failing: [{ system: "other" }] });

        world.firecrest.faults.remove(fault);
        await world.live(7 * 60_000);
        expect(viewHealth(world.house).failing).toBeUndefined();
        expect(news(world)).toEqual([]);
      },
      SITE,
      { api, requestsPerMinute: 60 },
    ));

  it("and then both are, that is told once, and once when one of them is back", () =>
    inWorld(
      async (world) => {
        await followBoth(world);
        const other = world.firecrest.faults.add({ kind: "system_unavailable", system: "other" });
        await world.live(10 * 60_000);
        expect(news(world)).toEqual([]);
        const all = world.firecrest.faults.add({ kind: "bad_gateway", status: 503 });
        await world.live(HOUR_MS);
        expect(news(world)).toEqual(["connection.unhealthy"]);
        world.firecrest.faults.remove(all);
        await world.live(HOUR_MS);
        expect(news(world)).toEqual(["connection.unhealthy", "connection.recovered"]);
        expect(viewHealth(world.house)).toMatchObject({ state: "healthy", failing: [{ system: "other" }] });
        world.firecrest.faults.remove(other);
        await world.live(HOUR_MS);
        expect(viewHealth(world.house).failing).toBeUndefined();
        expect(news(world)).toEqual(["connection.unhealthy", "connection.recovered"]);
      },
      SITE,
      { api, requestsPerMinute: 60 },
    ));
});
