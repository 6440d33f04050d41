import { describe, expect, it } from "vitest";
import { z } from "./contract/words.ts";
import { fieldProblems, invalidInput, PROBLEM_CODES, Problem, ProblemBody } from "./problem.ts";

const problemsOf = (schema: z.ZodType, input: unknown) => {
  const read = schema.safeParse(input);
  return read.success ? [] : fieldProblems(read.error, input);
};

describe("a problem", () => {
  it("has one status for each code", () => {
    const statuses = Object.fromEntries(PROBLEM_CODES.map((code) => [code, new Problem(code).status]));
    expect(statuses).toEqual({
      unauthorized: 401,
      forbidden: 403,
      not_found: 404,
      method_not_allowed: 405,
      conflict: 409,
      in_flight: 409,
      gone: 410,
      length_required: 411,
      quota_exceeded: 409,
      precondition_failed: 412,
      too_large: 413,
      unsupported_media_type: 415,
      range_not_satisfiable: 416,
      invalid: 422,
      idempotency_mismatch: 422,
      rate_limited: 429,
      internal: 500,
      upstream: 502,
      unavailable: 503,
    });
  });

  it.each(PROBLEM_CODES)("%s goes out as problem+json with a stable type", async (code) => {
    const response = new Problem(code, { detail: "Say why." }).response();
    expect(response.headers.get("content-type")).toBe("application/problem+json");
    const body = ProblemBody.parse(await response.json());
    expect(body).toMatchObject({ type: `/problems/${code}`, code, status: response.status, detail: "Say why." });
    expect(body.title.length).toBeGreaterThan(5);
  });

  it("asks for credentials where they are missing, and only there", () => {
    expect(new Problem("unauthorized").response().headers.get("www-authenticate")).toBe("Bearer");
    expect(new Problem("forbidden").response().headers.has("www-authenticate")).toBe(false);
  });

  it("says when to come back, in whole seconds", () => {
    expect(new Problem("rate_limited", { retryAfterSeconds: 1.2 }).response().headers.get("retry-after")).toBe("2");
  });

  it("carries extra members but none that change the standard ones", () => {
    const body = new Problem("gone", { extra: { oldest: 7, status: 200, code: "fine", type: "x", title: "y" } }).body();
    expect(body).toMatchObject({ oldest: 7, status: 410, code: "gone", type: "/problems/gone" });
    expect(body.title).not.toBe("y");
  });
});

describe("input that a schema refused", () => {
  const Target = z.union([
    z.strictObject({ job: z.string(), system: z.string() }),
    z.strictObject({ transfer: z.string() }),
  ]);

  it("is told what each shape needs where nothing says which was meant", () => {
    expect(problemsOf(z.object({ target: Target }), { target: {} })).toEqual([
      { field: "/target", message: "needs job and system, or transfer" },
    ]);
    expect(problemsOf(Target, { job: "x" })).toEqual([{ field: "/system", message: "is required: a text" }]);
  });

  it("is answered shortly, however long its names are", () => {
    const [problem] = problemsOf(z.strictObject({}), { ["k".repeat(100_000)]: 1 });
    expect(problem?.field).toBe(`/${"k".repeat(100)}…`);
  });

  const Job = z.strictObject({
    script: z.string().min(1),
    nodes: z.number().int().min(1).max(10).optional(),
    when: z.enum(["always", "success"]).optional(),
    env: z.record(z.string().regex(/^[A-Z]+$/, "must be upper case"), z.string()).optional(),
    outputs: z
      .array(z.strictObject({ path: z.string() }))
      .max(2)
      .optional(),
    at: z.iso.datetime({ precision: 3 }).optional(),
    target: z
      .union([z.strictObject({ job: z.string() }), z.strictObject({ transfer: z.string(), key: z.string() })])
      .optional(),
    auth: z
      .discriminatedUnion("type", [z.object({ type: z.literal("a") }), z.object({ type: z.literal("b") })])
      .optional(),
    even: z.number().multipleOf(2).optional(),
    own: z
      .string()
      .refine(() => false, "must be kinder")
      .optional(),
    exact: z.literal(3).optional(),
  });

  it.each<[string, Record<string, unknown>, string, string]>([
    ["missing", { script: undefined }, "/script", "is required: a text"],
    ["of another type", { script: 5 }, "/script", "must be a text"],
    ["null", { script: null }, "/script", "must be a text"],
    ["empty", { script: "" }, "/script", "must have at least 1 character"],
    ["not whole", { nodes: 1.5 }, "/nodes", "must be a whole number"],
    ["too small", { nodes: 0 }, "/nodes", "must be at least 1"],
    ["too big", { nodes: 11 }, "/nodes", "must be at most 10"],
    ["no choice", { when: "never" }, "/when", "must be one of always, success"],
    ["not the value", { exact: 4 }, "/exact", "must be 3"],
    ["unknown", { scripts: "x" }, "/scripts", "is not known here; remove it or check its spelling"],
    ["unknown with odd characters", { "a/b~c": "x" }, "/a~1b~0c", "is not known here; remove it or check its spelling"],
    ["a bad name", { env: { path: "x" } }, "/env/path", "is not allowed as a name: it must be upper case"],
    ["deep", { outputs: [{ path: "a" }, { path: 7 }] }, "/outputs/1/path", "must be a text"],
    ["too many", { outputs: [{ path: "a" }, { path: "b" }, { path: "c" }] }, "/outputs", "must have at most 2 items"],
    [
      "a bad time",
      { at: "yesterday" },
      "/at",
      "must be a time in RFC 3339, UTC with milliseconds and Z, such as 2026-11-22T12:00:00.000Z",
    ],
    ["odd", { even: 3 }, "/even", "must be a multiple of 2"],
    ["refused in our own words", { own: "x" }, "/own", "must be kinder"],
    ["nearly one of two shapes", { target: { transfer: "x" } }, "/target/key", "is required: a text"],
    ["of no kind", { auth: { type: "c" } }, "/auth/type", "must be one of a, b"],
    ["of an unnamed kind", { auth: {} }, "/auth/type", "is required: one of a, b"],
  ])("%s: names the field and the remedy", (_, change, field, message) => {
    expect(problemsOf(Job, { script: "#!/bin/sh", ...change })).toEqual([{ field, message }]);
  });

  it("as a whole is named too", () => {
    expect(problemsOf(Job, undefined)).toEqual([{ field: "", message: "is required: an object" }]);
    expect(problemsOf(Job, "text")).toEqual([{ field: "", message: "must be an object" }]);
  });

  it("becomes a 422 whose detail is a sentence", () => {
    const input = { script: 1, nodes: "x" };
    const read = Job.safeParse(input);
    const problem = invalidInput(read.error!, input);
    expect(problem.status).toBe(422);
    expect(problem.body()).toMatchObject({ code: "invalid", detail: "/script must be a text (and 1 more)" });
  });

  it("is never quoted back", () => {
    const input = {
      script: { password: "hunter2" },
      when: "hunter2",
      at: "hunter2",
      target: { transfer: 4, key: ["hunter2"] },
    };
    expect(JSON.stringify(problemsOf(Job, input))).not.toContain("hunter2");
  });

  it("is explained at most twenty times", () => {
    const input = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`k${i}`, i]));
    expect(problemsOf(Job, { script: "x", ...input })).toHaveLength(20);
  });
});
