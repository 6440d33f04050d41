import { describe, expect, it } from "vitest";
import { depsOf, type Env } from "./env.ts";

const binding = {} as never;
const COMPLETE: Env = {
  TRACKER: binding,
  POLLER: binding,
  OBJECTS: binding,
  CALLERS: binding,
  HOOKS: binding,
  ADMIN_TOKEN: "a-long-token",
};

describe("the bindings of api", () => {
  it("are named all at once where they are missing", () => {
    expect(() => depsOf({})).toThrow("TRACKER, POLLER, OBJECTS, CALLERS, HOOKS, ADMIN_TOKEN are not set");
    expect(() => depsOf({ ...COMPLETE, ADMIN_TOKEN: "" })).toThrow("ADMIN_TOKEN is not set");
  });

  it("are refused where a setting cannot be read", () => {
    expect(() => depsOf({ ...COMPLETE, EGRESS_ALLOW: "everything" })).toThrow("EGRESS_ALLOW");
  });

  it("make addresses without a slash at their end", () => {
    expect(depsOf({ ...COMPLETE, PUBLIC_URL: "https://firewatch.example.org/" }).publicUrl).toBe(
      "https://firewatch.example.org",
    );
    expect(depsOf(COMPLETE)).not.toHaveProperty("publicUrl");
  });

  it("include a clock that can be stopped", async () => {
    const { every } = depsOf(COMPLETE);
    await new Promise<void>((resolve) => {
      const stop = every(1, () => {
        stop();
        resolve();
      });
    });
  });
});
