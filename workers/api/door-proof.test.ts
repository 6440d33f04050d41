/** Each way of proof at the real door: what is believed, and that everything else gets one and the same answer. */
import { createHmac } from "node:crypto";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { beforeEach, describe, expect, it } from "vitest";
import { utf8 } from "../../shared/bytes.ts";
import { systemRandom } from "../../shared/clock.ts";
import { HOOK_SOURCES } from "../../shared/contract/hook.ts";
import { generateSecret, sign } from "../../shared/webhooks/standard.ts";
import { createWorld, type World } from "./testing/world.ts";

const ISSUER = "https://ci.test";
const BODY = JSON.stringify({ id: "evt_1", event_id: "evt_1", value: "a" });
const FLIPPED = BODY.replace('"a"', '"b"');
const [SECRET, OTHER] = ["the-first-secret-of-all", "another-secret-entirely"];
const [WHSEC, OTHER_WHSEC] = [generateSecret(systemRandom), generateSecret(systemRandom)];

interface Message {
  body: string;
  /** Seconds. */
  at: number;
  secret: string;
  id: string;
}
type Headers_ = Record<string, string>;

interface Sender {
  config?: Record<string, unknown>;
  /** Default: plain text. */
  keys?: "whsec" | "oidc";
  /** Whether the body is proven, and whether a time is. */
  proves: { body: boolean; time: boolean };
  proof: (message: Message) => Promise<Headers_> | Headers_;
  /** The header that proves it. */
  header: string;
}

const hmac = (secret: string, text: string, encoding: "hex" | "base64" = "hex", hash = "sha256") =>
  createHmac(hash, secret).update(text).digest(encoding);

const keys = await generateKeyPair("RS256");
const strangers = await generateKeyPair("RS256");
const jwks = { keys: [{ ...(await exportJWK(keys.publicKey)), kid: "k" }] };
const standard: Sender["proof"] = async ({ body, at, secret, id }) => ({
  ...(await sign({ id, timestampSeconds: at, body: utf8(body) }, { secrets: [secret] })),
});

const SENDERS: Record<string, Sender> = {
  "standard-webhooks": {
    keys: "whsec",
    proves: { body: true, time: true },
    header: "webhook-signature",
    proof: standard,
  },
  github: {
    proves: { body: true, time: false },
    header: "x-hub-signature-256",
    proof: ({ body, secret, id }) => ({
      "x-hub-signature-256": `sha256=${hmac(secret, body)}`,
      "x-github-delivery": id,
    }),
  },
  gitlab: {
    proves: { body: false, time: false },
    header: "x-gitlab-token",
    proof: ({ secret, id }) => ({ "x-gitlab-token": secret, "idempotency-key": id }),
  },
  "gitlab, signed": {
    config: { source: "gitlab" },
    keys: "whsec",
    proves: { body: true, time: true },
    header: "webhook-signature",
    proof: standard,
  },
  slack: {
    proves: { body: true, time: true },
    header: "x-slack-signature",
    proof: ({ body, at, secret }) => ({
      "x-slack-signature": `v0=${hmac(secret, `v0:${at}:${body}`)}`,
      "x-slack-request-timestamp": String(at),
    }),
  },
  stripe: {
    proves: { body: true, time: true },
    header: "stripe-signature",
    proof: ({ body, at, secret }) => ({ "stripe-signature": `t=${at},v1=${hmac(secret, `${at}.${body}`)}` }),
  },
  shopify: {
    proves: { body: true, time: false },
    header: "x-shopify-hmac-sha256",
    proof: ({ body, secret, id }) => ({
      "x-shopify-hmac-sha256": hmac(secret, body, "base64"),
      "x-shopify-webhook-id": id,
    }),
  },
  gitea: {
    proves: { body: true, time: false },
    header: "x-gitea-signature",
    proof: ({ body, secret, id }) => ({ "x-gitea-signature": hmac(secret, body), "x-gitea-delivery": id }),
  },
  hmac: {
    config: {
      source: "hmac",
      hmac: {
        header: "X-Sign",
        hash: "sha512",
        content: "{timestamp}|{body}",
        timestampHeader: "X-Time",
        idHeader: "X-Id",
      },
    },
    proves: { body: true, time: true },
    header: "x-sign",
    proof: ({ body, at, secret, id }) => ({
      "x-sign": hmac(secret, `${at}|${body}`, "hex", "sha512"),
      "x-time": String(at),
      "x-id": id,
    }),
  },
  bearer: {
    proves: { body: false, time: false },
    header: "authorization",
    proof: ({ secret, id }) => ({ authorization: `Bearer ${secret}`, "idempotency-key": id }),
  },
  oidc: {
    config: { source: "oidc", oidc: { issuer: ISSUER, audience: "firewatch", claims: { repository_id: "42" } } },
    keys: "oidc",
    proves: { body: false, time: false },
    header: "authorization",
    proof: async ({ at, secret, id }) => ({
      authorization: `Bearer ${await new SignJWT({ repository_id: "42", jti: id })
        .setProtectedHeader({ alg: "RS256", kid: "k" })
        .setIssuer(ISSUER)
        .setAudience("firewatch")
        .setExpirationTime(at + 120)
        .sign(secret === SECRET ? keys.privateKey : strangers.privateKey)}`,
    }),
  },
};

