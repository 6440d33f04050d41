/** Outputs by pattern and by directory: found after the job's end, fetched, and nothing left behind. */
import { describe, expect, it } from "vitest";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { acceptJob, cancelTransfer } from "../../workers/poller/accept.ts";
import { atRest, jobsNamed, text, write } from "./way-down.ts";
import { inWorld, type World } from "./world.ts";

const ACTOR = { name: "admin" };
const DIRECTORY = "/scratch/alice/run";
const script = (...lines: string[]) => `#!/bin/bash -l\n${lines.map((line) => `#FAKE ${line}\n`).join("")}`;

/** A job in a directory of ours; what it leaves there is written beforehand. */
async function run(
  world: World,
  files: Record<string, string>,
  outputs: NonNullable<JobRequest["outputs"]>,
  lines: string[] = [],
): Promise<string> {
  for (const [name, content] of Object.entries({ ".keep": "", ...files }))
    await write(world, `${DIRECTORY}/${name}`, content);
  const { id } = await world.submit({ script: script(...lines), workingDirectory: DIRECTORY, outputs });
  await world.until(() => world.job(id).settledAt !== undefined, 48 * 3_600_000);
  return id;
}

const keysOf = (world: World, id: string) => world.job(id).outputs.map(({ key, status }) => `${status} ${key}`);

/** Names in a tar, by its headers. */
async function namesIn(archive: Uint8Array = new Uint8Array()): Promise<string[]> {
  const stream = new Blob([archive.slice()]).stream().pipeThrough(new DecompressionStream("gzip"));
  const tar = new Uint8Array(await new Response(stream).arrayBuffer());
  const names: string[] = [];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const field = (from: number, length: number) =>
      text(tar.subarray(at + from, at + from + length)).split("\u0000")[0];
    names.push(field(0, 100) ?? "");
    at += 512 + Math.ceil(Number.parseInt(field(124, 12) || "0", 8) / 512) * 512;
  }
  return names.sort();
}

