/** Rows of effects: planned, begun, finished. What an effect means is in the rooms that plan it. */
import {
  type Ambiguity,
  DEADLINE_MS,
  EFFECT_STEPS,
  type EffectKind,
  type EffectState,
  isByteEffect,
  retryDelayMs,
} from "../../shared/domain/effect.ts";
import type { FileJob, Handle } from "../../shared/firecrest/port.ts";
import type { Errand } from "./errands.ts";
import type { House } from "./house.ts";
import { isBehind, join, leave } from "./line.ts";

export interface EffectRecord {
  id: string;
  kind: EffectKind;
  /** A job's or transfer's id, or a debt's (= the id of the staging effect that opened it). */
  subject: string;
  state: EffectState;
  attempt: number;
  sentAt?: number;
  deadline?: number;
  doc: {
    plannedAt: number;
    /** A v1 task or v2 job that carries the effect; its link, if any, lives sealed in the debt. */
    handle?: Handle;
    ambiguity?: Ambiguity;
    resends?: number;
    lastError?: string;
    /** Of an effect on bytes: how often it failed in a row, since it last got further. */
    failures?: number;
    /** Of an `abort` or `discard`: the R2 upload to give back. */
    uploadId?: string;
    /** Of an `upload`: the site waits for us, so there is nothing to look at. */
    quiet?: boolean;
    /** Of an `upload`: since when the site has tried in vain to put the file in its place. */
    stuckSince?: number;
    /** Of a `compress`: the file that it makes. */
    archive?: string;
    /** Of a `hash` or `split`: the small job that it is. */
    errand?: Errand;
    /** Of a `cancel`: the errand to end, where it is not the job itself. */
    cancels?: string;
    /** Of a `tidy`: what to remove. */
    tidy?: { system: string; paths: string[] };
    /** Of a `file_job`: what the site is to do. */
    fileJob?: { job: FileJob; account?: string; after?: string };
  };
}

/** A hint that got lost is sent again after this long. */
export const HINT_AGAIN_MS = 10_000;

interface Row {
  id: string;
  kind: EffectKind;
  subject: string;
  state: EffectState;
  attempt: number;
  sent_at: number | null;
  deadline: number | null;
  doc: string;
}

const read = (row: Row): EffectRecord => ({
  id: row.id,
  kind: row.kind,
  subject: row.subject,
  state: row.state,
  attempt: row.attempt,
  ...(row.sent_at === null ? {} : { sentAt: row.sent_at }),
  ...(row.deadline === null ? {} : { deadline: row.deadline }),
  doc: JSON.parse(row.doc) as EffectRecord["doc"],
});

export function effect(house: House, id: string): EffectRecord | undefined {
  const row = house.row<Row>("SELECT * FROM effects WHERE id = ?", id);
  return row === undefined ? undefined : read(row);
}

export function effectsOf(house: House, subject: string): EffectRecord[] {
  return house.rows<Row>("SELECT * FROM effects WHERE subject = ?", subject).map(read);
}

/** Effects that wait for a task or job on the far side. */
export function effectsWithHandle(house: House): EffectRecord[] {
  return house
    .rows<Row>("SELECT * FROM effects WHERE state = 'sent' AND doc LIKE '%\"handle\":%'")
    .map(read)
    .filter(({ doc }) => doc.quiet !== true);
}

/** Plans an effect and hints at it. Call inside `house.change`. */
export function plan(
  house: House,
  kind: EffectKind,
  subject: string,
  { delayMs = 0, ...doc }: { delayMs?: number } & Omit<Partial<EffectRecord["doc"]>, "plannedAt"> = {},
): string {
  const id = house.id("eff");
  const now = house.now();
  house.run(
    "INSERT INTO effects (id, kind, subject, state, attempt, doc) VALUES (?, ?, ?, 'planned', 0, ?)",
    id,
    kind,
    subject,
    JSON.stringify({ plannedAt: now, ...doc }),
  );
  if (delayMs > 0) house.due("effect", id, now + delayMs);
  else hintAt(house, { id, kind, subject });
  return id;
}

/**
 * Sends the queue message for a planned effect, and puts it on the agenda in case the message gets lost. One that has to wait
 * for others joins their line instead.
 */
