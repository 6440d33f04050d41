/** W3C trace context: a callback belongs to the trace of the request that its job came with. */
import { sha256Hex } from "../bytes.ts";

/** The same trace with a span of its own, which the seed alone decides: what is logged of an attempt can be found in the trace. */
export async function spanIn(traceparent: string, seed: string): Promise<string> {
  const [version, trace, , flags] = traceparent.split("-");
  return [version, trace, (await sha256Hex(seed)).slice(0, 16), flags].join("-");
}
