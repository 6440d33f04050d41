/**
 * Files of 0 B to 16 MiB, in up to four parts, through the real transfer code, while everything around it fails: staged links die, at once or in the
 * middle, stores know no ranges or no ETags, tell wrong lengths, answer 403, 416 and 5xx, bodies end early, files change under
 * us, Workers are killed. In the end every object is the file, no link is owed, and no upload is left behind.
 *
 * `SOAK_SEED` repeats a run, `SOAK_FILES` sets how many files there are.
 */
import { env } from "cloudflare:test";
import { expect, it } from "vitest";
import { seededRandom } from "../../local/firecrest/faults.ts";
import { sha256Hex } from "../../shared/bytes.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { acceptTransfer } from "../../workers/poller/accept.ts";
import { ACTOR, HOUR_MS } from "./reception.ts";
import { FAULTS, type Fate, type Fault, HABITS, type Habit, hurried, ill, watched } from "./soak-store.ts";
import { inWorld, type World } from "./world.ts";

const SEED = Number(env.SOAK_SEED || 203_362_185);
const FILES = Number(env.SOAK_FILES || 40);
const BATCH = 20;
const SHARE = 0.05;
const MIB = 1024 * 1024;
const LARGEST = 16 * MIB;
/** R2's smallest: so the largest files have four of them, and one in three has several. */
const PART_BYTES = 5 * MIB;
/** Where something usually goes wrong by one. */
const EDGES = [0, 1, 2, 5 * MIB - 1, 5 * MIB, 5 * MIB + 1, LARGEST - 1, LARGEST];
const KILLED: EffectKind[] = ["stage", "copy", "verify", "complete", "release", "put_empty"];
const FORGIVEN = 2;

const chance = seededRandom(SEED);
const happens = (): boolean => chance() < SHARE;

function sizeOf(n: number): number {
  const edge = EDGES[n];
  if (edge !== undefined) return edge;
  if (n % 10 === 9) return 0;
  return n % 3 === 0
    ? PART_BYTES + Math.floor(chance() * (LARGEST - PART_BYTES))
    : Math.floor(Math.exp(chance() * Math.log(LARGEST)));
}

/** Not compressible, and another one each time. */
function contentOf(bytes: number): Uint8Array {
  const words = new Uint32Array(Math.ceil(bytes / 4));
  let word = Math.floor(chance() * 2 ** 32);
  for (let n = 0; n < words.length; n++) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[n] = word;
  }
  return new Uint8Array(words.buffer, 0, bytes);
}

interface File {
  key: string;
  path: string;
  /** Of each version that the file has had. */
  sha256: string[];
  fate: Fate;
}

async function makeFile(world: World, n: number): Promise<File> {
  const seat = await world.firecrest.host.as(world.firecrest.user);
  const path = `/scratch/${world.firecrest.user}/soak-${n}.dat`;
  const write = async (content: Uint8Array) => {
    await seat.files.write(path, content);
    file.sha256.push(await sha256Hex(content));
  };
  const drawn = (Object.keys(FAULTS) as Fault[]).filter(happens).toSorted(() => chance() - 0.5);
  const anew = drawn.filter((fault) => FAULTS[fault].anew).slice(0, FORGIVEN);
  const size = sizeOf(n);
  const toss = seededRandom(SEED + n);
  const file: File = {
    key: `soak/${n}`,
    path,
    sha256: [],
    fate: {
      // Of a file of several parts any may be hit.
      isNow: () => size <= PART_BYTES || toss() < 0.5,
      faults: size === 0 ? [] : drawn.filter((fault) => !FAULTS[fault].anew || anew.includes(fault)),
      habits: new Set(HABITS.filter(happens)),
      change: () => write(contentOf(Math.min(size + 1 + n, LARGEST))),
    },
  };
  await write(contentOf(size));
  return file;
}

async function fetchFile(world: World, { key, path }: File): Promise<string> {
  const verify = chance() < 0.3 ? ({ verify: "size" } as const) : {};
  const answer = await acceptTransfer(
    world.desk,
    ACTOR,
    { direction: "download", system: "cluster", path, key, ...verify },
    { origin: {} },
  );
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value.transfer.id;
}

it(
  `soak: ${FILES} files, ${SHARE * 100} % of each fault, SOAK_SEED=${SEED}`,
  () =>
    inWorld(async (world) => {
      const uploads = new Set<string>();
      const partsOf: number[] = [];
      const met = new Map<Fault | Habit | "killed_effect", number>();
      const count = (what: Fault | Habit | "killed_effect") => met.set(what, (met.get(what) ?? 0) + 1);
      const files = new Map<string, File>();
      world.worker = (deps, { transfer }) => {
        const bucket = watched(deps.bucket, uploads, partsOf);
        const around = { ...deps, bucket, partBytesFor: () => PART_BYTES, clock: hurried(deps.clock) };
        const fate = files.get(transfer)?.fate;
        return fate === undefined ? around : ill(around, fate, count);
      };
      for (let first = 0; first < FILES; first += BATCH) {
        const batch: string[] = [];
        for (let n = first; n < Math.min(first + BATCH, FILES); n++) {
          const file = await makeFile(world, n);
          const id = await fetchFile(world, file);
          files.set(id, file);
          batch.push(id);
        }
        if (chance() < SHARE * BATCH) {
          const kind = KILLED[Math.floor(chance() * KILLED.length)] ?? "copy";
          world.crash = { kind, when: chance() < 0.5 ? "before" : "after" };
          count("killed_effect");
        }
        await world.until(() => batch.every((id) => world.transfer(id).endedAt !== undefined), 48 * HOUR_MS);
        for (const id of batch) await expectFile(world, id, files.get(id));
      }
      await world.until(() => world.owed() === 0, 48 * HOUR_MS);
      await world.drain();
      expect(uploads).toEqual(new Set());
      expect(world.house.rows("SELECT kind, state, doc FROM effects WHERE state NOT IN ('done', 'refused')")).toEqual(
        [],
      );
      expect(world.house.rows("SELECT * FROM parts")).toEqual([]);
      expect((await world.objectKeys()).length).toBe(0);
      expect([Math.max(...partsOf), partsOf.filter((parts) => parts > 1).length >= FILES / 5]).toEqual([4, true]);
      if (FILES >= 200)
        expect([...met.keys()].sort()).toEqual([...Object.keys(FAULTS), ...HABITS, "killed_effect"].sort());
    }),
  480_000,
);

/** The object is the file, byte for byte. It is removed, so that a thousand files need no more room than twenty. */
async function expectFile(world: World, id: string, file: File | undefined): Promise<void> {
  const transfer = world.transfer(id);
  const about = `${transfer.key} (${transfer.totalBytes} bytes)`;
  // Should one have failed, this is what its copies met.
  const lines = transfer.status === "stored" ? [] : world.lines.filter((line) => line.transfer === id).slice(-3);
  expect([about, transfer.status, transfer.detail, lines]).toEqual([about, "stored", undefined, []]);
  const object = await world.object(transfer.key);
  // A file that goes in one put is what it was when the site hashed it, all others what they are after the last byte.
  const versions = (transfer.totalBytes ?? 0) <= PART_BYTES ? file?.sha256 : file?.sha256.slice(-1);
  expect([about, versions]).toEqual([about, expect.arrayContaining([object && (await sha256Hex(object))])]);
  await world.house.env.OBJECTS.delete(`${world.house.name}/${transfer.key}`);
}
