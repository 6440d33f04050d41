import { describe, expect, it } from "vitest";
import { FirecrestError } from "./errors.ts";
import { retryAfterSeconds } from "./http.ts";
import { createTransport, errorText, type SiteRequest } from "./transport.ts";

const TOKEN = "eyJhbGciOi.secret.token";
const READ: SiteRequest = { operation: "utilities/stat", method: "GET", path: "/utilities/stat", effect: false };
const WRITE: SiteRequest = {
  operation: "compute/jobs/upload",
  method: "POST",
  path: "/compute/jobs/upload",
  effect: true,
};

type Fetch = (url: string, init: RequestInit) => Promise<Response>;

function rig(fetch: Fetch, url = "https://site.example/hpc/firecrest/v1/") {
  const lines: Record<string, unknown>[] = [];
  const renewals: boolean[] = [];
  let now = 1_000;
  const send = createTransport({
    url,
    token: async (renew = false) => {
      renewals.push(renew);
      return renew ? "new" : TOKEN;
    },
    fetch,
    now: () => (now += 5),
    log: (line) => lines.push(line),
  });
  return { send, lines, renewals };
}

const json = (status: number, body: unknown, headers: Record<string, string> = {}) =>
  new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json", ...headers } });
const page = (status: number, headers: Record<string, string> = {}) =>
  new Response("<html><title>Bad</title></html>", { status, headers: { "content-type": "text/html", ...headers } });

async function failure(work: Promise<unknown>): Promise<FirecrestError> {
  const error = await work.then(
    () => undefined,
    (e: unknown) => e,
  );
  expect(error).toBeInstanceOf(FirecrestError);
  return error as FirecrestError;
}

