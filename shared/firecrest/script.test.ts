import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { tagOf } from "../ids.ts";
import { type Composed, composeScript, type ScriptRequest } from "./script.ts";

const TAG = "0123456789abc";
const BASH = "#!/bin/bash -l\n#SBATCH --time=10\n\necho hello\n";

const compose = (request: Partial<ScriptRequest>) => composeScript({ api: "v1", script: BASH, tag: TAG, ...request });
function composed(request: Partial<ScriptRequest>) {
  const result = compose(request);
  if (!result.ok) throw new Error(JSON.stringify(result.problems));
  return result;
}
const problems = (result: Composed) => (result.ok ? [] : result.problems);

/**
 * Each composed script is kept as a file and must not change by a byte. After a deliberate change run the tests with
 * `UPDATE_GOLDEN=1` and read the difference.
 */
const GOLDEN: Record<string, Partial<ScriptRequest>> = {
  "plain-v1": {},
  "plain-v2": { api: "v2" },
  "named-v1": { name: "simulate" },
  "own-name-v1": { script: "#!/bin/bash -l\n#SBATCH -J mine\necho hi\n" },
  "all-resources": {
    resources: {
      partition: "debug",
      qos: "high",
      nodes: 2,
      tasks: 8,
      cpusPerTask: 4,
      gpus: 1,
      memoryMiB: 2_048,
      timeLimitSeconds: 93_784,
      constraint: "gpu&(rack1|rack2)",
      reservation: "maint",
    },
  },
  env: { env: { GREETING: 'say "hi" to $USER\n', EMPTY: "", UNICODE: "Zürich ☃" } },
  "ping-and-manifest": {
    ping: "https://fw.example/v1/pings/abc?t=1",
    manifest: { paths: ["out/a b.nc", "/scratch/it's", "run-*/[a-c]?.nc"] },
  },
  "only-a-header": { script: "#!/bin/sh\n#SBATCH -n 1" },
  "comments-and-blanks-before-the-command": {
    script: "#!/bin/bash -l\n\n# about\n#SBATCH -n 1\n   # more\n\nset -e\n#SBATCH --not-read\necho hi\n",
  },
  "python-v1": {
    script: "#!/usr/bin/env python3\n#SBATCH -n 1\nimport os\n",
    env: { SEED: "42" },
    resources: { nodes: 1 },
  },
  "untagged-output-by-name": { name: "mine", script: "#!/bin/bash -l\n#SBATCH --output=%x-%j.out\necho hi\n" },
};

describe("a composed script", () => {
  it.each(Object.entries(GOLDEN))("is byte for byte as in %s.golden", (name, request) => {
    const file = fileURLToPath(new URL(`../../test/data/scripts/${name}.golden`, import.meta.url).href);
    const { script = "" } = composed(request);
    if (process.env.UPDATE_GOLDEN === "1") writeFileSync(file, script);
    expect(existsSync(file)).toBe(true);
    expect(script).toBe(readFileSync(file, "utf8"));
  });

  it("keeps every byte of the caller's script, in order", () => {
    const script = `#!/bin/bash -l\n#SBATCH -n 1\n\ncat <<'E'\n#SBATCH not mine\n\tE\nE\n${"x".repeat(1_000)}`;
    const { script: whole = "" } = composed({ script, env: { A: "1" }, resources: { nodes: 1 } });
    const [head, tail] = [script.slice(0, script.indexOf("cat")), script.slice(script.indexOf("cat"))];
    expect(whole.startsWith(head)).toBe(true);
    expect(whole.endsWith(tail)).toBe(true);
  });

  it("never holds a value from outside as text", () => {
    const nasty = "\n#SBATCH --partition=evil\n$(touch /tmp/x)`id`';";
    const { script = "" } = composed({ env: { A: nasty }, manifest: { paths: [`/a/${nasty}`] } });
    expect(script).not.toMatch(/evil|touch|`id`/);
  });

  it("lets our lines win by being the last of the header", () => {
    const { script = "" } = composed({ resources: { timeLimitSeconds: 60 }, name: "x" });
    expect(script.indexOf("--time=0-00:01:00")).toBeGreaterThan(script.indexOf("--time=10"));
    expect(script.indexOf("--job-name=x.fw-")).toBeLessThan(script.indexOf("echo hello"));
  });

  it("tells what it implies", () => {
    expect(composed({})).toMatchObject({ tagged: true, jobName: `job.fw-${TAG}`, timeLimitSeconds: 600, warnings: [] });
    expect(composed({ resources: { timeLimitSeconds: 60 } }).timeLimitSeconds).toBe(60);
    expect(composed({ script: "#!/bin/bash -l\n#SBATCH --array=0-9\necho\n" }).arraySize).toBe(10);
  });
});

