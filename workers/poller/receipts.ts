/** Receipts, made when they are asked for: of what is on record at that moment, links included. */
import type { OpenReceipt } from "../../shared/contract/receipt.ts";
import type { Answer } from "../../shared/contract/rpc.ts";
import { receiptOf } from "../../shared/domain/receipt.ts";
import { signReceipt } from "../../shared/webhooks/receipt.ts";
import type { Desk } from "./accept.ts";
import { signingKeys } from "./signing.ts";
import { type DebtRecord, transferRecord } from "./transfers.ts";

export async function receipt(desk: Desk, id: string): Promise<Answer<OpenReceipt>> {
  const { house } = desk;
  const record = transferRecord(house, id);
  if (record === undefined) return { ok: false, code: "not_found" };
  const links = house
    .rows<{ doc: string }>("SELECT doc FROM debts WHERE transfer = ? ORDER BY id", id)
    .map(({ doc }) => JSON.parse(doc) as DebtRecord);
  const released = house.row<{ at: number }>(
    "SELECT at FROM events WHERE subject = ? AND type = 'transfer.released' ORDER BY sequence DESC LIMIT 1",
    `transfers/${id}`,
  );
  const made = receiptOf(record, {
    connection: house.name,
    links,
    ...(released !== undefined && { releasedAt: released.at }),
    now: house.now(),
  });
  if (made === undefined)
    return {
      ok: false,
      code: "conflict",
      detail: `A receipt is for a transfer that is stored; this one is ${record.status}.`,
    };
  const [key] = await signingKeys(desk);
  const keysUrl = `${house.env.PUBLIC_URL ?? ""}/.well-known/webhook-keys/${house.name}`;
  return { ok: true, value: { receipt: made, jws: await signReceipt(made, key), keysUrl } };
}
