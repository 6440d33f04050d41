/** Inputs of a job: on their machine before it is submitted, or the job says which one is missing. */
import { describe, expect, it } from "vitest";
import type { EffectKind } from "../../shared/domain/effect.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { acceptJob, cancelJob, resubmit } from "../../workers/poller/accept.ts";
import { content, MIB, nothingLeft, sha256 } from "./up.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 2\n#FAKE write out.txt hello\n";
const settled = (world: World, id: string) => () => world.job(id).settledAt !== undefined && world.owed() === 0;

/** The inputs of a job as everybody sees them. */
const inputs = (world: World, id: string) =>
  (world.job(id).inputs ?? []).map(({ transferId }) => world.transfer(transferId));

describe.each(["v1", "v2"] as Api[])("a job with inputs on %s", (api) => {
  it("has them all in its directory when it is submitted, large and small, from anywhere", () =>
    inWorld(
      async (world) => {
        await world.put("mesh", content(5 * MIB));
        await world.put("config", "steps: 3\n");
        world.receivers.set("/deck", () => new Response("deck"));
        const { id, status } = await world.submit({
          script: SCRIPT,
          workingDirectory: "/scratch/alice/run",
          inputs: [
            { key: "mesh", path: "data/mesh.h5" },
            { key: "config", path: "/scratch/alice/shared/config.yaml" },
            { url: "https://receiver.test/deck", path: "deck.txt" },
          ],
          outputs: [{ path: "out.txt", key: "out" }],
        });
        expect(status).toBe("accepted");
        expect(world.job(id).status).toBe("staging_in");
        await world.until(settled(world, id));
        expect(world.job(id)).toMatchObject({
          status: "succeeded",
          inputs: [
            { path: "/scratch/alice/run/data/mesh.h5", status: "stored" },
            { path: "/scratch/alice/shared/config.yaml", status: "stored" },
            { path: "/scratch/alice/run/deck.txt", status: "stored" },
          ],
        });
        for (const input of inputs(world, id)) {
          expect(input).toMatchObject({ jobId: id, direction: "upload", proof: "hash" });
          expect(Date.parse(input.endedAt ?? "")).toBeLessThanOrEqual(Date.parse(world.job(id).submittedAt ?? ""));
        }
        expect(await sha256((await world.file("/scratch/alice/run/data/mesh.h5")) ?? new Uint8Array())).toBe(
          await sha256(content(5 * MIB)),
        );
        expect(new TextDecoder().decode(await world.file("/scratch/alice/run/deck.txt"))).toBe("deck");
        expect(world.types(`jobs/${id}`)).toEqual([
          "job.accepted",
          "job.queued",
          "job.running",
          "job.succeeded",
          "job.settled",
        ]);
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("gets a directory of its own where it names none, and works there", () =>
    inWorld(
      async (world) => {
        await world.put("config", "steps: 3\n");
        const { id } = await world.submit({
          script: SCRIPT,
          inputs: [{ key: "config", path: "config.yaml" }],
          outputs: [{ path: "out.txt", key: "out" }],
        });
        await world.until(settled(world, id));
        const [input] = inputs(world, id);
        expect(input?.path).toMatch(new RegExp(`^/.*/alice/firewatch/${id}/config\\.yaml$`));
        expect(world.job(id)).toMatchObject({ status: "succeeded", outputs: [{ status: "stored" }] });
        const directory = input?.path.slice(0, input.path.lastIndexOf("/"));
        expect(await world.file(`${directory}/out.txt`)).toBeDefined();
      },
      {},
      { api },
    ));

  it("fails with the name of the input that cannot be had, runs nothing and fetches nothing", () =>
    inWorld(
      async (world) => {
        await world.put("mesh", content(5 * MIB));
        const { id } = await world.submit({
          script: SCRIPT,
          workingDirectory: "/scratch/alice",
          inputs: [
            { key: "mesh", path: "mesh.h5" },
            { key: "nothing", path: "config.yaml" },
          ],
          outputs: [{ path: "out.txt", key: "out" }],
        });
        await world.until(settled(world, id));
        expect(world.job(id)).toMatchObject({ status: "failed", reason: "stage_in_failed" });
        expect(world.job(id).detail).toContain("/scratch/alice/config.yaml");
        expect(world.job(id).schedulerId).toBeUndefined();
        expect(inputs(world, id).map(({ status, reason }) => [status, reason])).toEqual([
          ["cancelled", "job_ended"],
          ["failed", "source_missing"],
        ]);
        expect(world.job(id).outputs.map(({ status }) => status)).toEqual(["cancelled"]);
        expect(world.types(`jobs/${id}`)).toEqual(["job.accepted", "job.failed", "job.settled"]);
        await nothingLeft(world);
      },
      {},
      { api },
    ));

  it("can be cancelled before any step, and takes its inputs with it", () =>
    inWorld(
      async (world) => {
        for (let step = 0; ; step++) {
          await world.put("mesh", content(5 * MIB));
          await world.put("config", "steps: 3\n");
          const { id } = await world.submit({
            script: "#!/bin/bash -l\n#FAKE sleep 3000\n",
            inputs: [
              { key: "mesh", path: "mesh.h5" },
              { key: "config", path: "config.yaml" },
            ],
          });
          let messages = 0;
          world.fate = () => {
            if (messages++ === step) cancelJob(world.house, ACTOR, id, {});
            return "deliver";
          };
          await world.until(settled(world, id));
          // Without a cancel it runs to its end: there is no further step.
          if (messages <= step) {
            expect(world.job(id).status).toBe("succeeded");
            expect(step).toBeGreaterThan(8);
            return;
          }
          expect(world.job(id)).toMatchObject({ status: "cancelled", reason: "cancelled_by_request" });
          expect(world.types(`jobs/${id}`).filter((type) => type === "job.cancelled")).toHaveLength(1);
          const ends = inputs(world, id).map(({ status }) => status);
          expect(ends.every((status) => status === "stored" || status === "cancelled")).toBe(true);
          if (step < 5) expect(ends).toContain("cancelled");
          await nothingLeft(world);
        }
      },
      {},
      { api },
    ));

  it.each([
    ["prepare", "before"],
    ["prepare", "after"],
    ["upload", "after"],
    ["deliver", "after"],
    ["inspect", "before"],
    ["submit", "after"],
  ] as [EffectKind, "before" | "after"][])("runs once when a Worker dies in %s, %s its work", (kind, when) =>
    inWorld(
      async (world) => {
        await world.put("config", "steps: 3\n");
        world.crash = { kind, when };
        const { id } = await world.submit({ script: SCRIPT, inputs: [{ key: "config", path: "config.yaml" }] });
        await world.until(settled(world, id));
        expect(world.job(id)).toMatchObject({ status: "succeeded", inputs: [{ status: "stored" }] });
        expect(await world.jobsOnMachine()).toBe(1);
        expect(world.crash).toBeUndefined();
        await nothingLeft(world);
      },
      {},
      { api },
    ),
  );

  it("does everything once when every message comes twice", () =>
    inWorld(
      async (world) => {
        world.fate = () => "double";
        await world.put("config", "steps: 3\n");
        const { id } = await world.submit({
          script: SCRIPT,
          inputs: [
            { key: "config", path: "config.yaml" },
            { key: "config", path: "sub/config.yaml" },
          ],
        });
        await world.until(settled(world, id));
        expect(world.job(id).status).toBe("succeeded");
        expect(await world.jobsOnMachine()).toBe(1);
      },
      {},
      { api },
    ));
});

describe("what is asked for", () => {
  it.each([
    ["a way up", "../x", /\.\./],
    ["a space", "a b", /space/],
    ["a quote", "it's", /'/],
    ["a leading dash", "-rf", /dash/],
  ])("is refused with the field where a path has %s", (_what, path, message) =>
    inWorld(async (world) => {
      const request = { system: "cluster", script: SCRIPT, inputs: [{ key: "a", path }] };
      const answer = await acceptJob(world.desk, ACTOR, request, { origin: {} });
      expect(answer).toMatchObject({ ok: false, code: "invalid", errors: [{ field: "/inputs/0/path" }] });
      expect(answer.ok ? "" : answer.errors?.[0]?.message).toMatch(message);
    }),
  );

  it("is refused where two inputs are one file, and where a URL may not be called", () =>
    inWorld(async (world) => {
      const two = [
        { key: "a", path: "/scratch/alice/x" },
        { key: "b", path: "/scratch/alice//x" },
      ];
      const request = { system: "cluster", script: SCRIPT };
      expect(await acceptJob(world.desk, ACTOR, { ...request, inputs: two }, { origin: {} })).toMatchObject({
        ok: false,
        code: "conflict",
        errors: [{ field: "/inputs/1/path" }],
      });
      const inside = [{ url: "https://127.0.0.1/x", path: "x" }];
      expect(await acceptJob(world.desk, ACTOR, { ...request, inputs: inside }, { origin: {} })).toMatchObject({
        ok: false,
        code: "invalid",
        errors: [{ field: "/inputs/0/url" }],
      });
      expect(world.house.rows("SELECT id FROM transfers")).toEqual([]);
    }));

  it("is done again by a resubmission, over the files of the first run", () =>
    inWorld(async (world) => {
      await world.put("config", "one");
      const first = await world.submit({
        script: SCRIPT,
        workingDirectory: "/scratch/alice",
        inputs: [{ key: "config", path: "config.yaml" }],
      });
      await world.until(settled(world, first.id));
      await world.put("config", "two");
      const answer = await resubmit(world.desk, ACTOR, first.id, {}, { origin: {} });
      const id = answer.ok ? answer.value.job.id : "";
      await world.until(settled(world, id));
      expect(world.job(id).status).toBe("succeeded");
      expect(new TextDecoder().decode(await world.file("/scratch/alice/config.yaml"))).toBe("two");
    }));

  it("keeps signatures of addresses to itself, and has them for a resubmission", () =>
    inWorld(async (world) => {
      world.receivers.set("/signed", (request) => {
        const isSigned = new URL(request.url).searchParams.get("sig") === "s3cret";
        return isSigned ? new Response("data") : new Response(null, { status: 403 });
      });
      const first = await world.submit({
        script: SCRIPT,
        workingDirectory: "/scratch/alice",
        inputs: [
          { url: "https://receiver.test/signed?sig=s3cret", path: "config.yaml" },
          { url: "https://receiver.test/signed?sig=s3cret", path: "again.yaml" },
        ],
      });
      const rows = () => JSON.stringify(world.house.rows("SELECT doc FROM jobs UNION SELECT doc FROM transfers"));
      expect(rows()).not.toContain("s3cret");
      await world.until(settled(world, first.id));
      expect(world.job(first.id).status).toBe("succeeded");
      const answer = await resubmit(world.desk, ACTOR, first.id, {}, { origin: {} });
      const id = answer.ok ? answer.value.job.id : "";
      await world.until(settled(world, id));
      expect([world.job(id).status, rows().includes("s3cret")]).toEqual(["succeeded", false]);
    }));
});
