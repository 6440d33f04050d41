import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HookRequestBody } from "../contract/hook.ts";
import { EnvValue } from "../contract/job.ts";
import { asText } from "./hook/param.ts";
import { checkHook, type Inbound, mapInbound, readableParams, resultOf } from "./hook.ts";

const inbound = (body: unknown, more: Partial<Inbound> = {}): Inbound => ({ body, headers: {}, claims: {}, ...more });

const hookOf = (change: Record<string, unknown> = {}) =>
  HookRequestBody.parse({
    source: "github",
    secrets: ["s3cret"],
    params: { ref: { from: "/ref", type: "string" } },
    target: { job: { system: "daint", script: "#!/bin/bash\necho $REF\n", env: { REF: "{ref}", MODE: "fast" } } },
    ...change,
  });

const withParam = (param: Record<string, unknown>, place: Record<string, unknown> = { env: { V: "{v}" } }) =>
  hookOf({ params: { v: param }, target: { job: { system: "daint", script: "#!/bin/sh\n", ...place } } });

describe("mapping a request", () => {
  it("fills whole values and leaves everything else as it was", () => {
    expect(resultOf(mapInbound(hookOf(), inbound({ ref: "main" })))).toEqual({
      outcome: "job",
      request: { system: "daint", script: "#!/bin/bash\necho $REF\n", env: { REF: "main", MODE: "fast" } },
    });
  });

  it("carries hostile text to the environment byte for byte and changes no other field", () => {
    const nasty = fc.oneof(
      fc.string({ unit: "binary", maxLength: 300 }),
      fc.constantFrom(
        "$(rm -rf ~)",
        "`id`",
        "'; exit 1 #",
        "a\n#SBATCH --nodes=999",
        "{ref}",
        "{{ref}}",
        "\u0024{REF}",
        '"\\',
        "\r\n",
        "__proto__",
        "%x",
      ),
      fc
        .array(fc.constantFrom("'", '"', "\n", "$(", "`", "\\", "{", "}", "ref", "#SBATCH"), { maxLength: 20 })
        .map((parts) => parts.join("")),
    );
    fc.assert(
      fc.property(nasty, (ref) => {
        fc.pre(EnvValue.safeParse(ref).success);
        const { request } = mapInbound(hookOf(), inbound({ ref }));
        expect(request).toEqual({
          outcome: "job",
          request: { system: "daint", script: "#!/bin/bash\necho $REF\n", env: { REF: ref, MODE: "fast" } },
        });
      }),
      { numRuns: 500 },
    );
  });

  it("never throws and never invents a parameter, whatever the body is", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (body) => {
        const result = resultOf(mapInbound(hookOf(), inbound(body)));
        const ref =
          typeof body === "object" && body !== null && Object.hasOwn(body, "ref")
            ? Reflect.get(body, "ref")
            : undefined;
        expect(result.outcome).toBe(
          typeof ref === "string" && !ref.includes("\0") && ref.isWellFormed() ? "job" : "refused",
        );
      }),
    );
  });

  it("names a parameter that is missing or of another type, and where it was looked for", () => {
    for (const [body, problem] of [
      [{}, "is missing"],
      [{ ref: null }, "is missing"],
      [{ ref: 5 }, "must be a text"],
    ] as const) {
      expect(resultOf(mapInbound(hookOf(), inbound(body)))).toEqual({
        outcome: "refused",
        errors: [{ field: "/ref", message: `(parameter ref) ${problem}` }],
      });
    }
  });

  it("does not reach inherited members", () => {
    for (const from of ["/constructor/name", "/__proto__/a", "/a/length", "jsonpath:$.constructor.name"]) {
      expect(mapInbound(withParam({ from, type: "string" }), inbound({ a: [] })).problems[0]?.message).toContain(
        "is missing",
      );
    }
  });

  it("takes no inherited member for something that was sent: neither as there, nor as a header's text", () => {
    for (const from of ["/constructor", "/toString", "header:constructor", "header:valueOf"]) {
      const filtered = hookOf({ filter: [{ from, op: "exists" }] });
      expect(mapInbound(filtered, inbound({ ref: "x" })).passed, from).toBe(false);
      const optional = withParam({ from, type: "string", default: "none" });
      expect(mapInbound(optional, inbound({})).params, from).toEqual({ v: "none" });
    }
  });

  it("keeps a field called __proto__ a field", () => {
    const hook = {
      ...hookOf(),
      target: { job: JSON.parse('{"system":"daint","script":"#!/bin/sh","__proto__":{"polluted":"yes"}}') },
    };
    expect(mapInbound(hook, inbound({ ref: "x" })).problems[0]?.field).toBe("/target/job/__proto__");
    expect(Object.hasOwn(Object.prototype, "polluted")).toBe(false);
  });

  it("reads JSON Pointers with escapes and indices", () => {
    const body = { "a/b": [{ "c~d": "x" }] };
    expect(mapInbound(withParam({ from: "/a~1b/0/c~0d", type: "string" }), inbound(body)).params).toEqual({ v: "x" });
    expect(mapInbound(withParam({ from: "/a~1b/00/c~0d", type: "string" }), inbound(body)).params).toEqual({});
  });

  it.each([
    ["jsonpath:$.commits[-1].id", "b"],
    ["jsonpath:$['commits'][0]['id']", "a"],
    ['jsonpath:$["commits"][1].id', "b"],
  ])("reads %s", (from, value) => {
    expect(
      mapInbound(withParam({ from, type: "string" }), inbound({ commits: [{ id: "a" }, { id: "b" }] })).params,
    ).toEqual({ v: value });
  });

  it("refuses several values where one is needed", () => {
    const mapped = mapInbound(
      withParam({ from: "jsonpath:$[*].id", type: "string" }),
      inbound([{ id: "a" }, { id: "b" }]),
    );
    expect(mapped.problems[0]?.message).toContain("has 2 values where one is needed");
  });

  it("reads headers and form fields as text that may be a number, and JSON text never", () => {
    const count = { from: "header:X-Count", type: "integer" };
    expect(mapInbound(withParam(count), inbound({}, { headers: { "x-count": "42" } })).params).toEqual({ v: 42 });
    for (const text of ["4.5", "0x10", " 4", "4e3", "", "04"]) {
      expect(mapInbound(withParam(count), inbound({}, { headers: { "x-count": text } })).problems).toHaveLength(1);
    }
    const field = { from: "/n", type: "integer" };
    expect(mapInbound(withParam(field), inbound({ n: "42" }, { bodyIsText: true })).params).toEqual({ v: 42 });
    expect(mapInbound(withParam(field), inbound({ n: "42" })).problems).toHaveLength(1);
  });

  it.each<[string, Record<string, unknown>, unknown]>([
    ["at most 8", { type: "integer", min: 1, max: 8 }, 9],
    ["at least 1", { type: "integer", min: 1 }, 0],
    ["a whole number", { type: "integer" }, 1.5],
    ["a whole number", { type: "integer" }, 2 ** 53],
    ["true or false", { type: "boolean" }, "true"],
    ["one of a, b", { type: "string", enum: ["a", "b"] }, "c"],
    ["must match", { type: "string", pattern: "refs/heads/\\w+" }, "refs/heads/a b"],
    ["at most 3", { type: "string", maxLength: 3 }, "abcd"],
    ["at most 4096", { type: "string" }, "x".repeat(4_097)],
    ["without NUL", { type: "string" }, "a\u0000b"],
    ["well-formed", { type: "string" }, "\ud800"],
  ])("refuses a value that is not %s", (words, param, value) => {
    expect(mapInbound(withParam({ from: "/v", ...param }), inbound({ v: value })).problems[0]?.message).toContain(
      words,
    );
  });

  it("takes a default for what is absent, and leaves out what is optional", () => {
    expect(mapInbound(withParam({ from: "/v", type: "string", default: "main" }), inbound({})).composed).toMatchObject({
      env: { V: "main" },
    });
    expect(mapInbound(withParam({ from: "/v", type: "string", required: false }), inbound({})).composed).toMatchObject({
      env: {},
    });
  });

  it("keeps numbers under resources and writes them out elsewhere", () => {
    const place = { resources: { nodes: "{v}" }, env: { V: "{v}" }, labels: { v: "{v}" } };
    expect(mapInbound(withParam({ from: "/v", type: "integer" }, place), inbound({ v: 4 })).composed).toMatchObject({
      resources: { nodes: 4 },
      env: { V: "4" },
      labels: { v: "4" },
    });
    expect(mapInbound(withParam({ from: "/v", type: "boolean" }), inbound({ v: false })).composed).toMatchObject({
      env: { V: "false" },
    });
  });

  it("fills names, inputs, outputs and a transfer's path and key", () => {
    const place = {
      name: "{v}",
      inputs: [
        { key: "{v}", path: "in" },
        { url: "https://example.org/a", path: "{v}" },
      ],
      outputs: [{ path: "{v}", key: "{v}" }],
    };
    expect(mapInbound(withParam({ from: "/v", type: "string" }, place), inbound({ v: "run7" })).request?.outcome).toBe(
      "job",
    );
    const transfer = hookOf({
      params: { v: { from: "/v", type: "string" } },
      target: { transfer: { direction: "download", system: "daint", path: "{v}", key: "k" } },
    });
    expect(resultOf(mapInbound(transfer, inbound({ v: "/scratch/out" })))).toMatchObject({
      outcome: "transfer",
      request: { path: "/scratch/out" },
    });
  });

  it("refuses a value that the request's own schema refuses, naming the field", () => {
    const mapped = mapInbound(
      withParam({ from: "/v", type: "string" }, { outputs: [{ path: "{v}" }] }),
      inbound({ v: "../../etc/passwd" }),
    );
    expect(resultOf(mapped)).toEqual({
      outcome: "refused",
      errors: [{ field: "/target/job/outputs/0/path", message: "must not contain .." }],
    });
  });

  it("looks at nothing when the filter says no", () => {
    const hook = hookOf({ filter: [{ from: "header:X-GitHub-Event", op: "equals", value: "push" }] });
    expect(resultOf(mapInbound(hook, inbound({}, { headers: { "x-github-event": "ping" } })))).toEqual({
      outcome: "filtered",
    });
    expect(resultOf(mapInbound(hook, inbound({ ref: "x" }, { headers: { "x-github-event": "push" } }))).outcome).toBe(
      "job",
    );
  });

  it.each([
    [{ from: "/a", op: "equals", value: 1 }, true],
    [{ from: "/a", op: "equals", value: "1" }, false],
    [{ from: "/a", op: "in", value: [0, 1] }, true],
    [{ from: "/t", op: "matches", value: "v\\d+" }, true],
    [{ from: "/t", op: "matches", value: "v" }, false],
    [{ from: "/none", op: "exists" }, false],
    [{ from: "/none", op: "exists", value: false }, true],
    [{ from: "jsonpath:$.l[*].x", op: "equals", value: 2 }, true],
    [{ from: "claim:repository_id", op: "equals", value: "9" }, true],
  ])("filter %j: %s", (term, passes) => {
    const hook = hookOf({ filter: [term], params: {}, target: { job: { system: "daint", script: "#!/bin/sh\n" } } });
    const request = inbound({ a: 1, t: "v12", l: [{ x: 1 }, { x: 2 }] }, { claims: { repository_id: "9" } });
    expect(mapInbound(hook, request).passed).toBe(passes);
  });

  it("tells a stranger's dry run only which parameters were there", () => {
    expect(readableParams(hookOf(), inbound({ ref: "secret-branch" }))).toEqual(["ref"]);
    expect(readableParams(hookOf(), inbound({}))).toEqual([]);
  });
});

