import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_OBJECT_BYTES, partBytesFor } from "../contract/cut.ts";
import { pieceBytesFor, pieceName, pieceRange, pieceToFetch } from "./pieces.ts";

const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

describe("pieces", () => {
  it("are whole parts, below the site's limit, and together the file", () => {
    const sizes = fc.integer({ min: 1, max: MAX_OBJECT_BYTES });
    fc.assert(
      fc.property(sizes, fc.integer({ min: 32 * MIB, max: 50 * GIB }), (total, limit) => {
        const pieceBytes = pieceBytesFor(total, limit);
        if (pieceBytes === undefined) return;
        expect(pieceBytes % partBytesFor(total)).toBe(0);
        expect(pieceBytes).toBeLessThanOrEqual(limit);
        const count = Math.ceil(total / pieceBytes);
        const last = pieceRange({ directory: "", pieceBytes, at: count - 1 }, total);
        expect(last.from + last.bytes).toBe(total);
        expect(last.bytes).toBeGreaterThan(0);
        expect(pieceName(count - 1)).toHaveLength(4);
      }),
    );
  });

  it("stay below 5 GiB where that is the limit, and cannot be smaller than one part", () => {
    expect(pieceBytesFor(12 * GIB, 5 * GIB)).toBe(5 * GIB - 64 * MIB);
    expect(pieceBytesFor(33 * MIB, 33 * MIB)).toBe(32 * MIB);
    expect(pieceBytesFor(33 * MIB, 31 * MIB)).toBeUndefined();
  });

  it("are fetched in order, those without a missing part left out", () => {
    const pieces = { pieceBytes: 64 * MIB };
    expect(pieceToFetch(pieces, 130 * MIB, new Set())).toBe(0);
    expect(pieceToFetch(pieces, 130 * MIB, new Set([1]))).toBe(0);
    expect(pieceToFetch(pieces, 130 * MIB, new Set([1, 2]))).toBe(1);
    expect(pieceToFetch(pieces, 130 * MIB, new Set([1, 2, 3, 4]))).toBe(2);
    expect(pieceToFetch(pieces, 130 * MIB, new Set([1, 2, 4, 5]))).toBe(1);
    expect(pieceToFetch(pieces, 130 * MIB, new Set([1, 2, 3, 4, 5]))).toBeUndefined();
  });

  it("are named as split names them", () => {
    expect([0, 7, 9_999].map(pieceName)).toEqual(["0000", "0007", "9999"]);
  });
});
