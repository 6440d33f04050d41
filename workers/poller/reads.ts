/** Reads and small file operations that a person waits for. They run here, not in the Tracker, under its budget. */

import { rfc3339, systemNow } from "../../shared/clock.ts";
import type { Caller } from "../../shared/contract/access.ts";
import type { MachinePart, ServiceView, SystemView } from "../../shared/contract/connection.ts";
import { SCRIPT_MAX_BYTES } from "../../shared/contract/job.ts";
import type { Answer, Doing, Page, Refusal } from "../../shared/contract/rpc.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { FirecrestError, type FirecrestErrorCode } from "../../shared/firecrest/errors.ts";
import { checkPath } from "../../shared/firecrest/paths.ts";
import type { Firecrest, SiteParameters } from "../../shared/firecrest/port.ts";
import type { Log } from "../../shared/log.ts";
import { isOfRun, shownTail } from "../../shared/tail.ts";
import type { Env } from "./env.ts";
import type { OutputPlace } from "./rooms.ts";
import { type BoundSite, clientOf, diagnose, tokenFrom } from "./site.ts";

type ProblemCode = Refusal["code"];

/** What a site's refusal is to the person who asked. */
const PROBLEMS: Partial<Record<FirecrestErrorCode, ProblemCode>> = {
  invalid_path: "invalid",
  invalid_request: "invalid",
  is_a_directory: "invalid",
  not_a_directory: "invalid",
  too_large: "too_large",
  not_found: "not_found",
  unknown_system: "not_found",
  permission_denied: "forbidden",
  already_exists: "conflict",
  not_supported: "invalid",
  rate_limited: "rate_limited",
  system_unavailable: "unavailable",
  command_timeout: "unavailable",
};

export function refusalOf(error: unknown): Refusal {
  if (!(error instanceof FirecrestError)) throw error;
  const code = PROBLEMS[error.code] ?? (error.retry === "never" ? "upstream" : "unavailable");
  return {
    ok: false,
    code,
    // A missing file is no reason to doubt the site's address.
    detail: error.code === "not_found" ? error.message : diagnose(error),
    ...(error.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: error.retryAfterSeconds }),
    // What changes the site, and got no answer.
    ...(error.retry === "after_check" ? { uncertain: true } : {}),
  };
}

/** Lets the caller in, then reads with a client of its own. */
export async function reading<T>(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  scope: "jobs:read" | "jobs:write" | "files:read" | "files:write",
  system: string | undefined,
  work: (firecrest: Firecrest, limits: SiteParameters) => Promise<Answer<T>>,
  doing?: Doing,
): Promise<Answer<T>> {
  const tracker = env.TRACKER.getByName(connection);
  const admitted = (await tracker.read(caller, scope, system, 1, doing)) as Answer<{
    site: BoundSite;
    limits?: SiteParameters;
  }>;
  if (!admitted.ok) return admitted;
  const firecrest = clientOf(admitted.value.site, egressFrom(env, log), {
    token: tokenFrom((renew) => tracker.token(renew, admitted.value.site.credential)),
    now: systemNow,
    log: (line) => log({ event: "firecrest", connection, ...line }),
  });
  try {
    return await work(firecrest, admitted.value.limits ?? {});
  } catch (error) {
    return refusalOf(error);
  }
}

export async function systems(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
): Promise<Answer<Page<SystemView>>> {
  return reading(env, log, connection, caller, "jobs:read", undefined, async (firecrest) => {
    const found = await firecrest.systems();
    const parameters = await firecrest.parameters();
    await env.TRACKER.getByName(connection).keepFacts({ systems: found, parameters, at: systemNow() });
    return { ok: true, value: { items: found } };
  });
}

/** What each part of the site is said to be, and whether it answers, where that can be asked. */
export async function services(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
): Promise<Answer<Page<ServiceView>>> {
  return reading(env, log, connection, caller, "jobs:read", undefined, async (firecrest) => {
    const [found, beats] = [await firecrest.services(), await firecrest.heartbeats()];
    const items = found.map(({ checkedAt, ...service }) => {
      const beat = beats.find(({ name }) => name === service.name || name === service.system);
      const lookedAt = checkedAt ?? beat?.at;
      return {
        ...service,
        ...(beat === undefined ? {} : { answers: beat.alive }),
        ...(lookedAt === undefined ? {} : { checkedAt: rfc3339(lookedAt) }),
      };
    });
    return { ok: true, value: { items } };
  });
}

