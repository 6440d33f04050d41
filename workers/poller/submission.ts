/** The submission of a job, from the plan to the scheduler's id, through every doubt. */
import { isEndedJob, type JobReason } from "../../shared/contract/states.ts";
import { LOOKUP_OFFSETS_MS, type LookupVerdict, lookedUp, retryDelayMs } from "../../shared/domain/effect.ts";
import { endedByUs, submitted } from "../../shared/domain/job.ts";
import type { NameLookup } from "../../shared/firecrest/port.ts";
import { type EffectRecord, effectsOf, hintAt, move, plan } from "./effects.ts";
import type { House } from "./house.ts";
import { applyJob, jobRecord, saveJob } from "./jobs.ts";

/** A request that the site cannot take for this long ends in a person's hands. */
export const SUBMIT_PATIENCE_MS = 24 * 3_600_000;

/** `begin` of a submission: the job leaves `accepted`. Answers false when there is nothing left to submit. */
export function beginSubmission(house: House, effect: EffectRecord): boolean {
  const job = jobRecord(house, effect.subject);
  if (job === undefined || isEndedJob(job.status) || job.schedulerId !== undefined) return false;
  if (job.status !== "submitting") saveJob(house, { ...job, status: "submitting", changedAt: house.now() });
  return true;
}

/** The scheduler has the job. A cancel that was asked for meanwhile goes out now. */
export function adopted(
  house: House,
  effect: EffectRecord,
  taken: { schedulerId: string; workingDirectory?: string; stdoutPath?: string; stderrPath?: string },
  warning?: { code: string; message: string },
): void {
  const job = jobRecord(house, effect.subject);
  if (job === undefined) return;
  move(house, effect, "done");
  const warned = warning === undefined ? job : { ...job, warnings: [...job.warnings, warning] };
  const next = applyJob(
    house,
    submitted(
      warned,
      { ...taken, ...(effect.sentAt === undefined ? {} : { submittedAt: effect.sentAt }) },
      house.now(),
    ),
  );
  if (next.cancelRequestedAt !== undefined) plan(house, "cancel", next.id);
  // What calls by itself may even have ended.
  house.due("round", next.system, house.now() + (next.calls === true ? 200 : 1_000), true);
}

/** The site refused the job, for good. */
export function refused(house: House, effect: EffectRecord, reason: JobReason, detail: string): void {
  move(house, effect, "refused", { doc: { lastError: detail } });
  const job = jobRecord(house, effect.subject);
  if (job !== undefined) applyJob(house, endedByUs(job, "failed", reason, detail, house.now()));
}

/** Nothing reached the site: again later, until patience ends. */
export function submitLater(
  house: House,
  effect: EffectRecord,
  detail: string,
  retryAfterSeconds: number | undefined,
): void {
  const now = house.now();
  if (now - effect.doc.plannedAt > SUBMIT_PATIENCE_MS) {
    refused(house, effect, "rejected", `The site could not be reached for a day. Last: ${detail}`);
    return;
  }
  move(house, effect, "planned", {
    dueAt: now + retryDelayMs(effect.attempt, house.random(), retryAfterSeconds),
    doc: { lastError: detail },
  });
}

/** However slow token and site are: no consumer of the queue lives longer than this, in ms after the attempt began. */
const ANSWER_COMES_WITHIN_MS = 15 * 60_000;

/**
 * Nothing was heard of an untagged submission in time. No look can find such a job, but whoever sends it may still be at it
 * and know its id: that is waited for. False for jobs that can be looked up. Call inside `house.change`.
 */
export function awaitAnswer(house: House, effect: EffectRecord): boolean {
  if (jobRecord(house, effect.subject)?.tagged !== false) return false;
  return move(house, effect, "unknown", { dueAt: (effect.sentAt ?? house.now()) + ANSWER_COMES_WITHIN_MS });
}

