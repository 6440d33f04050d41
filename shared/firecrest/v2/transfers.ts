/** Starting transfers and file operations as scheduler jobs: T1–T7. What became of them is read in `outcomes.ts`. */
import { FirecrestError, type FirecrestErrorCode } from "../errors.ts";
import type { FileJob, FileOps, Firecrest, Handle } from "../port.ts";
import { linkExpiry } from "../staged-link.ts";
import type { Calls } from "./call.ts";
import { compressionOf } from "./files.ts";
import { safePath } from "./guard.ts";
import { OPERATIONS } from "./operations.ts";
import type { TransferJob } from "./wire.ts";

const TYPE_BITS = 0o170000;
const REGULAR_BITS = 0o100000;
const S3_MAX_PARTS = 10_000;
/** The longest life that S3 gives a link. */
const MAX_LINK_LIFE_MS = 7 * 86_400_000;
/** How long a file job is worth asking for: no list of the site reaches further back. */
export const FILE_JOB_LIFE_MS = 7 * 86_400_000;

type Starting = Pick<Firecrest, "stage" | "stageUpload" | "fileJob">;

export function createTransfers(calls: Calls, files: Pick<FileOps, "stat">, now: () => number): Starting {
  return {
    /** Jobs for empty files and directories are accepted and fail; a link that never comes alive would be all we get. */
    async stage(system, path, account) {
      safePath("stage", path);
      const { size, mode, isDirectory } = await files.stat(system, path, { dereference: true });
      if (isDirectory) throw refused(`${path} is a directory: compress it first`, "is_a_directory");
      if ((mode & TYPE_BITS) !== REGULAR_BITS) throw refused(`${path} is not a regular file`, "not_supported");
      if (size === 0) throw refused(`${path} is empty, and FirecREST v2 stages no empty files`, "not_supported");
      const started = await calls.call(OPERATIONS.T2_download, {
        system,
        json: hasDirectives(calls.version())
          ? { path, account, transferDirectives: { transferMethod: "s3" } }
          : { sourcePath: path, source_path: path, account },
      });
      const expiresAt = linkExpiry(started.url) ?? now() + MAX_LINK_LIFE_MS;
      return { ...handleOf("stage", system, started), staging: { url: started.url, expiresAt }, expiresAt };
    },

    /**
     * The site would take an upload into a missing directory, and report success with nothing written: the target is
     * looked at before the first byte is sent.
     */
    async stageUpload(system, path, bytes, account) {
      safePath("stage_upload", path);
      if (!Number.isSafeInteger(bytes) || bytes < 1) {
        throw refused("FirecREST v2 stages no empty files: upload it directly", "not_supported");
      }
      await requireTarget(files, system, path);
      const started = await calls.call(OPERATIONS.T1_upload, {
        system,
        json: hasDirectives(calls.version())
          ? { path, account, transferDirectives: { transferMethod: "s3", fileSize: bytes } }
          : {
              sourcePath: parentOf(path),
              source_path: parentOf(path),
              fileName: nameOf(path),
              fileSize: bytes,
              account,
            },
      });
      const { partUrls, partBytes, completeUrl } = started;
      if (partBytes < 1 || partUrls.length !== Math.ceil(bytes / partBytes)) {
        throw new FirecrestError(
          `the site gave ${partUrls.length} part links of ${partBytes} bytes for ${bytes} bytes`,
          {
            code: "unreadable_answer",
            retry: "after_check",
          },
        );
      }
      if (partUrls.length > S3_MAX_PARTS) throw refused(`${bytes} bytes need more than 10,000 parts`, "too_large");
      return {
        handle: {
          ...handleOf("upload", system, started),
          expects: { present: { path, bytes } },
          expiresAt: linkExpiry(completeUrl) ?? now() + MAX_LINK_LIFE_MS,
        },
        form: { kind: "parts", partUrls, partBytes, completeUrl },
      };
    },

    async fileJob(system, job, account, after) {
      if (after !== undefined)
        throw refused(
          "FirecREST v2 cannot make a file operation wait for a job; start it when the job has ended",
          "not_supported",
        );
      const started = await startFileJob(calls, system, job, account);
      return {
        ...handleOf("file_job", system, started),
        expects: expectationOf(job),
        expiresAt: now() + FILE_JOB_LIFE_MS,
      };
    },
  };
}

function startFileJob(calls: Calls, system: string, job: FileJob, account?: string): Promise<TransferJob> {
  if (job.op === "rsync") throw refused("FirecREST v2 has no rsync; copy does the same", "not_supported");
  if (job.op === "remove") {
    return calls.call(OPERATIONS.T5_remove, { system, query: { path: safePath("file_job", job.path), account } });
  }
  const json = { path: safePath("file_job", job.from), targetPath: safePath("file_job", job.to), account };
  switch (job.op) {
    case "move":
      return calls.call(OPERATIONS.T3_move, { system, json });
    case "copy":
      return calls.call(OPERATIONS.T4_copy, { system, json });
    case "compress":
      return calls.call(OPERATIONS.T6_compress, {
        system,
        json: { ...json, compression: compressionOf(job.to), dereference: job.dereference ?? false },
      });
    case "extract":
      return calls.call(OPERATIONS.T7_extract, { system, json: { ...json, compression: compressionOf(job.from) } });
  }
}

function expectationOf(job: FileJob): NonNullable<Handle["expects"]> {
  if (job.op === "remove") return { absent: job.path };
  return { present: { path: job.to }, ...(job.op === "move" ? { absent: job.from } : {}) };
}

const handleOf = (kind: Handle["kind"], system: string, { jobId, logs }: TransferJob): Handle => ({
  kind,
  ref: { job: jobId, system },
  system,
  releasable: false,
  ...(logs === undefined ? {} : { logs }),
});

async function requireTarget(files: Pick<FileOps, "stat">, system: string, path: string): Promise<void> {
  try {
    const target = await files.stat(system, path, { dereference: true });
    if (target.isDirectory) throw refused(`${path} is a directory`, "is_a_directory");
  } catch (error) {
    if (!(error instanceof FirecrestError) || error.code !== "not_found") throw error;
    const parent = await files.stat(system, parentOf(path), { dereference: true });
    if (!parent.isDirectory) throw refused(`${parentOf(path)} is not a directory`, "not_a_directory");
  }
}

/** Since 2.4.0 a transfer names its method; before, the fields lay beside each other under other names. */
function hasDirectives(version: string | undefined): boolean {
  const match = /^2\.(\d+)/.exec(version ?? "");
  return match === null || Number(match[1]) >= 4;
}

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

const refused = (message: string, code: FirecrestErrorCode): FirecrestError =>
  new FirecrestError(message, { code, retry: "never" });
