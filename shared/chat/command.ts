/**
 * What people type after `/hpc`: text in, one of a few commands out, or one sentence about what is wrong with it. The words go
 * no further than here as words: values are read by the same schemas as an HTTP request's, and reach a job as structured data.
 */
import { JobRequest, Resources, WatchRequest } from "../contract/job.ts";
import { ConnectionName, HpcPath, isWellFormed, JobId, ObjectKey, SystemName, type z } from "../contract/words.ts";
import { fieldProblems } from "../problem.ts";

export const MAX_COMMAND_CHARACTERS = 4_000;

/** Each verb with its usage and one line about it, in the order in which help shows them. */
export const VERBS = {
  submit: ["submit [<system> <path of the script>] [--time 2h] [--nodes 2] [NAME=value …]", "start a job"],
  watch: ["watch <system> <scheduler's job id>", "follow a job that was submitted elsewhere"],
  status: ["status <job>", "how a job is doing"],
  queue: ["queue [<system>]", "your newest jobs"],
  logs: ["logs <job> [--stderr]", "the last lines of its output"],
  cancel: ["cancel <job>", "cancel a job"],
  resubmit: ["resubmit <job> [time=4h] [memory=64G]", "run a job again, with more of what it lacked"],
  get: ["get <job>  or  get <system> </path> [<key>]", "results of a job, or one file, into object storage"],
  connect: ["connect [<code>]", "link yourself to a connection, or see your links"],
  use: ["use <connection>", "the connection that your commands are for"],
  disconnect: ["disconnect <connection>", "end a link"],
  help: ["help", "this list"],
} as const satisfies Record<string, readonly [usage: string, about: string]>;
export type Verb = keyof typeof VERBS;

export type Command = { on?: string } & (
  | { verb: "help" }
  | { verb: "connect"; code?: string }
  | { verb: "use" | "disconnect"; connection: string }
  /** Without a request: ask for it with a form. */
  | { verb: "submit"; request?: JobRequest; here: boolean }
  | { verb: "watch"; request: WatchRequest; here: boolean }
  | { verb: "queue"; system?: string }
  | { verb: "status" | "cancel"; job: string }
  | { verb: "resubmit"; job: string; resources?: Resources; here: boolean }
  | { verb: "logs"; job: string; stream: "stdout" | "stderr" }
  | { verb: "get"; of: { job: string } | { system: string; path: string; key?: string } }
);

export type Parsed = { ok: true; command: Command } | { ok: false; problem: string; verb?: Verb };

class Wrong extends Error {}

/** Never throws, whatever the text. */
export function parseCommand(text: string): Parsed {
  let verb: Verb | undefined;
  try {
    const words = wordsOf(text);
    const [first = "help", ...rest] = words;
    const said = first.toLowerCase();
    if (!Object.hasOwn(VERBS, said)) throw new Wrong(`There is no command ${quote(first)}.`);
    verb = said as Verb;
    return { ok: true, command: READERS[verb](optionsOf(rest, OPTIONS[verb])) };
  } catch (error) {
    if (!(error instanceof Wrong)) throw error;
    return { ok: false, problem: error.message, ...(verb === undefined ? {} : { verb }) };
  }
}

// ------------------------------------------------------------------------------------------------------------------ words

/** Keyboards and chat apps turn quotes and dashes into nicer ones. */
const PLAIN: readonly (readonly [RegExp, string])[] = [
  [/[\u201c\u201d\u201e]/g, '"'],
  [/(^|\s)[\u2013\u2014](?=[a-z])/g, "$1--"],
];

