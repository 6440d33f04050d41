import { describe, expect, it } from "vitest";
import { HookRequestBody } from "../../contract/hook.ts";
import { checkHook, identityOf } from "../hook.ts";

const inbound = (body: unknown) => ({ body, headers: { "x-run": "7" }, claims: {} });

describe("what makes a message itself", () => {
  const hook = { dedupe: ["/id", "header:x-run", "jsonpath:$.items[*].n"] };

  it("is the values at the named places, whatever else the message says", () => {
    const one = identityOf(hook, inbound({ id: "a", items: [{ n: 1 }], note: "first" }));
    expect(one).toBeDefined();
    expect(identityOf(hook, inbound({ id: "a", items: [{ n: 1 }], note: "second" }))).toBe(one);
    for (const other of [
      { id: "b", items: [{ n: 1 }] },
      { id: "a", items: [{ n: 2 }] },
      { id: "a", items: [{ n: "1" }] },
      { id: "a", items: [{ n: 1 }, { n: 1 }] },
    ])
      expect(identityOf(hook, inbound(other))).not.toBe(one);
  });

  it("is nothing where one of them is missing, and where the hook names none", () => {
    expect(identityOf(hook, inbound({ id: "a", items: [] }))).toBeUndefined();
    expect(identityOf({}, inbound({ id: "a" }))).toBeUndefined();
  });

  it("never is a credential", () => {
    const target = { job: { system: "daint", script: "#!/bin/sh\n" } };
    const saved = HookRequestBody.parse({
      source: "bearer",
      secrets: ["t"],
      dedupe: ["/id", "header:authorization"],
      target,
    });
    expect(checkHook(saved)).toEqual([{ field: "/dedupe/1", message: "names a header that carries a credential" }]);
  });
});
