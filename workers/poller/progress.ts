/** How far copies are and how fast they go, for whoever watches: kept in memory only, since the parts are on record anyway. */
import type { Progress, Transfer } from "../../shared/contract/transfer.ts";
import { type Pace, paced, prospect } from "../../shared/domain/progress.ts";
import type { TransferRecord } from "../../shared/domain/transfer.ts";
import { effect } from "./effects.ts";
import type { House } from "./house.ts";
import { pushProgress, type Streams } from "./streams.ts";
import { transferRecord } from "./transfers.ts";

/** At most two frames a second and transfer. */
const FRAME_EVERY_MS = 500;

/** One copy that is being followed. */
export interface Moving extends Pace {
  shownAt: number;
}

const totalOf = ({ upload, size }: TransferRecord): number | undefined => upload?.totalBytes ?? size;

/** Something was heard from a copy: it began, or parts of it are stored. */
export function copyMoved(streams: Streams, effectId: string): void {
  const { house } = streams;
  const transfer = transferOf(house, effectId);
  if (transfer?.status !== "copying") return;
  const before = house.moving.get(transfer.id);
  const pace = paced(before, transfer.copiedBytes, house.now());
  const isShown = before === undefined || house.now() - before.shownAt >= FRAME_EVERY_MS;
  house.moving.set(transfer.id, { ...pace, shownAt: isShown ? house.now() : before.shownAt });
  if (isShown) pushProgress(streams, transfer.system, frameOf(transfer, pace));
}

/** A copy has ended, whatever came of it. The last frame of one that arrived is never left out. */
export function copyEnded(streams: Streams, effectId: string): void {
  const { house } = streams;
  const transfer = transferOf(house, effectId);
  if (transfer === undefined || transfer.status === "copying") return;
  const before = house.moving.get(transfer.id);
  house.moving.delete(transfer.id);
  // What goes in one put is stored at once.
  if (before === undefined || (transfer.status !== "verifying" && transfer.status !== "stored")) return;
  const pace = paced(before, transfer.copiedBytes, house.now());
  pushProgress(streams, transfer.system, frameOf(transfer, pace));
}

/** The transfer that this effect copies. */
function transferOf(house: House, effectId: string): TransferRecord | undefined {
  const record = effect(house, effectId);
  return record?.kind === "copy" ? transferRecord(house, record.subject) : undefined;
}

function frameOf(transfer: TransferRecord, pace: Pace): Progress {
  const totalBytes = totalOf(transfer);
  return {
    transfer: transfer.id,
    ...(transfer.jobId !== undefined && { job: transfer.jobId }),
    bytes: transfer.copiedBytes,
    ...(totalBytes !== undefined && { totalBytes }),
    ...prospect(pace, totalBytes),
  };
}

/** A transfer with its pace, while it is being copied and somebody has heard of it. */
export function withPace(house: House, view: Transfer): Transfer {
  const pace = house.moving.get(view.id);
  return pace === undefined || view.status !== "copying" ? view : { ...view, ...prospect(pace, view.totalBytes) };
}
