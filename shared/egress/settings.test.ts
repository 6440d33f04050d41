import { expect, it } from "vitest";
import { egressFrom } from "./settings.ts";

const world = { fetch: async () => new Response("here"), now: () => 0 };
const from = (settings: Parameters<typeof egressFrom>[0]) => egressFrom(settings, undefined, world);
const LOCAL = "http://127.0.0.1:9000/file";

it("lets out only what is public where the operator set nothing", () => {
  for (const settings of [{}, { EGRESS_ALLOW: "", DOH_URL: "", PUBLIC_URL: "" }]) {
    expect(from(settings).refusal("https://example.org/")).toBeUndefined();
    expect(from(settings).refusal(LOCAL)).toBeDefined();
  }
});

it("lets out what the operator allows", async () => {
  const egress = from({ EGRESS_ALLOW: '{"cidrs":["127.0.0.0/8"]}' });
  expect(egress.refusal(LOCAL)).toBeUndefined();
  const answer = await egress.stream(LOCAL, {}, { purpose: "staged", storageOrigins: ["http://127.0.0.1:9000"] });
  expect(await answer.text()).toBe("here");
});

it("never calls the deployment that it belongs to", () => {
  const egress = from({ PUBLIC_URL: "https://firewatch.example.org:8443/base" });
  expect(egress.refusal("https://firewatch.example.org/hooks/c/h")).toBe("own_host");
  expect(egress.refusal("https://elsewhere.example.org/")).toBeUndefined();
});

it.each(["{", "[]", '{"host":["x"]}', '{"cidrs":["nowhere"]}'])(
  "says at the start which setting cannot be read (%s)",
  (text) => {
    expect(() => from({ EGRESS_ALLOW: text })).toThrow(/allow/i);
  },
);

it.each(["DOH_URL", "PUBLIC_URL"] as const)("says at the start that %s is not a URL", (name) => {
  for (const text of ["firewatch.example.org", "ftp://x.example.org", "https://"]) {
    expect(() => from({ [name]: text })).toThrow(name);
  }
});
