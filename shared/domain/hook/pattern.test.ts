import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { compilePattern } from "./pattern.ts";

function matches(pattern: string, text: string): boolean {
  const compiled = compilePattern(pattern);
  if (!compiled.ok) throw new Error(compiled.problem);
  return compiled.matches(text);
}

describe("patterns", () => {
  it.each([
    ["refs/heads/(main|release-\\d+)", "refs/heads/release-12", true],
    ["refs/heads/main", "refs/heads/main2", false],
    ["^v\\d+\\.\\d+$", "v1.20", true],
    ["[a-z0-9][a-z0-9-]{0,3}", "ab-c", true],
    ["[a-z0-9][a-z0-9-]{0,3}", "ab-cd", false],
    ["[^/]+", "a/b", false],
    ["[-a]+", "a-a", true],
    ["[a\\]-]+", "]-a", true],
    [".", "\n", false],
    [".", "😀", true],
    ["a{2}", "aa", true],
    ["a{2,}", "a", false],
    ["(?:ab)?", "", true],
    ["", "", true],
    ["", "a", false],
    ["\\$", "$", true],
    ["a\\\\$", "a\\", true],
    ["\\s\\S", " x", true],
    ["(a*)*b", "aaab", true],
  ])("%j on %j: %s", (pattern, text, expected) => {
    expect(matches(pattern, text)).toBe(expected);
  });

  it.each([
    "(",
    ")",
    "a)",
    "[a",
    "*a",
    "a**",
    "a+?",
    "a{x}",
    "a{3,2}",
    "\\b",
    "\\1",
    "(?=a)",
    "(?<n>a)",
    "a^b",
    "a$b",
    "[z-a]",
    "[a-\\d]",
    "]",
    "}",
    "\\",
    "(((a{99}){99}){99})",
  ])("%j is refused with words", (pattern) => {
    const compiled = compilePattern(pattern);
    expect(compiled.ok).toBe(false);
    if (!compiled.ok) expect(compiled.problem).toMatch(/^(has|is|ends) /);
  });

  it("agree with JavaScript's own on everything they know", () => {
    const atom = fc.constantFrom("a", "b", ".", "\\d", "\\w", "[ab]", "[^a]", "-", "\\.", "é");
    const quantifier = fc.constantFrom("", "", "*", "+", "?", "{2}", "{1,3}");
    const pattern = fc.letrec<{ node: string }>((tie) => ({
      node: fc.oneof(
        { maxDepth: 3 },
        fc.tuple(atom, quantifier).map((pair) => pair.join("")),
        fc.tuple(tie("node"), tie("node")).map((pair) => pair.join("")),
        fc.tuple(tie("node"), tie("node"), quantifier).map(([left, right, many]) => `(${left}|${right})${many}`),
      ),
    })).node;
    const text = fc.string({ unit: fc.constantFrom("a", "b", "1", "_", "é", ".", "-", "\n", "😀"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, text, (source, value) => {
        expect(matches(source, value)).toBe(new RegExp(`^(?:${source})$`, "u").test(value));
      }),
      { numRuns: 2_000 },
    );
  });

  it("answer quickly where backtracking would hang", () => {
    const value = `${"a".repeat(4_000)}!`;
    for (const pattern of ["(a+)+", "(a|a)*", "(a*)*b", "a*a*a*a*a*a*a*a*c", "(a|aa)+"]) {
      const startedAt = performance.now();
      expect(matches(pattern, value)).toBe(false);
      expect(performance.now() - startedAt).toBeLessThan(2_000);
    }
  });
});
