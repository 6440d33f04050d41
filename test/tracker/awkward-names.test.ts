/** Files that FirecREST cannot stage under their own name go through a link, which is gone in the end. */
import { describe, expect, it } from "vitest";
import type { EffectKind } from "../../shared/domain/effect.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import { transferProblems } from "../../workers/poller/examine.ts";
import { ACTOR } from "./reception.ts";
import { atRest, text, write } from "./way-down.ts";
import { inWorld, type World } from "./world.ts";

const ended = (world: World, id: string) => () => world.transfer(id).endedAt !== undefined;
const NAMES = ["/scratch/alice/with space.txt", "/scratch/alice/my dir/sub/ünï*.txt", "/scratch/alice/a~b[1].txt"];

for (const api of ["v1", "v2"] as Api[]) {
  const inSite = (scenario: (world: World) => Promise<void>) => inWorld(scenario, {}, { api });

  describe(`an awkwardly named file, on ${api}`, () => {
    it.each(api === "v2" ? [...NAMES, "/scratch/alice/$(id) & `x`.txt"] : NAMES)("arrives: %s", (path) =>
      inSite(async (world) => {
        await write(world, path, "hello\n");
        const { id } = await world.download(path, "k");
        await world.until(ended(world, id));
        expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "hash", path });
        expect(text(await world.object("k"))).toBe("hello\n");
        await atRest(world);
        expect(
          text(
            new Uint8Array(
              await new Response((await (await world.firecrest.host.as("alice")).files.read(path)).body).arrayBuffer(),
            ),
          ),
        ).toBe("hello\n");
      }),
    );

    it("of a job is fetched as an output", () =>
      inSite(async (world) => {
        const { id } = await world.submit({
          script: "#!/bin/bash -l\n#FAKE write a~b.txt hello\n",
          outputs: [{ path: "a~b.txt", key: "awkward", verify: "manifest" }],
        });
        await world.until(() => world.job(id).settledAt !== undefined);
        expect(world.job(id).outputs[0]).toMatchObject({ status: "stored" });
        await atRest(world);
      }));

    it("that cannot arrive is refused by the character that is in the way, not by one that a link gets around", () =>
      inSite(async (world) => {
        const [path, character] = api === "v1" ? ["/d/a b & c", "&"] : ["/d/a b 'c'", "'"];
        const request = { direction: "download", system: "cluster", path, key: "k" } as const;
        const message = `must not contain "${character}" (character ${path.indexOf(character) + 1})`;
        expect(transferProblems(world.desk, ACTOR, request)).toEqual([{ field: "/path", message }]);
      }));

    for (const kind of ["stage", "tidy"] as EffectKind[])
      for (const when of ["before", "after"] as const)
        it(`leaves no link when the Worker dies ${when} the work of ${kind}`, () =>
          inSite(async (world) => {
            await write(world, "/scratch/alice/my dir/x y.txt", "hello\n");
            world.crash = { kind, when };
            const { id } = await world.download("/scratch/alice/my dir/x y.txt", "k");
            await world.until(ended(world, id));
            expect(world.transfer(id).status).toBe("stored");
            await atRest(world, api === "v2" && kind === "stage" && when === "after" ? 2 : 0);
            expect(world.crash).toBeUndefined();
          }));

    it("leaves no link when it is cancelled while its staging is on its way", () =>
      inSite(async (world) => {
        await write(world, "/scratch/alice/x y.txt", "hello\n");
        const { id } = await world.download("/scratch/alice/x y.txt", "k");
        world.firecrest.faults.add({ kind: "lost_answer", match: { path: "symlink" }, count: 1 });
        await world.drain();
        cancelTransfer(world.house, { name: "admin" }, id, {});
        await atRest(world);
        expect(await world.objectKeys()).toEqual([]);
      }));

    it("leaves no link when it cannot be staged at all", () =>
      inSite(async (world) => {
        const path = api === "v1" ? "/storage/xfer-external/download" : "/transfer/download";
        world.firecrest.faults.add({ kind: "error", status: 400, match: { method: "POST", path } });
        await write(world, "/scratch/alice/x y.txt", "hello\n");
        const { id } = await world.download("/scratch/alice/x y.txt", "k");
        await world.until(ended(world, id));
        expect(world.transfer(id).status).toBe("failed");
        await atRest(world);
      }));
  });
}
