/** What people ask for becomes rows: jobs, watches, transfers, cancels. Durable before it is answered, once per request. */

import { toBase64Url } from "../../shared/bytes.ts";
import { systemRandom } from "../../shared/clock.ts";
import type { ChatTarget } from "../../shared/contract/chat.ts";
import { type Job, JobRequest, type ResubmitRequest } from "../../shared/contract/job.ts";
import type { Answer, FieldProblem, Idempotency, Origin, Refusal } from "../../shared/contract/rpc.ts";
import { isEndedJob, isEndedTransfer } from "../../shared/contract/states.ts";
import type { Transfer, TransferRequest } from "../../shared/contract/transfer.ts";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { endedByUs, type JobRecord } from "../../shared/domain/job.ts";
import { viewJob } from "../../shared/domain/job-view.ts";
import { moved, type TransferRecord, viewTransfer } from "../../shared/domain/transfer.ts";
import type { Egress } from "../../shared/egress/egress.ts";
import type { Seal } from "../../shared/seal.ts";
import { prepareUpload } from "./accept-upload.ts";
import { type Actor, audit } from "./access.ts";
import { followInChat } from "./channels/follows.ts";
import { effectsOf, move, plan } from "./effects.ts";
import { examineJob, transferProblems } from "./examine.ts";
import type { House } from "./house.ts";
import { beginJob, cancelInputs, inputConflicts, inputsOf, isStagingIn } from "./inputs.ts";
import { sizeProblems } from "./job-size.ts";
import { applyJob, insertJob, jobRecord, saveJob } from "./jobs.ts";
import { quotaRefusal } from "./objects.ts";
import { planOutputs } from "./outputs.ts";
import { jobReceivers, saveReceiver } from "./receivers.ts";
import { remember, replay } from "./repeats.ts";
import type { Site } from "./site.ts";
import { withOpenInputs, withSealedInputs, withSealedUrl } from "./source-url.ts";
import { applyTransfer, insertTransfer, isKeyTaken, startDownload, transferRecord } from "./transfers.ts";

/** What accepting needs from the Tracker. */
export interface Desk {
  house: House;
  site: Site;
  seal: Seal;
  egress: Egress;
}

export interface Options {
  idempotency?: Idempotency;
  origin: Origin;
  /** Where people follow what they started from chat. */
  chat?: Pick<ChatTarget, "place" | "platform">;
}

/** What is known of whoever asks, beside which request it is. */
type Known = Omit<Options, "idempotency">;

export const invalid = (errors: FieldProblem[]): Refusal => ({ ok: false, code: "invalid", errors });

// ------------------------------------------------------------------------------------------------------------------- jobs

export async function acceptJob(
  desk: Desk,
  actor: Actor,
  request: JobRequest,
  options: Options,
): Promise<Answer<{ job: Job; replayed: boolean }>> {
  const taken = await once(desk.house, actor, options, () => prepareJob(desk, actor, request, options));
  return taken.ok ? { ok: true, value: { job: taken.value.made, replayed: taken.value.replayed } } : taken;
}

/** What was made under the same key before; else what is made now, with its answer kept for whoever asks again. */
async function once<T extends Job | Transfer>(
  house: House,
  actor: Actor,
  { idempotency }: Options,
  prepare: () => Promise<Prepared<T> | Refusal>,
): Promise<Answer<{ made: T; replayed: boolean }>> {
  const earlier = (): Answer<{ made: T; replayed: boolean }> | undefined => {
    const before = replay<T>(house, actor, idempotency);
    return before?.ok ? { ok: true, value: { made: before.value, replayed: true } } : before;
  };
  const before = earlier();
  if (before !== undefined) return before;
  const prepared = await prepare();
  if (!prepared.ok) return prepared;
  return house.change(() => {
    const raced = earlier();
    if (raced !== undefined) return raced;
    const made = prepared.make();
    if (!made.ok) return made;
    remember(house, actor, idempotency, made.value);
    return { ok: true, value: { made: made.value, replayed: false } };
  });
}

