/** `verify: "manifest"`: parts proven against hashes that the HPC side made, by the job itself or by a small job of ours. */
import { describe, expect, it } from "vitest";
import { manifestName } from "../../shared/firecrest/manifest.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { tagOf } from "../../shared/ids.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import { atRest, jobsNamed, write } from "./way-down.ts";
import { inWorld, type World } from "./world.ts";

const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n";
const MANIFEST = [{ path: "out.txt", key: "out.txt", verify: "manifest" as const }];
const ACTOR = { name: "admin" };

const ended = (world: World, id: string) => () => world.transfer(id).endedAt !== undefined;
const errands = (world: World) => world.house.rows<{ state: string }>("SELECT state FROM effects WHERE kind = 'hash'");

for (const api of ["v1", "v2"] as Api[]) {
  describe(`a file proven by manifest, on ${api}`, () => {
    const inSite = (scenario: (world: World) => Promise<void>) => inWorld(scenario, {}, { api });

    it("takes that of the job which made it, and removes it in the end", () =>
      inSite(async (world) => {
        const { id, outputs } = await world.submit({ script: SCRIPT, outputs: MANIFEST });
        await world.until(() => world.job(id).settledAt !== undefined);
        const transfer = world.transfer(outputs[0]?.transferId ?? "");
        expect(transfer).toMatchObject({ status: "stored", proof: "manifest" });
        expect(transfer.sha256).toMatch(/^5891b5b522d5df086d0ff0b110fbd9d2/);
        expect(errands(world)).toEqual([]);
        expect(await world.jobsOnMachine()).toBe(api === "v1" ? 1 : 2);
        await atRest(world);
      }));

    it("has a small job make it for any other file, once, and removes that job's files", () =>
      inSite(async (world) => {
        await write(world, "/scratch/alice/data.bin", "hello\n");
        const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest", bytes: 6 });
        expect(errands(world)).toEqual([{ state: "done" }]);
        await atRest(world);
      }));

    for (const when of ["before", "after"] as const) {
      it(`hashes once when the Worker dies ${when} the work of hash`, () =>
        inSite(async (world) => {
          await write(world, "/scratch/alice/data.bin", "hello\n");
          world.crash = { kind: "hash", when };
          const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
          await world.until(ended(world, id));
          expect(world.crash).toBeUndefined();
          expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
          expect(await jobsNamed(world, "fw-hash.")).toBe(1);
          await atRest(world);
        }));
    }

    it("is not published when the small job fails, which is told", () =>
      inWorld(
        async (world) => {
          await write(world, "/scratch/alice/data.bin", "hello\n");
          const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
          await world.until(ended(world, id));
          expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "not_provable" });
          expect(world.transfer(id).detail).toMatch(/ended as FAILED/);
          expect(await world.objectKeys()).toEqual([]);
          await atRest(world);
        },
        { host: { shell: async () => 1 } },
        { api },
      ));

    it("is hashed once when the answers about the small job are lost", () =>
      inSite(async (world) => {
        await write(world, "/scratch/alice/data.bin", "hello\n");
        const path = api === "v1" ? "/compute/jobs/upload" : "/compute/cluster/jobs";
        world.firecrest.faults.add({ kind: "lost_answer", match: { method: "POST", path }, count: 1 });
        const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
        await world.until(ended(world, id));
        expect(world.firecrest.faults.list().map(({ struck }) => struck)).toEqual([1]);
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
        expect(await jobsNamed(world, "fw-hash.")).toBe(1);
        await atRest(world);
      }));

    it("ends the small job when nobody wants the file any more", () =>
      inSite(async (world) => {
        await write(world, "/scratch/alice/data.bin", "hello\n");
        const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
        await world.until(() => errands(world).some(({ state }) => state === "sent"));
        cancelTransfer(world.house, ACTOR, id, {});
        expect(world.transfer(id).status).toBe("cancelled");
        await atRest(world);
        expect(await world.objectKeys()).toEqual([]);
      }));
  });
}

