/**
 * What the alarm does: send again what got lost, look at what is pending, poll what is live. Local work first, then far
 * reads, each with its own time-out; an item's error is recorded and the others go on.
 */
import { isByteEffect, isErrand, REQUESTS } from "../../shared/domain/effect.ts";
import { stagedOf } from "../../shared/domain/transfer.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, NameLookup } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { lostArchive } from "./archives.ts";
import { overdueBytes } from "./bytes.ts";
import { beginCensus } from "./census.ts";
import { effect, hintAt } from "./effects.ts";
import { errandLooked, errandName } from "./errands.ts";
import { beginHandles } from "./handles.ts";
import { siteAnswered, siteFailed } from "./health.ts";
import type { AgendaKind } from "./house.ts";
import { jobRecord } from "./jobs.ts";
import { firstInLine, leave } from "./line.ts";
import { lookForOperation } from "./operations.ts";
import { retire } from "./retention.ts";
import { beginRound } from "./rounds.ts";
import { overdue, stagingLooked } from "./settle.ts";
import { answerNeverCame, looked } from "./submission.ts";
import { debtRecord, moveDebt, transferRecord } from "./transfers.ts";
import { lookForPlace } from "./up-place.ts";
import { beginNameLook } from "./watching.ts";

const BATCH = 500;
/** The line is called at most this often: who was called has taken its share by then. */
const CALL_AGAIN_MS = 1_000;
/** What failed by itself, not because of the site, is tried again after this long. */
const BROKEN_AGAIN_MS = 5 * 60_000;

interface Due {
  kind: AgendaKind;
  subject: string;
}

/** A look at the far side, begun after the commit that noted when the next one is due. */
export interface Look {
  what: string;
  /** Whose jobs it is about, where it can fail alone. */
  system?: string;
  look: () => Promise<void>;
}

/**
 * One pass over everything that is due. Far reads of different kinds run beside each other. First of all, in one commit,
 * everything gets its next time, which arms the alarm: whatever becomes of the looks, they are brought back.
 */
export async function attend(desk: Desk): Promise<void> {
  const { house } = desk;
  const looks = house.change(() => house.whatIsDue(BATCH).flatMap((item) => attendAlone(desk, item) ?? []));
  const ends = await Promise.allSettled(looks.map((look) => guarded(desk, look)));
  const broken = ends.find((end) => end.status === "rejected");
  if (broken !== undefined) throw broken.reason;
}

/** One entry that cannot be attended to is put off: it must not hold up all others for ever. Call inside `house.change`. */
function attendAlone(desk: Desk, item: Due): Look | undefined {
  const { house } = desk;
  const attended = house.attempt(() => attendTo(desk, item));
  if (attended.ok) return attended.value;
  house.due(item.kind, item.subject, house.now() + BROKEN_AGAIN_MS);
  house.log({ event: "agenda.item_failed", ...item, error: attended.error });
  return undefined;
}

async function guarded(desk: Desk, { what, system, look }: Look): Promise<void> {
  try {
    await look();
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    if (error.code === "rate_limited") desk.site.pause(error.retryAfterSeconds);
    siteFailed(desk.house, error, system === undefined ? {} : { system });
    desk.house.log({ event: "look.failed", what, code: error.code, detail: error.message });
  }
}

/** Does what needs no answer from outside, and answers what does. Call inside `house.change`. */
function attendTo(desk: Desk, { kind, subject }: Due): Look | undefined {
  const { house } = desk;
  switch (kind) {
    case "round":
      return beginRound(desk, subject);
    case "handles":
      return beginHandles(desk);
    case "effect":
      return attendEffect(desk, subject);
    case "line":
      callNext(desk);
      return;
    case "watch":
      return beginNameLook(desk, subject);
    case "lane":
      house.hint({ queue: "callbacks", message: { v: 1, connection: house.name } });
      house.due("lane", subject, house.now() + 15_000);
      return;
    case "debt": {
      // The calendar is the last proof: a presigned link is dead after its expiry.
      const debt = debtRecord(house, subject);
      house.notDue("debt", subject);
      if (debt?.state === "unreleasable") moveDebt(house, debt, "expires");
      return;
    }
    case "retention":
      retire(house);
      return;
    case "objects":
      return { what: "objects", look: beginCensus(house) };
    default:
      return;
  }
}

function attendEffect(desk: Desk, id: string): Look | undefined {
  const { house } = desk;
  const record = effect(house, id);
  if (record?.state === "unknown" && record.kind === "compress") lostArchive(house, record);
  else if (record?.state === "unknown") return beginLookUp(desk, id);
  else if (record === undefined || record.state === "done" || record.state === "refused") house.notDue("effect", id);
  else if (record.state === "planned") hintAt(house, record);
  else if (record.state === "sent" && house.now() >= (record.deadline ?? 0)) {
    if (isByteEffect(record.kind)) overdueBytes(house, record);
    else overdue(house, record);
  }
  return undefined;
}

