/** Rows of jobs, and the one way in which a step of a job becomes true: record, events, outputs and waiters together. */

import type { Event } from "../../shared/contract/event.ts";
import type { Job, JobsQuery } from "../../shared/contract/job.ts";
import type { Answer, Page, Refusal } from "../../shared/contract/rpc.ts";
import { isEndedJob, type JobStatus, type TransferStatus } from "../../shared/contract/states.ts";
import {
  type Announcement,
  isTracked,
  type JobRecord,
  type SeenJob,
  type Step,
  settle,
} from "../../shared/domain/job.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import { nextRoundAt } from "../../shared/domain/pace.ts";
import { manifestName } from "../../shared/firecrest/manifest.ts";
import type { JobObservation } from "../../shared/firecrest/port.ts";
import { waitingFor } from "../../shared/firecrest/waiting.ts";
import { tagOf } from "../../shared/ids.ts";
import type { Actor } from "./access.ts";
import { trackedErrands } from "./errands.ts";
import type { House } from "./house.ts";
import { announce } from "./ledger.ts";
import { endOutputs } from "./outputs.ts";
import { pageOf } from "./page.ts";
import { planTidy } from "./transfers.ts";

export function jobRecord(house: House, id: string): JobRecord | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM jobs WHERE id = ?", id);
  return row === undefined ? undefined : (JSON.parse(row.doc) as JobRecord);
}

export function insertJob(house: House, record: JobRecord): void {
  house.run(
    "INSERT INTO jobs (id, system, status, live, doc) VALUES (?, ?, ?, 1, ?)",
    record.id,
    record.system,
    record.status,
    JSON.stringify(record),
  );
  tell(house, record, [{ type: "job.accepted" }]);
}

/**
 * Jobs of a system that the scheduler has to be asked about. One whose end it can no longer take back is over for good from
 * here on. Call inside `house.change`.
 */
export function trackedJobs(house: House, system: string): JobRecord[] {
  const now = house.now();
  const live = house
    .rows<{ doc: string }>("SELECT doc FROM jobs WHERE live = 1 AND system = ? ORDER BY id", system)
    .map(({ doc }) => JSON.parse(doc) as JobRecord);
  for (const record of live) if (isEndedJob(record.status) && !isTracked(record, now)) saveJob(house, record);
  return live.filter((record) => isTracked(record, now));
}

/** Which job of the scheduler a command can be run beside. That it runs, only the scheduler knows for certain. */
export function attachable(house: House, id: string): Answer<{ system: string; schedulerId: string }> {
  const record = jobRecord(house, id);
  if (record === undefined) return { ok: false, code: "not_found" };
  const refused = (detail: string): Refusal => ({ ok: false, code: "conflict", detail });
  if (isEndedJob(record.status)) return refused("This job has ended: nothing can be run beside it.");
  if (record.watched === true)
    return refused("This job is only watched; whoever submitted it may run something beside it.");
  if (record.schedulerId === undefined)
    return refused("This job is not with the scheduler yet. Wait until it is running.");
  return { ok: true, value: { system: record.system, schedulerId: record.schedulerId } };
}

/** Makes a step true. Call inside `house.change`. */
export function applyJob(house: House, step: Step): JobRecord {
  if (!step.changed) return step.record;
  const ended = step.announce.some(({ type }) => isEndedJob(type.slice("job.".length) as JobStatus));
  // With nothing to fetch, the end and the settling are one row.
  const settled = ended && step.record.outputs.length === 0 ? settle(step.record, house.now()) : undefined;
  saveJob(house, settled?.record ?? step.record);
  tell(house, step.record, step.announce);
  if (settled !== undefined) {
    tell(house, settled.record, settled.announce);
    return settled.record;
  }
  if (!ended) return step.record;
  endOutputs(house, step.record);
  return settleJob(house, step.record.id);
}

/** After an output changed: the job's list of outputs follows, and the job is settled when the last has ended. */
export function settleJob(house: House, id: string): JobRecord {
  const record = jobRecord(house, id);
  if (record === undefined) throw new Error(`job ${id} has no row`);
  const rows = new Map(
    house
      .rows<{ id: string; status: TransferStatus; detail: string | null }>(
        "SELECT id, status, json_extract(doc, '$.detail') AS detail FROM transfers WHERE job_id = ?",
        id,
      )
      .map((row) => [row.id, row]),
  );
  const outputs = record.outputs.map((output) => ({
    ...output,
    status: rows.get(output.transferId)?.status ?? output.status,
  }));
  const failed = outputs.filter((output, n) => output.status === "failed" && record.outputs[n]?.status !== "failed");
  const warnings = failed.map(({ path, transferId }) => ({
    code: "output_failed",
    message: `${path}: ${rows.get(transferId)?.detail ?? "it could not be fetched"}`,
  }));
  const followed: JobRecord =
    JSON.stringify(outputs) === JSON.stringify(record.outputs)
      ? record
      : { ...record, outputs, warnings: [...record.warnings, ...warnings] };
  const step = settle(followed, house.now());
  if (step.changed || followed !== record) saveJob(house, step.record);
  tell(house, step.record, step.announce);
  const { manifest, workingDirectory } = step.record;
  if (step.changed && manifest === true && workingDirectory !== undefined)
    planTidy(house, id, record.system, [`${workingDirectory}/${manifestName(tagOf(id))}`]);
  return step.record;
}

