import { describe, expect, it } from "vitest";
import { createDohResolver } from "./doh.ts";

type Record = { name?: string; type: number; TTL: number; data: string };
type Zone = { A?: unknown; AAAA?: unknown };

const A = (data: string, TTL = 60): Record => ({ type: 1, TTL, data });
const AAAA = (data: string, TTL = 60): Record => ({ type: 28, TTL, data });
const CNAME = (data: string, TTL = 60): Record => ({ type: 5, TTL, data });
const answer = (...records: Record[]) => ({ Status: 0, TC: false, Answer: records });

function world(zone: Zone) {
  const state = { now: 0, asked: [] as string[], zone };
  const resolve = createDohResolver({
    endpoint: "https://resolver.example/dns-query",
    now: () => state.now,
    fetch: async (url, init) => {
      expect(new Headers(init.headers).get("accept")).toBe("application/dns-json");
      const query = new URL(url).searchParams;
      state.asked.push(`${query.get("name")}/${query.get("type")}`);
      const found = query.get("type") === "1" ? state.zone.A : state.zone.AAAA;
      if (found instanceof Error) throw found;
      return found instanceof Response ? found : Response.json(found);
    },
  });
  return { state, resolve: () => resolve("hooks.example.org", AbortSignal.timeout(1000)) };
}

describe("a name looked up over HTTPS", () => {
  it("has all its addresses and aliases", async () => {
    const { state, resolve } = world({
      A: answer(CNAME("edge.example.net."), A("8.8.8.8"), A("8.8.4.4")),
      AAAA: answer(CNAME("edge.example.net."), AAAA("2001:4860:4860::8888")),
    });
    expect(await resolve()).toEqual({
      addresses: ["8.8.8.8", "8.8.4.4", "2001:4860:4860::8888"],
      aliases: ["edge.example.net."],
    });
    expect(state.asked).toEqual(["hooks.example.org/1", "hooks.example.org/28"]);
  });

  it("may have addresses of one family only", async () => {
    expect(await world({ A: answer(A("8.8.8.8")), AAAA: { Status: 0 } }).resolve()).toEqual({
      addresses: ["8.8.8.8"],
      aliases: [],
    });
    expect(await world({ A: answer(), AAAA: answer(AAAA("2606:4700::1")) }).resolve()).toEqual({
      addresses: ["2606:4700::1"],
      aliases: [],
    });
  });

  it.each<[string, Zone]>([
    ["does not exist", { A: { Status: 3 }, AAAA: { Status: 3 } }],
    ["has no address", { A: answer(), AAAA: answer() }],
    ["is only an alias", { A: answer(CNAME("x.example.")), AAAA: answer(CNAME("x.example.")) }],
    ["fails for one family", { A: answer(A("8.8.8.8")), AAAA: { Status: 2 } }],
    ["was cut short", { A: { ...answer(A("8.8.8.8")), TC: true }, AAAA: answer() }],
    ["gets an error", { A: answer(A("8.8.8.8")), AAAA: new Response("no", { status: 500 }) }],
    ["gets a redirect", { A: answer(A("8.8.8.8")), AAAA: Response.redirect("https://elsewhere.example/", 302) }],
    ["gets junk", { A: answer(A("8.8.8.8")), AAAA: new Response("<html>") }],
    ["gets another shape", { A: answer(A("8.8.8.8")), AAAA: { Status: "0", Answer: "none" } }],
    ["gets no answer", { A: new Error("connection reset"), AAAA: answer(AAAA("2606:4700::1")) }],
  ])("that %s is not resolved now", async (_, zone) => {
    expect(await world(zone).resolve()).toBeUndefined();
  });

  it("is remembered as long as its shortest record says, within limits", async () => {
    const { state, resolve } = world({ A: answer(A("8.8.8.8", 60), CNAME("x.example.", 20)), AAAA: answer() });
    await resolve();
    state.now = 19_999;
    await resolve();
    expect(state.asked).toHaveLength(2);
    state.now = 20_000;
    state.zone.A = answer(A("10.0.0.1", 0));
    expect(await resolve()).toMatchObject({ addresses: ["10.0.0.1"] });
    state.now += 4999;
    await resolve();
    expect(state.asked).toHaveLength(4);
    state.zone.A = answer(A("8.8.4.4", 86_400));
    state.now += 1;
    await resolve();
    state.now += 300_000;
    await resolve();
    expect(state.asked).toHaveLength(8);
  });

  it("that failed is asked for again", async () => {
    const { state, resolve } = world({ A: { Status: 2 }, AAAA: { Status: 2 } });
    expect(await resolve()).toBeUndefined();
    state.zone = { A: answer(A("8.8.8.8")), AAAA: answer() };
    expect(await resolve()).toBeDefined();
  });
});
