import { createHash, randomBytes } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Seat } from "../../local/firecrest/host.ts";
import { slurmHost } from "../../local/firecrest/slurm-host.ts";
import { type Receiver, startReceiver } from "../../local/receiver.ts";
import { type Deployment, deploy, eventually } from "../journeys/deployment.ts";
import { emptyQueue, onSlurm } from "./cluster-in-use.ts";

/** The slowest is the time limit: a minute, and up to half a minute until Slurm looks. */
const PATIENCE_MS = 170_000;
const ENDS = ["job.succeeded", "job.failed", "job.cancelled"];

interface Job {
  id: string;
  status: string;
  reason?: string;
  schedulerId?: string;
  schedulerState?: string;
  exitCode?: number;
  settledAt?: string;
  outputs: { transferId: string; key: string }[];
}

onSlurm("Firewatch on a real Slurm", (cluster) => {
  // Both share the queue, so it is emptied when both are through.
  afterAll(async () => emptyQueue(await slurmHost(cluster), cluster));

  for (const api of ["v1", "v2"] as const) {
    describe.concurrent(`through FirecREST ${api}`, () => {
      let seat: Seat;
      let firewatch: Deployment;
      let receiver: Receiver;
      let callbackSecret: string;
      const senderSecret = `whsec_${randomBytes(32).toString("base64")}`;

      beforeAll(async () => {
        const [user] = cluster.users;
        if (user === undefined) throw new Error("the cluster has no user");
        const host = await slurmHost(cluster);
        seat = await host.as(user.name);
        firewatch = await deploy({ apis: [api], firecrest: { cluster: host, users: [user.name] } });
        receiver = await startReceiver(() => callbackSecret);
        callbackSecret = (await firewatch.call("POST", "subscriptions", { body: { url: receiver.url, events: ["*"] } }))
          .body.secret;
      });

      afterAll(async () => {
        await receiver?.stop();
        await firewatch?.stop();
      });

      const read = async (id: string): Promise<Job> => (await firewatch.call("GET", `jobs/${id}`)).body;

      const submit = async (script: string, request: object = {}): Promise<string> => {
        const { status, body, text } = await firewatch.call("POST", "jobs", {
          body: { system: "cluster", script: `#!/bin/bash\n${script}\n`, ...request },
        });
        expect(status, text).toBe(202);
        return body.id;
      };

      const reach = (id: string, what: string, holds: (job: Job) => boolean): Promise<Job> =>
        eventually(
          async () => {
            const job = await read(id);
            return holds(job) ? job : undefined;
          },
          `${what} of job ${id}`,
          PATIENCE_MS,
        );
      const reachStatus = (id: string, status: string) => reach(id, status, (job) => job.status === status);
      const settle = (id: string) => reach(id, "the settling", (job) => job.settledAt !== undefined);

      /** Types of all events of a job, in their order; the end is announced once and to the receiver, verified. */
      const storyOf = async (id: string): Promise<string[]> => {
        const { body } = await firewatch.call("GET", `jobs/${id}/events?after=0&limit=200`);
        const types: string[] = body.items.map(({ type }: { type: string }) => type);
        expect(types.filter((type) => ENDS.includes(type))).toHaveLength(1);
        const told = () => receiver.received.filter(({ event }) => event.subject === `jobs/${id}`);
        await eventually(
          () => told().some(({ event }) => event.type === "job.settled") || undefined,
          `the callbacks of ${id}`,
        );
        expect(told().every(({ verified }) => verified)).toBe(true);
        expect(told().filter(({ event }) => ENDS.includes(event.type))).toHaveLength(1);
        return types;
      };

      it("carries a signed webhook through a job into a callback and R2, byte for byte", async () => {
        const text = `'"\n$(touch pwned) \`id\` #SBATCH --time=1\n\\ é \u{1f600}\r\n\t!${"€".repeat(10_000)}\n\n`;
        const target = {
          job: {
            system: "cluster",
            name: "copy",
            script: '#!/bin/bash\nprintf %s "$TEXT" > text.bin\n',
            env: { TEXT: "{text}" },
            outputs: [{ path: "text.bin" }],
          },
        };
        const hook = {
          source: "standard-webhooks",
          secrets: [senderSecret],
          params: { text: { from: "/text", type: "string", maxLength: 65_536 } },
          target,
        };
        expect((await firewatch.call("PUT", "hooks/copy", { body: hook })).status).toBe(201);
        const accepted = await firewatch.send("copy", senderSecret, { text });
        expect(accepted.status).toBe(202);
        const job = await settle(accepted.body.jobId);
        expect(job).toMatchObject({ status: "succeeded", exitCode: 0, schedulerState: "COMPLETED" });
        expect(await storyOf(job.id)).toContain("job.succeeded");

        const [output] = job.outputs;
        const headers = { authorization: `Bearer ${firewatch.connection.apiKey}` };
        const object = await fetch(`${firewatch.connection.url}/objects/${output?.key}`, { headers });
        expect(Buffer.from(await object.arrayBuffer()).toString()).toBe(text);
        const { body: transfer } = await firewatch.call("GET", `transfers/${output?.transferId}`);
        const original = await readFile(transfer.path);
        expect(createHash("sha256").update(original).digest("hex")).toBe(transfer.sha256);
        if (api === "v1")
          await eventually(
            async () =>
              (await firewatch.call("GET", `transfers/${output?.transferId}`)).body.link.state === "released" ||
              undefined,
            "the release of the link",
          );
      });

      it("brings outputs by pattern and by directory, proven by hashes that jobs make, and leaves nothing", async () => {
        const id = await submit("mkdir -p out/sub; for n in 1 2; do echo $n > out/$n.csv; done; echo x > out/sub/x", {
          outputs: [
            { path: "out/*.csv", key: "table", verify: "manifest" },
            // Hashed by a small job: the archive is not there when the job ends.
            { path: "out/", key: "all.tar.gz", verify: "manifest" },
          ],
        });
        const { outputs } = await settle(id);
        const transfers = await Promise.all(
          outputs.map(async ({ transferId }) => (await firewatch.call("GET", `transfers/${transferId}`)).body),
        );
        expect(transfers.map(({ key, status, proof }) => `${status} ${key} ${proof}`)).toEqual([
          "stored table/1.csv manifest",
          "stored table/2.csv manifest",
          "stored all.tar.gz manifest",
        ]);
        const rows = await seat.jobs.accounting({});
        expect(rows.filter(({ name }) => name.startsWith("fw-hash.")).every(({ state }) => state === "COMPLETED")).toBe(
          true,
        );
        const directory = dirname(dirname(transfers[0].path));
        await eventually(
          async () => (await readdir(directory)).every((name) => !name.startsWith(".fw-")) || undefined,
          "the removal of what Firewatch made",
        );
      });

      it("ends an array once, when the last of its elements has ended", async () => {
        const id = await submit(
          "#SBATCH --array=1-3%1\nsleep 1; echo element $SLURM_ARRAY_TASK_ID > element-$SLURM_ARRAY_JOB_ID-$SLURM_ARRAY_TASK_ID",
        );
        const job = await settle(id);
        expect(job.status).toBe("succeeded");
        await storyOf(id);
        const rows = await seat.jobs.accounting({ ids: [job.schedulerId ?? ""] });
        expect(rows.map(({ jobId, state }) => `${jobId} ${state}`).sort()).toEqual(
          [1, 2, 3].map((index) => `${job.schedulerId}_${index} COMPLETED`),
        );
      });

      it("tells how an array failed of which one element did", async () => {
        const job = await settle(await submit("#SBATCH --array=1-2\nexit $((SLURM_ARRAY_TASK_ID == 2 ? 4 : 0))"));
        expect(job.status).toBe("failed");
        await storyOf(job.id);
      });

      it("tells the exit code of a failing job", async () => {
        const job = await settle(await submit("exit 3"));
        expect(job).toMatchObject({ status: "failed", exitCode: 3, schedulerState: "FAILED" });
        await storyOf(job.id);
      });

      it("tells that the time limit ended a job", async () => {
        const id = await submit("sleep 600", { resources: { timeLimitSeconds: 60 } });
        await reachStatus(id, "running");
        expect(await settle(id)).toMatchObject({ status: "failed", reason: "timeout", schedulerState: "TIMEOUT" });
        await storyOf(id);
      });

      it("cancels a running job", async () => {
        const id = await submit("sleep 600");
        await reachStatus(id, "running");
        expect((await firewatch.call("POST", `jobs/${id}/cancel`)).status).toBe(202);
        const job = await settle(id);
        expect(job.status).toBe("cancelled");
        await storyOf(id);
        const [row] = await seat.jobs.accounting({ ids: [job.schedulerId ?? ""] });
        expect(row).toMatchObject({ state: "CANCELLED", cancelledBy: seat.identity.user.id });
      });

      it("sees a held job wait until it is released", async () => {
        const id = await submit("#SBATCH --hold\ntrue");
        const held = await reach(id, "the queueing", (job) => job.status === "queued" && job.schedulerId !== undefined);
        await eventually(
          async () => (await seat.jobs.show(held.schedulerId ?? ""))[0]?.reason === "JobHeldUser" || undefined,
          "the hold",
        );
        expect((await read(id)).status).toBe("queued");
        await seat.jobs.release(held.schedulerId ?? "");
        expect((await settle(id)).status).toBe("succeeded");
        await storyOf(id);
      });

      it("follows a job that is requeued to the end of its second run", async () => {
        const id = await submit("case $SLURM_RESTART_COUNT in ''|0) sleep 600 ;; esac");
        const { schedulerId = "" } = await reachStatus(id, "running");
        await seat.jobs.requeue(schedulerId);
        const job = await settle(id);
        expect(job).toMatchObject({ status: "succeeded", schedulerId });
        const [row] = await seat.jobs.show(schedulerId);
        expect(row?.restarts).toBe(1);
        await storyOf(id);
      });

      const held = cluster.memoryCgroup !== undefined;
      it.skipIf(!held)(
        `tells that a job ran out of memory${held ? "" : " (skipped: this Slurm has no memory cgroup to hold jobs to their memory)"}`,
        async () => {
          const id = await submit("head -c 400000000 /dev/zero | tail > /dev/null; sleep 5", {
            resources: { memoryMiB: 50 },
          });
          expect(await settle(id)).toMatchObject({
            status: "failed",
            reason: "out_of_memory",
            schedulerState: "OUT_OF_MEMORY",
          });
          await storyOf(id);
        },
      );

      it("tells in sbatch's words why a job is refused", async () => {
        const job = await settle(await submit("true", { resources: { partition: "nosuch" } }));
        expect(job).toMatchObject({ status: "failed", reason: "rejected" });
      });
    });
  }
});
