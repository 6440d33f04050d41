import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ROOT } from "./support/sources.ts";

const { createTail } = (await import(join(ROOT, "integrations/github-action/tail.mjs"))) as {
  createTail: () => (text: string, whole: boolean) => string;
};

describe("output that grows", () => {
  it("is shown once, line by line, and a line without its end only when no more will come", () => {
    const tail = createTail();
    expect(tail("", false)).toBe("");
    expect(tail("one\ntw", false)).toBe("one\n");
    expect(tail("one\ntw", false)).toBe("");
    expect(tail("one\ntwo\nthree", false)).toBe("two\n");
    expect(tail("one\ntwo\nthree", true)).toBe("three\n");
  });

  it("goes on where it was when the door shows later lines only", () => {
    const tail = createTail();
    tail("1\n2\n3\n", false);
    expect(tail("2\n3\n4\n", false)).toBe("4\n");
    expect(tail("4\n5\n6\n", false)).toBe("5\n6\n");
    expect(tail("8\n9\n", false)).toBe("[… lines in between were not seen …]\n8\n9\n");
  });

  it("is not confused by lines that repeat, nor by a file that is gone for a moment", () => {
    const tail = createTail();
    tail("tick\ntick\n", false);
    expect(tail("", false)).toBe("");
    expect(tail("tick\ntick\ntick\n", false)).toBe("tick\n");
  });
});
