/** Typed parameters and filter terms: what a stranger's value must be before it is used. */
import type { z } from "zod";
import type { FilterTerm, HookParam } from "../../contract/hook.ts";
import { compilePattern } from "./pattern.ts";
import { type Inbound, read } from "./read.ts";

export type Scalar = string | number | boolean;

/** Characters of a text parameter that names no `maxLength`. */
const DEFAULT_MAX_LENGTH = 4_096;

/** The parameter's value; undefined for an optional one that is absent. */
export type Resolved = { ok: true; value: Scalar | undefined } | { ok: false; problem: string };

const refuse = (problem: string): Resolved => ({ ok: false, problem });

export function resolveParam(param: HookParam, inbound: Inbound): Resolved {
  const { values, isText } = read(param.from, inbound);
  if (values.length > 1) return refuse(`has ${values.length} values where one is needed`);
  if (values.length === 0) {
    if (param.default !== undefined) return { ok: true, value: param.default };
    return param.required === false ? { ok: true, value: undefined } : refuse("is missing");
  }
  const value = isText ? fromText(param.type, String(values[0])) : values[0];
  return checkValue(param, value);
}

/** Only what is written exactly like a number is one: no spaces, no hexadecimal, nothing after it. */
function fromText(type: HookParam["type"], text: string): Scalar {
  if (type === "string") return text;
  if (type === "boolean") return text === "true" ? true : text === "false" ? false : text;
  return /^-?(0|[1-9]\d{0,15})(\.\d{1,15})?$/.test(text) ? Number(text) : text;
}

const TYPE_WORDS = {
  string: "a text",
  integer: "a whole number",
  number: "a number",
  boolean: "true or false",
} as const;

/** Checks one value against everything the parameter demands. Also used for its default and its enum when it is saved. */
export function checkValue(param: HookParam, value: unknown): Resolved {
  if (!isOfType(param.type, value)) return refuse(`must be ${TYPE_WORDS[param.type]}`);
  if (param.enum !== undefined && !param.enum.includes(value)) return refuse(`must be one of ${param.enum.join(", ")}`);
  if (typeof value === "string") {
    const maxLength = param.maxLength ?? DEFAULT_MAX_LENGTH;
    if ([...value].length > maxLength) return refuse(`must have at most ${maxLength} characters`);
    if (value.includes("\u0000") || !value.isWellFormed()) return refuse("must be well-formed text without NUL");
    if (param.pattern !== undefined) {
      const pattern = compilePattern(param.pattern);
      if (!pattern.ok || !pattern.matches(value)) return refuse(`must match ${param.pattern}`);
    }
  }
  if (typeof value === "number") {
    if (param.min !== undefined && value < param.min) return refuse(`must be at least ${param.min}`);
    if (param.max !== undefined && value > param.max) return refuse(`must be at most ${param.max}`);
  }
  return { ok: true, value };
}

function isOfType(type: HookParam["type"], value: unknown): value is Scalar {
  switch (type) {
    case "string":
      return typeof value === "string";
    case "boolean":
      return typeof value === "boolean";
    case "number":
      return typeof value === "number" && Number.isFinite(value);
    case "integer":
      // Beyond 2^53 JSON numbers silently become their neighbours.
      return typeof value === "number" && Number.isSafeInteger(value);
  }
}

/** Whether the term holds. Of several values (a wildcard) one is enough. */
export function holds(term: z.infer<typeof FilterTerm>, inbound: Inbound): boolean {
  const { values, isText } = read(term.from, inbound);
  const comparable = (wanted: Scalar): Scalar => (isText ? String(wanted) : wanted);
  switch (term.op) {
    case "exists":
      return values.length > 0 === (term.value ?? true);
    case "equals":
      return !Array.isArray(term.value) && term.value !== undefined && values.includes(comparable(term.value));
    case "in":
      return Array.isArray(term.value) && term.value.some((wanted) => values.includes(comparable(wanted)));
    case "matches": {
      const pattern = compilePattern(String(term.value));
      return (
        pattern.ok &&
        values.some(
          (value) => typeof value === "string" && value.length <= DEFAULT_MAX_LENGTH && pattern.matches(value),
        )
      );
    }
  }
}

/** How a number or a truth value is written in an environment: plain decimal digits, never an exponent. */
export function asText(value: Scalar): string {
  if (typeof value !== "number") return String(value);
  const [digits = "", exponent] = String(value).split("e");
  if (exponent === undefined) return digits;
  const [, sign = "", whole = "", fraction = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(digits) ?? [];
  const shift = Number(exponent);
  if (shift > 0) return `${sign}${whole}${fraction.padEnd(shift, "0")}`;
  return `${sign}0.${"0".repeat(-shift - whole.length)}${whole}${fraction}`;
}
