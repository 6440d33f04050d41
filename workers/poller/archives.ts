/**
 * Directories: FirecREST packs one into an archive beside it, the archive is fetched like any file, and removed in the end,
 * whatever became of the transfer. All of it is called inside `house.change`.
 *
 * A request to pack whose answer is lost cannot be found again on every site (v2 names all of these jobs alike). So it is left
 * to itself: the directory is packed once more under another name, and the place where the lost one writes is swept, twice,
 * the last time when no job of a site can still be running.
 */
import type { TransferRecord } from "../../shared/domain/transfer.ts";
import type { Api, Handle, HandleState } from "../../shared/firecrest/port.ts";
import { tagOf } from "../../shared/ids.ts";
import { type EffectRecord, effectsOf, move, note, plan } from "./effects.ts";
import type { House } from "./house.ts";
import { directoryProblem } from "./outputs.ts";
import { applyTransfer, failTransfer, planLogTidy, planTidy, startDownload, transferRecord } from "./transfers.ts";

/** Packing waits in a queue and then takes its time. */
const PENDING_MS = 24 * 3_600_000;
const SWEEPS_AFTER_MS = [15 * 60_000, 25 * 3_600_000] as const;
const ATTEMPTS_MAX = 3;

/** The archive of a directory, beside it. */
function archiveFor(path: string, id: string, attempt: number): string {
  const directory = path.replace(/\/+$/, "");
  return `${directory.slice(0, directory.lastIndexOf("/"))}/.fw-${tagOf(id)}-${attempt}.tar.gz`;
}

/** Packs the directory that a transfer's path names. Its place is on record before it is made, so that it is always removed. */
export function startArchive(
  house: House,
  { waiting: _, ...record }: TransferRecord,
  api: Api,
  attempt = 1,
): TransferRecord {
  const problem = directoryProblem(api, record.path);
  if (problem !== undefined) return failTransfer(house, record, "invalid_path", `The path ${problem}.`);
  const archive = archiveFor(record.path, record.id, attempt);
  plan(house, "compress", record.id, { archive });
  return applyTransfer(house, { record: { ...record, archive, changedAt: house.now() }, announce: [], changed: true });
}

/** The site has the request. */
export function packing(house: House, record: EffectRecord, handle: Handle): void {
  note(house, record, { handle }, house.now() + PENDING_MS);
  house.due("handles", "", house.now() + 300, true);
}

/** What became of it. Its log files go, and the archive too if nobody wants it any more. */
export function packed(house: House, record: EffectRecord, state: Exclude<HandleState, { state: "working" }>): void {
  if (state.state === "gone") {
    lostArchive(house, record);
    return;
  }
  planLogTidy(house, record.subject, record.doc.handle);
  const transfer = transferRecord(house, record.subject);
  if (state.state === "failed") {
    move(house, record, "refused", { doc: { lastError: state.message } });
    if (transfer?.status === "accepted")
      failTransfer(house, transfer, "not_packed", `The directory could not be packed: ${state.message}`);
    else sweep(house, record, [0]);
    return;
  }
  move(house, record, "done");
  if (transfer?.status === "accepted") startDownload(house, transfer, (house.meta("api") ?? "v1") as Api);
  else sweep(house, record, [0]);
}

/** The request, or what became of it, is lost. */
export function lostArchive(house: House, record: EffectRecord): void {
  move(house, record, "refused");
  sweep(house, record, SWEEPS_AFTER_MS);
  const transfer = transferRecord(house, record.subject);
  if (transfer?.status !== "accepted") return;
  const attempts = effectsOf(house, transfer.id).filter(({ kind }) => kind === "compress").length;
  if (attempts < ATTEMPTS_MAX) startArchive(house, transfer, (house.meta("api") ?? "v1") as Api, attempts + 1);
  else {
    const { archive: _, ...without } = transfer;
    const detail = `The site's answers to ${attempts} requests to pack the directory were lost.`;
    failTransfer(house, without, "archive_lost", detail);
  }
}

function sweep(house: House, { subject, doc }: EffectRecord, afterMs: readonly number[]): void {
  const transfer = transferRecord(house, subject);
  if (doc.archive === undefined || transfer === undefined) return;
  for (const delayMs of afterMs) planTidy(house, subject, transfer.system, [doc.archive], delayMs);
}

/** The transfer has ended: its archive goes, at once where it is there, else when what makes it has ended (see `packed`). */
export function leaveArchive(house: House, { id, system, archive }: TransferRecord): void {
  if (archive === undefined) return;
  const making = effectsOf(house, id).findLast(({ kind, doc }) => kind === "compress" && doc.archive === archive);
  if (making?.state === "done" || making?.state === "refused") planTidy(house, id, system, [archive]);
}
