/** The lives of design: jobs, transfers, staged links. In the order in which they are lived. */
import { z } from "./words.ts";

export const JOB_STATUSES = [
  "accepted",
  "staging_in",
  "submitting",
  "queued",
  "running",
  "succeeded",
  "failed",
  "cancelled",
  "lost",
] as const;
export const JobStatus = z.enum(JOB_STATUSES);
export type JobStatus = z.infer<typeof JobStatus>;

/** `lost` is a resting place, not an end. */
export const ENDED_JOB_STATUSES = ["succeeded", "failed", "cancelled"] as const satisfies readonly JobStatus[];
export const isEndedJob = (status: JobStatus): boolean => (ENDED_JOB_STATUSES as readonly string[]).includes(status);

/** Why a job is where it is. The scheduler's own word stays in `schedulerState`. */
export const JOB_REASONS = [
  "exit_code",
  "timeout",
  "out_of_memory",
  "node_fail",
  "preempted",
  "deadline",
  "boot_fail",
  "launch_failed",
  "revoked",
  "rejected",
  "stage_in_failed",
  "outcome_unknown",
  "cancelled_by_request",
  "cancelled_by_scheduler",
  "not_seen",
  "never_starts",
] as const;
export const JobReason = z.enum(JOB_REASONS);
export type JobReason = z.infer<typeof JobReason>;

export const TRANSFER_STATUSES = [
  "accepted",
  "staging",
  "staged",
  "copying",
  "verifying",
  "stored",
  "failed",
  "cancelled",
] as const;
export const TransferStatus = z.enum(TRANSFER_STATUSES);
export type TransferStatus = z.infer<typeof TransferStatus>;

export const ENDED_TRANSFER_STATUSES = ["stored", "failed", "cancelled"] as const satisfies readonly TransferStatus[];
export const isEndedTransfer = (status: TransferStatus): boolean =>
  (ENDED_TRANSFER_STATUSES as readonly string[]).includes(status);

/** A staged link is a debt. `none` = nothing was staged (yet, or it was not needed). */
export const LINK_STATES = ["none", "owed", "releasing", "released", "expires", "unreleasable"] as const;
export const LinkState = z.enum(LINK_STATES);
export type LinkState = z.infer<typeof LinkState>;

/** How a stored file was proven to be the file on the HPC side. */
export const Proof = z.enum(["hash", "manifest", "size"]);
export type Proof = z.infer<typeof Proof>;

export const EVENT_TYPES = [
  "job.accepted",
  "job.queued",
  "job.running",
  "job.requeued",
  "job.succeeded",
  "job.failed",
  "job.cancelled",
  "job.lost",
  "job.found",
  "job.settled",
  "job.walltime_warning",
  "job.warning",
  "transfer.staged",
  "transfer.stored",
  "transfer.released",
  "transfer.unreleased",
  "transfer.failed",
  "transfer.cancelled",
  "callback.exhausted",
  "callback.failing",
  "callback.recovered",
  "callback.disabled",
  "callback.enabled",
  "callback.test",
  "connection.unhealthy",
  "connection.recovered",
] as const;
export const EventType = z.enum(EVENT_TYPES);
export type EventType = z.infer<typeof EventType>;

/**
 * Whether something that failed may be tried again. `never`: understood and refused. `later`: nothing happened on the far
 * side. `after_check`: it may have taken effect; look before sending it again.
 */
export type Retry = "never" | "later" | "after_check";
