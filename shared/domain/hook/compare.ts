/** Where two composed requests differ, place by place. */
import { pointerTo } from "./fill.ts";

export interface Change {
  /** A JSON Pointer. */
  field: string;
  /** Absent where there was nothing. */
  before?: unknown;
  /** Absent where there is nothing any more. */
  after?: unknown;
}

/** The smallest places at which two JSON values differ, in document order. */
export function changesBetween(before: unknown, after: unknown, path: readonly (string | number)[] = []): Change[] {
  if (isTree(before) && isTree(after) && Array.isArray(before) === Array.isArray(after)) {
    const names = new Set([...Object.keys(before), ...Object.keys(after)]);
    return [...names].flatMap((name) => changesBetween(memberOf(before, name), memberOf(after, name), [...path, name]));
  }
  if (before === after) return [];
  return [
    {
      field: pointerTo(path),
      ...(before === undefined ? {} : { before }),
      ...(after === undefined ? {} : { after }),
    },
  ];
}

const isTree = (value: unknown): value is object => typeof value === "object" && value !== null;
const memberOf = (tree: object, name: string): unknown =>
  Object.hasOwn(tree, name) ? Reflect.get(tree, name) : undefined;
