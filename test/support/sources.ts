/** The project's own TypeScript as data: who imports whom, and who touches a global. */
import { globSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { parseAst } from "vitest/node";

export const ROOT = join(import.meta.dirname, "..", "..");

export interface Import {
  /** As written. */
  specifier: string;
  /** From the project's root where it is a file of ours, else undefined. */
  file?: string;
}

export interface Source {
  /** From the project's root, with `/`. */
  file: string;
  lines: number;
  isTest: boolean;
  /** Every way of reaching another module: types too, re-exports and `import()`. */
  imports: Import[];
  ast: Node;
}

interface Node {
  type: string;
  [key: string]: unknown;
}

/** Tests, and what only they use: it may do what the runtime does not allow. */
const TEST_CODE = /(\.test\.ts|\.contract\.ts|(^|\/)testing\.ts)$|(^|\/)testing\/|^test\//;

/** All sources, by file. */
export function readSources(): Map<string, Source> {
  const files = globSync("{shared,workers,local,bench,tools,test}/**/*.ts", { cwd: ROOT }).map((file) =>
    file.replaceAll("\\", "/"),
  );
  return new Map(files.sort().map((file) => [file, readSource(file, readFileSync(join(ROOT, file), "utf8"))]));
}

export function readSource(file: string, text: string): Source {
  const ast = parseAst(text, { lang: "ts" }) as unknown as Node;
  const imports = [...importsIn(ast)].map(
    (specifier): Import =>
      specifier.startsWith(".")
        ? { specifier, file: normalize(join(dirname(file), specifier)).replaceAll("\\", "/") }
        : { specifier },
  );
  return {
    file,
    lines: text.trimEnd().split("\n").length,
    isTest: TEST_CODE.test(file) || imports.some(({ specifier }) => specifier === "vitest"),
    imports,
    ast,
  };
}

/** The files that `start` reaches in any number of steps, each with the way there. */
export function reachable(sources: ReadonlyMap<string, Source>, start: string): Map<string, string[]> {
  const ways = new Map([[start, [start]]]);
  for (const [file, way] of ways) {
    for (const { file: next } of sources.get(file)?.imports ?? []) {
      if (next !== undefined && !ways.has(next)) ways.set(next, [...way, next]);
    }
  }
  return ways;
}

function* importsIn(node: Node): Generator<string> {
  const { source } = node;
  if (/^(Import|Export|TSImportType)/.test(node.type) && isNode(source) && typeof source.value === "string")
    yield source.value;
  for (const child of children(node)) yield* importsIn(child);
}

/**
 * Whether a file uses the global of that name: called, passed on or taken from `globalThis`. A parameter or variable of the same
 * name is not the global, and neither is a method.
 */
export function usesGlobal(source: Source, name: string): boolean {
  return uses(source.ast, name);
}

function uses(node: Node, name: string): boolean {
  if (node.type === "Identifier") return node.name === name;
  if (declares(node, name)) return false;
  if (node.type === "MemberExpression" && node.computed !== true) {
    const { object, property } = node as unknown as { object: Node; property: Node };
    return (["globalThis", "self"].includes(String(object.name)) && property.name === name) || uses(object, name);
  }
  return children(node).some((child) => !isOnlyAName(node, child) && uses(child, name));
}

/** A block or function in which the name means something else. */
function declares(node: Node, name: string): boolean {
  const binds = (pattern: unknown): boolean => {
    if (!isNode(pattern)) return false;
    if (pattern.type === "Identifier") return pattern.name === name;
    if (pattern.type === "AssignmentPattern") return binds(pattern.left);
    return children(pattern).some((part) => !isOnlyAName(pattern, part) && binds(part));
  };
  if (Array.isArray(node.params)) return node.params.some(binds);
  if (node.type !== "Program" && node.type !== "BlockStatement") return false;
  return (node.body as Node[]).some((statement) => {
    const { declaration } = statement;
    const { type, declarations, specifiers, id } = isNode(declaration) ? declaration : statement;
    if (type === "VariableDeclaration") return (declarations as Node[]).some((one) => binds(one.id));
    if (type === "ImportDeclaration") return (specifiers as Node[]).some((one) => binds(one.local));
    return type === "FunctionDeclaration" && binds(id);
  });
}

/** Keys of objects and classes, and types, name things without using them. */
function isOnlyAName(parent: Node, child: Node): boolean {
  if (child === parent.key) return parent.computed !== true && parent.shorthand !== true;
  return child.type.startsWith("TS") && !("expression" in child);
}

const isNode = (value: unknown): value is Node => typeof value === "object" && value !== null && "type" in value;

const children = (node: Node): Node[] => Object.values(node).flat().filter(isNode);

/** One member of an interface: its name, the name of its type, and whether it may be missing. */
export interface Member {
  name: string;
  type: string;
  optional: boolean;
}

/** The members that an interface declares itself, not those that it inherits. */
export function membersOf({ ast, file }: Source, name: string): Member[] {
  const declaration = (ast.body as Node[])
    .map((one) => (isNode(one.declaration) ? one.declaration : one))
    .find((one) => one.type === "TSInterfaceDeclaration" && (one.id as Node).name === name);
  if (declaration === undefined) throw new Error(`${file} declares no interface ${name}`);
  return ((declaration.body as Node).body as Node[]).map(({ key, optional, typeAnnotation }) => {
    const type = (typeAnnotation as Node).typeAnnotation as Node;
    const word = type.type === "TSStringKeyword" ? "string" : String((type.typeName as Node | undefined)?.name);
    return { name: String((key as Node).name), type: word, optional: optional === true };
  });
}