for (const api of ["v1", "v2"] as Api[]) {
  const inSite = (scenario: (world: World) => Promise<void>) => inWorld(scenario, {}, { api });

  describe(`a pattern, on ${api}`, () => {
    it("brings each file that matches under its own name, and nothing else", () =>
      inSite(async (world) => {
        const id = await run(
          world,
          { "out/a.csv": "A", "out/b b.csv": "B", "out/c.txt": "C", "out/.d.csv": "D", "out/sub.csv/e": "E" },
          [{ path: "out/*.csv", key: "runs/42" }],
        );
        expect(keysOf(world, id)).toEqual(["stored runs/42/a.csv", "stored runs/42/b b.csv"]);
        expect(world.job(id).outputs[0]?.path).toBe(`${DIRECTORY}/out/a.csv`);
        expect(text(await world.object("runs/42/b b.csv"))).toBe("B");
        await atRest(world);
      }));

    it("may have wildcards in directories, and then keeps these in the keys", () =>
      inSite(async (world) => {
        const files = {
          "r-1/x/out.nc": "1",
          "r-2/x/out.nc": "2",
          "r-3/y/out.nc": "3",
          "r-4": "a file",
          "s-1/x/out.nc": "4",
        };
        const id = await run(world, files, [{ path: "r-[1-9]/x/out.nc", key: "all" }, { path: "r-?/?/*.nc" }]);
        expect(keysOf(world, id)).toEqual([
          "stored all/r-1/x/out.nc",
          "stored all/r-2/x/out.nc",
          ...["r-1/x", "r-2/x", "r-3/y"].map((place) => `stored jobs/${id}/${place}/out.nc`),
        ]);
        await atRest(world);
      }));

    it("looks through links to files, and past links to directories and to nowhere", () =>
      inSite(async (world) => {
        const { files } = await world.firecrest.host.as("alice");
        await write(world, `${DIRECTORY}/real.dat`, "R");
        await files.symlink(`${DIRECTORY}/real.dat`, `${DIRECTORY}/link.dat`);
        await files.symlink(`${DIRECTORY}/nowhere`, `${DIRECTORY}/dead.dat`);
        await files.symlink("/scratch/alice", `${DIRECTORY}/dir.dat`);
        const id = await run(world, {}, [{ path: "*.dat", key: "k" }]);
        expect(keysOf(world, id)).toEqual(["stored k/link.dat", "stored k/real.dat"]);
        await atRest(world);
      }));

    it.each([
      ["no file matches", "none-*.csv", "no_match", /No file matches \/scratch\/alice\/run\/none-\*\.csv/],
      ["its directory is not there", "absent/*.csv", "no_match", /No file matches/],
    ])("fails plainly when %s", (_what, path, reason, detail) =>
      inSite(async (world) => {
        const id = await run(world, {}, [{ path }]);
        const transfer = world.transfer(world.job(id).outputs[0]?.transferId ?? "");
        expect(transfer).toMatchObject({ status: "failed", reason });
        expect(transfer.detail).toMatch(detail);
        expect(world.job(id).warnings.at(-1)).toMatchObject({ code: "output_failed" });
        await atRest(world);
      }),
    );

    it("is proven by the manifest that the job made of all its matches", () =>
      inSite(async (world) => {
        const id = await run(world, { "a.csv": "A", "b.csv": "B" }, [{ path: "*.csv", key: "k", verify: "manifest" }]);
        const proofs = world.job(id).outputs.map(({ transferId }) => world.transfer(transferId).proof);
        expect(proofs).toEqual(["manifest", "manifest"]);
        expect(await jobsNamed(world, "fw-hash.")).toBe(0);
        await atRest(world);
      }));
  });

  describe(`a directory, on ${api}`, () => {
    const FILES = { "out/a.csv": "A", "out/sub/b b.csv": "B" };

    it("comes as one archive, which is removed from the machine", () =>
      inSite(async (world) => {
        const id = await run(world, FILES, [{ path: "out/" }]);
        expect(keysOf(world, id)).toEqual([`stored jobs/${id}/out.tar.gz`]);
        const names = await namesIn(await world.object(`jobs/${id}/out.tar.gz`));
        expect(names.filter((name) => !name.endsWith("/"))).toEqual(["out/a.csv", "out/sub/b b.csv"]);
        expect(world.transfer(world.job(id).outputs[0]?.transferId ?? "")).toMatchObject({
          path: `${DIRECTORY}/out/`,
          proof: "hash",
        });
        await atRest(world);
      }));

    it("may also be asked for by a transfer of its own", () =>
      inSite(async (world) => {
        await write(world, `${DIRECTORY}/out/a.csv`, "A");
        const { id } = await world.download(`${DIRECTORY}/out/`, "out.tar.gz", { verify: "manifest" });
        await world.until(() => world.transfer(id).endedAt !== undefined);
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "manifest" });
        await atRest(world);
      }));

    it.each([
      ["is not there", "absent/", "not_found"],
      ["is a file", "file.txt/", "not_a_directory"],
    ])("fails plainly when it %s", (_what, path, reason) =>
      inSite(async (world) => {
        const id = await run(world, { "file.txt": "F" }, [{ path }]);
        const transfer = world.transfer(world.job(id).outputs[0]?.transferId ?? "");
        expect(transfer).toMatchObject({ status: "failed", reason });
        await atRest(world);
      }),
    );

    it("is removed as an archive also when its transfer fails", () =>
      inSite(async (world) => {
        const path = api === "v1" ? "/storage/xfer-external/download" : "/transfer/download";
        world.firecrest.faults.add({ kind: "error", status: 400, match: { method: "POST", path } });
        const id = await run(world, FILES, [{ path: "out/" }]);
        expect(keysOf(world, id)).toEqual([`failed jobs/${id}/out.tar.gz`]);
        expect(world.firecrest.faults.list()[0]?.struck).toBeGreaterThan(0);
        await atRest(world);
      }));

    it("is removed as an archive also when nobody wants it while it is being made", () =>
      inSite(async (world) => {
        await write(world, `${DIRECTORY}/out/a.csv`, "A");
        const { id } = await world.download(`${DIRECTORY}/out/`, "out.tar.gz");
        const packing = () => world.house.row("SELECT 1 FROM effects WHERE kind = 'compress' AND state = 'sent'");
        await world.until(() => packing() !== undefined);
        cancelTransfer(world.house, ACTOR, id, {});
        await atRest(world);
        expect(await world.objectKeys()).toEqual([]);
      }));

    it("is packed again elsewhere when the answer is lost, and the lost archive is swept", () =>
      inSite(async (world) => {
        const path = api === "v1" ? "/storage/xfer-internal/compress" : "/transfer/compress";
        world.firecrest.faults.add({ kind: "lost_answer", match: { method: "POST", path }, count: 1 });
        const id = await run(world, FILES, [{ path: "out/" }]);
        expect(world.firecrest.faults.list()[0]?.struck).toBe(1);
        expect(keysOf(world, id)).toEqual([`stored jobs/${id}/out.tar.gz`]);
        expect((await world.leftovers()).filter((name) => name.endsWith(".tar.gz"))).toHaveLength(1);
        await atRest(world, api === "v1" ? 0 : 2);
      }));
  });

  describe(`a Worker that is killed, on ${api}`, () => {
    const kinds: EffectKind[] = ["list", "compress", "tidy"];
    for (const kind of kinds)
      for (const when of ["before", "after"] as const)
        it(`${when} the work of ${kind} leaves nothing undone, doubled or behind`, () =>
          inSite(async (world) => {
            world.crash = { kind, when };
            const id = await run(world, { "out/a.csv": "A", "out/b b.csv": "B" }, [
              { path: "out/*", key: "k" },
              { path: "out/", key: "k.tar.gz" },
            ]);
            expect(keysOf(world, id)).toEqual(["stored k/a.csv", "stored k/b b.csv", "stored k.tar.gz"]);
            expect((await world.objectKeys()).sort()).toEqual(["k.tar.gz", "k/a.csv", "k/b b.csv"]);
            await atRest(world, api === "v2" && kind === "compress" && when === "after" ? 2 : 0);
            expect(world.crash).toBeUndefined();
          }));
  });
}

