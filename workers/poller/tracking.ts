/**
 * What the alarm does: send again what got lost, look at what is pending, poll what is live. Local work first, then far
 * reads, each with its own time-out; an item's error is recorded and the others go on.
 */
import { isByteEffect } from "../../shared/domain/effect.ts";
import { type JobRecord, notSeen, observed, type Step } from "../../shared/domain/job.ts";
import { expectedRequests, pauseAfterFailureMs } from "../../shared/domain/pace.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, NameLookup, Round, TrackedJob } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { beginCensus } from "./census.ts";
import { effect, hintAt, move } from "./effects.ts";
import { beginHandles } from "./handles.ts";
import { health, siteAnswered, siteFailed } from "./health.ts";
import type { House } from "./house.ts";
import { applyJob, jobRecord, paceRound, seenJob, trackedJobs } from "./jobs.ts";
import { lookForOperation } from "./operations.ts";
import { retire } from "./retention.ts";
import { overdue, stagingLooked } from "./settle.ts";
import { looked } from "./submission.ts";
import { debtRecord, moveDebt, transferRecord } from "./transfers.ts";
import { isUpEffect, overdueUp } from "./up-bytes.ts";
import { lookForPlace } from "./up-place.ts";
import { beginNameLook } from "./watching.ts";

const BATCH = 500;

interface Due {
  kind: string;
  subject: string;
}

/** A look at the far side, begun after the commit that noted when the next one is due. */
export interface Look {
  what: string;
  look: () => Promise<void>;
}

/**
 * One pass over everything that is due. Far reads of different kinds run beside each other. First of all, in one commit,
 * everything gets its next time, which arms the alarm: whatever becomes of the looks, they are brought back.
 */
export async function attend(desk: Desk): Promise<void> {
  const { house } = desk;
  const looks = house.change(() => house.whatIsDue(BATCH).flatMap((item) => attendTo(desk, item) ?? []));
  await Promise.all(looks.map(({ what, look }) => guarded(desk, what, look)));
}

async function guarded(desk: Desk, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    if (error.code === "rate_limited") desk.site.pause(error.retryAfterSeconds);
    siteFailed(desk.house, error);
    desk.house.log({ event: "look.failed", what, code: error.code, detail: error.message });
  }
}

/** Does what needs no answer from outside, and answers what does. Call inside `house.change`. */
function attendTo(desk: Desk, { kind, subject }: Due): Look | undefined {
  const { house } = desk;
  switch (kind) {
    case "round":
      return beginRound(desk, subject);
    case "handles":
      return beginHandles(desk);
    case "effect":
      return effect(house, subject)?.state === "unknown"
        ? beginLookUp(desk, subject)
        : void attendEffect(house, subject);
    case "watch":
      return beginNameLook(desk, subject);
    case "lane":
      house.hint({ queue: "callbacks", message: { v: 1, connection: house.name } });
      house.due("lane", subject, house.now() + 15_000);
      return;
    case "debt": {
      // The calendar is the last proof: a presigned link is dead after its expiry.
      const debt = debtRecord(house, subject);
      house.notDue("debt", subject);
      if (debt?.state === "unreleasable") moveDebt(house, debt, "expires");
      return;
    }
    case "retention":
      retire(house);
      return;
    case "objects":
      return { what: "objects", look: beginCensus(house) };
    default:
      return;
  }
}

function attendEffect(house: House, id: string): void {
  const record = effect(house, id);
  if (record === undefined || record.state === "done" || record.state === "refused") house.notDue("effect", id);
  else if (record.state === "planned") hintAt(house, record);
  else if (record.state === "sent" && house.now() >= (record.deadline ?? 0)) {
    if (isUpEffect(record.kind)) overdueUp(house, record);
    else if (isByteEffect(record.kind)) move(house, record, "planned", { dueAt: house.now() });
    else overdue(house, record);
  }
}

// ----------------------------------------------------------------------------------------------------------------- rounds

function beginRound(desk: Desk, system: string): Look | undefined {
  const { house, site } = desk;
  const jobs = trackedJobs(house, system);
  if (jobs.length === 0) {
    house.notDue("round", system);
    return undefined;
  }
  const granted = expectedRequests(house.lastRounds.get(system));
  const wait = site.take(granted, "poll");
  if (wait !== undefined) {
    house.due("round", system, wait);
    return undefined;
  }
  paceRound(house, system, site.config().requestsPerMinute, jobs);
  return { what: `round ${system}`, look: () => round(desk, system, jobs, granted) };
}

async function round(desk: Desk, system: string, jobs: readonly JobRecord[], granted: number): Promise<void> {
  const { house, site } = desk;
  const { firecrest, requests, requestIds } = site.client();
  const startedAt = house.now();
  try {
    // A site that was down is asked one cheap question first.
    if (health(house).state === "unhealthy") await expectAvailable(firecrest, system);
    const seen = await firecrest.round(
      system,
      jobs.map((job) => tracked(job, house.now())),
    );
    // One commit. A round that sees nothing new writes nothing: its next time stands since before it began, unless that
    // was only guessed, or has come meanwhile.
    house.change(() => {
      house.counted.rounds++;
      siteAnswered(house);
      const news = applyRound(house, jobs, seen);
      const isFirst = !house.lastRounds.has(system);
      house.lastRounds.set(system, requests());
      if (news || isFirst || house.isDue("round", system))
        paceRound(house, system, site.config().requestsPerMinute, trackedJobs(house, system));
    });
    if (seen.warnings.length > 0) house.log({ event: "round.warnings", system, warnings: seen.warnings });
    house.log({
      event: "round",
      system,
      jobs: jobs.length,
      requests: requests(),
      seen: seen.seen.size,
      notSeen: seen.notSeen.size,
      unread: seen.unread.size,
      durationMs: house.now() - startedAt,
      requestIds: requestIds(),
    });
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    const pauseMs = pauseAfterFailureMs(
      startedAt - (health(house).firstFailureAt ?? startedAt),
      error.retryAfterSeconds,
    );
    house.change(() => house.due("round", system, house.now() + pauseMs * (0.9 + 0.2 * house.random())));
    throw error;
  } finally {
    site.settle(granted, requests());
  }
}