describe("the tag", () => {
  it("is the last 13 characters of the job's id", () => {
    expect(tagOf("job_01hqzx3k7m9ta4c8xk2vn5rb6e")).toBe("4c8xk2vn5rb6e");
  });

  it("goes into the script on v1 and beside it on v2", () => {
    expect(composed({ name: "a" }).script).toContain(`#SBATCH --job-name=a.fw-${TAG}\n`);
    const v2 = composed({ api: "v2", name: "a" });
    expect(v2.jobName).toBe(`a.fw-${TAG}`);
    expect(v2.script).toBe(BASH);
  });

  it("continues the script's own name, unless that could not be a name of ours", () => {
    const own = (name: string) => composed({ script: `#!/bin/bash -l\n#SBATCH --job-name=${name}\necho\n` }).jobName;
    expect(own("mine")).toBe(`mine.fw-${TAG}`);
    expect(own("a,b")).toBe(`job.fw-${TAG}`);
    expect(own("x".repeat(201))).toBe(`job.fw-${TAG}`);
  });

  it.each([
    ["%x in a file name", "#SBATCH -o %x.out", "v2"],
    ["a singleton dependency", "#SBATCH --dependency=singleton", "v2"],
    ["hetjob", "#SBATCH hetjob", "v2"],
    ["packjob", "#SBATCH packjob", "v1"],
    ["#PBS on v1", "#PBS -N other", "v1"],
    ["#BSUB on v1", "#BSUB -J other", "v1"],
  ] as const)("is left off for %s, with a warning that names the line", (_, line, api) => {
    const result = composed({ api, name: "mine", script: `#!/bin/bash -l\n${line}\necho\n` });
    expect(result).toMatchObject({ tagged: false, jobName: "mine" });
    expect(result.warnings[0]).toMatchObject({
      code: "not_tagged",
      message: expect.stringContaining(`line 2 (${line})`),
    });
  });

  it("survives #PBS lines on v2, where the name is given beside the script", () => {
    expect(composed({ api: "v2", script: "#!/bin/bash -l\n#PBS -N a\necho\n" }).tagged).toBe(true);
  });

  it("is left off for a script on the site on v1 only", () => {
    const path = { script: undefined, scriptPath: "/home/a/job.sh", name: "n" } as unknown as Partial<ScriptRequest>;
    expect(composed({ ...path, api: "v1" })).toMatchObject({ tagged: false, warnings: [{ code: "not_tagged" }] });
    expect(composed({ ...path, api: "v1" }).jobName).toBeUndefined();
    expect(composed({ ...path, api: "v2" })).toMatchObject({ tagged: true, jobName: `n.fw-${TAG}` });
  });

  it("does not break a script whose language has other comments", () => {
    const node = "#!/usr/bin/env node\nconsole.log(1)\n";
    expect(composed({ script: node })).toMatchObject({ tagged: false, script: node });
    expect(composed({ script: node, api: "v2" }).tagged).toBe(true);
    expect(problems(compose({ script: node, resources: { nodes: 1 } }))[0]?.field).toBe("resources");
  });
});

describe("a script that cannot be submitted", () => {
  it.each([
    ["no #! line", "echo hi\n", "#!"],
    ["a blank first line", "\n#!/bin/bash\n", "#!"],
    ["a byte order mark", "\ufeff#!/bin/bash\necho\n", "#!"],
    ["DOS line ends", "#!/bin/bash\necho a\r\necho b\n", "line 2"],
    ["NUL", "#!/bin/bash\necho \u0000\n", "NUL"],
    ["half a character", "#!/bin/bash\necho \ud800\n", "well-formed"],
  ])("has %s", (_, script, text) => {
    const [problem] = problems(compose({ script }));
    expect(problem).toMatchObject({ field: "script", message: expect.stringContaining(text) });
  });

  it("has hetjob lines beside resources, or per-unit memory beside memoryMiB, and the line is named", () => {
    const het = compose({ script: "#!/bin/bash\n\n#SBATCH -n 1\n#SBATCH hetjob\necho\n", resources: { nodes: 1 } });
    expect(problems(het)).toEqual([
      { field: "resources", message: expect.stringContaining("line 4 of the script: #SBATCH hetjob") },
    ]);
    const mem = "#!/bin/bash\n#SBATCH --mem-per-cpu=2G\necho\n";
    expect(problems(compose({ script: mem, resources: { memoryMiB: 5 } }))).toEqual([
      {
        field: "resources.memoryMiB",
        message: expect.stringContaining("line 2 of the script: #SBATCH --mem-per-cpu=2G"),
      },
    ]);
    expect(compose({ script: mem, resources: { nodes: 5 } }).ok).toBe(true);
    expect(compose({ script: "#!/bin/bash -l\n#SBATCH hetjob\necho\n", resources: {} }).ok).toBe(true);
  });

  it("has resources for a scheduler that does not read #SBATCH lines", () => {
    expect(problems(compose({ api: "v2", scheduler: "pbs", resources: { nodes: 1 } }))[0]?.field).toBe("resources");
  });

  it("is told by field and never thrown, for words that would end up in lines of ours", () => {
    const bad = compose({
      name: "a\n#SBATCH -p x",
      resources: { partition: "p q", nodes: 0 },
      workingDirectory: "/a b",
      ping: "https://x/'$(id)",
    });
    expect(problems(bad).map((p) => p.field)).toEqual([
      "name",
      "resources.partition",
      "resources.nodes",
      "workingDirectory",
      "ping",
    ]);
  });
});

