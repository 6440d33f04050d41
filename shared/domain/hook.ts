/**
 * From a verified inbound request to the job or transfer it asks for: filter, typed parameters, structural fill, and then
 * the same schema that reads everybody's requests. Pure: nothing is fetched, nothing is stored, nothing throws.
 */
import type { Hook, HookMapping, HookParam, HookRequestBody } from "../contract/hook.ts";
import { JobRequest } from "../contract/job.ts";
import type { FieldProblem, Started, VerifiedInbound } from "../contract/rpc.ts";
import { TransferRequest } from "../contract/transfer.ts";
import { fieldProblems } from "../problem.ts";
import { fill, misplaced, pointerTo, type TargetKind, type ValueAt } from "./hook/fill.ts";
import { checkValue, holds, resolveParam, type Scalar } from "./hook/param.ts";
import { compilePattern } from "./hook/pattern.ts";
import { type Inbound, problemOfFrom, read, readsBody } from "./hook/read.ts";

export { changesBetween } from "./hook/compare.ts";
export { keptOf } from "./hook/keep.ts";
export type { Inbound } from "./hook/read.ts";

/** Everything the mapping did, for a dry run; `resultOf` is what counts. */
export interface Mapped {
  /** Whether the filter let it through; if not, nothing after it was looked at. */
  passed: boolean;
  params: Record<string, Scalar>;
  problems: FieldProblem[];
  /** The request as composed, even where a schema refuses it. */
  composed?: unknown;
  request?: Started;
}

export function mapInbound(hook: HookMapping, inbound: Inbound): Mapped {
  if (!(hook.filter ?? []).every((term) => holds(term, inbound))) return { passed: false, params: {}, problems: [] };
  const values = new Map<string, Scalar>();
  const problems: FieldProblem[] = [];
  for (const [name, param] of Object.entries(hook.params ?? {})) {
    const resolved = resolveParam(param, inbound);
    if (!resolved.ok) problems.push({ field: param.from, message: `(parameter ${name}) ${resolved.problem}` });
    else if (resolved.value !== undefined) values.set(name, resolved.value);
  }
  const mapped: Mapped = { passed: true, params: Object.fromEntries(values), problems };
  return problems.length > 0 ? mapped : { ...mapped, ...compose(hook.target, (name) => values.get(name)) };
}

/** What makes this message itself, where the hook says which values do; undefined where one of them is missing. */
export function identityOf({ dedupe }: Pick<Hook, "dedupe">, inbound: Inbound): string | undefined {
  const parts = dedupe?.map((from) => read(from, inbound).values);
  return parts?.every((values) => values.length > 0) ? JSON.stringify(parts) : undefined;
}

/** What the Tracker is told. */
export function resultOf({ passed, problems, request }: Mapped): VerifiedInbound["result"] {
  if (!passed) return { outcome: "filtered" };
  return request ?? { outcome: "refused", errors: problems };
}

function compose(target: unknown, valueAt: ValueAt): Pick<Mapped, "problems" | "composed" | "request"> {
  const { kind, template } = targetOf(target);
  const composed = fill(kind, template, valueAt);
  const read = kind === "job" ? JobRequest.safeParse(composed) : TransferRequest.safeParse(composed);
  if (!read.success) {
    const problems = fieldProblems(read.error, composed);
    return {
      composed,
      problems: problems.map(({ field, message }) => ({ field: `/target/${kind}${field}`, message })),
    };
  }
  const request = { outcome: kind, request: read.data } as Started;
  return { composed, problems: [], request };
}

function targetOf(target: unknown): { kind: TargetKind; template: unknown } {
  const members = typeof target === "object" && target !== null ? target : {};
  return "transfer" in members
    ? { kind: "transfer", template: members.transfer }
    : { kind: "job", template: Reflect.get(members, "job") };
}

/** What is wrong with a hook before it is saved; empty = it can work. */
export function checkHook(hook: HookRequestBody): FieldProblem[] {
  const params = Object.entries(hook.params ?? {});
  const { kind, template } = targetOf(hook.target);
  const problems = [
    ...checkSource(hook),
    ...(hook.filter ?? []).flatMap((term, i) => [
      ...found(`/filter/${i}/from`, problemOfFrom(term.from, hook.source)),
      ...found(`/filter/${i}/value`, term.op === "matches" ? problemOfPattern(String(term.value)) : undefined),
    ]),
    ...(hook.dedupe ?? []).flatMap((from, i) => found(`/dedupe/${i}`, problemOfFrom(from, hook.source))),
    ...params.flatMap(([name, param]) => checkParam(name, param, hook.source)),
    ...misplaced(kind, template, new Set(params.map(([name]) => name))),
  ];
  // What follows tries the hook out; on one that is wrong already it would only repeat itself.
  return problems.length > 0 ? problems : [...checkTarget(hook), ...checkSample(hook)];
}

const found = (field: string, message: string | undefined): FieldProblem[] =>
  message === undefined ? [] : [{ field, message }];

