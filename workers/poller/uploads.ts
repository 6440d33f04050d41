/**
 * The life of an upload on the site's side: the target is looked at, the site is asked for a place, the file is waited for
 * until it is where it belongs, and it is proven there. What moves its bytes is in `up-bytes.ts`.
 */
import { isEndedTransfer } from "../../shared/contract/states.ts";
import { moved, RESTAGE_MAX, type TransferRecord } from "../../shared/domain/transfer.ts";
import { judgeUpload, mayTryAgain, STUCK_AFTER_MS, targetOf } from "../../shared/domain/upload.ts";
import type { HandleState } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, effectsOf, hintAt, move, note, plan, withdraw } from "./effects.ts";
import type { FarOutcome } from "./far.ts";
import { linkBinding } from "./far.ts";
import { forgetForm, saveForm, sealedForm, sealForm } from "./forms.ts";
import type { House } from "./house.ts";
import { inputEnded } from "./inputs.ts";
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

/** A site that shows no end for this long is looked into: it may have lost the upload. */
const SITE_DEADLINE_MS = 6 * 3_600_000;
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
const keep = (house: House, record: TransferRecord): TransferRecord =>
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
  const fresh = {
    ...(transferRecord(house, transfer.id) ?? transfer),
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
  discardSpool(house, record);
  if (record.jobId !== undefined) inputEnded(house, record);
}

/** Removes the copy of a file from elsewhere. Repeating it is harmless. */
export function discardSpool(house: House, { id, source }: TransferRecord): void {
  if (source?.spooled !== true) return;
  plan(house, "discard", id, source.uploadId === undefined ? {} : { uploadId: source.uploadId });
}

// ------------------------------------------------------------------------------------------------ what the site answered

/** Only the direct route: nothing is staged and nothing owed, and the target is free. */
export function mayDeliver(house: House, record: EffectRecord): void {
  move(house, record, "done");
  const debt = debtRecord(house, record.id);
  if (debt !== undefined) moveDebt(house, debt, "none");
  const transfer = transferRecord(house, record.subject);
  if (transfer?.status !== "staging") return;
  const copying = applyTransfer(house, moved(transfer, "copying", house.now(), { mayWrite: true }));
  if (copying.status === "copying") plan(house, "deliver", copying.id);
}

/** The site has made a place. `form` are its sealed links, where it has shown them already. */
export function placed(
  house: House,
  record: EffectRecord,
  outcome: Extract<FarOutcome, { kind: "placed" }>,
  sealed: { link?: string | undefined; form?: string[] | undefined },
): void {
  const transfer = transferRecord(house, record.subject);
  const debt = debtRecord(house, record.id);
  if (transfer === undefined || debt === undefined) return;
  const { staging, ...handle } = outcome.handle;
  const expiresAt = handle.expiresAt ?? staging?.expiresAt;
  const owed: DebtRecord = {
    ...debt,
    handle,
    ...(sealed.link === undefined ? {} : { sealedLink: sealed.link }),
    ...(expiresAt === undefined ? {} : { expiresAt }),
  };
  saveDebt(house, owed);
  note(house, record, { handle }, house.now() + SITE_DEADLINE_MS);
  if (transfer.status !== "staging") {
    payUpload(house, owed);
    return;
  }
  const link = { state: transfer.link.state, ...(expiresAt === undefined ? {} : { expiresAt }) };
  const free = keep(house, { ...transfer, link, mayWrite: true });
  if (sealed.form === undefined) house.due("handles", "", house.now() + 300, true);
  else formKnown(house, record.id, free, sealed.form);
}

/** From here on the site waits for us: until all is sent there is nothing to look at. */
function formKnown(house: House, effectId: string, transfer: TransferRecord, form: string[]): void {
  saveForm(house, transfer.id, form);
  quiet(house, effectId, true);
  const staged = applyTransfer(house, moved(transfer, "staged", house.now()));
  if (staged.status === "staged") plan(house, "send", staged.id);
}

function quiet(house: House, effectId: string, isQuiet: boolean): void {
  const placing = effect(house, effectId);
  if (placing !== undefined) note(house, placing, { quiet: isQuiet });
  if (!isQuiet) house.due("handles", "", house.now() + 300, true);
}

/** The place that the site has made for this upload and has not answered for yet. */
export const placing = (house: House, transfer: string): EffectRecord | undefined =>
  effectsOf(house, transfer).findLast(({ kind, state }) => kind === "upload" && state === "sent");

/** Everything is in the staging area: the site's turn. */
export function allSent(house: House, send: EffectRecord, transfer: TransferRecord): void {
  move(house, send, "done");
  if (transfer.status === "copying") keep(house, { ...transfer, copiedBytes: transfer.size ?? 0 });
  const waiting = placing(house, transfer.id);
  if (waiting !== undefined) quiet(house, waiting.id, false);
}

/** Whether a form has arrived cannot be told from here: the site's own look decides, see `seen`. */
export function sendDoubtful(house: House, send: EffectRecord, detail: string): void {
  move(house, send, "unknown", { doc: { lastError: detail } });
  const waiting = placing(house, send.subject);
  if (waiting !== undefined) quiet(house, waiting.id, false);
}

