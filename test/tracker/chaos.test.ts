/**
 * Everything goes wrong at once, by chance: answers of the site are lost, refused and late, queue messages come twice or
 * never, alarms die, receivers fail, hang, drip, redirect and ask for patience. In the end every job is on the machine exactly once, every
 * event reached every receiver that lives, and nothing is owed or lost.
 *
 * `CHAOS_SEED` repeats a run, `CHAOS_JOBS` sets how many jobs there are.
 */
import { env } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../../local/firecrest/faults.ts";
import type { Event } from "../../shared/contract/event.ts";
import { EgressError } from "../../shared/egress/error.ts";
import { newId } from "../../shared/ids.ts";
import { inWorld, type World } from "./world.ts";

const SEED = Number(env.CHAOS_SEED || 1_912_265_815);
const JOBS = Number(env.CHAOS_JOBS || 40);
const HOUR_MS = 3_600_000;

const ok = () => new Response(null, { status: 204 });

/** What each receiver does to us, by its name. */
function receiversOf(chance: () => number): Record<string, () => Response> {
  const sometimes = (share: number, first: () => Response, other: number, second: () => Response) => () => {
    const drawn = chance();
    return drawn < share ? first() : drawn < share + other ? second() : ok();
  };
  const timesOut = (): never => {
    throw new EgressError({ code: "timeout", reason: "timeout" });
  };
  // Its body drips on and on: read as far as we care to, then left. Or it breaks off.
  const drip = (breaksOff: boolean) =>
    new ReadableStream({
      pull: (body) => (breaksOff ? body.error(new Error("reset")) : body.enqueue(new Uint8Array(4096).fill(46))),
    });
  const elsewhere = () => new Response(null, { status: 302, headers: { location: "https://receiver.test/steady" } });
  return {
    steady: ok,
    failing: sometimes(0.1, () => new Response("oops", { status: 500 }), 0.1, elsewhere),
    slow: sometimes(0.1, timesOut, 0.1, () => new Response(null, { status: 429, headers: { "retry-after": "20" } })),
    dripping: sometimes(
      0.1,
      () => new Response(drip(false)),
      0.1,
      () => new Response(drip(true), { status: 503 }),
    ),
  };
}

/** Jobs of all kinds: long, short, failing, with an output that is there, and with one that is not. */
function scriptOf(
  n: number,
  chance: () => number,
): { script: string; workingDirectory?: string; outputs?: { path: string; key: string }[] } {
  const seconds = 1 + Math.floor(chance() * 30);
  const head = `#!/bin/bash -l\n#FAKE sleep ${seconds}\n`;
  if (n % 10 === 7) return { script: `${head}#FAKE exit 3\n` };
  if (n % 10 === 3) return { script: head, outputs: [{ path: "/home/alice/missing.txt", key: `missing-${n}` }] };
  // Named, because nobody can tell it of a job that was found again after its end (v1's list of so busy a day is too large).
  const workingDirectory = "/home/alice";
  if (n % 5 === 0)
    return {
      script: `${head}#FAKE write out-${n}.txt hello ${n}\n`,
      workingDirectory,
      outputs: [{ path: `out-${n}.txt`, key: `out-${n}` }],
    };
  return { script: head };
}

function count(world: World, query: string, ...bindings: SqlStorageValue[]): number {
  return world.house.row<{ n: number }>(query, ...bindings)?.n ?? 0;
}

/** Chance, ids and times come from the seed; what the site, the queues and the receivers do follows from it. */
async function disturb(world: World, chance: () => number): Promise<{ lines: string[]; live: string[]; dead: string }> {
  const { house, desk, firecrest } = world;
  const lines: string[] = [];
  const bytes = seededRandom(SEED + 2);
  Object.assign(house, {
    random: seededRandom(SEED + 1),
    id: (prefix: string) =>
      newId(prefix, house.now(), (size) => Uint8Array.from({ length: size }, () => bytes() * 256)),
    log: (line: object) => lines.push(JSON.stringify({ at: house.now(), ...line })),
  });
  // A budget as sites give it: a look every few seconds, whatever happens.
  const site = { ...desk.site.config(), requestsPerMinute: 240 };
  house.change(() => house.setMeta("site", JSON.stringify(site)));
  desk.site.changed();

  // Bytes move in real time and wait in real time when they fail: what goes wrong with them is in `faults.test.ts`.
  const match = { path: `^(?!${new URL(firecrest.stagingUrl).pathname})` };
  firecrest.faults.add({ kind: "lost_answer", probability: 0.1, match });
  firecrest.faults.add({ kind: "rate_limited", retryAfterSeconds: 2, probability: 0.05, match });
  firecrest.faults.add({ kind: "bad_gateway", probability: 0.025, match });
  firecrest.faults.add({ kind: "error", status: 500, probability: 0.025, match });
  world.fate = () => {
    const drawn = chance();
    return drawn < 0.1 ? "drop" : drawn < 0.2 ? "double" : "deliver";
  };
  world.alarmDies = () => chance() < 0.05;
  const receivers = receiversOf(chance);
  for (const [name, answer] of Object.entries(receivers)) await world.receive(name, answer, ["*"]);
  const { id: dead } = await world.receive("dead", () => new Response(null, { status: 500 }), ["*"]);
  return { lines, live: Object.keys(receivers), dead };
}

