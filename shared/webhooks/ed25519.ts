/**
 * Ed25519 for callbacks: keys as JWK (RFC 8037), the public half published as JWKS so that a receiver needs no shared secret
 * and no redeploy after a rotation. `whsk_` and `whpk_` are the spellings that other Standard Webhooks tools use.
 */
import { calculateJwkThumbprint } from "jose";
import { concat, fromBase64, toBase64Url } from "../bytes.ts";
import type { RandomBytes } from "../clock.ts";
import { z } from "../contract/words.ts";

const Coordinate = z.string().regex(/^[A-Za-z0-9_-]{43}$/);

const PublicJwkSchema = z.object({ kty: z.literal("OKP"), crv: z.literal("Ed25519"), x: Coordinate });
export const PrivateJwkSchema = PublicJwkSchema.extend({ d: Coordinate });
export type PublicJwk = z.infer<typeof PublicJwkSchema>;
/** A signing key. A secret: sealed at rest. */
export type PrivateJwk = z.infer<typeof PrivateJwkSchema>;

/** One key in a JWKS. `nbf` and `exp` are seconds: when receivers may start and stop to rely on it. */
export interface JwksEntry extends PublicJwk {
  kid: string;
  alg: "EdDSA";
  use: "sig";
  nbf?: number;
  exp?: number;
}

/** WebCrypto takes a bare seed only inside PKCS#8: this is all that stands before it. */
const PKCS8_BEFORE_SEED = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);
const SEED_BYTES = 32;

export const generateSigningKey = (random: RandomBytes): Promise<PrivateJwk> => keyFromSeed(random(SEED_BYTES));

async function keyFromSeed(seed: Uint8Array): Promise<PrivateJwk> {
  const key = await crypto.subtle.importKey("pkcs8", concat([PKCS8_BEFORE_SEED, seed]), "Ed25519", true, ["sign"]);
  return PrivateJwkSchema.parse(await crypto.subtle.exportKey("jwk", key));
}

export const publicHalf = ({ kty, crv, x }: PublicJwk): PublicJwk => ({ kty, crv, x });

/** What a receiver is shown of a key. The `kid` is its RFC 7638 thumbprint, so it never needs to be stored. */
export async function jwksEntry(key: PublicJwk, validity: { nbf?: number; exp?: number } = {}): Promise<JwksEntry> {
  const jwk = publicHalf(key);
  return { ...jwk, kid: await calculateJwkThumbprint(jwk), alg: "EdDSA", use: "sig", ...validity };
}

/** `whsk_` and the base64 of seed and public key (64 bytes), or of the seed alone. Undefined if it is anything else. */
export async function parseSigningKey(text: string): Promise<PrivateJwk | undefined> {
  const bytes = text.startsWith("whsk_") ? fromBase64(text.slice(5)) : undefined;
  if (bytes === undefined || (bytes.length !== SEED_BYTES && bytes.length !== 2 * SEED_BYTES)) return undefined;
  const key = await keyFromSeed(bytes.slice(0, SEED_BYTES));
  const given = bytes.slice(SEED_BYTES);
  return given.length === 0 || toBase64Url(given) === key.x ? key : undefined;
}

/** `whpk_` and the base64 of a public key (32 bytes). Undefined if it is anything else. */
export function parsePublicKey(text: string): PublicJwk | undefined {
  const bytes = text.startsWith("whpk_") ? fromBase64(text.slice(5)) : undefined;
  return bytes?.length === 32 ? { kty: "OKP", crv: "Ed25519", x: toBase64Url(bytes) } : undefined;
}

/** The signature of pure Ed25519, 64 bytes. */
export async function signEd25519(key: PrivateJwk, content: Uint8Array): Promise<Uint8Array> {
  const { kty, crv, x, d } = key;
  const imported = await crypto.subtle.importKey("jwk", { kty, crv, x, d }, "Ed25519", false, ["sign"]);
  return new Uint8Array(await crypto.subtle.sign("Ed25519", imported, content));
}

/** False also for a key that is no point on the curve. */
export async function verifyEd25519(key: PublicJwk, signature: Uint8Array, content: Uint8Array): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey("jwk", { ...publicHalf(key) }, "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, signature, content);
  } catch {
    return false;
  }
}
