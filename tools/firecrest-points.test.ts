import { expect, it } from "vitest";
import { pointRows } from "./firecrest-points.ts";

it("names every point that has no test, and every test that is not there any more", () => {
  expect(() => pointRows(new Map())).toThrow(/v1, 19: .* has no test "sees that a release.*v2, C8 has no test/);
});
