/** What this Worker is bound to, as wrangler.toml lists it. Read here only. */
import type { TrackerWork } from "../../shared/contract/work.ts";
import type { EgressSettings } from "../../shared/egress/settings.ts";

export interface Env extends EgressSettings {
  OBJECTS: R2Bucket;
  TRACKER: DurableObjectNamespace;
}

/** The Tracker of a connection. Its class lives in another Worker, which is not imported: the contract is its type here. */
export const trackerOf = (env: Env, connection: string): TrackerWork =>
  env.TRACKER.getByName(connection) as unknown as TrackerWork;
