import { describe, expect, it } from "vitest";
import type { Resolution } from "./doh.ts";
import type { EgressDeps, FetchOptions } from "./egress.ts";
import { failure, network, redirect, text } from "./testing.ts";

const OPTIONS: FetchOptions = { purpose: "callback" };

describe("redirects", () => {
  const follow = { ...OPTIONS, redirects: 5 };

  it("are an answer like any other unless asked for", async () => {
    const { egress, asked } = network({ "https://a.example/": redirect("https://b.example/", 308) });
    const answer = await egress.fetch("https://a.example/", { method: "POST" }, OPTIONS);
    expect([answer.status, answer.headers.get("location"), asked.length]).toEqual([308, "https://b.example/", 1]);
  });

  it("are followed hop by hop, relative ones too", async () => {
    const { egress, asked } = network({
      "https://a.example/x/y": redirect("../z?q=1#part"),
      "https://a.example/z?q=1": redirect("https://b.example/end", 307),
      "https://b.example/end": new Response("there"),
    });
    const answer = await egress.fetch("https://a.example/x/y", {}, follow);
    expect([text(answer.body), answer.url]).toEqual(["there", "https://b.example/end"]);
    expect(asked.map(({ url }) => url)).toEqual([
      "https://a.example/x/y",
      "https://a.example/z?q=1",
      "https://b.example/end",
    ]);
  });

  it.each([
    "https://10.0.0.1/",
    "http://b.example/",
    "//localhost/",
    "https://[::ffff:127.0.0.1]/",
    "file:///etc/passwd",
    "https://user:pw@b.example/",
    "https://[",
  ])("to %s are refused before anything is sent there", async (location) => {
    const { egress, asked } = network({ "https://a.example/": redirect(location) });
    expect(await failure(egress.fetch("https://a.example/", {}, follow))).toMatchObject({ code: "refused" });
    expect(asked).toHaveLength(1);
  });

  it("take no credential to another origin, nor back again", async () => {
    const { egress, asked } = network({
      "https://a.example/": redirect("/same"),
      "https://a.example/same": redirect("https://b.example/"),
      "https://b.example/": redirect("https://a.example/back"),
      "https://a.example/back": new Response(),
    });
    const headers = { authorization: "Bearer x", cookie: "c=1", "x-api-key": "k", range: "bytes=0-0", accept: "*/*" };
    await egress.fetch("https://a.example/", { headers }, follow);
    const harmless = { range: "bytes=0-0", accept: "*/*" };
    expect(asked.map((request) => request.headers)).toEqual([headers, headers, harmless, harmless]);
  });

  it("end after five, whatever was asked for", async () => {
    const loop = { "https://a.example/": redirect("https://a.example/") };
    const { egress, asked } = network(loop);
    expect(await failure(egress.fetch("https://a.example/", {}, follow))).toMatchObject({
      reason: "too_many_redirects",
    });
    expect(asked).toHaveLength(6);
    const greedy = network(loop);
    await failure(greedy.egress.fetch("https://a.example/", {}, { ...OPTIONS, redirects: 100 }));
    expect(greedy.asked).toHaveLength(6);
  });

  it("without a location are answers", async () => {
    const { egress } = network({ "https://a.example/": new Response("odd", { status: 302 }) });
    expect(await egress.fetch("https://a.example/", {}, follow)).toMatchObject({ status: 302 });
  });

  it("are never followed with a write", async () => {
    const { egress, asked } = network({ "https://a.example/": new Response() });
    expect(await failure(egress.fetch("https://a.example/", { method: "POST" }, follow))).toMatchObject({
      reason: "redirect_of_a_write",
    });
    expect(asked).toEqual([]);
  });
});

describe("names that are looked up", () => {
  const zone: Record<string, Resolution | undefined> = {
    "good.example": { addresses: ["8.8.8.8", "2606:4700::1111"], aliases: ["edge.example.net."] },
    "mixed.example": { addresses: ["8.8.8.8", "10.0.0.1"], aliases: [] },
    "mapped.example": { addresses: ["::ffff:127.0.0.1"], aliases: [] },
    "nat64.example": { addresses: ["64:ff9b::7f00:1"], aliases: [] },
    "metadata.example": { addresses: ["169.254.169.254"], aliases: [] },
    "alias.example": { addresses: ["8.8.8.8"], aliases: ["metadata.google.internal."] },
    "odd.example": { addresses: ["not an address"], aliases: [] },
    "hpc.example": { addresses: ["10.1.2.3"], aliases: [] },
  };
  const looked: string[] = [];
  const answers = Object.fromEntries(
    Object.keys(zone).map((name) => [`https://${name}/`, () => new Response("reached")]),
  );
  const world = (allow?: EgressDeps["allow"]) =>
    network(answers, {
      allow,
      resolve: async (name) => {
        looked.push(name);
        return zone[name];
      },
    });

  it("are fetched when every address is public", async () => {
    const { egress } = world();
    expect(text((await egress.fetch("https://GOOD.example/", {}, OPTIONS)).body)).toBe("reached");
    expect(looked).toContain("good.example");
  });

  it.each(["mixed", "mapped", "nat64", "metadata", "odd"])(
    "are refused when one address is not public: %s",
    async (name) => {
      const { egress, asked } = world();
      expect(await failure(egress.fetch(`https://${name}.example/`, {}, OPTIONS))).toMatchObject({
        code: "refused",
        reason: "private_address",
        message: "this address is not allowed",
      });
      expect(asked).toEqual([]);
    },
  );

  it("are refused when they are an alias of an inside name", async () => {
    expect(await failure(world().egress.fetch("https://alias.example/", {}, OPTIONS))).toMatchObject({
      reason: "local_name",
    });
  });

  it("that cannot be looked up now are for later", async () => {
    expect(await failure(world().egress.fetch("https://unknown.example/", {}, OPTIONS))).toMatchObject({
      code: "unresolved",
    });
    const broken = network(answers, { resolve: () => Promise.reject(new Error("resolver down")) });
    expect(await failure(broken.egress.fetch("https://good.example/", {}, OPTIONS))).toMatchObject({
      code: "unresolved",
    });
  });

  it("are checked at every redirect", async () => {
    const { egress, asked } = network(
      { "https://good.example/": redirect("https://metadata.example/") },
      { resolve: async (name) => zone[name] },
    );
    expect(await failure(egress.fetch("https://good.example/", {}, { ...OPTIONS, redirects: 1 }))).toMatchObject({
      code: "refused",
    });
    expect(asked).toHaveLength(1);
  });

  it("may lead into a range that the operator opened", async () => {
    expect(
      (await world({ cidrs: ["10.1.0.0/16"], hosts: [] }).egress.fetch("https://hpc.example/", {}, OPTIONS)).status,
    ).toBe(200);
    expect(
      (await world({ cidrs: [], hosts: ["hpc.example"] }).egress.fetch("https://hpc.example/", {}, OPTIONS)).status,
    ).toBe(200);
  });

  it("need no look-up when they are addresses or the operator named them", async () => {
    looked.length = 0;
    const { egress } = network(
      { "https://8.8.8.8/": new Response(), "https://lab.internal/": new Response() },
      { allow: { cidrs: [], hosts: ["lab.internal"] }, resolve: async (name) => void looked.push(name) as undefined },
    );
    await egress.fetch("https://8.8.8.8/", {}, OPTIONS);
    await egress.fetch("https://lab.internal/", {}, OPTIONS);
    expect(looked).toEqual([]);
  });
});
