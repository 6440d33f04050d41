/** A poll round: one look at everything that lives on one system, people's jobs and errands alike. */
import { type JobRecord, notSeen, observed, type Step } from "../../shared/domain/job.ts";
import { expectedRequests, pauseAfterFailureMs } from "../../shared/domain/pace.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, Round, TrackedJob } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { errandSeen, type TrackedErrand, trackedErrands } from "./errands.ts";
import { siteAnswered, systemFailing } from "./health.ts";
import type { House } from "./house.ts";
import { applyJob, heard, isEager, jobRecord, paceRound, seenJob, trackedJobs } from "./jobs.ts";
import type { Look } from "./tracking.ts";

interface Followed {
  jobs: readonly JobRecord[];
  errands: readonly TrackedErrand[];
}

/** Call inside `house.change`. */
export function beginRound(desk: Desk, system: string): Look | undefined {
  const { house, site } = desk;
  const jobs = trackedJobs(house, system);
  const errands = trackedErrands(house, system);
  if (jobs.length + errands.length === 0) {
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
  return { what: `round ${system}`, system, look: () => round(desk, system, { jobs, errands }, granted) };
}

async function round(desk: Desk, system: string, { jobs, errands }: Followed, granted: number): Promise<void> {
  const { house, site } = desk;
  const { firecrest, requests, requestIds } = site.client();
  const startedAt = house.now();
  try {
    // A system that was down is asked for with one cheap question first.
    if (systemFailing(house, system)?.isDown === true) await expectAvailable(firecrest, system);
    const seen = await firecrest.round(system, [
      ...jobs.map((job) => tracked(job, house.now())),
      ...errands.map((errand) => errand.tracked),
    ]);
    // One commit. A round that sees nothing new writes nothing: its next time stands since before it began, unless that
    // was only guessed, or has come meanwhile.
    house.change(() => {
      house.counted.rounds++;
      siteAnswered(house, { system });
      const news = [applyRound(house, jobs, seen), applyToErrands(house, errands, seen)].includes(true);
      const isFirst = !house.lastRounds.has(system);
      house.lastRounds.set(system, requests());
      const isOverdue = house.isDue("round", system);
      // A job that spoke meanwhile may have ended after it was looked at: that round is due now.
      const isAwaited = isOverdue && isEager(house, system);
      if (!isAwaited && (news || isFirst || isOverdue))
        paceRound(house, system, site.config().requestsPerMinute, trackedJobs(house, system));
    });
    if (seen.warnings.length > 0) house.log({ event: "round.warnings", system, warnings: seen.warnings });
    house.log({
      event: "round",
      system,
      jobs: jobs.length,
      errands: errands.length,
      requests: requests(),
      seen: seen.seen.size,
      notSeen: seen.notSeen.size,
      unread: seen.unread.size,
      durationMs: house.now() - startedAt,
      requestIds: requestIds(),
    });
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    const failingForMs = startedAt - (systemFailing(house, system)?.since ?? startedAt);
    const pauseMs = pauseAfterFailureMs(failingForMs, error.retryAfterSeconds);
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
    if (job === undefined || step === undefined) continue;
    if (applyJob(house, step).status !== job.status) heard(house, job.id, round.requestedAt);
    news = true;
  }
  return news;
}

/** The same for small jobs of ours. */
function applyToErrands(house: House, errands: readonly TrackedErrand[], round: Round): boolean {
  const told = errands.filter(
    ({ tracked: { schedulerId } }) => round.seen.has(schedulerId) || round.notSeen.has(schedulerId),
  );
  return told.filter(({ id, tracked }) => errandSeen(house, id, round.seen.get(tracked.schedulerId))).length > 0;
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
