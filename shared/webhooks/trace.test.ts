import { expect, it } from "vitest";
import { spanIn } from "./trace.ts";

it("an attempt has its own span in the trace of the request that its job came with", async () => {
  const came = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
  const [first, again, second] = await Promise.all(["dlv_1:1", "dlv_1:1", "dlv_1:2"].map((seed) => spanIn(came, seed)));
  expect(first).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-[0-9a-f]{16}-01$/);
  expect(first).toBe(again);
  expect(new Set([came, first, second]).size).toBe(3);
});
