/**
 * Effects on FirecREST: what `begin` hands to the consumer, and what its outcome means. Every outcome, also "no answer", ends
 * in the same few places: the room of the effect's kind.
 */
import { USUAL_PART_BYTES } from "../../shared/contract/cut.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import type { Retry } from "../../shared/contract/states.ts";
import type { UpSource } from "../../shared/contract/up.ts";
import type { Begun } from "../../shared/contract/work.ts";
import { type FarEffect, isByteEffect, isErrand, REQUESTS } from "../../shared/domain/effect.ts";
import { pieceRange } from "../../shared/domain/pieces.ts";
import { proofFor } from "../../shared/domain/proof.ts";
import { sourceOf, stagedOf } from "../../shared/domain/transfer.ts";
import type { SiteLimits } from "../../shared/domain/upload.ts";
import { FirecrestError, type FirecrestErrorCode } from "../../shared/firecrest/errors.ts";
import type { FileJob, FileStat, Handle, UploadForm } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, HINT_AGAIN_MS, heardOf, move } from "./effects.ts";
import type { Errand } from "./errands.ts";
import { pingUrl } from "./examine.ts";
import { sealForm } from "./forms.ts";
import type { House } from "./house.ts";
import { jobRecord } from "./jobs.ts";
import { isBehind, join } from "./line.ts";
import { beginOperation } from "./operations.ts";
import { manifestsOf } from "./proof.ts";
import { failedEffect, succeededEffect } from "./settle.ts";
import type { BoundSite } from "./site.ts";
import { beginSubmission } from "./submission.ts";
import { debtRecord, transferRecord } from "./transfers.ts";
import { upSource } from "./up-bytes.ts";

/** What the consumer needs to carry out one effect. Holds a token source's address only: tokens come by RPC. */
export type FarWork = { site: BoundSite; system: string } & (
  | { kind: "submit"; jobId: string; request: JobRequest; ping?: string }
  | { kind: "cancel"; schedulerId: string }
  | { kind: "list"; pattern: string }
  | { kind: "compress"; from: string; to: string; account?: string }
  /** `maxBytes`: more than the site can stage at once. `bytes`: what a piece must have. `hashMaxBytes`: smaller ones are hashed. */
  | {
      kind: "stage";
      path: string;
      symlink?: string;
      account?: string;
      maxBytes?: number;
      bytes?: number;
      hashMaxBytes?: number;
    }
  | { kind: "verify"; path: string; wantsHash: boolean; manifests: ManifestPlace[] }
  | { kind: "hash" | "split"; id: string; errand: Errand; scheduler?: string }
  /** The link is opened for this call: a secret. `how`: see `DebtRecord`. */
  | { kind: "release"; handle: Handle; url: string; how: "ask" | "look" | "abandon" }
  | { kind: "tidy"; paths: string[] }
  | { kind: "file_job"; job: FileJob; account?: string; after?: string }
  | { kind: "prepare"; jobId: string }
  | UploadWork
);

/** The two ways of getting a file to the site: asking for a place, and, where it is small, sending it at once. */
export type UploadWork =
  | {
      kind: "upload";
      path: string;
      bytes: number;
      account?: string;
      overwrite: boolean;
      /** Makes the directory of the target, where it is missing. */
      makesDirectory: boolean;
      limits: SiteLimits;
    }
  | { kind: "deliver"; path: string; source: UpSource };