/** What was logged of a job and of its effects. */
function linesOf(world: World, id: string, lines: string[]): string[] {
  const effects = world.house.rows<{ id: string }>("SELECT id FROM effects WHERE subject = ?", id);
  return lines.filter((line) => [id, ...effects.map((effect) => effect.id)].some((word) => line.includes(word)));
}

/** Every job ended once and as it should, and is on the machine once. */
async function expectJobs(world: World, jobs: string[], events: Event[], lines: string[]): Promise<void> {
  const unknown = jobs.filter((id) => world.job(id).reason === "outcome_unknown");
  // Should one ever be there, this is what is known of it.
  expect(unknown.map((id) => linesOf(world, id, lines))).toEqual([]);
  expect(await world.jobsOnMachine()).toBe(JOBS);
  expect(new Set(jobs.map((id) => world.job(id).schedulerId)).size).toBe(JOBS);
  const typesOf = Map.groupBy(events, ({ subject }) => subject);
  for (const [n, id] of jobs.entries()) {
    const { status, outputs } = world.job(id);
    expect(`${n} ${status}`).toBe(`${n} ${n % 10 === 7 ? "failed" : "succeeded"}`);
    const types = (typesOf.get(`jobs/${id}`) ?? []).map(({ type }) => type);
    expect(types.filter((type) => /\.(succeeded|failed|cancelled)$/.test(type))).toHaveLength(1);
    expect(types.filter((type) => type === "job.settled")).toHaveLength(1);
    if (n % 10 === 3) expect(outputs.map((output) => output.status)).toEqual(["failed"]);
    else if (n % 10 !== 7 && n % 5 === 0) {
      const ends = outputs.map(({ transferId }) => world.transfer(transferId));
      // Should one have failed, this is why.
      const why = ends
        .filter(({ status: end }) => end !== "stored")
        .flatMap((end) => [JSON.stringify(end), ...linesOf(world, end.id, lines), ...linesOf(world, id, lines)]);
      expect(why).toEqual([]);
      expect(new TextDecoder().decode(await world.object(`out-${n}`))).toBe(`hello ${n}\n`);
    }
  }
}

/** A live receiver got every event, each under one id and with one body. */
function expectHeard(world: World, name: string, events: Event[]): void {
  const bodies = new Map<string, Set<string>>();
  for (const { url, headers, body } of world.hits) {
    if (!url.endsWith(`/${name}`)) continue;
    const id = headers["webhook-id"] ?? "";
    bodies.set(id, (bodies.get(id) ?? new Set()).add(body));
  }
  expect([name, events.filter(({ id }) => !bodies.has(id)).map(({ type }) => type)]).toEqual([name, []]);
  for (const [id, distinct] of bodies) {
    expect(distinct.size).toBe(1);
    expect((JSON.parse([...distinct][0] ?? "{}") as Event).id).toBe(id);
  }
}

describe(`chaos (CHAOS_SEED=${SEED}, CHAOS_JOBS=${JOBS})`, () => {
  const seeded = { seed: SEED };
  const limit = { timeout: 600_000 };
  it("leaves every job on the machine once, every event with every live receiver, and nothing owed", limit, () =>
    inWorld(async (world) => {
      const chance = seededRandom(SEED);
      const { lines, live, dead } = await disturb(world, chance);
      const jobs: string[] = [];
      for (let n = 0; n < JOBS; n++) {
        jobs.push((await world.submit({ name: `chaos-${n}`, ...scriptOf(n, chance) })).id);
        if (chance() < 0.3) await world.live(1_000);
      }
      const none = (query: string, ...bindings: SqlStorageValue[]) => count(world, query, ...bindings) === 0;
      const unsettled = "SELECT count(*) AS n FROM jobs WHERE json_extract(doc, '$.settledAt') IS NULL";
      const untold = "SELECT count(*) AS n FROM deliveries WHERE receiver <> ? AND status <> 'delivered'";
      await world.until(() => none(unsettled), 48 * HOUR_MS);
      await world.until(() => world.owed() === 0, 48 * HOUR_MS);
      await world.until(() => none(untold, dead), 48 * HOUR_MS);

      const events = world.events();
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 1));
      await expectJobs(world, jobs, events, lines);
      for (const name of live) expectHeard(world, name, events);

      // Whoever never answered keeps everything for later; nothing else is under way.
      expect(count(world, "SELECT count(*) AS n FROM deliveries WHERE receiver = ?", dead)).toBe(events.length);
      expect(none("SELECT count(*) AS n FROM deliveries WHERE receiver = ? AND status = 'delivered'", dead)).toBe(true);
      expect(none("SELECT count(*) AS n FROM deliveries WHERE status = 'stuck'")).toBe(true);
      expect(none("SELECT count(*) AS n FROM effects WHERE state IN ('planned', 'sent', 'unknown')")).toBe(true);
      expect(world.owed()).toBe(0);
    }, seeded),
  );
});
