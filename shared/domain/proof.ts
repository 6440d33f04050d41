/**
 * How a copy is proven to be the file on the HPC side, as pure decisions. Three proofs, the strongest first:
 *
 *     hash       SHA-256 of the bytes as they were copied, in order, against the site's own checksum of the file
 *     manifest   SHA-256 of each part as it was copied, against those that the HPC side made in one pass over the file
 *     size       size and modification time before and after, and the number of bytes that were copied
 */
import type { Proof } from "../contract/states.ts";
import type { TransferRecord } from "./transfer.ts";

/** A hash of the whole needs the bytes in order, and the site a command that ends in seconds: only up to this size. */
export const HASH_MAX_BYTES = 1024 ** 3;

/**
 * The proof to copy for. Who asks for one gets that one or a failure. Else: `manifest` where one is made anyway, `hash` while the
 * file is small enough for it, then `size`. Nothing is hashed on the HPC side that nobody asked for: it would
 * cost the job's time.
 */
export function proofFor({ verify, pieces }: Pick<TransferRecord, "verify" | "pieces">, sizeBytes: number): Proof {
  if (verify !== undefined && verify !== "hash") return verify;
  // Whoever cuts it over there reads it anyway, and hashes it with that.
  if (pieces !== undefined) return "manifest";
  return sizeBytes <= HASH_MAX_BYTES ? "hash" : "size";
}

/** What the HPC side says of the file now. */
export interface SiteSide {
  size: number;
  /** Seconds since the epoch. */
  mtime: number;
  sha256?: string;
  /** Made of the file as it is now: the same size, the same time. */
  manifest?: { sha256: string; parts: readonly string[] };
}

/** What was copied. `sha256` of the whole where it was read in order, of a part where parts were hashed. */
export interface OurSide {
  bytes: number;
  sha256?: string;
  parts: readonly { n: number; sha256?: string }[];
}

export type Verdict =
  | { ok: true; proof: Proof; sha256?: string }
  | { ok: false; why: "size_differs" | "hash_differs" | "changed_meanwhile" }
  /** These parts, by number, are not what the HPC side hashed. */
  | { ok: false; why: "parts_differ"; parts: number[] }
  /** What was copied may be right; the proof that was asked for cannot be given (yet). */
  | { ok: false; why: "no_hash" | "no_manifest" };

/** Compares what was copied with what the site says now. */
export function judge(
  asked: Pick<TransferRecord, "verify" | "size" | "mtime">,
  ours: OurSide,
  site: SiteSide,
): Verdict {
  if (ours.bytes !== site.size) return { ok: false, why: "size_differs" };
  const { sha256, manifest } = site;
  if (ours.sha256 !== undefined && sha256 !== undefined)
    return ours.sha256 === sha256 ? { ok: true, proof: "hash", sha256 } : { ok: false, why: "hash_differs" };
  if (asked.size !== site.size || asked.mtime !== site.mtime) return { ok: false, why: "changed_meanwhile" };
  if (asked.verify === "hash") return { ok: false, why: "no_hash" };
  if (manifest !== undefined && (ours.sha256 !== undefined || ours.parts.some((part) => part.sha256 !== undefined)))
    return byManifest(ours, manifest);
  if (asked.verify === "manifest") return { ok: false, why: "no_manifest" };
  return { ok: true, proof: "size" };
}

/** Parts and the whole were hashed in one pass over there: who has all parts right has the whole right. */
function byManifest(ours: OurSide, manifest: NonNullable<SiteSide["manifest"]>): Verdict {
  const proven: Verdict = { ok: true, proof: "manifest", sha256: manifest.sha256 };
  if (ours.sha256 !== undefined) return ours.sha256 === manifest.sha256 ? proven : { ok: false, why: "hash_differs" };
  const hashes = new Map(ours.parts.map((part) => [part.n, part.sha256]));
  const wrong = manifest.parts.map((hash, i) => ({ n: i + 1, hash })).filter(({ n, hash }) => hashes.get(n) !== hash);
  return wrong.length === 0 && hashes.size === manifest.parts.length
    ? proven
    : { ok: false, why: "parts_differ", parts: wrong.map(({ n }) => n) };
}
