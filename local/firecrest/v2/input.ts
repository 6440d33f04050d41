/** Reading requests as pydantic does: camelCase or snake_case, numbers in quotes, unknown fields ignored. */
import { fields } from "../../../shared/firecrest/v2/read.ts";
import type { Call } from "./context.ts";
import { ApiError, type FieldError, invalid } from "./errors.ts";
import { guessesJson } from "./options.ts";

const TRUE = ["true", "1", "yes", "on", "y", "t"];
const FALSE = ["false", "0", "no", "off", "n", "f"];

/** Collects what is wrong with a request; `done` throws all of it at once. */
export class Input {
  readonly #values: Record<string, unknown>;
  readonly #location: "body" | "query";
  readonly #problems: FieldError[] = [];
  /** What the server calls the field in its complaint, for nested objects. */
  readonly #nameOf: (name: string) => string;

  constructor(location: "body" | "query", values: Record<string, unknown>, nameOf = (name: string) => name) {
    this.#location = location;
    this.#values = location === "body" ? fields(values) : values;
    this.#nameOf = nameOf;
  }

  fail(name: string, message: string): void {
    this.#problems.push({ location: this.#location, name: this.#nameOf(name), message });
  }

  has(name: string): boolean {
    return this.#values[name] !== undefined;
  }

  raw(name: string): unknown {
    return this.#values[name];
  }

  text(name: string): string {
    const value = this.#values[name];
    if (typeof value === "string") return value;
    this.fail(name, value === undefined ? "Field required" : "Input should be a valid string");
    return "";
  }

  /** Null is as good as absent, where `nullable`. */
  optionalText(name: string, nullable = true): string | undefined {
    const value = this.#values[name];
    if (value === undefined || (nullable && value === null)) return undefined;
    return this.text(name);
  }

  optionalWhole(name: string): number | undefined {
    const value = this.#values[name];
    if (value === undefined || value === null || value === "") return undefined;
    const number = typeof value === "string" ? Number(value) : value;
    if (typeof number === "number" && Number.isInteger(number)) return number;
    this.fail(name, "Input should be a valid integer, unable to parse string as an integer");
    return undefined;
  }

  flag(name: string): boolean {
    const value = this.#values[name];
    if (value === undefined) return false;
    const word = String(value).toLowerCase();
    if (TRUE.includes(word)) return true;
    if (!FALSE.includes(word)) this.fail(name, "Input should be a valid boolean, unable to interpret input");
    return false;
  }

  oneOf<T extends string>(name: string, words: readonly T[], fallback: T): T {
    const value = this.#values[name] ?? fallback;
    const word = words.find((candidate) => candidate === value);
    if (word !== undefined) return word;
    const quoted = words.map((candidate) => `'${candidate}'`);
    this.fail(name, `Input should be ${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`);
    return fallback;
  }

  done(): void {
    if (this.#problems.length > 0) throw invalid(this.#problems);
  }
}

/** The main path under any of its three names. */
export function mainPath(values: Record<string, unknown>): string | undefined {
  const named = fields(values);
  const path = named.path ?? named.sourcePath;
  return typeof path === "string" && path !== "" ? path : undefined;
}

/** A JSON object. Bodies without the content type are no objects to servers of today. */
export async function readJson({
  request,
  options,
}: Pick<Call, "request" | "options">): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (text === "") throw invalid([{ location: "body", name: null, message: "Field required" }]);
  const type = request.headers.get("content-type");
  const isJson = type === null ? guessesJson(options) : /^application\/(\w+\+)?json\b/.test(type);
  let body: unknown;
  try {
    body = isJson ? JSON.parse(text) : text;
  } catch (error) {
    const position = Number(/position (\d+)/.exec(String(error))?.[1] ?? text.length);
    throw invalid([{ location: "body", name: position, message: "JSON decode error" }], true);
  }
  if (typeof body === "object" && body !== null && !Array.isArray(body)) return body as Record<string, unknown>;
  throw invalid([
    { location: "body", name: null, message: "Input should be a valid dictionary or object to extract fields from" },
  ]);
}

/** Only for systems with probes: present, absolute, and below one of the file systems. */
export function requirePlace(path: string | undefined, system: string, roots: readonly string[]): string {
  if (path === undefined) {
    throw new ApiError(400, "Unable to decode request and retreive the required path or source_path parameter.");
  }
  if (!path.startsWith("/")) throw new ApiError(400, `The provided path (${path}) is not an absolute path.`);
  const normal = normalise(path);
  if (!roots.some((root) => normal === root || normal.startsWith(`${root}/`))) {
    throw new ApiError(
      400,
      `The provided path (${normal}) does not match any of the defined filesystem paths for the requested system (${system}).`,
    );
  }
  return path;
}

function normalise(path: string): string {
  const kept: string[] = [];
  for (const segment of path.split("/")) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  return `/${kept.join("/")}`;
}
