import { describe, expect, it } from "vitest";
import type { TrackedJob } from "../port.ts";
import { fakeSite, type Handlers, json, page, task } from "./fake-site.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");

const job = (schedulerId: string, more: Partial<TrackedJob> = {}): TrackedJob => ({
  schedulerId,
  acceptedAt: NOW - 60_000,
  status: "running",
  confirm: false,
  ...more,
});
const acctRow = (jobid: string, state: string, more: Record<string, string> = {}) => ({
  jobid,
  state,
  name: "n",
  partition: "p",
  nodelist: "nid1",
  elapsed_time: "00:01:00",
  exit_code: "0:0",
  start_time: "2026-11-22T13:00:00",
  time_left: "Unknown",
  ...more,
});
const queueRow = (jobid: string, state: string, more: Record<string, string> = {}) => ({
  jobid,
  state,
  name: "n",
  start_time: "1:06",
  time: "2026-11-22T13:00:00",
  time_left: "28:54",
  nodelist: "nid1",
  ...more,
});
const skeleton = (jobid: string) => acctRow(jobid, "PENDING", { name: "allocation", partition: "", nodes: "0" });
const queueOf = (...rows: object[]) => task([100], [200, Object.fromEntries(rows.map((row, i) => [String(i), row]))]);
const site = (acct: Handlers[string], jobs: Handlers[string] = () => queueOf()) =>
  fakeSite({ "GET /compute/acct": acct, "GET /compute/jobs": jobs });

