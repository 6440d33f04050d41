/** Long operations on the far side that have not ended: tasks of v1, file jobs of v2. Looked at all together. */
import { isErrand } from "../../shared/domain/effect.ts";
import { nextHandleLookMs } from "../../shared/domain/pace.ts";
import type { Handle, HandleState } from "../../shared/firecrest/port.ts";
import type { Desk } from "./accept.ts";
import { packed } from "./archives.ts";
import { copyStaged } from "./bytes.ts";
import { type EffectRecord, effect, effectsWithHandle, move } from "./effects.ts";
import { errandSubmission } from "./errands.ts";
import { linkBinding } from "./far.ts";
import { siteAnswered } from "./health.ts";
import type { House } from "./house.ts";
import { operationLooked } from "./operations.ts";
import { linkKnown, startOver } from "./settle.ts";
import { adopted, refused, submissionUnknown } from "./submission.ts";
import type { Look } from "./tracking.ts";
import { debtRecord, failTransfer, moveDebt, planLogTidy, saveDebt, transferRecord } from "./transfers.ts";
import { seen } from "./up-place.ts";

/** Call inside `house.change`. */
export function beginHandles(desk: Desk): Look | undefined {
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
  const opened = await Promise.all(
    pending.map(async (record) =>
      alone(desk, record, async () => ({ record, handle: await openHandle(desk, record) })),
    ),
  );
  const asked = opened.filter((one) => one !== undefined);
  const { firecrest, requests } = site.client();
  try {
    const states = await firecrest.observe(asked.map(({ handle }) => handle));
    siteAnswered(house);
    for (const [n, state] of states.entries()) {
      const record = asked[n]?.record;
      if (record !== undefined) await alone(desk, record, () => applyHandle(desk, record, state));
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

/** One operation that cannot be read, or gone on with, does not hold up the others. */
async function alone<T>({ house }: Desk, { id }: EffectRecord, work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    house.log({ event: "handle.failed", effect: id, error });
    return undefined;
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
  if (record.kind === "upload") {
    await seen(desk, record, state);
    return;
  }
  if (record.kind === "file_job") {
    house.change(() => {
      const fresh = effect(house, record.id);
      if (fresh?.state === "sent") operationLooked(house, fresh, state);
    });
    return;
  }
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
  planLogTidy(house, record.subject, record.doc.handle);
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
