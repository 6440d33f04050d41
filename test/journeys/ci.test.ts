/** The GitHub Action and the GitLab component, run for real against the real Workers, with a double of the CI's OIDC issuer. */
import type { ChildProcess } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type Issuer, startIssuer } from "../support/oidc-issuer.ts";
import { type Ran, run } from "../support/pages.ts";
import { ROOT } from "../support/sources.ts";
import { type Deployment, deploy, eventually } from "./deployment.ts";

/** As GitHub writes them: ids are text. */
const GITHUB_CLAIMS = {
  sub: "repo:octo-org/octo-repo:ref:refs/heads/main",
  repository: "octo-org/octo-repo",
  repository_id: "74",
  repository_owner_id: "65",
  ref: "refs/heads/main",
  workflow: "simulate",
  run_id: "9",
};

let firewatch: Deployment;
let issuer: Issuer;
let folder: string;

beforeAll(async () => {
  firewatch = await deploy();
  issuer = await startIssuer(GITHUB_CLAIMS);
  const bound = await firewatch.call("PUT", "identities/ci", {
    token: firewatch.adminToken,
    body: {
      issuer: issuer.url,
      audience: firewatch.url,
      claims: { repository_id: "74", repository_owner_id: "65" },
      scopes: ["jobs:read", "jobs:write", "transfers:read"],
    },
  });
  expect(bound.status).toBe(201);
});
afterAll(async () => {
  await issuer?.stop();
  await firewatch?.stop();
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "firewatch-ci-"));
  issuer.claims = { ...GITHUB_CLAIMS };
  return () => rm(folder, { recursive: true, force: true });
});

/** Waits for the second line until the test has seen the first. */
const patient = () => `#!/bin/bash -l
echo "::error::first of $WHO"
until [ -e ${folder}/go ]; do sleep 0.1; done
echo second; echo trouble >&2; printf 'bytes of %s' "$WHO" > result.bin
`;

const statusOf = async (id: string) => (await firewatch.call("GET", `jobs/${id}`)).body.status;
const cancelled = (id: string) =>
  eventually(async () => ((await statusOf(id)) === "cancelled" ? true : undefined), "the cancelled job", 30_000);

interface Running {
  child: ChildProcess;
  ended: Promise<Ran>;
  text(): string;
}

/** Starts a program and lets the test look at what it says meanwhile. */
function start(launch: (started: (child: ChildProcess) => void) => Promise<Ran>): Running {
  let text = "";
  let running: ChildProcess | undefined;
  const ended = launch((child) => {
    running = child;
    child.stdout?.on("data", (chunk) => {
      text += chunk;
    });
  });
  if (running === undefined) throw new Error("it did not start");
  return { child: running, ended, text: () => text };
}

const jobIn = (running: Running) =>
  eventually(() => /job_[0-9a-z]{26}/.exec(running.text())?.[0], "the job's id", 30_000);
const seen = (running: Running, words: string) =>
  eventually(() => (running.text().includes(words) ? true : undefined), `"${words}" in the log`, 40_000);

