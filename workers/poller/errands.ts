/**
 * Errands: small jobs of our own on the HPC side, which serve transfers. `hash` writes the manifest that a copy is proven by,
 * where the job that made the file did not; `split` cuts a file that is too large to be staged, and writes its manifest too.
 *
 *     planned → sent → adopted (it has a scheduler's id) → done | refused
 *
 * They are submitted like people's jobs: tagged, found again by name after a lost answer, at most once. Nobody hears of them.
 * Poll rounds follow them together with the jobs of their system; when one has ended, the transfers that wait for it look at
 * what it left, and when nobody needs that any more it is removed.
 */
import { type EffectKind, LOOKUP_OFFSETS_MS, type LookupVerdict, lookedUp } from "../../shared/domain/effect.ts";
import { LOST_AFTER_MS } from "../../shared/domain/job.ts";
import { sourceOf, type TransferRecord } from "../../shared/domain/transfer.ts";
import { manifestName } from "../../shared/firecrest/manifest.ts";
import type { HandleState, JobObservation, NameLookup, TrackedJob } from "../../shared/firecrest/port.ts";
import { tagOf } from "../../shared/ids.ts";
import { type EffectRecord, effect, effectsOf, hintAt, move, note, plan } from "./effects.ts";
import type { House } from "./house.ts";
import { fileCut } from "./pieces.ts";
import { pathsTaken, summaryOf } from "./submission.ts";
import { applyTransfer, planTidy } from "./transfers.ts";

/** What an effect remembers of its errand. */
export interface Errand {
  system: string;
  /** Absolute paths of the files to hash. */
  paths: string[];
  /** Of all of them together: the time limit follows from it. */
  bytes: number;
  account?: string;
  /** Of a `split`: what it makes. */
  cut?: { directory: string; pieceBytes: number };
  /** From here on it is the scheduler's. */
  schedulerId?: string;
  /** Where it works, and leaves what it made. */
  directory?: string;
  missingSince?: number;
}

type WithErrand = EffectRecord & { doc: { errand: Errand } };

/** Whether it may still make what it is for. */
export const isUnderWay = ({ state }: EffectRecord): boolean => state !== "done" && state !== "refused";

/** Its full name at the scheduler. */
export const errandName = ({ kind, id }: Pick<EffectRecord, "kind" | "id">): string => `fw-${kind}.fw-${tagOf(id)}`;

/** An errand whose end nobody sees is nobody's after this long: far beyond what queues take. */
const PATIENCE_MS = 30 * 24 * 3_600_000;

// -------------------------------------------------------------------------------------------------------- who needs what

/** An errand for the outputs of a job belongs to the job: one serves all of them. */
const ownerOf = ({ id, jobId }: Pick<TransferRecord, "id" | "jobId">): string => jobId ?? id;

/** Live transfers that need what this errand makes. */
function waitingFor(house: House, id: string): TransferRecord[] {
  return house
    .rows<{ doc: string }>("SELECT doc FROM transfers WHERE live = 1 AND json_extract(doc, '$.errand') = ?", id)
    .map(({ doc }) => JSON.parse(doc) as TransferRecord);
}

/** Files that will need a manifest as well: outputs of the same job that ask for one, and have none. */
function siblingsOf(house: House, transfer: TransferRecord): TransferRecord[] {
  if (transfer.jobId === undefined) return [];
  return house
    .rows<{ doc: string }>("SELECT doc FROM transfers WHERE live = 1 AND job_id = ?", transfer.jobId)
    .map(({ doc }) => JSON.parse(doc) as TransferRecord)
    .filter(
      (other) =>
        other.id !== transfer.id &&
        other.verify === "manifest" &&
        other.errand === undefined &&
        other.pieces === undefined &&
        other.size !== undefined &&
        other.waiting !== true,
    );
}

/**
 * Has a manifest made of the transfer's file. One errand hashes what else its job will ask for; where that is under way
 * already, the transfer waits for it.
 */
export function planHash(house: House, transfer: TransferRecord): void {
  const owner = ownerOf(transfer);
  const underWay = effectsOf(house, owner).find(
    (other) =>
      other.kind === "hash" && isUnderWay(other) && other.doc.errand?.paths.includes(sourceOf(transfer)) === true,
  );
  const wanting = [transfer, ...siblingsOf(house, transfer)];
  const id =
    underWay?.id ??
    plan(house, "hash", owner, {
      errand: {
        system: transfer.system,
        paths: wanting.map(sourceOf),
        bytes: wanting.reduce((sum, { size = 0 }) => sum + size, 0),
        ...(transfer.account === undefined ? {} : { account: transfer.account }),
      },
    });
  for (const one of underWay === undefined ? wanting : [transfer])
    applyTransfer(house, { record: { ...one, errand: id, changedAt: house.now() }, announce: [], changed: true });
}

