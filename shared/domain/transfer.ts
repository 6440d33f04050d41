/**
 * The life of a transfer and of its staged link, as pure decisions.
 *
 *     accepted → staging → staged → copying → verifying → stored, or failed, cancelled
 *     link: none → owed → releasing → released | expires | unreleasable
 *
 * The link is a debt: it opens in the transaction that plans the staging and is struck off only when its release is proven
 * or its end is known. A transfer that fails or is cancelled still pays.
 */
import type { LinkState, Proof, TransferStatus } from "../contract/states.ts";
import { isEndedTransfer } from "../contract/states.ts";
import type { Transfer } from "../contract/transfer.ts";
import type { Announcement } from "./job.ts";
import { type Pieces, pieceName } from "./pieces.ts";

/** What the Tracker stores of a transfer. Times in ms since the epoch. */
export interface TransferRecord {
  id: string;
  jobId?: string;
  direction: "download" | "upload";
  system: string;
  path: string;
  key: string;
  /** Of a file from elsewhere, without its query; the whole is sealed beside it. */
  url?: string;
  sealedUrl?: string;
  account?: string;
  overwrite: boolean;
  verify?: Proof;
  actor: string;
  /** Of the request that it came with; a job's output has its job's. */
  traceparent?: string;
  status: TransferStatus;
  /** Outputs wait for the end of their job. */
  waiting?: boolean;
  acceptedAt: number;
  changedAt: number;
  endedAt?: number;
  reason?: string;
  detail?: string;
  /** From `stat` before staging. */
  size?: number;
  mtime?: number;
  /** What the site hashed the file to before it was staged. */
  siteSha256?: string;
  /** What the path was, as long as it stands for all files that match it. */
  pattern?: string;
  /** The archive that is made of a directory, and staged in its place; removed afterwards. */
  archive?: string;
  /** The symlink that was made so that FirecREST can stage an awkward name; removed afterwards. */
  symlink?: string;
  upload?: { uploadId: string; partBytes: number; totalBytes: number; sourceEtag?: string };
  copiedBytes: number;
  sha256?: string;
  proof?: Proof;
  etag?: string;
  /** Of an upload: the version of the object that goes up, and what was made in R2 for a file from elsewhere. */
  source?: { etag?: string; spooled?: boolean; uploadId?: string };
  /** Of an upload: the target was looked at, and what is there from now on is ours. */
  mayWrite?: boolean;
  /** How it comes, where it is larger than what the site can stage. */
  pieces?: Pieces;
  /** The effect that makes a manifest for it: a small job of ours (`workers/poller/errands.ts`). */
  errand?: string;
  /** How often wrong parts were copied again from this staging. */
  recopied?: number;
  /** How often the file was staged again because the link died or the file changed. */
  restaged: number;
  /** How many stagings were sent, answered by nothing that counts, and then not found at the site. */
  lostStagings?: number;
  link: { state: LinkState; expiresAt?: number };
  warnings: { code: string; message: string }[];
}

export interface TransferStep {
  record: TransferRecord;
  announce: Announcement[];
  changed: boolean;
}

/** A file that changes or a link that dies is staged again at most this often. */
export const RESTAGE_MAX = 2;
/** Parts that came out wrong are copied again from the same link at most this often; then the file is staged again. */
export const RECOPY_MAX = 1;
/** Requests to stage that come to nothing are made again this often, over about two hours. */
export const LOST_STAGINGS_MAX = 30;

/** From → to. Ends are final; every live status may fail or be cancelled. */
export const TRANSFER_STEPS = {
  accepted: ["staging", "failed", "cancelled"],
  staging: ["staged", "copying", "failed", "cancelled"],
  staged: ["copying", "staging", "failed", "cancelled"],
  copying: ["verifying", "staging", "failed", "cancelled"],
  verifying: ["stored", "copying", "staging", "failed", "cancelled"],
  stored: [],
  failed: [],
  cancelled: [],
} as const satisfies Record<TransferStatus, readonly TransferStatus[]>;

