/** Every kind of transfer down, cancelled before each of its steps and in the middle of each: it ends as it says, and leaves nothing. */
import { describe, expect, it } from "vitest";
import type { TransferRequest } from "../../shared/contract/transfer.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { cancelTransfer } from "../../workers/poller/accept.ts";
import { atRest, write } from "./way-down.ts";
import { inWorld, type World } from "./world.ts";

interface Kind {
  what: string;
  /** The name below a directory of its own, and what is in it. */
  name: string;
  files: Record<string, string>;
  more?: Partial<TransferRequest>;
  /** Messages that it takes at least. */
  steps: number;
}

const KINDS: Kind[] = [
  { what: "a file in one put", name: "out.dat", files: { "out.dat": "content" }, steps: 3 },
  { what: "a file in parts", name: "out.dat", files: { "out.dat": "content" }, more: { verify: "size" }, steps: 5 },
  {
    what: "a file with a manifest",
    name: "m.dat",
    files: { "m.dat": "content" },
    more: { verify: "manifest" },
    steps: 6,
  },
  { what: "an empty file", name: "empty", files: { empty: "" }, steps: 2 },
  { what: "an awkwardly named file", name: "my file.txt", files: { "my file.txt": "content" }, steps: 3 },
  { what: "a directory", name: "dir/", files: { "dir/a": "1", "dir/b": "2" }, steps: 5 },
];
const WHEN = ["before", "in the middle of"] as const;
const LIMIT_MS = 48 * 3_600_000;

async function start(world: World, { name, files, more = {} }: Kind, step: number): Promise<string> {
  const directory = `/scratch/alice/${step}`;
  for (const [file, content] of Object.entries(files)) await write(world, `${directory}/${file}`, content);
  return (await world.download(`${directory}/${name}`, `object-${step}`, more)).id;
}

describe.each(["v1", "v2"] as Api[])("on %s", (api) => {
  describe.each(WHEN)("cancelled %s each of its steps", (when) => {
    it.each(KINDS)("$what leaves nothing", (kind) =>
      inWorld(
        async (world) => {
          for (let step = 0; ; step++) {
            const id = await start(world, kind, step);
            let steps = 0;
            const cancel = () => {
              if (steps++ !== step) return;
              const answer = cancelTransfer(world.house, { name: "admin" }, id, {});
              if (!answer.ok) expect(answer.code).toBe("conflict");
            };
            if (when === "before")
              world.fate = () => {
                cancel();
                return "deliver";
              };
            else world.midway = cancel;
            await world.until(() => world.transfer(id).endedAt !== undefined, LIMIT_MS);
            const { status } = world.transfer(id);
            await atRest(world);
            expect([step, await world.objectKeys()]).toEqual([step, status === "stored" ? [`object-${step}`] : []]);
            if (status === "cancelled") continue;
            expect(status).toBe("stored");
            await world.house.env.OBJECTS.delete(`${world.house.name}/object-${step}`);
            if (steps > step) continue;
            expect(step).toBeGreaterThanOrEqual(kind.steps);
            return;
          }
        },
        {},
        { api },
      ),
    );
  });
});