it("every source of the contract is tried", () => {
  const tried = Object.entries(SENDERS).map(([name, { config }]) => config?.source ?? name);
  expect(new Set(tried)).toEqual(new Set(HOOK_SOURCES));
});

let world: World;
beforeEach(async () => {
  world = await createWorld({
    fetch: async (url) =>
      Response.json(url.endsWith("openid-configuration") ? { issuer: ISSUER, jwks_uri: `${ISSUER}/jwks` } : jwks),
  });
});

describe.each(Object.entries(SENDERS))("a sender by %s", (name, sender) => {
  const [secret, other] = sender.keys === "whsec" ? [WHSEC, OTHER_WHSEC] : [SECRET, OTHER];
  const save = async (secrets: string[]) => {
    const body = {
      source: name,
      ...sender.config,
      ...(sender.keys === "oidc" ? {} : { secrets }),
      target: { job: { system: "daint", script: "#!/bin/sh\n" } },
    };
    const saved = await world.send("/v1/connections/lab/hooks/h", { method: "PUT", token: world.apiKey, body });
    expect([200, 201]).toContain(saved.status);
  };
  const now = () => Math.floor(world.clock.now / 1000);
  const post = async (change: Partial<Message> & { sent?: string; without?: boolean } = {}) => {
    const { sent, without, ...message } = change;
    const proven = await sender.proof({ body: BODY, at: now(), secret, id: "m-1", ...message });
    if (without) delete proven[sender.header];
    const response = await world.send("/hooks/lab/h", {
      method: "POST",
      body: sent ?? message.body ?? BODY,
      headers: { "content-type": "application/json", ...proven },
    });
    return { status: response.status, text: await response.text() };
  };

  it("is believed, with either of two live secrets, and a repeat gets the first answer", async () => {
    await save([other, secret]);
    const first = await post();
    const again = await post();
    expect([first.status, again]).toEqual([202, first]);
    expect(world.lab.heldJobs.size).toBe(1);
  });

  it("gets one constant 401 for everything else", async () => {
    await save([secret]);
    const unknown = await world.send("/hooks/lab/none", {
      method: "POST",
      body: BODY,
      headers: { "content-type": "application/json" },
    });
    const constant = { status: 401, text: await unknown.text() };
    expect(await post({ secret: other, id: "m-2" })).toEqual(constant);
    expect(await post({ without: true })).toEqual(constant);
    if (sender.proves.body) expect(await post({ sent: FLIPPED })).toEqual(constant);
    if (sender.proves.time) {
      expect(await post({ at: now() - 301, id: "m-3" })).toEqual(constant);
      expect(await post({ at: now() + 301, id: "m-4" })).toEqual(constant);
      expect((await post({ at: now() - 299, id: "m-5" })).status).toBe(202);
    }
    if (sender.keys === "oidc") expect(await post({ at: now() - 600, id: "m-6" })).toEqual(constant);
    expect(JSON.parse(constant.text)).toMatchObject({ code: "unauthorized", status: 401 });
  });

  it("is not believed any more five seconds after its secret was taken away elsewhere", async () => {
    if (sender.keys === "oidc") return;
    await save([secret]);
    expect((await post({ id: "before" })).status).toBe(202);
    const held = world.lab.heldHooks.get("h");
    const without = held && { ...held, secrets: sender.keys === "whsec" ? [OTHER_WHSEC] : ["0".repeat(64)] };
    if (without !== undefined) world.lab.heldHooks.set("h", without);
    world.clock.now += 5_000;
    expect((await post({ id: "after", body: FLIPPED })).status).toBe(401);
  });
});
