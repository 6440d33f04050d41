/** The consumer of `commands`: carries out one effect on FirecREST, between `begin` and `finish`. */

import { systemNow } from "../../shared/clock.ts";
import type { JobRequest } from "../../shared/contract/job.ts";
import { CommandMessage } from "../../shared/contract/queue.ts";
import { egressFrom } from "../../shared/egress/settings.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { FileStat, Firecrest, Submission, SystemStatus } from "../../shared/firecrest/port.ts";
import type { Log } from "../../shared/log.ts";
import { composeJob } from "./composing.ts";
import type { Env } from "./env.ts";
import { type FarOutcome, type FarWork, failureOf } from "./far.ts";
import { listMatches } from "./listing.ts";
import { checksum, submitErrand, verify } from "./proof-work.ts";
import { clientOf, type SiteConfig, tokenFrom } from "./site.ts";
import { deliver, upload } from "./up-commands.ts";

/**
 * One message. Throws only when the Tracker could not be reached: then the queue may try again. Whatever FirecREST does is an
 * outcome, and the Tracker decides what follows.
 */
export async function command(body: unknown, env: Env, log: Log): Promise<void> {
  const { connection, effect } = CommandMessage.parse(body);
  const tracker = env.TRACKER.getByName(connection);
  const begun = await tracker.begin(effect);
  if (!begun.go) {
    log({ event: "effect.skipped", connection, effect, why: begun.why });
    return;
  }
  const startedAt = systemNow();
  const work = begun.work as FarWork;
  /** The site's own ids of what was asked, for its operators. */
  const requestIds: string[] = [];
  const firecrest = clientOf(work.site, egressFrom(env, log), {
    token: tokenFrom((renew) => tracker.token(renew, work.site.credential)),
    now: systemNow,
    log: (line) => {
      if (typeof line.requestId === "string") requestIds.push(line.requestId);
      log({ event: "firecrest", connection, effect, ...line });
    },
  });
  const outcome = await perform(work, firecrest, env.OBJECTS);
  log({
    event: "effect.carried_out",
    connection,
    effect,
    kind: work.kind,
    system: work.system,
    job: work.kind === "submit" ? work.jobId : undefined,
    attempt: begun.attempt,
    outcome: outcome.kind,
    code: outcome.kind === "failed" ? outcome.code : undefined,
    requestIds,
    durationMs: systemNow() - startedAt,
  });
  await tracker.finish(effect, outcome, begun.attempt);
}

/** Never throws: an unknown error is as ambiguous as no answer. */
export async function perform(work: FarWork, firecrest: Firecrest, objects: R2Bucket): Promise<FarOutcome> {
  try {
    switch (work.kind) {
      case "submit":
        return await submit(work, firecrest);
      case "cancel":
        await firecrest.cancel(work.system, work.schedulerId);
        return { kind: "cancelled" };
      case "list":
        return await listMatches(work, firecrest);
      case "compress":
        return await pack(work, firecrest);
      case "stage":
        return await stage(work, firecrest);
      case "verify":
        return await verify(work, firecrest);
      case "release":
        return await release(work, firecrest);
      case "hash":
      case "split":
        return await submitErrand(work, firecrest);
      case "tidy":
        for (const path of work.paths) await firecrest.files.remove(work.system, path).catch(ignoreMissing);
        return { kind: "tidied" };
      case "prepare":
        return await prepare(work, firecrest);
      case "upload":
        return await upload(work, firecrest);
      case "deliver":
        return await deliver(work, firecrest, objects);
      case "file_job": {
        const handle = await firecrest.fileJob(work.system, work.job, work.account ?? work.site.account, work.after);
        return { kind: "started", handle };
      }
    }
  } catch (error) {
    return failureOf(error);
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof FirecrestError && error.code === "not_found")) throw error;
}

type Work<K extends FarWork["kind"]> = Extract<FarWork, { kind: K }>;

async function submit(work: Work<"submit">, firecrest: Firecrest): Promise<FarOutcome> {
  const { request, jobId } = work;
  const workingDirectory =
    request.workingDirectory ??
    (work.site.api === "v2" ? await defaultDirectory(work.system, jobId, firecrest) : undefined);
  const submission = submissionOf(work, request, workingDirectory);
  const result = await firecrest.submit(submission);
  if (result.outcome === "pending")
    return { kind: "pending", handle: result.handle, ...(workingDirectory === undefined ? {} : { workingDirectory }) };
  const { outcome: _, ...taken } = result;
  return { kind: "submitted", ...taken, ...(workingDirectory === undefined ? {} : { workingDirectory }) };
}

