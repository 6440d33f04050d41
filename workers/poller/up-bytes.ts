/** Effects on the bytes of an upload: what the transfer Worker is given, and what its outcome means. */

import { isEndedTransfer } from "../../shared/contract/states.ts";
import type { UpSource } from "../../shared/contract/up.ts";
import type { Begun, ByteOutcome, ByteWork, PartDone } from "../../shared/contract/work.ts";
import { DEADLINE_MS, type EffectKind } from "../../shared/domain/effect.ts";
import { moved, type TransferRecord } from "../../shared/domain/transfer.ts";
import { fetchMaxBytes, sourceHashMaxBytes } from "../../shared/domain/upload.ts";
import type { Desk } from "./accept.ts";
import { type EffectRecord, effect, hintAt, LOST_WORKER, move, note, tryAgain } from "./effects.ts";
import { linkBinding } from "./far.ts";
import { openForm, sealedForm } from "./forms.ts";
import type { House } from "./house.ts";
import { sourceUrl } from "./source-url.ts";
import { applyTransfer, debtRecord, failTransfer, openDebts, transferRecord } from "./transfers.ts";
import { allSent, placing, sendDoubtful } from "./up-place.ts";
import { again, discardSpool, payUpload, place, sourceGone } from "./uploads.ts";

const SEGMENT_MS = 45_000;
/** Links of parts that one invocation is given at most. */
const PARTS_AT_ONCE = 500;
const MAX_FAILURES = 60;
/** Somebody else's server: about ten minutes of trying. */
const FETCH_FAILURES = 8;

const UP_EFFECTS: readonly EffectKind[] = ["inspect", "fetch", "send", "discard"];
export const isUpEffect = (kind: EffectKind): boolean => UP_EFFECTS.includes(kind);

/** Copies of files from elsewhere lie beside all connections: no connection's name begins with a dot. */
const spoolKey = (house: House, id: string): string => `.uploads/${house.name}/${id}`;

/** Where the file that goes up lies in R2. */
export const sourceKey = (house: House, { id, key, url }: Pick<TransferRecord, "id" | "key" | "url">): string =>
  url === undefined ? `${house.name}/${key}` : spoolKey(house, id);

export function upSource(house: House, transfer: TransferRecord): UpSource | undefined {
  const { size, source } = transfer;
  if (size === undefined || source?.etag === undefined) return undefined;
  return { objectKey: sourceKey(house, transfer), etag: source.etag, bytes: size };
}

export async function beginUp(desk: Desk, id: string): Promise<Begun<ByteWork>> {
  const { house } = desk;
  const begun = house.change((): Begun<ByteWork> | { record: EffectRecord; finish(): Promise<ByteWork> } => {
    const record = effect(house, id);
    if (record === undefined) return { go: false, why: "over" };
    if (record.state !== "planned")
      return { go: false, why: record.state === "sent" || record.state === "unknown" ? "already_sent" : "over" };
    const finish = prepare(desk, record);
    if (finish === undefined) {
      move(house, record, "refused");
      return { go: false, why: "over" };
    }
    move(house, record, "sent");
    return { record, finish };
  });
  if ("go" in begun) return begun;
  return { go: true, work: await begun.finish(), attempt: begun.record.attempt + 1 };
}

/** What is to be done; opened, where it is secret, after the commit. Undefined when nobody wants it any more. */
function prepare(desk: Desk, record: EffectRecord): (() => Promise<ByteWork>) | undefined {
  const { house, seal, site } = desk;
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined) return undefined;
  const objectKey = sourceKey(house, transfer);
  const hashMaxBytes = sourceHashMaxBytes(transfer);
  const ids = { transfer: transfer.id, objectKey };
  switch (record.kind) {
    case "inspect":
      if (transfer.status !== "staging") return undefined;
      return async () => ({ kind: "inspect", ...ids, hashMaxBytes });
    case "fetch": {
      const { url, source } = transfer;
      if (transfer.status !== "staging" || url === undefined) {
        // An invocation that was lost may have left something after all.
        discardSpool(house, transfer);
        return undefined;
      }
      const maxBytes = fetchMaxBytes(site.facts()?.parameters ?? {});
      const stale = source?.uploadId === undefined ? {} : { staleUploadId: source.uploadId };
      return async () => {
        const whole = await sourceUrl(house, seal, transfer, url);
        return { kind: "fetch", ...ids, url: whole, maxBytes, hashMaxBytes, ...stale };
      };
    }
    case "send":
      return prepareSend(desk, record, transfer);
    case "discard": {
      const { uploadId } = record.doc;
      return async () => ({ kind: "discard", ...ids, ...(uploadId === undefined ? {} : { uploadId }) });
    }
    default:
      return undefined;
  }
}

