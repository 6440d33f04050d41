/** What there is to say about a job: its state, why, how much of its limits it used, and one thing to do. */
import type { Proposal } from "../contract/chat.ts";
import type { Job, Warning } from "../contract/job.ts";
import { isEndedJob, isEndedTransfer, type JobReason } from "../contract/states.ts";
import type { Action, Button, Fact, Link, Message, Tone } from "./message.ts";
import { duration, moment, ranges, size, slurmTime } from "./words.ts";

/** What is known beyond the job itself. */
export interface JobExtras {
  /** Last lines of its standard error (or of its only output). */
  stderrTail?: string;
  /** What it had asked for. */
  memoryMiB?: number;
  /** What its partition allows at most. */
  limits?: Proposal;
  /** Of its time limit, in a walltime warning. */
  percent?: number;
  /** The one that is news: it waits in vain, or would. */
  warning?: Warning;
  /** What a person can open. */
  links?: Link[];
  /** One opaque value per button; what has none gets no button. */
  values?: Partial<Record<Action, string>>;
}

export function jobMessage(job: Job, extras: JobExtras = {}): Message {
  const { stderrTail, percent, warning, links, values = {} } = extras;
  const isWarning = percent !== undefined || warning !== undefined;
  const next = nextStep(job, extras);
  const text = warning?.message ?? (percent === undefined ? because(job) : undefined);
  const tail = stderrTail?.trimEnd() ?? "";
  const buttons = actionsOf(job, extras).flatMap((action) => {
    const value = values[action];
    return value === undefined ? [] : [buttonOf(job, extras, action, value)];
  });
  return {
    title: titleOf(job, extras),
    tone: isWarning ? "warning" : toneOf(job),
    facts: factsOf(job, warning),
    footer: `${job.connection} · ${job.id}`,
    ...(text === undefined ? {} : { text }),
    ...(tail === "" ? {} : { tail: { caption: "Last lines of its errors", text: tail } }),
    ...(next === undefined ? {} : { next }),
    ...(links === undefined ? {} : { links }),
    ...(buttons.length === 0 ? {} : { buttons }),
  };
}

/** What people call it. */
export const nameOf = (job: Job): string =>
  job.name ?? (job.schedulerId === undefined ? job.id : `Job ${job.schedulerId}`);

const STATES: Record<Job["status"], { tone: Tone; says: string }> = {
  accepted: { tone: "waiting", says: "is accepted" },
  staging_in: { tone: "waiting", says: "is getting its input files" },
  submitting: { tone: "waiting", says: "is being submitted" },
  queued: { tone: "waiting", says: "is waiting in the queue" },
  running: { tone: "running", says: "is running" },
  succeeded: { tone: "good", says: "succeeded" },
  failed: { tone: "bad", says: "failed" },
  cancelled: { tone: "neutral", says: "was cancelled" },
  lost: { tone: "warning", says: "cannot be seen at the scheduler" },
};

/** What a reason makes of the title, and what it means in a sentence. */
const REASONS: Record<JobReason, { says?: string; means: string }> = {
  exit_code: { means: "" },
  timeout: { says: "ran out of time", means: "It was stopped at its time limit." },
  out_of_memory: { says: "ran out of memory", means: "It used more memory than it was given." },
  node_fail: { says: "lost its node", means: "A node on which it ran has failed." },
  preempted: { says: "was preempted", means: "A job of higher priority took its nodes." },
  deadline: { says: "missed its deadline", means: "Its deadline came before its end." },
  boot_fail: { says: "failed before its start", means: "Its nodes could not be booted." },
  launch_failed: { says: "failed before its start", means: "The scheduler could not launch it." },
  revoked: { means: "The scheduler has withdrawn it." },
  rejected: { says: "was refused", means: "The scheduler did not take it." },
  stage_in_failed: { says: "could not start", means: "An input file did not arrive at the system." },
  outcome_unknown: {
    says: "may or may not be submitted",
    means: "It was sent, no answer came, and the scheduler shows nothing that proves it has it.",
  },
  cancelled_by_request: { means: "Somebody asked Firewatch to cancel it." },
  cancelled_by_scheduler: { means: "It was cancelled at the scheduler." },
  not_seen: { means: "The scheduler has not shown it for a while. It may well be running." },
  never_starts: { says: "can never start", means: "The scheduler holds a request that it can never fulfil." },
};

