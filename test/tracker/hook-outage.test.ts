import { describe, expect, it } from "vitest";
import type { JobRequest } from "../../shared/contract/job.ts";
import * as hooks from "../../workers/poller/hooks.ts";
import { ACTOR, HOUR_MS, ok } from "./reception.ts";
import { inWorld } from "./world.ts";

const JOBS = 12;
const request = { system: "cluster", script: "#!/bin/bash -l\n#FAKE sleep 5\n" } as JobRequest;

describe("an hour in which FirecREST does not answer", () => {
  it("delays what hooks accept and loses nothing of it, and each runs once", { timeout: 120_000 }, () =>
    inWorld(async (world) => {
      await hooks.putHook(
        world.house,
        world.desk.seal,
        ACTOR,
        "h",
        { source: "bearer", secrets: ["t"], target: { job: {} } },
        {},
      );
      await world.receive("all", ok, ["job.settled"]);
      const down = world.firecrest.faults.add({ kind: "down" });
      const from = world.house.now();
      const accepted: string[] = [];
      for (let n = 0; n < JOBS; n++) {
        const answer = await hooks.acceptFromHook(world.desk, "h", {
          messageId: `m-${n}`,
          bodySha256: String(n),
          body: "{}",
          origin: {},
          result: { outcome: "job", request: { ...request, name: `outage-${n}` } },
        });
        if (!answer.ok) throw new Error(JSON.stringify(answer));
        // Accepted at once, whatever the site does.
        expect(answer.value.answer.outcome).toBe("accepted");
        accepted.push(answer.value.answer.jobId ?? "");
        await world.live(HOUR_MS / JOBS);
      }
      expect(world.house.now() - from).toBeGreaterThanOrEqual(HOUR_MS);
      for (const id of accepted) expect(["accepted", "submitting"]).toContain(world.job(id).status);
      expect(await world.jobsOnMachine()).toBe(0);

      world.firecrest.faults.remove(down);
      await world.until(() => accepted.every((id) => world.job(id).settledAt !== undefined), 6 * HOUR_MS);
      expect(accepted.map((id) => world.job(id).status)).toEqual(accepted.map(() => "succeeded"));
      expect(await world.jobsOnMachine()).toBe(JOBS);
      await world.until(() => world.hits.length >= JOBS);
      expect(new Set(world.hits.map(({ body }) => JSON.parse(body).subject)).size).toBe(JOBS);
      const requests = hooks.hookRequests(world.house, ACTOR, "h", {});
      expect(requests.ok && requests.value.items).toHaveLength(JOBS);
    }),
  );
});