/**
 * What was examined and may become rows. All that leaves a transaction (sealing) is done; `make` is called inside
 * `house.change`, where it still may refuse, with nothing written.
 */
export interface Prepared<T> {
  ok: true;
  make(): Answer<T>;
}

export async function prepareJob(
  desk: Desk,
  actor: Actor,
  request: JobRequest,
  options: Known,
): Promise<Prepared<Job> | Refusal> {
  const { house } = desk;
  const id = house.id("job");
  const pingToken = request.ping === true ? toBase64Url(systemRandom(24)) : undefined;
  const { name, workingDirectory } = request;
  const { composed, problems } = examineJob(desk, actor, request, id, pingToken);
  if (problems.length > 0 || !composed.ok) return invalid(problems);

  const receivers = await jobReceivers(house, desk.seal, id, request.callbacks);
  const now = house.now();
  const asked = inputsOf(house, actor.name, { id, system: request.system, acceptedAt: now }, request);
  const inputs = await Promise.all(asked.map((input) => withSealedUrl(house, desk.seal, input)));
  const outputs = planOutputs(house, id, request);
  const record: JobRecord = {
    id,
    system: request.system,
    status: "accepted",
    run: 1,
    acceptedAt: now,
    changedAt: now,
    // The secrets of callbacks live sealed with their receivers, never in the job's row.
    ...(await withSealedInputs(house, desk.seal, id, withoutSecrets(request))),
    actor: actor.name,
    tagged: composed.tagged,
    outputs,
    warnings: composed.warnings,
    ...(name === undefined ? {} : { name }),
    ...(request.labels === undefined ? {} : { labels: request.labels }),
    ...(composed.jobName === undefined ? {} : { schedulerName: composed.jobName }),
    ...(pingToken === undefined ? {} : { pingToken }),
    ...(composed.manifest ? { manifest: true } : {}),
    ...traceOf(options.origin),
    ...(composed.arraySize === undefined ? {} : { arraySize: composed.arraySize }),
    ...(composed.timeLimitSeconds === undefined ? {} : { timeLimitSeconds: composed.timeLimitSeconds }),
    ...(workingDirectory === undefined ? {} : { workingDirectory }),
  };
  const tooLarge = sizeProblems(record, inputs);
  if (tooLarge.length > 0) return invalid(tooLarge);

  const make = (): Answer<Job> => {
    const taken = outputs
      .map(({ key }, n) => ({ key, n }))
      .filter(({ key, n }) => isKeyTaken(house, key) || outputs.findIndex((o) => o.key === key) !== n);
    if (taken.length > 0) {
      return {
        ok: false,
        code: "conflict",
        detail: "Another transfer is under way to the same key.",
        errors: taken.map(({ n }) => ({
          field: `/outputs/${n}/key`,
          message: "is the target of another transfer that has not ended",
        })),
      };
    }
    const claimed = inputConflicts(house, inputs);
    if (claimed.length > 0)
      return { ok: false, code: "conflict", detail: "Another upload is under way to the same file.", errors: claimed };
    for (const receiver of receivers) saveReceiver(house, receiver);
    for (const [n, output] of outputs.entries()) {
      const asked = request.outputs?.[n];
      insertTransfer(house, {
        ...newTransfer(output.transferId, actor, now),
        jobId: id,
        direction: "download",
        system: request.system,
        path: output.path,
        key: output.key,
        overwrite: asked?.overwrite ?? false,
        waiting: true,
        ...(request.account === undefined ? {} : { account: request.account }),
        ...(asked?.verify === undefined ? {} : { verify: asked.verify }),
      });
    }
    insertJob(house, record);
    if (options.chat !== undefined) followInChat(house, actor, { ...options.chat, jobId: id }, options.origin);
    beginJob(house, record, inputs);
    audit(house, actor, "job.submit", `jobs/${id}`, options.origin);
    return { ok: true, value: viewJob(record, house.name) };
  };
  return { ok: true, make };
}

