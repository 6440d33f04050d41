/** What there is to say about an event: of a job, of a transfer, or of Firewatch itself. */
import type { CallbackEventData, ConnectionEventData, Event } from "../contract/event.ts";
import type { Job } from "../contract/job.ts";
import type { Transfer } from "../contract/transfer.ts";
import { type JobExtras, jobMessage } from "./about-job.ts";
import type { Link, Message, Tone } from "./message.ts";
import { size } from "./words.ts";

export function eventMessage(event: Event, extras: JobExtras = {}): Message {
  const [family] = event.type.split(".");
  if (family === "job") {
    const { percent, warning, ...job } = event.data as Job & Pick<JobExtras, "percent" | "warning">;
    const news = { ...(percent === undefined ? {} : { percent }), ...(warning === undefined ? {} : { warning }) };
    return jobMessage(job, { ...extras, ...news });
  }
  return family === "transfer" ? transferMessage(event.data as Transfer, extras.links) : noticeMessage(event);
}

const TRANSFERS: Record<Transfer["status"], { tone: Tone; says: string }> = {
  accepted: { tone: "waiting", says: "will be copied" },
  staging: { tone: "waiting", says: "is being staged" },
  staged: { tone: "waiting", says: "is staged" },
  copying: { tone: "running", says: "is being copied" },
  verifying: { tone: "running", says: "is being checked" },
  stored: { tone: "good", says: "is stored" },
  failed: { tone: "bad", says: "could not be copied" },
  cancelled: { tone: "neutral", says: "is no longer copied" },
};

export const ONE_DAY = "A link opens for a day, for whoever has it.";

const PROOFS: Record<NonNullable<Transfer["proof"]>, string> = {
  hash: "SHA-256 of the whole, on both sides",
  manifest: "SHA-256 of every part, on both sides",
  size: "size and time of change, before and after",
};

/** `links`: where whoever reads this may open it, for a while. */
export function transferMessage(transfer: Transfer, links: Link[] = []): Message {
  const { direction, path, key, url, system, status, totalBytes, proof, link } = transfer;
  const { tone, says } = TRANSFERS[status];
  const there = `${system}:${path}`;
  const here = url ?? key;
  const [from, to] = direction === "download" ? [there, here] : [here, there];
  const text = transfer.detail ?? transfer.reason;
  return {
    title: `${from.split("/").at(-1)} ${says}`,
    tone,
    ...(text === undefined ? {} : { text }),
    facts: [
      { label: "From", value: from },
      { label: "To", value: to },
      ...(totalBytes === undefined ? [] : [{ label: "Size", value: size(totalBytes) }]),
      ...(proof === undefined ? [] : [{ label: "Compared", value: PROOFS[proof] }]),
      ...(link.state === "released" ? [{ label: "Staged copy", value: "released" }] : []),
      ...(link.state === "expires" && link.expiresAt !== undefined
        ? [{ label: "Staged copy", value: `goes by itself at ${link.expiresAt.slice(0, 16).replace("T", " ")} UTC` }]
        : []),
    ],
    ...(status === "failed" ? { next: "Mend the cause, then start the transfer again." } : {}),
    ...(links.length === 0 ? {} : { links, next: ONE_DAY }),
    footer: `${transfer.connection} · ${transfer.id}`,
  };
}

const NOTICES: Record<string, { tone: Tone; title: string; next?: string }> = {
  "connection.unhealthy": {
    tone: "bad",
    title: "FirecREST does not answer as it should",
    next: "Nothing is lost: everything waits and goes on when it is back.",
  },
  "connection.recovered": { tone: "good", title: "FirecREST answers again" },
  "callback.failing": { tone: "warning", title: "A callback keeps failing", next: "Look at what it answers." },
  "callback.exhausted": { tone: "bad", title: "A callback was given up", next: "Send it again when it is mended." },
  "callback.disabled": { tone: "bad", title: "A callback was switched off", next: "Mend it, then set it to active." },
  "callback.recovered": { tone: "good", title: "A callback is received again" },
  "callback.enabled": { tone: "good", title: "A callback is switched on again" },
  "callback.test": { tone: "neutral", title: "This is a test: Firewatch reaches you here" },
};

/** News of the connection and of its receivers. Which one is told by its id: an address may be a secret. */
export function noticeMessage(event: Event): Message {
  const notice = NOTICES[event.type] ?? { tone: "neutral" as const, title: event.type };
  const data = event.data as Partial<ConnectionEventData & CallbackEventData>;
  const facts = [
    { label: "Connection", value: data.connection },
    { label: "Receiver", value: data.subscription },
    { label: "Attempts", value: data.attempts },
  ];
  const text = data.detail ?? data.reason;
  return {
    ...notice,
    ...(text === undefined ? {} : { text }),
    facts: facts.flatMap(({ label, value }) => (value === undefined ? [] : [{ label, value: String(value) }])),
    footer: `${event.subject} · ${event.timestamp.slice(0, 19).replace("T", " ")} UTC`,
  };
}
