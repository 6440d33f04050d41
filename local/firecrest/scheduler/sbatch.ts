/**
 * What sbatch reads: `#SBATCH` lines of a script's header and command-line options, by its rules (column 0, only before the
 * first command, the last one wins, the command line wins over the script), with its complaints.
 */
import { type JobRequest, ToolError } from "../host.ts";

/** Options as text; only those that mean something here. */
export interface SbatchOptions {
  name?: string;
  account?: string;
  partition?: string;
  reservation?: string;
  constraint?: string;
  time?: string;
  input?: string;
  output?: string;
  error?: string;
  chdir?: string;
  export?: string;
  dependency?: string;
  array?: string;
  nodes?: string;
  tasks?: string;
  cpusPerTask?: string;
  begin?: string;
  hold?: boolean;
  appendOutput?: boolean;
}

type TextOption = {
  [K in keyof SbatchOptions]-?: SbatchOptions[K] extends string | undefined ? K : never;
}[keyof SbatchOptions];

const MEANT: Record<string, TextOption> = {
  "job-name": "name",
  account: "account",
  partition: "partition",
  reservation: "reservation",
  constraint: "constraint",
  time: "time",
  input: "input",
  output: "output",
  error: "error",
  chdir: "chdir",
  workdir: "chdir",
  export: "export",
  dependency: "dependency",
  array: "array",
  nodes: "nodes",
  ntasks: "tasks",
  "cpus-per-task": "cpusPerTask",
  begin: "begin",
};

const SHORT: Record<string, string> = {
  J: "job-name",
  A: "account",
  p: "partition",
  C: "constraint",
  t: "time",
  i: "input",
  o: "output",
  e: "error",
  D: "chdir",
  d: "dependency",
  a: "array",
  N: "nodes",
  n: "ntasks",
  c: "cpus-per-task",
  b: "begin",
  G: "gpus",
  q: "qos",
  x: "exclude",
  w: "nodelist",
  L: "licenses",
  M: "clusters",
  m: "distribution",
  B: "extra-node-info",
  F: "nodefile",
  S: "core-spec",
}; // prettier-ignore

/** Options of sbatch with a value that have no effect on this machine. */
const ACCEPTED = new Set(
  `acctg-freq batch bb bbf clusters cluster-constraint comment container container-id core-spec cores-per-socket cpu-freq cpus-per-gpu
  deadline delay-boot distribution exclude export-file extra extra-node-info get-user-env gid gpu-bind gpu-freq gpus gpus-per-node
  gpus-per-socket gpus-per-task gres gres-flags hint kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind mem-per-cpu
  mem-per-gpu mincpus network nice nodefile nodelist ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode power
  prefer priority profile propagate qos segment signal sockets-per-node switches thread-spec threads-per-core time-min tmp tres-bind
  tres-per-task uenv uid view wait-all-nodes wckey wrap environment`.split(/\s+/),
);
const FLAGS = new Set(
  "hold H contiguous exclusive ignore-pbs no-kill k no-requeue overcommit O oversubscribe s parsable quiet Q reboot requeue spread-job stepmgr test-only use-min-nodes verbose v wait W".split(
    " ",
  ),
);