/** Words between spaces; `"…"` holds spaces together, and there is no other quoting, escaping or expansion. */
function wordsOf(text: string): string[] {
  if (text.length > MAX_COMMAND_CHARACTERS)
    throw new Wrong(`That is too long: a command has at most ${MAX_COMMAND_CHARACTERS} characters.`);
  if (!isWellFormed(text) || /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(text.replaceAll("\r", "")))
    throw new Wrong("That holds characters that cannot be typed: please send plain text.");
  const plain = PLAIN.reduce((rest, [nice, ascii]) => rest.replace(nice, ascii), text);
  const words = plain.match(/(?:[^\s"]|"[^"]*")+|"/g) ?? [];
  return words.map((word) => {
    if (word.split('"').length % 2 === 0) throw new Wrong('A " has no partner.');
    return word.replaceAll('"', "");
  });
}

/** At most this much of what somebody typed is said back to them. */
const QUOTED_CHARACTERS = 40;
const quote = (word: string): string =>
  `“${word.length > QUOTED_CHARACTERS ? `${word.slice(0, QUOTED_CHARACTERS).toWellFormed()}…` : word}”`;

// ---------------------------------------------------------------------------------------------------------------- options

interface Words {
  /** What is no option, in order. */
  plain: string[];
  options: Map<string, string[]>;
}

/** `value`: takes the next word or what follows `=`; `flag`: stands alone. */
type Options = Readonly<Record<string, "value" | "flag">>;

const ON = { on: "value" } as const satisfies Options;
/** What a job may ask for. */
const RESOURCES = {
  partition: "value",
  qos: "value",
  nodes: "value",
  tasks: "value",
  gpus: "value",
  mem: "value",
  time: "value",
} as const satisfies Options;
const OPTIONS: Record<Verb, Options> = {
  submit: {
    ...ON,
    here: "flag",
    name: "value",
    account: "value",
    ...RESOURCES,
    dir: "value",
    output: "value",
  },
  watch: { ...ON, here: "flag" },
  status: ON,
  queue: ON,
  logs: { ...ON, stderr: "flag" },
  cancel: ON,
  resubmit: { ...ON, here: "flag", ...RESOURCES },
  get: ON,
  connect: {},
  use: {},
  disconnect: {},
  help: {},
};

function optionsOf(words: string[], known: Options): Words {
  const plain: string[] = [];
  const options = new Map<string, string[]>();
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? "";
    const option = /^--([a-z]+)(?:=(.*))?$/s.exec(word);
    if (option === null) {
      if (word.startsWith("-")) throw new Wrong(`${quote(word)} is no option here.`);
      plain.push(word);
      continue;
    }
    const [, name = "", joined] = option;
    const kind = Object.hasOwn(known, name) ? known[name] : undefined;
    if (kind === undefined) throw new Wrong(`${quote(`--${name}`)} is no option here.`);
    if (kind === "flag" && joined !== undefined) throw new Wrong(`--${name} takes no value.`);
    const value = kind === "flag" ? "" : (joined ?? words[++i]);
    if (value === undefined) throw new Wrong(`--${name} needs a value.`);
    if (options.has(name) && name !== "output") throw new Wrong(`--${name} stands there twice.`);
    options.set(name, [...(options.get(name) ?? []), value]);
  }
  return { plain, options };
}

const one = (words: Words, name: string): string | undefined => words.options.get(name)?.[0];

/** As many plain words as the command takes. */
function take(words: Words, least: number, most: number): string[] {
  if (words.plain.length < least) throw new Wrong("Something is missing.");
  if (words.plain.length > most) throw new Wrong(`${quote(words.plain[most] ?? "")} is one word too many.`);
  return words.plain;
}

function read<T>(schema: z.ZodType<T>, value: unknown, what: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  throw new Wrong(`${what} ${fieldProblems(result.error, value)[0]?.message ?? "is not valid"}.`);
}

const onOf = (words: Words): { on?: string } => {
  const on = one(words, "on");
  return on === undefined ? {} : { on: read(ConnectionName, on, "A connection's name") };
};

function whole(words: Words, name: string, most: number): number | undefined {
  const text = one(words, name);
  if (text === undefined) return undefined;
  const value = /^\d{1,9}$/.test(text) ? Number(text) : 0;
  if (value < 1 || value > most) throw new Wrong(`--${name} must be a number from 1 to ${most}.`);
  return value;
}

// --------------------------------------------------------------------------------------------------------------- commands

const SCHEDULER_ID = /^[0-9][A-Za-z0-9_+[\].-]{0,63}$/;

/** Ours, or the scheduler's own number. */
function jobIn(word: string | undefined): string {
  if (word !== undefined && (JobId.safeParse(word).success || SCHEDULER_ID.test(word))) return word;
  throw new Wrong(`${quote(word ?? "")} is neither a job's id (job_…) nor a scheduler's number.`);
}

const READERS: Record<Verb, (words: Words) => Command> = {
  help: () => ({ verb: "help" }),
  connect(words) {
    const [code] = take(words, 0, 1);
    return { verb: "connect", ...(code === undefined ? {} : { code }) };
  },
  use: (words) => ({ verb: "use", connection: read(ConnectionName, take(words, 1, 1)[0], "A connection's name") }),
  disconnect: (words) => ({
    verb: "disconnect",
    connection: read(ConnectionName, take(words, 1, 1)[0], "A connection's name"),
  }),
  submit: readSubmit,
  watch(words) {
    const [system, schedulerId] = take(words, 2, 2);
    const request = read(WatchRequest, { system: read(SystemName, system, "A system's name"), schedulerId }, "The job");
    return { verb: "watch", request, here: words.options.has("here"), ...onOf(words) };
  },
  status: (words) => ({ verb: "status", job: jobIn(take(words, 1, 1)[0]), ...onOf(words) }),
  cancel: (words) => ({ verb: "cancel", job: jobIn(take(words, 1, 1)[0]), ...onOf(words) }),
  queue(words) {
    const [system] = take(words, 0, 1);
    return {
      verb: "queue",
      ...(system === undefined ? {} : { system: read(SystemName, system, "A system's name") }),
      ...onOf(words),
    };
  },
  resubmit: readResubmit,
  logs: (words) => ({
    verb: "logs",
    job: jobIn(take(words, 1, 1)[0]),
    stream: words.options.has("stderr") ? "stderr" : "stdout",
    ...onOf(words),
  }),
  get(words) {
    const [first, path, key] = take(words, 1, 3);
    if (path === undefined) return { verb: "get", of: { job: jobIn(first) }, ...onOf(words) };
    const of = {
      system: read(SystemName, first, "A system's name"),
      path: read(
        HpcPath.refine((p) => p.startsWith("/"), "must be absolute"),
        path,
        "The path",
      ),
      ...(key === undefined ? {} : { key: read(ObjectKey, key, "The key") }),
    };
    return { verb: "get", of, ...onOf(words) };
  },
};

function readSubmit(words: Words): Command {
  const here = words.options.has("here");
  const assignments = words.plain.slice(2).map((word) => /^([A-Za-z_][A-Za-z0-9_]{0,127})=(.*)$/s.exec(word) ?? word);
  const stray = assignments.find((word) => typeof word === "string");
  if (stray !== undefined) throw new Wrong(`${quote(stray)} is neither an option nor NAME=value.`);
  if (words.plain.length === 0) {
    const other = [...words.options.keys()].find((name) => name !== "here" && name !== "on");
    if (other !== undefined) throw new Wrong(`--${other} needs a system and the path of a script before it.`);
    return { verb: "submit", here, ...onOf(words) };
  }
  const [system, scriptPath] = words.plain;
  if (scriptPath === undefined) throw new Wrong("The path of the script is missing.");
  const env = Object.fromEntries(assignments.flatMap((pair) => (typeof pair === "string" ? [] : [[pair[1], pair[2]]])));
  const [name, account, dir] = ["name", "account", "dir"].map((option) => one(words, option));
  const resources = resourcesOf(words);
  const outputs = words.options.get("output");
  const request = readRequest({
    system,
    scriptPath,
    ...(name === undefined ? {} : { name }),
    ...(account === undefined ? {} : { account }),
    ...(dir === undefined ? {} : { workingDirectory: dir }),
    ...(assignments.length === 0 ? {} : { env }),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    ...(outputs === undefined ? {} : { outputs: outputs.map((path) => ({ path })) }),
  });
  return { verb: "submit", request, here, ...onOf(words) };
}

/** `time=4h` and `memory=64G` are what people type; the options are the same as those of `submit`. */
function readResubmit(words: Words): Command {
  const [job, ...wishes] = words.plain;
  const options = new Map(words.options);
  for (const wish of wishes) {
    const [, name, value = ""] = /^(time|memory|mem)=(.+)$/s.exec(wish) ?? [];
    if (name === undefined) throw new Wrong(`${quote(wish)} is neither time=… nor memory=….`);
    const option = name === "time" ? "time" : "mem";
    if (options.has(option)) throw new Wrong(`${name} stands there twice.`);
    options.set(option, [value]);
  }
  const resources = read(Resources, resourcesOf({ plain: [], options }), "What it asks for");
  return {
    verb: "resubmit",
    job: jobIn(job),
    ...(Object.keys(resources).length === 0 ? {} : { resources }),
    here: options.has("here"),
    ...onOf(words),
  };
}

function resourcesOf(words: Words): Resources {
  const [partition, qos, time] = ["partition", "qos", "time"].map((option) => one(words, option));
  const numbers = {
    nodes: whole(words, "nodes", 100_000),
    tasks: whole(words, "tasks", 10_000_000),
    gpus: whole(words, "gpus", 100_000),
    memoryMiB: mebibytes(one(words, "mem")),
    timeLimitSeconds: time === undefined ? undefined : seconds(time),
  };
  return {
    ...(partition === undefined ? {} : { partition }),
    ...(qos === undefined ? {} : { qos }),
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
  };
}

/** The same schema as for `POST …/jobs`; a field is named as it is there. */
function readRequest(value: unknown): JobRequest {
  const result = JobRequest.safeParse(value);
  if (result.success) return result.data;
  const [problem] = fieldProblems(result.error, value);
  throw new Wrong(
    `${problem?.field.slice(1).replaceAll("/", ".") || "The job"} ${problem?.message ?? "is not valid"}.`,
  );
}

const SECONDS = { m: 60, h: 3_600, d: 86_400 } as const;

/** `90` (minutes), `45m`, `2h`, `1d`, `1:30:00`, `1-12:00:00`: as people and as Slurm write it. Undefined for anything else. */
export function readTimeLimit(text: string): number | undefined {
  const short = /^(\d{1,6})([mhd]?)$/.exec(text);
  if (short !== null) return positive(Number(short[1]) * SECONDS[(short[2] || "m") as keyof typeof SECONDS]);
  const clock = /^(?:(\d{1,3})-)?(\d{1,4}):([0-5]\d)(?::([0-5]\d))?$/.exec(text);
  if (clock === null) return undefined;
  const [days, first, second, third] = clock.slice(1).map((part) => Number(part ?? 0));
  const isShort = clock[4] === undefined;
  // Slurm's own rules: `m:s` without days, `h:m` behind them.
  if (isShort && clock[1] === undefined) return positive((first ?? 0) * 60 + (second ?? 0));
  return positive((days ?? 0) * 86_400 + (first ?? 0) * 3_600 + (second ?? 0) * 60 + (isShort ? 0 : (third ?? 0)));
}

const positive = (value: number): number | undefined => (value > 0 ? value : undefined);

function seconds(text: string): number {
  const value = readTimeLimit(text);
  if (value === undefined) throw new Wrong("--time must be like 45m, 2h, 1d or 1:30:00.");
  return value;
}

function mebibytes(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,7})([MG])?$/i.exec(text) ?? [];
  const value = Number(count ?? 0) * (unit?.toUpperCase() === "G" ? 1024 : 1);
  if (value < 1) throw new Wrong("--mem must be like 8G or 500M.");
  return value;
}
