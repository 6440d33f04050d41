/** How often a site is asked about a job, and how soon its end is known, with and without the job's own calls. */
import { describe, expect, it } from "vitest";
import { jobRecord, pinged } from "../../workers/poller/jobs.ts";
import { inWorld, type World } from "./world.ts";

const MINUTES = 60_000;
/** The usual budget. */
const PER_MINUTE = 60;

const script = (seconds: number) => `#!/bin/bash -l\n#FAKE sleep ${seconds}\n`;
const rounds = ({ house }: World) => house.counted.rounds;
/** Rows of tables written since the object began. */
const changes = ({ house }: World) => house.row<{ n: number }>("SELECT total_changes() AS n")?.n ?? 0;
const dueAt = ({ house }: World) =>
  house.row<{ due_at: number }>("SELECT due_at FROM agenda WHERE kind = 'round'")?.due_at ?? Number.NaN;
/** What the job's script does at its start and its end. */
const call = ({ house }: World, id: string) => pinged(house, id, jobRecord(house, id)?.pingToken ?? "");
const running = (world: World, id: string) => world.until(() => world.job(id).status === "running");

/** Until the machine has a job that began, which nobody was told of yet. */
async function startsOnMachine(world: World): Promise<void> {
  for (let n = 0; n < 100; n++) {
    if ((await world.firecrest.host.jobs()).some(({ startedAt }) => startedAt !== undefined)) return;
    await world.live(500);
  }
  throw new Error("no job began");
}

describe.each(["v1", "v2"] as const)("a round on %s", (api) => {
  it("writes one row when it sees nothing new, and two more than have changed when it does", () =>
    inWorld(
      async (world) => {
        const { house, firecrest } = world;
        const jobs = await Promise.all(Array.from({ length: 20 }, () => world.submit({ script: script(900_000) })));
        await world.until(() => jobs.every(({ id }) => world.job(id).status === "running"));
        await world.live(10 * MINUTES);
        const written = async () => {
          const [before, done] = [changes(world), rounds(world)];
          await world.until(() => rounds(world) > done);
          return changes(world) - before;
        };
        for (let n = 0; n < 5; n++) expect(await written()).toBe(1);
        const seat = await firecrest.host.as(firecrest.user);
        for (const { id } of jobs.slice(0, 10)) await seat.jobs.cancel(world.job(id).schedulerId ?? "");
        const events = world.events().length;
        const rows = await written();
        // Each job, and the events of its end and of its settling.
        expect(world.events().length - events).toBe(20);
        expect(rows).toBe(10 + 20 + 2);
        expect(house.row("SELECT 1 FROM agenda WHERE kind = 'effect'")).toBeUndefined();
      },
      { host: { machine: { cpus: 1_000 } } },
      { api },
    ));
});

describe.each(["v1", "v2"] as const)("a job on %s", (api) => {
  const inSite = (scenario: (world: World) => Promise<void>) =>
    inWorld(scenario, {}, { api, requestsPerMinute: PER_MINUTE });

  it("is looked at as often as its age asks for, and never left alone for longer than three minutes", () =>
    inSite(async (world) => {
      const { id } = await world.submit({ script: script(900_000) });
      await running(world, id);
      await world.live(60 * MINUTES);
      expect(rounds(world)).toBeLessThan(62);
      const before = rounds(world);
      await world.live(60 * MINUTES);
      expect(rounds(world) - before).toBeGreaterThanOrEqual(20);
      expect(rounds(world) - before).toBeLessThan(28);
    }));

  it("that calls is asked about seldom, and its end is known within two seconds of its last words", () =>
    inSite(async (world) => {
      const { id } = await world.submit({ script: script(1_800), ping: true });
      await startsOnMachine(world);
      call(world, id);
      await running(world, id);
      const before = rounds(world);
      await world.live(29 * MINUTES);
      expect(rounds(world) - before).toBeLessThan(20);
      const [theirs] = await world.firecrest.host.jobs();
      await world.live((theirs?.startedAt ?? 0) + 1_800_000 - world.house.now());
      call(world, id);
      const said = world.house.now();
      await world.until(() => world.job(id).status === "succeeded");
      expect(world.house.now() - said).toBeLessThan(2_000);
    }));

  it("whose last call is lost is found by the poll, at half of its age or ten minutes at most", () =>
    inSite(async (world) => {
      const { id } = await world.submit({ script: script(1_800), ping: true });
      await running(world, id);
      call(world, id);
      const { startedAt = "" } = world.job(id);
      await world.until(() => world.job(id).status === "succeeded");
      const { endedAt = "" } = world.job(id);
      expect(Date.parse(endedAt) - Date.parse(startedAt)).toBeLessThan((30 + 12) * MINUTES);
    }));

  it("that calls while it is known to run causes one look, not a hurry", () =>
    inSite(async (world) => {
      const { id } = await world.submit({ script: script(1_800), ping: true });
      await running(world, id);
      await world.live(5 * MINUTES);
      const nextLookMs = async () => {
        const before = rounds(world);
        call(world, id);
        await world.until(() => rounds(world) > before);
        return dueAt(world) - world.house.now();
      };
      expect(await nextLookMs()).toBeGreaterThan(MINUTES);
      // Its next words may be its last: they are followed until something is seen, for a while.
      expect(await nextLookMs()).toBeLessThan(1_000);
    }));

  it("that calls before the answer to its submission is in is believed to call", () =>
    inSite(async (world) => {
      const { id } = await world.submit({ script: script(1_800), ping: true });
      call(world, id);
      expect(jobRecord(world.house, id)).toMatchObject({ status: "accepted", calls: true });
      await running(world, id);
      expect(world.types(`jobs/${id}`)).toEqual(["job.accepted", "job.queued", "job.running"]);
    }));

  it("that calls while a round is under way, which saw it alive, is looked at again at once", () =>
    inSite(async (world) => {
      const { firecrest } = world;
      const { id } = await world.submit({ script: script(1_800), ping: true });
      await running(world, id);
      call(world, id);
      await world.live(5 * MINUTES);
      const { fetch } = firecrest;
      let said = 0;
      firecrest.fetch = async (request) => {
        const answer = await fetch(request);
        // The last answer of the round: it is what the round goes by.
        if (said > 0 || (api === "v1" && !request.url.includes("/tasks"))) return answer;
        said = world.house.now();
        const seat = await firecrest.host.as(firecrest.user);
        await seat.jobs.cancel(world.job(id).schedulerId ?? "");
        call(world, id);
        return answer;
      };
      await world.until(() => world.job(id).status === "cancelled");
      expect(said).toBeGreaterThan(0);
      expect(world.house.now() - said).toBeLessThan(1_500);
    }));
});
