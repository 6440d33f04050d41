/** The lines of the house, drawn once and held here: who may import whom, and who may touch the world. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bundle } from "../local/bundle.ts";
import { ROOT, reachable, readSource, readSources, type Source, usesGlobal } from "./support/sources.ts";

/** A room of the house: its files, the rooms it may reach into, and the packages it may use. */
interface Room {
  files: RegExp;
  rooms: readonly string[];
  packages: readonly string[];
}

/** Imports run one way: `contract` ← the middle rooms ← Workers ← local. Nobody imports bench, tools or test but themselves. */
const ROOMS: Record<string, Room> = {
  contract: { files: /^shared\/contract\//, rooms: [], packages: ["@hono/zod-openapi"] },
  clock: { files: /^shared\/(clock|bytes|ids|api-key)\.ts$/, rooms: [], packages: [] },
  problem: { files: /^shared\/problem\.ts$/, rooms: ["contract"], packages: ["zod"] },
  log: { files: /^shared\/(log|tail)\.ts$/, rooms: ["clock"], packages: [] },
  seal: { files: /^shared\/seal\.ts$/, rooms: ["contract", "clock"], packages: ["jose"] },
  domain: { files: /^shared\/domain\//, rooms: ["contract", "clock", "problem"], packages: ["zod"] },
  firecrest: { files: /^shared\/firecrest\//, rooms: ["contract", "clock"], packages: ["zod"] },
  webhooks: { files: /^shared\/webhooks\//, rooms: ["contract", "clock"], packages: ["jose"] },
  egress: { files: /^shared\/egress\//, rooms: ["contract", "clock"], packages: [] },
  chat: { files: /^shared\/chat\//, rooms: ["contract", "clock", "webhooks"], packages: [] },
  api: {
    files: /^workers\/api\//,
    rooms: ["contract", "clock", "problem", "log", "domain", "webhooks", "egress", "chat"],
    packages: ["hono", "@hono/zod-openapi"],
  },
  poller: {
    files: /^workers\/poller\//,
    rooms: ["contract", "clock", "problem", "log", "seal", "domain", "firecrest", "webhooks", "egress", "chat"],
    packages: ["cloudflare:workers"],
  },
  transfer: { files: /^workers\/transfer\//, rooms: ["contract", "clock", "log", "egress"], packages: [] },
  local: {
    files: /^local\//,
    rooms: ["contract", "clock", "problem", "log", "firecrest", "webhooks", "chat"],
    packages: [
      "hono",
      "@hono/node-server",
      "zod",
      "jose",
      "esbuild",
      "miniflare",
      "wrangler",
      "standardwebhooks",
      "node:",
    ],
  },
  bench: { files: /^bench\//, rooms: ["*"], packages: ["*"] },
  tools: { files: /^tools\//, rooms: ["*"], packages: ["*"] },
  test: { files: /^test\//, rooms: ["*"], packages: ["*"] },
};

const sources = readSources();
const production = [...sources.values()].filter(({ isTest }) => !isTest);
const roomOf = (file: string): string | undefined =>
  Object.entries(ROOMS).find(([, { files }]) => files.test(file))?.[0];

/** `file imports x`, for every import of the file that its room does not allow. */
function trespasses({ file, imports }: Source): string[] {
  const home = roomOf(file);
  const room = home === undefined ? undefined : ROOMS[home];
  if (room === undefined) return [`${file} stands in no room`];
  const allowed = imports.filter(({ specifier, file: target }) => {
    if (target === undefined)
      return room.packages.some(
        (name) => name === "*" || specifier === name || specifier.startsWith(name.endsWith(":") ? name : `${name}/`),
      );
    const there = roomOf(target);
    return there !== undefined && (there === home || room.rooms.includes("*") || room.rooms.includes(there));
  });
  return imports.filter((one) => !allowed.includes(one)).map(({ specifier }) => `${file} imports ${specifier}`);
}

describe("imports", () => {
  it("run one way, and each room uses its own packages only", () => {
    expect(production.flatMap(trespasses)).toEqual([]);
  });

  it("name a file that is there, with its extension", () => {
    const broken = [...sources.values()].flatMap(({ file, imports }) =>
      imports
        .filter(({ file: target }) => target?.endsWith(".ts") === true && !sources.has(target))
        .map(({ specifier }) => `${file} imports ${specifier}`),
    );
    expect(broken).toEqual([]);
  });

  it("never lead from what runs into what only tests use", () => {
    const leaks = production
      .filter(({ file }) => roomOf(file) !== "bench")
      .flatMap(({ file, imports }) =>
        imports
          .filter(({ file: target }) => target !== undefined && sources.get(target)?.isTest === true)
          .map(({ specifier }) => `${file} imports ${specifier}`),
      );
    expect(leaks).toEqual([]);
  });

  it("let no way lead from api to a FirecREST client or to the seal", () => {
    const ways = [...reachable(sources, "workers/api/index.ts")].filter(([file]) => OUT_OF_REACH_OF_API.test(file));
    expect(ways.map(([, way]) => way.join(" → "))).toEqual([]);
  });
});

/** What api must not hold: whoever breaks into the entrance shall find no key that opens anything. */
const OUT_OF_REACH_OF_API = /(^|\/)shared\/(firecrest\/|seal\.ts)/;

describe("the bundle that is deployed", () => {
  const inputsOf = (name: string) => bundle(`workers/${name}/index.ts`);

  it("of api holds no FirecREST client and no seal", async () => {
    const inputs = await inputsOf("api");
    expect(inputs).toContain("workers/api/index.ts");
    expect(inputs.filter((file) => OUT_OF_REACH_OF_API.test(file))).toEqual([]);
  });

  it.each(["poller", "transfer"])(
    "of %s holds nothing of another Worker, of tests or of the local runtime",
    async (name) => {
      const inputs = await inputsOf(name);
      expect(inputs).toContain(`workers/${name}/index.ts`);
      const strangers = inputs.filter(
        (file) => /^(workers|local|test|bench|tools)\//.test(file) && !file.startsWith(`workers/${name}/`),
      );
      expect(strangers).toEqual([]);
    },
  );

  it("of transfer holds no FirecREST client and no seal either", async () => {
    expect((await inputsOf("transfer")).filter((file) => OUT_OF_REACH_OF_API.test(file))).toEqual([]);
  });
});

describe("the world", () => {
  const inWorkers = production.filter(({ file }) => /^(shared|workers)\//.test(file));
  const users = (name: string) => inWorkers.filter((source) => usesGlobal(source, name)).map(({ file }) => file);

  it("is fetched from in one place", () => {
    expect(users("fetch")).toEqual(["shared/egress/settings.ts"]);
  });

  it("hears log lines from one place", () => {
    expect(users("console")).toEqual(["shared/log.ts"]);
  });

  it("is not Node for anything that runs in a Worker", () => {
    expect(["process", "Buffer", "require", "__dirname"].flatMap(users)).toEqual([]);
  });
});

it("no file that runs is longer than 400 lines", () => {
  expect(production.filter(({ lines }) => lines > 400).map(({ file, lines }) => `${file}: ${lines} lines`)).toEqual([]);
});

it("the documentation names files that are there", () => {
  const pages = ["README.md", ...globSync("docs/**/*.md", { cwd: ROOT })];
  const missing = pages.flatMap((page) => {
    const named = readFileSync(join(ROOT, page), "utf8").matchAll(
      /`([\w.-]+(?:\/[\w.-]+)+\.(?:ts|mjs|md|json|toml))`/g,
    );
    return [...named]
      .map(([, file]) => file ?? "")
      .filter(
        (file) =>
          !file.startsWith(".") && !["", "workers", "docs"].some((folder) => existsSync(join(ROOT, folder, file))),
      )
      .map((file) => `${page} names ${file}`);
  });
  expect(missing).toEqual([]);
});

describe("the walker itself", () => {
  const walk = (text: string) => readSource("workers/api/x.ts", text);

  it("sees every form of import", () => {
    const { imports } = walk(`
      import type { A } from "./a.ts"; import { type B } from "./b.ts"; import "./c.ts"; export * from "./d.ts"; export { e } from "../e.ts";
      type F = import("./f.ts").F; const g = await import("hono/g");`);
    expect(imports.map(({ file, specifier }) => file ?? specifier).sort()).toEqual([
      "hono/g",
      "workers/api/a.ts",
      "workers/api/b.ts",
      "workers/api/c.ts",
      "workers/api/d.ts",
      "workers/api/f.ts",
      "workers/e.ts",
    ]);
  });

  it.each([
    "fetch('x')",
    "const send = { fetch }",
    "const send = { fetch: fetch }",
    "run(globalThis.fetch)",
    "class K { fetch() { return fetch('x') as unknown } }",
    "function f(g = fetch) {}",
    "{ const fetch = 1 } fetch('x')",
  ])("sees the global in: %s", (text) => {
    expect(usesGlobal(walk(text), "fetch")).toBe(true);
  });

  it.each([
    "deps.fetch('x')",
    "const o = { fetch: 1, get() {} }",
    "function f(fetch: Fetch) { return fetch('x') }",
    "const f = ({ fetch }) => fetch('x')",
    "const { fetch } = deps; fetch('x')",
    "import { fetch } from './egress.ts'; fetch('x')",
    "interface I { fetch(url: string): void } type T = typeof fetch",
    "class K { fetch(url) {} }",
  ])("does not take for the global: %s", (text) => {
    expect(usesGlobal(walk(text), "fetch")).toBe(false);
  });

  it("names the file and the import that cross a line", () => {
    const source = readSource(
      "workers/api/x.ts",
      'import { createSeal } from "../../shared/seal.ts"; import { join } from "node:path";',
    );
    expect(trespasses(source)).toEqual([
      "workers/api/x.ts imports ../../shared/seal.ts",
      "workers/api/x.ts imports node:path",
    ]);
  });
});