describe("the GitHub Action", () => {
  const inputsOf = (inputs: Record<string, string>) =>
    Object.fromEntries(
      Object.entries({
        url: firewatch.url,
        connection: "local-v1",
        system: "cluster",
        "refresh-seconds": "1",
        "download-to": "results",
        ...inputs,
      }).map(([name, value]) => [`INPUT_${name.toUpperCase()}`, value]),
    );
  const step = (file: "main.mjs" | "post.mjs", inputs: Record<string, string>, env: Record<string, string> = {}) =>
    start((started) =>
      run(
        process.execPath,
        [join(ROOT, "integrations/github-action", file)],
        {
          cwd: folder,
          env: {
            ...inputsOf(inputs),
            ...issuer.runnerEnv,
            GITHUB_OUTPUT: join(folder, "output"),
            GITHUB_STATE: join(folder, "state"),
            ...env,
          },
        },
        started,
      ),
    );
  /** What the runner hands to the post step. */
  const stateEnv = async () =>
    Object.fromEntries(
      (await readFile(join(folder, "state"), "utf8"))
        .trim()
        .split("\n")
        .map((line) => line.split("=") as [string, string])
        .map(([name, value]) => [`STATE_${name}`, value]),
    );

  it("shows output while the job runs, fetches results, and ends with 0", async () => {
    await writeFile(join(folder, "job.sh"), patient());
    const inputs = {
      script: "job.sh",
      name: "from-actions",
      env: "WHO=a $(touch pwned) 'x'\nEMPTY=",
      outputs: "result.bin",
      request: '{"labels": {"run": "9"}}',
    };
    const running = step("main.mjs", inputs);
    await seen(running, "first of a $(touch pwned) 'x'");
    expect(running.text()).not.toContain("second");
    await writeFile(join(folder, "go"), "");
    const { code, stdout, stderr } = await running.ended;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/▶ running.*first.*second\ntrouble\n.*▶ succeeded.*Fetched result\.bin/s);
    expect(stdout.match(/second|trouble|first of/g)).toHaveLength(3);
    expect(await readFile(join(folder, "results/result.bin"), "utf8")).toBe("bytes of a $(touch pwned) 'x'");
    const outputs = await readFile(join(folder, "output"), "utf8");
    expect(outputs).toMatch(/^job-id=job_.*\nstatus=succeeded\nexit-code=0\n$/);
    expect(new Set(issuer.asked)).toEqual(new Set([firewatch.url]));
    const id = await jobIn(running);
    expect((await firewatch.call("GET", `jobs/${id}`)).body).toMatchObject({
      name: "from-actions",
      labels: { run: "9" },
    });
    // What ended is not cancelled by the post step.
    const after = await step("post.mjs", inputs, await stateEnv()).ended;
    expect([after.code, after.stdout]).toEqual([0, ""]);
  });

  it("lets no line of a job's output be a command to the runner, and masks its tokens", async () => {
    await writeFile(join(folder, "go"), "");
    await writeFile(join(folder, "job.sh"), patient());
    const { stdout } = await step("main.mjs", { script: "job.sh", env: "WHO=me" }).ended;
    const before = stdout.slice(0, stdout.indexOf("::error::first"));
    const token = /::stop-commands::([0-9a-f-]{36})\n$/.exec(before)?.[1];
    expect(token).toBeDefined();
    expect(stdout.slice(before.length)).toContain(`::${token}::`);
    for (const [jwt] of stdout.matchAll(/eyJ[\w-]+\.[\w-]+\.[\w-]+/g)) expect(stdout).toContain(`::add-mask::${jwt}\n`);
    expect(stdout.match(/eyJ/g)?.length).toBe(2 * (stdout.match(/::add-mask::/g)?.length ?? 0));
  });

  it("shows both streams where the scheduler keeps them apart", async () => {
    const script = "#!/bin/bash -l\n#SBATCH --output=o.txt --error=e.txt\necho to out; echo to err >&2";
    const { code, stdout } = await step("main.mjs", { script }).ended;
    expect([code, stdout.match(/^to (out|err)$/gm)]).toEqual([0, ["to out", "to err"]]);
  });

  it("ends with the job's exit code, and names outputs that it did not get", async () => {
    const { code, stdout } = await step("main.mjs", {
      script: "#!/bin/bash -l\necho no >&2\nexit 7",
      outputs: "nothing.txt",
    }).ended;
    expect(code).toBe(7);
    expect(stdout).toContain("::error::Not fetched: nothing.txt");
    expect(stdout).toContain("::error::The job ended as failed");
  });

  it("cancels the job when the workflow is cancelled", async () => {
    await writeFile(join(folder, "job.sh"), patient());
    const running = step("main.mjs", { script: "job.sh", env: "WHO=me" });
    const id = await jobIn(running);
    await seen(running, "first");
    running.child.kill("SIGINT");
    expect((await running.ended).code).toBe(130);
    await cancelled(id);
  });

  it("cancels it after the step when the step was killed", async () => {
    await writeFile(join(folder, "job.sh"), patient());
    const inputs = { script: "job.sh", env: "WHO=me" };
    const running = step("main.mjs", inputs);
    const id = await jobIn(running);
    await seen(running, "first");
    running.child.kill("SIGKILL");
    await running.ended;
    const after = await step("post.mjs", inputs, await stateEnv()).ended;
    expect(after.stdout).toContain(`Cancelled ${id}`);
    await cancelled(id);
  });

  it("says what is wrong: another repository, a wrong request, no permission to make tokens", async () => {
    issuer.claims = { ...GITHUB_CLAIMS, repository_id: "75" };
    const other = await step("main.mjs", { script: "#!/bin/bash -l\ntrue" }).ended;
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining("::error::Firewatch answered 401")]);
    issuer.claims = { ...GITHUB_CLAIMS };
    const wrong = await step("main.mjs", { script: "#!/bin/bash -l\ntrue", system: "nowhere" }).ended;
    expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringContaining("/system")]);
    const silent = await step("main.mjs", { script: "#!/bin/bash -l\ntrue" }, { ACTIONS_ID_TOKEN_REQUEST_URL: "" })
      .ended;
    expect([silent.code, silent.stdout]).toEqual([1, expect.stringContaining("id-token: write")]);
  });

  it("declares every input that it reads", async () => {
    const action = await readFile(join(ROOT, "integrations/github-action/action.yml"), "utf8");
    const declared = [...(action.split("\noutputs:")[0] ?? "").matchAll(/^ {2}([a-z-]+):$/gm)].map(([, name]) => name);
    const source = await readFile(join(ROOT, "integrations/github-action/main.mjs"), "utf8");
    const read = new Set([...source.matchAll(/(?:input|lines)\("([a-z-]+)"\)/g)].map(([, name]) => name));
    expect([...read].sort()).toEqual(declared.sort());
  });
});

/** A block of the component's job, `name: - |`, as the runner's shell gets it. */
function blockOf(template: string, name: string): string {
  const block = new RegExp(`^  ${name}:\\n    - \\|\\n((?:(?:      .*)?\\n)+)`, "m").exec(template)?.[1];
  if (block === undefined) throw new Error(`the component has no ${name}`);
  return block.replaceAll(/^ {6}/gm, "");
}