describe("numbers as text", () => {
  it.each([
    [0, "0"],
    [-0, "0"],
    [42, "42"],
    [-1.5, "-1.5"],
    [1e21, "1000000000000000000000"],
    [1.25e22, "12500000000000000000000"],
    [1e-7, "0.0000001"],
    [-2.5e-9, "-0.0000000025"],
  ])("%d is %s", (value, text) => {
    expect(asText(value)).toBe(text);
  });

  it("have no exponent and mean the same", () => {
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(asText(value)).toMatch(/^-?\d+(\.\d+)?$/);
        expect(Number(asText(value))).toBe(value === 0 ? 0 : value);
      }),
    );
  });
});

describe("saving a hook", () => {
  const problemsOf = (change: Record<string, unknown>) => checkHook(hookOf(change)).map(({ field }) => field);
  const job = (change: Record<string, unknown>) => ({ job: { system: "daint", script: "#!/bin/sh\n", ...change } });

  it("accepts one that can work", () => {
    expect(checkHook(hookOf({ sample: { ref: "main" } }))).toEqual([]);
  });

  it.each([
    ["script", { script: "{ref}" }, "/target/job/script"],
    ["account", { account: "{ref}" }, "/target/job/account"],
    ["system", { system: "{ref}" }, "/target/job/system"],
    ["workingDirectory", { workingDirectory: "{ref}" }, "/target/job/workingDirectory"],
    ["a callback", { callbacks: [{ url: "{ref}" }] }, "/target/job/callbacks/0/url"],
    ["an output's when", { outputs: [{ path: "a", when: "{ref}" }] }, "/target/job/outputs/0/when"],
    ["an unknown parameter", { env: { A: "{nope}" } }, "/target/job/env/A"],
    ["a part of a text", { env: { A: "run-{ref}" } }, "/target/job/env/A"],
  ])("refuses a parameter in %s", (_, change, field) => {
    expect(problemsOf({ target: job(change) })).toEqual([field]);
  });

  it("lets a script use shell variables and an environment hold JSON", () => {
    expect(
      problemsOf({ target: job({ script: "#!/bin/sh\necho \u0024{ref}\n", env: { REF: "{ref}", J: '{"a":1}' } }) }),
    ).toEqual([]);
  });

  it.each([
    ["a target that no job could be", { target: { job: { system: "daint" } } }, "/target/job/script"],
    ["an unknown field", { target: job({ nodes: 4 }) }, "/target/job/nodes"],
    ["a sample that lacks a parameter", { sample: {} }, "/sample/ref"],
    [
      "a sample that the filter stops",
      { filter: [{ from: "/ref", op: "equals", value: "main" }], sample: { ref: "x" } },
      "/sample",
    ],
    [
      "a number where a text goes",
      { params: { ref: { from: "/ref", type: "integer" } }, target: job({ resources: { partition: "{ref}" } }) },
      "/target/job/resources/partition",
    ],
    [
      "a pattern that could backtrack",
      { params: { ref: { from: "/ref", type: "string", pattern: "(?=a)" } } },
      "/params/ref/pattern",
    ],
    [
      "a pattern for a number",
      { params: { ref: { from: "/ref", type: "integer", pattern: "a" } } },
      "/params/ref/pattern",
    ],
    [
      "a default outside the enum",
      { params: { ref: { from: "/ref", type: "string", enum: ["a"], default: "b" } } },
      "/params/ref/default",
    ],
    ["an enum of another type", { params: { ref: { from: "/ref", type: "string", enum: [1] } } }, "/params/ref/enum/0"],
    ["min above max", { params: { ref: { from: "/ref", type: "integer", min: 2, max: 1 } } }, "/params/ref/max"],
    [
      "a credential as a value",
      { params: { ref: { from: "header:Authorization", type: "string" } } },
      "/params/ref/from",
    ],
    ["a claim without a token", { params: { ref: { from: "claim:sub", type: "string" } } }, "/params/ref/from"],
    ["a JSONPath with a filter", { params: { ref: { from: "jsonpath:$..a", type: "string" } } }, "/params/ref/from"],
    ["a filter pattern", { filter: [{ from: "/ref", op: "matches", value: "(" }] }, "/filter/0/value"],
    ["source hmac without its configuration", { source: "hmac" }, "/hmac"],
    ["source oidc without its configuration", { source: "oidc", secrets: undefined }, "/oidc"],
  ])("refuses %s", (_, change, field) => {
    expect(problemsOf(change)).toContain(field);
  });

  it("takes what a sample cannot show, headers and claims, for granted", () => {
    const change = {
      filter: [{ from: "header:X-GitHub-Event", op: "equals", value: "push" }],
      params: { ref: { from: "/ref", type: "string" }, n: { from: "header:X-N", type: "integer", min: 1 } },
      target: job({ env: { REF: "{ref}" }, resources: { nodes: "{n}" } }),
      sample: { ref: "main" },
    };
    expect(checkHook(hookOf(change))).toEqual([]);
  });

  it("answers for any target, and what it accepts maps its own sample", () => {
    const target = fc.record({
      system: fc.constant("daint"),
      script: fc.constantFrom("#!/bin/sh\n", "{ref}"),
      env: fc.dictionary(fc.constantFrom("A", "B"), fc.constantFrom("{ref}", "x", "{no}")),
    });
    fc.assert(
      fc.property(target, fc.jsonValue(), (template, sample) => {
        const hook = { ...hookOf(), target: { job: template }, sample };
        if (checkHook(hook).length === 0) expect(mapInbound(hook, inbound(sample)).request).toBeDefined();
      }),
    );
  });
});
