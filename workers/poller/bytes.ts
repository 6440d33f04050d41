/** Effects on bytes: what the transfer Worker is given, and what its outcome means. */
import { isEndedTransfer } from "../../shared/contract/states.ts";
import type { Begun, ByteOutcome, ByteWork, PartDone } from "../../shared/contract/work.ts";
import { DEADLINE_MS, isByteEffect } from "../../shared/domain/effect.ts";
import { pieceRange } from "../../shared/domain/pieces.ts";
import { proofFor } from "../../shared/domain/proof.ts";
import { moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, hintAt, LOST_WORKER, move, note, plan, tryAgain } from "./effects.ts";
import { linkBinding } from "./far.ts";
import type { House } from "./house.ts";
import { changeUsage, quotaRefusal } from "./objects.ts";
import { fetchPieces } from "./pieces.ts";
import { startOver } from "./settle.ts";
import { applyTransfer, failTransfer, openDebts, payDebt, transferRecord } from "./transfers.ts";
import { beginUp, fetchStarted, finishUp, isUpEffect, overdueUp, partsSent } from "./up-bytes.ts";

/** Long enough to move a few hundred MB, short enough that a lost invocation is noticed soon. */
const SEGMENT_MS = 45_000;

type Upload = NonNullable<TransferRecord["upload"]>;

export async function beginBytes(desk: Desk, id: string): Promise<Begun<ByteWork>> {
  const { house } = desk;
  if (isUp(house, id)) return beginUp(desk, id);
  const begun = house.change(
    (): Begun<ByteWork> | { record: EffectRecord; work: ByteWork; sealedLink?: string; debt?: string } => {
      const record = effect(house, id);
      if (record === undefined || !isByteEffect(record.kind)) return { go: false, why: "over" };
      if (record.state !== "planned") return { go: false, why: record.state === "sent" ? "already_sent" : "over" };
      const prepared = prepare(desk, record);
      if (prepared === undefined) {
        refuse(house, record);
        return { go: false, why: "over" };
      }
      move(house, record, "sent");
      return { record, ...prepared };
    },
  );
  if ("go" in begun) return begun;
  const { work, sealedLink, debt } = begun;
  if (work.kind === "copy" && sealedLink !== undefined)
    work.url = await desk.seal.open(sealedLink, linkBinding(house, debt ?? ""));
  return { go: true, work, attempt: begun.record.attempt + 1 };
}

const isUp = (house: House, id: string): boolean => {
  const kind = effect(house, id)?.kind;
  return kind !== undefined && isUpEffect(kind);
};

function prepare(
  { house, site }: Desk,
  record: EffectRecord,
): { work: ByteWork; sealedLink?: string; debt?: string } | undefined {
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined) return undefined;
  const objectKey = `${house.name}/${transfer.key}`;
  const metadata = { transferId: transfer.id, ...(transfer.sha256 === undefined ? {} : { sha256: transfer.sha256 }) };
  switch (record.kind) {
    case "copy": {
      const debt = openDebts(house, transfer.id).findLast(({ sealedLink }) => sealedLink !== undefined);
      if (debt?.sealedLink === undefined || transfer.size === undefined) return undefined;
      const copying =
        transfer.status === "staged" ? applyTransfer(house, moved(transfer, "copying", house.now())) : transfer;
      if (copying.status !== "copying") return undefined;
      const { siteSha256, overwrite } = transfer;
      const proof = proofFor(transfer, transfer.size);
      const work: ByteWork = {
        kind: "copy",
        transfer: transfer.id,
        url: "",
        objectKey,
        expectedBytes: transfer.size,
        parts: house.rows<{ n: number; etag: string }>(
          "SELECT n, etag FROM parts WHERE transfer = ? ORDER BY n",
          transfer.id,
        ),
        mode: proof === "hash" ? "hash" : "parts",
        ...(proof === "hash" && siteSha256 !== undefined && { whole: { sha256: siteSha256, overwrite } }),
        hashParts: proof === "manifest",
        segmentMs: SEGMENT_MS,
        metadata: { transferId: transfer.id },
        ...(transfer.pieces === undefined ? {} : { piece: pieceRange(transfer.pieces, transfer.size) }),
        storageOrigins: site.config().storageOrigins ?? [],
        ...(transfer.upload === undefined ? {} : { upload: transfer.upload }),
      };
      return { work, sealedLink: debt.sealedLink, debt: debt.id };
    }
    case "complete": {
      if (transfer.status !== "verifying" || transfer.upload === undefined) return undefined;
      const parts = house.rows<{ n: number; etag: string }>(
        "SELECT n, etag FROM parts WHERE transfer = ? ORDER BY n",
        transfer.id,
      );
      return {
        work: {
          kind: "complete",
          transfer: transfer.id,
          objectKey,
          uploadId: transfer.upload.uploadId,
          parts,
          bytes: transfer.copiedBytes,
          overwrite: transfer.overwrite,
          metadata,
        },
      };
    }
    case "abort": {
      const { uploadId } = record.doc;
      const work: ByteWork = { kind: "abort", transfer: transfer.id, objectKey, isUnwanted: isUnwanted(transfer) };
      return { work: uploadId === undefined ? work : { ...work, uploadId } };
    }
    case "put_empty":
      if (transfer.status !== "copying") return undefined;
      return { work: { kind: "put_empty", transfer: transfer.id, objectKey, overwrite: transfer.overwrite, metadata } };
    default:
      return undefined;
  }
}

