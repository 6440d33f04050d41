import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { FetchOptions } from "./egress.ts";
import { failure, network, redirect, text } from "./testing.ts";

const OPTIONS: FetchOptions = { purpose: "callback" };

describe("egress", () => {
  it("fetches a public URL without following redirects by itself", async () => {
    const { egress, asked } = network({
      "https://a.example/": new Response("hello", { status: 202, headers: { "x-a": "1" } }),
    });
    const answer = await egress.fetch(
      "https://a.example",
      { method: "POST", body: "x", headers: { "webhook-id": "evt_1" } },
      OPTIONS,
    );
    expect(answer).toMatchObject({ status: 202, truncated: false, url: "https://a.example/", durationMs: 0 });
    expect(text(answer.body)).toBe("hello");
    expect(answer.headers.get("x-a")).toBe("1");
    expect(asked).toEqual([
      { url: "https://a.example/", headers: { "webhook-id": "evt_1" }, redirect: "manual", method: "POST" },
    ]);
  });

  it("connects to nobody for a refused URL, says nothing about why, and logs it", async () => {
    const { egress, asked, lines } = network({});
    const errors = await Promise.all(
      ["https://10.0.0.1/", "https://metadata.google.internal/", "http://a.example/", "nonsense"].map((url) =>
        failure(egress.fetch(url, {}, OPTIONS)),
      ),
    );
    expect(errors.map(({ code, reason }) => [code, reason])).toEqual([
      ["refused", "private_address"],
      ["refused", "local_name"],
      ["refused", "not_https"],
      ["refused", "not_a_url"],
    ]);
    expect(new Set(errors.map(({ message }) => message))).toEqual(new Set(["this address is not allowed"]));
    expect(asked).toEqual([]);
    expect(lines[0]).toEqual({
      event: "egress.refused",
      purpose: "callback",
      host: "10.0.0.1",
      reason: "private_address",
    });
  });

  it("says at registration what it will say later", () => {
    const { egress } = network({});
    expect(egress.refusal("https://a.example/")).toBeUndefined();
    expect(egress.refusal("https://127.1/")).toBe("private_address");
  });

  it("calls a broken connection `network` and keeps the cause for the log", async () => {
    const error = await failure(network({}).egress.fetch("https://a.example/", {}, OPTIONS));
    expect(error).toMatchObject({
      code: "network",
      message: "this address could not be reached",
      cause: { message: "nobody at https://a.example/" },
    });
  });

  it("lets an operator open a range, and only that", async () => {
    const { egress } = network(
      { "http://127.0.0.1:9000/": new Response("local") },
      { allow: { cidrs: ["127.0.0.0/8"], hosts: [] } },
    );
    expect(text((await egress.fetch("http://127.0.0.1:9000/", {}, OPTIONS)).body)).toBe("local");
    expect(await failure(egress.fetch("http://10.0.0.1:9000/", {}, OPTIONS))).toMatchObject({ reason: "not_https" });
  });
});

describe("bodies", () => {
  /** An endless body that counts how much of it was read and whether it was cancelled. */
  function endless(chunkBytes: number) {
    const seen = { bytes: 0, cancelled: false };
    const stream = new ReadableStream<Uint8Array>(
      {
        pull(controller) {
          seen.bytes += chunkBytes;
          controller.enqueue(new Uint8Array(chunkBytes).fill(65));
        },
        cancel() {
          seen.cancelled = true;
        },
      },
      { highWaterMark: 0 },
    );
    return { seen, stream };
  }

  it("are read up to the limit and then cancelled", async () => {
    const { seen, stream } = endless(1000);
    const { egress } = network({ "https://a.example/": () => new Response(stream) });
    const answer = await egress.fetch("https://a.example/", {}, OPTIONS);
    expect(answer).toMatchObject({ status: 200, truncated: true });
    expect(answer.body).toHaveLength(65_536);
    expect(seen.bytes).toBeLessThanOrEqual(66_536);
    expect(seen.cancelled).toBe(true);
  });

  it("of exactly the limit are whole", async () => {
    const { egress } = network({ "https://a.example/": new Response("x".repeat(10)) });
    expect(await egress.fetch("https://a.example/", {}, { ...OPTIONS, maxBytes: 10 })).toMatchObject({
      truncated: false,
    });
    expect(await egress.fetch("https://a.example/", {}, { ...OPTIONS, maxBytes: 9 })).toMatchObject({
      truncated: true,
    });
  });

  it("may be absent", async () => {
    const { egress } = network({ "https://a.example/": new Response(null, { status: 204 }) });
    expect((await egress.fetch("https://a.example/", {}, OPTIONS)).body).toHaveLength(0);
  });

  it("that break half-way are `network`", async () => {
    const broken = () =>
      new Response(new ReadableStream({ pull: (controller) => controller.error(new Error("reset")) }));
    expect(
      await failure(network({ "https://a.example/": broken }).egress.fetch("https://a.example/", {}, OPTIONS)),
    ).toMatchObject({ code: "network" });
  });
});

