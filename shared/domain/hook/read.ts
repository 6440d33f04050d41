/** Where a hook's values come from: the sender's body, headers and token, read and never run. */
import { parseJsonPath, readJsonPath } from "./jsonpath.ts";

/** A verified inbound request, as far as a hook may look at it. */
export interface Inbound {
  /** The parsed body; undefined where there was none. */
  body: unknown;
  /** Whether the body came as a form: all its values are text. */
  bodyIsText?: boolean;
  /** By lower-case name. */
  headers: Readonly<Record<string, string>>;
  /** Of a verified token. */
  claims: Readonly<Record<string, unknown>>;
}

export interface Reading {
  /** None, one, or (with a wildcard) several. `null` counts as nothing. */
  values: unknown[];
  /** Headers and form fields can only carry text: `"5"` may then stand for the number 5. */
  isText: boolean;
}

/** What a request proves itself with is not a value: it would end in a job's environment and in its log. */
const CREDENTIAL_HEADERS =
  /^(authorization|proxy-authorization|cookie|x-gitlab-token|x-api-key|x-auth-token|cf-access-jwt-assertion)$/i;

export const isCredential = (header: string): boolean => CREDENTIAL_HEADERS.test(header);

/** The names of one kind, of headers or of claims, that these places read. */
export const namedBy = (kind: "header" | "claim", froms: readonly string[]): string[] =>
  froms
    .map(sourceOf)
    .filter((source) => source.kind === kind)
    .map(({ rest }) => rest);

type Source = { kind: "pointer" | "header" | "claim" | "jsonpath"; rest: string };

function sourceOf(from: string): Source {
  if (from.startsWith("/")) return { kind: "pointer", rest: from };
  const colon = from.indexOf(":");
  return { kind: from.slice(0, colon) as Source["kind"], rest: from.slice(colon + 1) };
}

/** What is wrong with a `from`, in words; undefined = nothing. */
export function problemOfFrom(from: string, hookSource: string): string | undefined {
  const { kind, rest } = sourceOf(from);
  switch (kind) {
    case "pointer":
      return /~(?![01])/.test(rest) ? "has a ~ that is neither ~0 (a ~) nor ~1 (a /)" : undefined;
    case "header":
      return isCredential(rest) ? "names a header that carries a credential" : undefined;
    case "claim":
      return hookSource === "oidc" ? undefined : "reads a claim, which only source oidc has";
    case "jsonpath":
      return parseJsonPath(rest) === undefined
        ? "may use names, indices and wildcards only, such as $.commits[0].id"
        : undefined;
  }
}

export const readsBody = (from: string): boolean => ["pointer", "jsonpath"].includes(sourceOf(from).kind);

export function read(from: string, inbound: Inbound): Reading {
  const { kind, rest } = sourceOf(from);
  switch (kind) {
    case "pointer":
      return { values: present(readPointer(rest, inbound.body)), isText: inbound.bodyIsText === true };
    case "jsonpath":
      return {
        values: present(readJsonPath(parseJsonPath(rest) ?? [], inbound.body)),
        isText: inbound.bodyIsText === true,
      };
    case "header":
      return { values: present(own(inbound.headers, rest.toLowerCase())), isText: true };
    case "claim":
      return { values: present(own(inbound.claims, rest)), isText: false };
  }
}

/** RFC 6901, own members only. */
function readPointer(pointer: string, document: unknown): unknown[] {
  const steps = pointer
    .slice(1)
    .split("/")
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  return steps.reduce<unknown[]>(
    ([value], step) => {
      if (Array.isArray(value)) return /^(0|[1-9]\d{0,8})$/.test(step) ? own(value, step) : [];
      return own(value, step);
    },
    [document],
  );
}

/** Never an inherited member: `/constructor` of a stranger's body is what the stranger sent, or nothing. */
const own = (value: unknown, name: string): unknown[] =>
  typeof value === "object" && value !== null && Object.hasOwn(value, name) ? [Reflect.get(value, name)] : [];

const present = (values: unknown[]): unknown[] => values.filter((value) => value !== null && value !== undefined);
