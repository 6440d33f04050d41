/**
 * The header of a batch script, as sbatch reads it: every line from the first up to, but not including, the first that
 * is neither blank nor a comment. `#SBATCH` counts only at column 0 inside it.
 */

export interface Directive {
  /** Counted from 1. */
  line: number;
  text: string;
  words: string[];
}

export interface Header {
  /** The script, line by line, without line ends. */
  lines: string[];
  /** How many of the lines are header. */
  length: number;
  interpreter: Interpreter;
  directives: Directive[];
  /** `#PBS` and `#BSUB` lines, which sbatch also reads. */
  foreign: Directive[];
}

export interface Interpreter {
  /** Base name of the program, `env` looked through: `bash`, `python3`; "" where there is no `#!` line. */
  name: string;
  /** Whether the shell is a login shell (`-l`). */
  login: boolean;
}

export function readHeader(script: string): Header {
  const lines = script.split("\n");
  const end = lines.findIndex((line) => !/^\s*(#|$)/.test(line));
  const length = end === -1 ? lines.length : end;
  const comments = lines.slice(0, length).map((text, i) => ({ line: i + 1, text }));
  return {
    lines,
    length,
    interpreter: readInterpreter(lines[0] ?? ""),
    directives: comments.filter(({ text }) => /^#SBATCH(\s|$)/.test(text)).map(withWords),
    foreign: comments.filter(({ text }) => /^#(PBS|BSUB)(\s|$)/.test(text)).map(withWords),
  };
}

/** Value of an option, the last one winning; "" for one without a value, undefined where it is not given. */
export function optionOf(header: Header, long: string, short?: string): string | undefined {
  let value: string | undefined;
  for (const { words } of header.directives) {
    for (const [i, word] of words.entries()) {
      if (word === long || word === short) value = words[i + 1] ?? "";
      else if (word.startsWith(`${long}=`)) value = word.slice(long.length + 1);
      else if (short !== undefined && !word.startsWith("--") && word.startsWith(short))
        value = word.slice(short.length);
    }
  }
  return value;
}

/** Shells that can run our prologue. */
const SHELLS = new Set(["sh", "bash", "dash"]);
/** Other interpreters in whose scripts a `#SBATCH` line is a comment. */
const HASH_COMMENTS =
  /^(ash|ksh|mksh|zsh|fish|t?csh|python[\d.]*|pypy[\d.]*|perl[\d.]*|ruby[\d.]*|Rscript|R|julia|tclsh[\d.]*|expect|g?awk|sed|make|octave|elvish|nu|pwsh)$/;

/** Whether the script is one of a shell that can run lines of ours. */
export const isShellScript = (header: Header): boolean => SHELLS.has(header.interpreter.name);

/** Whether a line that starts with `#` is a comment to the script's interpreter. */
export const takesComments = (header: Header): boolean =>
  isShellScript(header) || HASH_COMMENTS.test(header.interpreter.name) || header.directives.length > 0;

/** The line that begins another component of a heterogeneous job. */
export const heterogeneous = (header: Header): Directive | undefined =>
  header.directives.find(({ words }) => words.includes("hetjob") || words.includes("packjob"));

/** Slurm's own highest `MaxArraySize`. */
const MAX_ARRAY_INDEX = 4_000_000;
/** Above this, indices that are named twice are counted twice: nobody writes such a list by hand. */
const MAX_LISTED = 100_000;

/**
 * How many elements the script's `--array` makes (`0-15%4`, `1,3,10-20:2`); undefined where the script has none or one
 * that we cannot read.
 */
export function arraySizeOf(script: string): number | undefined {
  const spec = optionOf(readHeader(script), "--array", "-a");
  if (spec === undefined) return undefined;
  const ranges: { first: number; step: number; size: number }[] = [];
  for (const item of spec.replace(/%\d+$/, "").split(",")) {
    const match = /^(\d{1,7})(?:-(\d{1,7})(?::(\d{1,7}))?)?$/.exec(item);
    const first = Number(match?.[1]);
    const last = Number(match?.[2] ?? first);
    const step = Number(match?.[3] ?? 1);
    if (match === null || last < first || last > MAX_ARRAY_INDEX || step < 1) return undefined;
    ranges.push({ first, step, size: Math.floor((last - first) / step) + 1 });
  }
  const total = ranges.reduce((sum, { size }) => sum + size, 0);
  if (total > MAX_LISTED) return total;
  return new Set(ranges.flatMap(({ first, step, size }) => Array.from({ length: size }, (_, i) => first + i * step)))
    .size;
}

/** Seconds of the script's `--time`; undefined where it has none, or one without end. */
export function timeLimitOf(script: string): number | undefined {
  return parseTimeLimit(optionOf(readHeader(script), "--time", "-t") ?? "");
}

/** sbatch's `minutes`, `minutes:seconds`, `hours:minutes:seconds`, `days-hours[:minutes[:seconds]]`. */
export function parseTimeLimit(text: string): number | undefined {
  const [days, clock] = text.includes("-") ? text.split("-", 2) : [undefined, text];
  const fields = (clock ?? "").split(":");
  if (fields.length > 3 || ![days ?? "0", ...fields].every((field) => /^\d{1,7}$/.test(field))) return undefined;
  const [a = 0, b = 0, c = 0] = fields.map(Number);
  const minutesFirst = days === undefined && fields.length < 3;
  const seconds = minutesFirst ? a * 60 + b : Number(days ?? 0) * 86_400 + a * 3_600 + b * 60 + c;
  return seconds > 0 ? seconds : undefined;
}

function readInterpreter(line: string): Interpreter {
  const [program = "", ...rest] = /^#!/.test(line) ? splitWords(line.slice(2)) : [];
  const [name = "", ...options] =
    baseName(program) === "env"
      ? rest.filter((word, i) => !(i === 0 && word === "-S") && !/^\w+=/.test(word))
      : [program, ...rest];
  return { name: baseName(name), login: options.some((word) => word === "--login" || /^-[a-z]*l/.test(word)) };
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

function withWords(directive: { line: number; text: string }): Directive {
  return { ...directive, words: splitWords(directive.text).slice(1) };
}

/** Words as sbatch splits them: at blanks, quotes and backslashes as in a shell, `#` beginning a comment. */
function splitWords(text: string): string[] {
  const words: string[] = [];
  let word: string | undefined;
  let quote: string | undefined;
  for (let i = 0; i < text.length; i++) {
    const c = text.charAt(i);
    if (quote !== undefined) {
      if (c === quote) quote = undefined;
      else word += c;
    } else if (c === '"' || c === "'") {
      quote = c;
      word ??= "";
    } else if (c === "\\") {
      word = (word ?? "") + text.charAt(++i);
    } else if (/\s/.test(c)) {
      if (word !== undefined) words.push(word);
      word = undefined;
    } else if (c === "#" && word === undefined && i > 0) {
      break;
    } else {
      word = (word ?? "") + c;
    }
  }
  if (word !== undefined) words.push(word);
  return words;
}
