/** The one place that knows that there are two FirecREST APIs. */
import type { ClientDeps, Firecrest } from "./port.ts";
import { createV1Client } from "./v1/client.ts";
import { createV2Client } from "./v2/client.ts";

export function createFirecrest(deps: ClientDeps): Firecrest {
  return deps.api === "v1" ? createV1Client(deps) : createV2Client(deps);
}
