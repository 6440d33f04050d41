/** Transfers: one file between an HPC path and an R2 object. */

import { VerifyMode } from "./job.ts";
import { LinkState, Proof, TransferStatus } from "./states.ts";
import {
  cursorOf,
  HpcPath,
  JobId,
  ObjectKey,
  PageQuery,
  SchedulerWord,
  Sha256Hex,
  SystemName,
  Time,
  TransferId,
  WebUrl,
  z,
} from "./words.ts";

export const TransferRequest = z
  .strictObject({
    direction: z.enum(["download", "upload"]),
    system: SystemName,
    path: HpcPath.refine((p) => p.startsWith("/"), "must be absolute"),
    /** The R2 object. For an upload from elsewhere give `url` instead. */
    key: ObjectKey.optional(),
    url: WebUrl.optional(),
    account: SchedulerWord.optional(),
    /** Whether what is already there (the object; for an upload the file on the HPC side) may be replaced. Default false. */
    overwrite: z.boolean().optional(),
    verify: VerifyMode.optional(),
    labels: z.record(z.string(), z.string()).optional(),
  })
  .refine((t) => t.direction === "upload" || (t.key !== undefined && t.url === undefined), {
    message: "is needed for a download",
    path: ["key"],
  })
  .refine((t) => t.direction === "download" || (t.key === undefined) !== (t.url === undefined), {
    message: "an upload needs exactly one of key and url",
    path: ["key"],
  })
  .openapi("TransferRequest");
export type TransferRequest = z.infer<typeof TransferRequest>;

/** A transfer as everybody sees it, and as events carry it. The link itself is never shown. */
export const Transfer = z
  .object({
    id: TransferId,
    connection: z.string(),
    jobId: JobId.optional(),
    direction: z.enum(["download", "upload"]),
    system: z.string(),
    path: z.string(),
    /** The R2 object. Empty for an upload from a URL. */
    key: z.string(),
    /** Where an upload comes from that is no object: without its query, which may hold a secret. */
    url: z.string().optional(),
    status: TransferStatus,
    /** Why it failed or was cancelled: a stable word and a sentence. */
    reason: z.string().optional(),
    detail: z.string().optional(),
    /** Bytes safely copied so far, in whole parts. */
    bytes: z.number().int().optional(),
    totalBytes: z.number().int().optional(),
    /** While it is being copied: how fast, smoothed, and how much longer at that rate. */
    bytesPerSecond: z.number().int().optional(),
    remainingSeconds: z.number().int().optional(),
    sha256: Sha256Hex.optional(),
    proof: Proof.optional(),
    link: z.object({ state: LinkState, expiresAt: Time.optional() }),
    acceptedAt: Time,
    endedAt: Time.optional(),
    warnings: z.array(z.object({ code: z.string(), message: z.string() })),
  })
  .openapi("Transfer");
export type Transfer = z.infer<typeof Transfer>;

/** Fields that are shown while a file is being copied, and never part of an event. */
export const PACE = { bytesPerSecond: true, remainingSeconds: true } as const;

/** A frame `event: progress` of the event stream: how far a copy is, in whole parts. Not an event, not numbered, not kept. */
export const Progress = Transfer.pick({ bytes: true, totalBytes: true, ...PACE }).extend({
  transfer: TransferId,
  job: JobId.optional(),
});
export type Progress = z.infer<typeof Progress>;

export const TransfersQuery = PageQuery.extend({
  cursor: cursorOf(TransferId),
  status: TransferStatus.optional(),
  job: JobId.optional(),
});
export type TransfersQuery = z.infer<typeof TransfersQuery>;

/** A cursor holds a key, so it may be as long as one. */
export const ObjectsQuery = PageQuery.extend({
  prefix: z.string().max(900).optional(),
  cursor: z.string().max(1_200).optional(),
});
export const ObjectSummary = z
  .object({
    key: z.string(),
    bytes: z.number().int(),
    etag: z.string(),
    uploadedAt: Time,
    sha256: Sha256Hex.optional(),
  })
  .openapi("ObjectSummary");