/** Has the transfer's file cut into pieces. */
export function planSplit(house: House, transfer: TransferRecord, cut: NonNullable<Errand["cut"]>): string {
  const { system, account, size = 0 } = transfer;
  const errand: Errand = { system, paths: [sourceOf(transfer)], bytes: size, cut };
  return plan(house, "split", transfer.id, { errand: account === undefined ? errand : { ...errand, account } });
}

/** The transfer needs its errand no more. Whoever is the last to leave puts out the light. Call inside `house.change`. */
export function leaveErrand(house: House, { id, errand }: Pick<TransferRecord, "id" | "errand">): void {
  const record = errand === undefined ? undefined : withErrand(effect(house, errand));
  if (record === undefined || waitingFor(house, record.id).some((other) => other.id !== id)) return;
  if (record.state === "planned") move(house, record, "refused");
  else if (record.state === "done" || record.state === "refused") clearAway(house, record);
  else if (record.doc.errand.schedulerId !== undefined) plan(house, "cancel", record.subject, { cancels: record.id });
}

const isNeeded = (house: House, { id }: EffectRecord): boolean => waitingFor(house, id).length > 0;

/** What it left goes: the directory where it is surely the errand's own, else the manifest. */
function clearAway(house: House, { id, subject, doc }: WithErrand): void {
  const { directory, system, cut } = doc.errand;
  const paths = cut === undefined ? [] : [cut.directory];
  if (directory !== undefined)
    paths.push(ownDirectory(directory, tagOf(id)) ? directory : `${directory}/${manifestName(tagOf(id))}`);
  if (paths.length > 0) planTidy(house, subject, system, paths);
}

/** v2: made by us and named after the errand. v1: made by FirecREST for one task. */
const ownDirectory = (directory: string, tag: string): boolean =>
  directory.endsWith(`.fw-${tag}`) || /\/firecrest\/[0-9a-f]{32}$/.test(directory);

// ------------------------------------------------------------------------------------------------------------- submission

const withErrand = (record: EffectRecord | undefined): WithErrand | undefined =>
  record?.doc.errand === undefined ? undefined : (record as WithErrand);

/** The scheduler has it. If nobody needs it any more, it is cancelled at once. */
export function errandTaken(
  house: House,
  record: EffectRecord,
  taken: { schedulerId: string; workingDirectory?: string },
): void {
  const known = withErrand(record);
  if (known === undefined) return;
  const errand: Errand = {
    ...known.doc.errand,
    schedulerId: taken.schedulerId,
    ...(taken.workingDirectory === undefined ? {} : { directory: taken.workingDirectory }),
  };
  const { handle: _h, ambiguity: _a, ...doc } = record.doc;
  house.run("UPDATE effects SET state = 'sent', doc = ? WHERE id = ?", JSON.stringify(doc), record.id);
  note(house, { ...record, doc }, { errand }, house.now() + PATIENCE_MS);
  house.due("round", errand.system, house.now() + 1_000, true);
  if (!isNeeded(house, record)) plan(house, "cancel", record.subject, { cancels: record.id });
}

/** It may have been submitted: from here on only looking decides. */
function unsure(house: House, record: EffectRecord, detail: string): void {
  const sentAt = record.sentAt ?? house.now();
  move(house, record, "unknown", {
    dueAt: Math.max(house.now(), sentAt + LOOKUP_OFFSETS_MS[0]),
    doc: { lastError: detail, ambiguity: { sentAt, lookups: 0 } },
  });
}

/** What the site says of a submission that it had not finished with. */
export function errandSubmission(
  house: House,
  record: EffectRecord,
  state: Exclude<HandleState, { state: "working" }>,
): void {
  if (state.state === "done" && state.schedulerId !== undefined) {
    const { schedulerId, workingDirectory } = state;
    errandTaken(house, record, {
      schedulerId,
      ...(workingDirectory === undefined ? {} : { workingDirectory }),
    });
  } else if (state.state === "failed" && state.certain) {
    errandOver(house, record, { ok: false, detail: state.message });
  } else {
    unsure(house, record, state.state === "failed" ? state.message : "The site forgot the submission.");
  }
}

