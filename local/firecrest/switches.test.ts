/** The switches that make the embedded site err are there for tests: one that no test throws proves nothing. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { Fault } from "./faults.ts";
import { DEFAULT_V2_OPTIONS } from "./v2/options.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const tests = ["local", "shared", "test", "workers", "bench"]
  .flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" }).map((name) => join(folder, name)),
  )
  .filter((name) => /(\.test|suite|bench)\.ts$|conformance.*\.py$|conformance.*\.ts$/.test(name))
  .filter((name) => !name.endsWith("switches.test.ts"))
  .map((name) => readFileSync(join(ROOT, name), "utf8"))
  .join("\n");

const kinds = Fault.options.map((option) => option.shape.kind.value);
/** What is only a matter of size or speed. */
const TUNING = new Set(["maxPartBytes", "ingressPollMs", "mover"]);
const options = Object.keys(DEFAULT_V2_OPTIONS).filter((name) => !TUNING.has(name));

it.each(kinds)("the fault %s is used by a test", (kind) => {
  expect(new RegExp(`kind(: |=)"${kind}"`).test(tests)).toBe(true);
});

it.each(options)("the v2 switch %s is used by a test", (name) => {
  expect(new RegExp(`\\b${name}\\b( =|:)`).test(tests)).toBe(true);
});

it.each([
  ["a wait as a date", /form: "date"/],
  ["a wait as a reset", /form: "reset"/],
  ["the words of the other gateway", /gateway: "wso2"/],
  ["a page of a gateway", /kind: "bad_gateway"/],
  ["a closed port", /\["unreachable", "refused"\]/],
  ["accounting without young jobs", /rows: "missing"/],
  ["accounting with skeletons", /rows: "skeleton"/],
  ["accounting that is down", /part: "accounting"/],
  ["a task that hangs with its work done", /kind: "task_stuck", effect: true/],
  ["the defects of 1.16.6", /quirks: "1\.16\.6"/],
])("%s is used by a test", (_, use) => {
  expect(use.test(tests)).toBe(true);
});
