/**
 * Effects on FirecREST: what `begin` hands to the consumer, and what its outcome means. Every outcome, also "no answer", ends
 * in the same few places: the room of the effect's kind.
 */
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Begun } from "../../shared/contract/rpc.ts";
import type { Retry } from "../../shared/contract/states.ts";
import { afterFailure, type FarEffect, isByteEffect, REQUESTS, retryDelayMs } from "../../shared/domain/effect.ts";
import { judge, moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import { FirecrestError, type FirecrestErrorCode } from "../../shared/firecrest/errors.ts";
import type { FileStat, Handle } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, move, note, plan } from "./effects.ts";
import type { House } from "./house.ts";
import { jobRecord } from "./jobs.ts";
import type { SiteConfig } from "./site.ts";
import { adopted, beginSubmission, refused, submissionUnknown, submitLater } from "./submission.ts";
import {
  applyTransfer,
  type DebtRecord,
  debtRecord,
  failTransfer,
  moveDebt,
  payDebt,
  restage,
  saveDebt,
  transferRecord,
} from "./transfers.ts";

/** What the consumer needs to carry out one effect. Holds a token source's address only: tokens come by RPC. */
export type FarWork = { site: SiteConfig; system: string } & (
  | { kind: "submit"; jobId: string; request: JobRequest }
  | { kind: "cancel"; schedulerId: string }
  | { kind: "stage"; path: string; symlink?: string; account?: string }
  | { kind: "verify"; path: string; wantsHash: boolean }
  /** The link is opened for this call: a secret. */
  | { kind: "release"; handle: Handle; url: string }
  | { kind: "tidy"; path: string }
);

export interface Failure {
  kind: "failed";
  code: FirecrestErrorCode;
  retry: Retry;
  message: string;
  retryAfterSeconds?: number;
}

/** What an error means to whoever planned the effect. An error that is not the site's is as ambiguous as no answer. */
export function failureOf(error: unknown): Failure {
  if (error instanceof FirecrestError) {
    return {
      kind: "failed",
      code: error.code,
      retry: error.retry,
      message: error.message,
      ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    };
  }
  return {
    kind: "failed",
    code: "site_error",
    retry: "after_check",
    message: error instanceof Error ? `${error.name}: the effect was interrupted` : "the effect was interrupted",
  };
}

export type FarOutcome =
  | {
      kind: "submitted";
      schedulerId: string;
      workingDirectory?: string;
      stdoutPath?: string;
      stderrPath?: string;
      warning?: string;
    }
  | { kind: "pending"; handle: Handle; workingDirectory?: string }
  | { kind: "cancelled" }
  | { kind: "empty"; stat: FileStat }
  | { kind: "staging"; stat: FileStat; handle: Handle }
  | { kind: "verified"; stat: FileStat; sha256?: string }
  | { kind: "released"; proven: boolean }
  | { kind: "tidied" }
  | Failure;

/** Commits `sent`, or says why not. The budget is taken here, before anything leaves. */
export async function begin(desk: Desk, id: string): Promise<Begun<FarWork>> {
  const { house, site } = desk;
  const begun = house.change(
    (): Begun<FarWork> | { record: EffectRecord; work: FarWork; sealedLink?: string; debt?: string } => {
      const record = effect(house, id);
      if (record === undefined || isByteEffect(record.kind)) return { go: false, why: "over" };
      if (record.state !== "planned") return { go: false, why: record.state === "sent" ? "already_sent" : "over" };
      const prepared = prepare(house, record, site.config());
      if (prepared === undefined) {
        move(house, record, "refused");
        return { go: false, why: "over" };
      }
      const waitUntil = site.take(REQUESTS[record.kind], "user");
      if (waitUntil !== undefined) {
        house.due("effect", id, waitUntil);
        return { go: false, why: "not_yet" };
      }
      move(house, record, "sent");
      return { record, ...prepared };
    },
  );
  if ("go" in begun) return begun;
  const { work, sealedLink, debt } = begun;
  if (work.kind === "release" && sealedLink !== undefined) {
    work.url = await desk.seal.open(sealedLink, linkBinding(house, debt ?? ""));
  }
  return { go: true, work, attempt: begun.record.attempt + 1 };
}

export const linkBinding = (house: House, debtId: string) => ({
  purpose: "staged_link",
  connection: house.name,
  id: debtId,
});

function prepare(
  house: House,
  record: EffectRecord,
  site: SiteConfig,
): { work: FarWork; sealedLink?: string; debt?: string } | undefined {
  switch (record.kind as FarEffect) {
    case "submit": {
      if (!beginSubmission(house, record)) return undefined;
      const job = jobRecord(house, record.subject);
      return job?.request === undefined
        ? undefined
        : { work: { kind: "submit", site, system: job.system, jobId: job.id, request: job.request } };
    }
    case "cancel": {
      const job = jobRecord(house, record.subject);
      return job?.schedulerId === undefined
        ? undefined
        : { work: { kind: "cancel", site, system: job.system, schedulerId: job.schedulerId } };
    }
    case "stage": {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined || transfer.status !== "staging") return undefined;
      const { symlink, account } = transfer;
      return {
        work: {
          kind: "stage",
          site,
          system: transfer.system,
          path: transfer.path,
          ...(symlink === undefined ? {} : { symlink }),
          ...(account === undefined ? {} : { account }),
        },
      };
    }
    case "verify": {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined || transfer.status !== "verifying") return undefined;
      return {
        work: {
          kind: "verify",
          site,
          system: transfer.system,
          path: transfer.path,
          wantsHash: transfer.sha256 !== undefined,
        },
      };
    }
    case "release": {
      const debt = debtRecord(house, record.subject);
      if (debt?.handle === undefined) return undefined;
      const work: FarWork = { kind: "release", site, system: debt.system, handle: debt.handle, url: "" };
      return { work, debt: debt.id, ...(debt.sealedLink === undefined ? {} : { sealedLink: debt.sealedLink }) };
    }
    case "tidy": {
      const transfer = transferRecord(house, record.subject);
      return transfer?.symlink === undefined
        ? undefined
        : { work: { kind: "tidy", site, system: transfer.system, path: transfer.symlink } };
    }
    case "upload":
      return undefined;
  }
}

