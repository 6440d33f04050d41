/** Queue messages: hints with a version and ids, never secrets, links or state. The row in the Tracker is the truth. */
import { ConnectionName, EffectId, TransferId, z } from "./words.ts";

/** `commands`: carry out one effect. */
export const CommandMessage = z.object({ v: z.literal(1), connection: ConnectionName, effect: EffectId });
export type CommandMessage = z.infer<typeof CommandMessage>;

/** `transfers`: carry out one effect on bytes (copy, complete, abort …). */
export const TransferMessage = z.object({
  v: z.literal(1),
  connection: ConnectionName,
  transfer: TransferId,
  effect: EffectId,
});
export type TransferMessage = z.infer<typeof TransferMessage>;

/** `callbacks`: some lane of this connection has something due. */
export const CallbackMessage = z.object({ v: z.literal(1), connection: ConnectionName });
export type CallbackMessage = z.infer<typeof CallbackMessage>;
