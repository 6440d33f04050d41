/**
 * The exchange of a submission, cut at each of its steps, on both APIs, while accounting is prompt, late, or shows the job as a
 * mere row at first: one job on the machine, known by its id, with one end.
 */
import { describe, expect, it } from "vitest";
import type { FaultInput } from "../../local/firecrest/faults.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { inWorld, type World } from "./world.ts";

const HOUR_MS = 3_600_000;
/** Longer than all of the early looks, shorter than what "not there" takes. */
const YOUNG_MS = 90_000;
/** Where jobs are submitted. */
const SUBMIT: Record<Api, { method: string; path: string }> = {
  v1: { method: "POST", path: "/compute/jobs/(upload|path)" },
  v2: { method: "POST", path: "/compute/cluster/jobs$" },
};

const once = (world: World, api: Api, fault: FaultInput) =>
  world.firecrest.faults.add({ ...fault, match: SUBMIT[api], count: 1 } as FaultInput);

const CUTS: Record<string, (world: World, api: Api) => void> = {
  "before it is sent": (world) => {
    world.crash = { kind: "submit", when: "before" };
  },
  "on its way, before the scheduler took it": (world, api) => once(world, api, { kind: "down" }),
  "on its way back, after the scheduler took it": (world, api) => once(world, api, { kind: "lost_answer" }),
  "by a gateway that gave up waiting": (world, api) => once(world, api, { kind: "effect_then_error", status: 504 }),
  "before the answer is on record": (world) => {
    world.crash = { kind: "submit", when: "after" };
  },
  "after the answer is on record": (world) => {
    // The message is not acknowledged, and comes again.
    world.fate = (queue) => (queue === "commands" ? "double" : "deliver");
  },
};

const ACCOUNTING: Record<string, FaultInput | undefined> = {
  "accounting is prompt": undefined,
  "accounting is late": { kind: "young_accounting", rows: "missing", youngerThanMs: YOUNG_MS },
  "accounting shows a bare row at first": { kind: "young_accounting", rows: "skeleton", youngerThanMs: YOUNG_MS },
};

describe.each(["v1", "v2"] as const)("a submission on %s", (api) => {
  describe.each(Object.keys(ACCOUNTING))("while %s", (accounting) => {
    it.each(Object.keys(CUTS))("that is cut %s ends as one job", (cut) =>
      inWorld(
        async (world) => {
          const fault = ACCOUNTING[accounting];
          if (fault !== undefined) world.firecrest.faults.add(fault);
          CUTS[cut]?.(world, api);
          const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 20\n" });
          await world.until(() => world.job(id).settledAt !== undefined, HOUR_MS);
          await world.live(60_000);
          expect(world.crash).toBeUndefined();
          const ours = await world.firecrest.host.jobs();
          expect(ours.map(({ jobId }) => jobId)).toEqual([world.job(id).schedulerId]);
          expect(world.job(id)).toMatchObject({ status: "succeeded", run: 1 });
          const types = world.types(`jobs/${id}`);
          expect(types.filter((type) => /succeeded|failed|cancelled|lost|requeued/.test(type))).toEqual([
            "job.succeeded",
          ]);
          const events = world.events();
          expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 1));
        },
        {},
        { api },
      ),
    );
  });
});
