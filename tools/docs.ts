/**
 * `npm run docs`: writes what the code knows into docs/: `openapi.json` and `benchmarks.md` as a whole, and the tables between the markers of
 * `events.md`, `storage.md` and `firecrest.md`. `--check` writes nothing and fails when a file says something else than the code.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync, type SQLInputValue } from "node:sqlite";
import { benchmarksPage } from "../bench/page.ts";
import { DEFAULT_LIMITS, type Site } from "../local/firecrest/site.ts";
import { memoryStore } from "../local/firecrest/store.ts";
import { createV1 } from "../local/firecrest/v1/app.ts";
import { CallbackEventData, ConnectionEventData } from "../shared/contract/event.ts";
import { Job } from "../shared/contract/job.ts";
import { PRESETS } from "../shared/contract/presets.ts";
import { EVENT_TYPES } from "../shared/contract/states.ts";
import { PACE, Transfer } from "../shared/contract/transfer.ts";
import { z } from "../shared/contract/words.ts";
import { OPERATIONS } from "../shared/firecrest/v2/operations.ts";
import { createApp } from "../workers/api/app.ts";
import type { Deps } from "../workers/api/deps.ts";
import { openApiDocument } from "../workers/api/openapi.ts";
import { migrate } from "../workers/poller/migrations.ts";
import { EVENT_WORDS, TABLE_WORDS } from "./docs-words.ts";
import { HEAD as POINTS_HEAD, pointRows } from "./firecrest-points.ts";
import { firecrestRows, HEAD } from "./firecrest-table.ts";

const DOCS = join(import.meta.dirname, "..", "docs");
const PUBLIC_URL = "https://firewatch.example.org";

const row = (cells: readonly string[]): string => `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;

const table = (head: readonly string[], rows: readonly (readonly string[])[]): string =>
  [row(head), row(head.map(() => "---")), ...rows.map(row)].join("\n");

// ----------------------------------------------------------------------------------------------------------------- openapi

function openApi(): string {
  // The description is made while routes are added; none of them is ever called here.
  const unused = new Proxy({}, { get: () => undefined }) as Deps;
  return `${JSON.stringify(openApiDocument(createApp(unused), PUBLIC_URL), null, 1)}\n`;
}

// ------------------------------------------------------------------------------------------------------------------ events

/** As much of JSON Schema as our own schemas use. */
interface Schema {
  type?: string;
  format?: string;
  enum?: string[];
  items?: Schema;
  properties?: Record<string, Schema>;
  required?: string[];
  additionalProperties?: Schema | boolean;
}

function typeText(schema: Schema): string {
  if (schema.enum !== undefined) return schema.enum.map((word) => `\`${word}\``).join(" ");
  if (schema.format === "date-time") return "time";
  if (schema.type === "array") return `list of ${typeText(schema.items ?? {})}`;
  if (schema.properties !== undefined) {
    const { properties, required = [] } = schema;
    return `{${Object.keys(properties)
      .map((name) => (required.includes(name) ? name : `${name}?`))
      .join(", ")}}`;
  }
  if (typeof schema.additionalProperties === "object") return `{name: ${typeText(schema.additionalProperties)}}`;
  return schema.type ?? "anything";
}

function fields(type: z.ZodType): string {
  const { properties = {}, required = [] } = z.toJSONSchema(type) as Schema;
  const rows = Object.entries(properties).map(([name, schema]) => [
    `\`${name}\``,
    required.includes(name) ? "always" : "",
    typeText(schema),
  ]);
  return table(["Field", "", "Type"], rows);
}

const SUBJECTS: Record<string, string> = {
  job: "`jobs/<id>`",
  transfer: "`transfers/<id>`",
  callback: "`subscriptions/<id>` or `jobs/<id>`",
  connection: "`connection`",
};

const eventTypes = (): string =>
  table(
    ["Type", "Subject", "Meaning"],
    EVENT_TYPES.map((type) => [`\`${type}\``, SUBJECTS[type.split(".")[0] ?? ""] ?? "", EVENT_WORDS[type]]),
  );

// ----------------------------------------------------------------------------------------------------------------- storage

