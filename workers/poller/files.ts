/** One file operation that a person asks for: checked, held against the site's limits, and carried out at once or as a job. */
import type { Caller } from "../../shared/contract/access.ts";
import type { Job } from "../../shared/contract/job.ts";
import type { Answer, Doing, FieldProblem, Idempotency, Origin, Refusal } from "../../shared/contract/rpc.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import { checkPath } from "../../shared/firecrest/paths.ts";
import type { Api, FileJob, Firecrest, SiteParameters } from "../../shared/firecrest/port.ts";
import type { Log } from "../../shared/log.ts";
import { once } from "./acts.ts";
import type { Env } from "./env.ts";
import { type FileResult, isJobOnly, OPERATIONS, type Operation } from "./file-ops.ts";
import type { OperationRequest } from "./operations.ts";
import { reading } from "./reads.ts";

/** `job`: the site runs it as a job of its own, which is followed like any other. */
export type FileAnswer = FileResult | { job: Job };

const invalid = (errors: FieldProblem[]): Refusal => ({ ok: false, code: "invalid", errors });

export async function file(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
  name: string,
  input: Record<string, unknown>,
  origin: Origin,
  idempotency?: Idempotency,
): Promise<Answer<FileAnswer & { replayed?: true }>> {
  const known = Object.hasOwn(OPERATIONS, name) ? OPERATIONS[name] : undefined;
  if (known === undefined) return { ok: false, code: "not_found", detail: `There is no file operation ${name}.` };
  const parsed = known.input.safeParse(input);
  if (!parsed.success)
    return invalid(
      parsed.error.issues.map((issue) => ({
        field: `/${issue.path.join("/") || (issue.code === "unrecognized_keys" ? issue.keys[0] : "")}`,
        message: issue.message,
      })),
    );
  const [place] = known.paths(parsed.data);
  const doing: Doing = { act: `files.${name}`, subject: `systems/${system}${place?.[2] ?? ""}`, origin };
  const recorded = known.scope === "files:write" ? doing : undefined;
  const work = async (firecrest: Firecrest, limits: SiteParameters): Promise<Answer<FileAnswer>> => {
    const problems = problemsOf(known, parsed.data, firecrest.api);
    if (problems.length > 0) return invalid(problems);
    const tooLarge = await weighed(known, parsed.data, firecrest, system, limits);
    if (tooLarge !== undefined) return invalid([tooLarge]);
    const accept = (job: FileJob, warnings: OperationRequest["warnings"] = []) => {
      const { account, after } = parsed.data as { account?: string; after?: string };
      const request = {
        system,
        job,
        warnings,
        ...(account === undefined ? {} : { account }),
        ...(after === undefined ? {} : { after }),
      };
      return asJob(firecrest.api, request, () =>
        env.TRACKER.getByName(connection).acceptOperation(caller, request, origin, idempotency),
      );
    };
    const job = known.job?.(parsed.data);
    if (job !== undefined && (known.run === undefined || isJobOnly(name, firecrest.api, parsed.data)))
      return accept(job);
    try {
      return { ok: true, value: (await known.run?.(firecrest, system, parsed.data)) ?? { body: {} } };
    } catch (error) {
      if (job === undefined || known.again === undefined || !isTimeout(error)) throw error;
      if (job.op === "remove" && (await isGone(firecrest, system, job.path)))
        return { ok: true, value: { body: { done: true } } };
      const seconds = limits.commandTimeoutSeconds;
      const limit =
        seconds === undefined ? "The site's time for one command" : `The site's ${seconds} s for one command`;
      return accept(job, [
        { code: "ran_out_of_time", message: `${limit} were not enough; it runs again as a job of the site.` },
      ]);
    }
  };
  return once<FileAnswer>(env, connection, caller, { scope: known.scope, system, idempotency }, () =>
    reading(env, log, connection, caller, known.scope, system, work, recorded),
  );
}

function problemsOf(known: Operation<unknown>, input: unknown, api: Api): FieldProblem[] {
  const paths = known
    .paths(input)
    .map(([field, op, p]): [string, string | undefined] => [field, checkPath(api, op, p)]);
  return [...paths, ...(known.check?.(input, api) ?? [])].flatMap(([field, problem]) =>
    problem === undefined ? [] : [{ field: `/${field}`, message: problem }],
  );
}

const isTimeout = (error: unknown): boolean => error instanceof FirecrestError && error.code === "command_timeout";

async function isGone(firecrest: Firecrest, system: string, path: string): Promise<boolean> {
  try {
    await firecrest.files.stat(system, path);
    return false;
  } catch (error) {
    if (error instanceof FirecrestError && error.code === "not_found") return true;
    throw error;
  }
}

/** What is heavier than the site takes in one command is refused before the site is bothered with it. */
async function weighed(
  known: Operation<unknown>,
  input: unknown,
  firecrest: Firecrest,
  system: string,
  { directMaxBytes, directUploadMaxBytes }: SiteParameters,
): Promise<FieldProblem | undefined> {
  const weight = known.weighs?.(input);
  if (weight === undefined) return undefined;
  if ("sent" in weight) {
    if (directUploadMaxBytes === undefined || weight.sent <= directUploadMaxBytes) return undefined;
    return {
      field: "/content",
      message: `has ${weight.sent} bytes; this site takes at most ${directUploadMaxBytes} in one request. Put it as an object and start a transfer`,
    };
  }
  if (directMaxBytes === undefined) return undefined;
  const { size, isDirectory } = await firecrest.files.stat(system, weight.fetched, { dereference: true });
  if (isDirectory || size <= directMaxBytes) return undefined;
  return {
    field: "/path",
    message: `has ${size} bytes; this site gives at most ${directMaxBytes} in one request. Start a transfer to an object, or read a part with head or tail`,
  };
}

/** What goes into a batch script must be plainer than what goes into a quoted command, and v2 lacks one operation. */
async function asJob(
  api: Api,
  { job, after }: OperationRequest,
  accept: () => Promise<Answer<Job>>,
): Promise<Answer<{ job: Job }>> {
  if (job.op === "rsync" && api === "v2")
    return {
      ok: false,
      code: "invalid",
      detail: "FirecREST v2 has no rsync; use copy, which takes whole trees as well.",
    };
  if (after !== undefined && api === "v2")
    return invalid([
      { field: "/after", message: "FirecREST v2 cannot make an operation wait for a job; ask when it has ended" },
    ]);
  const places = job.op === "remove" ? { path: job.path } : { from: job.from, to: job.to };
  const problems = Object.entries(places).flatMap(([field, path]) => {
    const problem = checkPath(api, "file_job", path);
    return problem === undefined ? [] : [{ field: `/${field}`, message: problem }];
  });
  if (problems.length > 0) return invalid(problems);
  const accepted = await accept();
  return accepted.ok ? { ok: true, value: { job: accepted.value } } : accepted;
}
