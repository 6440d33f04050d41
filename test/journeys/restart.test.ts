import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { deploy, eventually } from "./deployment.ts";

it("finds running work again after a restart with the state on disk", { timeout: 240_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "firewatch-restart-"));
  try {
    const first = await deploy({ dir });
    const script = "#!/bin/bash -l\nsleep 6\necho done > out.txt\n";
    const body = { system: "cluster", script, outputs: [{ path: "out.txt", key: "out.txt" }] };
    const running = (await first.call("POST", "jobs", { body })).body;
    const isRunning = async () => {
      const { status } = (await first.call("GET", `jobs/${running.id}`)).body;
      return status === "running" || undefined;
    };
    await eventually(isRunning, "the job to run");
    await first.stop();

    const second = await deploy({ dir });
    try {
      expect(second.connection.apiKey).toBe(first.connection.apiKey);
      expect((await second.settled(running.id, 200)).status).toBe("succeeded");
      expect((await second.call("GET", "objects/out.txt")).text).toBe("done\n");
    } finally {
      await second.stop();
    }
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
});
