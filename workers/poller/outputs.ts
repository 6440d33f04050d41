/** The outputs of a job: planned with it, started when it ends, patterns unfolded into one transfer for each match. */
import type { JobRequest } from "../../shared/contract/job.ts";
import type { FieldProblem } from "../../shared/contract/rpc.ts";
import { isWanted, type JobRecord } from "../../shared/domain/job.ts";
import {
  defaultKey,
  keyOfMatch,
  keyOfPattern,
  keyProblem,
  MATCHES_MAX,
  matchProblem,
  shapeOf,
  splitPattern,
} from "../../shared/domain/output.ts";
import { moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import { checkPath, resolvePath } from "../../shared/firecrest/paths.ts";
import type { Api } from "../../shared/firecrest/port.ts";
import { type EffectRecord, move, plan } from "./effects.ts";
import type { FarOutcome } from "./far.ts";
import type { House } from "./house.ts";
import { jobRecord, saveJob } from "./jobs.ts";
import { applyTransfer, failTransfer, insertTransfer, isKeyTaken, startDownload, transferRecord } from "./transfers.ts";

type PlannedOutput = JobRecord["outputs"][number];

/** The outputs of a new job. */
export function planOutputs(house: House, jobId: string, request: Pick<JobRequest, "outputs">): PlannedOutput[] {
  return (request.outputs ?? []).map(({ path, key = defaultKey(jobId, path), when = "always" }) => ({
    transferId: house.id("tr"),
    path,
    key: shapeOf(path) === "glob" ? keyOfPattern(key, path) : key,
    status: "accepted",
    when,
  }));
}

/** Outputs that the job shall hash itself, when it ends. What becomes an archive is not there yet. */
export function manifestOf({ outputs = [] }: Pick<JobRequest, "outputs">): { manifest?: { paths: string[] } } {
  const paths = outputs
    .filter(({ path, verify }) => verify === "manifest" && shapeOf(path) !== "directory")
    .map(({ path }) => path);
  return paths.length === 0 ? {} : { manifest: { paths } };
}

/** Outputs must be usable, as they are or through a link; relative ones are checked below a plain directory. */
export function outputProblems(request: Pick<JobRequest, "outputs" | "workingDirectory">, api: Api): FieldProblem[] {
  return (request.outputs ?? []).flatMap(({ path }, n) => {
    const absolute = path.startsWith("/") ? path : `${request.workingDirectory ?? "/w"}/${path}`;
    const problem = pathProblem(api, absolute);
    return problem === undefined ? [] : [{ field: `/outputs/${n}/path`, message: problem }];
  });
}

function pathProblem(api: Api, path: string): string | undefined {
  switch (shapeOf(path)) {
    case "file":
      return checkPath(api, "symlink", path);
    case "glob":
      return checkPath(api, "ls", splitPattern(path).base || "/") ?? segmentProblem(path);
    case "directory":
      return directoryProblem(api, path);
  }
}

/** Wildcards never reach a command, so they may be of any characters; where they lead must still be a way down. */
function segmentProblem(pattern: string): string | undefined {
  const resolved = resolvePath(undefined, pattern);
  return resolved.ok ? undefined : resolved.message;
}

/** Undefined when FirecREST can make an archive of it. */
export function directoryProblem(api: Api, path: string): string | undefined {
  if (/[*?[]/.test(path))
    return "must not have wildcards where it ends with a slash; name the directory, or match its files";
  if (/^\/+$/.test(path)) return "is the whole file system";
  return checkPath(api, "file_job", path);
}

const NOBODY_KNOWS_WHERE =
  "The path is relative, and the site no longer tells where the job worked. Give the job a workingDirectory, or the output an absolute path.";

/** Called when a job ends: wanted outputs start, others are cancelled. */
export function endOutputs(house: House, job: JobRecord): void {
  const api = (house.meta("api") ?? "v1") as Api;
  for (const output of job.outputs) {
    const record = transferRecord(house, output.transferId);
    if (record === undefined || record.waiting !== true) continue;
    if (job.schedulerId === undefined && job.reason !== "outcome_unknown") {
      const facts = { reason: "not_run", detail: "The job never ran." };
      applyTransfer(house, moved(record, "cancelled", house.now(), facts));
      continue;
    }
    if (!isWanted(output.when, job.status)) {
      const detail = `Only fetched on ${output.when}; the job ${job.status}.`;
      applyTransfer(house, moved(record, "cancelled", house.now(), { reason: "not_wanted", detail }));
      continue;
    }
    const resolved = resolvePath(job.workingDirectory, output.path);
    const unknown = job.workingDirectory === undefined ? NOBODY_KNOWS_WHERE : undefined;
    if (!resolved.ok) failTransfer(house, record, "invalid_path", unknown ?? `The path ${resolved.message}.`);
    else if (shapeOf(output.path) === "glob") startListing(house, { ...record, path: resolved.path });
    else if (shapeOf(output.path) === "directory") startDownload(house, { ...record, path: `${resolved.path}/` }, api);
    else startDownload(house, { ...record, path: resolved.path }, api);
  }
}

// --------------------------------------------------------------------------------------------------------------- patterns

function startListing(house: House, { waiting: _, ...record }: TransferRecord): void {
  const pattern = { ...record, pattern: record.path, changedAt: house.now() };
  applyTransfer(house, { record: pattern, announce: [], changed: true });
  plan(house, "list", record.id);
}

/**
 * The pattern's own transfer becomes that of the first match, and each further one gets a transfer of its own. One that
 * cannot be fetched is a failed output like any other, never a silent gap.
 */
export function listed(house: House, effect: EffectRecord, outcome: Extract<FarOutcome, { kind: "listed" }>): void {
  move(house, effect, "done");
  const transfer = transferRecord(house, effect.subject);
  const job = transfer?.jobId === undefined ? undefined : jobRecord(house, transfer.jobId);
  if (transfer?.status !== "accepted" || transfer.pattern === undefined || job === undefined) return;
  const at = job.outputs.findIndex(({ transferId }) => transferId === transfer.id);
  const planned = job.outputs[at];
  if (planned === undefined) return;
  const outputs = matchedOutputs(house, transfer, planned, outcome.paths);
  const all = job.outputs.toSpliced(at, 1, ...outputs);
  const room = MATCHES_MAX - job.outputs.length + 1;
  const problem = matchProblem(transfer.pattern, outcome.count, all) ?? overfull(transfer.pattern, outcome.count, room);
  if (problem !== undefined) {
    failTransfer(house, transfer, outcome.count === 0 ? "no_match" : "too_many_matches", problem);
    return;
  }
  saveJob(house, { ...job, outputs: all });
  for (const output of outputs) startMatch(house, transfer, output);
}

const overfull = (pattern: string, count: number, room: number): string | undefined =>
  count <= Math.max(room, 1)
    ? undefined
    : `${count} files match ${pattern}; with its other outputs the job may bring ${room} more.`;

function matchedOutputs(
  house: House,
  transfer: TransferRecord,
  planned: PlannedOutput,
  paths: readonly string[],
): PlannedOutput[] {
  const pattern = transfer.pattern ?? "";
  const prefix = planned.key.slice(0, planned.key.length - splitPattern(planned.path).segments.join("/").length - 1);
  return paths.map((path, n) => ({
    ...planned,
    transferId: n === 0 ? transfer.id : house.id("tr"),
    path,
    key: keyOfMatch(prefix, pattern, path),
  }));
}

function startMatch(
  house: House,
  { pattern: _, ...transfer }: TransferRecord,
  { transferId, path, key }: PlannedOutput,
): void {
  const match: TransferRecord = { ...transfer, id: transferId, path, key };
  const bad = keyProblem(key);
  const taken = transferId !== transfer.id || key !== transfer.key ? isKeyTaken(house, key) : false;
  insertTransfer(house, match, { live: !taken });
  if (bad !== undefined) failTransfer(house, match, "invalid_key", `Its key ${bad}.`);
  else if (taken) failTransfer(house, match, "conflict", "Another transfer is under way to the same key.");
  else startDownload(house, match, (house.meta("api") ?? "v1") as Api);
}