/** Calls as many of those who wait for the budget as it can pay for, the first one also where it costs more than ever is there. */
function callNext({ house, site }: Desk): void {
  const waiting = firstInLine(house, BATCH);
  if (waiting.length === 0) {
    house.notDue("line", "");
    return;
  }
  const { available } = site.budgetView();
  let requests = 0;
  const called = waiting.filter((one, n) => {
    requests += REQUESTS[one.kind];
    return requests <= available || (n === 0 && site.readyAt(requests) <= house.now());
  });
  for (const one of called) leave(house, one);
  for (const one of called) hintAt(house, one);
  const upToNext = waiting.slice(0, called.length + 1).reduce((sum, { kind }) => sum + REQUESTS[kind], 0);
  house.due("line", "", Math.max(site.readyAt(upToNext), house.now() + CALL_AGAIN_MS));
}

// ---------------------------------------------------------------------------------------------------------------- look-ups

/** An effect whose outcome is unknown and whose look is due. */
function beginLookUp(desk: Desk, id: string): Look | undefined {
  const wait = desk.site.take(2, "user");
  desk.house.due("effect", id, wait ?? desk.house.now() + 60_000);
  return wait === undefined ? { what: `look-up ${id}`, look: () => lookUp(desk, id) } : undefined;
}

async function lookUp(desk: Desk, id: string): Promise<void> {
  const { house, site } = desk;
  const record = effect(house, id);
  if (record?.state !== "unknown") return;
  const { firecrest, requests } = site.client();
  const sentAt = record.doc.ambiguity?.sentAt ?? record.sentAt ?? house.now();
  try {
    if (record.kind === "submit") {
      const job = jobRecord(house, record.subject);
      if (job?.tagged === false) house.change(() => answerNeverCame(house, id));
      if (job?.tagged !== true || job.schedulerName === undefined) return;
      const look = await withPaths(
        firecrest,
        job.system,
        await firecrest.findByName(job.system, job.schedulerName, sentAt),
      );
      siteAnswered(house);
      const verdict = house.change(() => looked(house, id, look));
      house.log({
        event: "submission.looked_up",
        effect: id,
        job: job.id,
        matches: look.matches.length,
        conclusive: look.conclusive,
        verdict: verdict?.do,
      });
    } else if (isErrand(record.kind) && record.doc.errand !== undefined) {
      const { system } = record.doc.errand;
      const look = await withPaths(firecrest, system, await firecrest.findByName(system, errandName(record), sentAt));
      siteAnswered(house);
      house.change(() => errandLooked(house, id, look));
    } else if (record.kind === "file_job") {
      await lookForOperation(house, id, firecrest);
      siteAnswered(house);
    } else if (record.kind === "stage") {
      const transfer = transferRecord(house, record.subject);
      if (transfer === undefined) return;
      const handle = await firecrest.findStaged(transfer.system, stagedOf(transfer), sentAt);
      const stat =
        handle === undefined
          ? undefined
          : await firecrest.files.stat(transfer.system, stagedOf(transfer), { dereference: true });
      siteAnswered(house);
      house.change(() =>
        stagingLooked(house, id, handle === undefined || stat === undefined ? undefined : { handle, stat }),
      );
    } else if (record.kind === "upload") {
      await lookForPlace(desk, record, firecrest, sentAt);
    }
  } catch (error) {
    if (record.kind === "submit") house.change(() => looked(house, id, undefined));
    else if (isErrand(record.kind)) house.change(() => errandLooked(house, id, undefined));
    // Where the site will never say (v1's list of a busy day is too large to read), the lost one is left to expire.
    else if (record.kind === "stage" && error instanceof FirecrestError && error.retry === "never")
      house.change(() => stagingLooked(house, id, undefined));
    // Its sender may have been heard of meanwhile.
    else if (effect(house, id)?.state === "unknown") house.change(() => house.due("effect", id, house.now() + 15_000));
    throw error;
  } finally {
    site.settle(2, requests());
  }
}

/** Where an adopted job works and writes is part of what its lost answer would have told. */
async function withPaths(firecrest: Firecrest, system: string, look: NameLookup): Promise<NameLookup> {
  const matches = await Promise.all(
    look.matches.map(async (match) =>
      match.workingDirectory === undefined
        ? { ...match, ...(await firecrest.outputPaths(system, match.schedulerId)) }
        : match,
    ),
  );
  return { ...look, matches };
}
