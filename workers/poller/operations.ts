/** File operations that the site runs as jobs: accepted, started once, followed to an end that the files prove. */
import type { FileOperation } from "../../shared/contract/file.ts";
import type { Job, Warning } from "../../shared/contract/job.ts";
import type { Answer, Idempotency, Origin, Refusal } from "../../shared/contract/rpc.ts";
import { isEndedJob } from "../../shared/contract/states.ts";
import {
  LOOKS_AFTER_MS,
  type OperationJob,
  operationSeen,
  provenBy,
  type SeenOperation,
  unknownOutcome,
} from "../../shared/domain/file-operation.ts";
import { endedByUs, type JobRecord } from "../../shared/domain/job.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { FileJob, Firecrest, Handle, HandleState } from "../../shared/firecrest/port.ts";
import { type Actor, audit, isFor } from "./access.ts";
import { type EffectRecord, effect, move, note, plan } from "./effects.ts";
import type { House } from "./house.ts";
import { applyJob, insertJob, jobRecord, saveJob } from "./jobs.ts";
import { settleKey } from "./repeats.ts";
import { planTidy } from "./transfers.ts";

export interface OperationRequest {
  system: string;
  job: FileJob;
  account?: string;
  /** A job of ours that must have succeeded first. */
  after?: string;
  warnings: Warning[];
}

/** A pending operation is believed in for this long: no list of a site reaches further back. */
const PATIENCE_MS = 7 * 24 * 3_600_000;

/** `idempotency`: its key was taken by whoever asks. */
export function acceptOperation(
  house: House,
  actor: Actor,
  request: OperationRequest,
  origin: Origin,
  idempotency?: Idempotency,
): Answer<Job> {
  const first = request.after === undefined ? undefined : predecessor(house, actor, request.after, request.system);
  if (first?.ok === false) return first;
  const { dereference: _, ...operation } = { dereference: undefined, ...request.job };
  const now = house.now();
  const record: JobRecord = {
    id: house.id("job"),
    system: request.system,
    status: "accepted",
    run: 1,
    acceptedAt: now,
    changedAt: now,
    actor: actor.name,
    tagged: false,
    operation,
    outputs: [],
    warnings: request.warnings,
  };
  return house.change((): Answer<Job> => {
    insertJob(house, record);
    plan(house, "file_job", record.id, {
      fileJob: {
        job: request.job,
        ...(request.account === undefined ? {} : { account: request.account }),
        ...(first === undefined ? {} : { after: first.value }),
      },
    });
    audit(house, actor, `files.${operation.op}`, `jobs/${record.id}`, origin);
    const job = viewJob(record, house.name);
    if (idempotency !== undefined) settleKey(house, actor.name, idempotency, { ok: true, value: { job } });
    return { ok: true, value: job };
  });
}

/** The scheduler's id of the job that an operation waits for. */
function predecessor(house: House, actor: Actor, id: string, system: string): Answer<string> {
  const job = jobRecord(house, id);
  const refused = (message: string): Refusal => ({
    ok: false,
    code: "invalid",
    errors: [{ field: "/after", message }],
  });
  if (job === undefined || !isFor(actor, job)) return refused("is no job of yours");
  if (job.system !== system) return refused(`is a job of ${job.system}, which ${system} knows nothing of`);
  if (job.schedulerId === undefined) return refused("is not with the scheduler yet; ask again when it is queued");
  return { ok: true, value: job.schedulerId };
}

/** `begin` of an operation. Undefined when there is nothing left to start. Call inside `house.change`. */
export function beginOperation(
  house: House,
  record: EffectRecord,
): (EffectRecord["doc"]["fileJob"] & { system: string }) | undefined {
  const job = jobRecord(house, record.subject);
  if (job === undefined || record.doc.fileJob === undefined || isEndedJob(job.status)) return undefined;
  if (job.status !== "submitting") saveJob(house, { ...job, status: "submitting", changedAt: house.now() });
  return { ...record.doc.fileJob, system: job.system };
}

/** The site has the operation. Call inside `house.change`. */
export function operationStarted(house: House, record: EffectRecord, handle: Handle): void {
  note(house, record, { handle }, house.now() + PATIENCE_MS);
  const job = jobOf(handle);
  if (job !== undefined) apply(house, record, { state: "working", job });
  house.due("handles", "", house.now() + 300, true);
}

