/**
 * `npm run demo`: the main job on real input. A signed webhook becomes a real job, its end becomes a verified callback, its
 * result lands byte-identical in R2 and its staging link dies, all through three real Workers. Every claim in the summary is
 * checked here, from outside; the exit code says whether all of them hold.
 */
import { createHash, randomBytes, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";
import { Webhook } from "standardwebhooks";
import type { Event } from "../shared/contract/event.ts";
import type { Job } from "../shared/contract/job.ts";
import type { Transfer } from "../shared/contract/transfer.ts";
import { type Launched, launch } from "./launch.ts";
import { followProgress } from "./progress.ts";
import { type Receiver, startReceiver } from "./receiver.ts";
import { firecrestOnSlurm } from "./slurm/firecrest.ts";
import { bold, dim, green, red, Timeline } from "./timeline.ts";
import { isDead, witnessLinks } from "./witness.ts";

const values = readOptions();
if (values.help || (values.api !== "v1" && values.api !== "v2")) {
  console.error("npm run demo [-- --json] [-- --api v1|v2] [-- --slurm]");
  process.exit(values.help ? 0 : 2);
}
const api: "v1" | "v2" = values.api;

const PATIENCE_MS = 60_000;
const KEY = "results/walk.csv";

/** A real computation: random walks, written as a table of some megabytes. Seed and size come from the webhook's payload. */
const SCRIPT = `#!/bin/bash -l
#SBATCH --time=00:05:00
set -eu
echo "walking $STEPS steps from seed $SEED for: $TITLE"
awk -v seed="$SEED" -v steps="$STEPS" 'BEGIN {
  srand(seed); x = 0; y = 0; print "step,x,y,distance"
  for (i = 1; i <= steps; i++) { x += rand() - 0.5; y += rand() - 0.5; printf "%d,%.6f,%.6f,%.6f\\n", i, x, y, sqrt(x*x + y*y) }
}' > walk.csv
sleep 1
echo "done: $(wc -c < walk.csv) bytes"
`;

/** What a lab instrument might send: nothing in it is trusted, least of all the title. */
const PAYLOAD = { run: { seed: 42, steps: 120_000 }, title: `Tuesday's "walk" $(rm -rf ~) \`id\`` };

const STEPS: Partial<Record<Event["type"], string>> = {
  "job.accepted": "durable and answered with 202, before FirecREST was asked anything",
  "job.queued": "the scheduler has it, under a name that finds it again if an answer gets lost",
  "job.running": "one question to the scheduler for all jobs of a system, not one per job",
  "job.succeeded": "announced once, to every receiver",
  "transfer.staged": "FirecREST has put the file into its staging area: a debt is open",
  "transfer.stored": "proven identical first, then published under its key",
  "transfer.released": "the object store itself says that the link is dead",
  "transfer.unreleased": "FirecREST v2 has no way to release a link: it is forgotten, its end is on record",
  "job.settled": "every output has ended",
};

const timeline = new Timeline();
let launched: Launched | undefined;
let receiver: Receiver | undefined;

try {
  const result = await demo();
  report(result);
  if (values.json) console.log(JSON.stringify(result));
  process.exitCode = result.ok ? 0 : 1;
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error);
  timeline.plain(`\n${red("The demo failed:")} ${reason}`);
  if (values.json) console.log(JSON.stringify({ ok: false, api, error: reason }));
  process.exitCode = 1;
} finally {
  await receiver?.stop();
  await launched?.stop();
}

