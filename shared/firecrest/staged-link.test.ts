import { describe, expect, it } from "vitest";
import { linkExpiry, linkSignedAt, probeLink } from "./staged-link.ts";

describe("the end of a link", () => {
  it.each([
    ["https://s3/b/k?X-Amz-Date=20261122T120000Z&X-Amz-Expires=60", "2026-11-22T12:01:00Z"],
    ["https://s3/b/k?Expires=1795348860&Signature=x", "2026-11-22T12:01:00Z"],
    ["https://swift/v1/k?temp_url_sig=x&temp_url_expires=1795348860", "2026-11-22T12:01:00Z"],
    ["https://swift/v1/k?temp_url_sig=x&temp_url_expires=2026-11-22T12:01:00Z", "2026-11-22T12:01:00Z"],
  ])("is read from %s", (url, end) => {
    expect(linkExpiry(url)).toBe(Date.parse(end));
  });

  it("is unknown where the link does not say, or is none", () => {
    for (const url of [
      "https://s3/b/k",
      "https://s3/b/k?X-Amz-Date=yesterday&X-Amz-Expires=60",
      "no url",
      "https://s3/k?expires=soon",
    ]) {
      expect(linkExpiry(url), url).toBeUndefined();
      expect(linkSignedAt(url), url).toBeUndefined();
    }
  });
});

describe("a probe", () => {
  const probe = (status: number, headers: Record<string, string> = {}) =>
    probeLink({ fetchStaged: async () => new Response(null, { status, headers }) }, "https://s3/b/k");

  it.each([
    [206, { "content-range": "bytes 0-0/7" }, { outcome: "live", totalBytes: 7 }],
    [200, { "content-length": "7", etag: '"e"' }, { outcome: "live", totalBytes: 7, etag: '"e"' }],
    [416, { "content-range": "bytes */0" }, { outcome: "live", totalBytes: 0 }],
    [403, {}, { outcome: "dead", status: 403 }],
    [404, {}, { outcome: "dead", status: 404 }],
    [410, {}, { outcome: "dead", status: 410 }],
    [206, {}, { outcome: "unsure", status: 206 }],
    [302, { location: "https://elsewhere" }, { outcome: "unsure", status: 302 }],
    [500, {}, { outcome: "unsure", status: 500 }],
  ])("answered %i %j", async (status, headers, outcome) => {
    expect(await probe(status, headers)).toEqual(outcome);
  });
});
