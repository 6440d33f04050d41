import { crc32 } from "node:zlib";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { generateApiKey, hashApiKey, looksLikeApiKey, parseApiKey } from "./api-key.ts";
import { systemRandom } from "./clock.ts";

const connections = fc.stringMatching(/^[a-z0-9][a-z0-9-]{0,62}$/);

describe("API keys", () => {
  it("have the shape the design promises and name their connection", () => {
    fc.assert(
      fc.property(connections, fc.uint8Array({ minLength: 32, maxLength: 32 }), (connection, bytes) => {
        const key = generateApiKey(connection, () => bytes);
        expect(key).toMatch(/^fw_[a-z0-9-]+_[0-9A-Za-z]{49}$/);
        expect(parseApiKey(key)).toEqual({ connection, text: key });
      }),
    );
  });

  it("stay the same for the same random bytes", () => {
    expect(generateApiKey("cscs-hpc", (n) => new Uint8Array(n))).toBe(`fw_cscs-hpc_${"0".repeat(43)}34UqZk`);
    expect(generateApiKey("a", (n) => new Uint8Array(n).fill(255)).slice(5, 48)).toHaveLength(43);
  });

  it("end in the CRC-32 of all that stands before, in base62", () => {
    const key = generateApiKey("cscs-hpc", systemRandom);
    const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const checksum = [...key.slice(-6)].reduce((sum, digit) => sum * 62 + digits.indexOf(digit), 0);
    expect(checksum).toBe(crc32(key.slice(0, -6)));
  });

  it("are never made twice", () => {
    expect(new Set(Array.from({ length: 1000 }, () => generateApiKey("c", systemRandom))).size).toBe(1000);
  });

  it("are refused when any one character is another", () => {
    const key = generateApiKey("cscs-hpc", systemRandom);
    fc.assert(
      fc.property(fc.nat(key.length - 1), fc.constantFrom(..."09azAZ_-"), (at, char) => {
        fc.pre(key[at] !== char);
        return parseApiKey(key.slice(0, at) + char + key.slice(at + 1)) === undefined;
      }),
    );
  });

  it("are refused when cut, padded, joined or empty", () => {
    const key = generateApiKey("c", systemRandom);
    for (const text of [
      "",
      "fw_",
      "fw__",
      key.slice(0, -1),
      `${key}0`,
      ` ${key}`,
      key + key,
      key.toUpperCase(),
      key.slice(3),
    ]) {
      expect(parseApiKey(text)).toBeUndefined();
    }
  });

  it("are refused for a name no connection can have, even with a checksum that fits", () => {
    for (const name of ["", "UPPER", "a_b", "-a", "a".repeat(64), "a/b"]) {
      expect(parseApiKey(generateApiKey(name, systemRandom))).toBeUndefined();
    }
  });

  it("are stored as the SHA-256 of the whole key", async () => {
    expect(await hashApiKey("fw_c_x")).toBe("ba179895a2b119908bbde5fe7438638d832ea50a47795494e0a8072cdfbab9b9");
    expect(await hashApiKey("fw_c_x")).not.toBe(await hashApiKey("fw_c_y"));
  });

  it("are told from tokens at a glance", () => {
    expect(looksLikeApiKey("fw_c_x")).toBe(true);
    expect(looksLikeApiKey("eyJhbGciOi")).toBe(false);
  });
});