const jobOf = ({ ref, logs }: Handle): OperationJob | undefined =>
  "job" in ref
    ? { schedulerId: ref.job, ...(logs === undefined ? {} : { stdoutPath: logs.output, stderrPath: logs.error }) }
    : undefined;

/** What a look at a pending operation showed. Call inside `house.change`. */
export function operationLooked(house: House, record: EffectRecord, state: HandleState): void {
  if (state.state === "working") {
    const { handle, schedulerState } = state;
    if (handle !== undefined && JSON.stringify(handle) !== JSON.stringify(record.doc.handle))
      note(house, record, { handle });
    const job = handle && jobOf(handle);
    apply(house, record, {
      state: "working",
      ...(schedulerState === undefined ? {} : { schedulerState }),
      ...(job === undefined ? {} : { job }),
    });
    return;
  }
  move(house, record, state.state === "failed" ? "refused" : "done");
  apply(house, record, state);
  // The site leaves its job's log files lying in the user's directory.
  const { system, logs } = record.doc.handle ?? {};
  if (house.meta("api") === "v2" && system !== undefined && logs !== undefined)
    planTidy(house, record.subject, system, [logs.output, logs.error]);
}

function apply(house: House, { subject }: EffectRecord, seen: SeenOperation): void {
  const job = jobRecord(house, subject);
  if (job === undefined) return;
  const next = applyJob(house, operationSeen(job, seen, house.now()));
  const wasUnknown = job.schedulerId === undefined && next.schedulerId !== undefined;
  if (wasUnknown && next.cancelRequestedAt !== undefined && !isEndedJob(next.status)) plan(house, "cancel", subject);
}

/** The site refused to start it: nothing happened. Call inside `house.change`. */
export function operationRefused(house: House, record: EffectRecord, detail: string): void {
  move(house, record, "refused", { doc: { lastError: detail } });
  const job = jobRecord(house, record.subject);
  if (job !== undefined) applyJob(house, endedByUs(job, "failed", "rejected", detail, house.now()));
}

/** The start got no answer, or no end was ever seen: from here on only the files tell. Call inside `house.change`. */
export function operationUnknown(house: House, record: EffectRecord, detail: string): void {
  const sentAt = record.sentAt ?? house.now();
  move(house, record, "unknown", {
    dueAt: Math.max(house.now(), sentAt + LOOKS_AFTER_MS[0]),
    doc: { lastError: detail, ambiguity: { sentAt, lookups: 0 } },
  });
}

/** Looks at the files of an operation whose start got no answer. Throws `FirecrestError`. */
export async function lookForOperation(house: House, id: string, firecrest: Firecrest): Promise<void> {
  const record = effect(house, id);
  const job = record && jobRecord(house, record.subject);
  if (record === undefined || job?.operation === undefined) return;
  const there = await whatIsThere(firecrest, job.system, job.operation);
  house.change(() => settleUnknown(house, id, there));
}

async function whatIsThere(firecrest: Firecrest, system: string, { from, to, path }: FileOperation) {
  const look = async (place: string | undefined): Promise<boolean | undefined> => {
    if (place === undefined) return undefined;
    try {
      await firecrest.files.stat(system, place);
      return true;
    } catch (error) {
      if (error instanceof FirecrestError && error.code === "not_found") return false;
      throw error;
    }
  };
  const [a, b, c] = await Promise.all([look(from), look(to), look(path)]);
  return {
    ...(a === undefined ? {} : { from: a }),
    ...(b === undefined ? {} : { to: b }),
    ...(c === undefined ? {} : { path: c }),
  };
}

function settleUnknown(house: House, id: string, there: Parameters<typeof provenBy>[1]): void {
  const record = effect(house, id);
  const job = record && jobRecord(house, record.subject);
  const ambiguity = record?.doc.ambiguity;
  if (record?.state !== "unknown" || job?.operation === undefined || ambiguity === undefined) return;
  if (provenBy(job.operation, there)) {
    move(house, record, "done");
    applyJob(house, operationSeen(job, { state: "done" }, house.now()));
    return;
  }
  const lookups = ambiguity.lookups + 1;
  const next = LOOKS_AFTER_MS[lookups];
  if (next !== undefined) {
    note(house, record, { ambiguity: { ...ambiguity, lookups } });
    house.due("effect", id, Math.max(house.now() + 1_000, ambiguity.sentAt + next));
    return;
  }
  move(house, record, "refused");
  const detail = unknownOutcome("The site did not answer when the operation was started", job);
  applyJob(house, endedByUs(job, "failed", "outcome_unknown", detail, house.now()));
}