/** The header: every line up to, but not including, the first one that is neither blank nor a comment. */
function* headerLines(script: string): Generator<string> {
  for (const line of script.split("\n")) {
    if (!/^\s*(?:#|$)/.test(line)) return;
    yield line;
  }
}

/** Checks a script like sbatch does before it reads it. Throws `ToolError`. */
export function requireBatchScript(script: string): void {
  if (script === "") refuse("sbatch: error: Batch script is empty!");
  if (!script.startsWith("#!")) {
    refuse(
      "sbatch: error: This does not look like a batch script.  The first\nsbatch: error: line must start with #! followed by the path to an interpreter.\nsbatch: error: For instance: #!/bin/sh",
    );
  }
  if (script.includes("\r\n")) {
    refuse(
      "sbatch: error: Batch script contains DOS line breaks (\\r\\n)\nsbatch: error: instead of expected UNIX line breaks (\\n).",
    );
  }
  if (script.length > 4 * 1024 * 1024) {
    refuse("sbatch: error: Batch job submission failed: Pathname of a file, directory or other parameter too long");
  }
}

/** Options of the script's header. */
function scriptOptions(script: string): SbatchOptions {
  const options: SbatchOptions = {};
  for (const line of headerLines(script)) {
    const rest = /^#SBATCH(?:\s+(.*))?$/.exec(line)?.[1];
    if (rest !== undefined) readWords(splitWords(rest), options);
  }
  return options;
}

/** Options of the script with those of the request over them. */
export function jobOptions(script: string, request: JobRequest): SbatchOptions {
  const given: SbatchOptions = definedOnly({
    name: request.name,
    account: request.account,
    partition: request.partition,
    reservation: request.reservation,
    constraint: request.constraint,
    time: request.time,
    input: request.input,
    output: request.output,
    error: request.error,
    export: request.export,
    dependency: request.dependency,
    array: request.array,
    hold: request.hold,
  });
  return { ...scriptOptions(script), ...given };
}

type WithUndefined<T> = { [K in keyof T]?: T[K] | undefined };

function definedOnly(options: WithUndefined<SbatchOptions>): SbatchOptions {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function readWords(words: string[], options: SbatchOptions): void {
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? "";
    if (word.startsWith("#")) return;
    if (!word.startsWith("-")) continue;
    const { name, value } = splitOption(word);
    if (FLAGS.has(name) && (value === undefined || name === "exclusive" || name === "oversubscribe")) {
      if (name === "hold" || name === "H") options.hold = true;
      continue;
    }
    const meaning = MEANT[name];
    if (meaning === undefined && !ACCEPTED.has(name)) {
      refuse(`sbatch: unrecognized option '${word}'\nTry "sbatch --help" for more information`, 255);
    }
    const text = value ?? words[++index];
    if (text === undefined)
      refuse(`sbatch: option '--${name}' requires an argument\nTry "sbatch --help" for more information`, 255);
    if (name === "open-mode") options.appendOutput = text === "append";
    if (meaning !== undefined) options[meaning] = text;
  }
}

/** `--time=5`, `--time`, `-t5`, `-t`, `-t=5`. */
function splitOption(word: string): { name: string; value: string | undefined } {
  const long = /^--([^=]+)(?:=([\s\S]*))?$/.exec(word);
  if (long !== null) return { name: long[1] ?? "", value: long[2] };
  const letter = word.slice(1, 2);
  const value = word.length > 2 ? word.slice(2).replace(/^=/, "") : undefined;
  return { name: SHORT[letter] ?? letter, value };
}

/** Words as a shell would split them: quotes and backslashes. */
function splitWords(text: string): string[] {
  return [...text.matchAll(/(?:"(?:\\.|[^"])*"|'[^']*'|\\.|[^\s"'\\])+/g)].map(([word]) =>
    word.replace(/"((?:\\.|[^"])*)"|'([^']*)'|\\(.)/g, (_all, double?: string, single?: string, escaped?: string) =>
      double !== undefined ? double.replace(/\\(.)/g, "$1") : (single ?? escaped ?? ""),
    ),
  );
}

function refuse(stderr: string, exitCode = 1): never {
  throw new ToolError("sbatch", exitCode, stderr);
}

/** Seconds of a `--time` text; `undefined` for no limit. Throws for anything sbatch refuses. */
export function timeLimitSeconds(text: string): number | undefined {
  if (/^(?:unlimited|infinite|-1)$/i.test(text)) return undefined;
  const dayParts = /^(\d+)-(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text);
  if (dayParts !== null) {
    const [, days, hours, minutes = "0", seconds = "0"] = dayParts;
    return Number(days) * 86_400 + Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds);
  }
  const parts = /^(\d+)(?::(\d+))?(?::(\d+))?$/.exec(text);
  if (parts === null) refuse("sbatch: error: Invalid --time specification", 255);
  const [, first, second, third] = parts;
  if (second === undefined) return Number(first) * 60;
  if (third === undefined) return Number(first) * 60 + Number(second);
  return Number(first) * 3600 + Number(second) * 60 + Number(third);
}

const MAX_ARRAY_SIZE = 1001;

/** Indices of an `--array` text and how many may run at once. */
export function arrayIndices(text: string): { indices: number[]; limit?: number } {
  const [, list, limit] = /^([0-9,:-]+)(?:%(\d+))?$/.exec(text) ?? [];
  const indices = new Set<number>();
  for (const item of (list ?? "x").split(",")) {
    const [, from, to, step] = /^(\d+)(?:-(\d+)(?::(\d+))?)?$/.exec(item) ?? [];
    const last = Number(to ?? from);
    if (from === undefined || last >= MAX_ARRAY_SIZE || last < Number(from) || step === "0") {
      refuse("sbatch: error: Batch job submission failed: Invalid job array specification");
    }
    for (let index = Number(from); index <= last; index += Number(step ?? 1)) indices.add(index);
  }
  const sorted = [...indices].sort((left, right) => left - right);
  return limit === undefined ? { indices: sorted } : { indices: sorted, limit: Number(limit) };
}
