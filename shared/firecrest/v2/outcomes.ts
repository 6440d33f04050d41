/**
 * What became of a transfer or file operation. The scheduler's word for the job is no proof: file jobs end COMPLETED with
 * exit code 0 when they failed, and an upload says "successfully" when it wrote nothing. Proof is, for a staged file, the
 * object store itself; for everything else the phrase in the job's output log, an empty error log, and the file system.
 */
import { FirecrestError } from "../errors.ts";
import type { ClientDeps, FileOps, Handle, HandleState, JobObservation } from "../port.ts";
import { siteText } from "../redact.ts";
import { linkSignedAt, probeLink } from "../staged-link.ts";
import { isEnd } from "../states.ts";
import type { Calls } from "./call.ts";
import { type Look, listJobs, lookAt } from "./job-list.ts";
import { repeatable } from "./jobs.ts";
import { observeJob } from "./observation.ts";
import { mapAtMost } from "./pool.ts";
import { codeOfText } from "./refusals.ts";
import { FILE_JOB_LIFE_MS } from "./transfers.ts";

const SUCCESS =
  /File was successfully downloaded|Files were successfully (moved|copied|deleted|compressed|extracted)\./;
const LOG_BYTES = 8_192;
/** From here a list is cheaper than looks. */
const LIST_FROM_JOBS = 4;
const AT_ONCE = 3;
/** A link that is not alive yet is probed often, its job only in these slots of the link's age. */
const FIRST_LOOK_AFTER_MS = 10_000;
const LOOK_EVERY_MS = 120_000;
const LOOK_SLOT_MS = 20_000;
/** Log files and objects may come this much later than the job's end. */
const SETTLING_MS = 60_000;
/** A job that the site does not know this long after it was started will not be known again. */
const FORGOTTEN_AFTER_MS = 3_600_000;

type Deps = Pick<ClientDeps, "fetchStaged" | "now">;
type Files = Pick<FileOps, "stat" | "tail" | "remove">;
type Failed = Extract<HandleState, { state: "failed" }>;

export interface Outcomes {
  observe(handles: Handle[]): Promise<HandleState[]>;
  /** The site keeps the object until it expires; only the log files can go. */
  removeLogs(handle: Handle): Promise<void>;
}

