/** A site that is not itself: its clock is wrong, it forgets our token, answers pages, or loses a system. Jobs end right. */
import { describe, expect, it } from "vitest";
import type { Api } from "../../shared/firecrest/port.ts";
import { acceptOperation } from "../../workers/poller/operations.ts";
import { inWorld, type World } from "./world.ts";

const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 90\n#FAKE write out.txt hello\n";
const OUTPUTS = [{ path: "out.txt", key: "out.txt" }];
const MINUTES = 60_000;
const APIS = ["v1", "v2"] as const;
/** Where jobs are submitted. */
const SUBMIT: Record<Api, string> = { v1: "/compute/jobs/(upload|path)", v2: "/compute/cluster/jobs$" };

/** One job, ended once, with its result. On v2 a link lives on until it expires. */
async function endsWell(world: World, id: string): Promise<void> {
  await world.until(() => world.job(id).settledAt !== undefined, 24 * 60 * MINUTES);
  expect(world.job(id)).toMatchObject({ status: "succeeded", run: 1 });
  expect(world.job(id).outputs.map(({ status }) => status)).toEqual(["stored"]);
  expect(new TextDecoder().decode(await world.object("out.txt"))).toBe("hello\n");
  expect(world.types(`jobs/${id}`).filter((type) => /succeeded|failed|cancelled|lost|requeued/.test(type))).toEqual([
    "job.succeeded",
  ]);
}
const submitsOnce = async (world: World) =>
  expect((await world.firecrest.host.jobs()).filter(({ name }) => name.includes(".fw-"))).toHaveLength(1);

