/** What Firewatch answers to people who type and press: messages of the one model, in plain words. */
import { ONE_DAY } from "../../../shared/chat/about.ts";
import { nameOf } from "../../../shared/chat/about-job.ts";
import { VERBS, type Verb } from "../../../shared/chat/command.ts";
import type { Link, Message } from "../../../shared/chat/message.ts";
import type { ChatLink } from "../../../shared/contract/chat.ts";
import type { Job } from "../../../shared/contract/job.ts";
import type { Refusal } from "../../../shared/contract/rpc.ts";
import type { Transfer } from "../../../shared/contract/transfer.ts";
import type { Known } from "./register.ts";

const message = (title: string, more: Partial<Message> = {}): Message => ({
  title,
  tone: "neutral",
  facts: [],
  ...more,
});

const table = (rows: readonly (readonly string[])[]): string => {
  const widths = rows.reduce<number[]>((most, row) => row.map((cell, i) => Math.max(most[i] ?? 0, cell.length)), []);
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
};

export const help = (): Message =>
  message("What Firewatch does for you here", {
    tail: {
      caption: "Type /hpc and one of these",
      text: table(Object.values(VERBS).map(([usage, about]) => [usage, about])),
    },
    next: "A job is its id (job_…) or the scheduler's number. With --on <connection> a command is for another connection.",
  });

export const notUnderstood = (problem: string, verb?: Verb): Message =>
  message("That is not a command", {
    tone: "warning",
    text: problem,
    next: verb === undefined ? "Type /hpc help for all of them." : `It goes like this: /hpc ${VERBS[verb][0]}`,
  });

export const unlinked = (): Message =>
  message("You are not linked to a connection yet", {
    text: "Here everybody acts with a connection of their own, so Firewatch has to know which one is yours.",
    next: "Ask the owner of a connection for a code (POST /v1/connections/<name>/chat-codes), then type /hpc connect <code> within ten minutes.",
  });

export const notLinkedTo = (connection: string, { links }: Known): Message =>
  message(`You are not linked to ${connection}`, { tone: "warning", next: `Your links: ${links.join(", ")}.` });

export const links = ({ links: all, connection }: Known): Message =>
  message(`You are linked to ${all.join(", ")}`, {
    facts: [{ label: "Commands are for", value: connection ?? all[0] ?? "" }],
    next: "Choose another with /hpc use <connection>; end a link with /hpc disconnect <connection>.",
  });

/** The person sees whom the other side will see, and what they may do. */
export const linked = (connection: string, link: ChatLink): Message =>
  message(`You are linked to ${connection}`, {
    tone: "good",
    text:
      link.role === "owner"
        ? "You may act on every job of this connection."
        : "You may act on jobs that you start or watch from here.",
    facts: [
      { label: "The owner sees", value: `${link.userName} (${link.user}) in ${link.workspace}` },
      { label: "The code was made by", value: link.invitedBy },
      { label: "You may", value: link.scopes.join(", ") },
      { label: "On", value: link.systems?.join(", ") ?? "all systems" },
    ],
    next: "Start with /hpc submit, or /hpc help.",
  });

export const wrongCode = (): Message =>
  message("This code does not work", {
    tone: "warning",
    text: "Codes count once, for ten minutes, and only in the workspace that they were made for.",
    next: "Ask for a new one.",
  });

export const tooManyTries = (): Message =>
  message("Too many wrong codes", { tone: "warning", next: "Try again in ten minutes, with a new code." });

export const uses = (connection: string): Message =>
  message(`Your commands are for ${connection} now`, { tone: "good" });

export const disconnected = (connection: string): Message => message(`You are no longer linked to ${connection}`);

/** `here`: its message is shown to everybody in the channel. */
export const started = (job: Job, here: boolean): Message =>
  message(`${nameOf(job)} on ${job.system} is ${job.watched === true ? "watched" : "accepted"}`, {
    tone: "waiting",
    text: `One message ${here ? "in this channel" : "in your conversation with Firewatch"} follows it.`,
    facts: [{ label: "Id", value: job.id }],
    footer: job.connection,
  });

