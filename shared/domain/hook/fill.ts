/**
 * Putting parameters into a request by structure: `"{param}"` is replaced where it is a whole value in one of a few places,
 * and nowhere is text put into text. So a stranger's value can only ever be one value of one field.
 */
import type { FieldProblem } from "../../contract/rpc.ts";
import { asText, type Scalar } from "./param.ts";

export type TargetKind = "job" | "transfer";
type Path = readonly (string | number)[];

/** Where a parameter may stand. `*` is any one name or index; `typed` places keep numbers, all others take their text. */
const PLACES: Record<TargetKind, readonly { path: readonly string[]; typed?: true }[]> = {
  job: [
    { path: ["env", "*"] },
    { path: ["labels", "*"] },
    { path: ["name"] },
    { path: ["resources", "*"], typed: true },
    { path: ["inputs", "*", "path"] },
    { path: ["inputs", "*", "key"] },
    { path: ["inputs", "*", "url"] },
    { path: ["outputs", "*", "path"] },
    { path: ["outputs", "*", "key"] },
  ],
  transfer: [{ path: ["path"] }, { path: ["key"] }],
};

const placeOf = (kind: TargetKind, path: Path) =>
  PLACES[kind].find(
    (place) => place.path.length === path.length && place.path.every((step, i) => step === "*" || step === path[i]),
  );

const PLACEHOLDER = /^\{([A-Za-z_][A-Za-z0-9_]{0,63})\}$/;

/** What a place gets; undefined leaves the field out. */
export type ValueAt = (param: string, path: Path) => Scalar | undefined;

/** A copy with every placeholder replaced. A field whose parameter is absent is left out. */
export function fill(kind: TargetKind, target: unknown, valueAt: ValueAt): unknown {
  return mapLeaves(target, [], (leaf, path) => {
    const param = PLACEHOLDER.exec(leaf)?.[1];
    const place = param === undefined ? undefined : placeOf(kind, path);
    if (param === undefined || place === undefined) return leaf;
    const value = valueAt(param, path);
    return value === undefined || place.typed ? value : asText(value);
  });
}

/** Placeholders that would never be filled, each with the field where it stands. */
export function misplaced(kind: TargetKind, target: unknown, declared: ReadonlySet<string>): FieldProblem[] {
  const problems: FieldProblem[] = [];
  mapLeaves(target, [], (leaf, path) => {
    const message = problemOfLeaf(kind, leaf, path, declared);
    if (message !== undefined) problems.push({ field: pointerTo(["target", kind, ...path]), message });
    return leaf;
  });
  return problems;
}

function problemOfLeaf(kind: TargetKind, leaf: string, path: Path, declared: ReadonlySet<string>): string | undefined {
  const param = PLACEHOLDER.exec(leaf)?.[1];
  const place = placeOf(kind, path);
  if (param !== undefined && place === undefined) {
    return `cannot take a parameter; parameters go under ${PLACES[kind].map(({ path: allowed }) => allowed.join(".")).join(", ")}`;
  }
  if (param !== undefined && !declared.has(param))
    return `names the parameter ${param}, which is not declared under params`;
  // Text around a parameter would stay as it is: almost certainly not what was meant. A script says ${NAME}, and that is fine.
  const embedded =
    place !== undefined && param === undefined ? [...declared].find((name) => leaf.includes(`{${name}}`)) : undefined;
  return embedded === undefined
    ? undefined
    : `must be exactly "{${embedded}}": a parameter is a whole value, never part of a text`;
}

function mapLeaves(value: unknown, path: Path, change: (leaf: string, path: Path) => unknown): unknown {
  if (typeof value === "string") return change(value, path);
  if (Array.isArray(value)) return value.map((item, i) => mapLeaves(item, [...path, i], change));
  if (typeof value !== "object" || value === null) return value;
  // fromEntries defines own members, so a field called __proto__ stays a field.
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, mapLeaves(item, [...path, name], change)] as const)
      .filter(([, item]) => item !== undefined),
  );
}

/** RFC 6901. */
export const pointerTo = (path: Path): string =>
  path.map((step) => `/${String(step).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");
