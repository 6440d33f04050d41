import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import { describe, expect, it } from "vitest";
import vectors from "../../test/data/vectors/standard-webhooks.json" with { type: "json" };
import { toBase64, utf8 } from "../bytes.ts";
import { systemRandom } from "../clock.ts";
import { WebhookSecret } from "../contract/job.ts";
import { generateSigningKey, type PublicJwk, parsePublicKey, parseSigningKey } from "./ed25519.ts";
import { generateSecret, parseSecret, sign, verify } from "./standard.ts";

const headersOf = (fields: Record<string, string | undefined>) =>
  new Headers(Object.entries(fields).filter((entry): entry is [string, string] => entry[1] !== undefined));

const message = (id: string, timestampSeconds: number, text: string) => ({ id, timestampSeconds, body: utf8(text) });

async function whpk(text: string): Promise<PublicJwk> {
  const key = parsePublicKey(text);
  if (key === undefined) throw new Error("not a public key");
  return key;
}

describe("published v1 vectors", () => {
  it.each(vectors.hmac_v1)(
    "$name: signs as published and verifies",
    async ({ secret, id, timestamp, payload, signature }) => {
      const headers = await sign(message(id, timestamp, payload), { secrets: [secret] });
      expect(headers).toEqual({
        "webhook-id": id,
        "webhook-timestamp": String(timestamp),
        "webhook-signature": signature,
      });
      expect(await verify(new Headers({ ...headers }), utf8(payload), { secrets: [secret] }, timestamp)).toEqual({
        ok: true,
        messageId: id,
        timestampSeconds: timestamp,
      });
    },
  );
});

describe("published v1a vectors", () => {
  it.each(vectors.ed25519_v1a)(
    "$name: signs as published and verifies",
    async ({ secret_key, public_key, id, timestamp, payload, signature }) => {
      const key = await parseSigningKey(secret_key);
      const publicKey = await whpk(public_key);
      expect(key?.x).toBe(publicKey.x);
      const headers = await sign(message(id, timestamp, payload), { ed25519: [key!] });
      expect(headers["webhook-signature"]).toBe(signature);
      expect(
        await verify(new Headers({ ...headers }), utf8(payload), { publicKeys: [publicKey] }, timestamp),
      ).toMatchObject({ ok: true });
      expect(
        await verify(new Headers({ ...headers }), utf8(`${payload} `), { publicKeys: [publicKey] }, timestamp),
      ).toEqual({ ok: false, reason: "bad_signature" });
    },
  );
});

describe("published rotation vectors", () => {
  for (const { name, id, timestamp, payload, keys, ...rest } of vectors.rotation) {
    const headers = headersOf({
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": rest["webhook-signature"],
    });
    it.each(["new", "old", "public"] as const)(`${name}: the %s key`, async (which) => {
      const key = keys[which];
      const held = which === "public" ? { publicKeys: [await whpk(key)] } : { secrets: [key] };
      expect(await verify(headers, utf8(payload), held, timestamp)).toMatchObject({ ok: true, messageId: id });
    });
  }
});

describe("published verdicts", () => {
  it.each(vectors.verdicts)(
    "$name: $expect",
    async ({ headers, payload, secret, verifier_clock, expect: expected }) => {
      const verdict = await verify(headersOf(headers), utf8(payload), { secrets: [secret] }, verifier_clock);
      expect(verdict.ok).toBe(expected === "accept");
    },
  );

  const reasons: Record<string, string> = {
    "timestamp 301 s in the past": "stale_timestamp",
    "timestamp 301 s in the future": "future_timestamp",
    "missing webhook-id": "missing_id",
    "missing webhook-timestamp": "missing_timestamp",
    "missing webhook-signature": "missing_signature",
    "non-numeric timestamp": "malformed_timestamp",
    "empty signature after version": "malformed_signature",
    "truncated signature": "malformed_signature",
    "right digest under unknown version v2 only": "unknown_version",
    "three wrong v1 signatures": "bad_signature",
    "body with BOM prepended": "bad_signature",
    "comma-joined instead of space-joined signatures": "malformed_signature",
  };
  it.each(vectors.verdicts.filter(({ name }) => name in reasons))(
    "$name: the log says why",
    async ({ name, headers, payload, secret, verifier_clock }) => {
      expect(await verify(headersOf(headers), utf8(payload), { secrets: [secret] }, verifier_clock)).toEqual({
        ok: false,
        reason: reasons[name],
      });
    },
  );
});