export const cancelling = (job: Job): Message =>
  job.status === "cancelled" || job.endedAt === undefined
    ? message(`${nameOf(job)} on ${job.system} is being cancelled`, {
        tone: "waiting",
        text: "It counts as cancelled as soon as the scheduler confirms it.",
      })
    : message(`${nameOf(job)} on ${job.system} has already ended`, { text: `It is ${job.status}.` });

export function queue(jobs: readonly Job[], connection: string, more: boolean): Message {
  if (jobs.length === 0) return message(`No jobs on ${connection} yet`, { next: "Start one with /hpc submit." });
  const rows = jobs.map((job) => [job.schedulerId ?? "-", job.status, job.system, job.name ?? "", job.id]);
  return message(`Your newest jobs on ${connection}`, {
    tail: { caption: more ? `The newest ${jobs.length}` : "All of them", text: table(rows) },
  });
}

export const logs = (job: Job, stream: "stdout" | "stderr", text: string): Message => {
  const what = stream === "stdout" ? "output" : "errors";
  const footer = `${job.connection} · ${job.id}`;
  return text.trim() === ""
    ? message(`${nameOf(job)} on ${job.system}: nothing in its ${what} yet`, { footer })
    : message(`${nameOf(job)} on ${job.system}`, { tail: { caption: `Last lines of its ${what}`, text }, footer });
};

export function results(job: Job, shared: Link[]): Message {
  const title = `Results of ${nameOf(job)} on ${job.system}`;
  if (job.outputs.length === 0)
    return message(title, {
      text: "It named no results to fetch.",
      next: "Fetch any file with /hpc get <system> </path>.",
    });
  const missing = job.outputs.filter(({ status }) => status !== "stored");
  const more = job.outputs.length - missing.length - shared.length;
  return message(title, {
    tone: missing.length === 0 ? "good" : "neutral",
    facts: [
      ...missing.map(({ path, status }) => ({ label: path, value: status })),
      ...(more > 0 ? [{ label: "and", value: `${more} more in object storage` }] : []),
    ],
    ...(shared.length === 0 ? {} : { links: shared, next: ONE_DAY }),
    footer: `${job.connection} · ${job.id}`,
  });
}

export const fetching = (transfer: Transfer): Message =>
  message(`${transfer.path.split("/").at(-1)} is being fetched from ${transfer.system}`, {
    tone: "waiting",
    text: "When it is here, a link comes in your conversation with Firewatch.",
    facts: [
      { label: "To", value: transfer.key },
      { label: "Transfer", value: transfer.id },
    ],
    footer: transfer.connection,
  });

export const formNotOpened = (): Message =>
  message("The form could not be opened", {
    tone: "warning",
    next: "Try again, or type /hpc submit <system> <path of the script>.",
  });

export const noForms = (): Message => message("Where is the script?", { next: `Type /hpc ${VERBS.submit[0]}` });

export const alreadyPressed = (said?: string): Message =>
  message("This was done already", { text: said ?? "It is being done right now." });

export const patience = (): Message =>
  message("On it", { tone: "waiting", text: "The site takes its time; the answer follows here." });

const REFUSED: Partial<Record<Refusal["code"], string>> = {
  unauthorized: "This link no longer counts",
  forbidden: "Your link does not allow this",
  not_found: "There is no such job for you",
  conflict: "That does not go together",
  invalid: "That was not accepted",
  rate_limited: "Too much at once",
};

export const refused = ({ code, detail, errors }: Refusal): Message =>
  message(REFUSED[code] ?? "That did not work", {
    tone: "warning",
    ...(detail === undefined || code === "unauthorized" ? {} : { text: detail }),
    facts: (errors ?? []).map(({ field, message: problem }) => ({
      label: field.slice(1).replaceAll("/", ".") || "It",
      value: problem,
    })),
    ...(code === "unauthorized" ? { next: "Ask its owner for a new code, then type /hpc connect <code>." } : {}),
    ...(code === "rate_limited" || code === "unavailable" ? { next: "Try again in a moment." } : {}),
  });