/** Where a manifest may be, and the tag by which it is known. */
export interface ManifestPlace {
  directory: string;
  tag: string;
}

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
  /** At most one path more than may be. */
  | { kind: "listed"; count: number; paths: string[] }
  | { kind: "packing"; handle: Handle }
  | { kind: "empty"; stat: FileStat }
  | { kind: "oversized"; stat: FileStat; maxBytes: number }
  | { kind: "staging"; stat: FileStat; handle: Handle; sha256?: string }
  | { kind: "verified"; stat: FileStat; sha256?: string; manifest?: { sha256: string; parts: string[] } }
  | { kind: "released"; proven: boolean }
  | { kind: "tidied" }
  | { kind: "started"; handle: Handle }
  | { kind: "prepared"; workingDirectory: string }
  /** The file is small and its target free. */
  | { kind: "free" }
  /** The form holds links: secrets, sealed before they are stored. */
  | { kind: "placed"; handle: Handle; form?: UploadForm }
  | { kind: "delivered" }
  /** The object that was to be sent is no longer the one that was looked at. */
  | { kind: "source_gone"; why: "missing" | "changed" }
  | Failure;

/** Commits `sent`, or says why not. The budget is taken here, before anything leaves. */
export async function begin(desk: Desk, id: string): Promise<Begun<FarWork>> {
  const { house, site } = desk;
  const begun = house.change(
    (): Begun<FarWork> | { record: EffectRecord; work: FarWork; sealedLink?: string; debt?: string } => {
      const record = effect(house, id);
      if (record === undefined || isByteEffect(record.kind)) return { go: false, why: "over" };
      if (record.state !== "planned") return { go: false, why: record.state === "sent" ? "already_sent" : "over" };
      const prepared = prepare(desk, record);
      if (prepared === undefined) {
        move(house, record, "refused");
        return { go: false, why: "over" };
      }
      const waitUntil = isBehind(house, record)
        ? house.now() + HINT_AGAIN_MS
        : site.take(REQUESTS[record.kind], "user");
      if (waitUntil !== undefined) {
        join(house, record, waitUntil);
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

function prepare(desk: Desk, record: EffectRecord): { work: FarWork; sealedLink?: string; debt?: string } | undefined {
  const { house } = desk;
  const site = desk.site.bound();
  switch (record.kind as FarEffect) {
    case "submit": {
      if (!beginSubmission(house, record)) return undefined;
      const job = jobRecord(house, record.subject);
      if (job?.request === undefined) return undefined;
      const { id, system, inputs, workingDirectory, pingToken } = job;
      // A directory that was made for the inputs is where the job works.
      const request =
        inputs === undefined || workingDirectory === undefined ? job.request : { ...job.request, workingDirectory };
      const ping = pingToken === undefined ? {} : { ping: pingUrl(house, id, pingToken) };
      return { work: { kind: "submit", site, system, jobId: id, request, ...ping } };
    }
    case "cancel": {
      const { cancels } = record.doc;
      const job = cancels === undefined ? jobRecord(house, record.subject) : effect(house, cancels)?.doc.errand;
      return job?.schedulerId === undefined
        ? undefined
        : { work: { kind: "cancel", site, system: job.system, schedulerId: job.schedulerId } };
    }
    case "list": {
      const transfer = transferRecord(house, record.subject);
      return transfer?.status !== "accepted" || transfer.pattern === undefined
        ? undefined
        : { work: { kind: "list", site, system: transfer.system, pattern: transfer.pattern } };
    }
    case "compress": {
      const transfer = transferRecord(house, record.subject);
      const { archive } = record.doc;
      if (transfer?.status !== "accepted" || archive === undefined) return undefined;
      const { system, path, account } = transfer;
      const from = path.replace(/\/+$/, "");
      const work: FarWork = { kind: "compress", site, system, from, to: archive };
      return { work: account === undefined ? work : { ...work, account } };
    }
    case "stage": {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined || transfer.status !== "staging") return undefined;
      const { system, symlink, account, pieces, size = 0 } = transfer;
      const maxBytes = desk.site.facts()?.parameters.stagingMaxBytes;
      const whole = {
        path: sourceOf(transfer),
        ...(proofFor(transfer, 0) === "hash" ? { hashMaxBytes: USUAL_PART_BYTES } : {}),
        ...(symlink === undefined ? {} : { symlink }),
        ...(maxBytes === undefined ? {} : { maxBytes }),
      };
      const file = pieces === undefined ? whole : { path: stagedOf(transfer), bytes: pieceRange(pieces, size).bytes };
      return { work: { kind: "stage", site, system, ...file, ...(account === undefined ? {} : { account }) } };
    }
    case "verify": {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined || transfer.status !== "verifying") return undefined;
      return {
        work: {
          kind: "verify",
          site,
          system: transfer.system,
          path: sourceOf(transfer),
          wantsHash: transfer.sha256 !== undefined && transfer.verify !== "manifest",
          manifests: manifestsOf(house, transfer),
        },
      };
    }
    case "hash":
    case "split": {
      const { errand } = record.doc;
      if (errand === undefined || !isErrand(record.kind)) return undefined;
      const scheduler = desk.site.facts()?.parameters.scheduler;
      const work: FarWork = { kind: record.kind, site, system: errand.system, id: record.id, errand };
      return { work: scheduler === undefined ? work : { ...work, scheduler } };
    }
    case "release": {
      const debt = debtRecord(house, record.subject);
      if (debt?.handle === undefined) return undefined;
      const { system, handle, how = "ask" } = debt;
      const work: FarWork = { kind: "release", site, system, handle, url: "", how };
      return { work, debt: debt.id, ...(debt.sealedLink === undefined ? {} : { sealedLink: debt.sealedLink }) };
    }
    case "file_job": {
      const begun = beginOperation(house, record);
      return begun && { work: { kind: "file_job", site, ...begun } };
    }
    case "tidy": {
      const { tidy } = record.doc;
      return tidy === undefined ? undefined : { work: { kind: "tidy", site, system: tidy.system, paths: tidy.paths } };
    }
    case "prepare": {
      const job = jobRecord(house, record.subject);
      return job?.status === "staging_in"
        ? { work: { kind: "prepare", site, system: job.system, jobId: job.id } }
        : undefined;
    }
    case "upload": {
      const transfer = transferRecord(house, record.subject);
      if (transfer?.status !== "staging" || transfer.size === undefined) return undefined;
      const { system, path, size: bytes, account, overwrite, mayWrite = false, jobId } = transfer;
      const limits = desk.site.facts()?.parameters ?? {};
      const target = { path, bytes, overwrite: overwrite || mayWrite, makesDirectory: jobId !== undefined, limits };
      return { work: { kind: "upload", site, system, ...target, ...(account === undefined ? {} : { account }) } };
    }
    case "deliver": {
      const transfer = transferRecord(house, record.subject);
      const source = transfer?.status === "copying" ? upSource(house, transfer) : undefined;
      return transfer === undefined || source === undefined
        ? undefined
        : { work: { kind: "deliver", site, system: transfer.system, path: transfer.path, source } };
    }
  }
}

/**
 * Records the outcome of an effect's latest attempt, also one that comes late: while it is looked for, or waits to be sent
 * again. That of an earlier attempt says nothing about this one, and a second report finds the effect done: neither changes
 * anything.
 */
export async function finish(desk: Desk, id: string, outcome: FarOutcome, attempt: number): Promise<void> {
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
  const staged = outcome.kind === "staging" || outcome.kind === "placed" ? outcome.handle.staging : undefined;
  const link = staged === undefined ? undefined : await desk.seal.seal(staged.url, linkBinding(house, id));
  const transfer = effect(house, id)?.subject ?? "";
  const form =
    outcome.kind !== "placed" || outcome.form === undefined
      ? undefined
      : await sealForm(house, desk.seal, transfer, outcome.form);
  house.change(() => {
    const record = effect(house, id);
    if (record?.attempt !== attempt || record.state === "done" || record.state === "refused") return;
    if (outcome.kind !== "failed") succeededEffect(house, heardOf(house, record), outcome, { link, form });
    else if (record.state !== "planned") failedEffect(house, record, outcome);
  });
}