function titleOf(job: Job, { percent, warning }: JobExtras): string {
  const where = `${nameOf(job)} on ${job.system}`;
  if (warning !== undefined) return `${where} ${warning.code === "never_starts" ? "can never start" : "is held back"}`;
  if (percent !== undefined) return `${where} has used ${percent} % of its time`;
  const { array } = job;
  if (array !== undefined && job.status === "failed" && array.failed > 0)
    return `${where}: ${array.failed} of ${array.total} failed`;
  const says = (job.reason && REASONS[job.reason].says) ?? STATES[job.status].says;
  return `${where} ${says}`;
}

const toneOf = (job: Job): Tone => (job.reason === "never_starts" ? "bad" : STATES[job.status].tone);

function because(job: Job): string | undefined {
  const said = [
    job.reason === undefined ? "" : REASONS[job.reason].means,
    // Whatever else ended it: its code is then only how it was stopped.
    job.status === "failed" && (job.reason ?? "exit_code") === "exit_code" ? ended(job) : "",
    job.detail === undefined ? "" : /[.!?]$/.test(job.detail) ? job.detail : `${job.detail}.`,
  ].filter((part) => part !== "");
  return said.length === 0 ? undefined : said.join(" ");
}

const SIGNALS: Record<number, string> = {
  1: "HUP",
  2: "INT",
  4: "ILL: an instruction that this processor does not know",
  6: "ABRT: it gave up by itself",
  7: "BUS",
  8: "FPE: arithmetic error",
  9: "KILL: often too little memory",
  11: "SEGV: it touched memory that is not its own",
  13: "PIPE",
  15: "TERM",
  24: "XCPU: CPU time used up",
  25: "XFSZ: file too large",
};

/** What a shell's exit code tells beyond its number. */
function codeMeans(exitCode: number): string | undefined {
  if (exitCode === 126) return "a command was found but could not be run";
  if (exitCode === 127) return "a command was not found";
  const signal = SIGNALS[exitCode - 128];
  return signal === undefined ? undefined : `signal ${exitCode - 128}, ${signal}`;
}

function ended({ exitCode, signal }: Job): string {
  if (signal !== undefined && signal > 0) {
    const name = SIGNALS[signal];
    return `It ended by signal ${signal}${name === undefined ? "" : ` (${name})`}.`;
  }
  if (exitCode === undefined) return "";
  const meaning = codeMeans(exitCode);
  return `It ended with exit code ${exitCode}${meaning === undefined ? "" : ` (${meaning})`}.`;
}

/** The scheduler's words that say no more than our own. */
const PLAIN_STATES: ReadonlySet<string> = new Set(["PENDING", "RUNNING", "COMPLETED", "FAILED", "CANCELLED"]);

function factsOf(job: Job, told: Warning | undefined): Fact[] {
  const facts: (Fact | undefined)[] = [
    job.schedulerId === undefined ? undefined : { label: "Job", value: job.schedulerId },
    timeFact(job),
    // A job that was stopped at a limit may well have 0: that would only confuse.
    job.exitCode === undefined || (job.status === "failed" && job.exitCode === 0)
      ? undefined
      : { label: "Exit code", value: String(job.exitCode) },
    job.schedulerState === undefined || PLAIN_STATES.has(job.schedulerState)
      ? undefined
      : { label: "Scheduler says", value: job.schedulerState },
    job.run > 1 ? { label: "Run", value: `${job.run} (requeued)` } : undefined,
    ...arrayFacts(job),
    resultsFact(job),
    ...job.warnings
      .filter(({ message }) => message !== told?.message)
      .map(({ message }) => ({ label: "Note", value: message })),
  ];
  return facts.filter((fact) => fact !== undefined);
}

