/** What a receipt says. Only what is on record: a hash stands on the side that was hashed, a release only where it was proven. */
import type { Receipt } from "../contract/receipt.ts";
import type { LinkState } from "../contract/states.ts";
import type { TransferRecord } from "./transfer.ts";

/** Times in ms since the epoch. */
export interface ReceiptFacts {
  connection: string;
  links: readonly { state: LinkState; openedAt: number; expiresAt?: number }[];
  releasedAt?: number;
  now: number;
}

const time = (ms: number): string => new Date(ms).toISOString();

/** Undefined unless the transfer is stored and proven. */
export function receiptOf(record: TransferRecord, facts: ReceiptFacts): Receipt | undefined {
  const { proof, endedAt, sha256, mtime } = record;
  if (record.status !== "stored" || proof === undefined || endedAt === undefined) return undefined;
  // With a proof by hash or manifest the site hashed its file and got the same; by size it never did.
  const siteSha256 = proof === "size" ? undefined : sha256;
  return {
    version: 1,
    connection: facts.connection,
    transferId: record.id,
    ...(record.jobId !== undefined && { jobId: record.jobId }),
    direction: record.direction,
    system: record.system,
    path: record.path,
    key: record.key,
    site: {
      bytes: record.size ?? record.copiedBytes,
      ...(siteSha256 !== undefined && { sha256: siteSha256 }),
      ...(mtime !== undefined && { modifiedAt: time(mtime * 1000) }),
    },
    object: {
      bytes: record.copiedBytes,
      ...(sha256 !== undefined && { sha256 }),
      ...(record.etag !== undefined && { etag: record.etag }),
    },
    proof,
    acceptedAt: time(record.acceptedAt),
    storedAt: time(endedAt),
    links: facts.links
      .filter(({ state }) => state !== "none")
      .map(({ state, openedAt, expiresAt }) => ({
        state,
        stagedAt: time(openedAt),
        ...(expiresAt !== undefined && { expiresAt: time(expiresAt) }),
      })),
    ...(facts.releasedAt !== undefined && { releasedAt: time(facts.releasedAt) }),
    issuedAt: time(facts.now),
  };
}
