/**
 * What came of effects on FirecREST: each outcome, also "no answer", ends in the same few places. Nothing here talks to
 * anybody; all of it is called inside `house.change`.
 */
import { afterFailure, isErrand, retryDelayMs } from "../../shared/domain/effect.ts";
import { moved, RESTAGE_MAX, type TransferRecord } from "../../shared/domain/transfer.ts";
import type { FileStat, Handle } from "../../shared/firecrest/port.ts";
import { packing } from "./archives.ts";
import { type EffectRecord, effect, heardOf, move, note, plan } from "./effects.ts";
import { errandOver, errandTaken } from "./errands.ts";
import type { Failure, FarOutcome } from "./far.ts";
import type { House } from "./house.ts";
import { directoryReady, notPrepared } from "./inputs.ts";
import { jobRecord } from "./jobs.ts";
import { operationRefused, operationStarted, operationUnknown } from "./operations.ts";
import { listed } from "./outputs.ts";
import { fetchPieces, oversized } from "./pieces.ts";
import { cannotProve, verified } from "./proof.ts";
import { adopted, awaitAnswer, refused, submissionUnknown, submitLater } from "./submission.ts";
import {
  applyTransfer,
  type DebtRecord,
  debtRecord,
  failTransfer,
  moveDebt,
  payDebt,
  planLogTidy,
  restage,
  saveDebt,
  stageLater,
  transferRecord,
} from "./transfers.ts";
import { delivered, mayDeliver, placed } from "./up-place.ts";
import { refusedUpload, sourceGone } from "./uploads.ts";

/** What the outcome of one effect means to its subject. Call inside `house.change`. */
export function succeededEffect(
  house: House,
  record: EffectRecord,
  outcome: Exclude<FarOutcome, Failure>,
  sealed: { link?: string | undefined; form?: string[] | undefined },
): void {
  switch (outcome.kind) {
    case "submitted": {
      const { kind: _, warning, ...taken } = outcome;
      if (isErrand(record.kind)) {
        errandTaken(house, record, taken);
        break;
      }
      adopted(house, record, taken, warning === undefined ? undefined : { code: "site_warning", message: warning });
      break;
    }
    case "pending":
      // The deadline starts anew: the site has the request and answers through the handle.
      note(house, record, { handle: outcome.handle }, house.now() + PENDING_DEADLINE_MS);
      house.due("handles", "", house.now() + 300, true);
      break;
    case "cancelled": {
      move(house, record, "done");
      const job = jobRecord(house, record.subject);
      if (job?.operation !== undefined) house.due("handles", "", house.now() + 500, true);
      else if (job !== undefined) house.due("round", job.system, house.now() + 500, true);
      break;
    }
    case "listed":
      listed(house, record, outcome);
      break;
    case "packing":
      packing(house, record, outcome.handle);
      break;
    case "oversized":
      move(house, record, "done");
      oversized(house, record, outcome);
      break;
    case "empty":
    case "staging":
      staged(house, record, outcome, sealed.link);
      break;
    case "verified":
      verified(house, record, outcome);
      break;
    case "released":
      released(house, record, outcome.proven);
      break;
    case "tidied":
      move(house, record, "done");
      break;
    case "started":
      operationStarted(house, record, outcome.handle);
      break;
    case "prepared":
      directoryReady(house, record, outcome.workingDirectory);
      break;
    case "free":
      mayDeliver(house, record);
      break;
    case "placed":
      placed(house, record, outcome, sealed);
      break;
    case "delivered":
      delivered(house, record);
      break;
    case "source_gone":
      sourceGone(house, record, outcome.why);
      break;
  }
}

/** A pending task is believed in for this long; then the effect is unknown. */
const PENDING_DEADLINE_MS = 180_000;
/** A staging that shows no end for this long is looked into: the site may have lost it. */
const STAGING_DEADLINE_MS = 6 * 3_600_000;

