/** Uploads from elsewhere: a public file is copied into R2 for as long as it takes, and goes up like every other object. */
import { describe, expect, it } from "vitest";
import type { EffectKind } from "../../shared/domain/effect.ts";
import { acceptTransfer, cancelTransfer } from "../../workers/poller/accept.ts";
import { content, ended, MIB, nothingLeft, sha256, TARGET } from "./up.ts";
import { inWorld, type World } from "./world.ts";

const URL_OF = "https://receiver.test/file";

/** A body without a length, in pieces. */
const chunked = (bytes: Uint8Array, breaksAfter = Number.POSITIVE_INFINITY): Response => {
  let at = 0;
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (at >= breaksAfter) controller.error(new TypeError("Network connection lost."));
      else if (at >= bytes.length) controller.close();
      else controller.enqueue(bytes.slice(at, at + 300_001));
      at += 300_001;
    },
  });
  return new Response(body);
};

async function fetched(world: World, url = `${URL_OF}?token=s3cret`): Promise<string> {
  const { id } = await world.upload(TARGET, { url });
  await world.until(ended(world, id), 24 * 3_600_000);
  await nothingLeft(world);
  return id;
}

describe("a file from a URL", () => {
  it.each([
    ["that is empty", 0, (bytes: Uint8Array) => new Response(bytes)],
    ["of one byte", 1, (bytes: Uint8Array) => new Response(bytes)],
    ["of no known length", 9_999, chunked],
    ["of several parts and no known length", 17 * MIB + 3, chunked],
    ["of exactly one part", 8 * MIB, chunked],
  ])("%s becomes a file on the machine, and nothing of it stays in R2", (_what, size, answer) =>
    inWorld(async (world) => {
      const bytes = content(size);
      world.receivers.set("/file", () => answer(bytes));
      const id = await fetched(world);
      expect(world.transfer(id)).toMatchObject({ status: "stored", proof: "hash", key: "", url: URL_OF, bytes: size });
      expect(world.transfer(id).sha256).toBe(await sha256(bytes));
      expect(await sha256((await world.file(TARGET)) ?? new Uint8Array([9]))).toBe(await sha256(bytes));
      expect(await world.objectKeys()).toEqual([]);
    }),
  );

  it("is asked for without credentials, over redirects, and its query is never shown", () =>
    inWorld(async (world) => {
      const lines: unknown[] = [];
      Object.assign(world.house, { log: (line: unknown) => lines.push(line) });
      world.receivers.set("/file", () => new Response(null, { status: 302, headers: { location: "/moved?x=s3cret" } }));
      world.receivers.set("/moved", () => new Response("here"));
      const rows = () => JSON.stringify(world.house.rows("SELECT doc FROM transfers"));
      world.crash = { kind: "fetch", when: "before" };
      await world.upload(TARGET, { url: `${URL_OF}?token=s3cret` });
      await world.until(() => world.crash === undefined);
      expect([rows().includes("sealedUrl"), rows().includes("s3cret")]).toEqual([true, false]);
      const { id } = (world.house.rows("SELECT id FROM transfers") as { id: string }[])[0] ?? { id: "" };
      await world.until(ended(world, id), 24 * 3_600_000);
      await nothingLeft(world);
      expect(world.transfer(id).status).toBe("stored");
      expect(rows()).not.toContain("sealedUrl");
      expect(world.hits[0]?.url).toContain("?token=s3cret");
      expect(world.hits.map(({ url }) => new URL(url).pathname)).toEqual(["/file", "/moved"]);
      for (const { headers } of world.hits) {
        expect(headers.authorization).toBeUndefined();
        expect(headers.cookie).toBeUndefined();
      }
      const shown = JSON.stringify([world.events(), world.transfer(id), lines, world.lines, world.queues]);
      expect(shown).not.toContain("s3cret");
    }));

  it.each([
    ["is not there", () => new Response(null, { status: 404 }), "source_missing"],
    ["wants a login", () => new Response(null, { status: 401 }), "source_unusable"],
    [
      "leads to a private address",
      () => new Response(null, { status: 302, headers: { location: "https://10.0.0.1/x" } }),
      "source_unusable",
    ],
    [
      "leads round in circles",
      () => new Response(null, { status: 302, headers: { location: "/file" } }),
      "source_unusable",
    ],
    ["is too large", () => new Response("x".repeat(2_000)), "source_unusable"],
    ["is too large and does not say so", () => chunked(content(2_000)), "source_unusable"],
  ])("that %s ends the transfer with a word", (_what, answer, reason) =>
    inWorld(async (world) => {
      const facts = world.desk.site.facts();
      const parameters = { ...facts?.parameters, stagingMaxBytes: 1_500 };
      world.house.change(() => world.house.setMeta("facts", JSON.stringify({ ...facts, parameters })));
      world.receivers.set("/file", answer);
      const id = await fetched(world);
      expect(world.transfer(id)).toMatchObject({ status: "failed", reason });
      expect(await world.file(TARGET)).toBeUndefined();
    }),
  );

  it("is refused at once where its address may not be called", () =>
    inWorld(async (world) => {
      const request = { direction: "upload", system: "cluster", path: TARGET, url: "http://169.254.1.1/x" } as const;
      expect(await acceptTransfer(world.desk, { name: "admin" }, request, { origin: {} })).toMatchObject({
        ok: false,
        code: "invalid",
        errors: [{ field: "/url" }],
      });
    }));

  it.each([
    ["breaks off in the middle", (bytes: Uint8Array) => chunked(bytes, 10 * MIB)],
    ["breaks off at once", (bytes: Uint8Array) => chunked(bytes, 1)],
    ["is not able to answer", () => new Response(null, { status: 503, headers: { "retry-after": "5" } })],
  ])("of a server that %s is asked for again", (_how, first) =>
    inWorld(async (world) => {
      const bytes = content(17 * MIB);
      let asked = 0;
      world.receivers.set("/file", () => (asked++ === 0 ? first(bytes) : chunked(bytes)));
      const id = await fetched(world);
      expect(asked).toBe(2);
      expect(world.transfer(id).sha256).toBe(await sha256(bytes));
    }),
  );

  it("of a server that never answers is given up, not waited for for ever", () =>
    inWorld(async (world) => {
      world.receivers.set("/file", () => new Response(null, { status: 500 }));
      const id = await fetched(world);
      expect(world.transfer(id)).toMatchObject({ status: "failed", reason: "source_unusable" });
    }));

  it.each([
    ["fetch", "before"],
    ["fetch", "after"],
    ["send", "after"],
    ["discard", "before"],
    ["discard", "after"],
  ] as [EffectKind, "before" | "after"][])("arrives when a Worker dies in %s, %s its work", (kind, when) =>
    inWorld(async (world) => {
      const bytes = content(9 * MIB);
      world.receivers.set("/file", () => chunked(bytes));
      world.crash = { kind, when };
      const id = await fetched(world);
      expect(world.crash).toBeUndefined();
      expect(world.transfer(id)).toMatchObject({ status: "stored", sha256: await sha256(bytes) });
    }),
  );

  it("leaves nothing when it is cancelled while it is fetched", () =>
    inWorld(async (world) => {
      const bytes = content(9 * MIB);
      let id = "";
      world.receivers.set("/file", () => {
        cancelTransfer(world.house, { name: "admin" }, id, {});
        return chunked(bytes);
      });
      ({ id } = await world.upload(TARGET, { url: URL_OF }));
      await world.until(ended(world, id));
      expect(world.transfer(id).status).toBe("cancelled");
      await nothingLeft(world);
      expect(await world.file(TARGET)).toBeUndefined();
    }));
});
