import { createHmac } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import slack from "../../../test/data/vectors/slack.json" with { type: "json" };
import vectors from "../../../test/data/vectors/standard-webhooks.json" with { type: "json" };
import { toBase64, utf8 } from "../../bytes.ts";
import { HOOK_SOURCES } from "../../contract/hook.ts";
import { type HmacScheme, schemeProblem } from "./hmac.ts";
import { verifyInbound } from "./index.ts";
import { hashBearerToken } from "./token.ts";

const NOW = 1_732_276_800;

interface Sent {
  headers?: Record<string, string | null>;
  body?: string;
  secrets?: string[];
  now?: number;
  hmac?: HmacScheme;
}

const check = (source: string, { headers = {}, body = "", secrets = [], now = NOW, hmac }: Sent) =>
  verifyInbound(
    { source, hmac },
    {
      headers: new Headers(Object.entries(headers).filter((entry): entry is [string, string] => entry[1] !== null)),
      rawBody: utf8(body),
      nowSeconds: now,
      secrets,
    },
  );

const hex = (secret: string, content: string, hash = "sha256") =>
  createHmac(hash, secret).update(content).digest("hex");

describe("published Slack vectors", () => {
  it.each(slack.vectors)("$id: $expect", async (vector) => {
    const verdict = await check("slack", {
      headers: { "X-Slack-Signature": vector.signature, "X-Slack-Request-Timestamp": vector.timestamp },
      body: vector.body,
      secrets: [vector.secret],
      now: vector.now,
    });
    // Upper-case hex is left to the implementation: we compare bytes, so it is the same signature.
    if (vector.expect === "reject") expect(verdict).toEqual({ ok: false, reason: vector.reason });
    else expect(verdict).toMatchObject({ ok: true, timestampSeconds: Number(vector.timestamp) });
  });

  it("a slash command is recognised again by its trigger, an event by its id", async () => {
    const [command] = slack.vectors;
    const signed = (body: string) => ({
      headers: {
        "X-Slack-Signature": `v0=${hex("s3cret", `v0:${NOW}:${body}`)}`,
        "X-Slack-Request-Timestamp": String(NOW),
      },
      body,
      secrets: ["s3cret"],
    });
    expect(await check("slack", signed(command!.body))).toMatchObject({
      messageId: "398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
    });
    expect(await check("slack", signed('{"event_id":"Ev1","type":"event_callback"}'))).toMatchObject({
      messageId: "Ev1",
    });
    expect(await check("slack", signed("null"))).toEqual({ ok: true, timestampSeconds: NOW });
  });
});