describe("a request to a site", () => {
  it("appends the path to a base URL with a prefix as text and leaves absent query values out", async () => {
    const seen: [string, RequestInit][] = [];
    const { send } = rig(async (url, init) => {
      seen.push([url, init]);
      return json(200, {});
    });
    await send({ ...READ, query: { targetPath: "/a b&c", dereference: undefined } });
    expect(seen[0]![0]).toBe("https://site.example/hpc/firecrest/v1/utilities/stat?targetPath=%2Fa%20b%26c");
    expect(new Headers(seen[0]![1].headers).get("authorization")).toBe(`Bearer ${TOKEN}`);
    expect(seen[0]![1].redirect).toBe("manual");
  });

  it("returns 4xx and JSON 5xx for the client to judge, with the decoded body", async () => {
    const { send } = rig(async () => json(400, { error: "no" }, { "X-Not-Found": "yes" }));
    const answer = await send(READ);
    expect([answer.status, answer.ok, answer.body, answer.header("x-not-found")]).toEqual([
      400,
      false,
      { error: "no" },
      "yes",
    ]);
    expect((await rig(async () => json(500, { message: "sbatch: error" })).send(WRITE)).status).toBe(500);
    expect((await rig(async () => page(404)).send(READ)).body).toBeUndefined();
  });

  it("renews the token once after a 401 and sends the same body again", async () => {
    const bodies: unknown[] = [];
    const { send, renewals } = rig(async (_, init) => {
      bodies.push(String(init.body));
      return bodies.length === 1
        ? json(401, { message: "Unauthorized" }, { "auth-token": TOKEN })
        : json(201, { task_id: "a" });
    });
    expect((await send({ ...WRITE, body: new URLSearchParams({ a: "1" }) })).status).toBe(201);
    expect([renewals, bodies]).toEqual([
      [false, true],
      ["a=1", "a=1"],
    ]);
  });

  it("gives up after the second 401, without looping", async () => {
    let calls = 0;
    const { send } = rig(async () => {
      calls++;
      return json(401, { exp: "token expired" });
    });
    const error = await failure(send(WRITE));
    expect([error.code, error.retry, calls]).toEqual(["unauthorized", "never", 2]);
    expect(error.message).toContain("token expired");
  });

  it("never sends anything else twice", async () => {
    for (const answer of [json(500, {}), page(502), json(429, {}), page(503)]) {
      let calls = 0;
      await rig(async () => {
        calls++;
        return answer;
      })
        .send(WRITE)
        .catch(() => undefined);
      expect(calls).toBe(1);
    }
  });

  it("says of a lost answer whether the request may have had an effect", async () => {
    const broken: Fetch = () => Promise.reject(new TypeError("Network connection lost."));
    expect(await failure(rig(broken).send(READ))).toMatchObject({ code: "network", retry: "later" });
    expect(await failure(rig(broken).send(WRITE))).toMatchObject({ code: "network", retry: "after_check" });
    const refused: Fetch = () => Promise.reject(new TypeError("fetch failed", { cause: { code: "ECONNREFUSED" } }));
    expect(await failure(rig(refused).send(WRITE))).toMatchObject({ code: "network", retry: "later" });
  });

  it("treats an answer that breaks off after its headers as possibly effective", async () => {
    const { send } = rig(
      async () => new Response(new ReadableStream({ pull: (c) => c.error(new Error("reset")) }), { status: 201 }),
    );
    expect(await failure(send(WRITE))).toMatchObject({ code: "network", retry: "after_check" });
  });

  it("ends at its deadline even when nothing listens to the signal", async () => {
    const silent = rig(() => new Promise(() => undefined));
    expect(await failure(silent.send({ ...WRITE, timeoutMs: 5 }))).toMatchObject({
      code: "network",
      retry: "after_check",
    });
    const slowBody = rig(async () => new Response(new ReadableStream({}), { status: 200 }));
    expect(await failure(slowBody.send({ ...READ, timeoutMs: 5 }))).toMatchObject({ code: "network", retry: "later" });
  });

  it("reads at most 8 MiB", async () => {
    const chunk = new Uint8Array(1024 * 1024);
    let cancelled = false;
    const { send } = rig(
      async () =>
        new Response(
          new ReadableStream({
            pull: (c) => c.enqueue(chunk),
            cancel: () => {
              cancelled = true;
            },
          }),
        ),
    );
    expect(await failure(send({ ...READ, expect: "bytes" }))).toMatchObject({ code: "too_large", retry: "never" });
    expect(cancelled).toBe(true);
  });

  it("tells gateways, pages and limits apart", async () => {
    const of = (response: Response, request = READ) => failure(rig(async () => response).send(request));
    expect(await of(page(502))).toMatchObject({ code: "gateway", retry: "later", httpStatus: 502 });
    expect(await of(page(504), WRITE)).toMatchObject({ code: "gateway", retry: "after_check" });
    expect(await of(page(503, { "retry-after": "7" }))).toMatchObject({ code: "gateway", retryAfterSeconds: 7 });
    expect(await of(page(500), WRITE)).toMatchObject({ code: "site_error", retry: "after_check" });
    expect(await of(json(429, {}, { "retry-after": "12" }), WRITE)).toMatchObject({
      code: "rate_limited",
      retry: "later",
      retryAfterSeconds: 12,
    });
    expect(await of(new Response(null, { status: 307, headers: { location: "https://x" } }))).toMatchObject({
      code: "site_error",
      retry: "never",
    });
  });

  it("does not take a page for an answer", async () => {
    expect(await failure(rig(async () => page(200)).send(READ))).toMatchObject({
      code: "unreadable_answer",
      retry: "later",
    });
    expect(await failure(rig(async () => new Response("")).send(WRITE))).toMatchObject({
      code: "unreadable_answer",
      retry: "after_check",
    });
    expect(
      (await rig(async () => new Response(null, { status: 204 })).send({ ...WRITE, expect: "nothing" })).status,
    ).toBe(204);
    expect((await rig(async () => new Response("{}")).send({ ...READ, expect: "bytes" })).bytes).toHaveLength(2);
  });

  it("logs one line per exchange with no token, path, query or response header in it", async () => {
    const { send, lines } = rig(async () => json(401, {}, { "auth-token": TOKEN, "x-request-id": "0f3-ab" }));
    await failure(send({ ...READ, query: { targetPath: "/secret/place" } }));
    expect(lines).toHaveLength(2);
    expect(lines[0]).toEqual({
      msg: "firecrest",
      operation: "utilities/stat",
      ms: 5,
      status: 401,
      requestId: "0f3-ab",
    });
    expect(JSON.stringify(lines)).not.toMatch(/secret|token/i);
  });
});

describe("retry-after", () => {
  const now = Date.parse("2026-11-22T12:00:00Z");
  const of = (headers: Record<string, string>) => retryAfterSeconds((name) => headers[name], now);

  it("is read as seconds, as a date, or from the reset header", () => {
    expect(of({ "retry-after": "30" })).toBe(30);
    expect(of({ "retry-after": "Sun, 22 Nov 2026 12:01:30 GMT" })).toBe(90);
    expect(of({ "ratelimit-reset": "41" })).toBe(41);
    expect(of({ "retry-after": "soon", "ratelimit-reset": "3" })).toBe(3);
  });

  it("is never negative nor longer than an hour", () => {
    expect(of({ "retry-after": "Sun, 22 Nov 2026 11:00:00 GMT" })).toBe(0);
    expect(of({ "retry-after": "99999999" })).toBe(3_600);
    expect(of({})).toBeUndefined();
  });
});

describe("the site's words", () => {
  it("are joined from whichever keys hold them", () => {
    expect(errorText({ description: "Failed", error: "no" })).toBe("Failed: no");
    expect(errorText({ message: "Invalid" })).toBe("Invalid");
    expect(errorText("text")).toBe("");
  });

  it("lose signatures, tokens and line breaks", () => {
    const text = errorText({
      error: `curl https://s3.example/u/k?X-Amz-Signature=abc\n failed with ${TOKEN.replace("OiJ", "x")} Bearer abc.def policy=eyJ9`,
    });
    expect(text).not.toMatch(/abc|eyJ|\n/);
    expect(text).toContain("https://s3.example/u/k?…");
  });
});
