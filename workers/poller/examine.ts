/** What is wrong with a request before it becomes a row. Reads, and changes nothing. */
import type { HookRequestBody } from "../../shared/contract/hook.ts";
import { JobCallback, type JobRequest } from "../../shared/contract/job.ts";
import type { FieldProblem } from "../../shared/contract/rpc.ts";
import type { TransferRequest } from "../../shared/contract/transfer.ts";
import { utf8Bytes, z } from "../../shared/contract/words.ts";
import { shapeOf } from "../../shared/domain/output.ts";
import { checkPath, resolvePath } from "../../shared/firecrest/paths.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import type { Composed } from "../../shared/firecrest/script.ts";
import type { Desk } from "./accept.ts";
import type { Actor } from "./access.ts";
import { composeJob } from "./composing.ts";
import type { House } from "./house.ts";
import { limitProblems } from "./limits.ts";
import { directoryProblem, outputProblems } from "./outputs.ts";

/** One text for every refused address: nobody learns from it what a name resolves to. */
export const ADDRESS_REFUSED = "is not an address that may be called; use a public https URL";

/** What sbatch would read of a request, and everything that is wrong with it. Changes nothing. */
export function examineJob(
  desk: Desk,
  actor: Actor,
  request: JobRequest,
  id: string,
  pingToken: string | undefined,
): { composed: Composed; problems: FieldProblem[] } {
  const site = desk.site.config();
  const { api } = site;
  const ping = pingToken === undefined ? undefined : pingUrl(desk.house, id, pingToken);
  const composed = composeJob(api, id, request, { workingDirectory: request.workingDirectory, ping });
  const problems: FieldProblem[] = [
    ...(composed.ok ? [] : composed.problems.map(({ field, message }) => ({ field: pointer(field), message }))),
  ];
  problems.push(...systemProblems(desk, actor, request.system));
  problems.push(...outputProblems(request, api));
  problems.push(...urlProblems(desk, request));
  problems.push(...scriptProblems(desk, composed.ok ? composed.script : undefined));
  problems.push(...inputProblems(request, api));
  problems.push(...limitProblems(site, request));
  return { composed, problems };
}

const JobCallbacks = z.array(JobCallback);

/** What a hook will start, as far as it takes no parameters: better told now than when the first request comes. */
export function targetProblems(desk: Desk, actor: Actor, target: HookRequestBody["target"]): FieldProblem[] {
  const [place, { system, callbacks }] =
    "job" in target ? (["/target/job", target.job] as const) : (["/target/transfer", target.transfer] as const);
  const heard = JobCallbacks.safeParse(callbacks);
  const problems = [
    ...(typeof system === "string" ? systemProblems(desk, actor, system) : []),
    ...(heard.success ? urlProblems(desk, { callbacks: heard.data }) : []),
  ];
  return problems.map(({ field, message }) => ({ field: `${place}${field}`, message }));
}

export function transferProblems(desk: Desk, actor: Actor, request: TransferRequest): FieldProblem[] {
  const { api } = desk.site.config();
  const problems = systemProblems(desk, actor, request.system);
  if (request.direction === "upload") return [...problems, ...uploadProblems(desk, request)];
  const unusable = sourceProblem(api, request.path);
  if (unusable !== undefined) problems.push({ field: "/path", message: unusable });
  return problems;
}

function uploadProblems({ site, egress }: Desk, { path, url }: TransferRequest): FieldProblem[] {
  const unusable = checkPath(site.config().api, "stage_upload", path);
  const problems = [
    { field: "/path", message: unusable },
    { field: "/path", message: path.endsWith("/") ? "must be the file, not its directory" : undefined },
    {
      field: "/url",
      message: url !== undefined && egress.refusal(url) !== undefined ? ADDRESS_REFUSED : undefined,
    },
  ];
  return problems.flatMap(({ field, message }) => (message === undefined ? [] : [{ field, message }]));
}

/** Stands for a directory that the site has not told yet: it is of plain letters, whatever it is. */
const SOME_DIRECTORY = "/w";

function inputProblems({ inputs = [], workingDirectory }: JobRequest, api: Api): FieldProblem[] {
  return inputs.flatMap(({ path }, n) => {
    const resolved = resolvePath(workingDirectory ?? SOME_DIRECTORY, path);
    const problem = resolved.ok ? checkPath(api, "stage_upload", resolved.path) : resolved.message;
    return problem === undefined ? [] : [{ field: `/inputs/${n}/path`, message: problem }];
  });
}

/** Where a job calls when it starts and ends. */
export const pingUrl = (house: House, id: string, token: string): string =>
  `${house.env.PUBLIC_URL ?? ""}/pings/${house.name}/${id}/${token}`;

/** `env.NAME` → `/env/NAME`. */
const pointer = (field: string): string => `/${field.replaceAll("~", "~0").replaceAll("/", "~1").replaceAll(".", "/")}`;

export function systemProblems(desk: Desk, actor: Actor, system: string): FieldProblem[] {
  if (actor.systems !== undefined && !actor.systems.includes(system))
    return [{ field: "/system", message: "is not among the systems that this key may use" }];
  const known = desk.site.facts()?.systems.map(({ name }) => name);
  if (known === undefined || known.length === 0 || known.includes(system)) return [];
  return [{ field: "/system", message: `is not a system of this connection; it has ${known.join(", ")}` }];
}

/** With what goes before its first command: that is what the site gets. */
function scriptProblems({ site }: Desk, script: string | undefined): FieldProblem[] {
  const limit = site.facts()?.parameters.directUploadMaxBytes;
  const bytes = script === undefined ? 0 : utf8Bytes(script);
  if (limit === undefined || bytes <= limit) return [];
  const message = `has ${bytes} bytes as it would be submitted; this site takes at most ${limit}. Upload it and give scriptPath`;
  return [{ field: "/script", message }];
}

/** A file must be one that a link can be made to, since every such file can be staged; a directory, one that can be packed. */
const sourceProblem = (api: Api, path: string): string | undefined =>
  shapeOf(path) === "directory" ? directoryProblem(api, path) : checkPath(api, "symlink", path);

export function urlProblems(desk: Desk, request: Pick<JobRequest, "callbacks" | "inputs">): FieldProblem[] {
  const urls = [
    ...(request.callbacks ?? []).map(({ url }, n) => ({ field: `/callbacks/${n}/url`, url })),
    ...(request.inputs ?? []).flatMap(({ url }, n) => (url === undefined ? [] : [{ field: `/inputs/${n}/url`, url }])),
  ];
  return urls
    .filter(({ url }) => desk.egress.refusal(url) !== undefined)
    .map(({ field }) => ({ field, message: ADDRESS_REFUSED }));
}