describe("published inbound vectors", () => {
  it("GitHub's documented example", async () => {
    const { secret, payload, header, signature } = vectors.inbound.github;
    const sent = {
      headers: { [header]: signature, "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958" },
      body: payload,
      secrets: [secret],
    };
    expect(await check("github", sent)).toEqual({ ok: true, messageId: "72d3162e-cc78-11e3-81ab-4c9367dc0958" });
    expect(await check("github", { ...sent, body: `${payload} ` })).toEqual({ ok: false, reason: "bad_signature" });
  });

  it("Slack's documented example", async () => {
    const { signing_secret, timestamp, payload, header, signature } = vectors.inbound.slack;
    const headers = { [header]: signature, "X-Slack-Request-Timestamp": String(timestamp) };
    expect(await check("slack", { headers, body: payload, secrets: [signing_secret], now: timestamp })).toMatchObject({
      ok: true,
    });
  });

  it("Stripe's, whose secret is the whole text", async () => {
    const { secret, timestamp, payload, header_value } = vectors.inbound.stripe;
    const sent = { headers: { "Stripe-Signature": header_value }, body: payload, secrets: [secret], now: timestamp };
    expect(await check("stripe", sent)).toEqual({ ok: true, messageId: "evt_test", timestampSeconds: timestamp });
    expect(await check("stripe", { ...sent, now: timestamp + 301 })).toEqual({ ok: false, reason: "stale_timestamp" });
  });

  it("Convoy's, told to the generic verifier", async () => {
    const { secret, timestamp, payload, header_value } = vectors.inbound.convoy;
    const hmac: HmacScheme = {
      header: "X-Convoy-Signature",
      pairs: { timestamp: "t", signature: "v1" },
      content: "{timestamp},{body}",
    };
    const sent = {
      headers: { "x-convoy-signature": header_value },
      body: payload,
      secrets: [secret],
      now: timestamp,
      hmac,
    };
    expect(await check("hmac", sent)).toEqual({ ok: true, timestampSeconds: timestamp });
    expect(await check("hmac", { ...sent, hmac: { ...hmac, content: "{timestamp}.{body}" } })).toEqual({
      ok: false,
      reason: "bad_signature",
    });
  });

  it.each(vectors.hmac_v1)(
    "Standard Webhooks, which is also GitLab's signing token: $name",
    async ({ secret, id, timestamp, payload, signature }) => {
      const headers = { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
      for (const source of ["standard-webhooks", "gitlab"]) {
        expect(await check(source, { headers, body: payload, secrets: [secret], now: timestamp })).toEqual({
          ok: true,
          messageId: id,
          timestampSeconds: timestamp,
        });
      }
    },
  );

  it.each(vectors.ed25519_v1a)(
    "Standard Webhooks with a public key: $name",
    async ({ public_key, id, timestamp, payload, signature }) => {
      const headers = { "webhook-id": id, "webhook-timestamp": String(timestamp), "webhook-signature": signature };
      const sent = { headers, body: payload, secrets: [public_key], now: timestamp };
      expect(await check("standard-webhooks", sent)).toMatchObject({ ok: true, messageId: id });
      expect(await check("standard-webhooks", { ...sent, secrets: ["whpk_x"] })).toEqual({
        ok: false,
        reason: "not_configured",
      });
    },
  );
});

/** One right request of every sender with a shared secret, and how to spoil its signature. */
const body = '{"id":"evt_9","x":1}';
const senders: Record<
  string,
  { headers: Record<string, string>; proof: string; secret: string; id?: string; hmac?: HmacScheme }
> = {
  github: {
    headers: { "x-hub-signature-256": `sha256=${hex("secret-1", body)}`, "x-github-delivery": "d-1" },
    proof: "x-hub-signature-256",
    secret: "secret-1",
    id: "d-1",
  },
  gitlab: {
    headers: { "x-gitlab-token": "secret-1", "idempotency-key": "d-2" },
    proof: "x-gitlab-token",
    secret: "secret-1",
    id: "d-2",
  },
  slack: {
    headers: {
      "x-slack-signature": `v0=${hex("secret-1", `v0:${NOW}:${body}`)}`,
      "x-slack-request-timestamp": String(NOW),
    },
    proof: "x-slack-signature",
    secret: "secret-1",
  },
  stripe: {
    headers: { "stripe-signature": `t=${NOW},v0=00,v1=${hex("secret-1", `${NOW}.${body}`)}` },
    proof: "stripe-signature",
    secret: "secret-1",
    id: "evt_9",
  },
  shopify: {
    headers: {
      "x-shopify-hmac-sha256": createHmac("sha256", "secret-1").update(body).digest("base64"),
      "x-shopify-webhook-id": "d-3",
    },
    proof: "x-shopify-hmac-sha256",
    secret: "secret-1",
    id: "d-3",
  },
  gitea: {
    headers: { "x-gitea-signature": hex("secret-1", body), "x-gitea-delivery": "d-4" },
    proof: "x-gitea-signature",
    secret: "secret-1",
    id: "d-4",
  },
  hmac: {
    headers: {
      "x-sign": `s1:${createHmac("sha512", "secret-1").update(`${NOW}|${body}`).digest("base64")}`,
      "x-time": String(NOW),
      "x-id": "d-5",
    },
    proof: "x-sign",
    secret: "secret-1",
    id: "d-5",
    hmac: {
      header: "X-Sign",
      prefix: "s1:",
      encoding: "base64",
      hash: "sha512",
      content: "{timestamp}|{body}",
      timestampHeader: "X-Time",
      idHeader: "X-Id",
    },
  },
  bearer: {
    headers: { authorization: "Bearer t0ken", "idempotency-key": "d-6" },
    proof: "authorization",
    secret: await hashBearerToken("t0ken"),
    id: "d-6",
  },
};

describe.each(Object.entries(senders))("%s", (source, { headers, proof, secret, id, hmac }) => {
  const send = (change: Sent) => check(source, { headers, body, secrets: [secret], ...(hmac && { hmac }), ...change });

  it("is believed with any of its live secrets, and knows its message again", async () => {
    const other = source === "bearer" ? await hashBearerToken("other") : "other-secret";
    for (const secrets of [[secret], [other, secret], [secret, other]]) {
      expect(await send({ secrets })).toMatchObject({ ok: true, ...(id && { messageId: id }) });
    }
  });

  it("is not believed with another secret", async () => {
    const other = source === "bearer" ? await hashBearerToken("other") : "other-secret";
    expect(await send({ secrets: [other] })).toEqual({
      ok: false,
      reason: expect.stringMatching(/^bad_(signature|token)$/),
    });
  });

  it("is not believed without its proof", async () => {
    expect(await send({ headers: { ...headers, [proof]: null as unknown as string } })).toEqual({
      ok: false,
      reason: expect.stringMatching(/^missing_(signature|token)$/),
    });
    expect(await send({ headers: { ...headers, [proof]: "" } })).toMatchObject({ ok: false });
  });

  it("is not believed with any other proof", async () => {
    await fc.assert(
      fc.asyncProperty(fc.stringMatching(/^[!-~]{0,120}$/), async (value) => {
        fc.pre(value !== headers[proof]);
        return !(await send({ headers: { ...headers, [proof]: value } })).ok;
      }),
      { numRuns: 30 },
    );
  });

  it("is not believed while nothing, or only half, is configured", async () => {
    for (const secrets of [[], [""], ["  "], [secret, ""]])
      expect(await send({ secrets })).toEqual({ ok: false, reason: "not_configured" });
  });

  if (source !== "gitlab" && source !== "bearer") {
    it("notices a changed body", async () => {
      for (const other of [`${body}\n`, "", body.replace("1", "2"), ` ${body}`])
        expect(await send({ body: other })).toEqual({ ok: false, reason: "bad_signature" });
    });
  }

  if (["slack", "stripe", "hmac"].includes(source)) {
    it("is believed for five minutes, not a second more, either way", async () => {
      expect(await send({ now: NOW + 300 })).toMatchObject({ ok: true });
      expect(await send({ now: NOW - 300 })).toMatchObject({ ok: true });
      expect(await send({ now: NOW + 301 })).toEqual({ ok: false, reason: "stale_timestamp" });
      expect(await send({ now: NOW - 301 })).toEqual({ ok: false, reason: "future_timestamp" });
    });
  }
});

describe("odd senders", () => {
  it.each(["", "unknown", "oidc", "constructor", "__proto__", "hmac"])(
    "the source %j without configuration believes nothing",
    async (source) => {
      expect(await check(source, { body, secrets: ["secret-1"] })).toEqual({ ok: false, reason: "not_configured" });
    },
  );

  it("every source of the contract has a verifier", async () => {
    for (const source of HOOK_SOURCES.filter((name) => name !== "oidc" && name !== "hmac")) {
      const verdict = await check(source, { secrets: ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"] });
      if (source !== "bearer") expect(verdict).not.toEqual({ ok: false, reason: "not_configured" });
      expect(verdict.ok).toBe(false);
    }
  });

  it("a bearer's plain token at rest is a broken configuration, and its hash is no token", async () => {
    const hash = await hashBearerToken("t0ken");
    expect(await check("bearer", { headers: { authorization: "Bearer t0ken" }, secrets: ["t0ken"] })).toEqual({
      ok: false,
      reason: "not_configured",
    });
    expect(await check("bearer", { headers: { authorization: `Bearer ${hash}` }, secrets: [hash] })).toEqual({
      ok: false,
      reason: "bad_token",
    });
    expect(await check("bearer", { headers: { authorization: "Basic dDprZW4=" }, secrets: [hash] })).toEqual({
      ok: false,
      reason: "missing_token",
    });
  });

  it("GitLab with both kinds of secret is believed for either, each in its own way only", async () => {
    const secrets = ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "classic"];
    expect(await check("gitlab", { headers: { "x-gitlab-token": "classic" }, secrets })).toMatchObject({ ok: true });
    expect(await check("gitlab", { headers: { "x-gitlab-token": secrets[0]! }, secrets })).toEqual({
      ok: false,
      reason: "bad_token",
    });
    expect(await check("gitlab", { headers: { "x-gitlab-token": "classic" }, secrets: secrets.slice(0, 1) })).toEqual({
      ok: false,
      reason: "missing_id",
    });
  });

  it("several signatures behind one prefix are a list", async () => {
    const hmac: HmacScheme = { header: "x-outpost-signature", prefix: "v0=" };
    const headers = { "x-outpost-signature": `v0=${hex("old", body)},${hex("new", body)}` };
    expect(await check("hmac", { headers, body, secrets: ["new"], hmac })).toEqual({ ok: true });
  });

  it("two times in one header are no time", async () => {
    const headers = { "stripe-signature": `t=${NOW},t=1,v1=${hex("secret-1", `${NOW}.${body}`)}` };
    expect(await check("stripe", { headers, body, secrets: ["secret-1"] })).toEqual({
      ok: false,
      reason: "malformed_timestamp",
    });
  });

  it("a body that is not text is signed as the bytes it is", async () => {
    const rawBody = Uint8Array.of(0xff, 0xfe, 0, 0xc3, 0x28);
    const signature = createHmac("sha256", "secret-1").update(rawBody).digest("hex");
    const headers = new Headers({ "x-gitea-signature": signature });
    expect(
      await verifyInbound({ source: "gitea" }, { headers, rawBody, nowSeconds: NOW, secrets: ["secret-1"] }),
    ).toEqual({ ok: true });
  });

  it("an endless id is not kept", async () => {
    const headers = { "x-gitea-signature": hex("secret-1", body), "x-gitea-delivery": "x".repeat(256) };
    expect(await check("gitea", { headers, body, secrets: ["secret-1"] })).toEqual({ ok: true });
  });
});

describe("an HMAC scheme", () => {
  it.each<[HmacScheme, string | undefined]>([
    [{ header: "x-sign" }, undefined],
    [{ header: "" }, "names a header that cannot exist"],
    [{ header: "x sign" }, "names a header that cannot exist"],
    [{ header: "x-sign", idHeader: "x:id" }, "names a header that cannot exist"],
    [{ header: "x-sign", content: "no body" }, "content must hold {body} exactly once"],
    [{ header: "x-sign", content: "{body}{body}" }, "content must hold {body} exactly once"],
    [{ header: "x-sign", content: "{nonce}{body}" }, "content may hold {body} and {timestamp} and no other braces"],
    [
      { header: "x-sign", content: "{timestamp}.{body}" },
      "content holds {timestamp}: name the timestampHeader it comes from",
    ],
    [{ header: "x-sign", timestampHeader: "x-time" }, "a timestampHeader is only of use with {timestamp} in content"],
  ])("%j: %s", async (hmac, problem) => {
    expect(schemeProblem(hmac)).toBe(problem);
    const verdict = await check("hmac", {
      headers: { "x-sign": hex("secret-1", body) },
      body,
      secrets: ["secret-1"],
      hmac,
    });
    expect(verdict).toEqual(problem === undefined ? { ok: true } : { ok: false, reason: "not_configured" });
  });

  it("may be in SHA-1, for senders that know no better", async () => {
    const headers = { "x-sign": toBase64(createHmac("sha1", "secret-1").update(body).digest()) };
    expect(
      await check("hmac", {
        headers,
        body,
        secrets: ["secret-1"],
        hmac: { header: "x-sign", hash: "sha1", encoding: "base64" },
      }),
    ).toEqual({ ok: true });
  });
});