/** The tables as they are after every migration step, from a real SQLite. */
function trackerTables(): string {
  const database = new DatabaseSync(":memory:");
  const exec = (query: string, ...values: SQLInputValue[]) => {
    const isScript = !/^(SELECT|INSERT)/.test(query);
    if (isScript) database.exec(query);
    const rows = isScript ? [] : database.prepare(query).all(...values);
    return { toArray: () => rows };
  };
  migrate({ exec } as unknown as SqlStorage);
  const names = exec("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'")
    .toArray()
    .map(({ name }) => String(name));
  const strangers = [
    ...names.filter((name) => !(name in TABLE_WORDS)),
    ...Object.keys(TABLE_WORDS).filter((name) => !names.includes(name)),
  ];
  if (strangers.length > 0)
    throw new Error(`tools/docs-words.ts and the migrations disagree about ${strangers.join(", ")}`);
  return table(
    ["Table", "Columns", "What it holds"],
    Object.entries(TABLE_WORDS).map(([name, words]) => {
      const columns = exec("SELECT name, pk FROM pragma_table_info(?) ORDER BY cid", name).toArray();
      return [
        `\`${name}\``,
        columns.map((column) => (Number(column.pk) > 0 ? `**${column.name}**` : String(column.name))).join(", "),
        words,
      ];
    }),
  );
}

// --------------------------------------------------------------------------------------------------------------- firecrest

function firecrestOperations(): string {
  // Routes are the same in every mode; nothing is ever asked of this site.
  const site = { store: memoryStore(), limits: DEFAULT_LIMITS, quirks: "1.16.6" } as unknown as Site;
  const { routes } = createV1(site);
  const description = JSON.parse(openApi()) as { paths: Record<string, Record<string, unknown>> };
  const ours = Object.entries(description.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path.replace("/v1/connections/{c}", "")}`),
  );
  const v1 = routes.filter(({ method }) => method !== "ALL").map(({ method, path }) => `${method} ${path}`);
  const hasFile = (path: string) => existsSync(join(DOCS, "..", path));
  return table(HEAD, firecrestRows({ v1, v2: OPERATIONS, ours }, hasFile));
}

const presets = (): string =>
  table(
    ["Preset", "Platform", "Systems", "Address (v2)", "Token", "v1 was, until December 2025"],
    Object.entries(PRESETS).map(([name, { platform, systems, url, tokenUrl, formerUrl }]) => [
      `\`${name}\``,
      platform,
      systems.join(", "),
      `\`${url}\``,
      `\`${tokenUrl}\``,
      `\`${formerUrl}\``,
    ]),
  );

function firecrestPoints(): string {
  const root = join(DOCS, "..");
  const sources = new Map<string, string>();
  for (const folder of ["shared/firecrest", "local/firecrest", "test/contract", "test/tracker", "test/journeys"])
    for (const name of readdirSync(join(root, folder), { recursive: true, encoding: "utf8" }).sort())
      if (/(\.test|suite)\.ts$/.test(name)) sources.set(`${folder}/${name}`, read(join(root, folder, name)));
  return table(POINTS_HEAD, pointRows(sources));
}

// ------------------------------------------------------------------------------------------------------------------- files

/** Puts each block between its markers, `<!-- generated: name -->` and `<!-- end -->`. Throws when a marker is missing. */
function fill(text: string, blocks: Record<string, string>): string {
  return Object.entries(blocks).reduce((filled, [name, block]) => {
    const start = `<!-- generated: ${name} -->\n`;
    const from = filled.indexOf(start);
    const to = filled.indexOf("\n<!-- end -->", from);
    if (from < 0 || to < 0) throw new Error(`no markers for ${name}`);
    return `${filled.slice(0, from)}${start}\n${block}\n${filled.slice(to)}`;
  }, text);
}

const FILES: Record<string, (now: string) => string> = {
  "openapi.json": openApi,
  "benchmarks.md": benchmarksPage,
  "events.md": (now) =>
    fill(now, {
      types: eventTypes(),
      job: fields(Job),
      transfer: fields(Transfer.omit(PACE)),
      callback: fields(CallbackEventData),
      connection: fields(ConnectionEventData),
    }),
  "firecrest.md": (now) =>
    fill(now, { operations: firecrestOperations(), points: firecrestPoints(), presets: presets() }),
  "storage.md": (now) => fill(now, { tables: trackerTables() }),
};

const isCheck = process.argv.includes("--check");
const stale = Object.entries(FILES).flatMap(([name, make]) => {
  const file = join(DOCS, name);
  const now = read(file);
  const wanted = make(now);
  if (wanted === now) return [];
  if (!isCheck) writeFileSync(file, wanted);
  return [`docs/${name}`];
});
if (stale.length > 0)
  console.log(
    isCheck ? `Not what the code says: ${stale.join(", ")}. Run npm run docs.` : `Written: ${stale.join(", ")}`,
  );
process.exitCode = isCheck && stale.length > 0 ? 1 : 0;

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
