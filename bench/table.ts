/** One claim, measured: a small table in which every row is also told as a ratio to what a user would do otherwise. */

interface Measure {
  /** Heading with its unit: `MB/s`, `CPU s/GiB`. */
  title: string;
  digits: number;
}

export interface Row {
  label: string;
  /** By measure; a measure that makes no sense for a row is left out. */
  values: Record<string, number>;
}

interface Aim {
  text: string;
  met: boolean;
}

export interface Table {
  name: string;
  claim: string;
  measures: Record<string, Measure>;
  rows: Row[];
  /** Label of the row that the others are compared with, and the measures that are compared. */
  baseline: string;
  ratios: string[];
  aims: Aim[];
  /** What a reader has to know to judge the numbers. */
  notes: string[];
}

/** How many times the baseline a row is; undefined where either has no value. */
export function ratio(table: Pick<Table, "rows" | "baseline">, row: Row, measure: string): number | undefined {
  const base = table.rows.find(({ label }) => label === table.baseline)?.values[measure];
  const value = row.values[measure];
  return base === undefined || base === 0 || value === undefined ? undefined : value / base;
}

/** Heading and rows as text, the label first. */
function cellsOf(table: Table): { head: string[]; body: string[][] } {
  const { measures, ratios, rows } = table;
  const head = [
    "",
    ...Object.values(measures).map(({ title }) => title),
    ...ratios.map((name) => `× ${measures[name]?.title ?? name}`),
  ];
  const body = rows.map((row) => [
    row.label === table.baseline ? `${row.label} (baseline)` : row.label,
    ...Object.entries(measures).map(([name, { digits }]) => row.values[name]?.toFixed(digits) ?? "–"),
    ...ratios.map((name) => ratio(table, row, name)?.toFixed(2) ?? "–"),
  ]);
  return { head, body };
}

const verdict = ({ text, met }: Aim): string => `${met ? "met" : "NOT met"}: ${text}`;

/** As text for a terminal: numbers to the right, one line per row. */
export function formatTable(table: Table): string {
  const { head, body } = cellsOf(table);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...body.map((cells) => cells[column]?.length ?? 0)),
  );
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
      .join("  ");
  return [
    `${table.name}: ${table.claim}`,
    "",
    line(head),
    widths.map((width) => "-".repeat(width)).join("  "),
    ...body.map(line),
    "",
    ...table.aims.map(verdict),
    ...table.notes.map((note) => `note: ${note}`),
  ].join("\n");
}

/** The same as a section of a page. */
export function markdownTable(table: Table): string {
  const { head, body } = cellsOf(table);
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  const cell = (text: string) => text.replaceAll("|", "\\|");
  return [
    `## ${table.name}`,
    "",
    `Claim: ${table.claim}.`,
    "",
    ...[head, rule, ...body].map((cells) => `| ${cells.map(cell).join(" | ")} |`),
    "",
    ...table.aims.map((aim) => `- **${verdict(aim).replace(":", ":**")}`),
    ...table.notes.map((note) => `- ${note}`),
  ].join("\n");
}

/** The middle one of an odd number of runs, the lower middle of an even number. */
export const median = (values: readonly number[]): number => quantile(values, 0.5);

/** The smallest value that at least this share of all values do not exceed. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (found === undefined) throw new RangeError("a quantile needs at least one value");
  return found;
}
