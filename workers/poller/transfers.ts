/** Rows of transfers, parts and debts, and the steps that tie them together. */
import type { Event } from "../../shared/contract/event.ts";
import type { Page } from "../../shared/contract/rpc.ts";
import { isEndedTransfer, type LinkState } from "../../shared/contract/states.ts";
import type { Transfer, TransfersQuery } from "../../shared/contract/transfer.ts";
import { DEADLINE_MS, retryDelayMs } from "../../shared/domain/effect.ts";
import type { Announcement } from "../../shared/domain/job.ts";
import { shapeOf } from "../../shared/domain/output.ts";
import {
  LINK_STEPS,
  LOST_STAGINGS_MAX,
  linkMoved,
  moved,
  sourceOf,
  type TransferRecord,
  type TransferStep,
  viewTransfer,
} from "../../shared/domain/transfer.ts";
import { targetOf } from "../../shared/domain/upload.ts";
import { checkPath, linkBeside, needsSymlink } from "../../shared/firecrest/paths.ts";
import type { Api, Handle } from "../../shared/firecrest/port.ts";
import { tagOf } from "../../shared/ids.ts";
import type { Actor } from "./access.ts";
import { leaveArchive, startArchive } from "./archives.ts";
import { effectsOf, move, plan, withdraw } from "./effects.ts";
import { leaveErrand } from "./errands.ts";
import type { House } from "./house.ts";
import { settleJob } from "./jobs.ts";
import { announce } from "./ledger.ts";
import { pageOf } from "./page.ts";
import { endUpload } from "./uploads.ts";

/** A staged link, owed until its release is proven or its end is known. Its id is that of the staging effect. */
export interface DebtRecord {
  id: string;
  transferId: string;
  state: LinkState;
  openedAt: number;
  system: string;
  /** What was staged: the path itself, or the symlink made for it. */
  stagedPath?: string;
  handle?: Handle;
  /** The link as JWE; nulled at the end. */
  sealedLink?: string;
  expiresAt?: number;
  releases: number;
  /** When the site was first asked to release: Swift deletes ten minutes later. */
  releasedAt?: number;
  /**
   * How it is released. `ask` (the default): the site is asked to. `look`: the site removes it by itself. `abandon`: the
   * job that waits for it is cancelled first.
   */
  how?: "ask" | "look" | "abandon";
}

const OPEN_LINKS: readonly LinkState[] = ["owed", "releasing", "unreleasable"];

export function transferRecord(house: House, id: string): TransferRecord | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM transfers WHERE id = ?", id);
  return row === undefined ? undefined : (JSON.parse(row.doc) as TransferRecord);
}

/** Whether another live transfer already aims at this key, or at this file: see `targetOf`. */
export function isKeyTaken(house: House, target: string): boolean {
  return house.row("SELECT 1 FROM transfers WHERE key = ? AND live = 1", target) !== undefined;
}

/** A new row, or a known transfer under another key. Only one live row may have a key: a second one is never live. */
export function insertTransfer(house: House, record: TransferRecord, { live = true } = {}): void {
  house.run(
    "INSERT INTO transfers (id, job_id, key, status, live, doc) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET key = excluded.key, live = excluded.live, doc = excluded.doc",
    record.id,
    record.jobId ?? null,
    targetOf(record),
    record.status,
    live ? 1 : 0,
    JSON.stringify(record),
  );
}

function saveTransfer(house: House, record: TransferRecord): void {
  house.run(
    "UPDATE transfers SET status = ?, live = ?, doc = ? WHERE id = ?",
    record.status,
    isEndedTransfer(record.status) ? 0 : 1,
    JSON.stringify(record),
    record.id,
  );
}

/** Makes a step true. Call inside `house.change`. */
export function applyTransfer(house: House, step: TransferStep): TransferRecord {
  if (!step.changed) return step.record;
  const { record } = step;
  saveTransfer(house, record);
  tell(house, record, step.announce);
  if (
    isEndedTransfer(record.status) &&
    record.endedAt === record.changedAt &&
    step.announce.some(({ type }) => type !== "transfer.released" && type !== "transfer.unreleased")
  ) {
    endTransfer(house, record);
  }
  return record;
}

function tell(house: House, record: TransferRecord, announcements: Announcement[]): void {
  for (const { type } of announcements) {
    const data: Event["data"] = viewTransfer(record, house.name);
    announce(house, { type, subject: `transfers/${record.id}`, data, jobId: record.jobId });
  }
}

