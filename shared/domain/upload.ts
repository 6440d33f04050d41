/**
 * The way up, as pure decisions: which route a file takes to the HPC side, what the site's answers mean to it, and when it
 * is proven to be there.
 *
 *     accepted → staging (which file, is the target free) → staged (the site waits for it) → copying → verifying → stored
 *
 * Small files take the direct route and are never staged. `stored` means: proven to be on the HPC side.
 */
import type { Proof } from "../contract/states.ts";
import { HASH_MAX_BYTES } from "./proof.ts";
import type { TransferRecord } from "./transfer.ts";

/** What a site takes in one plain request where it does not tell. */
const DIRECT_DEFAULT_BYTES = 1024 * 1024;
/** More is staged, whatever the site takes: the direct route holds the whole file in memory. */
const DIRECT_MAX_BYTES = 4 * 1024 * 1024;
/** The site's limit is for the request, form and all. */
const FORM_BYTES = 4 * 1024;

/** A file from elsewhere is taken up to this size, if the site takes as much. */
export const FETCH_MAX_BYTES = 5 * 1024 ** 3;

export interface SiteLimits {
  directUploadMaxBytes?: number;
  stagingMaxBytes?: number;
}

/** How a file of that size goes up; undefined where the site takes none so large. */
export function routeOf(bytes: number, limits: SiteLimits): "direct" | "staged" | undefined {
  const direct = Math.min(DIRECT_MAX_BYTES, limits.directUploadMaxBytes ?? DIRECT_DEFAULT_BYTES) - FORM_BYTES;
  // Neither API stages empty files.
  if (bytes <= Math.max(0, direct)) return "direct";
  return bytes <= (limits.stagingMaxBytes ?? Number.POSITIVE_INFINITY) ? "staged" : undefined;
}

/** The most that is fetched from a URL. */
export const fetchMaxBytes = ({ stagingMaxBytes }: SiteLimits): number =>
  Math.min(FETCH_MAX_BYTES, stagingMaxBytes ?? FETCH_MAX_BYTES);

/**
 * What no two live transfers may have in common: the object of a download, the file of an upload. An upload's begins with
 * a slash, as no object's key does.
 */
export function targetOf(
  record: Pick<TransferRecord, "id" | "direction" | "key" | "system" | "path" | "jobId">,
): string {
  if (record.direction === "download") return record.key;
  const path = record.path.startsWith("/") ? record.path : `/${record.jobId ?? record.id}/${record.path}`;
  return `/${record.system}:${path}`;
}

/** With a small job that hashes on the machine no command's time limit stands in the way; ours is what one invocation can read. */
const MANIFEST_MAX_BYTES = 32 * 1024 ** 3;

/** Up to which size a file is hashed before it goes up; -1 = not at all. */
export function sourceHashMaxBytes({ verify }: Pick<TransferRecord, "verify">): number {
  if (verify === "size") return -1;
  return verify === "manifest" ? MANIFEST_MAX_BYTES : HASH_MAX_BYTES;
}

/** Compares what the site has with what was sent. */
export function judgeUpload(
  record: Pick<TransferRecord, "size" | "sha256" | "verify">,
  site: { size: number; sha256?: string; manifest?: { sha256: string } },
): { ok: true; proof: Proof } | { ok: false; why: "size_differs" | "hash_differs" | "not_provable"; detail: string } {
  if (site.size !== record.size) {
    const detail = `The file on the HPC side has ${site.size} bytes instead of ${record.size}.`;
    return { ok: false, why: "size_differs", detail };
  }
  const theirs = site.sha256 ?? site.manifest?.sha256;
  if (record.sha256 !== undefined && theirs !== undefined) {
    if (record.sha256 === theirs) return { ok: true, proof: site.sha256 === undefined ? "manifest" : "hash" };
    return { ok: false, why: "hash_differs", detail: "The file on the HPC side has another SHA-256 than the source." };
  }
  if (record.verify === "hash") {
    const detail =
      "The file is there, but it could not be hashed on both sides, and hash was asked for. Ask for verify: size.";
    return { ok: false, why: "not_provable", detail };
  }
  return { ok: true, proof: "size" };
}

/** Refusals that another try would only repeat. */
const DEFINITE = new Set([
  "permission_denied",
  "not_found",
  "is_a_directory",
  "not_a_directory",
  "invalid_path",
  "too_large",
  "no_space",
  "not_supported",
  "scheduler_refused",
]);

/** Whether a site that failed to take the file may be asked again. */
export const mayTryAgain = (code: string): boolean => !DEFINITE.has(code);

/**
 * FirecREST v1 tries again by itself for as long as it has the file; after this long of trying in vain a person has to look
 * at the target (a full disk, a directory that is gone).
 */
export const STUCK_AFTER_MS = 15 * 60_000;
