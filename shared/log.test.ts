import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { createLog, redact, redactText } from "./log.ts";

const JWE = "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..abcdefghijklmnop.qrstuvwx.yzABCDEFGH";
const JWT = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlLXNlY3JldA";

/** Each text and the part of it that nobody may read. */
const SECRETS: [string, string][] = [
  ["Authorization: Bearer s3cr3t-value", "s3cr3t-value"],
  ["basic dXNlcjpwYXNz", "dXNlcjpwYXNz"],
  [`token is ${JWT}!`, "c2lnbmF0dXJl"],
  [JWE, "abcdefghijklmnop"],
  ["eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOi", "eyJzdWIiOi"],
  ["secret whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw.", "MfKQ9r8G"],
  ["key whsk_6Xb/dCcHpPea21PS1N9VY==", "dCcHpPea"],
  ["fw_cscs-hpc_abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ123456", "abcdefghijk"],
  ["https://s3.example.org/b/o?X-Amz-Credential=AKIAX&X-Amz-Signature=deadbeef&x=1", "deadbeef"],
  ["https://s3.example.org/b/o?X-Amz-Credential=AKIAX&x-amz-signature=deadbeef", "AKIAX"],
  ["https://s3.example.org/b/o?AWSAccessKeyId=AK&Signature=abc%2Bdef&Expires=1", "abc%2Bdef"],
  ["https://swift.example.org/v1/o?temp_url_sig=0123abc&temp_url_expires=5", "0123abc"],
  ["https://blob.example.org/c/o?sv=1&sig=AbC%3D", "AbC%3D"],
  ["&amp;X-Amz-Signature=deadbeef", "deadbeef"],
  ["https://user:pa55@host.example/x", "pa55"],
  ["https://hooks.slack.com/services/T0/B0/XXXX", "XXXX"],
  ["xoxb-1234-abcd", "1234-abcd"],
  ["ghp_abcdef0123456789", "abcdef0123456789"],
  ['{"access_token": "opaque-value", "x": 1}', "opaque-value"],
  ["grant_type=client_credentials&client_secret=hunter2&x=1", "hunter2"],
  ["auth-token: opaque-value", "opaque-value"],
  ["https://fw.example/links/AbCdEf_123", "AbCdEf_123"],
  ["-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----", "MIIE"],
];

describe("redaction", () => {
  it.each(SECRETS)("masks what looks like a secret: %s", (text, secret) => {
    expect(redactText(text)).not.toContain(secret);
    expect(redactText(text)).toContain("[redacted]");
  });

  it.each(SECRETS)("masks it deep inside a line too: %s", (text, secret) => {
    const line = JSON.stringify(
      redact({ a: [{ b: { note: `before ${text} after` } }], error: new Error(text, { cause: { text } }) }),
    );
    expect(line).not.toContain(secret);
  });

  it.each([
    "The job is COMPLETED, exit code 0",
    "https://api.example.org/status/systems?limit=5",
    "job_01aryz6s410000000000000000",
    "basically bearer",
    "/links",
  ])("leaves plain words alone: %s", (text) => {
    expect(redactText(text)).toBe(text);
  });

  it.each([
    "secret",
    "clientSecret",
    "client_secret",
    "X-API-Key",
    "apiKey",
    "password",
    "Authorization",
    "auth-token",
    "refreshToken",
    "token",
    "Set-Cookie",
    "webhook-signature",
    "SEAL_KEYS",
    "privateKey",
    "secrets",
  ])("masks whatever stands under the name %s", (name) => {
    expect(redact({ [name]: "plain" })).toEqual({ [name]: "[redacted]" });
    expect(redact({ [name]: ["plain"] })).toEqual({ [name]: "[redacted]" });
    expect(redact({ [name]: true })).toEqual({ [name]: true });
  });

  it("keeps names that only sound like secrets", () => {
    const line = { key: "runs/1/out.nc", tokens: 40, tokenAgeSeconds: 5, kid: "k1", sequence: 3 };
    expect(redact(line)).toEqual(line);
  });

  it("masks secrets that were used in this exchange, whatever they look like", () => {
    expect(redactText("you sent hunter2!!", ["hunter2"])).toBe("you sent [redacted]!!");
    expect(redactText("aaa", ["a", ""])).toBe("aaa");
  });

  it("masks headers", () => {
    expect(redact(new Headers({ "auth-token": "abc", "x-request-id": "r1" }))).toEqual({
      "auth-token": "[redacted]",
      "x-request-id": "r1",
    });
  });

  it("survives loops, depth, size and odd values", () => {
    const loop: Record<string, unknown> = {
      n: 1n,
      f: () => 1,
      u: undefined,
      d: new Date(Number.NaN),
      b: new Uint8Array(3),
      m: new Map([["token", "x"]]),
    };
    loop.self = loop;
    loop.list = Array.from({ length: 1000 }, (_, i) => i);
    loop.long = `${"x".repeat(100_000)}`;
    expect(redact(loop)).toMatchObject({
      n: "1",
      f: "[function]",
      d: null,
      b: "[3 bytes]",
      m: { token: "[redacted]" },
      self: "[circular]",
    });
    expect(JSON.stringify(redact(loop)).length).toBeLessThan(10_000);
    let deep: unknown = "bottom";
    for (let i = 0; i < 5000; i++) deep = { deep };
    expect(JSON.stringify(redact(deep))).toContain("[deeper]");
  });

  it("never throws and never needs long", () => {
    fc.assert(
      fc.property(
        fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withTypedArray: true }),
        (value) => void JSON.stringify(redact(value)),
      ),
    );
    for (const piece of [
      "eyJ",
      "Bearer ",
      "://a",
      "?sig=",
      "fw_a_",
      "-----BEGIN PRIVATE KEY-----",
      '"password":',
      "a.",
      "%",
    ]) {
      const started = performance.now();
      redactText(piece.repeat(200_000 / piece.length));
      expect(performance.now() - started).toBeLessThan(1000);
    }
  });
});

describe("the log", () => {
  it("writes one line of JSON for one unit of work, with its time and what is fixed", () => {
    const lines: string[] = [];
    const log = createLog({ now: () => 0, sink: (line) => lines.push(line), fixed: { worker: "poller" } });
    log({ event: "callback.attempted", delivery: "dlv_1", secret: "x", note: "a\nb" });
    expect(lines).toHaveLength(1);
    expect(lines[0]).not.toContain("\n");
    expect(JSON.parse(lines[0]!)).toEqual({
      at: "1970-01-01T00:00:00.000Z",
      worker: "poller",
      event: "callback.attempted",
      delivery: "dlv_1",
      secret: "[redacted]",
      note: "a\nb",
    });
  });
});
