import { describe, expect, it } from "vitest";
import { neverStarts, waitingFor } from "./waiting.ts";

describe("why a job waits", () => {
  it.each([
    ["AssocMaxWallDurationPerJobLimit", "more time than its account allows"],
    ["QOSMaxWallDurationPerJobLimit", "more time than its QOS allows"],
    ["QOSMaxNodePerJobLimit", "more nodes than its QOS allows"],
    ["AssocMaxCpuPerJobLimit", "more processors than its account allows"],
    ["QOSMaxCpuMinutesPerJobLimit", "more processor time than its QOS allows"],
    ["QOSMaxGRESPerJob", "GPUs for instance, than its QOS allows"],
    ["AssocMaxMemPerJob", "more memory than its account allows"],
    ["QOSMinGRES", "less than its QOS demands"],
    ["QOSMinCpuNotSatisfied", "less than its QOS demands"],
    ["PartitionTimeLimit", "more time than its partition allows"],
    ["PartitionNodeLimit", "nodes than its partition allows"],
    ["DependencyNeverSatisfied", "depends on a job that ended otherwise"],
    ["InvalidAccount", "account is not valid"],
    ["BadConstraints", "No node has what it asks for"],
  ])("%s never starts: %s", (reason, words) => {
    expect(waitingFor(reason)).toMatchObject({ never: true, words: expect.stringContaining(words) });
    expect(neverStarts(reason)).toBe(true);
  });

  it.each([
    "ReqNodeNotAvail",
    "ReqNodeNotAvail, UnavailableNodes:nid[001-004]",
    "ReqNodeNotAvail(Unavailable:nid1)",
    "JobHeldUser",
    "PartitionDown",
    "launch failed requeued held",
  ])("%s is told, and may start after all", (reason) => {
    expect(waitingFor(reason)).toMatchObject({ never: false });
    expect(neverStarts(reason)).toBe(false);
  });

  it.each([
    "Priority",
    "Resources",
    "Dependency",
    "BeginTime",
    "None",
    "",
    "QOSMaxJobsPerUserLimit",
    "QOSMaxCpuPerUserLimit",
    "QOSGrpNodeLimit",
    "AssocGrpCpuLimit",
    "AssocMaxJobsLimit",
    "Licenses",
    "Reservation",
    "constructor",
    "__proto__",
  ])("%j is nothing to tell: it ends by itself, or means nothing", (reason) => {
    expect(waitingFor(reason)).toBeUndefined();
  });

  it("answers at once, whatever a site writes", () => {
    const began = performance.now();
    for (const text of ["QOSMax".repeat(20_000), `AssocMax${"Per".repeat(50_000)}`, "Q".repeat(100_000)])
      waitingFor(text);
    expect(performance.now() - began).toBeLessThan(1_000);
  });
});