describe("the published dot confusion", () => {
  const { secret, a, b, signature } = vectors.dot_confusion;
  const verdictOn = ({ id, timestamp, payload }: typeof a) =>
    verify(
      headersOf({ "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature }),
      utf8(payload),
      { secrets: [secret] },
      timestamp,
    );

  it("is accepted for the id without a dot and refused for the other", async () => {
    expect(await verdictOn(a)).toMatchObject({ ok: true });
    expect(await verdictOn(b)).toEqual({ ok: false, reason: "malformed_id" });
  });

  it("is never sent", async () => {
    await expect(sign(message(b.id, b.timestamp, b.payload), { secrets: [secret] })).rejects.toThrow(TypeError);
  });
});

describe("published secrets", () => {
  it.each(vectors.secret_parsing)("$name: $reference_js_1_1_1", ({ secret, reference_js_1_1_1 }) => {
    expect(parseSecret(secret) !== undefined).toBe(reference_js_1_1_1 === "accepted");
  });
});

describe("secrets", () => {
  it("are 32 fresh bytes that the contract and every library read", () => {
    const secret = generateSecret(systemRandom);
    expect(parseSecret(secret)).toHaveLength(32);
    expect(WebhookSecret.safeParse(secret).success).toBe(true);
    expect(() => new Webhook(secret)).not.toThrow();
    expect(generateSecret(systemRandom)).not.toBe(secret);
  });

  it.each([
    [23, false],
    [24, true],
    [64, true],
    [65, false],
  ])("of %i bytes: %s", (bytes, fine) => {
    expect(parseSecret(`whsec_${toBase64(new Uint8Array(bytes).fill(1))}`) !== undefined).toBe(fine);
  });

  it("without their prefix are none", () => {
    expect(parseSecret("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).toBeUndefined();
  });
});

describe("signing", () => {
  const ids = fc.stringMatching(/^[A-Za-z0-9_-]{1,60}$/);

  it("is understood by the public library, for any id, body and secret", async () => {
    await fc.assert(
      fc.asyncProperty(
        ids,
        fc.json({ stringUnit: "grapheme" }),
        fc.uint8Array({ minLength: 24, maxLength: 64 }),
        async (id, text, key) => {
          const secret = `whsec_${toBase64(key)}`;
          const now = Math.floor(Date.now() / 1000);
          const body = utf8(text);
          const headers = await sign({ id, timestampSeconds: now, body }, { secrets: [secret] });
          expect(new Webhook(secret).verify(text, { ...headers })).toEqual(JSON.parse(text));
          const theirs = new Webhook(secret).sign(id, new Date(now * 1000), text);
          expect(theirs).toBe(headers["webhook-signature"]);
        },
      ),
      { numRuns: 50 },
    );
  });

  it("writes one signature for each live key, and each alone suffices", async () => {
    const secrets = [generateSecret(systemRandom), generateSecret(systemRandom), generateSecret(systemRandom)];
    const ed25519 = [await generateSigningKey(systemRandom), await generateSigningKey(systemRandom)];
    const headers = await sign(message("evt_1", 1000, "{}"), { secrets, ed25519 });
    expect(headers["webhook-signature"].split(" ").map((entry) => entry.split(",")[0])).toEqual([
      "v1",
      "v1",
      "v1",
      "v1a",
      "v1a",
    ]);
    for (const keys of [
      ...secrets.map((secret) => ({ secrets: [secret] })),
      ...ed25519.map((key) => ({ publicKeys: [key] })),
    ]) {
      expect(await verify(new Headers({ ...headers }), utf8("{}"), keys, 1000)).toMatchObject({ ok: true });
    }
    expect(
      await verify(new Headers({ ...headers }), utf8("{}"), { secrets: [generateSecret(systemRandom)] }, 1000),
    ).toEqual({ ok: false, reason: "bad_signature" });
    expect(
      await verify(
        new Headers({ ...headers }),
        utf8("{}"),
        { publicKeys: [await generateSigningKey(systemRandom)] },
        1000,
      ),
    ).toEqual({ ok: false, reason: "bad_signature" });
  });

  it.each([
    ["no key", "evt_1", 1, {}],
    ["a broken secret", "evt_1", 1, { secrets: ["whsec_x"] }],
    ["an id with a space", "evt 1", 1, { secrets: [vectors.dot_confusion.secret] }],
    ["an empty id", "", 1, { secrets: [vectors.dot_confusion.secret] }],
    ["half a second", "evt_1", 1.5, { secrets: [vectors.dot_confusion.secret] }],
  ])("refuses %s", async (_, id, seconds, keys) => {
    await expect(sign(message(id, seconds, ""), keys)).rejects.toThrow(TypeError);
  });
});

describe("verifying", () => {
  const secret = vectors.dot_confusion.secret;
  const signed = () => sign(message("evt_1", 1000, "body"), { secrets: [secret] });

  it("notices any changed byte of the body", async () => {
    const headers = new Headers({ ...(await signed()) });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 20 }), async (other) => {
        fc.pre(Buffer.compare(other, utf8("body")) !== 0);
        return !(await verify(headers, other, { secrets: [secret] }, 1000)).ok;
      }),
      { numRuns: 50 },
    );
  });

  it("believes nobody while no key, or a broken one, is configured", async () => {
    const headers = new Headers({ ...(await signed()) });
    for (const keys of [{}, { secrets: [] }, { secrets: [""] }, { secrets: [secret, "whsec_"] }]) {
      expect(await verify(headers, utf8("body"), keys, 1000)).toEqual({ ok: false, reason: "not_configured" });
    }
  });

  it("reads the names that Svix uses", async () => {
    const { "webhook-id": id, "webhook-timestamp": time, "webhook-signature": signature } = await signed();
    const headers = headersOf({ "svix-id": id, "svix-timestamp": time, "svix-signature": signature });
    expect(await verify(headers, utf8("body"), { secrets: [secret] }, 1000)).toMatchObject({ ok: true });
  });

  it.each(["+1000", "01000", "1e3", "1000 ", "-1", "1000.0", "0x3e8", "99999999999999999999"])(
    "refuses the timestamp %j",
    async (time) => {
      const headers = headersOf({ ...(await signed()), "webhook-timestamp": time });
      // Header values lose their outer white space on the way in: what arrives is then the right one.
      const verdict = await verify(headers, utf8("body"), { secrets: [secret] }, 1000);
      expect(verdict.ok).toBe(time.trim() === "1000");
    },
  );

  it("finds the right signature among others, but looks at sixteen only", async () => {
    const { "webhook-signature": right, ...rest } = await signed();
    const list = (before: number) => headersOf({ ...rest, "webhook-signature": `${"v9,x ".repeat(before)}${right}` });
    expect(await verify(list(15), utf8("body"), { secrets: [secret] }, 1000)).toMatchObject({ ok: true });
    expect((await verify(list(16), utf8("body"), { secrets: [secret] }, 1000)).ok).toBe(false);
  });

  it("refuses an id that was sent twice", async () => {
    const headers = new Headers({ ...(await signed()) });
    headers.append("webhook-id", "evt_2");
    expect(await verify(headers, utf8("body"), { secrets: [secret] }, 1000)).toEqual({
      ok: false,
      reason: "malformed_id",
    });
  });
});
