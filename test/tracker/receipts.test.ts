import { compactVerify, createLocalJWKSet, decodeProtectedHeader, type JSONWebKeySet } from "jose";
import { describe, expect, it } from "vitest";
import { Receipt } from "../../shared/contract/receipt.ts";
import { receipt } from "../../workers/poller/receipts.ts";
import { retire } from "../../workers/poller/retention.ts";
import { rotateSigningKey, signingKeys, webhookKeys } from "../../workers/poller/signing.ts";
import { ACTOR, HOUR_MS, later, ok, verifiesWithPublishedKeys } from "./reception.ts";
import { inWorld, type World } from "./world.ts";

/** SHA-256 of "hello\n". */
const HELLO = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";

async function stored(world: World): Promise<string> {
  const { id, outputs } = await world.submit({
    script: "#!/bin/bash -l\n#FAKE sleep 5\n#FAKE write out.txt hello\n",
    outputs: [{ path: "out.txt", key: "runs/out.txt" }],
  });
  await world.until(() => world.job(id).settledAt !== undefined);
  return outputs[0]?.transferId ?? "";
}

async function given(world: World, id: string) {
  const answer = await receipt(world.desk, id);
  if (!answer.ok) throw new Error(JSON.stringify(answer));
  return answer.value;
}

const published = (world: World) => webhookKeys(world.house) as unknown as JSONWebKeySet;
const bytesOf = (text: string) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0));
const textOf = (text: string) => btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");

/** RFC 7515 by hand: WebCrypto and the published key that the header names, no library. */
async function verifiesByHand(world: World, jws: string): Promise<boolean> {
  const [header = "", payload = "", signature = ""] = jws.split(".");
  const { kid } = JSON.parse(new TextDecoder().decode(bytesOf(header))) as { kid: string };
  const jwk = published(world).keys.find((key) => key.kid === kid);
  if (jwk === undefined) return false;
  const key = await crypto.subtle.importKey("raw", bytesOf(jwk.x ?? ""), "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, bytesOf(signature), new TextEncoder().encode(`${header}.${payload}`));
}

describe("a receipt", () => {
  it("says what was moved, how it was proven and what became of the link, and verifies with the published keys alone", () =>
    inWorld(async (world) => {
      const id = await stored(world);
      await world.until(() => world.owed() === 0);
      const { jws, receipt: open, keysUrl } = await given(world, id);
      const { payload, protectedHeader } = await compactVerify(jws, createLocalJWKSet(published(world)));
      expect(protectedHeader).toMatchObject({ alg: "EdDSA", typ: "firewatch-receipt+jws" });
      expect(await verifiesByHand(world, jws)).toBe(true);
      const signed = JSON.parse(new TextDecoder().decode(payload));
      expect(signed).toEqual(open);
      expect(Receipt.parse(signed)).toMatchObject({
        connection: world.house.name,
        transferId: id,
        key: "runs/out.txt",
        path: world.transfer(id).path,
        site: { bytes: 6, sha256: HELLO, modifiedAt: expect.any(String) },
        object: { bytes: 6, sha256: HELLO, etag: expect.any(String) },
        proof: "hash",
        links: [{ state: "released" }],
        releasedAt: expect.any(String),
      });
      expect(keysUrl).toBe(`https://firewatch.test/.well-known/webhook-keys/${world.house.name}`);
      expect(jws).not.toContain("Signature");
      expect(JSON.stringify(signed)).not.toMatch(/https?:/);
    }));

  it("does not verify when one character of it is another, under another key, or as anything else", () =>
    inWorld(async (world) => {
      const { jws, receipt: open } = await given(world, await stored(world));
      const keys = createLocalJWKSet(published(world));
      const [header, , signature] = jws.split(".");
      const forged = [header, textOf(JSON.stringify({ ...open, path: "/scratch/other" })), signature].join(".");
      await expect(compactVerify(forged, keys)).rejects.toThrow();
      expect(await verifiesByHand(world, forged)).toBe(false);
      const at = Math.floor(jws.length / 2);
      const flipped = jws.slice(0, at) + (jws[at] === "A" ? "B" : "A") + jws.slice(at + 1);
      expect(await verifiesByHand(world, flipped)).toBe(false);
      expect(decodeProtectedHeader(jws).typ).not.toMatch(/^JWT$/i);
    }));

  it("still verifies after its key was rotated away, forgotten and followed by others", () =>
    inWorld(async (world) => {
      const id = await stored(world);
      const old = await given(world, id);
      const first = await rotateSigningKey(world.desk, ACTOR, {});
      expect(first).toMatchObject({ ok: true, value: { kid: expect.any(String) } });
      await later(world, 2 * HOUR_MS);
      world.house.change(() => retire(world.house));
      expect(world.house.meta("signing_key_previous")).toBeUndefined();
      expect(await signingKeys(world.desk)).toHaveLength(1);
      await rotateSigningKey(world.desk, ACTOR, {});
      const fresh = await given(world, id);
      expect(decodeProtectedHeader(fresh.jws).kid).not.toBe(decodeProtectedHeader(old.jws).kid);
      const keys = createLocalJWKSet(published(world));
      for (const { jws } of [old, fresh]) {
        await compactVerify(jws, keys);
        expect(await verifiesByHand(world, jws)).toBe(true);
      }
      expect(published(world).keys.map((key) => Reflect.get(key, "exp") !== undefined)).toEqual([false, true, true]);
    }));

  it("is refused, and says why, as long as there is nothing to show", () =>
    inWorld(async (world) => {
      const { id } = await world.download("/nothing/here", "missing");
      expect(await receipt(world.desk, id)).toMatchObject({
        ok: false,
        code: "conflict",
        detail: expect.stringMatching(/accepted|staging/),
      });
      await world.until(() => world.transfer(id).status === "failed");
      expect(await receipt(world.desk, id)).toMatchObject({
        ok: false,
        code: "conflict",
        detail: expect.stringContaining("failed"),
      });
      expect(await receipt(world.desk, "tr_nobody")).toEqual({ ok: false, code: "not_found" });
    }));
});

describe("callbacks while the signing key changes", () => {
  it("carry both signatures for an hour, then the new one alone", () =>
    inWorld(async (world) => {
      await world.receive("r", ok, ["job.accepted"]);
      const before = published(world).keys;
      await rotateSigningKey(world.desk, ACTOR, {});
      await world.submit({});
      await world.drain();
      await later(world, HOUR_MS + 60_000);
      await world.submit({});
      await world.drain();
      const counts = world.hits.map(({ headers }) => headers["webhook-signature"]?.match(/v1a,/g)?.length);
      expect(counts).toEqual([2, 1]);
      expect(await Promise.all(world.hits.map((hit) => verifiesWithPublishedKeys(world, hit)))).toEqual([true, true]);
      expect(published(world).keys).toHaveLength(before.length + 1);
    }));
});
