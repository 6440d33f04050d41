/**
 * The life of an upload on the site's side: the target is looked at, the site is asked for a place, the file is waited for
 * until it is where it belongs, and it is proven there. What moves its bytes is in `up-bytes.ts`.
 */
import { isEndedTransfer } from "../../shared/contract/states.ts";
import { moved, RESTAGE_MAX, type TransferRecord } from "../../shared/domain/transfer.ts";
import { judgeUpload, targetOf } from "../../shared/domain/upload.ts";
import { type EffectRecord, effect, effectsOf, move, plan, withdraw } from "./effects.ts";
import { leaveErrand } from "./errands.ts";
import { forgetForm } from "./forms.ts";
import type { House } from "./house.ts";
import { inputEnded } from "./inputs.ts";
import { forgetSourceUrl } from "./source-url.ts";
import {
  applyTransfer,
  type DebtRecord,
  debtRecord,
  failTransfer,
  moveDebt,
  openDebts,
  saveDebt,
  transferRecord,
} from "./transfers.ts";

/** Where a site does not tell how long it keeps what was staged. */
const KEPT_MS = 7 * 24 * 3_600_000;

/** The upload's own work begins: which file it is comes first. Call inside `house.change`. */
export function startUpload(house: House, record: TransferRecord): TransferRecord {
  const { waiting: _, ...ready } = record;
  // A relative path is whole only now, and may turn out to be somebody else's.
  const target = targetOf(ready);
  if (house.row("SELECT 1 FROM transfers WHERE key = ? AND live = 1 AND id <> ?", target, record.id) !== undefined)
    return failTransfer(house, record, "conflict", "Another upload to the same file is under way.");
  house.run("UPDATE transfers SET key = ? WHERE id = ?", target, record.id);
  findSource(house, ready);
  const spool = ready.url === undefined ? {} : { source: { spooled: true } };
  return applyTransfer(house, moved(ready, "staging", house.now(), spool));
}

const findSource = (house: House, { id, url }: TransferRecord): void =>
  void plan(house, url === undefined ? "inspect" : "fetch", id);

/** It is known which file goes up: the site is asked for a place, and the debt for it opens in the same transaction. */
export function place(house: House, record: TransferRecord): TransferRecord {
  const now = house.now();
  const id = plan(house, "upload", record.id);
  saveDebt(
    house,
    { id, transferId: record.id, state: "owed", openedAt: now, system: record.system, releases: 0 },
    true,
  );
  return keep(house, { ...record, link: { state: "owed" } });
}

/** Facts that are no step. */
export const keep = (house: House, record: TransferRecord): TransferRecord =>
  applyTransfer(house, { record: { ...record, changedAt: house.now() }, announce: [], changed: true });

/** What went wrong on the way may go right on another: from the file itself, or from the site's place for it. */
export function again(
  house: House,
  transfer: TransferRecord,
  from: "source" | "place",
  reason: string,
  detail: string,
): void {
  if (transfer.restaged >= RESTAGE_MAX) {
    failTransfer(house, transfer, reason, detail);
    return;
  }
  withdraw(house, transfer.id);
  for (const debt of openDebts(house, transfer.id)) payUpload(house, debt);
  forgetBytes(house, transfer.id);
  leaveErrand(house, transfer);
  const { errand: _, ...known } = transferRecord(house, transfer.id) ?? transfer;
  const fresh = {
    ...known,
    restaged: transfer.restaged + 1,
    copiedBytes: 0,
  };
  const back =
    fresh.status === "staging" ? keep(house, fresh) : applyTransfer(house, moved(fresh, "staging", house.now()));
  if (from === "source") findSource(house, back);
  else place(house, back);
}

function forgetBytes(house: House, transfer: string): void {
  house.run("DELETE FROM parts WHERE transfer = ?", transfer);
  forgetForm(house, transfer);
}