async function expectAvailable(firecrest: Firecrest, system: string): Promise<void> {
  const status = (await firecrest.systems()).find(({ name }) => name === system);
  if (status?.available === false)
    throw new FirecrestError(`${system} is not available`, { code: "system_unavailable", retry: "later" });
}

/** Whether anything was new. Call inside `house.change`. */
function applyRound(house: House, jobs: readonly JobRecord[], round: Round): boolean {
  const now = house.now();
  let news = false;
  const stepOf = (job: JobRecord): Step | undefined => {
    const observation = round.seen.get(job.schedulerId ?? "");
    if (observation !== undefined) return observed(job, seenJob(observation), round.requestedAt, now);
    return round.notSeen.has(job.schedulerId ?? "") ? notSeen(job, round.requestedAt, now) : undefined;
  };
  for (const before of jobs) {
    // Most jobs are where they were. Only news is worth reading a row again, which may have changed meanwhile.
    if (stepOf(before)?.changed !== true) continue;
    const job = jobRecord(house, before.id);
    const step = job && stepOf(job);
    if (step === undefined) continue;
    applyJob(house, step);
    news = true;
  }
  return news;
}

const YOUNG_MS = 60_000;

function tracked(job: JobRecord, now: number): TrackedJob {
  const ended = job.status === "succeeded" || job.status === "failed" || job.status === "cancelled";
  return {
    schedulerId: job.schedulerId ?? "",
    acceptedAt: job.acceptedAt,
    status: ended
      ? "ended"
      : job.status === "running" || job.status === "lost"
        ? job.status
        : job.status === "queued"
          ? "queued"
          : "submitting",
    confirm:
      job.missingSince !== undefined ||
      job.suspicion !== undefined ||
      ended ||
      job.status === "lost" ||
      now - (job.submittedAt ?? job.acceptedAt) < YOUNG_MS,
    ...(job.schedulerName === undefined ? {} : { name: job.schedulerName }),
    ...(job.submittedAt === undefined ? {} : { submittedAt: job.submittedAt }),
    ...(job.arraySize === undefined ? {} : { arraySize: job.arraySize }),
  };
}

// ---------------------------------------------------------------------------------------------------------------- look-ups

/** An effect whose outcome is unknown and whose look is due. */
function beginLookUp(desk: Desk, id: string): Look | undefined {
  const wait = desk.site.take(2, "user");
  desk.house.due("effect", id, wait ?? desk.house.now() + 60_000);
  return wait === undefined ? { what: `look-up ${id}`, look: () => lookUp(desk, id) } : undefined;
}

async function lookUp(desk: Desk, id: string): Promise<void> {
  const { house, site } = desk;
  const record = effect(house, id);
  if (record?.state !== "unknown") return;
  const { firecrest, requests } = site.client();
  const sentAt = record.doc.ambiguity?.sentAt ?? record.sentAt ?? house.now();
  try {
    if (record.kind === "submit") {
      const job = jobRecord(house, record.subject);
      if (job?.schedulerName === undefined) return;
      const look = await withPaths(
        firecrest,
        job.system,
        await firecrest.findByName(job.system, job.schedulerName, sentAt),
      );
      siteAnswered(house);
      const verdict = house.change(() => looked(house, id, look));
      house.log({
        event: "submission.looked_up",
        effect: id,
        job: job.id,
        matches: look.matches.length,
        conclusive: look.conclusive,
        verdict: verdict?.do,
      });
    } else if (record.kind === "file_job") {
      await lookForOperation(house, id, firecrest);
      siteAnswered(house);
    } else if (record.kind === "stage") {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined) return;
      const handle = await firecrest.findStaged(transfer.system, transfer.symlink ?? transfer.path, sentAt);
      const stat =
        handle === undefined
          ? undefined
          : await firecrest.files.stat(transfer.system, transfer.path, { dereference: true });
      siteAnswered(house);
      house.change(() =>
        stagingLooked(house, id, handle === undefined || stat === undefined ? undefined : { handle, stat }),
      );
    } else if (record.kind === "upload") {
      await lookForPlace(desk, record, firecrest, sentAt);
    }
  } catch (error) {
    if (record.kind === "submit") house.change(() => looked(house, id, undefined));
    // Where the site will never say (v1's list of a busy day is too large to read), the lost one is left to expire.
    else if (record.kind === "stage" && error instanceof FirecrestError && error.retry === "never")
      house.change(() => stagingLooked(house, id, undefined));
    else house.change(() => house.due("effect", id, house.now() + 15_000));
    throw error;
  } finally {
    site.settle(2, requests());
  }
}

/** Where an adopted job works and writes is part of what its lost answer would have told. */
async function withPaths(firecrest: Firecrest, system: string, look: NameLookup): Promise<NameLookup> {
  const matches = await Promise.all(
    look.matches.map(async (match) =>
      match.workingDirectory === undefined
        ? { ...match, ...(await firecrest.outputPaths(system, match.schedulerId)) }
        : match,
    ),
  );
  return { ...look, matches };
}