describe("a poll round", () => {
  it("asks accounting only, once, when all jobs run or have ended there", async () => {
    const { client, requests } = site(() => task([200, [acctRow("1", "RUNNING"), acctRow("2", "COMPLETED")]]));
    const round = await client.round("cluster", [job("1"), job("2")]);
    expect(requests.map((r) => r.path)).toEqual(["/compute/acct", "/tasks"]);
    expect(requests[0]).toMatchObject({ query: { jobs: "1,2" }, system: "cluster" });
    expect(round.requests).toBe(2);
    expect(round.seen.get("1")).toMatchObject({ state: "running", elapsedSeconds: 60 });
    expect(round.seen.get("2")).toMatchObject({ state: "succeeded", exitCode: 0, elapsedSeconds: 60 });
  });

  it("asks the queue for jobs that are not known to run, reads both through one task list, and never all of a user's", async () => {
    const { client, requests } = site(
      () => task([200, [skeleton("7")]]),
      () => queueOf(queueRow("7", "RUNNING")),
    );
    const round = await client.round("cluster", [job("7", { status: "queued" })]);
    const queue = requests.find((r) => r.path === "/compute/jobs");
    expect(queue?.query).toEqual({ jobs: "7", userJobs: "false" });
    expect(requests.filter((r) => r.path === "/tasks").every((r) => r.query.tasks?.split(",").length === 2)).toBe(true);
    expect(requests.some((r) => /^\/compute\/jobs\/./.test(r.path))).toBe(false);
    expect(round.seen.get("7")).toMatchObject({ state: "running", skeleton: false });
    expect(round.requests).toBeLessThanOrEqual(6);
  });

  it("reads the queue's swapped fields: the elapsed time is under start_time", async () => {
    const { client } = site(
      () => task([200, {}]),
      () => queueOf(queueRow("7", "RUNNING")),
    );
    const round = await client.round("cluster", [job("7", { status: "queued" })]);
    expect(round.seen.get("7")).toMatchObject({
      elapsedSeconds: 66,
      timeLimitSeconds: 1_800,
      startedAt: round.requestedAt - 66_000,
      nodes: "nid1",
    });
  });

  it("takes the list in parentheses for the reason why a job waits", async () => {
    const { client } = site(
      () => task([200, {}]),
      () => queueOf(queueRow("7", "PENDING", { nodelist: "(DependencyNeverSatisfied)", start_time: "0:00" })),
    );
    const { seen } = await client.round("cluster", [job("7", { status: "queued" })]);
    expect(seen.get("7")).toMatchObject({
      state: "queued",
      pendingReason: "DependencyNeverSatisfied",
      reason: "never_starts",
    });
    expect(seen.get("7")?.nodes).toBeUndefined();
  });

  it("asks the queue afterwards about running jobs that accounting lacks or shows waiting", async () => {
    const { client, requests } = site(
      () => task([200, [acctRow("1", "RUNNING"), acctRow("2", "PENDING")]]),
      () => queueOf(queueRow("2", "PENDING", { nodelist: "(Resources)" })),
    );
    const round = await client.round("cluster", [job("1"), job("2"), job("3")]);
    expect(requests.find((r) => r.path === "/compute/jobs")?.query.jobs).toBe("3,2");
    expect([...round.seen.keys()]).toEqual(["1", "2"]);
    expect(round.seen.get("2")).toMatchObject({ state: "queued", pendingReason: "Resources" });
    expect([...round.notSeen]).toEqual(["3"]);
    expect(round.requests).toBeLessThanOrEqual(6);
  });

  it("concludes nothing when accounting says PENDING and the queue has forgotten the job: it may just have ended", async () => {
    const { client } = site(() => task([200, [acctRow("1", "PENDING")]]));
    const round = await client.round("cluster", [job("1")]);
    expect([...round.unread]).toEqual(["1"]);
  });

  it("gives an allocation row by itself as proof that the id exists, and nothing else", async () => {
    const { client } = site(() => task([200, [skeleton("1")]]));
    const { seen } = await client.round("cluster", [job("1", { status: "queued" })]);
    expect(seen.get("1")).toMatchObject({ state: "unknown", skeleton: true });
    expect(seen.get("1")?.name).toBeUndefined();
  });

  it("takes {} and [] for the same empty answer, and that for no ending", async () => {
    for (const empty of [{}, []]) {
      const { client } = site(
        () => task([200, empty]),
        () => task([200, empty]),
      );
      const round = await client.round("cluster", [job("1"), job("2")]);
      expect([...round.notSeen]).toEqual(["1", "2"]);
    }
  });

  it("takes 'Invalid job id specified' about a single id for an empty queue", async () => {
    const { client } = site(
      () => task([200, {}]),
      () => task([400, "slurm_load_jobs error: Invalid job id specified"]),
    );
    const round = await client.round("cluster", [job("1", { status: "queued" })]);
    expect([...round.notSeen]).toEqual(["1"]);
  });

  it("asks without ids when one unknown id fails the whole list, so that no job loses by another's", async () => {
    const { client, requests } = site(
      () => task([200, {}]),
      ({ query }) =>
        query.jobs === undefined
          ? queueOf(queueRow("2", "RUNNING"), queueRow("99", "RUNNING"))
          : task([400, "slurm_load_jobs error: Invalid job id specified"]),
    );
    const round = await client.round("cluster", [job("1", { status: "queued" }), job("2", { status: "queued" })]);
    expect(round.seen.get("2")?.state).toBe("running");
    expect([...round.notSeen]).toEqual(["1"]);
    expect(requests.length).toBeLessThanOrEqual(6);
    expect(requests.every((r) => r.query.userJobs !== "true")).toBe(true);
  });

  it("leaves ids that v1 does not take out of the request and unread", async () => {
    const { client, requests } = site(() => task([200, [acctRow("1", "RUNNING")]]));
    const round = await client.round("cluster", [job("1"), job("abc"), job("2;id")]);
    expect(requests[0]?.query.jobs).toBe("1");
    expect([...round.unread]).toEqual(["abc", "2;id"]);
    expect(round.seen.size).toBe(1);
  });

  it("keeps the uid's meaning of a cancellation", async () => {
    const { client } = site(() => task([200, [acctRow("1", "CANCELLED by 3001"), acctRow("2", "CANCELLED by 0")]]));
    const { seen } = await client.round("cluster", [job("1"), job("2")]);
    expect(seen.get("1")).toMatchObject({
      state: "cancelled",
      reason: "cancelled_by_request",
      schedulerState: "CANCELLED",
    });
    expect(seen.get("2")?.reason).toBe("cancelled_by_scheduler");
  });

  it.each([
    ["FAILED", "3:0", { state: "failed", reason: "exit_code", exitCode: 3 }],
    ["FAILED", "0:11", { state: "failed", exitCode: 0, signal: 11 }],
    ["TIMEOUT", "0:0", { state: "failed", reason: "timeout" }],
    ["NODE_FAIL", "1:0", { state: "failed", reason: "node_fail", revocable: true }],
    ["SUSPENDED", "0:0", { state: "running" }],
  ])("reads %s %s", async (state, exit_code, expected) => {
    const { client } = site(() => task([200, [acctRow("1", state, { exit_code })]]));
    expect((await client.round("cluster", [job("1")])).seen.get("1")).toMatchObject(expected);
  });

  it("never uses the site's dates, which have no zone", async () => {
    const { client } = site(() => task([200, [acctRow("1", "COMPLETED", { time_left: "2026-11-22T13:01:00" })]]));
    const seen = (await client.round("cluster", [job("1")])).seen.get("1");
    expect([seen?.startedAt, seen?.endedAt, seen?.elapsedSeconds]).toEqual([undefined, undefined, 60]);
  });

  it("does not take another job with a re-used id for ours", async () => {
    const { client } = site(() => task([200, [acctRow("1", "COMPLETED", { name: "other" })]]));
    const round = await client.round("cluster", [job("1", { name: "mine.fw-0123456789abc" })]);
    expect([...round.notSeen]).toEqual(["1"]);
  });

  it("never makes more than six requests for ten thousand jobs: by date, without ids, matched here", async () => {
    const jobs = Array.from({ length: 10_000 }, (_, i) =>
      job(String(i + 1), { acceptedAt: NOW - i * 60_000, status: i % 2 === 0 ? "running" : "queued" }),
    );
    const rows = jobs
      .slice(0, 9_900)
      .map(({ schedulerId }, i) => acctRow(schedulerId, i % 2 === 0 ? "RUNNING" : "PENDING"));
    const { client, requests } = site(
      () => task([100], [200, rows]),
      ({ query }) =>
        queueOf(...(query.jobs ?? "").split(",").map((id) => queueRow(id, "PENDING", { nodelist: "(Priority)" }))),
    );
    const round = await client.round("cluster", jobs);
    expect(round.requests).toBeLessThanOrEqual(6);
    expect(round.requests).toBe(requests.length);
    expect(requests[0]?.query).toEqual({ starttime: "2026-11-14" });
    const asked = requests.find((r) => r.path === "/compute/jobs")?.query.jobs?.split(",") ?? [];
    expect(asked).toHaveLength(100);
    expect(asked[0]).toBe("9901");
    expect(round.seen.size).toBe(10_000);
  });

  it("confirms by id what a list by date does not hold: jobs of other users", async () => {
    const jobs = [...Array.from({ length: 101 }, (_, i) => job(String(i + 1))), job("900", { confirm: true })];
    const { client, requests } = site(({ query }) =>
      task([
        200,
        query.jobs === undefined
          ? jobs.slice(0, 101).map((j) => acctRow(j.schedulerId, "RUNNING"))
          : [acctRow("900", "COMPLETED")],
      ]),
    );
    const round = await client.round("cluster", jobs);
    expect(requests.filter((r) => r.path === "/compute/acct").map((r) => r.query)).toEqual([
      { starttime: "2026-11-21" },
      { jobs: "900" },
    ]);
    expect(round.seen.get("900")?.state).toBe("succeeded");
    expect(round.requests).toBeLessThanOrEqual(6);
  });

  it("keeps to six requests when the site is slow, and says that it does not know", async () => {
    const { client, requests } = site(
      () => task([100]),
      () => task([100]),
    );
    const round = await client.round("cluster", [job("1", { status: "queued" }), job("2")]);
    expect(requests.length).toBeLessThanOrEqual(6);
    expect([...round.unread]).toEqual(["1", "2"]);
    expect(round.warnings.length).toBeGreaterThan(0);
  });

  it("goes on with the queue alone while accounting is down, and takes its silence for nothing", async () => {
    const { client } = site(
      () => task([400, "sacct: error: slurm_persist_conn_open_without_init: Connection refused"]),
      () => queueOf(queueRow("1", "RUNNING")),
    );
    const round = await client.round("cluster", [job("1"), job("2")]);
    expect(round.seen.get("1")?.state).toBe("running");
    expect([...round.unread]).toEqual(["2"]);
  });

  it("goes on with accounting alone while the queue is down", async () => {
    const { client } = site(
      () => task([200, [acctRow("1", "PENDING"), acctRow("2", "COMPLETED"), acctRow("3", "PENDING")]]),
      () => json(400, { description: "Failed to retrieve jobs information" }),
    );
    const round = await client.round("cluster", [job("1", { status: "queued" }), job("2"), job("3")]);
    expect(round.seen.get("1")?.state).toBe("queued");
    expect(round.seen.get("2")?.state).toBe("succeeded");
    // It ran before: PENDING here is accounting's delay more likely than a requeue.
    expect([...round.unread]).toEqual(["3"]);
  });

  it("fails as a whole where the site cannot be asked at all", async () => {
    const down = site(() => page(502));
    await expect(down.client.round("cluster", [job("1")])).rejects.toMatchObject({ code: "gateway", retry: "later" });
    const limited = site(
      () => task([200, []]),
      () => json(429, {}, { "retry-after": "5" }),
    );
    await expect(limited.client.round("cluster", [job("1", { status: "queued" })])).rejects.toMatchObject({
      code: "rate_limited",
      retryAfterSeconds: 5,
    });
  });

  it("makes no request for no jobs", async () => {
    const { client } = site(() => task([200, []]));
    expect((await client.round("cluster", [])).requests).toBe(0);
  });
});

