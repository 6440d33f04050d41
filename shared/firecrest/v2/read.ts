/** The few ways in which a field of a v2 answer is read. Anything unexpected is `undefined`, never an exception. */
import { z } from "zod";
import { count } from "../decode.ts";

export { count, given, text } from "../decode.ts";

/** A JSON object whose keys are camelCase, whatever the server's release wrote. */
export type Fields = Record<string, unknown>;

const camelKey = (key: string): string => key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());

/** The object's fields under camelCase names; empty for anything that is no object. */
export function fields(value: unknown): Fields {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return {};
  return Object.fromEntries(Object.entries(value).map(([key, field]) => [camelKey(key), field]));
}

/** The body of an answer: a JSON object. */
export const Fields = z.record(z.string(), z.unknown()).transform(fields);

/** The objects of a list; `null` and absent are the empty list. */
export const list = (value: unknown): Fields[] => (Array.isArray(value) ? value.map(fields) : []);

export const flag = (value: unknown): boolean => value === true;

/** One word or a list of words. */
export function words(value: unknown): string[] {
  const all = Array.isArray(value) ? value : [value];
  return all.filter((word): word is string => typeof word === "string" && word !== "");
}

/** Epoch seconds as milliseconds. Slurm's REST interface writes 0 for "not yet". */
export function epochMs(value: unknown): number | undefined {
  const seconds = count(value);
  return seconds === undefined || seconds <= 0 ? undefined : seconds * 1_000;
}
