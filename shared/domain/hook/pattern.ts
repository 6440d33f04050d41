/**
 * Patterns over values that strangers send. They are a small part of JavaScript's (`u`) regular expressions, always match
 * the whole value, and run as a set of states instead of by backtracking: the time is at most states × characters, so no
 * pattern and no value can make a Worker hang. Left out are the things that need backtracking (look-around, back-references)
 * and the ones that a whole match does not need (`\b`, lazy quantifiers).
 */

export type Pattern = { ok: true; matches(text: string): boolean } | { ok: false; problem: string };

/** After counted repeats have been written out: `[a-z]{1,200}` is 200 states. */
const MAX_STATES = 2_000;

/** Never throws: what is wrong with the pattern is the answer. */
export function compilePattern(source: string): Pattern {
  try {
    const program = build(new Parser(source).whole());
    return { ok: true, matches: (text) => run(program, text) };
  } catch (error) {
    if (error instanceof PatternError) return { ok: false, problem: error.message };
    throw error;
  }
}

class PatternError extends Error {}

type CharacterSet = (codePoint: number) => boolean;

type Node =
  | { kind: "one"; of: CharacterSet }
  | { kind: "sequence"; parts: Node[] }
  | { kind: "choice"; options: Node[] }
  | { kind: "repeat"; part: Node; min: number; max: number };

const LINE_ENDS = new Set([0x0a, 0x0d, 0x2028, 0x2029]);
const codeOf = (character: string): number => character.codePointAt(0) ?? 0;
const between = (first: string, last: string): CharacterSet => {
  const [low, high] = [codeOf(first), codeOf(last)];
  return (c) => c >= low && c <= high;
};
const anyOf =
  (sets: readonly CharacterSet[]): CharacterSet =>
  (c) =>
    sets.some((has) => has(c));
const not =
  (has: CharacterSet): CharacterSet =>
  (c) =>
    !has(c);

const DIGIT = between("0", "9");
const WORD = anyOf([DIGIT, between("a", "z"), between("A", "Z"), (c) => c === codeOf("_")]);
const SPACE: CharacterSet = (c) => /^\s$/u.test(String.fromCodePoint(c));

const CLASS_ESCAPES: Record<string, CharacterSet> = {
  d: DIGIT,
  D: not(DIGIT),
  w: WORD,
  W: not(WORD),
  s: SPACE,
  S: not(SPACE),
};
const CHARACTER_ESCAPES: Record<string, string> = { t: "\t", n: "\n", r: "\r" };
const SYNTAX = "^$\\.*+?()[]{}|/";

/** Recursive descent: choice, sequence, repeat, atom. */
class Parser {
  readonly #characters: string[];
  #at = 0;

  constructor(source: string) {
    // The whole value is matched anyway; a pattern that says so is not wrong.
    const bare = source.replace(/^\^/, "").replace(/(?<!\\)((?:\\\\)*)\$$/, "$1");
    this.#characters = [...bare];
  }

  whole(): Node {
    const node = this.#choice();
    if (this.#peek() !== undefined) throw new PatternError("has a ) without its (");
    return node;
  }

  #peek(): string | undefined {
    return this.#characters[this.#at];
  }

