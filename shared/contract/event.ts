/** The ledger: one fact about a job, transfer, callback or connection, numbered without gaps, never changed. */
import { Job, Warning } from "./job.ts";
import { EventType } from "./states.ts";
import { PACE, Transfer } from "./transfer.ts";
import { EventId, JobId, Time, z } from "./words.ts";

export const CallbackEventData = z.object({
  subscription: z.string().optional(),
  url: z.string(),
  delivery: z.string().optional(),
  event: z.string().optional(),
  attempts: z.number().int().optional(),
  /** Of `callback.failing`: how much of the time until it is disabled has gone by. */
  percent: z.number().int().optional(),
  reason: z.string(),
});
export type CallbackEventData = z.infer<typeof CallbackEventData>;

export const ConnectionEventData = z.object({
  connection: z.string(),
  reason: z.string(),
  detail: z.string().optional(),
});
export type ConnectionEventData = z.infer<typeof ConnectionEventData>;

/** Bodies stay below 20 KB: lists that were cut, by name, and how long they were. The whole is at the API. */
const Truncated = { truncated: z.record(z.string(), z.number().int()).optional() };

/** `percent`: of its time limit, in `job.walltime_warning`. `warning`: the new one, and the scheduler's word, in `job.warning`. */
export const JobEventData = Job.extend({
  percent: z.number().int().optional(),
  warning: Warning.optional(),
  pendingReason: z.string().optional(),
  ...Truncated,
});
export const TransferEventData = Transfer.omit(PACE).extend(Truncated);

/** A callback's body is exactly this, as JSON; its `webhook-id` is `id`. */
export const Event = z
  .object({
    id: EventId,
    type: EventType,
    timestamp: Time,
    /** Gap-free per connection, from 1. */
    sequence: z.number().int().min(1),
    /** `jobs/<id>`, `transfers/<id>`, `subscriptions/<id>` or `connection`. */
    subject: z.string(),
    /** The job or transfer as of this event. `job.walltime_warning` adds `percent` beside the job's fields. */
    data: z.union([
      JobEventData,
      TransferEventData,
      CallbackEventData,
      ConnectionEventData,
      z.record(z.string(), z.unknown()),
    ]),
  })
  .openapi("Event");
export type Event = z.infer<typeof Event>;

const Sequence = z.coerce.number().int().min(0);

export const JobEventsQuery = z.object({
  /** Sequence after which to read; 0 = from the start. */
  after: Sequence.optional(),
  /** The same, as every other list calls it. */
  cursor: Sequence.optional(),
  limit: z.coerce.number().int().min(1).max(200).optional(),
});

export const EventsQuery = JobEventsQuery.extend({ job: JobId.optional() });
export type EventsQuery = z.infer<typeof EventsQuery>;
