import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { rfc3339, systemRandom } from "./clock.ts";
import { EventId, JobId } from "./contract/words.ts";
import { newId, tagOf, timeOfId } from "./ids.ts";

const bytesOf = (value: number) => (count: number) => new Uint8Array(count).fill(value);
const times = fc.integer({ min: 0, max: 2 ** 48 - 1 });

describe("ids", () => {
  it("match what the contract reads", () => {
    expect(JobId.safeParse(newId("job", 1_795_348_800_000, systemRandom)).success).toBe(true);
    expect(EventId.safeParse(newId("evt", 0, bytesOf(255))).success).toBe(true);
  });

  it("are the same for the same time and the same chance; the time is written as ULIDs write it", () => {
    expect(newId("job", 1_469_918_176_385, bytesOf(0))).toBe("job_01aryz6s410000000000000000");
    expect(newId("job", 2 ** 48 - 1, bytesOf(255))).toBe("job_7zzzzzzzzzzzzzzzzzzzzzzzzz");
  });

  it("tell when they were made", () => {
    fc.assert(
      fc.property(
        times,
        fc.integer({ min: 0, max: 255 }),
        (ms, byte) => timeOfId(newId("tr", ms, bytesOf(byte))) === ms,
      ),
    );
  });

  it("sort by the time they were made, whatever chance adds", () => {
    fc.assert(
      fc.property(times, times, (a, b) => {
        fc.pre(a < b);
        return newId("evt", a, bytesOf(255)) < newId("evt", b, bytesOf(0));
      }),
    );
  });

  it("carry every random bit: two that differ in one bit are two ids", () => {
    const bits = Array.from({ length: 80 }, (_, bit) => (count: number) => {
      const bytes = new Uint8Array(count);
      bytes[bit >> 3] = 1 << (bit & 7);
      return bytes;
    });
    expect(new Set(bits.map((random) => newId("job", 0, random))).size).toBe(80);
  });

  it("do not repeat within one millisecond", () => {
    expect(new Set(Array.from({ length: 10_000 }, () => newId("job", 5, systemRandom))).size).toBe(10_000);
  });

  it("give their last 13 characters as the scheduler tag", () => {
    expect(tagOf("job_01arykxbm1abcdefghjkmnpqrs")).toBe("defghjkmnpqrs");
    expect(tagOf(newId("job", 1, systemRandom))).toMatch(/^[0-9a-hjkmnp-tv-z]{13}$/);
  });

  it.each([-1, 0.5, 2 ** 48, Number.NaN])("refuse the time %s", (ms) => {
    expect(() => newId("job", ms, systemRandom)).toThrow(RangeError);
  });

  it.each([
    "",
    "job_",
    "job_8zzzzzzzzzzzzzzzzzzzzzzzzz",
    "job_01ARYKXBM10000000000000000",
    "job_01arykxbm1000000000000000u",
  ])("are not read from %j", (text) => {
    expect(() => timeOfId(text)).toThrow(RangeError);
  });

  it("write times in UTC with milliseconds", () => {
    expect(rfc3339(1_795_348_800_000)).toBe("2026-11-22T12:00:00.000Z");
  });
});
