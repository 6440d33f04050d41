/** The poller's bindings and settings. Read here only; what is missing is named at once. */
import type { CallbackMessage, CommandMessage, TransferMessage } from "../../shared/contract/queue.ts";
import type { EgressSettings } from "../../shared/egress/settings.ts";
import { createSeal, parseSealKeys, type Seal } from "../../shared/seal.ts";
import type { Office } from "./office.ts";
import type { Tracker } from "./tracker.ts";
import type { Workspace } from "./workspace.ts";

export interface Env extends EgressSettings {
  TRACKER: DurableObjectNamespace<Tracker>;
  WORKSPACES: DurableObjectNamespace<Workspace>;
  OFFICE: DurableObjectNamespace<Office>;
  TOKENS: KVNamespace;
  INDEX: KVNamespace;
  /** Counted here, and removed when a lifetime rule says so; small files go to the site from here, without the staging area. */
  OBJECTS: R2Bucket;
  COMMANDS: Queue<CommandMessage>;
  TRANSFERS: Queue<TransferMessage>;
  CALLBACKS: Queue<CallbackMessage>;
  /** Secret: JSON list of `{kid, key}`; the first seals, all open. */
  SEAL_KEYS: string;
}

let cached: { keys: string; seal: Seal } | undefined;

/** The seal of this deployment. */
export function sealOf(env: Env): Seal {
  if (cached?.keys !== env.SEAL_KEYS) cached = { keys: env.SEAL_KEYS, seal: createSeal(parseSealKeys(env.SEAL_KEYS)) };
  return cached.seal;
}
