/**
 * What the alarm does: send again what got lost, look at what is pending, poll what is live. Local work first, then far
 * reads, each with its own time-out; an item's error is recorded and the others go on.
 */
import { isByteEffect, isErrand } from "../../shared/domain/effect.ts";
import { nextHandleLookMs } from "../../shared/domain/pace.ts";
import { stagedOf } from "../../shared/domain/transfer.ts";
import { FirecrestError } from "../../shared/firecrest/errors.ts";
import type { Firecrest, Handle, HandleState, NameLookup } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { lostArchive, packed } from "./archives.ts";
import { copyStaged } from "./bytes.ts";
import { type EffectRecord, effect, effectsWithHandle, hintAt, move } from "./effects.ts";
import { errandLooked, errandName, errandSubmission } from "./errands.ts";
import { linkBinding } from "./far.ts";
import { siteAnswered, siteFailed } from "./health.ts";
import type { House } from "./house.ts";
import { jobRecord } from "./jobs.ts";
import { retire } from "./retention.ts";
import { beginRound } from "./rounds.ts";
import { linkKnown, overdue, stagingLooked, startOver } from "./settle.ts";
import { adopted, looked, refused, submissionUnknown } from "./submission.ts";
import { debtRecord, failTransfer, moveDebt, saveDebt, transferRecord } from "./transfers.ts";

const BATCH = 500;
interface Due {
  kind: string;
  subject: string;
}

/** A look at the far side, begun after the commit that noted when the next one is due. */
export interface Look {
  what: string;
  look: () => Promise<void>;
}

/**
 * One pass over everything that is due. Far reads of different kinds run beside each other. First of all, in one commit,
 * everything gets its next time, which arms the alarm: whatever becomes of the looks, they are brought back.
 */
export async function attend(desk: Desk): Promise<void> {
  const { house } = desk;
  const looks = house.change(() => house.whatIsDue(BATCH).flatMap((item) => attendTo(desk, item) ?? []));
  await Promise.all(looks.map(({ what, look }) => guarded(desk, what, look)));
}

async function guarded(desk: Desk, what: string, work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof FirecrestError)) throw error;
    if (error.code === "rate_limited") desk.site.pause(error.retryAfterSeconds);
    siteFailed(desk.house, error);
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
    if (isByteEffect(record.kind)) move(house, record, "planned", { dueAt: house.now() });
    else overdue(house, record);
  }
  return undefined;
}

// ---------------------------------------------------------------------------------------------------------------- handles

function beginHandles(desk: Desk): Look | undefined {
  const { house, site } = desk;
  const pending = effectsWithHandle(house);
  if (pending.length === 0) {
    house.notDue("handles", "");
    return undefined;
  }
  const wait = site.take(1, "poll");
  house.due("handles", "", wait ?? house.now() + 30_000);
  return wait === undefined ? { what: "handles", look: () => observeHandles(desk, pending) } : undefined;
}

/** Looks at every pending task and staging, in as few requests as the API allows. */
async function observeHandles(desk: Desk, pending: readonly EffectRecord[]): Promise<void> {
  const { house, site } = desk;
  const handles = await Promise.all(pending.map((record) => openHandle(desk, record)));
  const { firecrest, requests } = site.client();
  try {
    const states = await firecrest.observe(handles);
    siteAnswered(house);
    for (const [n, state] of states.entries()) {
      const record = pending[n];
      if (record !== undefined) await applyHandle(desk, record, state);
    }
  } finally {
    site.settle(1, requests());
    const left = effectsWithHandle(house);
    house.change(() => {
      if (left.length === 0) return house.notDue("handles", "");
      const youngest = Math.max(...left.map(({ sentAt }) => sentAt ?? 0));
      house.due("handles", "", house.now() + nextHandleLookMs(house.now() - youngest, site.config().requestsPerMinute));
    });
  }
}

/** v2's staging link is part of its handle, and sealed in the debt. */
async function openHandle(desk: Desk, record: EffectRecord): Promise<Handle> {
  const handle = record.doc.handle as Handle;
  const debt = record.kind === "stage" ? debtRecord(desk.house, record.id) : undefined;
  if (debt?.sealedLink === undefined) return handle;
  const url = await desk.seal.open(debt.sealedLink, linkBinding(desk.house, debt.id));
  return { ...handle, staging: { url, expiresAt: debt.expiresAt ?? 0 } };
}