function problemOfPattern(source: string): string | undefined {
  const pattern = compilePattern(source);
  return pattern.ok ? undefined : pattern.problem;
}

function checkSource({ source, hmac, oidc, secrets }: HookRequestBody): FieldProblem[] {
  return [
    ...found(
      "/hmac",
      source === "hmac" && hmac === undefined
        ? "is required for source hmac: say which header carries the signature"
        : undefined,
    ),
    ...found("/hmac", source !== "hmac" && hmac !== undefined ? "belongs to source hmac only" : undefined),
    ...found(
      "/oidc",
      source === "oidc" && oidc === undefined
        ? "is required for source oidc: say which issuer, audience and claims"
        : undefined,
    ),
    ...found("/oidc", source !== "oidc" && oidc !== undefined ? "belongs to source oidc only" : undefined),
    ...found(
      "/secrets",
      source === "oidc" && secrets !== undefined ? "are not used by source oidc; remove them" : undefined,
    ),
  ];
}

function checkParam(name: string, param: HookParam, source: string): FieldProblem[] {
  const at = (field: string, message: string | undefined) => found(pointerTo(["params", name, field]), message);
  const isText = param.type === "string";
  const isNumber = param.type === "integer" || param.type === "number";
  const own = [
    ...at("from", problemOfFrom(param.from, source)),
    ...at(
      "pattern",
      param.pattern === undefined ? undefined : isText ? problemOfPattern(param.pattern) : "is for type string only",
    ),
    ...at("maxLength", param.maxLength !== undefined && !isText ? "is for type string only" : undefined),
    ...at("min", param.min !== undefined && !isNumber ? "is for numbers only" : undefined),
    ...at("max", param.max !== undefined && !isNumber ? "is for numbers only" : undefined),
    ...at(
      "max",
      param.min !== undefined && param.max !== undefined && param.max < param.min ? "is less than min" : undefined,
    ),
  ];
  if (own.length > 0) return own;
  const fits = (value: unknown): string | undefined => {
    const checked = checkValue(param, value);
    return checked.ok ? undefined : checked.problem;
  };
  return [
    ...(param.enum ?? []).flatMap((value, i) => found(pointerTo(["params", name, "enum", i]), fits(value))),
    ...at("default", param.default === undefined ? undefined : fits(param.default)),
  ];
}

/** Whether the request can be read at all, with values that such parameters could have. */
function checkTarget(hook: HookRequestBody): FieldProblem[] {
  const { problems } = compose(hook.target, (name, path) => plausible(hook.params?.[name], path));
  return problems;
}

function plausible(param: HookParam | undefined, path: readonly (string | number)[]): Scalar {
  if (param?.default !== undefined) return param.default;
  if (param?.enum?.[0] !== undefined) return param.enum[0];
  switch (param?.type) {
    case "integer":
    case "number":
      return param.min ?? Math.min(1, param.max ?? 1);
    case "boolean":
      return true;
    default:
      if (path.at(-1) === "url") return "https://example.org/x";
      // A transfer's path is absolute; an absolute path is fine for a job's files too.
      return path.at(-1) === "path" ? "/x" : "x";
  }
}

/** The sample must get through. It has no headers and no token, so what is read from those is taken for granted. */
function checkSample(hook: HookRequestBody): FieldProblem[] {
  if (hook.sample === undefined) return [];
  const inbound: Inbound = { body: hook.sample, headers: {}, claims: {} };
  const failing = (hook.filter ?? []).findIndex((term) => readsBody(term.from) && !holds(term, inbound));
  if (failing >= 0)
    return [{ field: "/sample", message: `does not pass filter ${failing} (${hook.filter?.[failing]?.from})` }];
  const unreadable = Object.entries(hook.params ?? {}).flatMap(([name, param]) => {
    const resolved = readsBody(param.from) ? resolveParam(param, inbound) : undefined;
    return resolved?.ok === false
      ? [
          {
            field: `/sample${param.from.startsWith("/") ? param.from : ""}`,
            message: `(parameter ${name}) ${resolved.problem}`,
          },
        ]
      : [];
  });
  if (unreadable.length > 0) return unreadable;
  const { problems } = compose(hook.target, (name, path) => sampled(hook.params?.[name], path, inbound));
  return problems.map(({ field, message }) => ({ field: "/sample", message: `makes ${field} wrong: it ${message}` }));
}

function sampled(
  param: HookParam | undefined,
  path: readonly (string | number)[],
  inbound: Inbound,
): Scalar | undefined {
  const resolved = param !== undefined && readsBody(param.from) ? resolveParam(param, inbound) : undefined;
  return resolved?.ok ? resolved.value : plausible(param, path);
}

/** Names of the parameters that the request carries a value for; what a stranger may be told by a dry run. */
export const readableParams = (hook: HookMapping, inbound: Inbound): string[] =>
  Object.entries(hook.params ?? {}).flatMap(([name, param]) =>
    read(param.from, inbound).values.length > 0 ? [name] : [],
  );