describe("a job's own manifest", () => {
  /** The job runs and has ended, its manifest is there, and nothing was looked at yet. */
  async function endedJob(world: World, change: (directory: string, id: string) => Promise<void>): Promise<string> {
    const { id, outputs } = await world.submit({ script: SCRIPT, outputs: MANIFEST });
    await world.until(() =>
      ["staging", "staged", "copying"].includes(world.transfer(outputs[0]?.transferId ?? "").status),
    );
    const row = (await world.firecrest.host.jobs()).find(({ jobId }) => jobId === world.job(id).schedulerId);
    await change(row?.workingDirectory ?? "", id);
    await world.until(() => world.job(id).settledAt !== undefined);
    return outputs[0]?.transferId ?? "";
  }
  const nameFor = (id: string) => manifestName(tagOf(id));

  it.each([
    ["missing", async (world: World, file: string) => (await world.firecrest.host.as("alice")).files.remove(file)],
    ["cut off", async (world: World, file: string) => write(world, file, "firewatch-manifest 1 x\nfile")],
    [
      "of a job that we never heard of",
      async (world: World, file: string) => write(world, file, "firewatch-manifest 1 aaaaaaaaaaaaa\nend\n"),
    ],
  ])("that is %s costs a small job, not the proof", (_how, spoil) =>
    inWorld(async (world) => {
      const transfer = await endedJob(world, (directory, id) => spoil(world, `${directory}/${nameFor(id)}`));
      expect(world.transfer(transfer)).toMatchObject({ status: "stored", proof: "manifest" });
      expect(errands(world)).toEqual([{ state: "done" }]);
      await atRest(world);
    }),
  );

  it("says nothing about a file that was written again: it is staged, copied and hashed anew", () =>
    inWorld(async (world) => {
      const transfer = await endedJob(world, (directory) => write(world, `${directory}/out.txt`, "HELLO, later\n"));
      expect(world.transfer(transfer)).toMatchObject({ status: "stored", proof: "manifest", bytes: 13 });
      expect(new TextDecoder().decode(await world.object("out.txt"))).toBe("HELLO, later\n");
      expect(errands(world).at(-1)).toEqual({ state: "done" });
      await atRest(world);
    }));

  it("missing for several outputs is made for all of them by one small job", () =>
    inWorld(async (world) => {
      const { id } = await world.submit({
        script: "#!/usr/bin/env python3\n#FAKE write a.txt A\n#FAKE write b.txt B\n#FAKE write c.txt C\n",
        outputs: ["a", "b", "c"].map((name) => ({ path: `${name}.txt`, key: name, verify: "manifest" })),
      });
      await world.until(() => world.job(id).settledAt !== undefined);
      const proofs = world.job(id).outputs.map(({ transferId }) => world.transfer(transferId).proof);
      expect(proofs).toEqual(["manifest", "manifest", "manifest"]);
      expect(errands(world).length).toBeLessThan(3);
      await atRest(world);
    }));
});

describe("parts that differ from the manifest", () => {
  const spoil = (world: World, times: number) => {
    let left = times;
    const write = world.house.run.bind(world.house);
    // A part that went wrong on its way has another hash.
    world.house.run = (query, ...bindings) => {
      if (query.startsWith("INSERT OR REPLACE INTO parts") && left-- > 0) bindings[4] = "0".repeat(64);
      write(query, ...bindings);
    };
  };

  it.each([
    [1, "stored", 1],
    [2, "stored", 2],
    [99, "failed", 3],
  ])("wrong %d times: it ends %s, after %d stagings", (times, status, stagings) =>
    inWorld(async (world) => {
      spoil(world, times);
      await write(world, "/scratch/alice/data.bin", "hello\n");
      const { id } = await world.download("/scratch/alice/data.bin", "data.bin", { verify: "manifest" });
      await world.until(ended(world, id));
      expect(world.transfer(id).status).toBe(status);
      expect(world.house.rows("SELECT id FROM debts")).toHaveLength(stagings);
      if (status === "failed") {
        expect(world.transfer(id)).toMatchObject({ reason: "parts_differ" });
        expect(world.transfer(id).detail).toMatch(/1 of the parts \(number 1\)/);
        expect(await world.objectKeys()).toEqual([]);
      } else {
        expect(world.transfer(id)).toMatchObject({ proof: "manifest" });
        expect(new TextDecoder().decode(await world.object("data.bin"))).toBe("hello\n");
      }
      await atRest(world);
    }),
  );
});