/** It may have been submitted: from here on only looking decides. Untagged jobs cannot be looked up: a person decides. */
export function submissionUnknown(house: House, effect: EffectRecord, detail: string): void {
  const job = jobRecord(house, effect.subject);
  if (job === undefined) return;
  if (!job.tagged) {
    move(house, effect, "unknown");
    refusedUnknown(
      house,
      { ...effect, state: "unknown" },
      "The answer to the submission was lost, and this script cannot carry a tag to find the job again.",
    );
    return;
  }
  const sentAt = effect.sentAt ?? house.now();
  move(house, effect, "unknown", {
    dueAt: Math.max(house.now(), sentAt + LOOKUP_OFFSETS_MS[0]),
    doc: { lastError: detail, ambiguity: { sentAt, lookups: 0 } },
  });
}

function refusedUnknown(house: House, effect: EffectRecord, detail: string): void {
  refused(
    house,
    effect,
    "outcome_unknown",
    `${detail} Check the scheduler for the job's name before submitting it again.`,
  );
}

/** Nobody lives any more who could tell what became of an untagged submission. Call inside `house.change`. */
export function answerNeverCame(house: House, effectId: string): void {
  const effect = effectsByIdUnknown(house, effectId);
  if (effect !== undefined) submissionUnknown(house, effect, "The outcome was never reported.");
}

/** One look for the job by its name. `look` is undefined when the site could not be read. */
export function looked(house: House, effectId: string, look: NameLookup | undefined): LookupVerdict | undefined {
  const effect = effectsByIdUnknown(house, effectId);
  const ambiguity = effect?.doc.ambiguity;
  if (effect === undefined || ambiguity === undefined) return undefined;
  const verdict = lookedUp(ambiguity, look && summaryOf(look), effect.doc.resends ?? 0, house.now());
  switch (verdict.do) {
    case "adopt": {
      const paths = pathsTaken(look, verdict.schedulerId);
      const several = {
        code: "several_jobs",
        message: `More than one job carries this name on the machine; ${verdict.schedulerId} is followed. Check the others.`,
      };
      adopted(house, effect, { schedulerId: verdict.schedulerId, ...paths }, verdict.several ? several : undefined);
      break;
    }
    case "resend": {
      const { ambiguity: _, handle: _h, ...doc } = effect.doc;
      house.run(
        "UPDATE effects SET state = 'planned', doc = ? WHERE id = ?",
        JSON.stringify({ ...doc, resends: (doc.resends ?? 0) + 1 }),
        effect.id,
      );
      hintAt(house, effect);
      break;
    }
    case "give_up":
      refusedUnknown(house, effect, "The answers to three submissions were lost, and the job was never found.");
      break;
    case "wait":
      house.run(
        "UPDATE effects SET doc = ? WHERE id = ?",
        JSON.stringify({ ...effect.doc, ambiguity: verdict.ambiguity }),
        effect.id,
      );
      house.due("effect", effect.id, verdict.untilMs);
      break;
  }
  return verdict;
}

/** What decides about a look, see `lookedUp`. */
export const summaryOf = ({ requestedAt, conclusive, matches }: NameLookup) => ({
  requestedAt,
  conclusive,
  matches: matches.map(({ schedulerId, state, startedAt, elapsedSeconds = 0 }) => ({
    schedulerId,
    state,
    ran: startedAt !== undefined || elapsedSeconds > 0,
  })),
});

/** Where an adopted job works and writes, as far as the look told. */
export function pathsTaken(look: NameLookup | undefined, schedulerId: string) {
  const match = look?.matches.find((candidate) => candidate.schedulerId === schedulerId);
  return { ...pick(match, "workingDirectory"), ...pick(match, "stdoutPath"), ...pick(match, "stderrPath") };
}

function effectsByIdUnknown(house: House, id: string): EffectRecord | undefined {
  const subject = house.row<{ subject: string }>(
    "SELECT subject FROM effects WHERE id = ? AND state = 'unknown'",
    id,
  )?.subject;
  return subject === undefined ? undefined : effectsOf(house, subject).find((effect) => effect.id === id);
}

function pick<K extends "workingDirectory" | "stdoutPath" | "stderrPath">(
  from: Partial<Record<K, string>> | undefined,
  key: K,
): Partial<Record<K, string>> {
  const value = from?.[key];
  return value === undefined ? {} : ({ [key]: value } as Record<K, string>);
}