export function hintAt(house: House, { id, kind, subject }: Pick<EffectRecord, "id" | "kind" | "subject">): void {
  const again = house.now() + HINT_AGAIN_MS;
  if (isBehind(house, { id, kind })) {
    join(house, { id, kind }, again);
    return;
  }
  if (isByteEffect(kind))
    house.hint({ queue: "transfers", message: { v: 1, connection: house.name, transfer: subject, effect: id } });
  else house.hint({ queue: "commands", message: { v: 1, connection: house.name, effect: id } });
  house.due("effect", id, again);
}

/** Moves an effect; false when the table does not list the step. Call inside `house.change`. */
export function move(
  house: House,
  record: EffectRecord,
  to: EffectState,
  options: { dueAt?: number; doc?: Partial<EffectRecord["doc"]> } = {},
): boolean {
  if (!(EFFECT_STEPS[record.state] as readonly EffectState[]).includes(to)) return false;
  const now = house.now();
  const doc = { ...record.doc, ...options.doc };
  if (record.state === "planned") leave(house, record);
  if (to === "sent") {
    const deadline = now + DEADLINE_MS[record.kind];
    house.run(
      "UPDATE effects SET state = 'sent', attempt = attempt + 1, sent_at = ?, deadline = ?, doc = ? WHERE id = ?",
      now,
      deadline,
      JSON.stringify(doc),
      record.id,
    );
    house.due("effect", record.id, deadline);
  } else {
    house.run("UPDATE effects SET state = ?, doc = ? WHERE id = ?", to, JSON.stringify(doc), record.id);
    if (options.dueAt !== undefined) house.due("effect", record.id, options.dueAt);
    else house.notDue("effect", record.id);
  }
  return true;
}

/**
 * What its sender tells at last, or a look has found: as if the answer had come in time. Nobody sends it again from here on.
 * Call inside `house.change`.
 */
export function heardOf(house: House, record: EffectRecord): EffectRecord {
  if (record.state === "sent") return record;
  if (record.state === "planned") leave(house, record);
  const { ambiguity: _, ...doc } = record.doc;
  house.run("UPDATE effects SET state = 'sent', doc = ? WHERE id = ?", JSON.stringify(doc), record.id);
  return { ...record, state: "sent", doc };
}

/** Notes something about an effect without moving it; renews its deadline where given. Call inside `house.change`. */
export function note(house: House, record: EffectRecord, doc: Partial<EffectRecord["doc"]>, deadline?: number): void {
  house.run(
    "UPDATE effects SET doc = ?, deadline = coalesce(?, deadline) WHERE id = ?",
    JSON.stringify({ ...record.doc, ...doc }),
    deadline ?? null,
    record.id,
  );
  if (deadline !== undefined) house.due("effect", record.id, deadline);
}

/**
 * Plans an effect on bytes again, ever later; false when it has failed as often in a row as it may. Only failures count:
 * a large file takes many invocations. Call inside `house.change`.
 */
export function tryAgain(
  house: House,
  record: EffectRecord,
  failure: { detail: string; retryAfterSeconds?: number | undefined },
  mostFailures: number,
): boolean {
  const failures = (record.doc.failures ?? 0) + 1;
  if (failures > mostFailures) return false;
  return move(house, record, "planned", {
    dueAt: house.now() + retryDelayMs(failures, house.random(), failure.retryAfterSeconds),
    doc: { lastError: failure.detail, failures },
  });
}

/** What is said of an effect on bytes whose invocation was never heard of again. */
export const LOST_WORKER = "The Worker that moved the bytes was lost.";

/** These clean up after what was done before: they are owed whatever becomes of their subject. */
const OWED: readonly EffectKind[] = ["abort", "tidy", "cancel"];

/** Forgets what was planned for a subject and not yet sent. Call inside `house.change`. */
export function withdraw(house: House, subject: string): void {
  for (const record of effectsOf(house, subject)) {
    if (record.state !== "planned" || OWED.includes(record.kind)) continue;
    house.run("UPDATE effects SET state = 'refused' WHERE id = ?", record.id);
    leave(house, record);
    house.notDue("effect", record.id);
  }
}
