/**
 * Everything goes wrong at once, by chance: answers of the site are lost, refused and late, queue messages come twice or
 * never, receivers fail, hang, redirect and ask for patience. In the end every job is on the machine exactly once, every
 * event reached every receiver that lives, and nothing is owed or lost.
 *
 * `CHAOS_SEED` repeats a run, `CHAOS_JOBS` sets how many jobs there are.
 */
import { env } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../local/firecrest/faults.ts";
import type { Event } from "../../shared/contract/event.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { inWorld, type World } from "./world.ts";

const SEED = Number(env.CHAOS_SEED || Math.floor(Math.random() * 2 ** 31));
const JOBS = Number(env.CHAOS_JOBS || 40);
const HOUR_MS = 3_600_000;

const ok = () => new Response(null, { status: 204 });

/** What each receiver does to us, by its name. */
function receiversOf(chance: () => number): Record<string, () => Response> {
  const sometimes = (share: number, otherwise: () => Response) => () => (chance() < share ? otherwise() : ok());
  return {
    steady: ok,
    failing: sometimes(0.2, () => new Response("oops", { status: 500 })),
    hanging: sometimes(0.1, () => {
      throw new EgressError({ code: "timeout", reason: "timeout" });
    }),
    redirecting: sometimes(
      0.1,
      () => new Response(null, { status: 302, headers: { location: "https://receiver.test/steady" } }),
    ),
    busy: sometimes(0.1, () => new Response(null, { status: 429, headers: { "retry-after": "20" } })),
    unreachable: sometimes(0.1, () => {
      throw new Error("connection reset");
    }),
  };
}

/** Jobs of all kinds: long, short, failing, with an output that is there, and with one that is not. */
function scriptOf(n: number, chance: () => number): { script: string; outputs?: { path: string; key: string }[] } {
  const seconds = 1 + Math.floor(chance() * 300);
  const head = `#!/bin/bash -l\n#FAKE sleep ${seconds}\n`;
  if (n % 10 === 7) return { script: `${head}#FAKE exit 3\n` };
  if (n % 10 === 3) return { script: head, outputs: [{ path: "missing.txt", key: `missing-${n}` }] };
  if (n % 5 === 0)
    return { script: `${head}#FAKE write out.txt hello ${n}\n`, outputs: [{ path: "out.txt", key: `out-${n}` }] };
  return { script: head };
}

function count(world: World, query: string, ...bindings: SqlStorageValue[]): number {
  return world.house.row<{ n: number }>(query, ...bindings)?.n ?? 0;
}

describe(`chaos (CHAOS_SEED=${SEED}, CHAOS_JOBS=${JOBS})`, () => {
  it(
    "leaves every job on the machine once, every event with every live receiver, and nothing owed",
    { timeout: 300_000 },
    () =>
      inWorld(
        async (world) => {
          const chance = seededRandom(SEED);
          world.house.random = seededRandom(SEED + 1);
          const { faults } = world.firecrest;
          faults.add({ kind: "lost_answer", probability: 0.1 });
          faults.add({ kind: "rate_limited", retryAfterSeconds: 2, probability: 0.05 });
          faults.add({ kind: "bad_gateway", probability: 0.025 });
          faults.add({ kind: "error", status: 500, probability: 0.025 });
          world.fate = () => {
            const drawn = chance();
            return drawn < 0.1 ? "drop" : drawn < 0.2 ? "double" : "deliver";
          };
          const ids = new Map<string, string>();
          for (const [name, answer] of Object.entries(receiversOf(chance)))
            ids.set(name, (await world.receive(name, answer, ["*"])).id);
          const dead = await world.receive("dead", () => new Response(null, { status: 500 }), ["*"]);

          const jobs: string[] = [];
          for (let n = 0; n < JOBS; n++) {
            jobs.push((await world.submit({ name: `chaos-${n}`, ...scriptOf(n, chance) })).id);
            if (chance() < 0.3) await world.live(1_000);
          }
          const isSettled = () =>
            count(world, "SELECT count(*) AS n FROM jobs WHERE json_extract(doc, '$.settledAt') IS NULL") === 0;
          await world.until(isSettled, 48 * HOUR_MS);
          await world.until(() => world.owed() === 0, 48 * HOUR_MS);
          const isTold = () =>
            count(
              world,
              "SELECT count(*) AS n FROM deliveries WHERE receiver <> ? AND status <> 'delivered'",
              dead.id,
            ) === 0;
          await world.until(isTold, 240 * HOUR_MS);

          // Every job once, none twice, none silently gone.
          const unknown = jobs.filter((id) => world.job(id).reason === "outcome_unknown");
          expect(unknown).toEqual([]);
          expect(await world.jobsOnMachine()).toBe(JOBS);
          expect(new Set(jobs.map((id) => world.job(id).schedulerId)).size).toBe(JOBS);
          for (const [n, id] of jobs.entries()) {
            const { status, outputs } = world.job(id);
            expect(`${n} ${status}`).toBe(`${n} ${n % 10 === 7 ? "failed" : "succeeded"}`);
            const types = world.types(`jobs/${id}`);
            expect(types.filter((type) => /\.(succeeded|failed|cancelled)$/.test(type))).toHaveLength(1);
            expect(types.filter((type) => type === "job.settled")).toHaveLength(1);
            if (n % 10 === 3) expect(outputs.map((output) => output.status)).toEqual(["failed"]);
            else if (n % 10 !== 7 && n % 5 === 0) {
              expect(outputs.map((output) => output.status)).toEqual(["stored"]);
              expect(new TextDecoder().decode(await world.object(`out-${n}`))).toBe(`hello ${n}\n`);
            }
          }
          expect(world.owed()).toBe(0);

          // The ledger has no gaps, and every live receiver got every event, each under one id and with one body.
          const events = world.events();
          expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 1));
          for (const name of ids.keys()) {
            const bodies = new Map<string, Set<string>>();
            for (const hit of world.hits.filter(({ url }) => url.endsWith(`/${name}`))) {
              const id = hit.headers["webhook-id"] ?? "";
              bodies.set(id, (bodies.get(id) ?? new Set()).add(hit.body));
            }
            expect([name, events.filter(({ id }) => !bodies.has(id)).map(({ type }) => type)]).toEqual([name, []]);
            for (const [id, distinct] of bodies) {
              expect(distinct.size).toBe(1);
              expect((JSON.parse([...distinct][0] ?? "{}") as Event).id).toBe(id);
            }
          }
          // Whoever never answered keeps everything for later.
          expect(count(world, "SELECT count(*) AS n FROM deliveries WHERE receiver = ?", dead.id)).toBe(events.length);
          expect(
            count(world, "SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'delivered'", dead.id),
          ).toBe(0);
          expect(count(world, "SELECT count(*) AS n FROM effects WHERE state IN ('planned', 'sent', 'unknown')")).toBe(
            0,
          );
          expect(count(world, "SELECT count(*) AS n FROM deliveries WHERE status = 'stuck'")).toBe(0);
        },
        { seed: SEED },
      ),
  );
});