export function createOutcomes(deps: Deps, calls: Calls, files: Files): Outcomes {
  return {
    async observe(handles) {
      const probed = await mapAtMost(AT_ONCE, handles, async (handle) =>
        isStaging(handle) ? linkState(handle) : undefined,
      );
      const open = handles.filter((handle, i) => probed[i] === undefined && isDueForLook(handle));
      const looks = await lookAtJobs(open);
      return mapAtMost(AT_ONCE, [...handles.entries()], async ([i, handle]) => {
        return probed[i] ?? (await judge(handle, looks.get(keyOf(handle))));
      });
    },

    async removeLogs({ system, logs }) {
      for (const path of logs === undefined ? [] : [logs.output, logs.error]) {
        try {
          await files.remove(system, path);
        } catch (error) {
          if (!(error instanceof FirecrestError)) throw error;
          if (error.code !== "not_found") throw error.retry === "after_check" ? repeatable(error) : error;
        }
      }
    },
  };

  /** Undefined while the link is not alive and may still become so. */
  async function linkState(handle: Handle & Staged): Promise<HandleState | undefined> {
    const probe = await probeLink(deps, handle.staging.url);
    if (probe.outcome === "live") return { state: "done", staging: handle.staging };
    return deps.now() > handle.staging.expiresAt ? { state: "gone" } : undefined;
  }

  /** By the link's age alone: whoever asks may be a new client each time. */
  function isDueForLook(handle: Handle): boolean {
    if (jobOf(handle) === undefined) return false;
    if (!isStaging(handle)) return true;
    const age = ageOf(handle) - FIRST_LOOK_AFTER_MS;
    return age >= 0 && age % LOOK_EVERY_MS < LOOK_SLOT_MS;
  }

  /** Milliseconds since the operation was started, as far as its handle tells. */
  function ageOf(handle: Handle): number {
    const startedAt = isStaging(handle) ? linkSignedAt(handle.staging.url) : (handle.expiresAt ?? 0) - FILE_JOB_LIFE_MS;
    return startedAt === undefined ? FIRST_LOOK_AFTER_MS : deps.now() - startedAt;
  }

  async function lookAtJobs(handles: Handle[]): Promise<Map<string, Look>> {
    const looks = new Map<string, Look>();
    const systems = Map.groupBy(handles, ({ system }) => system);
    for (const [system, own] of systems) {
      const ids = own.flatMap((handle) => jobOf(handle) ?? []);
      const listed = ids.length < LIST_FROM_JOBS ? undefined : await listJobs(calls, system, { window: "24h" });
      for (const id of ids) {
        const rows = listed?.get(id);
        if (rows !== undefined) looks.set(`${system}/${id}`, { rows });
      }
      const others = await lookAt(
        calls,
        system,
        ids.filter((id) => !looks.has(`${system}/${id}`)),
      );
      for (const [id, look] of others) looks.set(`${system}/${id}`, look);
    }
    return looks;
  }

  async function judge(handle: Handle, look: Look | undefined): Promise<HandleState> {
    const job = jobOf(handle);
    if (job === undefined) return { state: "gone" };
    if (handle.kind === "submit") return { state: "done", schedulerId: job };
    if (look === undefined) return { state: "working" };
    if ("error" in look) return unreadable(look.error);
    if ("absent" in look) return ageOf(handle) > FORGOTTEN_AFTER_MS ? { state: "gone" } : { state: "working" };
    const seen = observeJob(job, look.rows);
    if (seen === undefined || !isEnd(seen.state) || (seen.revocable && isFresh(seen))) return working(seen);
    try {
      return isStaging(handle) ? await judgeStaging(handle, seen) : await judgeFileJob(handle, seen);
    } catch (error) {
      if (error instanceof FirecrestError) return unreadable(error);
      throw error;
    }
  }

  async function judgeStaging(handle: Handle & Staged, seen: JobObservation): Promise<HandleState> {
    // The job may have ended between the first probe and the look.
    const late = await linkState(handle);
    if (late !== undefined) return late;
    if (seen.state === "succeeded") {
      if (isFresh(seen)) return working(seen);
      return failed(false, "the job has completed, but the object store does not have the file", "");
    }
    return failed(true, `the transfer job ended ${seen.schedulerState}`, (await readLog(handle, "error")) ?? "");
  }

  async function judgeFileJob(handle: Handle, seen: JobObservation): Promise<HandleState> {
    const output = await readLog(handle, "output");
    if (output === undefined && seen.state === "succeeded" && isFresh(seen)) return working(seen);
    const errors = (await readLog(handle, "error")) ?? "";
    if (seen.state !== "succeeded") {
      // Without an output log the job never began; else it was stopped at an unknown point.
      const { schedulerState } = seen;
      return { ...failed(output === undefined, `the file job ended ${schedulerState}`, errors), schedulerState };
    }
    if (output === undefined || !SUCCESS.test(output))
      return failed(true, "the file job did not report success", errors);
    if (errors.trim() !== "") return failed(false, "the file job reported errors", errors);
    return checkExpectation(handle);
  }

  async function checkExpectation({ system, expects }: Handle): Promise<HandleState> {
    const present = expects?.present;
    const absent = expects?.absent;
    try {
      if (present !== undefined) {
        const size = await sizeOf(system, present.path);
        if (size === undefined) return failed(true, `the job reports success, but ${present.path} does not exist`, "");
        if (present.bytes !== undefined && size !== present.bytes) {
          return failed(true, `${present.path} has ${size} bytes instead of ${present.bytes}`, "");
        }
      }
      if (absent !== undefined && (await sizeOf(system, absent)) !== undefined) {
        return failed(true, `the job reports success, but ${absent} is still there`, "");
      }
      return { state: "done" };
    } catch (error) {
      if (!(error instanceof FirecrestError) || error.retry !== "never") throw error;
      return { state: "done", warning: `the result could not be checked: ${error.message}` };
    }
  }

  async function sizeOf(system: string, path: string): Promise<number | undefined> {
    try {
      return (await files.stat(system, path)).size;
    } catch (error) {
      if (error instanceof FirecrestError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  /** The end of a log; undefined where there is none. */
  async function readLog({ system, logs }: Handle, which: "output" | "error"): Promise<string | undefined> {
    if (logs === undefined) return undefined;
    try {
      return await files.tail(system, logs[which], { bytes: LOG_BYTES });
    } catch (error) {
      if (error instanceof FirecrestError && error.code === "not_found") return undefined;
      throw error;
    }
  }

  function isFresh(seen: JobObservation): boolean {
    return seen.endedAt !== undefined && deps.now() - seen.endedAt < SETTLING_MS;
  }
}

type Staged = { staging: NonNullable<Handle["staging"]> };

const isStaging = (handle: Handle): handle is Handle & Staged =>
  handle.kind === "stage" && handle.staging !== undefined;

const jobOf = ({ ref }: Handle): string | undefined => ("job" in ref ? ref.job : undefined);

const keyOf = (handle: Handle): string => `${handle.system}/${jobOf(handle) ?? ""}`;

function working(seen: JobObservation | undefined): HandleState {
  if (seen === undefined) return { state: "working" };
  const { schedulerState, pendingReason } = seen;
  return {
    state: "working",
    detail: [schedulerState, pendingReason].filter((word) => word !== undefined).join(" "),
    schedulerState,
  };
}

/** These concern the whole connection: the Tracker has to know, not this one operation. */
const CONNECTION_WIDE = new Set(["unauthorized", "token_refused", "token_unavailable", "rate_limited"]);

/** What cannot be read now may be read later; what the site refuses to show stays unknown. */
function unreadable(error: FirecrestError): HandleState {
  if (CONNECTION_WIDE.has(error.code)) throw error;
  if (error.retry !== "never") return { state: "working", detail: error.message };
  return { state: "failed", certain: false, message: error.message, code: error.code };
}

function failed(certain: boolean, what: string, log: string): Failed {
  const said = siteText(log);
  return {
    state: "failed",
    certain,
    message: said === "" ? what : `${what}: ${said}`,
    code: codeOfText(log) ?? "site_error",
  };
}