describe.each(["bash", "dash"])("the GitLab component in %s", (shell) => {
  let template: string;
  beforeAll(async () => {
    template = await readFile(join(ROOT, "integrations/gitlab/templates/hpc-job.yml"), "utf8");
  });

  /** The job's variables, with the component's inputs filled in as GitLab does. */
  function variables(inputs: Record<string, string>): Record<string, string> {
    const [spec = "", job = ""] = template.split("\n---\n");
    const defaults = Object.fromEntries(
      [...spec.matchAll(/^ {4}([a-z-]+):\n {6}default: (.*)$/gm)].map(([, name, value = ""]) => [
        name,
        value.replaceAll(/^"|"$/g, ""),
      ]),
    );
    const given: Record<string, string> = { ...defaults, ...inputs };
    const block = /^ {2}variables:\n((?: {4}.*\n)+)/m.exec(job)?.[1] ?? "";
    return Object.fromEntries(
      [...block.matchAll(/^ {4}(\w+): ["'](.*)["']$/gm)].map(([, name, value = ""]) => [
        name,
        value.replaceAll(/\$\[\[ inputs\.([a-z-]+) \]\]/g, (_, input: string) => given[input] ?? ""),
      ]),
    );
  }

  async function job(inputs: Record<string, string>, part = "script"): Promise<Running> {
    const env = {
      ...variables({
        url: firewatch.url,
        connection: "local-v1",
        system: "cluster",
        "refresh-seconds": "1",
        script: "job.sh",
        ...inputs,
      }),
      FIREWATCH_ID_TOKEN: await issuer.token(firewatch.url),
      CI_JOB_ID: `${shell}-${folder.slice(-6)}`,
      WHO: 'a "b" \\ $(touch pwned)',
    };
    return start((started) => run(shell, ["-c", blockOf(template, part)], { cwd: folder, env }, started));
  }

  it("shows output while the job runs, fetches results, and ends with 0", async () => {
    await writeFile(join(folder, "job.sh"), patient());
    const running = await job({ env: "WHO", outputs: "result.bin", resources: '{"timeLimitSeconds": 60}' });
    await seen(running, 'first of a "b" \\ $(touch pwned)');
    expect(running.text()).not.toContain("second");
    await writeFile(join(folder, "go"), "");
    const { code, stdout, stderr } = await running.ended;
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/> running.*first.*second\ntrouble\n.*Fetched result\.bin/s);
    expect(stdout.match(/second|trouble|first of/g)).toHaveLength(3);
    expect(await readFile(join(folder, "firewatch-outputs/result.bin"), "utf8")).toBe(
      'bytes of a "b" \\ $(touch pwned)',
    );
    expect(existsSync(join(folder, "pwned"))).toBe(false);
    const id = await jobIn(running);
    expect((await firewatch.call("GET", `jobs/${id}`)).body.timeLimitSeconds).toBe(60);
  });

  it("ends with the job's exit code", async () => {
    await writeFile(join(folder, "job.sh"), '#!/bin/bash -l\necho "no\ttab" >&2\nexit 7\n');
    const failed = await (await job({})).ended;
    expect([failed.code, failed.stdout]).toEqual([7, expect.stringContaining("no\ttab")]);
  });

  it("shows both streams where the scheduler keeps them apart, and ends with 1 when an output is missing", async () => {
    const script = "#!/bin/bash -l\n#SBATCH --output=o.txt --error=e.txt\necho to out; echo to err >&2\n";
    await writeFile(join(folder, "job.sh"), script);
    const { code, stdout } = await (await job({ outputs: "nothing.txt" })).ended;
    expect([code, stdout.match(/^to (out|err)$/gm)]).toEqual([1, ["to out", "to err"]]);
    expect(stdout).toContain("Not fetched: nothing.txt (failed)");
  });

  it("cancels the job when the pipeline is cancelled, gently or not", async () => {
    await writeFile(join(folder, "job.sh"), patient());
    const running = await job({ env: "WHO" });
    const id = await jobIn(running);
    await seen(running, "first");
    running.child.kill("SIGTERM");
    expect((await running.ended).code).toBe(130);
    await cancelled(id);
    expect((await (await job({}, "after_script")).ended).stdout).toBe("");

    await rm(join(folder, ".firewatch/ended"));
    expect((await (await job({}, "after_script")).ended).stdout).toContain(`Cancelled ${id}`);
  });

  it("says what is wrong, and submits nothing", async () => {
    await writeFile(join(folder, "job.sh"), "echo without a first line\n");
    const wrong = await (await job({})).ended;
    expect([wrong.code, wrong.stdout]).toEqual([1, expect.stringMatching(/Firewatch answered 422:\n.*\/script/s)]);
    issuer.claims = { ...GITHUB_CLAIMS, repository_owner_id: "66" };
    const other = await (await job({})).ended;
    expect([other.code, other.stdout]).toEqual([1, expect.stringContaining("Firewatch answered 401")]);
  });
});