describe.each(APIS)("with a %s site", (api) => {
  describe.each([-5, 5])("whose clock is %i minutes off ours", (minutes) => {
    const skewed = (scenario: (world: World) => Promise<void>, site = {}) =>
      inWorld(scenario, site, { api, skewMs: minutes * MINUTES });

    it("a job is followed to its end and its result", () =>
      skewed(async (world) => {
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => world.job(id).status === "running");
        await endsWell(world, id);
        const { startedAt = "", endedAt = "" } = world.job(id);
        const ranSeconds = (Date.parse(endedAt) - Date.parse(startedAt)) / 1000;
        expect(ranSeconds).toBeGreaterThan(60);
        expect(ranSeconds).toBeLessThan(180);
        await submitsOnce(world);
      }));

    it("a submission whose answer was lost is found again", () =>
      skewed(async (world) => {
        world.firecrest.faults.add({ kind: "lost_answer", match: { method: "POST", path: SUBMIT[api] }, count: 1 });
        const { id } = await world.submit({ script: SCRIPT.replace("90", "900"), outputs: OUTPUTS });
        await endsWell(world, id);
        await submitsOnce(world);
      }));

    it("a staging whose answer was lost does not stand in the way of the result", () =>
      skewed(async (world) => {
        const path = api === "v1" ? "/xfer-external/download" : "/transfer/download";
        world.firecrest.faults.add({ kind: "lost_answer", match: { method: "POST", path }, count: 1 });
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await endsWell(world, id);
      }));

    it("a job that was just submitted and is not in accounting yet is not lost", () =>
      skewed(async (world) => {
        world.firecrest.faults.add({ kind: "young_accounting", rows: "missing", youngerThanMs: 30_000 });
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await endsWell(world, id);
      }));

    it("a time limit, a cancellation and a failure are told apart", () =>
      skewed(async (world) => {
        const limited = await world.submit({ script: "#!/bin/bash\n#SBATCH --time=1\n#FAKE sleep 600\n" });
        const failing = await world.submit({ script: "#!/bin/bash\n#FAKE exit 3\n" });
        await world.until(() => [limited, failing].every(({ id }) => world.job(id).settledAt !== undefined));
        expect(world.job(limited.id)).toMatchObject({ status: "failed", reason: "timeout" });
        expect(world.job(failing.id)).toMatchObject({ status: "failed", reason: "exit_code", exitCode: 3 });
      }));

    it("a file operation as a job ends as the files say", () =>
      skewed(async (world) => {
        const { files } = await world.firecrest.host.as("alice");
        await files.write("/scratch/alice/a", new TextEncoder().encode("a"));
        const ids = [
          { op: "copy", from: "/scratch/alice/a", to: "/scratch/alice/b" } as const,
          { op: "copy", from: "/scratch/alice/none", to: "/scratch/alice/c" } as const,
        ].map((job) => {
          const answer = acceptOperation(world.house, { name: "admin" }, { system: "cluster", job, warnings: [] }, {});
          if (!answer.ok) throw new Error(JSON.stringify(answer));
          return answer.value.id;
        });
        await world.until(() => ids.every((id) => world.job(id).settledAt !== undefined));
        expect(ids.map((id) => world.job(id).status)).toEqual(["succeeded", "failed"]);
      }));
  });

  it("that revokes our token between any two requests, work goes on with the next token", () =>
    inWorld(
      async (world) => {
        // Every third request finds its token revoked.
        const revoke = () =>
          world.firecrest.faults.add({
            kind: "error",
            status: 401,
            match: { path: "/firecrest/v\\d/" },
            after: 2,
            count: 1,
          });
        revoke();
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => {
          if (world.firecrest.faults.list().every(({ struck }) => struck > 0)) revoke();
          return world.job(id).settledAt !== undefined;
        });
        expect(world.firecrest.faults.list().length).toBeGreaterThan(5);
        await endsWell(world, id);
        await submitsOnce(world);
      },
      {},
      { api },
    ));

  it("whose tokens live hardly longer than a minute, a job is followed to its end", () =>
    inWorld(
      async (world) => {
        const { id } = await world.submit({ script: SCRIPT.replace("90", "900"), outputs: OUTPUTS });
        await endsWell(world, id);
      },
      { tokenLifeSeconds: 75 },
      { api },
    ));

  it("that does not know our credential for ten minutes ends nothing, says so, and goes on afterwards", () =>
    inWorld(
      async (world) => {
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => world.job(id).status === "running");
        const outage = world.firecrest.faults.add({ kind: "error", status: 401, match: { path: "/firecrest/v\\d/" } });
        await world.live(10 * MINUTES);
        expect(world.job(id).status).toBe("running");
        expect(world.events().map(({ type }) => type)).toContain("connection.unhealthy");
        world.firecrest.faults.remove(outage);
        await endsWell(world, id);
        expect(world.events().map(({ type }) => type)).toContain("connection.recovered");
      },
      {},
      { api },
    ));

  it("that answers pages instead of JSON, with 200, submits once and ends right", () =>
    inWorld(
      async (world) => {
        world.firecrest.faults.add({ kind: "bad_gateway", status: 200, match: { path: "/firecrest/v\\d/" }, count: 6 });
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => world.job(id).status === "running");
        world.firecrest.faults.add({
          kind: "bad_gateway",
          status: 200,
          match: { path: "/firecrest/v\\d/" },
          count: 20,
        });
        await endsWell(world, id);
        await submitsOnce(world);
      },
      {},
      { api },
    ));

  it.each(["unreachable", "refused"] as const)(
    "whose login node is %s for ten minutes, ends no job, and starts none twice",
    (how) =>
      inWorld(
        async (world) => {
          const running = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
          await world.until(() => world.job(running.id).status === "running");
          const outage = world.firecrest.faults.add({ kind: "system_unavailable", how });
          const { id } = await world.submit({ name: "later", script: SCRIPT });
          await world.live(10 * MINUTES);
          expect(world.job(running.id).status).toBe("running");
          expect(world.job(id).status).toBe("submitting");
          world.firecrest.faults.remove(outage);
          await endsWell(world, running.id);
          await world.until(() => world.job(id).settledAt !== undefined);
          expect(world.job(id).status).toBe("succeeded");
          const names = (await world.firecrest.host.jobs()).map(({ name }) => name);
          expect(names.filter((name) => name.startsWith("later.fw-"))).toHaveLength(1);
        },
        {},
        { api },
      ),
  );

  it("that loses the system from its list ends nothing and loses nothing, and goes on when it is back", () =>
    inWorld(
      async (world) => {
        const { id } = await world.submit({ script: SCRIPT, outputs: OUTPUTS });
        await world.until(() => world.job(id).status === "running");
        const systems = world.firecrest.site.systems as Map<string, typeof world.firecrest.host>;
        systems.delete("cluster");
        await world.live(60 * MINUTES);
        expect(world.job(id).status).toBe("running");
        systems.set("cluster", world.firecrest.host);
        await endsWell(world, id);
        await submitsOnce(world);
      },
      {},
      { api },
    ));

  it("that has lost the system refuses a new job with its words", () =>
    inWorld(
      async (world) => {
        (world.firecrest.site.systems as Map<string, unknown>).delete("cluster");
        const { id } = await world.submit({ script: SCRIPT });
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id)).toMatchObject({ status: "failed", reason: "rejected" });
        expect(world.job(id).detail).toMatch(/system|machine/i);
      },
      {},
      { api },
    ));
});
