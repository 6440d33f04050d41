/**
 * An upload's place at the site: asked for, filled, and left when the file is where it belongs. Each answer of the site ends
 * here, also the one that never came.
 */
import { isEndedTransfer } from "../../shared/contract/states.ts";
import { moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import { mayTryAgain, STUCK_AFTER_MS } from "../../shared/domain/upload.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, Handle, HandleState } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, effectsOf, heardOf, hintAt, move, note, plan } from "./effects.ts";
import { type FarOutcome, linkBinding } from "./far.ts";
import { saveForm, sealedForm, sealForm } from "./forms.ts";
import { siteAnswered } from "./health.ts";
import type { House } from "./house.ts";
import {
  applyTransfer,
  type DebtRecord,
  debtRecord,
  failTransfer,
  moveDebt,
  saveDebt,
  transferRecord,
} from "./transfers.ts";
import { again, keep, payUpload } from "./uploads.ts";

/** A site that shows no end for this long is looked into: it may have lost the upload. */
const SITE_DEADLINE_MS = 6 * 3_600_000;

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

// ------------------------------------------------------------------------------------------------------ lost answers

/**
 * The answer to a request for a place was lost. A v1 site that waits for the file is found again; else it is asked once
 * more: whoever has no links can write nothing, so the lost place ends by itself.
 */
export async function lookForPlace(
  { house }: Desk,
  record: EffectRecord,
  firecrest: Firecrest,
  since: number,
): Promise<void> {
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined) return;
  try {
    const found = await firecrest.findUpload(transfer.system, transfer.path, since);
    siteAnswered(house);
    house.change(() => placeLooked(house, record.id, found));
  } catch (error) {
    // A site that will never say has nothing to be found.
    if (!(error instanceof FirecrestError && error.retry === "never")) throw error;
    house.change(() => placeLooked(house, record.id, undefined));
  }
}

function placeLooked(house: House, id: string, found: Handle | undefined): void {
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
    placed(house, heardOf(house, record), { kind: "placed", handle: found }, {});
    return;
  }
  move(house, record, "planned", { dueAt: house.now() });
}

/** A place that belongs to another upload, perhaps one that was given up. */
const isKnownHandle = (house: House, { ref }: Handle): boolean =>
  house.row("SELECT 1 FROM effects WHERE json_extract(doc, '$.handle.ref.task') = ?", "task" in ref ? ref.task : "") !==
  undefined;