/** An ended transfer stops what was planned, gives back its R2 upload if it did not store, pays its debts, and settles its job. */
function endTransfer(house: House, record: TransferRecord): void {
  withdraw(house, record.id);
  leaveErrand(house, record);
  if (record.direction === "upload") {
    endUpload(house, record);
    return;
  }
  if (record.status !== "stored" && record.upload !== undefined)
    plan(house, "abort", record.id, { uploadId: record.upload.uploadId });
  for (const debt of openDebts(house, record.id)) payDebt(house, debt);
  if (record.symlink !== undefined)
    planTidy(house, record.id, record.system, [record.symlink], linkDelayMs(house, record));
  leaveArchive(house, record);
  if (record.jobId !== undefined) settleJob(house, record.jobId);
}

/** A staging that was sent and not answered may still be about to make its link: that is removed when it can make none any more. */
function linkDelayMs(house: House, { id }: TransferRecord): number {
  const underWay = effectsOf(house, id).some(
    ({ kind, state, doc }) => kind === "stage" && state === "sent" && doc.handle === undefined,
  );
  return underWay ? DEADLINE_MS.stage + 60_000 : 0;
}

/** The log files that a site's own job has left in the user's directory go. */
export function planLogTidy(house: House, subject: string, handle: Handle | undefined): void {
  if (handle?.logs !== undefined) planTidy(house, subject, handle.system, [handle.logs.output, handle.logs.error]);
}

/** Files that we made on the HPC side go. */
export function planTidy(house: House, subject: string, system: string, paths: string[], delayMs = 0): void {
  plan(house, "tidy", subject, { delayMs, tidy: { system, paths } });
}

export function failTransfer(house: House, record: TransferRecord, reason: string, detail: string): TransferRecord {
  return applyTransfer(house, moved(record, "failed", house.now(), { reason, detail }));
}

/** The transfer's own work begins: a staging is planned and its debt opened, together. A directory is packed first. */
export function startDownload(house: House, record: TransferRecord, api: Api): TransferRecord {
  if (record.archive === undefined && shapeOf(record.path) === "directory") return startArchive(house, record, api);
  const unusable = checkPath(api, "stage", sourceOf(record));
  if (unusable !== undefined && !needsSymlink(api, sourceOf(record))) {
    return failTransfer(house, record, "invalid_path", `The path ${unusable}.`);
  }
  const { waiting: _, ...ready } = record;
  // An awkwardly named file is staged through a link beside it; on record before it is made, so that it is always removed.
  return planStaging(
    house,
    unusable === undefined ? ready : { ...ready, symlink: linkBeside(sourceOf(record), tagOf(record.id)) },
  );
}

/** Plans a staging: the debt opens in the same transaction. */
export function planStaging(house: House, record: TransferRecord, delayMs = 0): TransferRecord {
  leaveErrand(house, record);
  const { sha256: _h, siteSha256: _s, upload: _u, errand: _e, recopied: _r, pieces: _p, ...clean } = record;
  return openStaging(house, { ...clean, copiedBytes: 0 }, delayMs);
}

/** The debt opens in the same transaction in which the staging is planned. */
export function openStaging(house: House, record: TransferRecord, delayMs = 0): TransferRecord {
  const now = house.now();
  const effect = plan(house, "stage", record.id, { delayMs });
  saveDebt(
    house,
    { id: effect, transferId: record.id, state: "owed", openedAt: now, system: record.system, releases: 0 },
    true,
  );
  return applyTransfer(house, moved(record, "staging", now, { link: { state: "owed" } }));
}

/** The link died or the file changed under us: the old link is paid, the parts are dropped, and the file is staged anew. */
export function restage(house: House, record: TransferRecord): TransferRecord {
  for (const debt of openDebts(house, record.id)) payDebt(house, debt);
  if (record.upload !== undefined) plan(house, "abort", record.id, { uploadId: record.upload.uploadId });
  house.run("DELETE FROM parts WHERE transfer = ?", record.id);
  return planStaging(house, { ...record, restaged: record.restaged + 1 });
}

/** A staging that is not there although it was sent is sent again, ever later: an outage of the site costs time, not the file. */
export function stageLater(house: House, record: TransferRecord): TransferRecord {
  const lostStagings = (record.lostStagings ?? 0) + 1;
  if (lostStagings > LOST_STAGINGS_MAX)
    return failTransfer(
      house,
      record,
      "staging_lost",
      `The site took none of ${lostStagings} requests to stage the file.`,
    );
  const again: TransferRecord = { ...record, status: "staged", lostStagings };
  const delayMs = retryDelayMs(lostStagings, house.random());
  return record.pieces === undefined ? planStaging(house, again, delayMs) : openStaging(house, again, delayMs);
}

