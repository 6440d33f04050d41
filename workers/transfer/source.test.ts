import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import type { CopyWork } from "../../shared/contract/work.ts";
import { CopyFailure } from "./failure.ts";
import { readAnswer } from "./source.ts";
import { installWorkerStreams } from "./testing/runtime.ts";
import { content, Transfer } from "./testing/transfer.ts";

beforeAll(installWorkerStreams);

const failed = (why: string) => expect.objectContaining({ kind: "failed", why });

describe("what the store may answer", () => {
  const answering = async (response: () => Response, mode: CopyWork["mode"] = "parts") => {
    const transfer = await new Transfer(content(3_000), { answer: response }, { mode }).cutInto(1_000);
    return { outcome: await transfer.segment(), requests: transfer.store.requests.length };
  };

  it.each([401, 403, 404, 410])("takes %i for a dead link, at once", async (status) => {
    const { outcome, requests } = await answering(() => new Response("<Error/>", { status }));
    expect(outcome).toEqual(failed("link_dead"));
    expect(requests).toBe(1);
  });

  it.each([412, 416])("takes %i for a changed file", async (status) => {
    expect((await answering(() => new Response(null, { status }))).outcome).toEqual(failed("changed"));
  });

  it.each([301, 302, 307, 308])("does not follow a redirect (%i)", async (status) => {
    const { outcome } = await answering(
      () => new Response(null, { status, headers: { location: "https://elsewhere.example/" } }),
    );
    expect(outcome).toEqual(failed("never"));
  });

  it.each([400, 405, 451])("gives up on %i", async (status) => {
    expect((await answering(() => new Response(null, { status }))).outcome).toEqual(failed("never"));
  });

  it.each([408, 429, 500, 502, 503, 504])("tries %i three times, then leaves it for later", async (status) => {
    const { outcome, requests } = await answering(() => new Response(null, { status }), "hash");
    expect(outcome).toEqual(failed("later"));
    expect(requests).toBe(3);
  });

  it("hands a long Retry-After to the Tracker without waiting", async () => {
    const { outcome, requests } = await answering(
      () => new Response(null, { status: 503, headers: { "retry-after": "120" } }),
    );
    expect(outcome).toEqual(expect.objectContaining({ why: "later", retryAfterSeconds: 120 }));
    expect(requests).toBe(1);
  });

  it.each([
    ["compressed", "never", { "content-encoding": "gzip", "content-range": "bytes 0-999/3000" }],
    ["of another range", "never", { "content-range": "bytes 5-1004/3000" }],
    ["of a shorter range", "never", { "content-range": "bytes 0-499/3000" }],
    ["of a range that it does not tell", "never", {}],
    ["of a file of another length", "changed", { "content-range": "bytes 0-999/3001" }],
    ["of a file with another ETag", "changed", { "content-range": "bytes 0-999/3000", etag: '"v2"' }],
  ])("refuses a 206 %s", async (_what, why, headers) => {
    const { outcome } = await answering(() => new Response(content(1_000), { status: 206, headers }));
    expect(outcome).toEqual(failed(why));
  });

  it("refuses a whole file of another length", async () => {
    const { outcome } = await answering(() => new Response(content(2_000), { headers: { "content-length": "2000" } }));
    expect(outcome).toEqual(failed("changed"));
  });

  it("never stores more than was announced, whatever is sent", async () => {
    const headers = { "content-range": "bytes 0-999/1000" };
    for (const hashParts of [false, true]) {
      const answer = () => new Response(content(1_500), { status: 206, headers });
      const transfer = await new Transfer(content(1_000), { answer }, { hashParts }).cutInto(1_000);
      const outcome = await transfer.segment();
      if (outcome.kind === "copied") expect(await transfer.completed()).toEqual(Buffer.from(content(1_000)));
      else expect(outcome).toEqual(failed("later"));
    }
  });

  it("calls a staged file that came out empty changed, and an expected empty one no work of ours", async () => {
    const empty = () => new Response(null, { status: 416, headers: { "content-range": "bytes */0" } });
    expect((await answering(empty)).outcome).toEqual(failed("changed"));
    expect(await new Transfer(content(0)).segment()).toEqual(failed("never"));
  });

  it("shows no part of the link in what it reports", async () => {
    for (const fault of [
      new TypeError("Invalid URL: https://store.example/?X-Amz-Signature=secret"),
      new Error("X-Amz-Signature=secret"),
    ]) {
      const { outcome } = await answering(() => {
        throw fault;
      });
      expect(outcome).toEqual(failed("later"));
      expect(JSON.stringify(outcome)).not.toMatch(/secret|store\.example/);
    }
  });
});

it("takes nothing but the asked bytes of the known file, whatever the head of an answer says", () => {
  const header = fc.oneof(
    fc.stringMatching(/^bytes \d{1,18}-\d{1,18}\/(\d{1,18}|\*)$/),
    fc.constantFrom("bytes 0-99/300", "bytes 0-99/*", "bytes 99-0/300", "bytes */300", "items 0-99/300", ""),
  );
  const length = fc.constantFrom(undefined, "100", "300", "-1", "1e2", "99999999999999999999");
  const etag = fc.constantFrom(undefined, '"v1"', '"v2"', 'W/"v1"');
  const status = fc.constantFrom(200, 201, 203, 204, 206, 207, 226, 300, 304, 399, 400, 418, 499, 500, 599);
  fc.assert(
    fc.property(status, header, length, etag, (status, range, contentLength, tag) => {
      const headers = new Headers({ "content-range": range });
      if (contentLength !== undefined) headers.set("content-length", contentLength);
      if (tag !== undefined) headers.set("etag", tag);
      const body = status === 204 || status === 304 ? null : new Uint8Array(1);
      try {
        const read = readAnswer(
          new Response(body, { status, headers }),
          { from: 0, bytes: 100 },
          { totalBytes: 300, etag: '"v1"' },
        );
        expect(read.from).toBe(0);
        expect(read.ranged).toBe(status === 206);
        if (read.ranged) expect(["bytes 0-99/300", "bytes 0-99/*"]).toContain(range);
        if (read.measured) expect(contentLength).toBe(read.ranged ? "100" : "300");
        expect([undefined, '"v1"']).toContain(tag);
      } catch (error) {
        expect(error).toBeInstanceOf(CopyFailure);
      }
    }),
    { numRuns: 500 },
  );
});
