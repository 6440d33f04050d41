import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Circuit, CLOSED, failed, probeSent } from "./breaker.ts";
import { answered, IN_FLIGHT, type Lane, laneDoor, posted } from "./lane.ts";

const NOW = Date.UTC(2026, 0, 5);
const open = (): Circuit =>
  Array.from({ length: 10 }).reduce<Circuit>((circuit) => failed(circuit, NOW).circuit, CLOSED);

describe("laneDoor", () => {
  it("lets two leave at once, and none while two are in flight", () => {
    expect(laneDoor({ circuit: CLOSED }, 0, NOW)).toMatchObject({ room: IN_FLIGHT, probe: false });
    expect(laneDoor({ circuit: CLOSED }, 1, NOW).room).toBe(1);
    expect(laneDoor({ circuit: CLOSED }, 2, NOW)).toMatchObject({ room: 0, opensAt: Number.POSITIVE_INFINITY });
  });

  it("lets one at a time leave to a receiver that was slow, until it is quick again", () => {
    const slow = answered({ circuit: CLOSED }, 20_000);
    expect(laneDoor(slow, 0, NOW)).toMatchObject({ room: 1 });
    expect(laneDoor(slow, 1, NOW)).toMatchObject({ room: 0, opensAt: Number.POSITIVE_INFINITY });
    expect(laneDoor(answered(slow, 300), 0, NOW)).toMatchObject({ room: 2 });
  });

  it("waits as long as the receiver asked", () => {
    expect(laneDoor({ circuit: CLOSED, notBefore: NOW + 5_000 }, 0, NOW)).toMatchObject({
      room: 0,
      opensAt: NOW + 5_000,
    });
    expect(laneDoor({ circuit: CLOSED, notBefore: NOW }, 0, NOW).room).toBe(IN_FLIGHT);
  });

  it("lets one probe through an open circuit, and no second while it is under way", () => {
    const circuit = open();
    expect(laneDoor({ circuit }, 0, NOW)).toMatchObject({ room: 0, opensAt: NOW + 300_000, probe: true });
    expect(laneDoor({ circuit }, 0, NOW + 300_000)).toMatchObject({ room: 1, probe: true });
    expect(laneDoor({ circuit }, 1, NOW + 300_000)).toMatchObject({ room: 0, opensAt: Number.POSITIVE_INFINITY });
    expect(laneDoor({ circuit: probeSent(circuit, NOW + 300_000) }, 0, NOW + 300_001).room).toBe(0);
  });

  it("never lets a receiver get more than its rate in any window of 60 s, however bursts and pauses fall", () => {
    const steps = fc.array(
      fc.record({
        waitMs: fc.integer({ min: 0, max: 40_000 }),
        takes: fc.integer({ min: 0, max: 2 }),
        lateMs: fc.integer({ min: 0, max: 20_000 }),
      }),
      { maxLength: 200 },
    );
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9 }), steps, (ratePerMinute, moves) => {
        let lane: Lane = { circuit: CLOSED, ratePerMinute };
        let now = NOW;
        const posts: number[] = [];
        let flying: { postAt: number; reportAt: number }[] = [];
        const settle = () => {
          const back = flying.filter(({ reportAt }) => reportAt <= now);
          for (const { postAt } of back) posts.push(postAt);
          flying = flying.filter(({ reportAt }) => reportAt > now);
          lane = posted(lane, back.length, now);
        };
        for (const { waitMs, takes, lateMs } of moves) {
          now += waitMs;
          settle();
          const leaves = Math.min(takes, laneDoor(lane, flying.length, now).room);
          // It is posted at some time between its lease and its report.
          for (let n = 0; n < leaves; n++)
            flying.push({ postAt: now + Math.floor(lateMs / 2), reportAt: now + lateMs });
        }
        now += 60_000;
        settle();
        posts.sort((a, b) => a - b);
        for (const from of posts)
          expect(posts.filter((at) => at >= from && at < from + 60_000).length).toBeLessThanOrEqual(ratePerMinute);
      }),
    );
  });

  it("opens again when enough of the last minute has gone by", () => {
    const lane = posted(posted<Lane>({ circuit: CLOSED, ratePerMinute: 3 }, 2, NOW), 1, NOW + 10_000);
    expect(laneDoor(lane, 0, NOW + 10_000)).toMatchObject({ room: 0, opensAt: NOW + 60_000 });
    expect(laneDoor(lane, 0, NOW + 60_000).room).toBe(2);
  });
});