describe("the deadline", () => {
  const never = () => new Promise<never>(() => {});

  it("ends a connection, a body and a look-up that hang, even if nobody listens to the signal", async () => {
    const drip = () => new Response(new ReadableStream({ pull: never }));
    const hanging = [
      network({ "https://a.example/": never }),
      network({ "https://a.example/": drip }),
      network({}, { resolve: never }),
      network({ "https://a.example/": redirect("https://b.example/"), "https://b.example/": never }),
    ];
    for (const { egress } of hanging) {
      const error = await failure(egress.fetch("https://a.example/", {}, { ...OPTIONS, deadlineMs: 20, redirects: 1 }));
      expect(error).toMatchObject({ code: "timeout", message: "this address did not answer in time" });
    }
  });

  it("gives way to the caller's own signal, whose reason comes out", async () => {
    const { egress } = network({ "https://a.example/": never });
    const own = new AbortController();
    const attempt = egress.fetch("https://a.example/", { signal: own.signal }, OPTIONS);
    own.abort(new Error("shutting down"));
    await expect(attempt).rejects.toThrow("shutting down");
    await expect(egress.fetch("https://a.example/", { signal: own.signal }, OPTIONS)).rejects.toThrow("shutting down");
  });

  it("does not end the body of a stream", async () => {
    vi.useFakeTimers();
    onTestFinished(() => void vi.useRealTimers());
    const signals: (AbortSignal | null | undefined)[] = [];
    const { egress } = network({
      "https://store.example/o": (init) => {
        signals.push(init.signal);
        return new Response("bytes");
      },
    });
    const options = { purpose: "staged", deadlineMs: 10, storageOrigins: ["https://store.example/any"] };
    const response = await egress.stream("https://store.example/o", {}, options);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(signals.map((signal) => signal?.aborted)).toEqual([false]);
    expect(await response.text()).toBe("bytes");
  });
});

describe("staged links", () => {
  const options = { purpose: "staged", storageOrigins: ["https://store.example:9000"] };

  it("are streamed from the site's own object store only", async () => {
    const { egress, asked } = network({
      "https://store.example:9000/b/o?X-Amz-Signature=1": new Response("bytes", { status: 206 }),
    });
    expect(
      (
        await egress.stream(
          "https://store.example:9000/b/o?X-Amz-Signature=1",
          { headers: { range: "bytes=0-4" } },
          options,
        )
      ).status,
    ).toBe(206);
    for (const url of [
      "https://store.example/b/o",
      "http://store.example:9000/b/o",
      "https://store.example.evil.example:9000/",
      "https://evil.example/?https://store.example:9000",
      "",
      "null",
    ]) {
      expect(await failure(egress.stream(url, {}, options))).toMatchObject({ reason: "storage_origin" });
    }
    expect(asked).toHaveLength(1);
  });

  it("must be allowed as every other URL, even if their origin was configured", async () => {
    expect(
      await failure(
        network({}).egress.stream("https://10.0.0.1/o", {}, { ...options, storageOrigins: ["https://10.0.0.1"] }),
      ),
    ).toMatchObject({ reason: "private_address" });
    expect(
      await failure(network({}).egress.stream("data:,x", {}, { ...options, storageOrigins: ["data:,x"] })),
    ).toMatchObject({ code: "refused" });
    expect(
      await failure(network({}).egress.stream("junk", {}, { ...options, storageOrigins: ["junk"] })),
    ).toMatchObject({ reason: "storage_origin" });
  });

  it("never lead elsewhere", async () => {
    const { egress, asked } = network({ "https://store.example:9000/o": redirect("https://b.example/") });
    expect((await egress.stream("https://store.example:9000/o", {}, options)).status).toBe(302);
    expect(asked).toHaveLength(1);
  });
});

describe("a fetcher for libraries", () => {
  it("answers like fetch, with the same limits", async () => {
    const { egress } = network({
      "https://a.example/": new Response('{"a":1}', {
        headers: { "content-type": "application/json", "content-encoding": "identity", "content-length": "7" },
      }),
      "https://a.example/none": new Response(null, { status: 204 }),
      "https://a.example/big": new Response("x".repeat(101)),
    });
    const fetcher = egress.fetcher({ purpose: "jwks", maxBytes: 100 });
    const response = await fetcher("https://a.example/", { headers: { accept: "application/json" } });
    expect(await response.json()).toEqual({ a: 1 });
    expect([...response.headers.keys()]).toEqual(["content-type"]);
    expect((await fetcher("https://a.example/none")).status).toBe(204);
    expect(await failure(fetcher("https://a.example/big"))).toMatchObject({ code: "too_large" });
    expect(await failure(fetcher("https://10.0.0.1/"))).toMatchObject({ code: "refused" });
  });
});