function prepareSend(
  { house, seal, site }: Desk,
  record: EffectRecord,
  transfer: TransferRecord,
): (() => Promise<ByteWork>) | undefined {
  const copying =
    transfer.status === "staged" ? applyTransfer(house, moved(transfer, "copying", house.now())) : transfer;
  const source = upSource(house, copying);
  const pieces = sealedForm(house, transfer.id);
  if (copying.status !== "copying" || source === undefined || pieces.length === 0) return undefined;
  const debt = debtRecord(house, placing(house, transfer.id)?.id ?? "");
  const parts = house.rows<{ n: number; etag: string }>(
    "SELECT n, etag FROM parts WHERE transfer = ? ORDER BY n",
    transfer.id,
  );
  const again = record.attempt > 0;
  return async () => {
    const form = await openForm(house, seal, transfer.id, pieces);
    const link = form.kind === "form" ? form.url : form.completeUrl;
    site.learnStorage(link);
    const common = { transfer: transfer.id, source, storageOrigins: site.config().storageOrigins ?? [link] };
    if (form.kind === "form") {
      const arrivedUrl =
        again && debt?.sealedLink !== undefined
          ? { arrivedUrl: await seal.open(debt.sealedLink, linkBinding(house, debt.id)) }
          : {};
      const fileName = transfer.path.slice(transfer.path.lastIndexOf("/") + 1);
      return { kind: "send_form", ...common, form: { url: form.url, fields: form.fields }, fileName, ...arrivedUrl };
    }
    const have = new Set(parts.map(({ n }) => n));
    const missing = form.partUrls.map((url, i) => ({ n: i + 1, url })).filter(({ n }) => !have.has(n));
    return {
      kind: "send_parts",
      ...common,
      partBytes: form.partBytes,
      partUrls: missing.slice(0, PARTS_AT_ONCE),
      completeUrl: form.completeUrl,
      parts,
      again,
      segmentMs: SEGMENT_MS,
    };
  };
}

// ----------------------------------------------------------------------------------------------------- while it runs

/** The effect and its transfer, while both still want bytes. */
function current(house: House, id: string): { record: EffectRecord; transfer: TransferRecord } | undefined {
  const record = effect(house, id);
  const transfer = record && transferRecord(house, record.subject);
  const wanted = record?.kind === "send" ? "copying" : "staging";
  return record?.state === "sent" && transfer?.status === wanted ? { record, transfer } : undefined;
}

/** An upload to R2 was begun for a file from elsewhere: on record before its first byte, so that it is always removed. */
export function fetchStarted(house: House, id: string, uploadId: string): { go: boolean } {
  return house.change(() => {
    const now = current(house, id);
    if (now === undefined) return { go: false };
    const record = { ...now.transfer, source: { ...now.transfer.source, uploadId }, changedAt: house.now() };
    applyTransfer(house, { record, announce: [], changed: true });
    return { go: true };
  });
}

/** Parts that have arrived; also a sign of life. */
export function partsSent(house: House, id: string, parts: PartDone[]): { go: boolean } {
  return house.change(() => {
    const now = current(house, id);
    if (now === undefined) return { go: false };
    const { record, transfer } = now;
    for (const { n, etag, bytes } of parts)
      house.run(
        "INSERT OR REPLACE INTO parts (transfer, n, etag, bytes, sha256) VALUES (?, ?, ?, ?, NULL)",
        transfer.id,
        n,
        etag,
        bytes,
      );
    const copied = house.row<{ n: number | null }>("SELECT sum(bytes) AS n FROM parts WHERE transfer = ?", transfer.id);
    applyTransfer(house, {
      record: { ...transfer, copiedBytes: copied?.n ?? 0, changedAt: house.now() },
      announce: [],
      changed: parts.length > 0,
    });
    note(house, record, parts.length > 0 ? { failures: 0 } : {}, house.now() + DEADLINE_MS[record.kind]);
    return { go: true };
  });
}

