import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  type AttemptAnswer,
  judgeAttempt,
  MAX_ATTEMPTS,
  nextAttemptAt,
  parseRetryAfter,
  RETRY_DELAYS_SECONDS,
} from "./retry.ts";

const NOW = Date.parse("2026-11-22T12:00:00Z");
const answer = (status: number, headers: Record<string, string> = {}): AttemptAnswer => ({
  status,
  headers: new Headers(headers),
});
const judge = (status: number, headers: Record<string, string> = {}) => judgeAttempt(answer(status, headers), NOW);
const plainRetry = { outcome: "retry", minDelayMs: 0, laneDelayMs: 0 };
const overload = { outcome: "retry", minDelayMs: 60_000, laneDelayMs: 0 };

describe("the schedule", () => {
  it("is 15 attempts over 80 h 42 min 35 s at most", () => {
    expect(MAX_ATTEMPTS).toBe(15);
    let at = NOW;
    for (let attempt = 1; attempt < MAX_ATTEMPTS; attempt++) at = nextAttemptAt(attempt, 0, at, 0.999_999_999)!;
    expect(Math.round((at - NOW) / 1000)).toBe(80 * 3600 + 42 * 60 + 35);
    expect(nextAttemptAt(MAX_ATTEMPTS, 0, at, 0)).toBeUndefined();
    expect(nextAttemptAt(MAX_ATTEMPTS, 86_400_000, at, 0)).toBeUndefined();
  });

  it("keeps every delay within ×0.8 and ×1.0, and under the 12 h that one queue delay covers", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 14 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (attempt, chance) => {
          const delay = nextAttemptAt(attempt, 0, NOW, chance)! - NOW;
          const full = RETRY_DELAYS_SECONDS[attempt - 1]! * 1000;
          return delay >= 0.8 * full && delay <= full && delay <= 12 * 3_600_000;
        },
      ),
    );
  });

  it("gives way to what the receiver asked for, later only", () => {
    expect(nextAttemptAt(1, 120_000, NOW, 0)).toBe(NOW + 120_000);
    expect(nextAttemptAt(9, 120_000, NOW, 0)).toBe(NOW + 28_800_000);
  });

  it("does not exist for attempts that are none", () => {
    expect(nextAttemptAt(0, 0, NOW, 0)).toBeUndefined();
    expect(nextAttemptAt(16, 0, NOW, 0)).toBeUndefined();
  });
});

describe("an attempt's answer", () => {
  it.each([200, 201, 202, 204, 299])("%i is delivered", (status) => {
    expect(judge(status)).toEqual({ outcome: "delivered", disable: false });
  });

  it.each([100, 400, 401, 403, 404, 409, 422, 500, 501, 599])("%i is tried again by the schedule", (status) => {
    expect(judge(status)).toEqual(plainRetry);
  });

  it.each([429, 502, 503, 504])("%i gives the receiver a minute", (status) => {
    expect(judge(status)).toEqual(overload);
  });

  it.each([300, 301, 302, 303, 307, 308])("%i is a failure that records where it pointed", (status) => {
    expect(judge(status, { location: "https://elsewhere.example/" })).toEqual({
      ...plainRetry,
      location: "https://elsewhere.example/",
    });
    expect(judge(status)).toEqual(plainRetry);
  });

  it("a time-out gives the receiver a minute; other failures to reach it follow the schedule", () => {
    expect(judgeAttempt({ error: "timeout" }, NOW)).toEqual(overload);
    for (const error of ["network", "unresolved", "refused"] as const)
      expect(judgeAttempt({ error }, NOW)).toEqual(plainRetry);
  });

  it.each([429, 503])("%i with Retry-After holds this delivery and its lane until then", (status) => {
    expect(judge(status, { "retry-after": "120" })).toEqual({
      outcome: "retry",
      minDelayMs: 120_000,
      laneDelayMs: 120_000,
    });
    expect(judge(status, { "retry-after": "5" })).toEqual({ outcome: "retry", minDelayMs: 5000, laneDelayMs: 5000 });
    expect(judge(status, { "retry-after": "soon" })).toEqual(overload);
  });

  it("Retry-After elsewhere means nothing", () => {
    expect(judge(500, { "retry-after": "120" })).toEqual(plainRetry);
  });

  it("410, or the receiver's word, disables it", () => {
    expect(judge(410)).toEqual({ outcome: "disable" });
    expect(judge(500, { "webhook-delivery": "disable" })).toEqual({ outcome: "disable" });
    expect(judge(410, { "webhook-delivery": "abort-message" })).toEqual({ outcome: "disable" });
    expect(judge(200, { "webhook-delivery": " Disable " })).toEqual({ outcome: "delivered", disable: true });
  });

  it("the receiver may give up one message without giving up the rest", () => {
    expect(judge(422, { "webhook-delivery": "abort-message" })).toEqual({ outcome: "abort" });
    expect(judge(200, { "webhook-delivery": "abort-message" })).toEqual({ outcome: "delivered", disable: false });
    expect(judge(422, { "webhook-delivery": "whatever" })).toEqual(plainRetry);
  });
});

describe("Retry-After", () => {
  it.each<[string | null, number | undefined]>([
    ["120", 120],
    [" 120 ", 120],
    ["120.1", 121],
    ["0", 0],
    ["0.2", 1],
    ["86400", 86_400],
    ["86401", 86_400],
    ["999999999", 86_400],
    ["-1", undefined],
    ["+5", undefined],
    ["1e3", undefined],
    ["0x10", undefined],
    ["9999999999", undefined],
    ["NaN", undefined],
    ["Infinity", undefined],
    ["soon", undefined],
    ["", undefined],
    [null, undefined],
    ["120, 130", undefined],
    ["Sun, 22 Nov 2026 12:02:00 GMT", 120],
    ["Sunday, 22-Nov-26 12:02:00 GMT", 120],
    ["Sun, 22 Nov 2026 11:00:00 GMT", 0],
    ["Fri, 01 Jan 2100 00:00:00 GMT", 86_400],
    ["2026-11-22T12:02:00Z", undefined],
    ["Sun, 22 Nov 2026 12:02:00", undefined],
    ["Sun, 99 Foo 2026 12:02:00 GMT", undefined],
  ])("%j asks for %s", (value, seconds) => {
    expect(parseRetryAfter(value, NOW)).toBe(seconds);
  });

  it("never asks for less than nothing or more than a day, whatever it says", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.double().map(String),
          fc.date({ noInvalidDate: true }).map((date) => date.toUTCString()),
        ),
        (text) => {
          const seconds = parseRetryAfter(text, NOW);
          return seconds === undefined || (Number.isInteger(seconds) && seconds >= 0 && seconds <= 86_400);
        },
      ),
    );
  });
});
