import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MAX_OBJECT_BYTES, MAX_PARTS, MIN_PART_BYTES, partBytesFor } from "../../shared/contract/cut.ts";
import { missingParts, partsOf, partTimeoutMs } from "./parts.ts";

const MIB = 1024 * 1024;
const size = fc.oneof(fc.integer({ min: 1, max: 200 * MIB }), fc.integer({ min: 1, max: MAX_OBJECT_BYTES }));

describe("cutting a file into parts", () => {
  it("uses 32 MiB parts, and 64 MiB above 4 GiB", () => {
    expect(partBytesFor(1)).toBe(32 * MIB);
    expect(partBytesFor(4096 * MIB)).toBe(32 * MIB);
    expect(partBytesFor(4096 * MIB + 1)).toBe(64 * MIB);
    expect(partBytesFor(5e9)).toBe(64 * MIB);
  });

  it("stays within what R2 takes for any size that R2 can hold", () => {
    fc.assert(
      fc.property(size, (totalBytes) => {
        const partBytes = partBytesFor(totalBytes);
        expect(partBytes).toBeGreaterThanOrEqual(MIN_PART_BYTES);
        expect(Math.ceil(totalBytes / partBytes)).toBeLessThanOrEqual(MAX_PARTS);
      }),
    );
  });

  it("covers every byte once, with equal parts except the last", () => {
    fc.assert(
      fc.property(size, (totalBytes) => {
        const partBytes = partBytesFor(totalBytes);
        const parts = partsOf({ partBytes, totalBytes });
        const last = parts.at(-1)!;
        expect(parts.every((part, i) => part.n === i + 1 && part.from === i * partBytes)).toBe(true);
        expect(parts.slice(0, -1).every(({ bytes }) => bytes === partBytes)).toBe(true);
        expect(last.bytes).toBeGreaterThan(0);
        expect(last.bytes).toBeLessThanOrEqual(partBytes);
        expect(last.from + last.bytes).toBe(totalBytes);
      }),
      { numRuns: 30 },
    );
  });

  it("gives an empty file no parts", () => {
    expect(partsOf({ partBytes: 32 * MIB, totalBytes: 0 })).toEqual([]);
  });

  it("leaves out what is stored, whatever order it was stored in", () => {
    const cut = { partBytes: 10, totalBytes: 45 };
    expect(missingParts(cut, [{ n: 4 }, { n: 1 }]).map(({ n }) => n)).toEqual([2, 3, 5]);
    expect(missingParts(cut, []).at(-1)).toEqual({ n: 5, from: 40, bytes: 5 });
  });

  it("gives a slow link more time with every try, and ends within a queue consumer's 15 minutes", () => {
    const tries = [1, 2, 3].map((attempt) => partTimeoutMs(64 * MIB, attempt));
    expect(tries).toEqual([94_000, 188_000, 376_000]);
    expect(tries.reduce((sum, ms) => sum + ms)).toBeLessThan(15 * 60_000);
  });
});