/** An ended upload forgets its links, pays its debts, removes what was made for it, and tells its job. */
export function endUpload(house: House, record: TransferRecord): void {
  for (const debt of openDebts(house, record.id)) payUpload(house, debt);
  forgetBytes(house, record.id);
  forgetSourceUrl(house, record.id);
  discardSpool(house, record);
  if (record.jobId !== undefined) inputEnded(house, record);
}

/** Removes the copy of a file from elsewhere. Repeating it is harmless. */
export function discardSpool(house: House, { id, source }: TransferRecord): void {
  if (source?.spooled !== true) return;
  plan(house, "discard", id, source.uploadId === undefined ? {} : { uploadId: source.uploadId });
}

/** The object is another one than was looked at, or gone: nothing was written. */
export function sourceGone(house: House, record: EffectRecord, why: "missing" | "changed"): void {
  move(house, record, "refused");
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined || isEndedTransfer(transfer.status)) return;
  if (why === "missing") failTransfer(house, transfer, "source_missing", "The object is no longer there.");
  else again(house, transfer, "source", "source_changed", "The object changed again and again while it was sent.");
}

/** What the file system says is there. Call inside `house.change`. */
export function verifiedUpload(
  house: House,
  transfer: TransferRecord,
  site: { size: number; mtime: number; sha256?: string; manifest?: { sha256: string } },
): void {
  const verdict = judgeUpload(transfer, site);
  if (verdict.ok) {
    const etag = transfer.source?.etag;
    const facts = { proof: verdict.proof, mtime: site.mtime, ...(etag === undefined ? {} : { etag }) };
    applyTransfer(house, moved(transfer, "stored", house.now(), facts));
    return;
  }
  if (verdict.why === "not_provable") failTransfer(house, transfer, verdict.why, verdict.detail);
  else again(house, transfer, "place", verdict.why, verdict.detail);
}

/** A refusal for good, of the place or of the direct route. */
export function refusedUpload(house: House, record: EffectRecord, failure: { code: string; message: string }): void {
  const debt = record.kind === "upload" ? debtRecord(house, record.id) : undefined;
  if (debt !== undefined && debt.handle === undefined) moveDebt(house, debt, "none");
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined || isEndedTransfer(transfer.status)) return;
  const reason = failure.code === "already_exists" ? "target_exists" : failure.code;
  failTransfer(house, transfer, reason, failure.message);
}

// -------------------------------------------------------------------------------------------------------------- debts

/**
 * Pays for a place. v1 removes the object itself once the file is in its place, which is only looked for; else it is asked
 * to, because it would write the file for as long as it has it. v2 keeps the object until it expires; a job that still
 * waits for it is cancelled.
 */
export function payUpload(house: House, debt: DebtRecord): void {
  const place = effect(house, debt.id);
  if (place?.state === "planned") move(house, place, "refused");
  if (debt.handle === undefined) {
    // Its answer is still to come, or to be looked for.
    if (place?.state !== "sent" && place?.state !== "unknown") moveDebt(house, debt, "none");
    return;
  }
  const sends = effectsOf(house, debt.transferId).filter(({ kind }) => kind === "send");
  // A Worker is sending: it will report, or be missed.
  if (sends.some(({ state }) => state === "sent")) return;
  const inPlace = place?.state === "done";
  if (place?.state === "sent") move(house, place, "refused");
  const isStaged = sends.some(({ attempt }) => attempt > 0);
  const expiresAt = debt.expiresAt ?? house.now() + KEPT_MS;
  if (debt.handle.releasable && debt.sealedLink !== undefined) {
    moveDebt(house, debt, "releasing", { how: inPlace ? "look" : "ask" });
    plan(house, "release", debt.id);
    return;
  }
  const isKept = isStaged && !(debt.handle.releasable && inPlace);
  moveDebt(house, debt, isKept ? "expires" : "none", {
    how: inPlace ? "ask" : "abandon",
    ...(isKept ? { expiresAt } : {}),
  });
  if (!debt.handle.releasable || !inPlace) plan(house, "release", debt.id);
}