const isUnwanted = ({ status }: TransferRecord): boolean => isEndedTransfer(status) && status !== "stored";

/** Nobody wants the bytes any more. An invocation that had not heard of it may have made the object: that goes. */
function refuse(house: House, record: EffectRecord): void {
  move(house, record, "refused");
  const transfer = transferRecord(house, record.subject);
  const hasRun = record.state === "sent" || record.attempt > 0;
  if (hasRun && transfer !== undefined && record.kind !== "abort" && isUnwanted(transfer))
    plan(house, "abort", transfer.id);
}

/** The first invocation fixes the upload; a later one learns whose upload counts. */
export function copyStarted(house: House, id: string, upload: Upload): { go: boolean; upload: Upload } {
  if (isUp(house, id)) return { ...fetchStarted(house, id, upload.uploadId), upload };
  return house.change(() => {
    const { record, transfer } = current(house, id);
    if (record === undefined || transfer === undefined) return { go: false, upload };
    if (transfer.upload !== undefined) return { go: true, upload: transfer.upload };
    applyTransfer(house, { record: { ...transfer, upload, changedAt: house.now() }, announce: [], changed: true });
    return { go: true, upload };
  });
}

/** Stored parts, as they come; also a sign of life. */
export function partsDone(house: House, id: string, parts: PartDone[]): { go: boolean } {
  if (isUp(house, id)) return partsSent(house, id, parts);
  return house.change(() => {
    const { record, transfer } = current(house, id);
    if (record === undefined || transfer === undefined) return { go: false };
    for (const { n, etag, bytes, sha256 } of parts) {
      house.run(
        "INSERT OR REPLACE INTO parts (transfer, n, etag, bytes, sha256) VALUES (?, ?, ?, ?, ?)",
        transfer.id,
        n,
        etag,
        bytes,
        sha256 ?? null,
      );
    }
    applyTransfer(house, {
      record: { ...transfer, copiedBytes: copiedBytes(house, transfer.id), changedAt: house.now() },
      announce: [],
      changed: parts.length > 0,
    });
    note(house, record, parts.length > 0 ? { failures: 0 } : {}, house.now() + DEADLINE_MS.copy);
    return { go: true };
  });
}

const copiedBytes = (house: House, transfer: string): number =>
  house.row<{ n: number | null }>("SELECT sum(bytes) AS n FROM parts WHERE transfer = ?", transfer)?.n ?? 0;

/** The copy effect and its transfer, while both still want bytes. */
function current(house: House, id: string): { record?: EffectRecord; transfer?: TransferRecord } {
  const record = effect(house, id);
  const transfer = record && transferRecord(house, record.subject);
  return record?.kind === "copy" && record.state === "sent" && transfer?.status === "copying"
    ? { record, transfer }
    : {};
}

