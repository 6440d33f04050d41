import { describe, expect, it } from "vitest";
import type { TrackedJob } from "../port.ts";
import { type Asked, failure, fakeSite, json, skeletonJob, wireJob } from "./fake-site.ts";
import { timeWindow } from "./job-list.ts";

const HOUR = 3_600_000;
const NOW = Date.parse("2026-11-22T14:00:00Z");

const tracked = (schedulerId: string, more: Partial<TrackedJob> = {}): TrackedJob => ({
  schedulerId,
  acceptedAt: NOW - 60_000,
  status: "running",
  confirm: false,
  ...more,
});
const many = (count: number, more: Partial<TrackedJob> = {}) =>
  Array.from({ length: count }, (_, i) => tracked(String(1000 + i), more));

const isList = ({ path }: Asked) => path === "/compute/daint/jobs";
const idOf = ({ path }: Asked) => path.split("/").at(-1)!;
const notFound = () => failure(404, "Job not found.");

/** A site whose list and single answers come from one table of rows. */
function siteWith(rows: Record<string, unknown[]>, listed: (id: string) => boolean = () => true) {
  return fakeSite((asked) => {
    if (isList(asked)) return json({ jobs: Object.entries(rows).flatMap(([id, own]) => (listed(id) ? own : [])) });
    const own = rows[idOf(asked)];
    return own === undefined ? notFound() : json({ jobs: own });
  });
}