/** Records the outcome of one effect. A second report of the same effect finds it done and changes nothing. */
export async function finish(desk: Desk, id: string, outcome: FarOutcome): Promise<void> {
  const { house, site } = desk;
  if (outcome.kind === "failed") {
    if (outcome.code === "rate_limited") site.pause(outcome.retryAfterSeconds);
    desk.house.log({
      event: "effect.failed",
      effect: id,
      code: outcome.code,
      retry: outcome.retry,
      detail: outcome.message,
    });
  }
  // Sealing is asynchronous, the transaction is not: the link is sealed first.
  const link = outcome.kind === "staging" ? outcome.handle.staging : undefined;
  const sealedLink = link === undefined ? undefined : await desk.seal.seal(link.url, linkBinding(house, id));
  house.change(() => {
    const record = effect(house, id);
    if (record === undefined || record.state !== "sent") return;
    if (outcome.kind === "failed") failedEffect(house, record, outcome);
    else succeededEffect(house, record, outcome, sealedLink);
  });
}

function succeededEffect(
  house: House,
  record: EffectRecord,
  outcome: Exclude<FarOutcome, Failure>,
  sealedLink: string | undefined,
): void {
  switch (outcome.kind) {
    case "submitted": {
      const { kind: _, warning, ...taken } = outcome;
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
      if (job !== undefined) house.due("round", job.system, house.now() + 500, true);
      break;
    }
    case "empty":
    case "staging":
      staged(house, record, outcome, sealedLink);
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
  }
}

/** A pending task is believed in for this long; then the effect is unknown. */
export const PENDING_DEADLINE_MS = 180_000;
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
  if (transfer.status === "staging")
    applyTransfer(house, { record: { ...transfer, size, mtime, changedAt: house.now() }, announce: [], changed: true });
  house.due("handles", "", house.now() + 300, true);
}

function verified(house: House, record: EffectRecord, outcome: Extract<FarOutcome, { kind: "verified" }>): void {
  move(house, record, "done");
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined || transfer.status !== "verifying") return;
  const site = {
    size: outcome.stat.size,
    mtime: outcome.stat.mtime,
    ...(outcome.sha256 === undefined ? {} : { sha256: outcome.sha256 }),
  };
  const verdict = judge(transfer, site, transfer.copiedBytes);
  if (verdict.ok) {
    if (transfer.verify === "hash" && verdict.proof !== "hash") {
      failTransfer(
        house,
        transfer,
        "not_provable",
        "The site could not hash the file within its time limit, and hash was asked for. Ask for verify: size, or split the file.",
      );
      return;
    }
    applyTransfer(house, {
      record: { ...transfer, proof: verdict.proof, changedAt: house.now() },
      announce: [],
      changed: true,
    });
    plan(house, "complete", transfer.id);
    return;
  }
  startOver(
    house,
    transfer,
    verdict.why,
    "The file on the HPC side is not the file that was copied: it changed meanwhile.",
  );
}

/** A transfer that went wrong on the way starts over a few times, then fails. */
export function startOver(house: House, transfer: TransferRecord, reason: string, detail: string): void {
  if (transfer.restaged < 2) restage(house, transfer);
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

function failedEffect(house: House, record: EffectRecord, failure: Failure): void {
  const verdict = afterFailure(record.kind, failure.retry);
  if (record.kind === "submit") {
    if (verdict === "refused") refused(house, record, "rejected", failure.message);
    else if (verdict === "again") submitLater(house, record, failure.message, failure.retryAfterSeconds);
    else submissionUnknown(house, record, failure.message);
    return;
  }
  if (verdict === "refused") return refusedEffect(house, record, failure);
  if (verdict === "check") {
    move(house, record, "unknown", {
      dueAt: house.now() + 3_000,
      doc: { lastError: failure.message, ambiguity: { sentAt: record.sentAt ?? house.now(), lookups: 0 } },
    });
    return;
  }
  if (record.attempt >= MAX_ATTEMPTS) return refusedEffect(house, record, failure);
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
    case "verify":
      if (transfer !== undefined) failTransfer(house, transfer, failure.code, failure.message);
      break;
    case "release": {
      // The site will not release it: probes decide, then the calendar.
      const debt = debtRecord(house, record.subject);
      if (debt !== undefined) {
        moveDebt(house, debt, "unreleasable");
        house.due("debt", debt.id, debt.expiresAt ?? house.now() + 7 * 24 * 3_600_000);
      }
      break;
    }
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
    // What was lost is known again: as if the answer had come.
    house.run("UPDATE effects SET state = 'sent' WHERE id = ?", id);
    staged(house, { ...record, state: "sent" }, { kind: "staging", ...found }, undefined);
    return;
  }
  move(house, record, "refused");
  moveDebt(house, debt, "expires", { expiresAt: house.now() + 7 * 24 * 3_600_000 });
  if (transfer?.status === "staging")
    startOver(
      house,
      { ...transfer, status: "staged" },
      "staging_lost",
      "The site's answers to several stagings were lost.",
    );
}

/** A sent effect whose outcome was never reported: it goes to its kind's reconcile step. */
export function overdue(house: House, record: EffectRecord): void {
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