export const traceOf = ({ traceparent }: Origin): { traceparent?: string } =>
  traceparent === undefined ? {} : { traceparent };

function withoutSecrets(request: JobRequest): JobRequest {
  if (request.callbacks === undefined) return request;
  return { ...request, callbacks: request.callbacks.map(({ secret: _, ...callback }) => callback) };
}

/** Again with other resources or values: a new job, linked by its labels to nothing; the old one stays as it is. */
export async function resubmit(
  desk: Desk,
  actor: Actor,
  id: string,
  change: ResubmitRequest,
  options: Options,
): Promise<Answer<{ job: Job; replayed: boolean }>> {
  const record = jobRecord(desk.house, id);
  if (record === undefined) return { ok: false, code: "not_found" };
  if (record.operation !== undefined)
    return { ok: false, code: "conflict", detail: "This is a file operation; ask for it again under files." };
  if (record.request === undefined)
    return { ok: false, code: "conflict", detail: "This job is only watched; Firewatch does not have its script." };
  if (!isEndedJob(record.status))
    return { ok: false, code: "conflict", detail: `The job is ${record.status}; cancel it first or wait for its end.` };
  const { inputs, outputs, scriptPath, ...request } = await withOpenInputs(
    desk.house,
    desk.seal,
    record,
    record.request,
  );
  const again = JobRequest.safeParse({
    ...request,
    ...(change.script !== undefined ? { script: change.script } : scriptPath === undefined ? {} : { scriptPath }),
    ...(change.resources === undefined ? {} : { resources: { ...request.resources, ...change.resources } }),
    ...(change.env === undefined ? {} : { env: { ...request.env, ...change.env } }),
    // What the first run was given is there already, as far as it came.
    ...(inputs === undefined ? {} : { inputs: inputs.map((input) => ({ ...input, overwrite: true })) }),
    // Keys that were made from the job's id are made anew; keys that the caller chose are replaced.
    ...(outputs === undefined
      ? {}
      : { outputs: outputs.map((output) => (output.key === undefined ? output : { ...output, overwrite: true })) }),
  });
  if (!again.success)
    return invalid(again.error.issues.map((issue) => ({ field: `/${issue.path.join("/")}`, message: issue.message })));
  return acceptJob(desk, actor, again.data, options);
}

/**
 * Cancels a job wherever it is: before it was sent it simply ends; at the scheduler a cancel is planned; in between the wish
 * is kept, and goes out as soon as the job is found.
 */
export function cancelJob(house: House, actor: Actor, id: string, origin: Origin): Answer<Job> {
  return house.change((): Answer<Job> => {
    const record = jobRecord(house, id);
    if (record === undefined) return { ok: false, code: "not_found" };
    if (isEndedJob(record.status)) return { ok: true, value: viewJob(record, house.name) };
    if (record.watched === true)
      return { ok: false, code: "conflict", detail: "This job is only watched; whoever submitted it must cancel it." };
    audit(house, actor, "job.cancel", `jobs/${id}`, origin);
    const now = house.now();
    const asked: JobRecord = { ...record, cancelRequestedAt: record.cancelRequestedAt ?? now };
    const submission = effectsOf(house, id).find(({ kind }) => kind === "submit" || kind === "file_job");
    if (isStagingIn(house, record)) {
      const ended = applyJob(house, endedByUs(asked, "cancelled", "cancelled_by_request", undefined, now));
      cancelInputs(house, id, "The job was cancelled.");
      return { ok: true, value: viewJob(jobRecord(house, id) ?? ended, house.name) };
    }
    const resent = (submission?.doc.resends ?? 0) > 0;
    if (submission?.state === "planned" && !resent) {
      move(house, submission, "refused");
      return {
        ok: true,
        value: viewJob(
          applyJob(house, endedByUs(asked, "cancelled", "cancelled_by_request", undefined, now)),
          house.name,
        ),
      };
    }
    saveJob(house, asked);
    const cancelling = effectsOf(house, id).some(
      ({ kind, state }) => kind === "cancel" && (state === "planned" || state === "sent"),
    );
    if (asked.schedulerId !== undefined && !cancelling) plan(house, "cancel", id);
    return { ok: true, value: viewJob(asked, house.name) };
  });
}