function staged(
  house: House,
  record: EffectRecord,
  outcome: Extract<FarOutcome, { kind: "empty" | "staging" }>,
  sealedLink: string | undefined,
): void {
  const transfer = transferRecord(house, record.subject);
  const debt = debtRecord(house, record.id);
  if (transfer === undefined || debt === undefined) return;
  const { size, mtime } = outcome.stat;
  if (outcome.kind === "empty") {
    move(house, record, "done");
    moveDebt(house, debt, "none");
    const fresh = transferRecord(house, transfer.id) ?? transfer;
    const copying = applyTransfer(house, moved(fresh, "copying", house.now(), { size, mtime }));
    if (copying.status === "copying") plan(house, "put_empty", transfer.id);
    return;
  }
  const { staging: _, ...handle } = outcome.handle;
  const owed: DebtRecord = {
    ...debt,
    handle,
    ...(sealedLink === undefined ? {} : { sealedLink }),
    ...(handle.expiresAt === undefined ? {} : { expiresAt: handle.expiresAt }),
  };
  saveDebt(house, owed);
  note(house, record, { handle }, house.now() + STAGING_DEADLINE_MS);
  const hopeless = transfer.pieces === undefined ? cannotProve(transfer, size) : undefined;
  if (hopeless !== undefined) failTransfer(house, transfer, "not_provable", hopeless);
  else if (transfer.status === "staging" && transfer.pieces === undefined) {
    const { sha256: siteSha256 } = outcome;
    const facts = { size, mtime, ...(siteSha256 === undefined ? {} : { siteSha256 }) };
    applyTransfer(house, { record: { ...transfer, ...facts, changedAt: house.now() }, announce: [], changed: true });
  }
  house.due("handles", "", house.now() + 300, true);
}

/** One piece is staged again; the others, and the parts that are stored, stay as they are. */
const PIECE_LOST = ["link_dead", "staging_lost"];

/** A transfer that went wrong on the way starts over a few times, then fails. */
export function startOver(house: House, transfer: TransferRecord, reason: string, detail: string): void {
  if (transfer.restaged < RESTAGE_MAX && PIECE_LOST.includes(reason) && transfer.pieces !== undefined)
    fetchPieces(house, { ...transfer, restaged: transfer.restaged + 1 });
  else if (transfer.restaged < RESTAGE_MAX) restage(house, transfer);
  else failTransfer(house, transfer, reason, detail);
}

/** Swift deletes ten minutes after it was asked; a link that lives longer than the last probe will live until it expires. */
const PROBES_AFTER_MS = [2_000, 10_000, 60_000, 620_000] as const;

function released(house: House, record: EffectRecord, proven: boolean): void {
  move(house, record, "done");
  const debt = debtRecord(house, record.subject);
  if (debt === undefined || debt.state !== "releasing") return;
  const releases = debt.releases + 1;
  if (proven) {
    moveDebt(house, debt, "released", { releases });
    return;
  }
  const delayMs = PROBES_AFTER_MS[releases - 1];
  if (delayMs === undefined) {
    moveDebt(house, debt, "unreleasable", { releases });
    house.due("debt", debt.id, Math.max(house.now() + 60_000, debt.expiresAt ?? house.now() + 7 * 24 * 3_600_000));
    return;
  }
  saveDebt(house, { ...debt, releases });
  plan(house, "release", debt.id, { delayMs });
}