async function applyHandle(desk: Desk, record: EffectRecord, state: HandleState): Promise<void> {
  const { house } = desk;
  if (state.state === "working") return;
  const link = state.state === "done" ? state.staging : undefined;
  if (link !== undefined) desk.site.learnStorage(link.url);
  const sealedLink = link === undefined ? undefined : await desk.seal.seal(link.url, linkBinding(house, record.id));
  house.change(() => {
    const fresh = effect(house, record.id);
    if (fresh === undefined || fresh.state !== "sent") return;
    if (fresh.kind === "stage") applyStaging(house, fresh, state, link?.expiresAt, sealedLink);
    else if (fresh.kind === "submit") applySubmission(house, fresh, state);
    else if (isErrand(fresh.kind)) errandSubmission(house, fresh, state);
    else if (fresh.kind === "compress") packed(house, fresh, state);
    else move(house, fresh, state.state === "failed" ? "refused" : "done");
  });
}

function applySubmission(house: House, record: EffectRecord, state: Exclude<HandleState, { state: "working" }>): void {
  if (state.state === "done" && state.schedulerId !== undefined) {
    const { schedulerId, workingDirectory, stdoutPath, stderrPath } = state;
    adopted(house, record, {
      schedulerId,
      ...(workingDirectory === undefined ? {} : { workingDirectory }),
      ...(stdoutPath === undefined ? {} : { stdoutPath }),
      ...(stderrPath === undefined ? {} : { stderrPath }),
    });
  } else if (state.state === "failed" && state.certain) {
    refused(house, record, "rejected", state.message);
  } else {
    submissionUnknown(house, record, state.state === "failed" ? state.message : "The site forgot the submission.");
  }
}

function applyStaging(
  house: House,
  record: EffectRecord,
  state: Exclude<HandleState, { state: "working" }>,
  expiresAt: number | undefined,
  sealedLink: string | undefined,
): void {
  const debt = debtRecord(house, record.id);
  const transfer = transferRecord(house, record.subject);
  if (debt === undefined) return;
  if (state.state === "done") {
    move(house, record, "done");
    const ends = expiresAt ?? debt.expiresAt;
    const known = {
      ...debt,
      ...(sealedLink === undefined ? {} : { sealedLink }),
      ...(ends === undefined ? {} : { expiresAt: ends }),
    };
    saveDebt(house, known);
    if (transfer !== undefined && transfer.status === "staging") {
      const owed = moveDebtExpiry(transfer, ends);
      house.run("UPDATE transfers SET doc = ? WHERE id = ?", JSON.stringify(owed), transfer.id);
      copyStaged(house, transfer.id);
    } else {
      linkKnown(house, known);
    }
    return;
  }
  move(house, record, "refused");
  // A staging that failed left no link; one that the site forgot may have, and will expire.
  if (state.state === "failed") moveDebt(house, debt, "none");
  else moveDebt(house, debt, "expires", { expiresAt: house.now() + 7 * 24 * 3_600_000 });
  const fresh = transferRecord(house, record.subject);
  if (fresh === undefined || fresh.status !== "staging") return;
  if (state.state === "failed") failTransfer(house, fresh, state.code, state.message);
  else startOver(house, { ...fresh, status: "staged" }, "staging_lost", "The site forgot the staging.");
}

const moveDebtExpiry = <T extends { link: { state: string; expiresAt?: number } }>(
  transfer: T,
  expiresAt: number | undefined,
): T => (expiresAt === undefined ? transfer : { ...transfer, link: { ...transfer.link, expiresAt } });

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
      if (job?.schedulerName === undefined) return;
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
    }
  } catch (error) {
    if (record.kind === "submit") house.change(() => looked(house, id, undefined));
    else if (isErrand(record.kind)) house.change(() => errandLooked(house, id, undefined));
    // Where the site will never say (v1's list of a busy day is too large to read), the lost one is left to expire.
    else if (error instanceof FirecrestError && error.retry === "never")
      house.change(() => stagingLooked(house, id, undefined));
    else house.change(() => house.due("effect", id, house.now() + 15_000));
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
