/** The way up when everything goes wrong once: in the end the file is there, once and identical, and nothing stays behind. */
import { describe, expect, it } from "vitest";
import type { FaultInput } from "../../local/firecrest/faults.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { content, ended, MIB, nothingLeft, sha256, staged, TARGET } from "./up.ts";
import { inWorld, type World } from "./world.ts";

const DAY_MS = 24 * 3_600_000;
const LARGE = 9 * MIB;
const SMALL = 4_321;

/** Uploads a file of that size and expects it on the machine, byte for byte, with nothing left anywhere. */
async function arrives(world: World, api: Api, size: number): Promise<void> {
  const bytes = content(size);
  await world.put("in.dat", bytes);
  const { id } = await world.upload(TARGET, { key: "in.dat" });
  await world.until(ended(world, id), DAY_MS);
  expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "hash", sha256: await sha256(bytes) });
  expect(await sha256((await world.file(TARGET)) ?? new Uint8Array())).toBe(await sha256(bytes));
  expect(world.types(`transfers/${id}`).filter((type) => type === "transfer.stored")).toHaveLength(1);
  await nothingLeft(world);
  if (api === "v1") expect(staged(world)).toEqual([]);
}

describe.each(["v1", "v2"] as Api[])("on %s, a Worker killed in the middle", (api) => {
  const kinds: [EffectKind, number][] = [
    ["inspect", LARGE],
    ["upload", LARGE],
    ["send", LARGE],
    ["verify", LARGE],
    ["release", LARGE],
    ["deliver", SMALL],
  ];
  for (const [kind, size] of kinds) {
    for (const when of ["before", "after"] as const) {
      it(`of ${kind}, ${when} its work, ends well`, () =>
        inWorld(
          async (world) => {
            world.crash = { kind, when };
            await arrives(world, api, size);
            // A site without the link of what is staged leaves nothing to release.
            if (kind !== "release") expect(world.crash).toBeUndefined();
          },
          { quirks: api === "v1" ? "1.16.6" : "none" },
          { api },
        ));
    }
  }

  it.each([LARGE, SMALL])("does everything once when every message comes twice (%i bytes)", (size) =>
    inWorld(
      async (world) => {
        world.fate = () => "double";
        await arrives(world, api, size);
      },
      {},
      { api },
    ),
  );

  it.each([LARGE, SMALL])("loses only time when every other message is lost (%i bytes)", (size) =>
    inWorld(
      async (world) => {
        let n = 0;
        world.fate = () => (n++ % 2 === 0 ? "drop" : "deliver");
        await arrives(world, api, size);
      },
      {},
      { api },
    ),
  );
});

const WAYS: Record<Api, [string, RegExp, RegExp, number][]> = {
  v1: [
    ["asked for a place", /POST/, /\/storage\/xfer-external\/upload/, LARGE],
    ["sent the form", /POST/, /\/alice$/, LARGE],
    ["looked at", /GET/, /\/tasks/, LARGE],
    ["asked for the checksum", /GET/, /\/utilities\/checksum/, LARGE],
    ["sent a small file", /POST/, /\/utilities\/upload/, SMALL],
  ],
  v2: [
    ["asked for a place", /POST/, /\/transfer\/upload/, LARGE],
    ["sent a part", /PUT/, /partNumber=1/, LARGE],
    ["told that all parts are there", /POST/, /uploadId=/, LARGE],
    ["looked at", /GET/, /\/compute\/cluster\/jobs/, LARGE],
    ["asked for the checksum", /GET/, /\/ops\/checksum/, LARGE],
    ["sent a small file", /POST/, /\/ops\/upload/, SMALL],
  ],
};
const FAULTS: [string, FaultInput][] = [
  ["loses its answer", { kind: "lost_answer" }],
  ["does it and answers 500", { kind: "effect_then_error", status: 500 }],
  ["does nothing and answers 503", { kind: "bad_gateway", status: 503 }],
  ["does nothing and answers 429", { kind: "rate_limited", retryAfterSeconds: 3 }],
];

describe.each(["v1", "v2"] as Api[])("%s, when it is", (api) => {
  for (const [what, method, path, size] of WAYS[api])
    it.each(FAULTS)(`${what}, %s`, (_how, fault) =>
      inWorld(
        async (world) => {
          world.firecrest.faults.add({ ...fault, match: { method: method.source, path: path.source }, count: 1 });
          await arrives(world, api, size);
          expect(world.firecrest.faults.list().map(({ struck }) => struck)).toEqual([1]);
        },
        {},
        { api },
      ),
    );
});