export function failedEffect(house: House, record: EffectRecord, failure: Failure): void {
  const verdict = afterFailure(record.kind, failure.retry);
  if (record.kind === "submit") {
    if (verdict === "refused") refused(house, record, "rejected", failure.message);
    else if (verdict === "again") submitLater(house, record, failure.message, failure.retryAfterSeconds);
    else submissionUnknown(house, record, failure.message);
    return;
  }
  if (record.kind === "file_job" && verdict !== "again") {
    if (verdict === "refused") operationRefused(house, record, failure.message);
    else operationUnknown(house, record, failure.message);
    return;
  }
  if (verdict === "refused" || (verdict === "again" && record.attempt >= MAX_ATTEMPTS)) {
    refusedEffect(house, record, failure);
    return;
  }
  if (verdict === "check") {
    move(house, record, "unknown", {
      dueAt: house.now() + 3_000,
      doc: { lastError: failure.message, ambiguity: { sentAt: record.sentAt ?? house.now(), lookups: 0 } },
    });
    return;
  }
  move(house, record, "planned", {
    dueAt: house.now() + retryDelayMs(record.attempt, house.random(), failure.retryAfterSeconds),
    doc: { lastError: failure.message },
  });
}

/** With delays growing to five minutes: about a day of trying. */
const MAX_ATTEMPTS = 300;

function refusedEffect(house: House, record: EffectRecord, failure: Failure): void {
  move(house, record, "refused", { doc: { lastError: failure.message } });
  const transfer = transferRecord(house, record.subject);
  switch (record.kind) {
    case "stage": {
      const debt = debtRecord(house, record.id);
      if (debt !== undefined) moveDebt(house, debt, "none");
      const fresh = transferRecord(house, record.subject);
      if (fresh !== undefined) failTransfer(house, fresh, failure.code, failure.message);
      break;
    }
    case "file_job":
      operationRefused(house, record, failure.message);
      break;
    case "list":
    case "compress":
    case "verify":
      if (transfer !== undefined) failTransfer(house, transfer, failure.code, failure.message);
      break;
    case "hash":
    case "split":
      errandOver(house, record, { ok: false, detail: failure.message });
      break;
    case "release": {
      // The site will not release it: probes decide, then the calendar.
      const debt = debtRecord(house, record.subject);
      if (debt?.state === "releasing") {
        moveDebt(house, debt, "unreleasable");
        house.due("debt", debt.id, debt.expiresAt ?? house.now() + 7 * 24 * 3_600_000);
      }
      break;
    }
    case "upload":
    case "deliver":
      refusedUpload(house, record, failure);
      break;
    case "prepare":
      notPrepared(house, record, failure.message);
      break;
    default:
      break;
  }
}

/** A staging whose answer was lost was looked for: found, or not there (then it is staged again, and the lost one will expire). */
export function stagingLooked(house: House, id: string, found: { handle: Handle; stat: FileStat } | undefined): void {
  const record = effect(house, id);
  const debt = debtRecord(house, id);
  if (record === undefined || record.state !== "unknown" || debt === undefined) return;
  const transfer = transferRecord(house, record.subject);
  // The staging that we already waited for in vain is no find.
  const stuck = found !== undefined && JSON.stringify(found.handle.ref) === JSON.stringify(record.doc.handle?.ref);
  if (found !== undefined && !stuck) {
    staged(house, heardOf(house, record), { kind: "staging", ...found }, undefined);
    return;
  }
  move(house, record, "refused");
  planLogTidy(house, record.subject, record.doc.handle);
  moveDebt(house, debt, "expires", { expiresAt: house.now() + 7 * 24 * 3_600_000 });
  if (transfer?.status === "staging") stageLater(house, transfer);
}

/** A sent effect whose outcome was not reported in time: it goes to its kind's reconcile step. */
export function overdue(house: House, record: EffectRecord): void {
  if (record.kind === "submit" && record.doc.handle === undefined && awaitAnswer(house, record)) return;
  const failure: Failure = {
    kind: "failed",
    code: "task_stuck",
    retry: "after_check",
    message: "The outcome was never reported.",
  };
  failedEffect(house, record, failure);
}

/** A staging that was paid for while it was still under way is released when its link is known. */
export function linkKnown(house: House, debt: DebtRecord): void {
  const transfer = transferRecord(house, debt.transferId);
  if (transfer === undefined || transfer.status !== "staging") payDebt(house, debt);
}