/** One look at the place that the site has made. */
export async function seen({ house, seal, site }: Desk, record: EffectRecord, state: HandleState): Promise<void> {
  const working = state.state === "working" ? state : undefined;
  const hasForm = sealedForm(house, record.subject).length > 0;
  const form =
    working?.upload === undefined || hasForm ? undefined : await sealForm(house, seal, record.subject, working.upload);
  const link = working?.staging;
  const known = link === undefined || debtRecord(house, record.id)?.sealedLink !== undefined;
  const sealedLink = known ? undefined : await seal.seal(link.url, linkBinding(house, record.id));
  if (working?.upload?.kind === "form") site.learnStorage(working.upload.url);
  house.change(() => {
    const fresh = effect(house, record.id);
    const transfer = transferRecord(house, record.subject);
    const debt = debtRecord(house, record.id);
    if (fresh?.state !== "sent" || transfer === undefined || debt === undefined) return;
    if (sealedLink !== undefined && link !== undefined)
      saveDebt(house, { ...debt, sealedLink, expiresAt: link.expiresAt });
    if (state.state === "working") stillWorking(house, fresh, transfer, state, form);
    else if (state.state === "done") arrived(house, fresh, transfer);
    else lost(house, fresh, transfer, state);
  });
}

function stillWorking(
  house: House,
  record: EffectRecord,
  transfer: TransferRecord,
  state: Extract<HandleState, { state: "working" }>,
  form: string[] | undefined,
): void {
  if (form !== undefined && transfer.status === "staging") {
    formKnown(house, record.id, transfer, form);
    return;
  }
  const send = effectsOf(house, transfer.id).findLast(({ kind }) => kind === "send");
  if (send?.state === "unknown" && state.upload !== undefined) {
    move(house, send, "planned");
    hintAt(house, send);
    quiet(house, record.id, true);
    return;
  }
  if (send?.state === "unknown") allSent(house, send, transfer);
  if (state.retrying !== true) return;
  const stuckSince = record.doc.stuckSince ?? house.now();
  note(house, effect(house, record.id) ?? record, { stuckSince });
  if (house.now() - stuckSince >= STUCK_AFTER_MS) {
    const detail =
      "The site has the file in its staging area and cannot write it to its place: full, gone or not yours.";
    failTransfer(house, transfer, "target_not_writable", detail);
  }
}

/** The site says that the file is in its place. That counts once the file system says so too. */
function arrived(house: House, record: EffectRecord, transfer: TransferRecord): void {
  move(house, record, "done");
  for (const send of effectsOf(house, transfer.id))
    if (send.kind === "send" && (send.state === "unknown" || send.state === "planned"))
      move(house, send, send.state === "planned" ? "refused" : "done");
  verifyNow(house, { ...transfer, copiedBytes: transfer.size ?? 0 });
}

function verifyNow(house: House, transfer: TransferRecord): void {
  const verifying = applyTransfer(house, moved(transfer, "verifying", house.now()));
  if (verifying.status === "verifying") plan(house, "verify", verifying.id);
}

/** The site gave up the upload, or has forgotten it. */
function lost(
  house: House,
  record: EffectRecord,
  transfer: TransferRecord,
  state: Extract<HandleState, { state: "failed" | "gone" }>,
): void {
  move(house, record, "refused");
  if (isEndedTransfer(transfer.status)) return;
  if (state.state === "gone") again(house, transfer, "place", "staging_lost", "The site forgot the upload.");
  else if (mayTryAgain(state.code)) again(house, transfer, "place", state.code, state.message);
  else failTransfer(house, transfer, state.code, state.message);
}

/** The whole file went to its place in one request. */
export function delivered(house: House, record: EffectRecord): void {
  move(house, record, "done");
  const transfer = transferRecord(house, record.subject);
  if (transfer?.status === "copying") verifyNow(house, { ...transfer, copiedBytes: transfer.size ?? 0 });
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
  site: { size: number; mtime: number; sha256?: string },
): void {
  const verdict = judgeUpload(transfer, site);
  if (verdict.ok) {
    applyTransfer(house, moved(transfer, "stored", house.now(), { proof: verdict.proof, mtime: site.mtime }));
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

// ------------------------------------------------------------------------------------------------------ lost answers

/**
 * The answer to a request for a place was lost. A v1 site that waits for the file is found again; else it is asked once
 * more: whoever has no links can write nothing, so the lost place ends by itself.
 */
export function placeLooked(
  house: House,
  id: string,
  found: NonNullable<EffectRecord["doc"]["handle"]> | undefined,
): void {
  const record = effect(house, id);
  const debt = debtRecord(house, id);
  if (record?.state !== "unknown" || debt === undefined) return;
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined || isEndedTransfer(transfer.status)) {
    move(house, record, "refused");
    moveDebt(house, debt, "none");
    return;
  }
  if (record.doc.handle !== undefined) {
    move(house, record, "refused");
    again(house, transfer, "place", "task_stuck", "The site has shown no end of the upload for hours.");
    return;
  }
  const isOurs = found !== undefined && !isKnownHandle(house, found);
  if (isOurs) {
    house.run("UPDATE effects SET state = 'sent' WHERE id = ?", id);
    placed(house, { ...record, state: "sent" }, { kind: "placed", handle: found }, {});
    return;
  }
  move(house, record, "planned", { dueAt: house.now() });
}

/** A place that belongs to another upload, perhaps one that was given up. */
const isKnownHandle = (house: House, { ref }: NonNullable<EffectRecord["doc"]["handle"]>): boolean =>
  house.row("SELECT 1 FROM effects WHERE json_extract(doc, '$.handle.ref.task') = ?", "task" in ref ? ref.task : "") !==
  undefined;

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
