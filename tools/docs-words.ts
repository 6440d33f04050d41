/** What generated tables cannot know by themselves: one sentence for each event and each table. None can be forgotten. */
import type { EventType } from "../shared/contract/states.ts";

export const EVENT_WORDS: Record<EventType, string> = {
  "job.accepted": "Taken on: durable here, not yet at the scheduler.",
  "job.queued": "At the scheduler, waiting.",
  "job.running": "Running.",
  "job.requeued": "The scheduler put it back into its queue, from running or after an end; `run` is one higher.",
  "job.succeeded": "Ended with exit code 0.",
  "job.failed": "Ended otherwise, or never got to the scheduler; `reason` says why.",
  "job.cancelled": "Ended by a person or by the scheduler's administrator; `reason` says which.",
  "job.lost": "Not seen for longer than the grace time. Not an end: it may be found again.",
  "job.found": "A lost job was seen again; what it does now follows as its own event.",
  "job.settled": "Ended, and so has every output: nothing more will come of this run.",
  "job.walltime_warning": "`percent` (50, 80 or 90) of its time limit has gone by.",
  "job.warning":
    "It waits for something that time alone does not bring, a limit that it exceeds for instance; `warning` says what, once for each reason.",
  "transfer.staged": "FirecREST has staged the file, or waits for it; copying begins.",
  "transfer.stored": "The object, or the file of an upload, is there and proven to be the same; `proof` says how.",
  "transfer.released": "The staged link is proven dead.",
  "transfer.unreleased":
    "The staged link could not be released, or FirecREST has no way to; it ends by itself at `link.expiresAt`.",
  "transfer.failed": "Ended without an object; `reason` says why.",
  "transfer.cancelled": "Ended by a person, or an output that was not wanted after such an end of its job.",
  "callback.exhausted":
    "A delivery was given up after its last attempt. Giving up on a `callback.*` event is not announced.",
  "callback.failing":
    "A receiver failed ten times in a row (`percent` 0), or has failed for 50 or 90 `percent` of the five days after which it is disabled.",
  "callback.recovered": "A failing receiver answers again; what waited for it goes out.",
  "callback.disabled": "A receiver was switched off; `reason` says why. What comes for it is kept, held.",
  "callback.enabled": "A disabled subscription was switched on again by hand.",
  "callback.test": "A test asked for by hand, to one subscription only.",
  "connection.unhealthy": "The site cannot be used: down, or it refuses the credential; `reason` says which.",
  "connection.recovered": "It can be used again.",
};

/** Tables of the Tracker, in the order in which people ask about them. */
export const TABLE_WORDS: Record<string, string> = {
  meta: "Connection settings, sealed credential and signing key, the site's facts, health, pauses: one value each. `schema` counts migration steps.",
  jobs: "One row a job. `live` = may still change. `doc` is the `JobRecord` of `shared/domain/job.ts`.",
  transfers:
    "One row a transfer; two live ones cannot share a key (of an upload: the file that it becomes). `doc` is the `TransferRecord`.",
  parts: "Parts that are safely in: of an R2 multipart upload, or of an upload to a site.",
  forms: "Where an upload may put its bytes: links into the site's staging area, sealed, in pieces.",
  debts: "Staged links, owed until `open` = 0; the link itself sealed. The id is that of the staging effect.",
  effects: "Changes on the far side: `planned → sent → done | refused | unknown`.",
  line: "effects that wait for the request budget, in their order",
  agenda: "What is due when; the alarm is the smallest entry.",
  events: "The ledger. `body` is nulled after 30 days, the row stays as a tombstone.",
  receivers: "Where events go: subscriptions, and callbacks of a job (`job_id`). Secrets sealed in `doc`.",
  deliveries: "One event on its way to one receiver, with its lease.",
  attempts: "What each attempt of a delivery met.",
  hooks: "Inbound triggers; verification secrets sealed in `secrets`.",
  hook_versions:
    "What a hook made of messages at each of its versions; replaced ones are kept as long as inbound bodies.",
  inbound: "Requests that a hook took: deduplicated by sender's message id; body, headers and claims go after 7 days.",
  requests: "Idempotency keys with the answer that a replay gets.",
  keys: "API keys, hashed.",
  identities: "OIDC bindings.",
  reservations: "Room that is kept for objects that people are putting, until they are there.",
  links: "Share links: the hash of each token, and what it leads to until when.",
  audit: "Who did what.",
  chat_codes: "One-time codes with which people in chat link themselves, hashed; gone when used or after ten minutes.",
  chat_links: "People in chat who act, or acted, on this connection: role, scopes, systems.",
  chat_channels: "Which receiver stands for which place in chat.",
  chat_follows: "Which jobs a place in chat shows.",
  chat_messages: "The message that shows a job in a place: where it is, and what it showed last.",
  dead: "Messages that ended in a dead-letter queue.",
};
