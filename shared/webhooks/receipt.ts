/** Receipts as compact JWS (RFC 7515) with Ed25519 (RFC 8037): verifiable offline by whoever has the connection's public keys. */
import { CompactSign, importJWK } from "jose";
import { utf8 } from "../bytes.ts";
import { RECEIPT_TYPE, type Receipt } from "../contract/receipt.ts";
import { jwksEntry, type PrivateJwk } from "./ed25519.ts";

/**
 * The header names the key by its thumbprint and says what this is: callbacks are signed with the same key, and neither can
 * stand in for the other, since a callback's signed text begins with an event's id and a JWS with its header.
 */
export async function signReceipt(receipt: Receipt, key: PrivateJwk): Promise<string> {
  const { kid, alg } = await jwksEntry(key);
  return new CompactSign(utf8(JSON.stringify(receipt)))
    .setProtectedHeader({ alg, kid, typ: RECEIPT_TYPE })
    .sign(await importJWK(key, alg));
}
