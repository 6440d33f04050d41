/** Every part of a request may be as large as it may be, and all of them together still too large for one row. */
import { describe, expect, it } from "vitest";
import type { JobRequest } from "../../shared/contract/job.ts";
import { acceptJob, resubmit } from "../../workers/poller/accept.ts";
import { JOB_MAX_BYTES } from "../../workers/poller/job-size.ts";
import { inWorld, type World } from "./world.ts";

const ADMIN = { name: "admin" };
const BASH = "#!/bin/bash -l\n#FAKE sleep 5\n";
/** A tab takes one byte in a script and two in a row. */
const LONG = `${BASH}# ${"\t".repeat(262_000)}\n`;
const paths = (n: number, place: string) =>
  Array.from({ length: n }, (_, i) => `/scratch/alice/${place}${i}${`/${"x".repeat(200)}`.repeat(18)}`);

const jobs = (world: World) => world.house.row<{ n: number }>("SELECT count(*) AS n FROM jobs")?.n;
const huge = (): JobRequest => ({
  system: "cluster",
  script: LONG,
  inputs: paths(100, "in").map((path, n) => ({ path, key: `in-${n}` })),
  outputs: paths(100, "out").map((path) => ({ path, key: path.slice(1, 400) })),
});

describe("a job that is too large for one row", () => {
  it("is refused with the part that takes the most, and with the limit", () =>
    inWorld(async (world) => {
      const answer = await acceptJob(world.desk, ADMIN, huge(), { origin: {} });
      expect(answer).toMatchObject({ ok: false, code: "invalid", errors: [{ field: "/outputs" }] });
      expect(JSON.stringify(answer)).toContain(String(JOB_MAX_BYTES));
      expect(jobs(world)).toBe(0);
    }));

  it("is refused, too, when it becomes so by being submitted again", () =>
    inWorld(async (world) => {
      const { script: _, ...rest } = huge();
      const { id } = await world.submit({ ...rest, script: BASH });
      world.house.run("UPDATE jobs SET status = 'failed', doc = json_set(doc, '$.status', 'failed') WHERE id = ?", id);
      const env = Object.fromEntries(
        Array.from({ length: 1_500 }, (_, n) => [`V${"X".repeat(110)}${n}`, "\t".repeat(60)]),
      );
      const answer = await resubmit(world.desk, ADMIN, id, { script: LONG, env }, { origin: {} });
      expect(answer).toMatchObject({ ok: false, code: "invalid", errors: [{ field: "/outputs" }] });
      expect(jobs(world)).toBe(1);
    }));
});

it("a job of the longest script and a hundred outputs is taken", () =>
  inWorld(async (world) => {
    const { inputs: _, ...rest } = huge();
    expect((await acceptJob(world.desk, ADMIN, rest, { origin: {} })).ok).toBe(true);
  }));
