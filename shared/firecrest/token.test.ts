import { describe, expect, it } from "vitest";
import type { FirecrestError } from "./errors.ts";
import { type Credential, createTokenSource, type StoredToken } from "./token.ts";

const POST: Credential = {
  type: "client_credentials",
  tokenUrl: "https://auth.example/token",
  clientId: "fw",
  clientSecret: "s3cr+t/=",
};

function rig(answer: (call: number) => Response | Promise<Response>, credential: Credential = POST) {
  const calls: { url: string; init: RequestInit }[] = [];
  const lines: Record<string, unknown>[] = [];
  const store: { token?: StoredToken } = {};
  const clock = { now: 1_000_000 };
  const make = () =>
    createTokenSource({
      credential,
      fetch: async (url, init) => {
        calls.push({ url, init });
        return answer(calls.length);
      },
      cache: {
        get: async () => store.token,
        put: async (token) => {
          store.token = token;
        },
      },
      now: () => clock.now,
      log: (line) => lines.push(line),
    });
  return { token: make(), make, calls, lines, store, clock };
}

const token = (name: string, expiresIn: unknown = 300) =>
  Response.json({ access_token: name, expires_in: expiresIn, token_type: "Bearer" });
const failing = async (work: Promise<unknown>) =>
  (await work.then(
    () => undefined,
    (e: unknown) => e,
  )) as FirecrestError;

describe("a token source", () => {
  it("fetches once for a hundred parallel callers", async () => {
    const { token: get, calls } = rig(() => token("a"));
    const all = await Promise.all(Array.from({ length: 100 }, () => get()));
    expect(new Set(all)).toEqual(new Set(["a"]));
    expect(calls).toHaveLength(1);
  });

  it("sends the secret in the form by default, and form-encoded in Basic when asked", async () => {
    const post = rig(() => token("a"));
    await post.token();
    expect(new URLSearchParams(String(post.calls[0]!.init.body)).get("client_secret")).toBe("s3cr+t/=");
    const basic = rig(() => token("a"), { ...POST, method: "client_secret_basic" });
    await basic.token();
    expect(String(basic.calls[0]!.init.body)).toBe("grant_type=client_credentials");
    expect(new Headers(basic.calls[0]!.init.headers).get("authorization")).toBe(`Basic ${btoa("fw:s3cr%2Bt%2F%3D")}`);
  });

  it("trades an API key for a token", async () => {
    const { token: get, calls } = rig(() => token("a"), {
      type: "api_key",
      tokenUrl: "https://auth.example/t",
      apiKey: "k",
    });
    expect(await get()).toBe("a");
    expect(new Headers(calls[0]!.init.headers).get("x-api-key")).toBe("k");
    expect(calls[0]!.init.body).toBeUndefined();
  });

  it("replaces a token a minute before its end", async () => {
    const { token: get, clock, calls } = rig((n) => token(`t${n}`));
    expect(await get()).toBe("t1");
    clock.now += 239_999;
    expect(await get()).toBe("t1");
    clock.now += 1;
    expect(await get()).toBe("t2");
    expect(calls).toHaveLength(2);
  });

  it("uses a very short-lived token for half of its life instead of fetching for every call", async () => {
    const { token: get, clock } = rig((n) => token(`t${n}`, "60"));
    expect(await get()).toBe("t1");
    clock.now += 29_999;
    expect(await get()).toBe("t1");
    clock.now += 1;
    expect(await get()).toBe("t2");
  });

  it("finds another isolate's token in the cache", async () => {
    const { make, calls } = rig((n) => token(`t${n}`));
    expect(await make()()).toBe("t1");
    expect(await make()()).toBe("t1");
    expect(calls).toHaveLength(1);
  });

  it("works without a working cache", async () => {
    const source = createTokenSource({
      credential: POST,
      fetch: async () => token("a"),
      cache: { get: () => Promise.reject(new Error("kv")), put: () => Promise.reject(new Error("kv")) },
      now: () => 0,
      log: () => undefined,
    });
    expect(await source()).toBe("a");
  });

  it("renews once for many callers after a 401, and takes what another isolate renewed", async () => {
    const { make, calls, clock } = rig((n) => token(`t${n}`));
    const [here, there] = [make(), make()];
    await here();
    await there();
    clock.now += 20_000;
    expect(await Promise.all([here(true), here(true), here(true)])).toEqual(["t2", "t2", "t2"]);
    expect(await there(true)).toBe("t2");
    expect(calls).toHaveLength(2);
  });

  it("does not hammer the endpoint when a site keeps refusing new tokens", async () => {
    const { token: get, calls, clock } = rig((n) => token(`t${n}`));
    await get();
    clock.now += 20_000;
    for (let i = 0; i < 50; i++) await get(true);
    expect(calls).toHaveLength(2);
  });

  it("tries again after a failure", async () => {
    const { token: get } = rig((n) => (n === 1 ? Promise.reject(new TypeError("down")) : token("b")));
    expect(await failing(get())).toMatchObject({ code: "token_unavailable", retry: "later" });
    expect(await get()).toBe("b");
  });

  it.each([
    [401, { error: "invalid_client", error_description: "Invalid client secret" }, "token_refused", "never"],
    [400, { error: "unsupported_grant_type" }, "token_refused", "never"],
    [403, {}, "token_refused", "never"],
    [404, {}, "token_unavailable", "later"],
    [429, {}, "token_unavailable", "later"],
    [503, {}, "token_unavailable", "later"],
  ])("reads %s %j as %s", async (status, body, code, retry) => {
    const { token: get } = rig(() => Response.json(body, { status, headers: { "retry-after": "9" } }));
    const error = await failing(get());
    expect(error).toMatchObject({ code, retry, httpStatus: status });
    expect(error.retryAfterSeconds).toBe(retry === "later" ? 9 : undefined);
  });

  it.each([
    ["a page", new Response("<html></html>")],
    ["no token", Response.json({ expires_in: 3 })],
    ["a token that breaks a header", Response.json({ access_token: "a\r\nb", expires_in: 3 })],
    ["too much", new Response(new Uint8Array(100_000))],
    ["a redirect", new Response(null, { status: 302 })],
  ])("does not take %s for a token", async (_, response) => {
    expect(await failing(rig(() => response).token())).toMatchObject({ code: "token_unavailable" });
  });

  it("never logs or throws a secret", async () => {
    const {
      token: get,
      lines,
      clock,
    } = rig((n) => (n === 1 ? token("tok-en") : Response.json({ error: "invalid_client" }, { status: 401 })));
    await get();
    clock.now += 1_000_000;
    const error = await failing(get());
    expect(lines.map((line) => line.status)).toEqual([200, 401]);
    expect(JSON.stringify([lines, error.message])).not.toMatch(/tok-en|s3cr/);
  });
});
