/** What people get to open from chat: links of a day to files that a job or transfer of theirs has stored. */
import type { Link } from "../../shared/chat/message.ts";
import type { Answer, Origin } from "../../shared/contract/rpc.ts";
import type { Desk } from "./accept.ts";
import { type Actor, isFor } from "./access.ts";
import { addLink } from "./links.ts";
import { transferRecord } from "./transfers.ts";

/** Long enough to be opened, short enough to be of no use in an old channel. */
const LINK_SECONDS = 24 * 3_600;

export interface SharedResult {
  transferId: string;
  path: string;
  token: string;
}

/** As a person is shown it. */
export const resultLink = (publicUrl: string, { path, token }: Pick<SharedResult, "path" | "token">): Link => ({
  label: `Open ${path.split("/").findLast((name) => name !== "") ?? "it"}`,
  url: `${publicUrl.replace(/\/+$/, "")}/links/${token}`,
});

/** Of these transfers those that are stored, and this actor's business. Each time with links of their own. */
export async function shareStored(
  desk: Desk,
  actor: Actor,
  transferIds: readonly string[],
  origin: Origin,
): Promise<Answer<SharedResult[]>> {
  const shared: SharedResult[] = [];
  for (const transferId of transferIds) {
    const record = transferRecord(desk.house, transferId);
    if (record === undefined || !isFor(actor, record) || record.status !== "stored") continue;
    if (record.direction !== "download" || record.key === undefined) continue;
    const made = await addLink(desk, actor, { key: record.key, expiresInSeconds: LINK_SECONDS }, origin);
    if (!made.ok) return made;
    shared.push({ transferId, path: record.path, token: made.value.token });
  }
  return { ok: true, value: shared };
}
