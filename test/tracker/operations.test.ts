/** File operations that the site runs as jobs, from the request to an end that the files prove. */
import { describe, expect, it } from "vitest";
import type { Api, FileJob } from "../../shared/firecrest/port.ts";
import { cancelJob } from "../../workers/poller/accept.ts";
import { acceptOperation } from "../../workers/poller/operations.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const HOME = "/scratch/alice";

function start(world: World, job: FileJob, after?: string): string {
  const request = { system: "cluster", job, warnings: [], ...(after === undefined ? {} : { after }) };
  const answer = acceptOperation(world.house, ACTOR, request, {});
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.id;
}

const files = async (world: World) => (await world.firecrest.host.as("alice")).files;
const put = async (world: World, name: string, content: string) =>
  (await files(world)).write(`${HOME}/${name}`, new TextEncoder().encode(content));
const names = async (world: World) => (await (await files(world)).list(HOME)).map(({ name }) => name);
const settle = (world: World, id: string) => world.until(() => world.job(id).settledAt !== undefined);
const ROUTES: Record<Api, RegExp> = { v1: /\/storage\/xfer-internal\//, v2: /\/transfer\// };

describe.each(["v1", "v2"] as const)("a file operation as a job of a %s site", (api) => {
  it("succeeds when the files say so, tells its life in events, and leaves no log behind", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        const id = start(world, { op: "move", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        expect(world.job(id)).toMatchObject({ status: "accepted", operation: { op: "move" } });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "succeeded" });
        const types = world.types(`jobs/${id}`);
        expect(types[0]).toBe("job.accepted");
        expect(types.slice(-2)).toEqual(["job.succeeded", "job.settled"]);
        expect(await names(world)).toContain("b.txt");
        await world.live(60_000);
        expect((await names(world)).filter((name) => name.includes("f7t_file_handling"))).toEqual([]);
      },
      {},
      { api },
    ));

  it("fails with the tool's words, although the scheduler calls its job COMPLETED", () =>
    inWorld(
      async (world) => {
        const id = start(world, { op: "copy", from: `${HOME}/none`, to: `${HOME}/b.txt` });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "failed", reason: "exit_code" });
        expect(world.job(id).detail).toMatch(/No such file/);
        expect((await world.firecrest.host.jobs()).map(({ state }) => state)).toEqual(["COMPLETED"]);
      },
      {},
      { api },
    ));

  it("is started once, whatever becomes of its messages", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        const fates = ["drop", "double", "double"] as const;
        let n = 0;
        world.fate = () => fates[n++ % fates.length] ?? "deliver";
        const id = start(world, { op: "copy", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        await settle(world, id);
        expect(world.job(id).status).toBe("succeeded");
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));

  it("is cancelled at the scheduler", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        const id = start(world, { op: "copy", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        await world.until(() => world.job(id).schedulerId !== undefined);
        expect(cancelJob(world.house, ACTOR, id, {})).toMatchObject({ ok: true });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "cancelled", reason: "cancelled_by_request" });
        expect(await names(world)).not.toContain("b.txt");
      },
      { host: { startDelayMs: 600_000 } },
      { api },
    ));

  it("that is cancelled before it was sent is never sent", () =>
    inWorld(
      async (world) => {
        const id = start(world, { op: "remove", path: `${HOME}/a.txt` });
        cancelJob(world.house, ACTOR, id, {});
        await settle(world, id);
        expect(world.job(id).status).toBe("cancelled");
        expect(await world.jobsOnMachine()).toBe(0);
      },
      {},
      { api },
    ));

  it("whose start got no answer is proven by the files, where they can prove it", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        world.firecrest.faults.add({ kind: "lost_answer", match: { path: ROUTES[api].source }, count: 1 });
        const id = start(world, { op: "move", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "succeeded" });
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));

  it("whose start got no answer is else for a person, and not started again", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        world.firecrest.faults.add({ kind: "lost_answer", match: { path: ROUTES[api].source }, count: 1 });
        const id = start(world, { op: "copy", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "failed", reason: "outcome_unknown" });
        expect(world.job(id).detail).toContain(`${HOME}/b.txt`);
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));

  it("survives a consumer that dies after it was started", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        world.crash = { kind: "file_job", when: "after" };
        const id = start(world, { op: "remove", path: `${HOME}/a.txt` });
        await settle(world, id);
        expect(world.job(id)).toMatchObject({ status: "succeeded" });
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));

  it("that the site cannot take now is started when it can", () =>
    inWorld(
      async (world) => {
        await put(world, "a.txt", "a");
        world.firecrest.faults.add({
          kind: "rate_limited",
          match: { path: ROUTES[api].source },
          count: 2,
          retryAfterSeconds: 7,
        });
        const id = start(world, { op: "copy", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` });
        await settle(world, id);
        expect(world.job(id).status).toBe("succeeded");
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));
});

describe("an operation that waits for a job", () => {
  it("starts once that has succeeded", () =>
    inWorld(async (world) => {
      const { id: first } = await world.submit({
        system: "cluster",
        script: `#!/bin/bash -l\n#FAKE sleep 60\n#FAKE write ${HOME}/a.txt 42\n`,
      });
      await world.until(() => world.job(first).status === "running");
      const id = start(world, { op: "copy", from: `${HOME}/a.txt`, to: `${HOME}/b.txt` }, first);
      await settle(world, id);
      expect([world.job(first).status, world.job(id).status]).toEqual(["succeeded", "succeeded"]);
      expect(await names(world)).toContain("b.txt");
    }));

  it("is refused for a job that there is not, and for one that the scheduler does not know yet", () =>
    inWorld(async (world) => {
      const { id: unsent } = await world.submit({ system: "cluster", script: "#!/bin/bash -l\n" });
      for (const [after, message] of [
        ["job_00000000000000000000000000", "is no job of yours"],
        [unsent, "is not with the scheduler yet; ask again when it is queued"],
      ]) {
        const job = { op: "remove", path: `${HOME}/a` } as const;
        expect(
          acceptOperation(world.house, ACTOR, { system: "cluster", job, warnings: [], after: after ?? "" }, {}),
        ).toMatchObject({ ok: false, errors: [{ field: "/after", message }] });
      }
    }));
});