/** Takes the outcome of the attempt that is under way; an earlier one that comes late says nothing about it. */
export function finishBytes(house: House, id: string, outcome: ByteOutcome, attempt: number): void {
  if (isUp(house, id)) {
    finishUp(house, id, outcome, attempt);
    return;
  }
  house.change(() => {
    const record = effect(house, id);
    if (record?.state !== "sent" || record.attempt !== attempt) return;
    const transfer = transferRecord(house, record.subject);
    if (transfer === undefined) return;
    if (isUnwanted(transfer) && record.kind !== "abort") {
      refuse(house, record);
      return;
    }
    switch (outcome.kind) {
      case "copied": {
        move(house, record, "done");
        if (transfer.pieces !== undefined) {
          fetchPieces(house, transfer);
          break;
        }
        const facts: Partial<TransferRecord> = {
          copiedBytes: outcome.totalBytes,
          ...(outcome.sha256 === undefined ? {} : { sha256: outcome.sha256 }),
        };
        const next = applyTransfer(house, moved(transfer, "verifying", house.now(), facts));
        if (next.status === "verifying") plan(house, "verify", transfer.id);
        break;
      }
      case "paused":
        move(house, record, "planned");
        hintAt(house, record);
        break;
      case "completed":
        move(house, record, "done");
        stored(house, transfer, outcome);
        break;
      case "aborted":
        move(house, record, "done");
        break;
      case "failed":
        failed(house, record, transfer, outcome);
        break;
    }
  });
}

function stored(house: House, transfer: TransferRecord, outcome: Extract<ByteOutcome, { kind: "completed" }>): void {
  const verifying: TransferRecord =
    transfer.status === "copying" ? { ...transfer, ...provenByPut(transfer), status: "verifying" } : transfer;
  const { upload: _, ...done } = verifying;
  const step = moved(done, "stored", house.now(), {
    etag: outcome.etag,
    copiedBytes: outcome.bytes,
    size: outcome.bytes,
  });
  applyTransfer(house, step);
  if (step.changed && transfer.direction === "download") changeUsage(house, { objects: 1, bytes: outcome.bytes });
  house.run("DELETE FROM parts WHERE transfer = ?", transfer.id);
}

/** What went up in one put had the hash that the site told, or was empty: then nothing was staged and nothing can differ. */
const provenByPut = ({ siteSha256: sha256 }: TransferRecord): Partial<TransferRecord> =>
  sha256 === undefined ? { proof: "size" } : { proof: "hash", sha256 };

function failed(
  house: House,
  record: EffectRecord,
  transfer: TransferRecord,
  outcome: Extract<ByteOutcome, { kind: "failed" }>,
): void {
  house.log({
    event: "bytes.failed",
    effect: record.id,
    transfer: transfer.id,
    why: outcome.why,
    detail: outcome.detail,
  });
  const give = () => {
    move(house, record, "refused", { doc: { lastError: outcome.detail } });
    if (record.kind !== "abort")
      failTransfer(house, transfer, outcome.why === "exists" ? outcome.why : "copy_failed", outcome.detail);
  };
  switch (outcome.why) {
    case "later":
      if (!tryAgain(house, record, outcome, MAX_FAILURES)) give();
      return;
    case "never":
    case "exists":
      give();
      return;
    case "link_dead":
    case "changed":
    case "upload_gone":
      move(house, record, "refused", { doc: { lastError: outcome.detail } });
      if (transfer.status === "copying" || transfer.status === "verifying") {
        startOver(house, transfer, outcome.why, outcome.detail);
      }
      return;
  }
}

const MAX_FAILURES = 60;

/** The invocation was never heard of again: as if it had failed. Call inside `house.change`. */
export function overdueBytes(house: House, record: EffectRecord): void {
  if (isUpEffect(record.kind)) {
    overdueUp(house, record);
    return;
  }
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined) move(house, record, "refused");
  else failed(house, record, transfer, { kind: "failed", why: "later", detail: LOST_WORKER });
}

/** The staged file can be fetched: the copy is planned, or, when nobody wants it any more, the debt is paid. */
export function copyStaged(house: House, transferId: string): void {
  const transfer = transferRecord(house, transferId);
  if (transfer?.status !== "staging") {
    for (const debt of openDebts(house, transferId)) payDebt(house, debt);
    return;
  }
  const full = transfer.direction === "download" ? quotaRefusal(house, transfer.size ?? 0, transfer.id) : undefined;
  if (full !== undefined) {
    failTransfer(house, transfer, "quota_exceeded", full);
    return;
  }
  const step = moved(transfer, "staged", house.now());
  // Of a file in pieces the first one is news.
  const staged = applyTransfer(house, (transfer.pieces?.at ?? 0) === 0 ? step : { ...step, announce: [] });
  if (staged.status === "staged") plan(house, "copy", transferId);
}
