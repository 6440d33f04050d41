/** Receipts: what is known of a stored transfer, signed by its connection, so that it can be shown to somebody else. */
import { LinkState, Proof } from "./states.ts";
import { JobId, Sha256Hex, Time, TransferId, z } from "./words.ts";

/** The `typ` of a receipt's JWS header. No other signature of ours carries it, so nothing else can be taken for a receipt. */
export const RECEIPT_TYPE = "firewatch-receipt+jws";

/** One end of the transfer. `sha256` is missing where that side was not hashed. */
const Side = z.object({ bytes: z.number().int(), sha256: Sha256Hex.optional() });

export const Receipt = z
  .object({
    version: z.literal(1),
    connection: z.string(),
    transferId: TransferId,
    jobId: JobId.optional(),
    direction: z.enum(["download", "upload"]),
    system: z.string(),
    path: z.string(),
    key: z.string(),
    /** The file on the HPC side, as the site told it when the transfer was proven. */
    site: Side.extend({ modifiedAt: Time.optional() }),
    /** The object, as it was copied. */
    object: Side.extend({ etag: z.string().optional() }),
    /** What makes the two the same: see `docs/objects.md`. */
    proof: Proof,
    acceptedAt: Time,
    storedAt: Time,
    /** Every link that was staged on the way and what became of it by `issuedAt`, oldest first. */
    links: z.array(z.object({ state: LinkState, stagedAt: Time, expiresAt: Time.optional() })),
    /** When the last link was proven dead. */
    releasedAt: Time.optional(),
    issuedAt: Time,
  })
  .openapi("Receipt");
export type Receipt = z.infer<typeof Receipt>;

/** The same, readable: the JWS beside what is in it, and where its key is. */
export const OpenReceipt = z.object({ receipt: Receipt, jws: z.string(), keysUrl: z.string() }).openapi("OpenReceipt");
export type OpenReceipt = z.infer<typeof OpenReceipt>;
