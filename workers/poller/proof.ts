/** The proof of a copy: what a look at the HPC side means to the transfer. All of it is called inside `house.change`. */
import { HASH_MAX_BYTES, judge, type OurSide, type Verdict } from "../../shared/domain/proof.ts";
import { moved, RECOPY_MAX, type TransferRecord } from "../../shared/domain/transfer.ts";
import { tagOf } from "../../shared/ids.ts";
import { type EffectRecord, effect, move, plan } from "./effects.ts";
import { isUnderWay, planHash } from "./errands.ts";
import type { FarOutcome, ManifestPlace } from "./far.ts";
import type { House } from "./house.ts";
import { jobRecord } from "./jobs.ts";
import { fetchPieces } from "./pieces.ts";
import { startOver } from "./settle.ts";
import { applyTransfer, failTransfer, transferRecord } from "./transfers.ts";
import { verifiedUpload } from "./uploads.ts";

/** Where manifests of a transfer's file may be: made by its own job, made by an errand. */
export function manifestsOf(house: House, transfer: TransferRecord): ManifestPlace[] {
  const job = transfer.jobId === undefined ? undefined : jobRecord(house, transfer.jobId);
  const errand = transfer.errand === undefined ? undefined : effect(house, transfer.errand);
  return [
    { directory: job?.manifest === true ? job.workingDirectory : undefined, tag: tagOf(transfer.jobId ?? "") },
    { directory: errand?.doc.errand?.directory, tag: tagOf(transfer.errand ?? "") },
  ].flatMap(({ directory, tag }) => (directory === undefined ? [] : [{ directory, tag }]));
}

/** Says at once what could only fail after everything was copied; undefined where it may work. */
export function cannotProve({ verify, jobId }: TransferRecord, sizeBytes: number): string | undefined {
  if (verify !== "hash" || sizeBytes <= HASH_MAX_BYTES) return undefined;
  return `A file of ${sizeBytes} bytes cannot be proven by hash, which ends at ${HASH_MAX_BYTES}. ${insteadOfHash(jobId)}`;
}

/** How a manifest does what a site's short commands cannot. */
const insteadOfHash = (jobId: string | undefined): string =>
  jobId === undefined
    ? "Ask for verify: manifest, and a small job on the machine hashes it, or for verify: size."
    : "Ask for verify: manifest, and the job itself hashes it in its last seconds, where no time limit of a single command stands in the way, or for verify: size.";

export function verified(house: House, record: EffectRecord, outcome: Extract<FarOutcome, { kind: "verified" }>): void {
  move(house, record, "done");
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined || transfer.status !== "verifying") return;
  const { stat, sha256, manifest } = outcome;
  const site = {
    size: stat.size,
    mtime: stat.mtime,
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(manifest === undefined ? {} : { manifest }),
  };
  if (transfer.direction === "upload") {
    const isAwaited = transfer.verify === "manifest" && manifest === undefined && stat.size === transfer.size;
    if (isAwaited) awaitManifest(house, transfer);
    else verifiedUpload(house, transfer, site);
    return;
  }
  const verdict = judge(transfer, ourSide(house, transfer), site);
  if (verdict.ok) {
    const proven = { ...transfer, proof: verdict.proof, changedAt: house.now() };
    const record = verdict.sha256 === undefined ? proven : { ...proven, sha256: verdict.sha256 };
    applyTransfer(house, { record, announce: [], changed: true });
    plan(house, "complete", transfer.id);
  } else unproven(house, transfer, verdict);
}

function ourSide(house: House, transfer: TransferRecord): OurSide {
  const parts = house
    .rows<{ n: number; sha256: string | null }>(
      "SELECT n, sha256 FROM parts WHERE transfer = ? ORDER BY n",
      transfer.id,
    )
    .map(({ n, sha256 }) => (sha256 === null ? { n } : { n, sha256 }));
  const ours = { bytes: transfer.copiedBytes, parts };
  return transfer.sha256 === undefined ? ours : { ...ours, sha256: transfer.sha256 };
}

function unproven(house: House, transfer: TransferRecord, verdict: Extract<Verdict, { ok: false }>): void {
  switch (verdict.why) {
    case "parts_differ":
      wrongParts(house, transfer, verdict.parts);
      break;
    case "no_manifest":
      awaitManifest(house, transfer);
      break;
    case "no_hash": {
      const detail = "The site could not hash the file within its time limit, and hash was asked for.";
      failTransfer(house, transfer, "not_provable", `${detail} ${insteadOfHash(transfer.jobId)}`);
      break;
    }
    default: {
      const detail = "The file on the HPC side is not the file that was copied: it changed meanwhile.";
      startOver(house, transfer, verdict.why, detail);
    }
  }
}

/** Has one made, or waits for the one that is being made: its end brings the transfer back here. */
function awaitManifest(house: House, transfer: TransferRecord): void {
  const errand = transfer.errand === undefined ? undefined : effect(house, transfer.errand);
  if (errand === undefined) planHash(house, transfer);
  else if (!isUnderWay(errand)) {
    const words = "The job that should ended without an error, and left no hashes of it.";
    const why = errand.state === "done" ? words : (errand.doc.lastError ?? "");
    failTransfer(house, transfer, "not_provable", `No job could hash the file. ${why}`);
  }
}

/** They are copied again from the same link; if that does not help, the staged file itself is wrong, and is staged again. */
function wrongParts(house: House, transfer: TransferRecord, wrong: readonly number[]): void {
  const recopied = (transfer.recopied ?? 0) + 1;
  house.log({ event: "parts.differ", transfer: transfer.id, parts: wrong.slice(0, 20), recopied });
  if (wrong.length === 0 || recopied > RECOPY_MAX) {
    const which =
      wrong.length === 0 ? "The parts" : `${wrong.length} of the parts (number ${wrong.slice(0, 5).join(", ")})`;
    startOver(house, transfer, "parts_differ", `${which} were copied twice, and are not what the HPC side hashed.`);
    return;
  }
  for (const n of wrong) house.run("DELETE FROM parts WHERE transfer = ? AND n = ?", transfer.id, n);
  if (transfer.pieces !== undefined) {
    fetchPieces(house, { ...transfer, recopied });
    return;
  }
  const copying = applyTransfer(house, moved(transfer, "copying", house.now(), { recopied }));
  if (copying.status === "copying") plan(house, "copy", transfer.id);
}
