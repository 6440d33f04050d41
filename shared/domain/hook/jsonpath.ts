/**
 * A small part of RFC 9535: names, indices and wildcards (`$.commits[-1].id`, `$['a b'][*].name`). Filters, slices and `..`
 * are left out, so the work is bounded by the document and a path says at a glance what it reads.
 */

type Step = { name: string } | { index: number } | { every: true };

const STEP =
  /\.(?<name>[A-Za-z_\u0080-\uffff][\w\u0080-\uffff]*)|\[(?<index>0|-?[1-9]\d{0,8})\]|(?<every>\.\*|\[\*\])|\[(?<quoted>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")\]/uy;

/** The steps after `$`, or undefined for what is not understood here. */
export function parseJsonPath(path: string): Step[] | undefined {
  if (!path.startsWith("$")) return undefined;
  const steps: Step[] = [];
  let at = 1;
  while (at < path.length) {
    STEP.lastIndex = at;
    const found = STEP.exec(path);
    if (found === null) return undefined;
    const { name, index, every, quoted } = found.groups ?? {};
    if (name !== undefined) steps.push({ name });
    else if (index !== undefined) steps.push({ index: Number(index) });
    else if (every !== undefined) steps.push({ every: true });
    else steps.push({ name: unquote(quoted ?? "") });
    at = STEP.lastIndex;
  }
  return steps;
}

/** All values that the path reaches, in document order. */
export function readJsonPath(steps: readonly Step[], document: unknown): unknown[] {
  return steps.reduce<unknown[]>((values, step) => values.flatMap((value) => take(step, value)), [document]);
}

function take(step: Step, value: unknown): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  if ("every" in step) return Object.values(value);
  if ("index" in step) {
    if (!Array.isArray(value)) return [];
    const at = step.index < 0 ? value.length + step.index : step.index;
    return at >= 0 && at < value.length ? [value[at]] : [];
  }
  return !Array.isArray(value) && Object.hasOwn(value, step.name) ? [Reflect.get(value, step.name)] : [];
}

const ESCAPED: Record<string, string> = { n: "\n", r: "\r", t: "\t", b: "\b", f: "\f" };

const unquote = (text: string): string =>
  text
    .slice(1, -1)
    .replace(/\\(?:u([0-9a-fA-F]{4})|(.))/gu, (_, code: string | undefined, character: string | undefined) =>
      code !== undefined
        ? String.fromCharCode(Number.parseInt(code, 16))
        : (ESCAPED[character ?? ""] ?? character ?? ""),
    );