describe("a round", () => {
  it("reads any number of live jobs with one list", async () => {
    const rows = Object.fromEntries(
      many(500).map(({ schedulerId }) => [schedulerId, [wireJob({ jobId: schedulerId, state: "RUNNING" })]]),
    );
    const site = siteWith(rows);
    const round = await site.client.round("daint", many(500));
    expect(round).toMatchObject({ requests: 1, requestedAt: NOW });
    expect(round.seen.size).toBe(500);
    expect(site.asked).toEqual(["GET /compute/daint/jobs"]);
  });

  it("asks for one job by id, which is no dearer than a list, and for two with one list", async () => {
    const site = siteWith({ 1000: [wireJob({ jobId: "1000", state: "RUNNING" })] });
    expect((await site.client.round("daint", many(1))).seen.get("1000")?.state).toBe("running");
    expect(site.asked).toEqual(["GET /compute/daint/jobs/1000"]);
    const jobs = many(2);
    const state = "RUNNING";
    const two = siteWith(Object.fromEntries(jobs.map(({ schedulerId: id }) => [id, [wireJob({ jobId: id, state })]])));
    expect((await two.client.round("daint", jobs)).requests).toBe(1);
  });

  it("asks for nothing when there is nothing to know", async () => {
    const site = siteWith({});
    expect((await site.client.round("daint", [])).requests).toBe(0);
    expect(site.asked).toEqual([]);
  });

  it("lists the smallest window that holds the oldest live job", async () => {
    const site = siteWith({});
    await site.client.round("daint", [...many(3), tracked("9", { acceptedAt: 0, submittedAt: NOW - 5 * HOUR })]);
    expect(site.requests[0]?.query.get("time_window")).toBe("8h");
    expect([0, 0.8, 1, 7.5, 20, 24, 100, 1000].map((hours) => timeWindow(hours * HOUR))).toEqual([
      "1h",
      "1h",
      "8h",
      "8h",
      "24h",
      "3d",
      "7d",
      "7d",
    ]);
  });

  it("asks by id only for jobs that the list lacks, and for ends that are to be confirmed", async () => {
    const rows = Object.fromEntries(
      many(5).map(({ schedulerId: id }) => [
        id,
        [wireJob({ jobId: id, state: id === "1003" ? "NODE_FAIL" : "RUNNING" })],
      ]),
    );
    const site = siteWith(rows, (id) => id !== "1001");
    const round = await site.client.round("daint", many(5, { confirm: true }));
    expect(site.asked.slice(1).sort()).toEqual(["GET /compute/daint/jobs/1001", "GET /compute/daint/jobs/1003"]);
    expect(round.seen.get("1001")?.state).toBe("running");
    expect(round.seen.get("1003")).toMatchObject({ state: "failed", revocable: true });
  });

  it("C7: a new job that a 404 denies is not seen, which is no ending", async () => {
    const site = siteWith({ 1001: [wireJob({ jobId: "1001", state: "RUNNING" })] });
    const round = await site.client.round("daint", many(3));
    expect([...round.notSeen]).toEqual(["1000", "1002"]);
    expect([...round.seen.keys()]).toEqual(["1001"]);
  });

  it("C8: shows a skeleton row as proof of the id and nothing else", async () => {
    const site = siteWith({ 1000: [skeletonJob("1000", "COMPLETED")] });
    const { seen } = await site.client.round("daint", [tracked("1000", { name: "run.fw-1" })]);
    expect(seen.get("1000")).toMatchObject({ skeleton: true, state: "unknown" });
  });

  it("tells a number that was used again by the name that we gave", async () => {
    const site = siteWith({ 1000: [wireJob({ jobId: "1000", name: "somebody-else", state: "COMPLETED" })] });
    const round = await site.client.round("daint", [tracked("1000", { name: "run.fw-1" })]);
    expect([...round.notSeen]).toEqual(["1000"]);
    expect(round.warnings[0]).toContain("used again");
  });

  it("takes a name that PBS has cut for ours", async () => {
    const site = siteWith({ 1000: [wireJob({ jobId: "1000", name: "a-long-name-for", state: "R" })] });
    const round = await site.client.round("daint", [tracked("1000", { name: "a-long-name-for-a-job.fw-1" })]);
    expect(round.seen.get("1000")?.state).toBe("running");
  });

  it("C10: asks for an array by id only when the list shows something new about it", async () => {
    const elements = (state: string) => [1, 2].map((n) => wireJob({ jobId: `1000_${n}`, state }));
    const others = Object.fromEntries(
      many(5)
        .slice(1)
        .map(({ schedulerId: id }) => [id, [wireJob({ jobId: id, state: "RUNNING" })]]),
    );
    const steady = siteWith({ 1000: elements("RUNNING"), ...others });
    await steady.client.round("daint", [tracked("1000", { arraySize: 2 }), ...many(5).slice(1)]);
    expect(steady.asked).toHaveLength(1);
    const ended = siteWith({ 1000: elements("COMPLETED"), ...others });
    const round = await ended.client.round("daint", [tracked("1000", { arraySize: 2 }), ...many(5).slice(1)]);
    expect(ended.asked).toContain("GET /compute/daint/jobs/1000");
    expect(round.seen.get("1000")).toMatchObject({ state: "succeeded", array: { total: 2 } });
  });

  it("follows one element of an array, which has no address of its own", async () => {
    const site = siteWith({
      88: [wireJob({ jobId: "88_3", state: "COMPLETED" }), wireJob({ jobId: "88_4", state: "FAILED" })],
    });
    const round = await site.client.round("daint", [tracked("88_3")]);
    expect(round.seen.get("88_3")).toMatchObject({ schedulerId: "88_3", state: "succeeded" });
    expect(site.asked).toEqual(["GET /compute/daint/jobs/88"]);
  });

  it("C16: throws when accounting is down, since no status is no news about any job", async () => {
    const down = () =>
      failure(500, "Error executing Slurm command.", ["sacct: error: slurm_persist_conn_open: refused"]);
    const work = fakeSite(down).client.round("daint", many(10));
    await expect(work).rejects.toMatchObject({ code: "system_unavailable", retry: "later" });
    await expect(fakeSite(down).client.round("daint", many(1))).rejects.toMatchObject({ code: "system_unavailable" });
  });

  it("C15: keeps reading when one id is bad, and says so", async () => {
    const bad = failure(500, "Error executing Slurm command.", ["sacct: fatal: Bad job/step specified: abc"]);
    const site = fakeSite((asked) => {
      if (isList(asked)) return json({ jobs: [wireJob({ jobId: "1000", state: "RUNNING" })] });
      return idOf(asked) === "abc" ? bad : json({ jobs: [wireJob({ jobId: idOf(asked), state: "RUNNING" })] });
    });
    const round = await site.client.round("daint", [tracked("abc"), ...many(3)]);
    expect([...round.unread]).toEqual(["abc"]);
    expect(round.warnings[0]).toContain("Bad job/step");
    expect(round.seen.size).toBe(3);
  });

  it("C15: does not take a bad id for a failure of the site, even where it is the only job", async () => {
    const site = fakeSite(() =>
      failure(500, "Error executing Slurm command.", ["sacct: fatal: Bad job/step specified: abc"]),
    );
    const round = await site.client.round("daint", [tracked("abc")]);
    expect([...round.unread]).toEqual(["abc"]);
    const gone = fakeSite(() => failure(404, "System not found"));
    await expect(gone.client.round("daint", [tracked("1")])).rejects.toMatchObject({ code: "unknown_system" });
  });

  it("stops asking by id when the site is overloaded, and leaves the rest unread", async () => {
    const site = fakeSite((asked) =>
      isList(asked)
        ? json({ jobs: [wireJob({ jobId: "1000", state: "RUNNING" })] })
        : json({}, 429, { "retry-after": "30" }),
    );
    const round = await site.client.round("daint", many(40));
    expect(round.unread.size).toBe(39);
    expect(site.asked.length).toBeLessThan(6);
    expect(round.seen.get("1000")?.state).toBe("running");
  });

  it("asks for at most 24 jobs by id, and for others in the next round", async () => {
    const site = siteWith({});
    const first = await site.client.round("daint", many(200));
    expect(site.asked).toHaveLength(25);
    expect(first.notSeen.size).toBe(24);
    expect(first.unread.size).toBe(176);
    site.clock.now += 60_000;
    const second = await site.client.round("daint", many(200));
    expect([...second.notSeen].some((id) => !first.notSeen.has(id))).toBe(true);
  });

  it("sends no ids of its own, as FirecREST refuses any that is no UUID (C17), and no slash too many", async () => {
    const site = siteWith({});
    await site.client.round("daint", many(3));
    expect(site.requests[0]?.headers.has("x-request-id")).toBe(false);
    expect(site.asked.every((asked) => !asked.endsWith("/"))).toBe(true);
  });
});

