import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { deploy, eventually } from "./deployment.ts";

it("goes on after a restart with the state on disk: accepted work runs, running work is found again", {
  timeout: 600_000,
}, async () => {
  const dir = await mkdtemp(join(tmpdir(), "firewatch-restart-"));
  try {
    const first = await deploy({ dir });
    const running = (
      await first.call("POST", "jobs", {
        body: {
          system: "cluster",
          script: "#!/bin/bash -l\nsleep 6\necho done > out.txt\n",
          outputs: [{ path: "out.txt", key: "out.txt" }],
        },
      })
    ).body;
    await eventually(
      async () => ((await first.call("GET", `jobs/${running.id}`)).body.status === "running" ? true : undefined),
      "the job to run",
    );
    // Accepted while the site takes nothing: its queue message dies with the runtime, its row does not.
    first.firecrest.faults.add({ kind: "rate_limited", retryAfterSeconds: 3 });
    const accepted = (
      await first.call("POST", "jobs", { body: { system: "cluster", script: "#!/bin/bash -l\ntrue\n" } })
    ).body;
    await eventually(async () => (await first.call("GET", "")).body.budget.pausedUntil, "the site's 429 to be obeyed");
    await first.stop();

    const second = await deploy({ dir });
    try {
      expect(second.connection.apiKey).toBe(first.connection.apiKey);
      expect((await second.settled(running.id)).status).toBe("succeeded");
      await second.workers.sweep();
      // Where the stop hit in the middle of its submission, it is looked up for four minutes before it is sent again.
      expect((await second.settled(accepted.id, 420)).status).toBe("succeeded");
      expect((await second.call("GET", "objects/out.txt")).text).toBe("done\n");
    } finally {
      await second.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