// -------------------------------------------------------------------------------------------------------- its outcome

export function finishUp(house: House, id: string, outcome: ByteOutcome, attempt: number): void {
  house.change(() => {
    const record = effect(house, id);
    const transfer = record && transferRecord(house, record.subject);
    if (record?.state !== "sent" || record.attempt !== attempt || transfer === undefined) return;
    if (record.kind !== "discard" && isEndedTransfer(transfer.status)) afterTheEnd(house, record, transfer);
    else apply(house, record, transfer, outcome);
  });
}

function apply(house: House, record: EffectRecord, transfer: TransferRecord, outcome: ByteOutcome): void {
  switch (outcome.kind) {
    case "inspected": {
      move(house, record, "done");
      if (transfer.status !== "staging") return;
      const { sha256: _, ...plain } = transfer;
      const { bytes, etag, sha256 } = outcome;
      const limit = sourceHashMaxBytes(transfer);
      if (transfer.verify !== undefined && bytes > limit && limit >= 0) {
        const instead = transfer.verify === "hash" ? "verify: manifest or size" : "verify: size";
        const detail = `With verify: ${transfer.verify}, files of up to ${limit} bytes are hashed; this one has ${bytes}. Ask for ${instead}.`;
        failTransfer(house, transfer, "not_provable", detail);
        return;
      }
      const { uploadId: _done, ...source } = transfer.source ?? {};
      place(house, {
        ...plain,
        size: bytes,
        source: { ...source, etag },
        ...(sha256 === undefined ? {} : { sha256 }),
      });
      return;
    }
    case "paused":
      move(house, record, "planned");
      hintAt(house, record);
      return;
    case "sent":
      allSent(house, record, transfer);
      return;
    case "discarded":
      move(house, record, "done");
      return;
    case "failed":
      failed(house, record, transfer, outcome);
      return;
    default:
      move(house, record, "refused");
  }
}

/** The transfer ended while its bytes were on their way: what they left is cleared now. */
function afterTheEnd(house: House, record: EffectRecord, transfer: TransferRecord): void {
  move(house, record, "refused");
  if (record.kind === "fetch") discardSpool(house, transfer);
  for (const debt of openDebts(house, transfer.id)) payUpload(house, debt);
}

function failed(
  house: House,
  record: EffectRecord,
  transfer: TransferRecord,
  { why, detail, retryAfterSeconds }: Extract<ByteOutcome, { kind: "failed" }>,
): void {
  house.log({ event: "bytes.failed", effect: record.id, transfer: transfer.id, why, detail });
  const refuse = () => void move(house, record, "refused", { doc: { lastError: detail } });
  if (why === "later" && record.kind === "send" && house.meta("api") === "v1") {
    if (record.attempt < MAX_FAILURES) {
      sendDoubtful(house, record, detail);
      return;
    }
  } else if (why === "later") {
    const mostFailures = record.kind === "fetch" ? FETCH_FAILURES : MAX_FAILURES;
    if (tryAgain(house, record, { detail, retryAfterSeconds }, mostFailures)) return;
  }
  if (record.kind === "discard") {
    refuse();
    return;
  }
  if (why === "changed") {
    sourceGone(house, record, "changed");
    return;
  }
  refuse();
  if (why === "link_dead") again(house, transfer, "place", why, detail);
  else if (why === "missing") failTransfer(house, transfer, "source_missing", detail);
  else failTransfer(house, transfer, record.kind === "send" ? "send_failed" : "source_unusable", detail);
}

/** The invocation was never heard of again. */
export function overdueUp(house: House, record: EffectRecord): void {
  const transfer = transferRecord(house, record.subject);
  if (transfer === undefined) move(house, record, "refused");
  else if (record.kind !== "discard" && isEndedTransfer(transfer.status)) afterTheEnd(house, record, transfer);
  else failed(house, record, transfer, { kind: "failed", why: "later", detail: LOST_WORKER });
}
