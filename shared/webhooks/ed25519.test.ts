import { importJWK } from "jose";
import { describe, expect, it } from "vitest";
import vectors from "../../test/data/vectors/standard-webhooks.json" with { type: "json" };
import { fromBase64, toBase64, utf8 } from "../bytes.ts";
import { systemRandom } from "../clock.ts";
import {
  generateSigningKey,
  jwksEntry,
  parsePublicKey,
  parseSigningKey,
  publicHalf,
  signEd25519,
  verifyEd25519,
} from "./ed25519.ts";

describe("Ed25519 keys", () => {
  it("sign what RFC 9421 B.2.6 signs", async () => {
    const { signature_base, private_jwk_d: d, public_jwk_x: x, signature } = vectors.rfc9421_b26;
    const key = { kty: "OKP", crv: "Ed25519", d, x } as const;
    expect(toBase64(await signEd25519(key, utf8(signature_base)))).toBe(signature);
    expect(await verifyEd25519(publicHalf(key), fromBase64(signature)!, utf8(signature_base))).toBe(true);
  });

  it("are made from 32 random bytes and nothing else", async () => {
    const one = await generateSigningKey((count) => new Uint8Array(count).fill(1));
    expect(await generateSigningKey((count) => new Uint8Array(count).fill(1))).toEqual(one);
    expect(await generateSigningKey(systemRandom)).not.toEqual(one);
  });

  it("are published without their private half, named by their thumbprint", async () => {
    const key = await generateSigningKey(systemRandom);
    const entry = await jwksEntry(key, { nbf: 1, exp: 2 });
    expect(entry).toEqual({
      kty: "OKP",
      crv: "Ed25519",
      x: key.x,
      kid: expect.stringMatching(/^[\w-]{43}$/),
      alg: "EdDSA",
      use: "sig",
      nbf: 1,
      exp: 2,
    });
    expect(await jwksEntry(publicHalf(key))).toMatchObject({ kid: entry.kid });
    await expect(importJWK({ ...entry })).resolves.toBeDefined();
  });

  it("are the one that RFC 8037 A.3 names so", async () => {
    const entry = await jwksEntry({ kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" });
    expect(entry.kid).toBe("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
  });

  it("are not read from a text whose halves do not belong together", async () => {
    const [first, second] = vectors.ed25519_v1a;
    const seed = fromBase64(first!.secret_key.slice(5))!.slice(0, 32);
    const other = fromBase64(second!.public_key.slice(5))!;
    expect(await parseSigningKey(`whsk_${toBase64(new Uint8Array([...seed, ...other]))}`)).toBeUndefined();
    expect(await parseSigningKey(`whsk_${toBase64(seed)}`)).toBeDefined();
    expect(await parseSigningKey(`whsk_${toBase64(seed.slice(1))}`)).toBeUndefined();
    expect(parsePublicKey(`whpk_${toBase64(other.slice(1))}`)).toBeUndefined();
    expect(parsePublicKey(first!.secret_key)).toBeUndefined();
  });

  it("verify nothing when they are no key or the signature has another length", async () => {
    const nonsense = { kty: "OKP", crv: "Ed25519", x: "!" } as const;
    expect(await verifyEd25519(nonsense, new Uint8Array(64), utf8("x"))).toBe(false);
    const key = await generateSigningKey(systemRandom);
    expect(await verifyEd25519(key, new Uint8Array(3), utf8("x"))).toBe(false);
  });
});