export function saveJob(house: House, record: JobRecord): void {
  const live = !isEndedJob(record.status) || (record.revocableUntil ?? 0) > house.now() ? 1 : 0;
  house.run(
    "UPDATE jobs SET status = ?, live = ?, doc = ? WHERE id = ?",
    record.status,
    live,
    JSON.stringify(record),
    record.id,
  );
}

function tell(house: House, record: JobRecord, announcements: Announcement[]): void {
  for (const { type, extra } of announcements) {
    const data: Event["data"] = { ...viewJob(record, house.name), ...extra };
    announce(house, { type, subject: `jobs/${record.id}`, data, jobId: record.id });
  }
}

/** With what the scheduler's reason for waiting means. */
export function seenJob(observation: JobObservation): SeenJob {
  const waiting = observation.pendingReason === undefined ? undefined : waitingFor(observation.pendingReason);
  return waiting === undefined ? observation : { ...observation, waiting };
}

/** A job that is about to end is still shown as running for a moment. */
const EAGER_MS = 700;
const EAGER_FOR_MS = 15_000;

/** The job itself says that something happens: the scheduler stays the truth, it is only asked sooner. */
export function pinged(house: House, id: string, token: string): void {
  const job = jobRecord(house, id);
  if (job?.pingToken === undefined || job.pingToken !== token || isEndedJob(job.status)) return;
  // Its first words while it is known to run are old news: one look is enough.
  if (job.calls === true || job.status !== "running") house.eager.set(id, { system: job.system, saidAt: house.now() });
  house.change(() => {
    if (job.calls !== true) saveJob(house, { ...job, calls: true });
    // It may begin before the answer to its submission is in: then it is asked about when that comes.
    if (isTracked(job, house.now())) house.due("round", job.system, house.now() + 200, true);
  });
}

/** Whether a job of this system said something that is not seen yet. */
export function isEager(house: House, system: string): boolean {
  for (const [id, { saidAt }] of house.eager) if (saidAt + EAGER_FOR_MS <= house.now()) house.eager.delete(id);
  return [...house.eager.values()].some((job) => job.system === system);
}

/** A look that began then saw the job go on: what it said before is known now. */
export function heard(house: House, id: string, requestedAt: number): void {
  if ((house.eager.get(id)?.saidAt ?? Number.POSITIVE_INFINITY) <= requestedAt) house.eager.delete(id);
}

/** Puts the next round of a system, with these live jobs, on the agenda. */
export function paceRound(house: House, system: string, requestsPerMinute: number, jobs: readonly JobRecord[]): void {
  const now = house.now();
  const paced = jobs.map((record) => ({
    status: record.status,
    changedAt: record.changedAt,
    doubtful: record.suspicion !== undefined || record.missingSince !== undefined || isEndedJob(record.status),
    ...(record.startedAt === undefined ? {} : { startedAt: record.startedAt }),
    ...(record.timeLimitSeconds === undefined ? {} : { timeLimitSeconds: record.timeLimitSeconds }),
    ...(record.calls === undefined ? {} : { calls: true }),
  }));
  const errands = trackedErrands(house, system).map(({ since }) => ({
    status: "queued",
    changedAt: since,
    doubtful: false,
  }));
  const spending = { requestsPerMinute, lastRound: house.lastRounds.get(system) };
  const paceAt = nextRoundAt([...paced, ...errands], spending, now, house.random());
  const at = paceAt !== undefined && isEager(house, system) ? Math.min(paceAt, now + EAGER_MS) : paceAt;
  if (at === undefined) house.notDue("round", system);
  else house.due("round", system, at);
}

export function listJobs(house: House, query: JobsQuery, actor: Actor): Page<Job> {
  const limit = query.limit ?? 50;
  const label =
    query.label === undefined
      ? undefined
      : {
          name: query.label.slice(0, query.label.indexOf(":")),
          value: query.label.slice(query.label.indexOf(":") + 1),
        };
  const conditions = ["id < ?"];
  const bindings: SqlStorageValue[] = [query.cursor ?? "job_~"];
  if (query.status !== undefined) conditions.push("status = ?") && bindings.push(query.status);
  if (query.system !== undefined) conditions.push("system = ?") && bindings.push(query.system);
  if (label !== undefined)
    conditions.push("EXISTS (SELECT 1 FROM json_each(doc, '$.labels') WHERE key = ? AND value = ?)") &&
      bindings.push(label.name, label.value);
  if (actor.systems !== undefined)
    conditions.push("system IN (SELECT value FROM json_each(?))") && bindings.push(JSON.stringify(actor.systems));
  if (actor.ownOnly === true) conditions.push("json_extract(doc, '$.actor') = ?") && bindings.push(actor.name);
  const rows = house.rows<{ doc: string }>(
    `SELECT doc FROM jobs WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT ?`,
    ...bindings,
    limit,
  );
  return pageOf(rows, limit, ({ doc }) => viewJob(JSON.parse(doc) as JobRecord, house.name));
}
