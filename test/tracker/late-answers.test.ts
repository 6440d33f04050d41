/** Whoever carries out an effect may take longer than its deadline, or report what a later attempt has overtaken. */
import { describe, expect, it } from "vitest";
import { DEADLINE_MS } from "../../shared/domain/effect.ts";
import * as bytes from "../../workers/poller/bytes.ts";
import { perform } from "../../workers/poller/commands.ts";
import { begin, type FarOutcome, finish } from "../../workers/poller/far.ts";
import { clientOf } from "../../workers/poller/site.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { inWorld, type World } from "./world.ts";

const TAGGED = "#!/bin/bash -l\n#FAKE sleep 5\n";
/** Its output is named after the job, so the job's name must stay its own. */
const UNTAGGED = "#!/bin/bash -l\n#SBATCH --output=%x-%j.out\n#FAKE sleep 5\n";
const MINUTE_MS = 60_000;

const stateOf = (world: World, id: string) =>
  world.house.row<{ state: string }>("SELECT state FROM effects WHERE id = ?", id)?.state;

/** A submission whose sender has its answer and has not told it yet. */
async function submitting(world: World, script: string) {
  world.fate = () => "drop";
  const job = await world.submit({ script });
  const effect = world.house.row<{ id: string }>("SELECT id FROM effects WHERE kind = 'submit'")?.id ?? "";
  const begun = await begin(world.desk, effect);
  if (!begun.go) throw new Error(begun.why);
  const client = clientOf(begun.work.site, world.egress, {
    token: (renew) => world.desk.site.token(renew),
    now: world.house.now,
    sleep: world.house.sleep,
    log: () => {},
  });
  const send = () => world.run(perform(begun.work, client, undefined as unknown as R2Bucket));
  const later = async (ms: number) => {
    await world.firecrest.clock.advance(ms);
    await world.run(attend(world.desk));
  };
  return { id: job.id, effect, attempt: begun.attempt, send, later };
}

const UNREACHED: FarOutcome = { kind: "failed", code: "network", retry: "later", message: "away" };

describe.each(["v1", "v2"] as const)("on %s, the answer to a submission", (api) => {
  it.each([
    ["with a tag", TAGGED],
    ["without a tag", UNTAGGED],
  ])("%s that comes after its deadline counts", (_what, script) =>
    inWorld(
      async (world) => {
        const { id, effect, attempt, send, later } = await submitting(world, script);
        const outcome = await send();
        await later(DEADLINE_MS.submit + 1_000);
        expect(stateOf(world, effect)).toBe("unknown");
        await finish(world.desk, effect, outcome, attempt);
        world.fate = () => "deliver";
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id).status).toBe("succeeded");
        expect((await world.firecrest.host.jobs()).map(({ jobId }) => jobId)).toEqual([world.job(id).schedulerId]);
      },
      {},
      { api },
    ),
  );
});

describe("an untagged submission that nobody reports", () => {
  it("is given up when nobody lives any more who could", () =>
    inWorld(async (world) => {
      const { id, later } = await submitting(world, UNTAGGED);
      await later(DEADLINE_MS.submit + 1_000);
      await later(10 * MINUTE_MS);
      expect(world.job(id).status).toBe("submitting");
      await later(5 * MINUTE_MS);
      expect(world.job(id)).toMatchObject({ status: "failed", reason: "outcome_unknown" });
    }));

  it("is given up at once when its sender says late that it does not know", () =>
    inWorld(async (world) => {
      const { id, effect, attempt, later } = await submitting(world, UNTAGGED);
      await later(DEADLINE_MS.submit + 1_000);
      await finish(world.desk, effect, { ...UNREACHED, retry: "after_check" } as FarOutcome, attempt);
      expect(world.job(id)).toMatchObject({ status: "failed", reason: "outcome_unknown" });
    }));
});

describe("a submission that is to be sent again", () => {
  it("is not, once its sender tells that the site has the job", () =>
    inWorld(async (world) => {
      const { id, effect, attempt, send } = await submitting(world, TAGGED);
      const outcome = await send();
      world.house.run("UPDATE effects SET state = 'planned' WHERE id = ?", effect);
      await finish(world.desk, effect, outcome, attempt);
      expect((await begin(world.desk, effect)).go).toBe(false);
      world.fate = () => "deliver";
      await world.until(() => world.job(id).settledAt !== undefined);
      expect(await world.jobsOnMachine()).toBe(1);
    }));
});

describe("the outcome of an attempt that a later one has overtaken", () => {
  it("says nothing about the later one of a submission", () =>
    inWorld(async (world) => {
      const { id, effect, attempt } = await submitting(world, TAGGED);
      await finish(world.desk, effect, UNREACHED, attempt);
      expect(await begin(world.desk, effect)).toMatchObject({ go: true, attempt: attempt + 1 });
      await finish(world.desk, effect, { kind: "submitted", schedulerId: "4711" }, attempt);
      await finish(world.desk, effect, { ...UNREACHED, retry: "never" } as FarOutcome, attempt);
      expect([stateOf(world, effect), world.job(id).status]).toEqual(["sent", "submitting"]);
      expect(world.job(id).schedulerId).toBeUndefined();
    }));

  it("says nothing about the later one of a copy", () =>
    inWorld(async (world) => {
      const { files } = await world.firecrest.host.as("alice");
      await files.write("/scratch/alice/f", new TextEncoder().encode("hello\n"));
      world.fate = (queue) => (queue === "transfers" ? "drop" : "deliver");
      await world.download("/scratch/alice/f", "f", { verify: "size" });
      const copy = () => world.house.row<{ id: string }>("SELECT id FROM effects WHERE kind = 'copy'")?.id;
      await world.until(() => copy() !== undefined);
      const effect = copy() ?? "";
      await bytes.beginBytes(world.desk, effect);
      bytes.finishBytes(world.house, effect, { kind: "paused" }, 1);
      expect(await bytes.beginBytes(world.desk, effect)).toMatchObject({ go: true, attempt: 2 });
      bytes.finishBytes(world.house, effect, { kind: "failed", why: "never", detail: "gone" }, 1);
      expect(stateOf(world, effect)).toBe("sent");
      bytes.finishBytes(world.house, effect, { kind: "paused" }, 2);
      expect(stateOf(world, effect)).toBe("planned");
    }));
});
