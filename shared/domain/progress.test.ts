import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Pace, paced, prospect } from "./progress.ts";

const MB = 1_000_000;
const paceAfter = (looks: [seconds: number, bytes: number][]): Pace =>
  looks.reduce<Pace | undefined>((pace, [seconds, bytes]) => paced(pace, bytes, seconds * 1000), undefined) as Pace;

describe("the pace of a copy", () => {
  it("is unknown until something has moved", () => {
    expect(prospect(paceAfter([[0, 0]]), 100)).toEqual({});
    expect(
      prospect(
        paceAfter([
          [0, 0],
          [5, 0],
          [10, 0],
        ]),
        100,
      ),
    ).toEqual({});
  });

  it("counts from the first look, not from the first part", () => {
    const pace = paceAfter([
      [0, 0],
      [5, 0],
      [10, 100 * MB],
    ]);
    expect(prospect(pace, 300 * MB)).toEqual({ bytesPerSecond: 10 * MB, remainingSeconds: 20 });
  });

  it("stays where it is while parts come evenly, however large they are", () => {
    const looks: [number, number][] = Array.from({ length: 40 }, (_, n) => [n * 5, Math.floor(n / 2) * 64 * MB]);
    const { bytesPerSecond = 0 } = paceAfter(looks);
    expect(bytesPerSecond).toBeGreaterThan(5 * MB);
    expect(bytesPerSecond).toBeLessThan(8 * MB);
  });

  it("falls while nothing comes, and the end moves away", () => {
    const flowing: [number, number][] = [
      [0, 0],
      [5, 50 * MB],
      [10, 100 * MB],
    ];
    const stalled = paceAfter([...flowing, [70, 100 * MB]]);
    const before = prospect(paceAfter(flowing), 200 * MB).remainingSeconds ?? 0;
    expect(prospect(stalled, 200 * MB).remainingSeconds).toBeGreaterThan(10 * before);
  });

  it("starts anew with a copy that starts anew", () => {
    expect(
      paceAfter([
        [0, 0],
        [5, 50 * MB],
        [6, 0],
      ]),
    ).toEqual({ at: 6_000, bytes: 0 });
  });

  it("is never negative, never infinite, and done means no time is left", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(10_000), fc.nat(1_000 * MB)), { minLength: 1 }), (steps) => {
        let [at, bytes] = [0, 0];
        const looks: [number, number][] = steps.map(([ms, more]) => {
          at += ms / 1000;
          bytes += more;
          return [at, bytes];
        });
        const { bytesPerSecond = 0, remainingSeconds = 0 } = prospect(paceAfter(looks), bytes);
        expect(bytesPerSecond).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(bytesPerSecond)).toBe(true);
        expect(remainingSeconds).toBeGreaterThanOrEqual(0);
        expect(Number.isFinite(remainingSeconds)).toBe(true);
      }),
    );
  });
});
