/** What every inbound verifier is: one function from a raw request to a verdict. */
import type { Verdict } from "../verdict.ts";

export interface InboundMessage {
  headers: Headers;
  /** As received, before any parsing. */
  rawBody: Uint8Array;
  nowSeconds: number;
  /** Every live one; any of them suffices. */
  secrets: readonly string[];
}

export type Verifier = (message: InboundMessage) => Promise<Verdict>;

/** Secrets that can be used as they are. An empty one would let everybody sign: then nothing is configured. */
export const areUsable = (secrets: readonly string[]): boolean =>
  secrets.length > 0 && secrets.every((secret) => secret.trim() !== "");
