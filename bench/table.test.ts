import { expect, it } from "vitest";
import { formatTable, markdownTable, median, quantile, ratio, type Table } from "./table.ts";

const table: Table = {
  name: "bytes",
  claim: "fast enough",
  measures: { speed: { title: "MB/s", digits: 1 }, memory: { title: "MB", digits: 0 } },
  rows: [
    { label: "plain", values: { speed: 40, memory: 100 } },
    { label: "ours", values: { speed: 50 } },
  ],
  baseline: "plain",
  ratios: ["speed"],
  aims: [{ text: "at least as fast", met: true }],
  notes: ["one machine"],
};

it("tells every row as a ratio to the baseline", () => {
  expect(ratio(table, table.rows[1]!, "speed")).toBe(1.25);
  expect(ratio(table, table.rows[1]!, "memory")).toBeUndefined();
});

it("prints one line per row, numbers to the right", () => {
  expect(formatTable(table).split("\n")).toEqual([
    "bytes: fast enough",
    "",
    "                  MB/s   MB  × MB/s",
    "----------------  ----  ---  ------",
    "plain (baseline)  40.0  100    1.00",
    "ours              50.0    –    1.25",
    "",
    "met: at least as fast",
    "note: one machine",
  ]);
});

it("keeps a label with a pipe in its own cell", () => {
  const piped = { ...table, rows: [{ label: "curl | curl", values: { speed: 40 } }] };
  expect(markdownTable(piped).split("\n")).toContain("| curl \\| curl | 40.0 | – | – |");
});

it("takes the middle of several runs", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1])).toBe(1);
  expect(() => median([])).toThrow(RangeError);
});

it("takes the worst of a few values for their last hundredth", () => {
  expect(quantile([5, 9, 7], 0.99)).toBe(9);
  expect(
    quantile(
      Array.from({ length: 200 }, (_, n) => n),
      0.99,
    ),
  ).toBe(197);
  expect(quantile([4], 0)).toBe(4);
});
