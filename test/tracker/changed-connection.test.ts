/** A connection that is changed, or removed, in the middle of its work. */
import { describe, expect, it } from "vitest";
import { create } from "../../workers/poller/connections.ts";
import { finish } from "../../workers/poller/far.ts";
import { attend } from "../../workers/poller/tracking.ts";
import { inWorld, type World } from "./world.ts";

const ADMIN = { name: "admin" };
const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 60\n#FAKE write out.txt hello\n";

/** The same site by its other API. */
async function switchTo(world: World, api: "v1" | "v2"): Promise<void> {
  const { v1Url, v2Url, tokenUrl, clientId, clientSecret } = world.firecrest;
  const answer = await world.run(
    create(
      world.desk,
      ADMIN,
      world.house.name,
      {
        api,
        url: api === "v1" ? v1Url : v2Url,
        auth: { type: "client_credentials", tokenUrl, clientId, clientSecret },
        requestsPerMinute: 6000,
      },
      {},
    ),
  );
  expect(answer.ok).toBe(true);
}
const open = (world: World) =>
  world.house.rows("SELECT kind FROM effects WHERE state IN ('planned', 'sent', 'unknown')");

describe.each([
  ["v1", "v2"],
  ["v2", "v1"],
] as const)("a site that goes from %s to %s", (from, to) => {
  it("keeps the jobs that it has, and their results come the new way", () =>
    inWorld(
      async (world) => {
        const { id, outputs } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt", key: "o" }] });
        await world.until(() => world.job(id).status === "running");
        await switchTo(world, to);
        await world.until(() => world.job(id).settledAt !== undefined, 24 * 3_600_000);
        expect(world.job(id).status).toBe("succeeded");
        expect(world.transfer(outputs[0]?.transferId ?? "").status).toBe("stored");
      },
      {},
      { api: from },
    ));

  it("while a submission or a staging is under way leaves nothing that never ends", () =>
    inWorld(
      async (world) => {
        const { files } = await world.firecrest.host.as("alice");
        await files.write("/scratch/alice/f", new TextEncoder().encode("hello\n"));
        const transfer = await world.download("/scratch/alice/f", "f");
        const job = await world.submit({ script: SCRIPT });
        // Sent, answered with a task or a job of the old API, and not looked at since.
        await world.drain();
        await switchTo(world, to);
        await world.until(
          () =>
            world.job(job.id).settledAt !== undefined &&
            ["stored", "failed"].includes(world.transfer(transfer.id).status) &&
            open(world).length === 0,
          8 * 24 * 3_600_000,
        );
        expect(world.job(job.id).status).toBe("succeeded");
        expect(await world.jobsOnMachine()).toBeLessThanOrEqual(3);
        expect(world.transfer(transfer.id).status).toBe("stored");
        await world.run(attend(world.desk));
      },
      {},
      { api: from },
    ));
});

describe("a release that the site refuses", () => {
  it("does not owe again what was struck off", () =>
    inWorld(
      async (world) => {
        const { outputs } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt", key: "o" }] });
        const id = outputs[0]?.transferId ?? "";
        await world.until(() => world.transfer(id).status === "stored" && world.owed() === 0);
        expect(world.transfer(id).link.state).toBe("expires");
        const release = world.house.row<{ id: string }>("SELECT id FROM effects WHERE kind = 'release'")?.id ?? "";
        world.house.run("UPDATE effects SET state = 'sent' WHERE id = ?", release);
        const no = { kind: "failed", code: "permission_denied", retry: "never", message: "no" } as const;
        await finish(world.desk, release, no, 1);
        expect([world.transfer(id).link.state, world.owed()]).toEqual(["expires", 0]);
      },
      {},
      { api: "v2" },
    ));
});
