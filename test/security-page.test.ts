/** docs/security.md names tests; each of them is there, under the title that the page gives. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./support/sources.ts";

const page = readFileSync(join(ROOT, "docs/security.md"), "utf8");
const rows = page
  .split("\n")
  .filter((line) => /^\| (?!Threat|---)/.test(line))
  .map((line) => line.slice(2, -2).split(" | "));

/** `file`: title, or a whole file; several are divided by semicolons before the next file. */
const held = (cell: string) =>
  cell.split(/; (?=`)/).map((one) => {
    const [, file = "", title] = /^`([^`]+)`(?:: (.+))?$/.exec(one) ?? [];
    return { file, title };
  });

describe("the threat model", () => {
  it("has a threat, what stands against it, and tests in each row", () => {
    expect(rows.length).toBeGreaterThan(15);
    for (const row of rows) expect([row.length, row.every((cell) => cell.trim() !== "")]).toEqual([3, true]);
  });

  it.each(rows.map(([threat = "", , tests = ""]) => [threat, tests]))("%s: its tests are there", (_, tests) => {
    for (const { file, title } of held(tests)) {
      expect(file).toMatch(/\.test\.ts$/);
      expect(existsSync(join(ROOT, file)), file).toBe(true);
      const source = readFileSync(join(ROOT, file), "utf8");
      // A title stands in its file as a text of its own.
      if (title !== undefined) expect(source.includes(`"${title}"`), `${file}: ${title}`).toBe(true);
    }
  });
});