describe("finding a job by its name", () => {
  const NAME = "run.fw-01hqzx3k7m9ta";
  const row = (jobId: string, name = NAME, state = "RUNNING") => wireJob({ jobId, name, state });
  const find = (site: ReturnType<typeof fakeSite>) => site.client.findByName("daint", NAME, NOW - 30_000);
  const isFiltered = (asked: Asked) => asked.query.get("name") !== null;

  it("adopts the exact match in one request", async () => {
    const site = fakeSite(() => json({ jobs: [row("7")] }));
    expect(await find(site)).toMatchObject({
      conclusive: true,
      matches: [{ schedulerId: "7", name: NAME, state: "running" }],
    });
    expect(site.requests.map(({ query }) => query.get("name"))).toEqual([NAME]);
    expect(site.requests[0]?.query.get("time_window")).toBe("1h");
  });

  it("C12: the server's filter ignores case, we do not", async () => {
    const site = fakeSite(() => json({ jobs: [row("7", NAME.toUpperCase())] }));
    expect(await find(site)).toMatchObject({ matches: [], conclusive: true });
  });

  it("C12: a name that the filter cannot take is looked for in the whole list", async () => {
    const site = fakeSite(() => json({ jobs: [row("7", "a,b")] }));
    expect((await site.client.findByName("daint", "a,b", NOW)).matches).toHaveLength(1);
    expect((await site.client.findByName("daint", "n".repeat(236), NOW)).matches).toHaveLength(0);
    expect(site.requests.some(isFiltered)).toBe(false);
  });

  it("C8, fact 1: does not conclude 'not there' while a young row without a name might be the job", async () => {
    const during = fakeSite((asked) =>
      json({ jobs: isFiltered(asked) ? [] : [skeletonJob("7", "COMPLETED", NOW / 1000 - 5)] }),
    );
    expect(await find(during)).toMatchObject({ matches: [], conclusive: false });
    const without = fakeSite((asked) => json({ jobs: isFiltered(asked) ? [] : [row("7", "another")] }));
    expect(await find(without)).toMatchObject({ matches: [], conclusive: true });
    const old = fakeSite((asked) =>
      json({ jobs: isFiltered(asked) ? [] : [skeletonJob("7", "RUNNING", NOW / 1000 - 9_000)] }),
    );
    expect(await find(old)).toMatchObject({ matches: [], conclusive: true });
  });

  it("uses the answer of a server before 2.5.7, which ignores the filter, as the whole list", async () => {
    const site = fakeSite(() => json({ jobs: [row("6", "another"), row("7")] }));
    expect((await find(site)).matches.map(({ schedulerId }) => schedulerId)).toEqual(["7"]);
    const without = fakeSite(() => json({ jobs: [row("6", "another")] }));
    expect(await find(without)).toMatchObject({ matches: [], conclusive: true });
    expect(without.asked).toHaveLength(1);
  });

  it("C13: does not adopt the row that a refused submission left", async () => {
    const trace = wireJob({ jobId: "7", name: NAME, state: "FAILED", exitCode: 1, nodes: "None assigned" });
    expect((await find(fakeSite(() => json({ jobs: [trace] })))).matches).toEqual([]);
  });

  it("gives several matches, and an array as one", async () => {
    const site = fakeSite(() => json({ jobs: [row("7"), row("9_1"), row("9_2")] }));
    expect((await find(site)).matches.map(({ schedulerId }) => schedulerId)).toEqual(["7", "9"]);
  });
});
