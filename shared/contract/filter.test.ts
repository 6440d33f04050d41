import { describe, expect, it } from "vitest";
import { EventFilter } from "./filter.ts";
import { JobRequest } from "./job.ts";
import { SubscriptionRequest } from "./subscription.ts";

describe("a filter over events", () => {
  const url = "https://receiver.test/";
  const refusals = {
    "of a subscription": (events: string[]) => SubscriptionRequest.safeParse({ url, events }).error?.issues,
    "of a job's callback": (events: string[]) =>
      JobRequest.safeParse({ system: "s", script: "#!/bin/sh\n", callbacks: [{ url, events }] }).error?.issues,
  };

  it.each(Object.entries(refusals))("%s that could never match is refused by the entry", (_, issuesOf) => {
    for (const entry of ["nope.*", "job.sucseeded", "job", ".*", "toString", "END "]) {
      const [issue, ...more] = issuesOf(["job.*", entry]) ?? [];
      expect([issue?.path.at(-1), more]).toEqual([1, []]);
      expect(issue?.message).toContain("/v1/schemas");
    }
  });

  it("takes types, globs and Slurm's own names", () => {
    for (const entry of ["*", "job.*", "transfer.stored", "callback.test", "END", "TIME_LIMIT_80"])
      expect(EventFilter.safeParse([entry]).success).toBe(true);
  });
});
