import { describe, expect, it } from "vitest";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { inWorld, type World } from "./world.ts";

const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n";
const OUTPUTS = [{ path: "out.txt", key: "out.txt" }];
/** Not proven by the hash that the site told beforehand, so copied in parts and looked at afterwards. */
const IN_PARTS = [{ path: "out.txt", key: "out.txt", verify: "size" as const }];

/** One job on the machine, one proven object, nothing owed, nothing pending: what every fault must end in. */
async function endsWell(world: World, id: string): Promise<void> {
  await world.until(() => world.job(id).settledAt !== undefined, 24 * 3_600_000);
  await world.until(() => world.owed() === 0, 24 * 3_600_000);
  await world.live(5_000);
  expect(world.job(id).status).toBe("succeeded");
  expect(world.job(id).outputs.map(({ status }) => status)).toEqual(["stored"]);
  expect(new TextDecoder().decode(await world.object("out.txt"))).toBe("hello\n");
  expect(await world.objectKeys()).toEqual(["out.txt"]);
  expect(await world.jobsOnMachine()).toBe(1);
  const events = world.events();
  expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 1));
  expect(world.types(`jobs/${id}`).filter((type) => type === "job.succeeded")).toHaveLength(1);
}

describe("a Worker killed in the middle of an effect", () => {
  const kinds: [EffectKind, typeof OUTPUTS][] = [
    ["submit", OUTPUTS],
    ["stage", OUTPUTS],
    ["copy", OUTPUTS],
    ["copy", IN_PARTS],
    ["verify", IN_PARTS],
    ["complete", IN_PARTS],
    ["release", OUTPUTS],
  ];
  for (const [kind, outputs] of kinds) {
    for (const when of ["before", "after"] as const) {
      const how = outputs === IN_PARTS ? "in parts" : "in one put";
      it(`ends well when it dies ${when} the work of ${kind}, ${how}`, () =>
        inWorld(async (world) => {
          world.crash = { kind, when };
          const { id } = await world.submit({ script: SCRIPT, outputs });
          await endsWell(world, id);
          expect(world.crash).toBeUndefined();
        }));
    }
  }

  for (const when of ["before", "after"] as const) {
    it(`still cancels a job when it dies ${when} the work of cancel`, () =>
      inWorld(async (world) => {
        const { cancelJob } = await import("../../workers/poller/accept.ts");
        const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 30000\n" });
        await world.until(() => world.job(id).status === "running");
        world.crash = { kind: "cancel", when };
        cancelJob(world.house, { name: "admin" }, id, {});
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id).status).toBe("cancelled");
      }));

    it(`still stores an empty file when it dies ${when} the work of put_empty`, () =>
      inWorld(async (world) => {
        world.crash = { kind: "put_empty", when };
        const { id } = await world.submit({
          script: "#!/bin/bash -l\n#FAKE bytes empty.dat 0\n",
          outputs: [{ path: "empty.dat", key: "empty" }],
        });
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id).outputs.map(({ status }) => status)).toEqual(["stored"]);
      }));
  }
});

describe("queues that misbehave", () => {
  it("does everything once when every message comes twice", () =>
    inWorld(async (world) => {
      world.fate = () => "double";
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await endsWell(world, id);
    }));

  it("loses only time when every other message is lost", () =>
    inWorld(async (world) => {
      let n = 0;
      world.fate = () => (n++ % 2 === 0 ? "drop" : "deliver");
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await endsWell(world, id);
    }));
});

