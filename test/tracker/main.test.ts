import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import { inWorld } from "./world.ts";

const SCRIPT = "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n";
const settled = (world: Parameters<Parameters<typeof inWorld>[0]>[0], id: string) => () =>
  world.job(id).settledAt !== undefined;
const paid = (world: Parameters<Parameters<typeof inWorld>[0]>[0]) => () => world.owed() === 0;

describe("the main job", () => {
  it("runs from a request to a proven object and a dead link", () =>
    inWorld(async (world) => {
      const { id, outputs } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt", key: "out.txt" }] });
      await world.until(settled(world, id));
      await world.until(paid(world));
      expect(world.job(id)).toMatchObject({ status: "succeeded", exitCode: 0, run: 1 });
      const transfer = world.transfer(outputs[0]?.transferId ?? "");
      expect(transfer).toMatchObject({ status: "stored", proof: "hash", bytes: 6, link: { state: "released" } });
      expect(new TextDecoder().decode(await world.object("out.txt"))).toBe("hello\n");
      expect(world.types(`jobs/${id}`)).toEqual([
        "job.accepted",
        "job.queued",
        "job.running",
        "job.succeeded",
        "job.settled",
      ]);
      expect(world.types(`transfers/${transfer.id}`)).toEqual([
        "transfer.staged",
        "transfer.stored",
        "transfer.released",
      ]);
    }));

  it("numbers its events without gaps and calls each subscriber once per event, signed", () =>
    inWorld(async (world) => {
      const { secret } = await world.receive("all", () => new Response(null, { status: 200 }), ["*"]);
      const { id } = await world.submit({ script: SCRIPT, outputs: [{ path: "out.txt" }] });
      await world.until(settled(world, id));
      await world.until(paid(world));
      await world.drain();
      const events = world.events();
      expect(events.map(({ sequence }) => sequence)).toEqual(events.map((_, n) => n + 1));
      expect(world.hits.map(({ headers }) => headers["webhook-id"]).sort()).toEqual(
        events.map((event) => event.id).sort(),
      );
      for (const { body, headers } of world.hits) {
        const content = `${headers["webhook-id"]}.${headers["webhook-timestamp"]}.${body}`;
        const key = await crypto.subtle.importKey(
          "raw",
          Uint8Array.from(atob(secret.slice(6)), (c) => c.charCodeAt(0)),
          { name: "HMAC", hash: "SHA-256" },
          false,
          ["sign"],
        );
        const signature = btoa(
          String.fromCharCode(
            ...new Uint8Array(await crypto.subtle.sign("HMAC", key, new TextEncoder().encode(content))),
          ),
        );
        expect(headers["webhook-signature"]?.split(" ")).toContain(`v1,${signature}`);
      }
      expect(new Webhook(secret)).toBeDefined();
    }));

  it("hands hostile values to the job byte for byte, as environment values only", () =>
    inWorld(async (world) => {
      const evil = `'"\n$(touch /tmp/x) \`id\` #SBATCH --time=1\n\\ {{x}} é\u{1f600}${"x".repeat(60_000)}`;
      const { id } = await world.submit({ script: SCRIPT, env: { EVIL: evil } });
      await world.until(settled(world, id));
      expect(world.job(id).status).toBe("succeeded");
    }));

  it("tells a failed job with its exit code, and fetches only what is wanted then", () =>
    inWorld(async (world) => {
      const { id } = await world.submit({
        script: "#!/bin/bash -l\n#FAKE write out.txt hello\n#FAKE exit 3\n",
        outputs: [
          { path: "out.txt", key: "good", when: "success" },
          { path: "out.txt", key: "bad", when: "failure" },
        ],
      });
      await world.until(settled(world, id));
      const job = world.job(id);
      expect(job).toMatchObject({ status: "failed", reason: "exit_code", exitCode: 3 });
      expect(job.outputs.map(({ key, status }) => [key, status])).toEqual([
        ["good", "cancelled"],
        ["bad", "stored"],
      ]);
      expect(await world.objectKeys()).toEqual(["bad"]);
    }));

  it("stores an empty file without staging anything", () =>
    inWorld(async (world) => {
      const { id, outputs } = await world.submit({
        script: "#!/bin/bash -l\n#FAKE bytes empty.dat 0\n",
        outputs: [{ path: "empty.dat", key: "empty" }],
      });
      await world.until(settled(world, id));
      expect(world.transfer(outputs[0]?.transferId ?? "")).toMatchObject({
        status: "stored",
        bytes: 0,
        link: { state: "none" },
      });
      expect((await world.object("empty"))?.length).toBe(0);
    }));

  it("fails a transfer of a file that is not there, owes nothing and settles the job", () =>
    inWorld(async (world) => {
      const { id, outputs } = await world.submit({
        script: SCRIPT,
        outputs: [{ path: "missing.txt", key: "missing" }],
      });
      await world.until(settled(world, id));
      expect(world.transfer(outputs[0]?.transferId ?? "")).toMatchObject({ status: "failed", link: { state: "none" } });
      expect(world.owed()).toBe(0);
      expect(await world.objectKeys()).toEqual([]);
    }));
});

describe("cancelling", () => {
  it("ends a job that was not sent yet without asking the site", () =>
    inWorld(async (world) => {
      const { cancelJob } = await import("../../workers/poller/accept.ts");
      const { id } = await world.submit({});
      cancelJob(world.house, { name: "admin" }, id, {});
      await world.live(30_000);
      expect(world.job(id)).toMatchObject({ status: "cancelled", reason: "cancelled_by_request" });
      expect(world.job(id).schedulerId).toBeUndefined();
    }));

  it("cancels a running job at the scheduler", () =>
    inWorld(async (world) => {
      const { cancelJob } = await import("../../workers/poller/accept.ts");
      const { id } = await world.submit({ script: "#!/bin/bash -l\n#FAKE sleep 3000\n" });
      await world.until(() => world.job(id).status === "running");
      cancelJob(world.house, { name: "admin" }, id, {});
      await world.until(settled(world, id));
      expect(world.job(id)).toMatchObject({ status: "cancelled", reason: "cancelled_by_request" });
    }));
});