/** One look for it by its name. `look` is undefined when the site could not be read. */
export function errandLooked(house: House, id: string, look: NameLookup | undefined): LookupVerdict | undefined {
  const record = withErrand(effect(house, id));
  const ambiguity = record?.doc.ambiguity;
  if (record === undefined || record.state !== "unknown" || ambiguity === undefined) return undefined;
  const resends = record.doc.resends ?? 0;
  const verdict = lookedUp(ambiguity, look && summaryOf(look), resends, house.now());
  switch (verdict.do) {
    case "adopt":
      errandTaken(house, record, { schedulerId: verdict.schedulerId, ...pathsTaken(look, verdict.schedulerId) });
      break;
    case "resend": {
      const { ambiguity: _a, handle: _h, ...doc } = record.doc;
      house.run(
        "UPDATE effects SET state = 'planned', doc = ? WHERE id = ?",
        JSON.stringify({ ...doc, resends: resends + 1 }),
        id,
      );
      hintAt(house, record);
      break;
    }
    case "give_up":
      errandOver(house, record, { ok: false, detail: "The answers to three submissions were lost." });
      break;
    case "wait":
      note(house, record, { ambiguity: verdict.ambiguity }, verdict.untilMs);
      break;
  }
  return verdict;
}

// ------------------------------------------------------------------------------------------------------------- the rounds

export interface TrackedErrand {
  /** Of the effect. */
  id: string;
  since: number;
  tracked: TrackedJob;
}

/** Errands of a system that the scheduler has to be asked about. */
export function trackedErrands(house: House, system: string): TrackedErrand[] {
  return house
    .rows<{ id: string; kind: EffectKind; sent_at: number; doc: string }>(
      "SELECT id, kind, sent_at, doc FROM effects WHERE kind IN ('hash', 'split') AND state = 'sent' AND json_extract(doc, '$.errand.schedulerId') IS NOT NULL AND json_extract(doc, '$.errand.system') = ?",
      system,
    )
    .map(({ id, kind, sent_at, doc }) => {
      const { errand, plannedAt } = JSON.parse(doc) as WithErrand["doc"];
      return {
        id,
        since: sent_at,
        tracked: {
          schedulerId: errand.schedulerId ?? "",
          name: errandName({ kind, id }),
          acceptedAt: plannedAt,
          submittedAt: sent_at,
          status: "queued",
          confirm: errand.missingSince !== undefined || house.now() - sent_at < 60_000,
        },
      };
    });
}

/**
 * A look at the scheduler. `undefined`: it was asked for by id, and nobody knew it. Answers whether that was news. Call inside
 * `house.change`.
 */
export function errandSeen(house: House, id: string, seen: JobObservation | undefined): boolean {
  const record = withErrand(effect(house, id));
  if (record === undefined || record.state !== "sent") return false;
  const { missingSince, ...errand } = record.doc.errand;
  if (seen === undefined) {
    if (missingSince === undefined) note(house, record, { errand: { ...errand, missingSince: house.now() } });
    else if (house.now() - missingSince < LOST_AFTER_MS) return false;
    else errandOver(house, record, { ok: false, detail: "The scheduler does not know it any more." });
    return true;
  }
  const directory = errand.directory ?? seen.workingDirectory;
  const changed = missingSince !== undefined || directory !== errand.directory;
  const found: WithErrand["doc"] = {
    ...record.doc,
    errand: directory === undefined ? errand : { ...errand, directory },
  };
  if (changed) note(house, record, found);
  const lives = seen.state === "queued" || seen.state === "running" || seen.state === "unknown";
  if (lives || seen.skeleton || seen.revocable) return changed;
  const ok = seen.state === "succeeded";
  errandOver(house, { ...record, doc: found }, ok ? { ok } : { ok, detail: `It ended as ${seen.schedulerState}.` });
  return true;
}

/** It has ended: whoever waits looks at what it left. Call inside `house.change`. */
export function errandOver(
  house: House,
  record: EffectRecord,
  end: { ok: true } | { ok: false; detail: string },
): void {
  move(house, record, end.ok ? "done" : "refused", end.ok ? {} : { doc: { lastError: end.detail } });
  const ended = withErrand(effect(house, record.id));
  const waiting = waitingFor(house, record.id);
  for (const transfer of waiting)
    if (transfer.status === "verifying") plan(house, "verify", transfer.id);
    else if (transfer.pieces !== undefined) fileCut(house, transfer, end);
  if (waiting.length === 0 && ended !== undefined) clearAway(house, ended);
}