describe("environment values", () => {
  it.each([
    ..."PATH IFS PS4 ENV _ PWD OLDPWD SHLVL UID EUID PPID GROUPS FUNCNAME DIRSTACK PIPESTATUS OPTIND OPTARG RANDOM".split(
      " ",
    ),
    ..."SRANDOM SECONDS LINENO HISTCMD SHELLOPTS POSIXLY_CORRECT BASH BASH_ENV BASHOPTS EPOCHSECONDS LD_PRELOAD".split(
      " ",
    ),
    ..."SLURM_JOB_ID SBATCH_ACCOUNT 1A A-B".split(" "),
    "",
    "A\n",
    "x".repeat(129),
  ])("cannot be called %j", (name) => {
    expect(problems(compose({ env: { [name]: "1" } }))[0]?.field).toBe(`env.${name}`);
  });

  it("have limits for one, for all, and for what UTF-8 cannot hold", () => {
    expect(compose({ env: { A: "x".repeat(65_536) } }).ok).toBe(true);
    expect(problems(compose({ env: { A: "x".repeat(65_537) } }))[0]?.field).toBe("env.A");
    expect(problems(compose({ env: { A: "é".repeat(32_769) } }))[0]?.field).toBe("env.A");
    expect(problems(compose({ env: { A: "x".repeat(65_536), B: "x".repeat(32_769) } }))[0]?.field).toBe("env");
    expect(problems(compose({ env: { A: "\u0000" } }))[0]?.field).toBe("env.A");
    expect(problems(compose({ env: { A: "\ud800" } }))[0]?.field).toBe("env.A");
  });

  it("go through the API where the script is no shell script, if they are plain", () => {
    const python = { script: "#!/usr/bin/python3\nimport os\n" };
    expect(composed({ ...python, env: { SEED: "a_1./:@%+=-" } }).apiEnv).toEqual({ SEED: "a_1./:@%+=-" });
    for (const value of ["a b", "a,b", "'", "é", "\n", "$HOME"]) {
      expect(problems(compose({ ...python, env: { OK: "1", BAD: value } })).map((p) => p.field)).toEqual(["env.BAD"]);
    }
    expect(problems(compose({ ...python, env: { A: "x".repeat(4_096) } }))[0]?.field).toBe("env");
    expect(composed({ env: { A: "1" } }).apiEnv).toBeUndefined();
  });
});

describe("a script on the site", () => {
  const path = (more: Partial<ScriptRequest>) =>
    composeScript({ api: "v2", scriptPath: "/home/a/job.sh", tag: TAG, ...more });

  it("takes plain values through the API and nothing else", () => {
    expect(path({ env: { A: "1" } })).toMatchObject({ ok: true, apiEnv: { A: "1" } });
    expect(problems(path({ env: { A: "a b" }, resources: { nodes: 1 } })).map((p) => p.field)).toEqual([
      "env.A",
      "resources",
    ]);
    expect(problems(path({ scriptPath: "/home/a b.sh" }))).toEqual([
      { field: "scriptPath", message: "must not contain a space (character 8)" },
    ]);
  });
});

describe("a shell that is no login shell", () => {
  it("is warned about, once", () => {
    expect(composed({ script: "#!/bin/bash\necho\n" }).warnings.map((w) => w.code)).toEqual(["no_login_shell"]);
    expect(composed({ script: "#!/usr/bin/env python3\nprint(1)\n" }).warnings).toEqual([]);
  });
});

describe("the exit trap", () => {
  it("is left out of scripts that are no shell scripts, and the manifest out of arrays", () => {
    const work = { ping: "https://fw.example/p", manifest: { paths: ["a"] } };
    const python = composed({ ...work, script: "#!/usr/bin/python3\nimport os\n" });
    expect([python.manifest, python.script?.includes("_fw_")]).toEqual([false, false]);
    const array = composed({ ...work, script: "#!/bin/bash -l\n#SBATCH -a 1-3\necho\n" });
    expect([array.manifest, array.script?.includes("_fw_manifest"), array.script?.includes("_fw_ping")]).toEqual([
      false,
      false,
      true,
    ]);
    expect(composed(work).manifest).toBe(true);
  });
});
