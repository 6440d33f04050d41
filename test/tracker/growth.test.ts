/** What a connection did long ago costs nothing now: work that comes again and again finds what it needs without a search. */
import { describe, expect, it } from "vitest";
import { effectsWithHandle } from "../../workers/poller/effects.ts";
import { trackedErrands } from "../../workers/poller/errands.ts";
import { listJobs } from "../../workers/poller/jobs.ts";
import { announce } from "../../workers/poller/ledger.ts";
import { inWorld, type World } from "./world.ts";

const MANY = 3_000;

/** Rows that the database looked at for this. */
function rowsRead(world: World, work: () => unknown): number {
  const { sql } = world.house;
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = [];
  const watched = new Proxy(sql, {
    get: (target, name) =>
      name === "exec"
        ? (query: string, ...bindings: SqlStorageValue[]) => {
            const cursor = target.exec(query, ...bindings);
            cursors.push(cursor);
            return cursor;
          }
        : Reflect.get(target, name),
  });
  Object.defineProperty(world.house, "sql", { value: watched, configurable: true });
  work();
  Object.defineProperty(world.house, "sql", { value: sql, configurable: true });
  return cursors.reduce((sum, cursor) => sum + cursor.rowsRead, 0);
}

describe("after thousands of jobs", () => {
  it("a look at what is under way reads what is under way", () =>
    inWorld(async (world) => {
      world.house.change(() => {
        for (let n = 0; n < MANY; n++)
          world.house.run(
            "INSERT INTO effects (id, kind, subject, state, attempt, doc) VALUES (?, ?, ?, 'done', 1, '{}')",
            `eff_${n}`,
            n % 2 === 0 ? "submit" : "hash",
            `job_${n}`,
          );
      });
      expect(rowsRead(world, () => effectsWithHandle(world.house))).toBeLessThan(50);
      expect(rowsRead(world, () => trackedErrands(world.house, "cluster"))).toBeLessThan(50);
    }));

  it("news reaches its receivers past the callbacks of all other jobs", () =>
    inWorld(async (world) => {
      const { id } = await world.receive("all", () => new Response(null), ["*"]);
      world.house.change(() => {
        for (let n = 0; n < MANY; n++)
          world.house.run(
            "INSERT INTO receivers (id, job_id, status, doc) VALUES (?, ?, 'active', '{}')",
            `cb_${n}`,
            `job_${n}`,
          );
      });
      const tell = (jobId?: string) => () =>
        world.house.change(() =>
          announce(world.house, { type: "job.queued", subject: "jobs/x", data: { system: "cluster" }, jobId }),
        );
      expect(rowsRead(world, tell())).toBeLessThan(50);
      expect(rowsRead(world, tell("job_none"))).toBeLessThan(50);
      const deliveries = world.house.rows<{ receiver: string }>("SELECT receiver FROM deliveries");
      expect(deliveries.map(({ receiver }) => receiver)).toEqual([id, id]);
    }));
});

describe("a page of jobs with a thousand outputs each", () => {
  it("is as long as gets through a call between Workers, and the next one goes on", () =>
    inWorld(async (world) => {
      const { house } = world;
      const outputs = Array.from({ length: 1_000 }, (_, n) => ({
        transferId: `tr_${n}`,
        path: `/scratch/${"p".repeat(300)}/${n}`,
        key: `jobs/${"k".repeat(300)}/${n}`,
        status: "stored",
        when: "always",
      }));
      const ids = Array.from({ length: 40 }, (_, n) => `job_${String(n).padStart(3, "0")}`);
      house.change(() => {
        for (const id of ids) {
          const record = {
            id,
            system: "cluster",
            status: "succeeded",
            run: 1,
            acceptedAt: 0,
            changedAt: 0,
            actor: "a",
            tagged: true,
            outputs,
            warnings: [],
          };
          house.run(
            "INSERT INTO jobs (id, system, status, live, doc) VALUES (?, 'cluster', 'succeeded', 0, ?)",
            id,
            JSON.stringify(record),
          );
        }
      });
      const seen: string[] = [];
      for (let cursor: string | undefined; ; ) {
        const page = listJobs(house, { limit: 200, ...(cursor === undefined ? {} : { cursor }) }, { name: "admin" });
        expect(JSON.stringify(page).length).toBeLessThan(6_000_000);
        seen.push(...page.items.map(({ id }) => id));
        cursor = page.cursor;
        if (cursor === undefined) break;
      }
      expect(seen).toEqual(ids.toReversed());
    }));
});