/** Elapsed against the limit once it is over; before that, when it must end: a message is read later than it is written. */
function timeFact({ startedAt, endedAt, timeLimitSeconds }: Job): Fact | undefined {
  const limit = timeLimitSeconds === undefined ? "" : ` of ${duration(timeLimitSeconds)}`;
  if (startedAt === undefined) {
    return timeLimitSeconds === undefined ? undefined : { label: "Time limit", value: duration(timeLimitSeconds) };
  }
  const started = Date.parse(startedAt);
  if (endedAt !== undefined)
    return { label: "Time", value: `${duration((Date.parse(endedAt) - started) / 1000)}${limit}` };
  if (timeLimitSeconds === undefined) return { label: "Started", value: moment(startedAt) };
  return { label: "Ends by", value: moment(new Date(started + timeLimitSeconds * 1000).toISOString()) };
}

const FAILED_INDICES_SHOWN = 200;

function arrayFacts({ array }: Job): Fact[] {
  if (array === undefined) return [];
  const counts = (["succeeded", "failed", "cancelled", "running", "queued"] as const)
    .filter((state) => array[state] > 0)
    .map((state) => `${array[state]} ${state}`);
  const failed = ranges(array.failedIndices);
  const shown = failed.length <= FAILED_INDICES_SHOWN ? failed : `${failed.slice(0, FAILED_INDICES_SHOWN)}…`;
  return [
    { label: `Array of ${array.total}`, value: counts.join(", ") || "not yet seen" },
    ...(failed === "" ? [] : [{ label: "Failed elements", value: shown }]),
  ];
}

function resultsFact({ outputs }: Job): Fact | undefined {
  if (outputs.length === 0) return undefined;
  const stored = outputs.filter(({ status }) => status === "stored").length;
  const isOver = outputs.every(({ status }) => isEndedTransfer(status));
  const value = `${stored} of ${outputs.length} stored${isOver ? "" : ", more under way"}`;
  return { label: "Results", value };
}

/** What a resubmission would ask for, as far as the end tells and the partition allows. */
export function suggestion(job: Job, extras: Pick<JobExtras, "limits" | "memoryMiB"> = {}): Proposal {
  const { limits = {} } = extras;
  const twice = (had: number | undefined, most: number | undefined) =>
    had === undefined || (most !== undefined && had >= most) ? undefined : Math.min(2 * had, most ?? Infinity);
  const timeLimitSeconds = job.reason === "timeout" ? twice(job.timeLimitSeconds, limits.timeLimitSeconds) : undefined;
  const memoryMiB = job.reason === "out_of_memory" ? twice(extras.memoryMiB, limits.memoryMiB) : undefined;
  return {
    ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
    ...(memoryMiB === undefined ? {} : { memoryMiB }),
  };
}

const NOT_ITS_FAULT = "Resubmit it as it is: the cause lay outside the job.";

const NEXT: Partial<Record<JobReason, string>> = {
  node_fail: NOT_ITS_FAULT,
  boot_fail: NOT_ITS_FAULT,
  preempted: NOT_ITS_FAULT,
  launch_failed: NOT_ITS_FAULT,
  revoked: NOT_ITS_FAULT,
  deadline: "Resubmit it with a later deadline or a shorter time limit.",
  rejected: "Change what the scheduler objects to, then submit it anew.",
  stage_in_failed: "Check its input files, then resubmit it.",
  never_starts: "Cancel it, and submit it with resources that its partition and account allow.",
};