/** The file that is fetched. */
export const sourceOf = ({ path, archive }: Pick<TransferRecord, "path" | "archive">): string => archive ?? path;

/** What the site is asked to stage for it: a piece, a link, or the file itself. */
export const stagedOf = (record: TransferRecord): string =>
  record.pieces === undefined
    ? (record.symlink ?? sourceOf(record))
    : `${record.pieces.directory}/${pieceName(record.pieces.at)}`;

const ANNOUNCED: Partial<Record<TransferStatus, Announcement["type"]>> = {
  staged: "transfer.staged",
  stored: "transfer.stored",
  failed: "transfer.failed",
  cancelled: "transfer.cancelled",
};

/** Moves a transfer; a step that the table does not list changes nothing. */
export function moved(
  record: TransferRecord,
  to: TransferStatus,
  now: number,
  facts: Partial<TransferRecord> = {},
): TransferStep {
  if (!(TRANSFER_STEPS[record.status] as readonly TransferStatus[]).includes(to))
    return { record, announce: [], changed: false };
  const next: TransferRecord = { ...record, ...facts, status: to, changedAt: now };
  if (isEndedTransfer(to)) next.endedAt = now;
  const type = ANNOUNCED[to];
  return { record: next, announce: type === undefined ? [] : [{ type }], changed: true };
}

/** The life of a debt. `released` and `expires` are ends; `unreleasable` becomes `expires` by the passing of time alone. */
export const LINK_STEPS = {
  none: ["owed"],
  owed: ["releasing", "expires", "none"],
  releasing: ["released", "unreleasable", "expires", "owed"],
  released: ["owed"],
  expires: ["owed"],
  unreleasable: ["expires", "owed"],
} as const satisfies Record<LinkState, readonly LinkState[]>;

export function linkMoved(record: TransferRecord, to: LinkState, now: number, expiresAt?: number): TransferStep {
  if (!(LINK_STEPS[record.link.state] as readonly LinkState[]).includes(to))
    return { record, announce: [], changed: false };
  const ends = expiresAt ?? record.link.expiresAt;
  const link = ends === undefined ? { state: to } : { state: to, expiresAt: ends };
  // Known to be unreleasable once is enough: that its time is over then is no news.
  const unreleased = to === "unreleasable" || (to === "expires" && record.link.state !== "unreleasable");
  const announce: Announcement[] =
    to === "released" ? [{ type: "transfer.released" }] : unreleased ? [{ type: "transfer.unreleased" }] : [];
  return { record: { ...record, link, changedAt: now }, announce, changed: true };
}

/** Where a file comes from, for everybody to see: a query may hold a secret. */
export const shownUrl = (url: string): string => url.replace(/\?.*$/s, "");

const time = (ms: number): string => new Date(ms).toISOString();

/** The transfer as everybody sees it. */
export function viewTransfer(record: TransferRecord, connection: string): Transfer {
  const view = {
    id: record.id,
    connection,
    jobId: record.jobId,
    direction: record.direction,
    system: record.system,
    path: record.path,
    key: record.key,
    url: record.url === undefined ? undefined : shownUrl(record.url),
    status: record.status,
    reason: record.reason,
    detail: record.detail,
    bytes: record.copiedBytes,
    totalBytes: record.upload?.totalBytes ?? record.size,
    sha256: record.status === "stored" ? record.sha256 : undefined,
    proof: record.proof,
    link:
      record.link.expiresAt === undefined
        ? { state: record.link.state }
        : { state: record.link.state, expiresAt: time(record.link.expiresAt) },
    acceptedAt: time(record.acceptedAt),
    endedAt: record.endedAt === undefined ? undefined : time(record.endedAt),
    warnings: record.warnings,
  };
  return Object.fromEntries(Object.entries(view).filter(([, v]) => v !== undefined)) as Transfer;
}
