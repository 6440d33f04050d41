/** Hostile values through a hook, a real shell and back: byte for byte, and nothing else is any different for them. */
import { createHash, randomBytes } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Deployment, deploy } from "./deployment.ts";

const BIG = 65_536;

const CORPUS: Record<string, string> = {
  quotes: `'"'"'\\'"\\"`,
  newlines: "a\nb\r\nc\r\n\n",
  substitution: "$(touch pwned)\u0024{IFS}$HOME`touch pwned`",
  operators: "; touch pwned & | && || > pwned < /etc/passwd # !",
  directives: "x\n#SBATCH --account=root\n#SBATCH --time=999:00:00\n#!/bin/sh\n",
  templates: "{{x}} {ref} {value} \u0024{{ secrets.X }} %s %n \\0 \\x00",
  options: "--wrap=touch pwned",
  heredoc: "\nEOF\ntouch pwned\nEOF\n",
  unicode: "é\u{1f600}\u202e\u0007\u001b[31m\ufeff\ud7ff\ue000",
  whitespace: " \t leading and trailing \t\n ",
  empty: "",
  big: `${"€".repeat(Math.floor(BIG / 3))}${"'".repeat(BIG % 3)}`,
};

const SECRET = randomBytes(16).toString("hex");
const script =
  '#!/bin/bash -l\nprintf %s "$VALUE" | sha256sum | cut -d" " -f1 > hash.txt\nls > listing.txt\nenv | wc -c >/dev/null\n';
const HOOK = {
  source: "bearer",
  secrets: [SECRET],
  params: { value: { from: "/value", type: "string", maxLength: BIG } },
  target: {
    job: {
      system: "cluster",
      name: "steady",
      script,
      env: { VALUE: "{value}", OTHER: "steady" },
      outputs: [{ path: "hash.txt" }, { path: "listing.txt" }],
    },
  },
};

let firewatch: Deployment;
beforeAll(async () => {
  firewatch = await deploy();
  expect((await firewatch.call("PUT", "hooks/inject", { body: HOOK })).status).toBe(201);
});
afterAll(() => firewatch?.stop());

const send = (value: unknown) => firewatch.call("POST", "/hooks/local-v1/inject", { token: SECRET, body: { value } });
const sha256 = (text: string) => createHash("sha256").update(text).digest("hex");

/** The job as it would be sent to FirecREST, with the value's own line taken out. */
async function composed(value: string): Promise<string> {
  const { body } = await firewatch.call("POST", "hooks/inject/dry-run", { body: { body: { value } } });
  expect(body.outcome).toBe("job");
  return JSON.stringify(body.firecrest)
    .replace(/VALUE=\\"\$\(printf %s '[A-Za-z0-9+/=]*' \| base64 -d/, "VALUE=(the value)")
    .replaceAll(/fw-[0-9a-z]{13}/g, "fw-TAG");
}

describe("a hostile value", () => {
  it.each(Object.entries(CORPUS))("arrives as it was sent, and makes nothing of itself: %s", async (_, value) => {
    const { status, body } = await send(value);
    expect(status).toBe(202);
    const job = (await firewatch.settled(body.jobId)) as { status: string; outputs: { key: string }[]; name: string };
    expect(job).toMatchObject({ status: "succeeded", name: "steady" });
    const [hash, listing] = await Promise.all(
      job.outputs.map(async ({ key }) => (await firewatch.call("GET", `objects/${key}`)).text),
    );
    expect(hash?.trim()).toBe(sha256(value));
    expect(listing).not.toContain("pwned");
  });

  it("changes no other byte of what FirecREST is sent", async () => {
    const plain = await composed("plain");
    for (const value of Object.values(CORPUS)) expect(await composed(value)).toBe(plain);
  });

  it.each([
    ["NUL", "a\u0000b"],
    ["one byte too many", "x".repeat(BIG + 1)],
    ["too many bytes in fewer characters", "€".repeat(BIG / 2)],
    ["half a character", "a\ud800b"],
    ["another type", 5],
    ["a list", ["x"]],
    ["nothing", undefined],
  ])("is a 422 that names the parameter or the variable, and starts nothing: %s", async (_, value) => {
    const before = (await firewatch.call("GET", "jobs?limit=200")).body.items.length;
    const { status, body } = await send(value);
    expect([status, body.errors[0].field]).toEqual([422, expect.stringMatching(/^\/value$|\/env\/VALUE$/)]);
    expect((await firewatch.call("GET", "jobs?limit=200")).body.items.length).toBe(before);
  });
});