function nextStep(job: Job, extras: JobExtras): string | undefined {
  const { timeLimitSeconds: had, reason, array } = job;
  const { timeLimitSeconds, memoryMiB } = suggestion(job, extras);
  if (extras.warning !== undefined)
    return extras.warning.code === "never_starts"
      ? NEXT.never_starts
      : "It goes on when the cause is gone; waiting alone will not help.";
  if (extras.percent !== undefined) return "Let it save its state if it can go on from there later.";
  if (job.status === "lost") return "Nothing needs to be done: it is being looked for.";
  if (reason === "outcome_unknown")
    return `Look at the queue of ${job.system} yourself before you submit it again, or it may run twice.`;
  if (array !== undefined && array.failed > 0 && isEndedJob(job.status)) {
    const failed = ranges(array.failedIndices);
    const few = failed !== "" && failed.length <= FAILED_INDICES_SHOWN;
    return few ? `Run the failed elements again: --array=${failed}.` : "Run the failed elements again.";
  }
  if (reason === "timeout") {
    if (timeLimitSeconds !== undefined) return `Resubmit it with --time=${slurmTime(timeLimitSeconds)} or so.`;
    const isAtMost = had !== undefined && extras.limits?.timeLimitSeconds !== undefined;
    return isAtMost
      ? `${duration(had)} is all that its partition allows: let it save its state and go on in a second job.`
      : "Resubmit it with a longer time limit.";
  }
  if (reason === "out_of_memory") {
    if (memoryMiB !== undefined) return `Resubmit it with --mem=${memoryMiB}M or so.`;
    const isAtMost = extras.memoryMiB !== undefined && extras.limits?.memoryMiB !== undefined;
    return isAtMost
      ? "It had all the memory of a node: spread it over more nodes."
      : "Resubmit it with more memory, or spread it over more nodes.";
  }
  const known = reason === undefined ? undefined : NEXT[reason];
  if (known !== undefined) return known;
  return job.status === "failed" ? "Read the end of its output, mend the cause, and resubmit it." : undefined;
}

/** What may be done with it now. A job that somebody else submitted is only watched. */
export function actionsOf(job: Job, extras: JobExtras = {}): Action[] {
  const mayChange = job.watched !== true;
  const ran = job.startedAt !== undefined;
  if (!isEndedJob(job.status))
    return [...(ran ? (["logs"] as const) : []), ...(mayChange ? (["cancel"] as const) : [])];
  const hasResults = job.outputs.some(({ status }) => status === "stored");
  const canBeHelped = Object.keys(suggestion(job, extras)).length > 0;
  return [
    ...(hasResults ? (["fetch"] as const) : []),
    ...(mayChange && canBeHelped ? (["more"] as const) : []),
    ...(mayChange ? (["resubmit"] as const) : []),
    ...(ran ? (["logs"] as const) : []),
  ];
}

/** `2 h`, `128 GiB`: what a proposal is in words. */
export const proposed = ({ timeLimitSeconds, memoryMiB }: Proposal): string =>
  [
    ...(timeLimitSeconds === undefined ? [] : [duration(timeLimitSeconds)]),
    ...(memoryMiB === undefined ? [] : [size(memoryMiB * 1024 * 1024)]),
  ].join(" and ");

function buttonOf(job: Job, extras: JobExtras, action: Action, value: string): Button {
  const name = nameOf(job);
  switch (action) {
    case "cancel":
      return {
        action,
        label: "Cancel",
        style: "danger",
        confirm: { question: `Cancel ${name} on ${job.system}?`, yes: "Cancel the job", no: "Let it run" },
        value,
      };
    case "more": {
      const label = `Resubmit with ${proposed(suggestion(job, extras))}`;
      return {
        action,
        label,
        style: "primary",
        confirm: { question: `${label}: ${name} on ${job.system}?`, yes: "Resubmit", no: "Not now" },
        value,
      };
    }
    case "resubmit":
      return {
        action,
        label: "Resubmit",
        ...(job.status === "failed" && Object.keys(suggestion(job, extras)).length === 0
          ? { style: "primary" as const }
          : {}),
        confirm: { question: `Submit ${name} to ${job.system} once more?`, yes: "Resubmit", no: "Not now" },
        value,
      };
    case "logs":
      return { action, label: "Output", value };
    case "fetch":
      return { action, label: "Results", ...(job.status === "succeeded" ? { style: "primary" as const } : {}), value };
  }
}