describe("a site that misbehaves", () => {
  it("keeps an accepted request while FirecREST is down for the first minutes", () =>
    inWorld(async (world) => {
      const down = world.firecrest.faults.add({ kind: "down" });
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await world.live(5 * 60_000);
      expect(["accepted", "submitting"]).toContain(world.job(id).status);
      world.firecrest.faults.remove(down);
      await endsWell(world, id);
      expect(
        world
          .events()
          .filter(({ type }) => type.startsWith("connection."))
          .map(({ type }) => type),
      ).toEqual(
        ["connection.unhealthy", "connection.recovered"].slice(
          0,
          world.events().filter(({ type }) => type.startsWith("connection.")).length,
        ),
      );
    }));

  for (const [name, fault] of [
    ["the answer is lost after the effect", { kind: "lost_answer" }],
    ["the effect happens and 500 is answered", { kind: "effect_then_error", status: 500 }],
    ["the effect happens and 504 is answered", { kind: "effect_then_error", status: 504 }],
    ["nothing happens and a gateway answers 502", { kind: "bad_gateway" }],
    ["nothing happens and 429 is answered", { kind: "rate_limited", retryAfterSeconds: 7 }],
    ["the task never leaves 100, though the job was submitted", { kind: "task_stuck", effect: true }],
  ] as const) {
    it(`ends with one job when ${name}, on submission`, () =>
      inWorld(async (world) => {
        world.firecrest.faults.add({ ...fault, match: { method: "POST", path: "/compute/jobs" }, count: 1 });
        // Long enough that the queue still knows where the job works when it is found.
        const { id } = await world.submit({
          script: fault.kind === "task_stuck" ? SCRIPT.replace("sleep 5", "sleep 900") : SCRIPT,
          outputs: OUTPUTS,
        });
        await endsWell(world, id);
      }));

    it(`ends with nothing owed when ${name}, on staging`, () =>
      inWorld(async (world) => {
        world.firecrest.faults.add({
          ...fault,
          match: { method: "POST", path: "/storage/xfer-external/download" },
          count: 1,
        });
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await endsWell(world, id);
      }));
  }

  it("stages a file in the end, though the site answered every request with an error for an hour", () =>
    inWorld(async (world) => {
      const match = { method: "POST", path: "/storage/xfer-external/download" };
      const failing = world.firecrest.faults.add({ kind: "error", status: 500, match });
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await world.live(3_600_000);
      expect(world.job(id).outputs.map(({ status }) => status)).toEqual(["staging"]);
      world.firecrest.faults.remove(failing);
      await endsWell(world, id);
    }));

  it("stages anew, and leaves the lost one to expire, where the site will not list its tasks", () =>
    inWorld(async (world) => {
      world.firecrest.faults.add({
        kind: "lost_answer",
        match: { method: "POST", path: "/storage/xfer-external/download" },
        count: 1,
      });
      world.firecrest.faults.add({ kind: "error", status: 403, match: { method: "GET", path: "/tasks$" } });
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await endsWell(world, id);
      const debts = world.house.rows<{ doc: string }>("SELECT doc FROM debts ORDER BY id");
      expect(debts.map(({ doc }) => JSON.parse(doc).state)).toEqual(["expires", "released"]);
    }));

  it("copies a staged file whose read is cut in the middle", () =>
    inWorld(async (world) => {
      world.firecrest.faults.add({ kind: "staged_read_cut", bytes: 3, count: 2 });
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await endsWell(world, id);
    }));

  it("is not fooled by skeleton accounting rows", () =>
    inWorld(async (world) => {
      world.firecrest.faults.add({ kind: "young_accounting", rows: "skeleton", youngerThanMs: 20_000 });
      const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
      await endsWell(world, id);
    }));

  it("fails a job that the scheduler refuses, with the scheduler's words", () =>
    inWorld(async (world) => {
      const { id } = await world.submit({ script: "#!/bin/bash -l\n#SBATCH --partition=nowhere\n" });
      await world.until(() => world.job(id).settledAt !== undefined);
      expect(world.job(id)).toMatchObject({ status: "failed", reason: "rejected" });
      expect(world.job(id).detail).toMatch(/partition/i);
    }));
});

describe("an invalidate that lies", () => {
  it("ends as unreleasable with the date of its end, then as expired", () =>
    inWorld(
      async (world) => {
        const { id, outputs } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => world.job(id).settledAt !== undefined);
        await world.until(() => world.transfer(outputs[0]?.transferId ?? "").link.state === "unreleasable");
        const { link } = world.transfer(outputs[0]?.transferId ?? "");
        expect(Date.parse(link.expiresAt ?? "")).toBeGreaterThan(world.house.now());
        await world.until(() => world.owed() === 0, 8 * 24 * 3_600_000);
        expect(world.transfer(outputs[0]?.transferId ?? "").link.state).toBe("expires");
        expect(
          world.types(`transfers/${outputs[0]?.transferId}`).filter((type) => type === "transfer.unreleased"),
        ).not.toHaveLength(0);
      },
      { quirks: "1.16.6" },
    ));
});