/** The submission of a job. Throws FirecrestError for a request that was not examined. */
export function submissionOf(
  work: Pick<Work<"submit">, "system" | "jobId" | "ping"> & { site: Pick<SiteConfig, "api" | "account"> },
  request: JobRequest,
  workingDirectory: string | undefined,
): Submission {
  const { scriptPath } = request;
  const composed = composeJob(work.site.api, work.jobId, request, { workingDirectory, ping: work.ping });
  if (!composed.ok) {
    const detail = composed.problems.map(({ field, message }) => `${field} ${message}`).join("; ");
    throw new FirecrestError(detail, { code: "invalid_request", retry: "never" });
  }
  const account = request.account ?? work.site.account;
  return {
    system: work.system,
    ...(composed.script === undefined ? {} : { script: composed.script }),
    ...(scriptPath === undefined ? {} : { scriptPath }),
    ...(composed.jobName === undefined ? {} : { name: composed.jobName }),
    ...(composed.apiEnv === undefined ? {} : { env: composed.apiEnv }),
    ...(account === undefined ? {} : { account }),
    ...(workingDirectory === undefined ? {} : { workingDirectory }),
  };
}

/** v2 has no directory of its own: `<default work file system>/<user>/firewatch/<job>`. */
async function defaultDirectory(system: string, jobId: string, firecrest: Firecrest): Promise<string> {
  const [systems, user] = await Promise.all([firecrest.systems(), firecrest.whoami(system)]);
  return directoryOf(systems, system, user, jobId);
}

/** Throws FirecrestError where the system is not known or has no file system. */
export function directoryOf(
  systems: readonly Pick<SystemStatus, "name" | "fileSystems">[],
  system: string,
  user: string,
  jobId: string,
): string {
  const found = systems.find(({ name }) => name === system);
  const home = found?.fileSystems.find(({ defaultWorkDir }) => defaultWorkDir) ?? found?.fileSystems[0];
  if (home === undefined)
    throw new FirecrestError(`${system} has no file system to work in; give workingDirectory`, {
      code: "unknown_system",
      retry: "never",
    });
  return `${home.path.replace(/\/+$/, "")}/${user}/firewatch/${jobId}`;
}

/** A directory for the inputs of a job that names none: the same on both APIs, and the job will work there. */
async function prepare({ system, jobId }: Work<"prepare">, firecrest: Firecrest): Promise<FarOutcome> {
  const workingDirectory = await defaultDirectory(system, jobId, firecrest);
  await firecrest.files.mkdir(system, workingDirectory, { parents: true });
  return { kind: "prepared", workingDirectory };
}

/** A file is told from a directory here: FirecREST would pack either. */
async function pack(work: Work<"compress">, firecrest: Firecrest): Promise<FarOutcome> {
  const { system, from, to } = work;
  const { isDirectory } = await firecrest.files.stat(system, from, { dereference: true });
  if (!isDirectory)
    throw new FirecrestError(`${from} is no directory; leave out the slash at the end of its path`, {
      code: "not_a_directory",
      retry: "never",
    });
  const account = work.account ?? work.site.account;
  return { kind: "packing", handle: await firecrest.fileJob(system, { op: "compress", from, to }, account) };
}

async function stage(work: Work<"stage">, firecrest: Firecrest): Promise<FarOutcome> {
  const stat: FileStat = await firecrest.files.stat(work.system, work.path, { dereference: true });
  if (stat.isDirectory)
    throw new FirecrestError(
      `${work.path} is a directory; ask for it with a slash at the end of its path, and it comes as one archive`,
      {
        code: "is_a_directory",
        retry: "never",
      },
    );
  if (stat.size === 0) return { kind: "empty", stat };
  if (work.maxBytes !== undefined && stat.size > work.maxBytes)
    return { kind: "oversized", stat, maxBytes: work.maxBytes };
  if (work.bytes !== undefined && stat.size !== work.bytes)
    throw new FirecrestError(`${work.path} has ${stat.size} bytes, not the ${work.bytes} of its piece`, {
      code: "site_error",
      retry: "never",
    });
  // A small file is hashed before it moves: then it needs no proof of its own when it has arrived.
  const sha256 = stat.size <= (work.hashMaxBytes ?? 0) ? await checksum(work, firecrest) : undefined;
  if (work.symlink !== undefined) {
    await firecrest.files.symlink(work.system, work.path, work.symlink).catch((error: unknown) => {
      // An earlier attempt made it.
      if (!(error instanceof FirecrestError && error.code === "already_exists")) throw error;
    });
  }
  const handle = await firecrest.stage(work.system, work.symlink ?? work.path, work.account ?? work.site.account);
  return { kind: "staging", stat, handle, ...(sha256 === undefined ? {} : { sha256 }) };
}

/** Asks the site, then asks the object store: only the second answer is a proof. */
async function release(work: Work<"release">, firecrest: Firecrest): Promise<FarOutcome> {
  if (work.how === "abandon" && "job" in work.handle.ref) await firecrest.cancel(work.system, work.handle.ref.job);
  if (work.how !== "look") await firecrest.release(work.handle);
  if (work.url === "") return { kind: "released", proven: false };
  const probe = await firecrest.probe(work.url);
  return { kind: "released", proven: probe.outcome === "dead" };
}
