import fc from "fast-check";
import { CompactEncrypt, decodeProtectedHeader } from "jose";
import { describe, expect, it } from "vitest";
import { toBase64, toBase64Url, utf8 } from "./bytes.ts";
import { type Binding, createSeal, parseSealKeys, SealError, type SealKeys } from "./seal.ts";

const key = (byte: number) => new Uint8Array(32).fill(byte);
const older: SealKeys = [{ kid: "k1", key: key(1) }];
const rotated: SealKeys = [{ kid: "k2", key: key(2) }, ...older];
const binding: Binding = { purpose: "credential", connection: "cscs-hpc", id: "con_1" };

async function refusal(opening: Promise<string>): Promise<string> {
  const error = await opening.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(SealError);
  return (error as SealError).reason;
}

describe("a sealed secret", () => {
  it("opens to the same text, whatever the text", async () => {
    const { seal, open } = createSeal(older);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: "grapheme", maxLength: 300 }), async (text) => {
        expect(await open(await seal(text, binding), binding)).toBe(text.toWellFormed());
      }),
      { numRuns: 50 },
    );
  });

  it("names its binding in the header and shows nothing of the text", async () => {
    const jwe = await createSeal(older).seal("hunter2", binding);
    expect(decodeProtectedHeader(jwe)).toEqual({ alg: "dir", enc: "A256GCM", kid: "k1", ...binding });
    expect(jwe).not.toContain(toBase64Url(utf8("hunter2")));
  });

  it("is never the same twice", async () => {
    const { seal } = createSeal(older);
    expect(await seal("x", binding)).not.toBe(await seal("x", binding));
  });

  it.each([{ purpose: "token" }, { connection: "cscs-ml" }, { id: "con_2" }])(
    "does not open elsewhere: %j",
    async (other) => {
      const { seal, open } = createSeal(older);
      expect(await refusal(open(await seal("x", binding), { ...binding, ...other }))).toBe("wrong_binding");
    },
  );

  it("opens after a rotation, is stale then, and new ones use the new key", async () => {
    const before = await createSeal(older).seal("x", binding);
    const after = createSeal(rotated);
    expect(await after.open(before, binding)).toBe("x");
    expect(after.isStale(before)).toBe(true);
    const fresh = await after.seal("y", binding);
    expect(after.isStale(fresh)).toBe(false);
    expect(await refusal(createSeal(older).open(fresh, binding))).toBe("unknown_key");
  });

  it("does not open with another key of the same name", async () => {
    const jwe = await createSeal(older).seal("x", binding);
    expect(await refusal(createSeal([{ kid: "k1", key: key(9) }]).open(jwe, binding))).toBe("tampered");
  });

  it("does not open when any part of it was changed", async () => {
    const { seal, open } = createSeal(older);
    const parts = (await seal("some text", binding)).split(".");
    for (const at of [2, 3, 4]) {
      const changed = parts
        .map((part, i) => (i === at ? (part.startsWith("A") ? "B" : "A") + part.slice(1) : part))
        .join(".");
      expect(await refusal(open(changed, binding))).toBe("tampered");
    }
    // A header rewritten to the binding of another row is no longer the header that was authenticated.
    const moved = toBase64Url(utf8(JSON.stringify({ alg: "dir", enc: "A256GCM", kid: "k1", ...binding, id: "con_2" })));
    expect(await refusal(open([moved, ...parts.slice(1)].join("."), { ...binding, id: "con_2" }))).toBe("tampered");
  });

  it.each(["", "x", "a.b.c", "....", "e30...."])("is not read from %j", async (text) => {
    expect(["malformed", "unknown_key"]).toContain(await refusal(createSeal(older).open(text, binding)));
  });

  it("must use our algorithms", async () => {
    const other = await new CompactEncrypt(utf8("x"))
      .setProtectedHeader({ alg: "A256KW", enc: "A256GCM", kid: "k1", ...binding })
      .encrypt(key(1));
    expect(await refusal(createSeal(older).open(other, binding))).toBe("malformed");
  });
});

describe("SEAL_KEYS", () => {
  const good = toBase64(key(7));

  it("is a list whose first key seals", () => {
    const keys = parseSealKeys(
      JSON.stringify([
        { kid: "b", key: good },
        { kid: "a", key: toBase64(key(1)) },
      ]),
    );
    expect(keys.map(({ kid }) => kid)).toEqual(["b", "a"]);
    expect(keys[0].key).toEqual(key(7));
  });

  it.each([
    [undefined, "SEAL_KEYS is not set"],
    ["  ", "SEAL_KEYS is not set"],
    ["{", "must be a list"],
    ["{}", "must be a list"],
    ["[]", "must hold at least one key"],
    [
      JSON.stringify([
        { kid: "a", key: good },
        { kid: "b", key: toBase64(new Uint8Array(16)) },
      ]),
      "SEAL_KEYS[1].key must be 32 bytes in base64",
    ],
    [JSON.stringify([{ kid: "a b", key: good }]), "SEAL_KEYS[0].kid must be 1 to 64"],
    [
      JSON.stringify([
        { kid: "a", key: good },
        { kid: "a", key: good },
      ]),
      "must not name a kid twice",
    ],
    [JSON.stringify([{ kid: "a", key: good, k: "v" }]), "SEAL_KEYS[0] has a field that is neither kid nor key"],
    [JSON.stringify([{ key: good }]), "SEAL_KEYS[0].kid"],
  ])("%s is refused with words that help", (text, words) => {
    expect(() => parseSealKeys(text)).toThrow(words);
  });

  it("is never quoted in the refusal", () => {
    const secret = `${good}AA`;
    for (const list of [
      [{ kid: "a", key: secret }],
      [{ kid: "a", [secret]: 1, key: good }],
      [{ kid: secret, key: good }],
      secret,
    ]) {
      const refused = (): string => {
        try {
          return String(parseSealKeys(JSON.stringify(list)));
        } catch (error) {
          return String(error);
        }
      };
      expect(refused()).toContain("SEAL_KEYS");
      expect(refused()).not.toContain(secret.slice(0, 12));
    }
  });
});
