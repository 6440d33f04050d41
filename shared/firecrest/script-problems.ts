/** Why a request cannot become a submission, field by field, for a 422. */
import { ENV_TOTAL_MAX_BYTES, EnvName, EnvValue, Resources } from "../contract/job.ts";
import { PlainName, utf8Bytes } from "../contract/words.ts";
import { type Header, heterogeneous, isShellScript, takesComments } from "./header.ts";
import { checkPath } from "./paths.ts";
import { isPingUrl } from "./prologue.ts";
import type { ScriptRequest } from "./script.ts";

export interface ScriptProblem {
  /** Path into the request: `script`, `env.NAME`, `resources.memoryMiB`. */
  field: string;
  message: string;
}

/** What FirecREST's own `env` carries unharmed through quoting and comma lists. */
const API_ENV_VALUE = /^[A-Za-z0-9_./:@%+=-]*$/;
const API_ENV_MAX_BYTES = 4_096;

/** Everything that is wrong with a request that brings its script. */
export function textProblems(request: ScriptRequest, script: string, header: Header): ScriptProblem[] {
  const { env = {} } = request;
  return [
    ...scriptProblems(script, header),
    ...wordProblems(request),
    ...(isShellScript(header)
      ? envProblems(env)
      : apiEnvProblems(env, `a ${header.interpreter.name || "non-shell"} script`)),
    ...resourceProblems(request, header),
  ];
}

/** Everything that is wrong with a request for a script that is on the site already. */
export function pathProblems(request: ScriptRequest, scriptPath: string): ScriptProblem[] {
  const problems = [...wordProblems(request), ...apiEnvProblems(request.env ?? {}, "a script on the site")];
  const bad = checkPath(request.api, "submit_path", scriptPath);
  if (bad !== undefined) problems.push({ field: "scriptPath", message: bad });
  if (hasResources(request.resources)) {
    const message = "need a script that we can write into; put #SBATCH lines into the file";
    problems.push({ field: "resources", message });
  }
  return problems;
}

const hasResources = (resources: Resources = {}): boolean =>
  Object.values(resources).some((value) => value !== undefined);

function scriptProblems(script: string, header: Header): ScriptProblem[] {
  const problems: ScriptProblem[] = [];
  if (header.interpreter.name === "") {
    problems.push({ field: "script", message: "must start with a #! line that names an interpreter" });
  }
  const crlf = header.lines.findIndex((line, i) => line.endsWith("\r") && i < header.lines.length - 1);
  if (crlf !== -1) {
    problems.push({ field: "script", message: `must not have DOS line ends (the first is on line ${crlf + 1})` });
  }
  if (script.includes("\u0000") || !script.isWellFormed()) {
    problems.push({ field: "script", message: "must be well-formed text without NUL" });
  }
  return problems;
}

function resourceProblems({ resources, scheduler = "slurm" }: ScriptRequest, header: Header): ScriptProblem[] {
  if (!hasResources(resources)) return [];
  if (scheduler.toLowerCase() !== "slurm") {
    return [{ field: "resources", message: `are written as #SBATCH lines, which ${scheduler} does not read` }];
  }
  if (!takesComments(header)) {
    return [
      { field: "resources", message: `need a script in which # begins a comment; ${header.interpreter.name} has none` },
    ];
  }
  const het = heterogeneous(header);
  if (het !== undefined) {
    return [
      { field: "resources", message: `cannot be given beside line ${het.line} of the script: ${het.text.trim()}` },
    ];
  }
  const perUnit = header.directives.find(({ words }) => words.some((word) => word.startsWith("--mem-p")));
  if (resources?.memoryMiB !== undefined && perUnit !== undefined) {
    return [
      {
        field: "resources.memoryMiB",
        message: `cannot be given beside line ${perUnit.line} of the script: ${perUnit.text.trim()}`,
      },
    ];
  }
  return [];
}

/** The words that go into lines of ours are checked here once more, whoever called. */
function wordProblems({ api, name, tag, ping, resources = {}, workingDirectory }: ScriptRequest): ScriptProblem[] {
  if (!/^[0-9a-z]{13}$/.test(tag)) throw new TypeError("a tag is 13 lower-case letters or digits");
  const problems: ScriptProblem[] = [];
  if (name !== undefined) problems.push(...issues("name", PlainName.safeParse(name)));
  problems.push(...issues("resources", Resources.safeParse(resources)));
  const directory = workingDirectory === undefined ? undefined : checkPath(api, "working_directory", workingDirectory);
  if (directory !== undefined) problems.push({ field: "workingDirectory", message: directory });
  if (ping !== undefined && !isPingUrl(ping)) {
    problems.push({ field: "ping", message: "the ping address cannot stand in a script" });
  }
  return problems;
}

type Checked = { success: true } | { success: false; error: { issues: { path: PropertyKey[]; message: string }[] } };

const issues = (field: string, checked: Checked): ScriptProblem[] =>
  checked.success
    ? []
    : checked.error.issues.map(({ path, message }) => ({ field: [field, ...path.map(String)].join("."), message }));

const nameProblems = (env: Record<string, string>): ScriptProblem[] =>
  Object.keys(env).flatMap((name) => issues(`env.${name}`, EnvName.safeParse(name)));

function envProblems(env: Record<string, string>): ScriptProblem[] {
  const problems = nameProblems(env);
  for (const [name, value] of Object.entries(env)) {
    const checked = EnvValue.safeParse(value);
    if (!checked.success)
      problems.push({ field: `env.${name}`, message: checked.error.issues[0]?.message ?? "is not allowed" });
  }
  const total = Object.values(env).reduce((sum, value) => sum + utf8Bytes(value), 0);
  if (total > ENV_TOTAL_MAX_BYTES)
    problems.push({ field: "env", message: `must be at most ${ENV_TOTAL_MAX_BYTES} bytes in all` });
  return problems;
}

function apiEnvProblems(env: Record<string, string>, whose: string): ScriptProblem[] {
  const problems = nameProblems(env);
  for (const [name, value] of Object.entries(env)) {
    if (!API_ENV_VALUE.test(value)) {
      problems.push({
        field: `env.${name}`,
        message: `for ${whose} a value may have only letters, digits and _./:@%+=-`,
      });
    }
  }
  const total = Object.entries(env).reduce((sum, [name, value]) => sum + utf8Bytes(name) + utf8Bytes(value) + 2, 0);
  if (total > API_ENV_MAX_BYTES) {
    problems.push({ field: "env", message: `for ${whose} must be at most ${API_ENV_MAX_BYTES} bytes in all` });
  }
  return problems;
}
