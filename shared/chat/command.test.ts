import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JobRequest } from "../contract/job.ts";
import { MAX_COMMAND_CHARACTERS, parseCommand, readTimeLimit, VERBS } from "./command.ts";

const JOB = "job_01jd8x0f3q8y2k5v7n9r4t6wzb";
const command = (text: string) => {
  const parsed = parseCommand(text);
  if (!parsed.ok) throw new Error(parsed.problem);
  return parsed.command;
};
const problem = (text: string): string => {
  const parsed = parseCommand(text);
  if (parsed.ok) throw new Error(`was taken: ${JSON.stringify(parsed.command)}`);
  return parsed.problem;
};

describe("a command", () => {
  it.each([
    ["", { verb: "help" }],
    ["  HELP ", { verb: "help" }],
    ["connect", { verb: "connect" }],
    ["connect lab.ABCD-EFGH", { verb: "connect", code: "lab.ABCD-EFGH" }],
    ["use my-lab", { verb: "use", connection: "my-lab" }],
    ["disconnect my-lab", { verb: "disconnect", connection: "my-lab" }],
    ["submit", { verb: "submit", here: false }],
    ["resubmit 4711", { verb: "resubmit", job: "4711", here: false }],
    [
      "resubmit 4711 time=4h memory=64G --here --on lab",
      {
        verb: "resubmit",
        job: "4711",
        resources: { timeLimitSeconds: 14_400, memoryMiB: 65_536 },
        here: true,
        on: "lab",
      },
    ],
    [
      "resubmit 4711 --time 90 --partition long",
      { verb: "resubmit", job: "4711", resources: { timeLimitSeconds: 5_400, partition: "long" }, here: false },
    ],
    ["submit --here --on lab", { verb: "submit", here: true, on: "lab" }],
    ["watch daint 1234", { verb: "watch", request: { system: "daint", schedulerId: "1234" }, here: false }],
    ["status 1234_7", { verb: "status", job: "1234_7" }],
    [`status ${JOB} --on=lab`, { verb: "status", job: JOB, on: "lab" }],
    ["queue", { verb: "queue" }],
    ["queue daint", { verb: "queue", system: "daint" }],
    [`logs ${JOB}`, { verb: "logs", job: JOB, stream: "stdout" }],
    [`logs ${JOB} —stderr`, { verb: "logs", job: JOB, stream: "stderr" }],
    [`cancel ${JOB}`, { verb: "cancel", job: JOB }],
    [`get ${JOB}`, { verb: "get", of: { job: JOB } }],
    ["get daint /scratch/a.nc", { verb: "get", of: { system: "daint", path: "/scratch/a.nc" } }],
    [
      'get daint "/scratch/my file.nc" runs/a',
      { verb: "get", of: { system: "daint", path: "/scratch/my file.nc", key: "runs/a" } },
    ],
  ])("%j is understood", (text, expected) => {
    expect(command(text)).toEqual(expected);
  });

  it("starts a job with what an HTTP request could say", () => {
    const text =
      'submit daint /home/me/run.sh --name sim --time 2h --nodes 4 --mem=8G --partition debug --account g1 --dir /scratch/me --output out.nc --output log.txt RUN=42 TEXT="two words"';
    expect(command(text)).toEqual({
      verb: "submit",
      here: false,
      request: {
        system: "daint",
        scriptPath: "/home/me/run.sh",
        name: "sim",
        account: "g1",
        workingDirectory: "/scratch/me",
        env: { RUN: "42", TEXT: "two words" },
        resources: { partition: "debug", nodes: 4, memoryMiB: 8192, timeLimitSeconds: 7200 },
        outputs: [{ path: "out.nc" }, { path: "log.txt" }],
      },
    });
  });

  it.each([
    ["dance", /no command “dance”/],
    ["constructor", /no command/],
    ["__proto__", /no command/],
    ["status", /missing/],
    ["status ; rm -rf /", /“-rf” is no option/],
    ["status $(id)", /neither a job's id/],
    ["status 12 34", /“34” is one word too many/],
    ["status 12 --force", /no option/],
    ["status 12 --constructor x", /no option/],
    ["status 12 --on", /needs a value/],
    ["status 12 --on a --on b", /twice/],
    ["status 12 --on ../x", /connection's name must be/],
    ["submit daint /a.sh --nodes 0", /from 1 to 100000/],
    ["resubmit", /neither a job's id/],
    ["resubmit 12 time=soon", /must be like 45m/],
    ["resubmit 12 memory=much", /must be like 8G/],
    ["resubmit 12 time=1h --time 2h", /stands there twice/],
    ["resubmit 12 X=1", /neither time=… nor memory=…/],
    ["resubmit 12 time=400d", /timeLimitSeconds|What it asks for/],
    ["submit daint /a.sh --nodes 1e2", /from 1 to 100000/],
    ["logs 12 --stderr=yes", /takes no value/],
    ['get daint "/a', /no partner/],
    ["get daint relative", /must be absolute/],
    ["get daint /a/../b", /must not contain \.\./],
    ["watch Daint 1", /system's name must be/],
    ["watch daint 1;2", /scheduler's job id/],
    ["submit daint", /path of the script is missing/],
    ["submit --nodes 4", /needs a system/],
    ["submit daint /a.sh stray", /NAME=value/],
    ["submit daint /a.sh PATH=/x", /owned by the shell/],
    ["submit daint /a.sh --name $(id)", /name must be/],
    ["submit daint /a.sh --time soon", /--time must be/],
    ["submit daint /a.sh --time 0", /--time must be/],
    ["submit daint /a.sh --mem 8T", /--mem must be/],
    ["submit daint /a.sh --partition `x`", /partition must be/],
    ["status 12\u0000", /cannot be typed/],
    ["status \ud800", /cannot be typed/],
    ["x".repeat(MAX_COMMAND_CHARACTERS + 1), /too long/],
    ["`".repeat(65_536), /too long/],
  ])("%j is refused in a sentence", (text, expected) => {
    expect(problem(text)).toMatch(expected);
  });

  it("says back no more than a glimpse of what it did not understand", () => {
    expect(problem(`${"<!channel>".repeat(300)}`).length).toBeLessThan(80);
  });
});

const hostile = fc.oneof(
  fc.string({ unit: "binary", maxLength: 200 }),
  fc.string({ unit: fc.constantFrom('"', "'", "`", "$", "(", ")", "<", "!", ">", "-", "=", " ", "\n", ";", "a", "1") }),
);

describe("whatever is typed", () => {
  it("is a command or a short sentence, never an error", () => {
    fc.assert(
      fc.property(fc.constantFrom("", ...Object.keys(VERBS)), hostile, (verb, rest) => {
        const parsed = parseCommand(`${verb} ${rest}`);
        if (!parsed.ok) expect(parsed.problem.length).toBeLessThan(300);
      }),
      { numRuns: 2_000 },
    );
  });

  it("reaches a job only as a value of the request's own schema, and whole", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom("$", "(", ")", "`", "'", "\\", ";", "|", "&", "<", ">", " ", "x", "é") }),
        (value) => {
          const { request } = command(`submit daint /a.sh VALUE="${value}" --nodes 2`) as { request: JobRequest };
          expect(request).toEqual({
            system: "daint",
            scriptPath: "/a.sh",
            env: { VALUE: value },
            resources: { nodes: 2 },
          });
          expect(JobRequest.safeParse(request).success).toBe(true);
        },
      ),
      { numRuns: 500 },
    );
  });
});

it.each([
  ["90", 5_400],
  ["45m", 2_700],
  ["2h", 7_200],
  ["1d", 86_400],
  ["10:30", 630],
  ["1:30:00", 5_400],
  ["1-12", undefined],
  ["1-12:00", 129_600],
  ["1-12:00:30", 129_630],
  ["1:60", undefined],
  ["", undefined],
  ["-1", undefined],
])("a time limit of %j is %j seconds", (text, expected) => {
  expect(readTimeLimit(text)).toBe(expected);
});
