/** What callbacks promise is a list of twenty sentences; each has at least one test whose name begins with its number. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";

const ROOT = join(import.meta.dirname, "..");
const read = (pattern: string): string =>
  globSync(pattern, { cwd: ROOT })
    .map((file) => readFileSync(join(ROOT, file), "utf8"))
    .join("\n");

it("every sentence about callbacks, 1 to 20, has a test named after it", () => {
  const named = [...read("test/tracker/sentences-*.test.ts").matchAll(/\bit\(\s*"(\d+): /g)].map(([, n]) => Number(n));
  expect([...new Set(named)].sort((a, b) => a - b)).toEqual(Array.from({ length: 20 }, (_, n) => n + 1));
});

it("every range that must never be called has a test of its first and last address", () => {
  const corpus = read("shared/egress/address.test.ts");
  const ranges = [
    ..."0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24".split(
      " ",
    ),
    ..."192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4".split(" "),
    ..."2001::/23 2001:db8::/32 2002::/16 3fff::/20 100::/64 5f00::/16 fc00::/7 fe80::/10 ff00::/8".split(" "),
  ];
  expect(ranges.filter((range) => !corpus.includes(`name: "${range}"`))).toEqual([]);
});
