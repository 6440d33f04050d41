/** Jobs that somebody else submitted: followed by their id, or by a name that is looked for until a job bears it. */
import type { Job, WatchRequest } from "../../shared/contract/job.ts";
import type { Answer } from "../../shared/contract/rpc.ts";
import { type JobRecord, notSeen, observed, type Step } from "../../shared/domain/job.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import { expectedRequests } from "../../shared/domain/pace.ts";
import { chooseNamed, nextNameLookAt } from "../../shared/domain/watch.ts";
import type { NameLookup } from "../../shared/firecrest/port.ts";
import { type Desk, invalid, type Options, traceOf } from "./accept.ts";
import { type Actor, audit } from "./access.ts";
import { followInChat } from "./channels/follows.ts";
import { systemProblems, urlProblems } from "./examine.ts";
import { siteAnswered } from "./health.ts";
import { applyJob, insertJob, jobRecord, seenJob } from "./jobs.ts";
import { jobReceivers, saveReceiver } from "./receivers.ts";
import { remember, replay } from "./repeats.ts";
import type { Look } from "./tracking.ts";

/** What is watched stays `accepted` until the scheduler has shown it. */
export async function watch(
  desk: Desk,
  actor: Actor,
  request: WatchRequest,
  options: Options,
): Promise<Answer<{ job: Job; replayed: boolean }>> {
  const { house } = desk;
  const before = replay<Job>(house, actor, options.idempotency);
  if (before !== undefined) return before.ok ? { ok: true, value: { job: before.value, replayed: true } } : before;
  const problems = [...systemProblems(desk, actor, request.system), ...urlProblems(desk, request)];
  if (problems.length > 0) return invalid(problems);
  const id = house.id("job");
  const receivers = await jobReceivers(house, desk.seal, id, request.callbacks);
  const now = house.now();
  const { system, schedulerId, name, labels } = request;
  const record: JobRecord = {
    id,
    system,
    status: "accepted",
    run: 1,
    acceptedAt: now,
    changedAt: now,
    actor: actor.name,
    tagged: false,
    watched: true,
    outputs: [],
    warnings: [],
    ...(schedulerId === undefined ? {} : { schedulerId }),
    ...(name === undefined ? {} : { name, schedulerName: name }),
    ...(labels === undefined ? {} : { labels }),
    ...traceOf(options.origin),
  };
  return house.change((): Answer<{ job: Job; replayed: boolean }> => {
    const raced = replay<Job>(house, actor, options.idempotency);
    if (raced !== undefined) return raced.ok ? { ok: true, value: { job: raced.value, replayed: true } } : raced;
    for (const receiver of receivers) saveReceiver(house, receiver);
    insertJob(house, record);
    if (options.chat !== undefined) followInChat(house, actor, { ...options.chat, jobId: id }, options.origin);
    if (schedulerId === undefined) house.due("watch", id, now);
    else house.due("round", system, now, true);
    audit(house, actor, "job.watch", `jobs/${id}`, options.origin);
    const job = viewJob(record, house.name);
    remember(house, actor, options.idempotency, job);
    return { ok: true, value: { job, replayed: false } };
  });
}

/** A name that nobody bears yet is due. Call inside `house.change`. */
export function beginNameLook(desk: Desk, id: string): Look | undefined {
  const { house, site } = desk;
  const job = jobRecord(house, id);
  const names = house.row<{ n: number }>("SELECT count(*) AS n FROM agenda WHERE kind = 'watch'")?.n ?? 1;
  const next =
    job === undefined || job.schedulerId !== undefined
      ? undefined
      : nextNameLookAt(job.acceptedAt, names, site.config().requestsPerMinute, house.now());
  if (job === undefined || next === undefined) {
    house.notDue("watch", id);
    return undefined;
  }
  const granted = expectedRequests(undefined);
  const wait = site.take(granted, "poll");
  house.due("watch", id, wait ?? next);
  return wait === undefined ? { what: `name ${id}`, look: () => lookForName(desk, job, granted) } : undefined;
}

/** Waiting and running jobs are listed whatever their age; what ended before that is none that was asked for. */
const BEFORE_MS = 24 * 3_600_000;

async function lookForName(desk: Desk, { id, system, name, acceptedAt }: JobRecord, granted: number): Promise<void> {
  const { house, site } = desk;
  const { firecrest, requests } = site.client();
  try {
    const look = await firecrest.findByName(system, name ?? "", acceptedAt - BEFORE_MS);
    house.change(() => {
      siteAnswered(house);
      const job = jobRecord(house, id);
      if (job === undefined || job.schedulerId !== undefined) return;
      const step = lookedForName(job, look, house.now());
      applyJob(house, step);
      if (step.record.schedulerId === undefined) return;
      house.notDue("watch", id);
      house.due("round", system, house.now() + 1_000, true);
    });
    house.log({ event: "watch.looked", job: id, matches: look.matches.length, conclusive: look.conclusive });
  } finally {
    site.settle(granted, requests());
  }
}

function lookedForName(job: JobRecord, look: NameLookup, now: number): Step {
  const choice = chooseNamed(look.matches, job);
  if (choice.found !== undefined) {
    const { schedulerId } = choice.found;
    const several = {
      code: "several_jobs",
      message: `More than one job bears this name; ${schedulerId}, the oldest, is followed.`,
    };
    const warnings = choice.several ? [...job.warnings, several] : job.warnings;
    const { passedOver: _, ...named } = { ...job, schedulerId, warnings };
    const step = observed(named, seenJob(choice.found), look.requestedAt, now);
    return { ...step, changed: true };
  }
  // Jobs that had ended before are remembered at the first look: what ends later is news.
  const noted = job.passedOver === undefined ? { ...job, passedOver: choice.passedOver } : job;
  const step: Step = look.conclusive
    ? notSeen(noted, look.requestedAt, now)
    : { record: noted, announce: [], changed: false };
  return noted === job ? step : { ...step, changed: true };
}
