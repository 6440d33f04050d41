import { expect, it } from "vitest";
import { firecrestRows } from "./firecrest-table.ts";

const nothing = { v1: [], v2: {}, ours: [] };

it("names every route of FirecREST that has no row", () => {
  const known = { ...nothing, v1: ["GET /utilities/new"], v2: { X1_new: { method: "GET", route: "/new" } } };
  expect(() => firecrestRows(known, () => true)).toThrow(
    /v1 without a row: GET \/utilities\/new; v2 without a row: X1_new/,
  );
});

it("names rows whose route or test is not there any more", () => {
  expect(() => firecrestRows(nothing, () => false)).toThrow(/no such v1 route: GET \/status\/systems.*no such test: /);
});
