/**
 * Files that are larger than what a site can stage: an errand cuts them into pieces beside the file (and hashes them while it
 * reads them), each piece is staged, copied and paid for by itself, and all end up as parts of one object. Which piece is next
 * follows from the parts that are stored, so a restart, a dead link and a wrong part all go on in the same place. All of it is
 * called inside `house.change`.
 */
import { pieceBytesFor, pieceToFetch } from "../../shared/domain/pieces.ts";
import { moved, sourceOf, type TransferRecord } from "../../shared/domain/transfer.ts";
import { linkBeside } from "../../shared/firecrest/paths.ts";
import { tagOf } from "../../shared/ids.ts";
import { type EffectRecord, plan } from "./effects.ts";
import { planSplit } from "./errands.ts";
import type { FarOutcome } from "./far.ts";
import type { House } from "./house.ts";
import {
  applyTransfer,
  debtRecord,
  failTransfer,
  moveDebt,
  openDebts,
  openStaging,
  payDebt,
  transferRecord,
} from "./transfers.ts";

/** Nothing was staged: the file has to be cut first. */
export function oversized(
  house: House,
  record: EffectRecord,
  { stat, maxBytes }: Extract<FarOutcome, { kind: "oversized" }>,
): void {
  const debt = debtRecord(house, record.id);
  if (debt !== undefined) moveDebt(house, debt, "none");
  const transfer = transferRecord(house, record.subject);
  if (transfer?.status !== "staging") return;
  const known: TransferRecord = { ...transfer, size: stat.size, mtime: stat.mtime, changedAt: house.now() };
  const pieceBytes = pieceBytesFor(stat.size, maxBytes);
  if (transfer.verify === "hash" || pieceBytes === undefined) {
    const detail = `The file has ${stat.size} bytes, and the site stages at most ${maxBytes} at once.`;
    const why =
      pieceBytes === undefined
        ? "Not even one part of it fits: compress or split it on the machine first."
        : "A file in pieces cannot be proven by hash; ask for verify: manifest.";
    failTransfer(house, known, pieceBytes === undefined ? "too_large" : "not_provable", `${detail} ${why}`);
    return;
  }
  // Beside the file, where there is room for it once. On record before it is made, so that it is always removed.
  const directory = `${linkBeside(sourceOf(known), tagOf(transfer.id))}-${known.restaged}.pieces`;
  const errand = planSplit(house, known, { directory, pieceBytes });
  applyTransfer(house, {
    record: { ...known, errand, pieces: { directory, pieceBytes, at: 0 } },
    announce: [],
    changed: true,
  });
}

/** The errand has ended. */
export function fileCut(
  house: House,
  transfer: TransferRecord,
  end: { ok: true } | { ok: false; detail: string },
): void {
  if (transfer.status !== "staging") return;
  if (end.ok) fetchPieces(house, transfer);
  else
    failTransfer(
      house,
      transfer,
      "not_split",
      `The file could not be cut into pieces that the site can stage. ${end.detail}`,
    );
}

/** Goes on with the first piece that is not all there; when all are, with the proof. The link of the last one is paid for. */
export function fetchPieces(house: House, transfer: TransferRecord): void {
  const { pieces, size = 0 } = transfer;
  if (pieces === undefined) return;
  for (const debt of openDebts(house, transfer.id)) payDebt(house, debt);
  const rows = house.rows<{ n: number; bytes: number }>("SELECT n, bytes FROM parts WHERE transfer = ?", transfer.id);
  const at = pieceToFetch(pieces, size, new Set(rows.map(({ n }) => n)));
  const copiedBytes = rows.reduce((sum, { bytes }) => sum + bytes, 0);
  // What paying did to the link is in the row.
  const { link } = transferRecord(house, transfer.id) ?? transfer;
  if (at !== undefined) {
    openStaging(house, { ...transfer, link, copiedBytes, pieces: { ...pieces, at }, status: "staged" });
    return;
  }
  const verifying = applyTransfer(house, moved({ ...transfer, link }, "verifying", house.now(), { copiedBytes }));
  if (verifying.status === "verifying") plan(house, "verify", transfer.id);
}
