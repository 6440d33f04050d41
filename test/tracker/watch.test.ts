/** Jobs that somebody else submitted, by id and by name; and jobs that wait in vain. */
import { describe, expect, it } from "vitest";
import type { WatchRequest } from "../../shared/contract/job.ts";
import { watch } from "../../workers/poller/watching.ts";
import { inWorld, type World } from "./world.ts";

const ADMIN = { name: "admin" };

async function watched(world: World, request: Omit<WatchRequest, "system">): Promise<string> {
  const answer = await watch(world.desk, ADMIN, { system: "cluster", ...request }, { origin: {} });
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.job.id;
}

/** Somebody's own sbatch. */
async function sbatch({ firecrest }: World, name: string, script: string, extra = ""): Promise<string> {
  const seat = await firecrest.host.as(firecrest.user);
  const { jobId } = await seat.jobs.submit({
    script: `#!/bin/bash -l\n#SBATCH --job-name=${name}\n${extra}#FAKE ${script}\n`,
    workingDirectory: `/scratch/${firecrest.user}`,
  });
  return jobId;
}

describe.each(["v1", "v2"] as const)("a watch on %s", (api) => {
  it("by id is accepted until the scheduler has shown the job, and follows it to its end", () =>
    inWorld(
      async (world) => {
        const schedulerId = await sbatch(world, "theirs", "sleep 30");
        const id = await watched(world, { schedulerId });
        expect(world.job(id)).toMatchObject({ status: "accepted", watched: true });
        await world.until(() => world.job(id).status === "succeeded");
        expect(world.types(`jobs/${id}`)).toEqual([
          "job.accepted",
          "job.queued",
          "job.running",
          "job.succeeded",
          "job.settled",
        ]);
      },
      {},
      { api },
    ));

  it("by name finds the job that is submitted later, and follows it to its end", () =>
    inWorld(
      async (world) => {
        await sbatch(world, "simulate", "sleep 1");
        await world.firecrest.clock.advance(120_000);
        const id = await watched(world, { name: "simulate" });
        await world.live(60_000);
        // The run of before is not the one that is meant.
        expect(world.job(id)).toMatchObject({ status: "accepted", name: "simulate" });
        expect(world.job(id).schedulerId).toBeUndefined();
        await sbatch(world, "Simulate", "sleep 600");
        await sbatch(world, "simulate-2", "sleep 600");
        const schedulerId = await sbatch(world, "simulate", "sleep 60");
        await world.until(() => world.job(id).status === "succeeded");
        expect(world.job(id)).toMatchObject({ schedulerId, warnings: [] });
        expect(world.types(`jobs/${id}`).filter((type) => type !== "job.queued")).toEqual([
          "job.accepted",
          "job.running",
          "job.succeeded",
          "job.settled",
        ]);
      },
      {},
      { api },
    ));

  it("by name follows the oldest of several that live, and says so", () =>
    inWorld(
      async (world) => {
        const oldest = await sbatch(world, "twice", "sleep 900");
        await sbatch(world, "twice", "sleep 900");
        const id = await watched(world, { name: "twice" });
        await world.until(() => world.job(id).status === "running");
        expect(world.job(id)).toMatchObject({ schedulerId: oldest, warnings: [{ code: "several_jobs" }] });
      },
      {},
      { api },
    ));

  it("by a name that nobody bears is lost after the grace time, and found when somebody does", () =>
    inWorld(
      async (world) => {
        const id = await watched(world, { name: "later" });
        await world.live(5 * 60_000);
        expect(world.job(id).status).toBe("accepted");
        await world.until(() => world.job(id).status === "lost");
        expect(world.types(`jobs/${id}`)).toEqual(["job.accepted", "job.lost"]);
        await sbatch(world, "later", "sleep 3600");
        await world.until(() => world.job(id).status === "running");
        expect(world.types(`jobs/${id}`)).toEqual(["job.accepted", "job.lost", "job.found", "job.running"]);
        expect(world.job(id).reason).toBeUndefined();
      },
      {},
      { api },
    ));
});

describe.each(["v1", "v2"] as const)("a job that can never start, on %s", (api) => {
  it("says so in plain words, in one event and one warning, however often it is seen", () =>
    inWorld(
      async (world) => {
        const first = await sbatch(world, "first", "exit 3");
        const { id } = await world.submit({
          script: `#!/bin/bash -l\n#SBATCH --dependency=afterok:${first}\n#FAKE sleep 5\n`,
        });
        await world.receive("all", () => new Response(null, { status: 204 }), ["INVALID_DEPEND"]);
        await world.until(() => world.types(`jobs/${id}`).includes("job.warning"));
        await world.live(10 * 60_000);
        expect(world.types(`jobs/${id}`).filter((type) => type === "job.warning")).toHaveLength(1);
        expect(world.job(id)).toMatchObject({
          status: "queued",
          reason: "never_starts",
          detail: expect.stringContaining("It depends on a job that ended otherwise"),
          warnings: [{ code: "never_starts", message: expect.stringContaining("(DependencyNeverSatisfied)") }],
        });
        const told = world.events().find(({ type }) => type === "job.warning");
        expect(told?.data).toMatchObject({
          pendingReason: "DependencyNeverSatisfied",
          warning: { code: "never_starts" },
          warnings: [{ code: "never_starts" }],
        });
        expect(world.hits).toHaveLength(1);
      },
      {},
      { api },
    ));
});
