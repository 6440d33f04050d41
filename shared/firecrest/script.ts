/**
 * What is submitted: the caller's script with our lines at the end of its header, or the few values that the API itself
 * can carry. Pure. A value from outside never becomes script text.
 */
import type { Resources, Warning } from "../contract/job.ts";
import { PlainName } from "../contract/words.ts";
import {
  arraySizeOf,
  type Directive,
  type Header,
  heterogeneous,
  isShellScript,
  optionOf,
  readHeader,
  takesComments,
  timeLimitOf,
} from "./header.ts";
import type { Api } from "./port.ts";
import { environmentLines, exitTrapLines } from "./prologue.ts";
import { pathProblems, type ScriptProblem, textProblems } from "./script-problems.ts";

export type { ScriptProblem } from "./script-problems.ts";

export interface ScriptRequest {
  api: Api;
  /** Of the system; typed resources can only be written for Slurm. Default `slurm`. */
  scheduler?: string;
  /** Exactly one of the two. */
  script?: string;
  scriptPath?: string;
  name?: string;
  /** 13 lower-case letters or digits, see `tagOf`. */
  tag: string;
  resources?: Resources;
  env?: Record<string, string>;
  workingDirectory?: string;
  /** POSTed to by the job's EXIT trap. */
  ping?: string;
  /** Outputs that the job's EXIT trap shall hash. */
  manifest?: { paths: string[] };
}

export interface ComposedScript {
  ok: true;
  script?: string;
  /** For `Submission.env`: what could not go into the script. */
  apiEnv?: Record<string, string>;
  /** Full scheduler name, where we know it. On v1 it is in the script as well. */
  jobName?: string;
  /** Whether the job can be found again by its name, so that a lost submission may be repeated. */
  tagged: boolean;
  /** Whether the job will write a manifest (it may still fail to). */
  manifest: boolean;
  /** Elements, where the job is an array. */
  arraySize?: number;
  timeLimitSeconds?: number;
  warnings: Warning[];
}

export type Composed = ComposedScript | { ok: false; problems: ScriptProblem[] };

export function composeScript(request: ScriptRequest): Composed {
  return request.script === undefined
    ? composePath(request, request.scriptPath ?? "")
    : composeText(request, request.script);
}

function composePath(request: ScriptRequest, scriptPath: string): Composed {
  const { api, env = {}, name, tag } = request;
  const problems = pathProblems(request, scriptPath);
  if (problems.length > 0) return { ok: false, problems };
  const tagged = api === "v2";
  return {
    ok: true,
    ...apiEnvOf(env),
    ...(tagged ? { jobName: taggedName(name, tag) } : {}),
    tagged,
    manifest: false,
    warnings: tagged ? [] : [untagged("FirecREST v1 submits a script on the site under its own name")],
  };
}

function composeText(request: ScriptRequest, script: string): Composed {
  const { api, env = {}, name, resources = {}, tag } = request;
  const header = readHeader(script);
  const shell = isShellScript(header);
  const problems = textProblems(request, script, header);
  if (problems.length > 0) return { ok: false, problems };

  const reason = whyUntagged(api, header);
  const jobName = reason === undefined ? taggedName(name ?? ownName(header), tag) : name;
  const array = arraySizeOf(script);
  const manifest =
    shell && array === undefined && (request.manifest?.paths.length ?? 0) > 0 ? request.manifest : undefined;
  const ours = [
    ...resourceLines(resources),
    ...(api === "v1" && jobName !== undefined && takesComments(header) ? [`#SBATCH --job-name=${jobName}`] : []),
    ...(shell ? environmentLines(env) : []),
    ...(shell
      ? exitTrapLines({
          ...(request.ping === undefined ? {} : { ping: request.ping }),
          ...(manifest === undefined ? {} : { manifest: { ...manifest, tag } }),
        })
      : []),
  ];
  const timeLimitSeconds = resources.timeLimitSeconds ?? timeLimitOf(script);
  return {
    ok: true,
    script: insert(header, ours),
    ...(shell ? {} : apiEnvOf(env)),
    ...(jobName === undefined ? {} : { jobName }),
    tagged: reason === undefined,
    manifest: manifest !== undefined,
    ...(array === undefined ? {} : { arraySize: array }),
    ...(timeLimitSeconds === undefined ? {} : { timeLimitSeconds }),
    warnings: [...(reason === undefined ? [] : [untagged(reason)]), ...loginWarning(header, shell)],
  };
}

/** Our lines go just before the first command line, or to the end of a script that has none. */
function insert(header: Header, ours: string[]): string {
  const { lines, length } = header;
  if (length < lines.length) return [...lines.slice(0, length), ...ours, ...lines.slice(length)].join("\n");
  const whole = lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  return `${[...whole, ...ours].join("\n")}\n`;
}

function resourceLines(r: Resources): string[] {
  const options: [string, string | number | undefined][] = [
    ["partition", r.partition],
    ["qos", r.qos],
    ["nodes", r.nodes],
    ["ntasks", r.tasks],
    ["cpus-per-task", r.cpusPerTask],
    ["gpus", r.gpus],
    ["mem", r.memoryMiB === undefined ? undefined : `${r.memoryMiB}M`],
    ["time", r.timeLimitSeconds === undefined ? undefined : clockOf(r.timeLimitSeconds)],
    ["constraint", r.constraint],
    ["reservation", r.reservation],
  ];
  return options.flatMap(([option, value]) => (value === undefined ? [] : [`#SBATCH --${option}=${value}`]));
}

/** `D-HH:MM:SS`. */
function clockOf(seconds: number): string {
  const two = (n: number) => String(Math.floor(n)).padStart(2, "0");
  return `${Math.floor(seconds / 86_400)}-${two((seconds % 86_400) / 3_600)}:${two((seconds % 3_600) / 60)}:${two(seconds % 60)}`;
}

const taggedName = (name: string | undefined, tag: string): string => `${name ?? "job"}.fw-${tag}`;

/** The name in the script, where it can be continued by our tag. */
function ownName(header: Header): string | undefined {
  const name = optionOf(header, "--job-name", "-J");
  return PlainName.safeParse(name).success ? name : undefined;
}

/** Why a job cannot carry our tag, or undefined when it can. */
function whyUntagged(api: Api, header: Header): string | undefined {
  const at = ({ line, text }: Directive) => `line ${line} (${text.trim()})`;
  const named = header.directives.find(({ text }) => /%\d*x/.test(text));
  if (named !== undefined) return `${at(named)} uses the job's name`;
  const singleton = header.directives.find(({ text }) => /\bsingleton\b/.test(text));
  if (singleton !== undefined) return `${at(singleton)} depends on the job's name`;
  const het = heterogeneous(header);
  if (het !== undefined) return `${at(het)} makes several jobs of one`;
  const foreign = header.foreign[0];
  if (api === "v1" && foreign !== undefined) return `${at(foreign)} belongs to another scheduler`;
  if (api === "v1" && !takesComments(header)) return `a ${header.interpreter.name} script takes no #SBATCH lines`;
  return undefined;
}

const apiEnvOf = (env: Record<string, string>) => (Object.keys(env).length === 0 ? {} : { apiEnv: { ...env } });

const untagged = (reason: string): Warning => ({
  code: "not_tagged",
  message: `If the site's answer to the submission is lost, the job cannot be found by its name: ${reason}.`,
});

function loginWarning(header: Header, shell: boolean): Warning[] {
  if (!shell || header.interpreter.login) return [];
  return [
    {
      code: "no_login_shell",
      message: "The script does not start with `#!/bin/bash -l`, so login profiles (modules, paths) may not be loaded.",
    },
  ];
}