// ------------------------------------------------------------------------------------------------------------------ debts

export function debtRecord(house: House, id: string): DebtRecord | undefined {
  const row = house.row<{ doc: string }>("SELECT doc FROM debts WHERE id = ?", id);
  return row === undefined ? undefined : (JSON.parse(row.doc) as DebtRecord);
}

export function openDebts(house: House, transferId: string): DebtRecord[] {
  return house
    .rows<{ doc: string }>("SELECT doc FROM debts WHERE transfer = ? AND open = 1 ORDER BY id", transferId)
    .map(({ doc }) => JSON.parse(doc) as DebtRecord);
}

export function saveDebt(house: House, debt: DebtRecord, isNew = false): void {
  const open = OPEN_LINKS.includes(debt.state) ? 1 : 0;
  if (open === 0) delete debt.sealedLink;
  if (isNew)
    house.run(
      "INSERT INTO debts (id, transfer, open, doc) VALUES (?, ?, ?, ?)",
      debt.id,
      debt.transferId,
      open,
      JSON.stringify(debt),
    );
  else house.run("UPDATE debts SET open = ?, doc = ? WHERE id = ?", open, JSON.stringify(debt), debt.id);
  if (open === 0) house.notDue("debt", debt.id);
}

/**
 * Moves a debt; the transfer shows and announces it when it is the transfer's newest. A step that the table does not list
 * changes nothing: what was struck off is not owed again.
 */
export function moveDebt(house: House, debt: DebtRecord, to: LinkState, facts: Partial<DebtRecord> = {}): DebtRecord {
  if (to !== debt.state && !(LINK_STEPS[debt.state] as readonly LinkState[]).includes(to)) return debt;
  const next: DebtRecord = { ...debt, ...facts, state: to };
  saveDebt(house, next);
  const newest = house.row<{ id: string }>(
    "SELECT id FROM debts WHERE transfer = ? ORDER BY id DESC LIMIT 1",
    debt.transferId,
  )?.id;
  const transfer = transferRecord(house, debt.transferId);
  if (transfer !== undefined && newest === debt.id) {
    const step = linkMoved(transfer, to, house.now(), next.expiresAt);
    if (step.changed) {
      saveTransfer(house, step.record);
      tell(house, step.record, step.announce);
    }
  }
  return next;
}

/**
 * Pays a debt. With a link (or a handle that can be released) the release is planned; a staging that is still under way is
 * waited for; one that was never sent owes nothing.
 */
export function payDebt(house: House, debt: DebtRecord): void {
  if (debt.state !== "owed") return;
  const staging = effectsOf(house, debt.transferId).find((effect) => effect.id === debt.id);
  if (staging?.state === "planned" || staging?.state === "refused") {
    if (staging.state === "planned") move(house, staging, "refused");
    moveDebt(house, debt, "none");
    return;
  }
  if (debt.sealedLink === undefined) return;
  // On v2 the link is known before the job that fills it has ended, and that job still writes its log files.
  if (debt.handle?.releasable === false && staging?.state === "sent") return;
  if (debt.handle?.releasable === false) {
    // v2 has no way to release: the link is forgotten, the log files go, and the date of its end is on record.
    moveDebt(house, debt, "expires", debt.expiresAt === undefined ? {} : { expiresAt: debt.expiresAt });
    plan(house, "release", debt.id);
    return;
  }
  moveDebt(house, debt, "releasing");
  plan(house, "release", debt.id);
}

export function listTransfers(house: House, query: TransfersQuery, actor: Actor): Page<Transfer> {
  const limit = query.limit ?? 50;
  const conditions = ["id < ?"];
  const bindings: SqlStorageValue[] = [query.cursor ?? "tr_~"];
  if (query.status !== undefined) conditions.push("status = ?") && bindings.push(query.status);
  if (query.job !== undefined) conditions.push("job_id = ?") && bindings.push(query.job);
  if (actor.systems !== undefined) {
    conditions.push("json_extract(doc, '$.system') IN (SELECT value FROM json_each(?))");
    bindings.push(JSON.stringify(actor.systems));
  }
  if (actor.ownOnly === true) {
    conditions.push("json_extract(doc, '$.actor') = ?");
    bindings.push(actor.name);
  }
  const rows = house.rows<{ doc: string }>(
    `SELECT doc FROM transfers WHERE ${conditions.join(" AND ")} ORDER BY id DESC LIMIT ?`,
    ...bindings,
    limit,
  );
  return pageOf(rows, limit, ({ doc }) => viewTransfer(JSON.parse(doc) as TransferRecord, house.name));
}