// -------------------------------------------------------------------------------------------------------------- transfers

export const newTransfer = (id: string, actor: Pick<Actor, "name">, now: number) =>
  ({
    id,
    actor: actor.name,
    status: "accepted",
    acceptedAt: now,
    changedAt: now,
    copiedBytes: 0,
    restaged: 0,
    link: { state: "none" },
    warnings: [],
  }) as const satisfies Partial<TransferRecord>;

export async function acceptTransfer(
  desk: Desk,
  actor: Actor,
  request: TransferRequest,
  options: Options,
): Promise<Answer<{ transfer: Transfer; replayed: boolean }>> {
  const taken = await once(desk.house, actor, options, () => prepareTransfer(desk, actor, request, options));
  return taken.ok ? { ok: true, value: { transfer: taken.value.made, replayed: taken.value.replayed } } : taken;
}

export async function prepareTransfer(
  desk: Desk,
  actor: Actor,
  request: TransferRequest,
  options: Known,
): Promise<Prepared<Transfer> | Refusal> {
  return request.direction === "upload"
    ? prepareUpload(desk, actor, request, options.origin)
    : { ok: true, make: () => makeDownload(desk, actor, request, options) };
}

function makeDownload(desk: Desk, actor: Actor, request: TransferRequest, { origin, chat }: Known): Answer<Transfer> {
  const { house } = desk;
  const { api, account } = desk.site.config();
  const { key } = request;
  const problems = transferProblems(desk, actor, request);
  if (problems.length > 0 || key === undefined) return invalid(problems);
  if (isKeyTaken(house, key))
    return {
      ok: false,
      code: "conflict",
      detail: "Another transfer is under way to the same key.",
      errors: [{ field: "/key", message: "is the target of another transfer that has not ended" }],
    };
  // How large the file is shows when it is staged; here only whether there is room for anything at all.
  const full = quotaRefusal(house, 1);
  if (full !== undefined) return { ok: false, code: "quota_exceeded", detail: full };
  const charged = request.account ?? account;
  const record: TransferRecord = {
    ...newTransfer(house.id("tr"), actor, house.now()),
    warnings: [],
    direction: "download",
    system: request.system,
    path: request.path,
    key,
    overwrite: request.overwrite ?? false,
    ...traceOf(origin),
    ...(charged === undefined ? {} : { account: charged }),
    ...(request.verify === undefined ? {} : { verify: request.verify }),
  };
  insertTransfer(house, record);
  if (chat !== undefined) followInChat(house, actor, { ...chat, transferId: record.id }, origin);
  startDownload(house, record, api);
  audit(house, actor, "transfer.start", `transfers/${record.id}`, origin);
  return { ok: true, value: viewTransfer(record, house.name) };
}

/** What cannot be taken back: R2 may have the object already. */
const MAKES_OBJECT: readonly EffectKind[] = ["complete", "put_empty"];

export function cancelTransfer(house: House, actor: Actor, id: string, origin: Origin): Answer<Transfer> {
  return house.change((): Answer<Transfer> => {
    const record = transferRecord(house, id);
    if (record === undefined) return { ok: false, code: "not_found" };
    if (isEndedTransfer(record.status)) return { ok: true, value: viewTransfer(record, house.name) };
    if (effectsOf(house, id).some(({ kind, state }) => MAKES_OBJECT.includes(kind) && state === "sent"))
      return { ok: false, code: "conflict", detail: "Its object is being made at this moment: too late to cancel." };
    audit(house, actor, "transfer.cancel", `transfers/${id}`, origin);
    return {
      ok: true,
      value: viewTransfer(
        applyTransfer(house, moved(record, "cancelled", house.now(), { reason: "cancelled_by_request" })),
        house.name,
      ),
    };
  });
}