async function demo() {
  const startedAt = Date.now();
  timeline.head(`Firewatch demo, FirecREST ${api}`);
  launched = await launch({
    port: 0,
    firecrestPort: 0,
    apis: [api],
    ...(values.slurm ? { firecrest: await firecrestOnSlurm() } : {}),
  });
  const { firecrest, connections } = launched;
  const connection = connections[`local-${api}`];
  if (connection === undefined) throw new Error(`the embedded FirecREST does not speak ${api}`);
  const call = caller(connection.apiKey);
  const links = witnessLinks(firecrest);
  timeline.say(
    "three Workers and a FirecREST up",
    `api, poller and transfer in workerd; ${values.slurm ? "a real Slurm" : "real files and processes"} behind FirecREST`,
  );

  // A hook for the sender, a subscription for the receiver.
  let callbackSecret: string | undefined;
  receiver = await startReceiver(() => callbackSecret);
  const subscription = await call<{ secret: string }>("POST", `${connection.url}/subscriptions`, {
    url: receiver.url,
    events: ["job.*", "transfer.*"],
  });
  callbackSecret = subscription.secret;
  const senderSecret = `whsec_${randomBytes(32).toString("base64")}`;
  const hook = await call<{ url: string }>("PUT", `${connection.url}/hooks/instrument`, {
    source: "standard-webhooks",
    secrets: [senderSecret],
    params: {
      seed: { from: "/run/seed", type: "integer", min: 0 },
      steps: { from: "/run/steps", type: "integer", min: 1, max: 1_000_000 },
      title: { from: "/title", type: "string", maxLength: 200 },
    },
    target: {
      job: {
        system: "cluster",
        name: "walk",
        script: SCRIPT,
        env: { SEED: "{seed}", STEPS: "{steps}", TITLE: "{title}" },
        outputs: [{ path: "walk.csv", key: KEY }],
      },
    },
    sample: PAYLOAD,
  });
  timeline.say("a hook and a subscription", "who may start what, and who hears of it");

  // The webhook, signed as any Standard Webhooks sender does.
  const body = JSON.stringify(PAYLOAD);
  const id = `msg_${randomUUID().replaceAll("-", "")}`;
  const now = new Date();
  const headers = {
    "content-type": "application/json",
    "webhook-id": id,
    "webhook-timestamp": String(Math.floor(now.getTime() / 1000)),
    "webhook-signature": new Webhook(senderSecret).sign(id, now, body),
  };
  const posted = await fetch(hook.url, { method: "POST", headers, body });
  const accepted = (await posted.json()) as { jobId?: string; outcome?: string };
  if (posted.status !== 202 || accepted.jobId === undefined)
    throw new Error(`the hook answered ${posted.status}: ${JSON.stringify(accepted)}`);
  timeline.say("signed webhook sent", `202, job ${accepted.jobId.slice(0, 12)}…`);

  const stopProgress = followProgress(connection.url, connection.apiKey, (progress) => timeline.bar(progress));
  await follow(call, connection.url, accepted.jobId).finally(stopProgress);
  const job = await call<Job>("GET", `${connection.url}/jobs/${accepted.jobId}`);
  const transferId = job.outputs[0]?.transferId;
  if (job.status !== "succeeded")
    throw new Error(`the job ended as ${job.status} (${job.reason ?? "no reason"}: ${job.detail ?? ""})`);
  const ended = await receiver.waitFor("job.succeeded", PATIENCE_MS);
  await receiver.waitFor("job.settled", PATIENCE_MS);

  // The result, against the file that the job really wrote.
  const stored = await fetch(`${connection.url}/objects/${KEY}`, {
    headers: { authorization: `Bearer ${connection.apiKey}` },
  });
  const bytes = Buffer.from(await stored.arrayBuffer());
  const transfer = await call<Transfer>("GET", `${connection.url}/transfers/${transferId}`);
  const original = await readFile(transfer.path);
  const sha256 = hashOf(bytes);
  const dead = await Promise.all(links.map(isDead));

  const staging =
    api === "v1"
      ? { released: transfer.link.state === "released", linkDead: dead.length > 0 && dead.every(Boolean) }
      : { released: false as const, expiresAt: transfer.link.expiresAt };
  const result = {
    ok: false,
    api,
    job: { id: job.id, status: job.status, schedulerId: job.schedulerId },
    callback: {
      verified: ended.verified && receiver.received.every(({ verified }) => verified),
      type: ended.event.type,
      latencyMs: ended.receivedAt - Date.parse(ended.event.timestamp),
    },
    object: {
      key: KEY,
      bytes: bytes.length,
      sha256,
      matches: stored.ok && bytes.length > 0 && sha256 === hashOf(original) && sha256 === transfer.sha256,
    },
    staging,
    elapsedMs: Date.now() - startedAt,
  };
  const paid = "linkDead" in staging ? staging.released && staging.linkDead : staging.expiresAt !== undefined;
  result.ok = result.callback.verified && result.object.matches && paid;
  return result;
}

/** Prints events as they come, from the ledger, until the job is settled and its link has met its end. */
async function follow(call: ReturnType<typeof caller>, url: string, jobId: string): Promise<void> {
  let after = 0;
  const wanted = new Set<string>(["job.settled", "link"]);
  for (const deadline = Date.now() + PATIENCE_MS; wanted.size > 0; ) {
    if (Date.now() > deadline)
      throw new Error(`after ${PATIENCE_MS / 1000} s still waiting for ${[...wanted].join(" and ")}`);
    const { items } = await call<{ items: Event[] }>("GET", `${url}/jobs/${jobId}/events?after=${after}`);
    for (const event of items) {
      after = event.sequence;
      timeline.say(event.type, STEPS[event.type] ?? "");
      wanted.delete(event.type);
      if (event.type === "transfer.released" || event.type === "transfer.unreleased") wanted.delete("link");
      if (event.type === "transfer.failed") throw new Error(`the transfer failed: ${JSON.stringify(event.data)}`);
      if (event.type === "job.failed") throw new Error(`the job failed: ${JSON.stringify(event.data)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 150));
  }
}

function hashOf(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function readOptions() {
  try {
    const options = {
      json: { type: "boolean", default: false },
      api: { type: "string", default: "v1" },
      slurm: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    } as const;
    return parseArgs({ options, allowPositionals: false }).values;
  } catch (error) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(2);
  }
}

/** Calls the API as a user does; anything but success is the end of the demo. */
function caller(apiKey: string) {
  return async <T>(method: string, url: string, body?: unknown): Promise<T> => {
    const response = await fetch(url, {
      method,
      headers: { authorization: `Bearer ${apiKey}`, "content-type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const answer: unknown = await response.json();
    if (!response.ok)
      throw new Error(`${method} ${new URL(url).pathname} answered ${response.status}: ${JSON.stringify(answer)}`);
    return answer as T;
  };
}

function report(result: Awaited<ReturnType<typeof demo>>): void {
  const mark = (ok: boolean) => (ok ? green("✓") : red("✗"));
  const { staging } = result;
  const link =
    "linkDead" in staging
      ? `${mark(staging.released && staging.linkDead)} staging link  released, and the object store answers that it is dead`
      : `${mark(staging.expiresAt !== undefined)} staging link  forgotten; FirecREST v2 cannot release it, it expires ${staging.expiresAt ?? "?"}`;
  timeline.plain(`
${mark(result.job.status === "succeeded")} job           ${result.job.status}, scheduler id ${result.job.schedulerId}
${mark(result.callback.verified)} callback      ${result.callback.type}, signature verified, ${result.callback.latencyMs} ms after the event
${mark(result.object.matches)} result        ${bold(result.object.key)}, ${result.object.bytes.toLocaleString("en")} bytes, byte-identical
                ${dim(`sha256 ${result.object.sha256}`)}
${link}

${result.ok ? green("All of it holds") : red("Not all of it holds")}, in ${(result.elapsedMs / 1000).toFixed(1)} s. Next: ${bold("npm start")}, then README.md, "Your first webhook".`);
}
