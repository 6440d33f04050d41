import { describe, expect, it } from "vitest";
import { ACCOUNTING_FORMAT, QUEUE_FORMAT, readAccounting, readQueue } from "./slurm-columns.ts";

const line = (...columns: string[]) => columns.join("\x1f");
const SUBMITTED = "1795363628";
const OWNER = ["fw-alice", "1001", "users", "100", "users"];

/** Columns of squeue in the order in which we ask for them. */
const queued = (
  id: string,
  plain: string,
  base: string,
  state: string,
  reason: string,
  name: string,
  start = "N/A",
  elapsed = "0:00",
  node = "",
) =>
  line(
    id,
    plain,
    base,
    "normal",
    state,
    ...OWNER,
    "(null)",
    reason,
    SUBMITTED,
    start,
    "1-00:00:00",
    elapsed,
    "1",
    node,
    "1",
    "4294901757",
    name,
  );

/** Columns of sacct. */
const accounted = (
  id: string,
  raw: string,
  state: string,
  exit: string,
  name: string,
  over: { start?: string; end?: string; nodes?: string; node?: string; partition?: string } = {},
) =>
  line(
    id,
    raw,
    over.partition ?? "normal",
    state,
    ...OWNER,
    "",
    "None",
    SUBMITTED,
    over.start ?? "Unknown",
    over.end ?? "Unknown",
    "00:01:00",
    "7",
    exit,
    over.nodes ?? "1",
    over.node ?? "None assigned",
    "1",
    "10",
    "/scratch/a",
    name,
  );

describe("what squeue prints", () => {
  it("asks for one column per field", () => {
    expect(QUEUE_FORMAT.split("\x1f")).toHaveLength(queued("1", "1", "1", "", "", "").split("\x1f").length);
  });

  it("tells a waiting array, its running element and a plain job apart", () => {
    const rows = readQueue(
      [
        queued("3_[2-3%1]", "3", "3", "PENDING", "JobArrayTaskLimit", "arr"),
        queued("3_1", "6", "3", "RUNNING", "None", "arr", "1795363629", "1-02:03:04", "nid000001"),
        queued("4", "4", "4", "PENDING", "JobHeldUser", "held"),
        "",
      ].join("\n"),
    );
    expect(rows).toMatchObject([
      {
        jobId: "3_[2-3%1]",
        plainId: "3",
        arrayId: "3",
        state: "PENDING",
        reason: "JobArrayTaskLimit",
        nodeList: "",
        reservation: "",
        timeLimitSeconds: 86_400,
      },
      {
        jobId: "3_1",
        plainId: "6",
        arrayId: "3",
        state: "RUNNING",
        nodeList: "nid000001",
        startedAt: 1795363629_000,
        elapsedSeconds: 93_784,
        user: { name: "fw-alice", id: 1001 },
      },
      { jobId: "4", plainId: "4", reason: "JobHeldUser", submittedAt: 1795363628_000 },
    ]);
    expect(rows[2]).not.toHaveProperty("arrayId");
    expect(rows[0]).not.toHaveProperty("startedAt");
  });

  it("keeps names whole, whatever is in them, and makes no job of their second line", () => {
    const name = "a | b=c UserId=root(0)\x1fd";
    const rows = readQueue(`${queued("5", "5", "5", "RUNNING", "None", `${name}\n99 x`)}\n`);
    expect(rows).toHaveLength(1);
    expect(rows[0]?.name).toBe(name);
  });
});

describe("what sacct prints", () => {
  it("asks for one column per field", () => {
    expect(ACCOUNTING_FORMAT.at(-1)?.split(",")).toHaveLength(accounted("1", "1", "", "", "").split("\x1f").length);
  });

  it("puts steps below their job and reads ends, exits and who cancelled", () => {
    const ran = { start: "1795363629", end: "1795363636", node: "nid000001" };
    const rows = readAccounting(
      [
        accounted("12", "12", "FAILED", "3:0", "run", ran),
        accounted("12.batch", "12.batch", "FAILED", "3:0", "batch", ran),
        accounted("13", "13", "CANCELLED by 1001", "0:15", "other", { end: "1795363636" }),
        accounted("3_1", "6", "OUT_OF_MEMORY", "0:125", "arr", ran),
      ].join("\n"),
    );
    expect(rows).toMatchObject([
      {
        jobId: "12",
        state: "FAILED",
        exitCode: 3,
        signal: 0,
        startedAt: 1795363629_000,
        endedAt: 1795363636_000,
        elapsedSeconds: 7,
        timeLimitSeconds: 60,
        steps: [{ id: "12.batch", name: "batch", exitCode: 3 }],
      },
      { jobId: "13", state: "CANCELLED", cancelledBy: 1001, signal: 15, nodeList: "", steps: [] },
      { jobId: "3_1", plainId: "6", arrayId: "3", state: "OUT_OF_MEMORY", signal: 125 },
    ]);
  });

  it("leaves the skeleton of a young job as it is", () => {
    const [row] = readAccounting(accounted("14", "14", "PENDING", "0:0", "allocation", { nodes: "0", partition: "" }));
    expect(row).toMatchObject({ name: "allocation", state: "PENDING", partition: "", nodeCount: 0 });
    expect(row).not.toHaveProperty("endedAt");
  });
});