describe("an array in a poll round", () => {
  const array = (status: TrackedJob["status"] = "running") => job("11", { status, arraySize: 3 });

  it("is one observation with counts of all elements that its spec implies", async () => {
    const { client } = site(
      () => task([200, [acctRow("11_1", "COMPLETED"), acctRow("11_[2-3%1]", "PENDING")]]),
      () => queueOf(queueRow("11_2", "RUNNING"), queueRow("11_3", "PENDING", { nodelist: "(JobArrayTaskLimit)" })),
    );
    const { seen } = await client.round("cluster", [array()]);
    expect(seen.get("11")).toMatchObject({
      schedulerId: "11",
      state: "running",
      array: { total: 3, succeeded: 1, running: 1, queued: 1, failed: 0 },
    });
  });

  it("has ended when all of its elements have, and failed when one has", async () => {
    const rows = [
      acctRow("11_1", "COMPLETED"),
      acctRow("11_2", "FAILED", { exit_code: "4:0" }),
      acctRow("11_3", "COMPLETED"),
    ];
    const { client } = site(() => task([200, rows]));
    const { seen } = await client.round("cluster", [array()]);
    expect(seen.get("11")).toMatchObject({
      state: "failed",
      exitCode: 4,
      array: { total: 3, failed: 1, failedIndices: [2] },
    });
  });

  it("has not ended while accounting shows only some of its elements", async () => {
    const { client } = site(() => task([200, [acctRow("11_1", "COMPLETED")]]));
    expect((await client.round("cluster", [array()])).seen.get("11")?.state).toBe("running");
  });

  it("never ends on a row that is not one of its elements", async () => {
    const { client } = site(() => task([200, [acctRow("11", "COMPLETED")]]));
    expect((await client.round("cluster", [array()])).seen.get("11")).toMatchObject({
      state: "unknown",
      skeleton: true,
    });
  });

  it("counts a cancelled rest that is one row", async () => {
    const rows = [acctRow("11_1", "COMPLETED"), acctRow("11_[2-3%1]", "CANCELLED by 3001")];
    const { client } = site(() => task([200, rows]));
    expect((await client.round("cluster", [array()])).seen.get("11")).toMatchObject({
      state: "cancelled",
      array: { succeeded: 1, cancelled: 2, queued: 0 },
    });
  });

  it("can be watched by one element", async () => {
    const rows = [acctRow("11_1", "COMPLETED"), acctRow("11_2", "FAILED", { exit_code: "1:0" })];
    const { client, requests } = site(() => task([200, rows]));
    const { seen } = await client.round("cluster", [job("11_1")]);
    expect(requests[0]?.query.jobs).toBe("11_1");
    expect(seen.get("11_1")).toMatchObject({ schedulerId: "11_1", state: "succeeded" });
    expect(seen.get("11_1")?.array).toBeUndefined();
  });
});

describe("a heterogeneous job in a poll round", () => {
  it("lives while one of its components does", async () => {
    const rows = [acctRow("56+0", "COMPLETED"), acctRow("56+1", "RUNNING", { name: "h2" })];
    const { client } = site(() => task([200, rows]));
    expect((await client.round("cluster", [job("56", { name: "n" })])).seen.get("56")).toMatchObject({
      state: "running",
    });
  });
});
