import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  concat,
  fromBase64,
  fromHex,
  hmac,
  sameSecret,
  sha256Hex,
  toBase64,
  toBase64Url,
  toHex,
  utf8,
} from "./bytes.ts";

const anyBytes = fc.uint8Array({ maxLength: 200 });

describe("bytes", () => {
  it("come back from base64 and hex as they were", () => {
    fc.assert(
      fc.property(anyBytes, (bytes) => {
        expect(fromBase64(toBase64(bytes))).toEqual(bytes);
        expect(fromBase64(toBase64(bytes).replace(/=+$/, ""))).toEqual(bytes);
        expect(fromHex(toHex(bytes))).toEqual(bytes);
        expect(toBase64Url(bytes)).toBe(Buffer.from(bytes).toString("base64url"));
      }),
    );
  });

  it.each(["A", "AAAAA", "AA=", "AAA==", "=", "A-_A", "AA AA", "AAAA\n", "AA==AA", "%%%%"])(
    "%j is not base64",
    (text) => {
      expect(fromBase64(text)).toBeUndefined();
    },
  );

  it.each(["a", "0g", "0x00", " 00"])("%j is not hex", (text) => {
    expect(fromHex(text)).toBeUndefined();
  });

  it("are joined in order", () => {
    expect(concat([utf8("a"), utf8(""), utf8("é")])).toEqual(utf8("aé"));
  });
});

describe("digests", () => {
  it("hash text as UTF-8", async () => {
    expect(await sha256Hex("")).toBe("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect(await sha256Hex("é")).toBe(await sha256Hex(utf8("é")));
  });

  it("sign as every other HMAC does", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("sha1", "sha256", "sha512"),
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        anyBytes,
        async (hash, key, content) => {
          expect(toHex(await hmac(hash, key, content))).toBe(createHmac(hash, key).update(content).digest("hex"));
        },
      ),
      { numRuns: 50 },
    );
  });

  it("tell equal secrets from all others", async () => {
    expect(await sameSecret("correct horse", utf8("correct horse"))).toBe(true);
    for (const other of ["", "correct hors", "correct horse ", "Correct horse"])
      expect(await sameSecret("correct horse", other)).toBe(false);
  });

  it("tells two secrets apart whose digests agree in their first, or in their last, five bytes", async () => {
    for (const [one, other, agree] of [
      ["secret-3035511", "secret-3470496", [0, 10]],
      ["secret-705221", "secret-1672815", [54, 64]],
    ] as const) {
      expect((await sha256Hex(one)).slice(...agree)).toBe((await sha256Hex(other)).slice(...agree));
      expect(await sameSecret(one, other)).toBe(false);
    }
  });
});
