/** Effects that wait for the connection's budget: first come, first served, at no more messages than it takes to serve them. */
import { describe, expect, it } from "vitest";
import { cancelJob } from "../../workers/poller/accept.ts";
import { inWorld, type World } from "./world.ts";

const SUBMISSIONS = 60;
const ACTOR = { name: "admin" };
const SHORT = { script: "#!/bin/bash -l\n#FAKE sleep 1\n" };

/** Counts the messages that tell a consumer of an effect. */
function countCommands(world: World): () => number {
  let told = 0;
  const { fate } = world;
  world.fate = (queue) => {
    if (queue === "commands") told++;
    return fate(queue);
  };
  return () => told;
}

const standing = (world: World): number => world.house.row<{ n: number }>("SELECT count(*) AS n FROM line")?.n ?? -1;

async function backlog(world: World): Promise<string[]> {
  const ids: string[] = [];
  for (let n = 0; n < SUBMISSIONS; n++) {
    ids.push((await world.submit(SHORT)).id);
    await world.live(5);
  }
  return ids;
}

describe.each(["v1", "v2"] as const)("the line of effects that wait for the budget of a connection to %s", (api) => {
  const options = { api, requestsPerMinute: 60 };

  it("serves submissions in their order, with hardly a message more than there are submissions", () =>
    inWorld(
      async (world) => {
        const told = countCommands(world);
        const ids = await backlog(world);
        expect(standing(world)).toBeGreaterThan(SUBMISSIONS / 3);
        await world.until(() => ids.every((id) => world.job(id).schedulerId !== undefined));
        const served = ids.map((id) => Number(world.job(id).schedulerId));
        expect(served).toEqual([...served].sort((a, b) => a - b));
        expect(told()).toBeLessThan(SUBMISSIONS * 1.5);
        await world.until(() => ids.every((id) => world.job(id).status === "succeeded"));
        expect(standing(world)).toBe(0);
        expect(world.house.row("SELECT 1 FROM agenda WHERE kind = 'line'")).toBeUndefined();
      },
      {},
      options,
    ));

  it("lets a cancel go before all that waits to begin", () =>
    inWorld(
      async (world) => {
        const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 600\n" });
        await world.until(() => world.job(id).status === "running");
        const ids = await backlog(world);
        cancelJob(world.house, ACTOR, id, {});
        await world.until(() => world.job(id).status === "cancelled");
        expect(ids.filter((other) => world.job(other).schedulerId === undefined).length).toBeGreaterThan(
          SUBMISSIONS / 3,
        );
      },
      {},
      options,
    ));

  it("holds up nobody when calls get lost, or when somebody in it has nothing to do any more", () =>
    inWorld(
      async (world) => {
        let message = 0;
        world.fate = (queue) => (queue === "commands" && message++ % 3 === 0 ? "drop" : "deliver");
        const ids = await backlog(world);
        const [withdrawn, ...others] = ids.slice(-20);
        cancelJob(world.house, ACTOR, withdrawn ?? "", {});
        world.house.run(
          "UPDATE effects SET state = 'refused' WHERE id = (SELECT effect FROM line ORDER BY turn, effect LIMIT 1)",
        );
        await world.until(() => others.every((id) => world.job(id).status === "succeeded"));
        expect(world.job(withdrawn ?? "").status).toBe("cancelled");
        await world.until(() => standing(world) === 0);
      },
      {},
      options,
    ));
});