describe("outputs", () => {
  it("of a pattern are fetched only when they are wanted", () =>
    inWorld(async (world) => {
      const outputs = (["success", "failure", "always"] as const).map((when) => ({ path: "*.csv", key: when, when }));
      const id = await run(world, { "a.csv": "A" }, outputs, ["exit 3"]);
      expect(keysOf(world, id)).toEqual(["cancelled success/*.csv", "stored failure/a.csv", "stored always/a.csv"]);
      await atRest(world);
    }));

  it("that match more than 1,000 files fail, and say what else to do", () =>
    inWorld(async (world) => {
      const { files } = await world.firecrest.host.as("alice");
      await files.mkdir(`${DIRECTORY}/many`, { parents: true });
      for (let n = 0; n <= 1_000; n++) await files.write(`${DIRECTORY}/many/${n}.csv`, new Uint8Array());
      const id = await run(world, {}, [{ path: "many/*.csv" }]);
      const transfer = world.transfer(world.job(id).outputs[0]?.transferId ?? "");
      expect(transfer).toMatchObject({ status: "failed", reason: "too_many_matches" });
      expect(transfer.detail).toMatch(/1001 files .* slash to fetch the directory as one archive/);
      await atRest(world);
    }));

  it("whose key is being written by another transfer fail, and hurt nobody", () =>
    inWorld(async (world) => {
      const id = await run(world, { "a.csv": "A", "b.csv": "B" }, [
        { path: "*.csv", key: "k" },
        { path: "a*", key: "k" },
      ]);
      expect(keysOf(world, id)).toEqual(["stored k/a.csv", "stored k/b.csv", "failed k/a.csv"]);
      expect(text(await world.object("k/a.csv"))).toBe("A");
      await atRest(world);
    }));

  it("are refused where no site could find or pack them", () =>
    inWorld(async (world) => {
      for (const path of ["a*/", "/", "it's a/", "../x/*", "with space/"]) {
        const request = { system: "cluster", script: script(), outputs: [{ path }] };
        const answer = await acceptJob(world.desk, ACTOR, request, { origin: {} });
        expect([path, answer]).toMatchObject([path, { ok: false, errors: [{ field: "/outputs/0/path" }] }]);
      }
    }));
});
