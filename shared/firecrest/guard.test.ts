import { describe, expect, it } from "vitest";
import { createGuard } from "./guard.ts";

describe("the guard before a request", () => {
  it("passes what is safe through, unchanged", () => {
    const guard = createGuard("v1");
    expect(guard.path("ls", "/a b")).toBe("/a b");
    expect(guard.fileName("x.txt")).toBe("x.txt");
    expect(guard.mode("640")).toBe("640");
    expect(guard.owner("alice")).toBe("alice");
  });

  it("throws for the rest, saying what is wrong, and never to be tried again", () => {
    const guard = createGuard("v2");
    expect(() => guard.path("stage", "/a b")).toThrow(
      expect.objectContaining({ code: "invalid_path", retry: "never", message: expect.stringContaining("a space") }),
    );
    expect(() => guard.fileName("../x")).toThrow(expect.objectContaining({ code: "invalid_path" }));
    expect(() => guard.mode("x;id")).toThrow(expect.objectContaining({ code: "invalid_request" }));
    expect(() => guard.owner("-R")).toThrow(expect.objectContaining({ code: "invalid_request" }));
  });
});