  #take(): string {
    const character = this.#characters[this.#at++];
    if (character === undefined) throw new PatternError("ends in the middle of something");
    return character;
  }

  #takeIf(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #choice(): Node {
    const options = [this.#sequence()];
    while (this.#takeIf("|")) options.push(this.#sequence());
    return { kind: "choice", options };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    for (let next = this.#peek(); next !== undefined && next !== "|" && next !== ")"; next = this.#peek()) {
      parts.push(this.#repeat());
    }
    return { kind: "sequence", parts };
  }

  #repeat(): Node {
    const part = this.#atom();
    const bounds = this.#bounds();
    if (bounds === undefined) return part;
    if (["*", "+", "?", "{"].includes(this.#peek() ?? "")) throw new PatternError("has one quantifier after another");
    return { kind: "repeat", part, ...bounds };
  }

  #bounds(): { min: number; max: number } | undefined {
    if (this.#takeIf("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#takeIf("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#takeIf("?")) return { min: 0, max: 1 };
    if (!this.#takeIf("{")) return undefined;
    let text = "";
    while (!this.#takeIf("}")) text += this.#take();
    const [, low, comma, high] = /^(\d{1,4})(,(\d{1,4})?)?$/.exec(text) ?? [];
    if (low === undefined)
      throw new PatternError("has a { that is not a count such as {2} or {1,8}; write \\{ for the character");
    const min = Number(low);
    const max = comma === undefined ? min : high === undefined ? Number.POSITIVE_INFINITY : Number(high);
    if (max < min) throw new PatternError("has a count whose end is before its start");
    return { min, max };
  }

  #atom(): Node {
    const character = this.#take();
    if (character === "(") return this.#group();
    if (character === "[") return { kind: "one", of: this.#set() };
    if (character === ".") return { kind: "one", of: (c) => !LINE_ENDS.has(c) };
    if (character === "\\") {
      const escaped = this.#escape();
      return { kind: "one", of: typeof escaped === "string" ? between(escaped, escaped) : escaped };
    }
    if (character === "^" || character === "$")
      throw new PatternError("has ^ or $ inside; patterns always match the whole value");
    if (SYNTAX.includes(character) && character !== "/")
      throw new PatternError(`has a stray ${character}; write \\${character} for the character`);
    return { kind: "one", of: between(character, character) };
  }

  #group(): Node {
    if (this.#takeIf("?") && !this.#takeIf(":")) throw new PatternError("has a group that is neither (…) nor (?:…)");
    const node = this.#choice();
    if (!this.#takeIf(")")) throw new PatternError("has a ( without its )");
    return node;
  }

  #set(): CharacterSet {
    const negated = this.#takeIf("^");
    const sets: CharacterSet[] = [];
    while (!this.#takeIf("]")) sets.push(this.#member());
    return negated ? not(anyOf(sets)) : anyOf(sets);
  }

  /** One character, one range or one escape between [ and ]. */
  #member(): CharacterSet {
    const first = this.#memberCharacter();
    if (typeof first !== "string") return first;
    const isRange = this.#peek() === "-" && this.#characters[this.#at + 1] !== "]";
    if (!isRange) return between(first, first);
    this.#at++;
    const last = this.#memberCharacter();
    if (typeof last !== "string" || codeOf(last) < codeOf(first))
      throw new PatternError("has a range in [] whose end is not after its start");
    return between(first, last);
  }

  #memberCharacter(): string | CharacterSet {
    const character = this.#take();
    return character === "\\" ? this.#escape() : character;
  }

  #escape(): string | CharacterSet {
    const character = this.#take();
    const set = Object.hasOwn(CLASS_ESCAPES, character) ? CLASS_ESCAPES[character] : undefined;
    if (set !== undefined) return set;
    if (Object.hasOwn(CHARACTER_ESCAPES, character)) return CHARACTER_ESCAPES[character] ?? "";
    if (SYNTAX.includes(character) || character === "-") return character;
    throw new PatternError(
      `has \\${character}, which is not known here; known are \\d \\w \\s, their opposites, \\t \\n \\r and \\ before punctuation`,
    );
  }
}

/** `eat`: take one character and go on. `fork`: be in several states at once. No `to` at all: the end. */
type State = { eat?: CharacterSet; to: number[] };

interface Program {
  states: State[];
  start: number;
}

const END = 0;

/** Built from the back: every node knows the state that follows it. */
function build(root: Node): Program {
  const states: State[] = [{ to: [] }];
  const add = (state: State): number => {
    if (states.length >= MAX_STATES) throw new PatternError("is too large; use smaller counts");
    return states.push(state) - 1;
  };
  const before = (node: Node, next: number): number => {
    switch (node.kind) {
      case "one":
        return add({ eat: node.of, to: [next] });
      case "sequence":
        return node.parts.reduceRight((following, part) => before(part, following), next);
      case "choice":
        return add({ to: node.options.map((option) => before(option, next)) });
      case "repeat":
        return repeated(node, next);
    }
  };
  const repeated = ({ part, min, max }: Extract<Node, { kind: "repeat" }>, next: number): number => {
    let start = next;
    if (max === Number.POSITIVE_INFINITY) {
      start = add({ to: [next] });
      states[start]?.to.push(before(part, start));
    } else {
      for (let i = min; i < max; i++) start = add({ to: [before(part, start), next] });
    }
    for (let i = 0; i < min; i++) start = before(part, start);
    return start;
  };
  return { start: before(root, END), states };
}

function run({ states, start }: Program, text: string): boolean {
  let current = reachable(states, [start]);
  for (const character of text) {
    const codePoint = codeOf(character);
    const next: number[] = [];
    for (const id of current) {
      const state = states[id];
      if (state?.eat?.(codePoint)) next.push(...state.to);
    }
    if (next.length === 0) return false;
    current = reachable(states, next);
  }
  return current.has(END);
}

/** All states that are reached without taking a character. */
function reachable(states: readonly State[], from: readonly number[]): Set<number> {
  const seen = new Set<number>();
  const waiting = [...from];
  for (let id = waiting.pop(); id !== undefined; id = waiting.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const state = states[id];
    if (state !== undefined && state.eat === undefined) waiting.push(...state.to);
  }
  return seen;
}
