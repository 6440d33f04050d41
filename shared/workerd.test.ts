/** What these libraries take from the platform (WebCrypto, streams, abort signals) is tried once in workerd itself. */
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { build } from "esbuild";
import { convertV4MiniflareOptions, Miniflare } from "miniflare";
import { afterAll, beforeAll, describe, expect, it } from "vitest";

const WORKER = `
import slack from "./test/data/vectors/slack.json";
import vectors from "./test/data/vectors/standard-webhooks.json";
import { generateApiKey, parseApiKey } from "./shared/api-key.ts";
import { utf8 } from "./shared/bytes.ts";
import { systemRandom } from "./shared/clock.ts";
import { createEgress } from "./shared/egress/egress.ts";
import { newId } from "./shared/ids.ts";
import { createLog } from "./shared/log.ts";
import { invalidInput } from "./shared/problem.ts";
import { z } from "./shared/contract/words.ts";
import { createSeal, parseSealKeys } from "./shared/seal.ts";
import { generateSigningKey, jwksEntry, parseSigningKey } from "./shared/webhooks/ed25519.ts";
import { sign, verify } from "./shared/webhooks/standard.ts";
import { createOidc } from "./shared/webhooks/oidc.ts";
import { verifyInbound } from "./shared/webhooks/verifiers/index.ts";
import { exportJWK, generateKeyPair, SignJWT } from "jose";

const signatureOf = async (row, keys) => (await sign({ id: row.id, timestampSeconds: row.timestamp, body: utf8(row.payload) }, keys))["webhook-signature"];

const checks = {
  async hmac() {
    return Promise.all(vectors.hmac_v1.map(async (row) => (await signatureOf(row, { secrets: [row.secret] })) === row.signature));
  },
  async ed25519() {
    return Promise.all(vectors.ed25519_v1a.map(async (row) => (await signatureOf(row, { ed25519: [await parseSigningKey(row.secret_key)] })) === row.signature));
  },
  async generated() {
    const key = await generateSigningKey(systemRandom);
    const headers = await sign({ id: newId("evt", Date.now(), systemRandom), timestampSeconds: 1, body: utf8("{}") }, { ed25519: [key] });
    return [(await verify(new Headers({ ...headers }), utf8("{}"), { publicKeys: [await jwksEntry(key)] }, 1)).ok];
  },
  async slack() {
    return Promise.all(slack.vectors.map(async (row) => {
      const headers = new Headers();
      if (row.signature) headers.set("x-slack-signature", row.signature);
      if (row.timestamp) headers.set("x-slack-request-timestamp", row.timestamp);
      const verdict = await verifyInbound({ source: "slack" }, { headers, rawBody: utf8(row.body), nowSeconds: row.now, secrets: [row.secret] });
      return verdict.ok === (row.expect !== "reject");
    }));
  },
  async seal() {
    const { seal, open } = createSeal(parseSealKeys(JSON.stringify([{ kid: "k1", key: btoa("k".repeat(32)) }])));
    const binding = { purpose: "credential", connection: "c", id: "1" };
    const jwe = await seal("text", binding);
    return [(await open(jwe, binding)) === "text", await open(jwe, { ...binding, id: "2" }).then(() => false, (error) => error.reason === "wrong_binding")];
  },
  async oidc() {
    const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true });
    const issuer = "https://token.actions.githubusercontent.com";
    const fetch = async () => Response.json({ keys: [{ ...(await exportJWK(publicKey)), kid: "k", alg: "RS256" }] });
    const token = await new SignJWT({ iss: issuer, aud: "us", exp: Date.now() / 1000 + 60, repository_id: "1" }).setProtectedHeader({ alg: "RS256", kid: "k" }).sign(privateKey);
    const oidc = createOidc({ fetch, now: Date.now });
    const policy = { issuer, audiences: ["us"], claims: { repository_id: 1 } };
    return [(await oidc.verify(token, policy)).ok, (await oidc.verify(token, { ...policy, claims: { repository_id: 2 } })).reason === "claims_mismatch"];
  },
  async words() {
    const lines = [];
    createLog({ now: () => 0, sink: (line) => lines.push(line) })({ event: "x", headers: new Headers({ authorization: "Bearer x" }), error: new Error("Bearer abc") });
    const read = z.strictObject({ a: z.string() }).safeParse({ b: 1 });
    const response = invalidInput(read.error, { b: 1 }).response();
    return [!lines[0].includes("abc"), response.status === 422, parseApiKey(generateApiKey("c", systemRandom)) !== undefined];
  },
};

export default {
  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname !== "/egress") return Response.json(await checks[pathname.slice(1)]());
    const egress = createEgress({ fetch: (url, init) => fetch(url, init), now: Date.now, allow: { cidrs: ["127.0.0.0/8"], hosts: [] } });
    try {
      const { status, truncated, body } = await egress.fetch(searchParams.get("url"), { method: "POST", body: "{}" }, { purpose: "callback", deadlineMs: 300 });
      return Response.json({ status, truncated, bytes: body.length });
    } catch (error) {
      return Response.json({ code: error.code, reason: error.reason });
    }
  },
};
`;

describe("in workerd", () => {
  let miniflare: Miniflare;
  let receiver: Server;
  let base: string;
  const ask = async (path: string): Promise<unknown> =>
    (await miniflare.dispatchFetch(`http://worker.example${path}`)).json();

  beforeAll(async () => {
    receiver = createServer((request, response) => {
      if (request.url === "/drip") response.write("x");
      else if (request.url === "/long") response.end(Buffer.alloc(10_000_000));
      else if (request.url !== "/silent") response.end("ok");
    });
    await new Promise<void>((resolve) => receiver.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
    const bundle = await build({
      stdin: { contents: WORKER, resolveDir: new URL("..", import.meta.url).pathname, loader: "ts" },
      bundle: true,
      format: "esm",
      write: false,
      conditions: ["workerd", "worker", "browser"],
    });
    miniflare = new Miniflare(
      convertV4MiniflareOptions({
        host: "127.0.0.1",
        cf: false,
        workers: [
          {
            name: "worker",
            modules: true,
            script: bundle.outputFiles[0]?.text ?? "",
            compatibilityDate: "2025-11-01",
          },
        ],
      }),
    );
    await miniflare.ready;
  }, 60_000);

  afterAll(async () => {
    receiver.closeAllConnections();
    receiver.close();
    await miniflare.dispose();
  });

  it.each(["hmac", "ed25519", "generated", "slack", "seal", "oidc", "words"])("%s works as in Node", async (name) => {
    const results = await ask(`/${name}`);
    expect(results).toEqual((results as boolean[]).map(() => true));
    expect((results as boolean[]).length).toBeGreaterThan(0);
  });

  it("a deadline ends a silent and a dripping receiver", async () => {
    expect(await ask(`/egress?url=${base}/silent`)).toEqual({ code: "timeout", reason: "timeout" });
    expect(await ask(`/egress?url=${base}/drip`)).toEqual({ code: "timeout", reason: "timeout" });
  });

  it("a long body is read up to the limit", async () => {
    expect(await ask(`/egress?url=${base}/long`)).toEqual({ status: 200, truncated: true, bytes: 65_536 });
    expect(await ask(`/egress?url=${base}/`)).toEqual({ status: 200, truncated: false, bytes: 2 });
  });
});
