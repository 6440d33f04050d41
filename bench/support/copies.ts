/** Copies by the real transfer Worker, measured at its workerd. */
import type { CopyWork } from "../../shared/contract/work.ts";
import { openTransferHouse, type TransferHouse } from "../../test/support/transfer-house.ts";
import { commandOf, descendants, type Use, useOf } from "./processes.ts";

/**
 * Measures workerd, in a runtime of its own each time: what one leaves behind would weigh on the next. `folder`: where another
 * one has left its objects.
 */
export async function inRuntime(work: (house: TransferHouse) => Promise<void>, folder?: string): Promise<Use> {
  const house = await openTransferHouse(folder);
  try {
    const workerd = descendants(process.pid).find((pid) => commandOf(pid) === "workerd");
    if (workerd === undefined) throw new Error("there is no workerd below this process");
    return await useOf(workerd, () => work(house));
  } finally {
    await house.close();
  }
}

export const copyWork = (url: string, bytes: number, mode: CopyWork["mode"], objectKey: string): CopyWork => ({
  kind: "copy",
  transfer: `tr_${"0".repeat(26)}`,
  url,
  objectKey,
  expectedBytes: bytes,
  parts: [],
  mode,
  hashParts: false,
  segmentMs: 45_000,
  metadata: {},
});