export async function oneSystem(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
): Promise<Answer<SystemView & { parameters: Record<string, unknown> }>> {
  return reading(env, log, connection, caller, "jobs:read", system, async (firecrest) => {
    const found = (await firecrest.systems()).find(({ name }) => name === system);
    if (found === undefined) return { ok: false, code: "not_found" };
    return { ok: true, value: { ...found, parameters: { ...(await firecrest.parameters()) } } };
  });
}

export async function machine(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
  part: MachinePart,
): Promise<Answer<Page<object>>> {
  return reading<Page<object>>(env, log, connection, caller, "jobs:read", system, async (firecrest) => {
    if (part !== "reservations") return { ok: true, value: { items: await firecrest[part](system) } };
    const items = (await firecrest.reservations(system)).map(({ startsAt, endsAt, ...rest }) => ({
      ...rest,
      ...(startsAt === undefined ? {} : { startsAt: rfc3339(startsAt) }),
      ...(endsAt === undefined ? {} : { endsAt: rfc3339(endsAt) }),
    }));
    return { ok: true, value: { items } };
  });
}

/** As `output`, for where others read along: without control sequences, and everything that looks like a secret masked. */
export async function logs(...[env, log, connection, caller, jobId, stream, lines]: Parameters<typeof output>) {
  const answer = await output(env, log, connection, caller, jobId, stream, lines);
  return answer.ok ? { ok: true as const, value: shownTail(answer.value, lines) } : answer;
}

/** A batch script on the site, for submitting its text. */
export async function script(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  system: string,
  path: string,
): Promise<Answer<string>> {
  return reading(env, log, connection, caller, "jobs:write", system, async (firecrest) => {
    const unusable = checkPath(firecrest.api, "view", path);
    if (unusable !== undefined)
      return { ok: false, code: "invalid", errors: [{ field: "/scriptPath", message: unusable }] };
    const { size } = await firecrest.files.stat(system, path, { dereference: true });
    if (size > SCRIPT_MAX_BYTES) return { ok: false, code: "too_large", detail: "A script has at most 256 KiB." };
    return { ok: true, value: await firecrest.files.view(system, path) };
  });
}

/**
 * The last lines of what a job printed, as they are. The path comes from the job's own record, never from the caller, and a
 * file that was last written before the job began is that of another job.
 */
export async function output(
  env: Env,
  log: Log,
  connection: string,
  caller: Caller,
  jobId: string,
  stream: "stdout" | "stderr",
  lines: number,
): Promise<Answer<string>> {
  const tracker = env.TRACKER.getByName(connection);
  const known = (await tracker.output(caller, jobId)) as Answer<OutputPlace>;
  if (!known.ok) return known;
  const { system, schedulerId, since } = known.value;
  if (schedulerId === undefined) return { ok: true, value: "" };
  return reading(env, log, connection, caller, "jobs:read", system, async (firecrest) => {
    const paths = known.value.stdoutPath === undefined ? await firecrest.outputPaths(system, schedulerId) : known.value;
    const path = (stream === "stdout" ? paths.stdoutPath : (paths.stderrPath ?? paths.stdoutPath)) ?? "";
    const unusable = checkPath(firecrest.api, "tail", path);
    if (unusable !== undefined)
      return { ok: false, code: "not_found", detail: "The site does not tell where this job's output is." };
    try {
      const isTheirs =
        since === undefined || isOfRun((await firecrest.files.stat(system, path, { dereference: true })).mtime, since);
      return { ok: true, value: isTheirs ? await firecrest.files.tail(system, path, { lines }) : "" };
    } catch (error) {
      // A job that has not started has no output yet.
      if (error instanceof FirecrestError && (error.code === "not_found" || error.code === "invalid_path"))
        return { ok: true, value: "" };
      throw error;
    }
  });
}
