import { describe, expect, it } from "vitest";
import {
  ABSENCE_APART_MS,
  ABSENCE_COUNTS_AFTER_MS,
  type Ambiguity,
  afterFailure,
  EFFECT_STATES,
  EFFECT_STEPS,
  LOOKUP_OFFSETS_MS,
  lookedUp,
  RESEND_MAX,
  retryDelayMs,
} from "./effect.ts";

const T0 = 1_800_000_000_000;
const sent: Ambiguity = { sentAt: T0, lookups: 0 };
const none = (requestedAt: number, conclusive = true) => ({ requestedAt, conclusive, matches: [] });

describe("an effect", () => {
  it("never goes from sent to sent, nor anywhere after its end", () => {
    for (const from of EFFECT_STATES) expect(EFFECT_STEPS[from]).not.toContain(from);
    expect(EFFECT_STEPS.done).toEqual([]);
    expect(EFFECT_STEPS.refused).toEqual([]);
  });

  it("is looked for before it is sent again where a second one would double something", () => {
    expect(afterFailure("submit", "after_check")).toBe("check");
    expect(afterFailure("stage", "after_check")).toBe("check");
    expect(afterFailure("cancel", "after_check")).toBe("again");
    expect(afterFailure("release", "after_check")).toBe("again");
    expect(afterFailure("submit", "later")).toBe("again");
    expect(afterFailure("submit", "never")).toBe("refused");
  });

  it("waits longer each time, at most five minutes, and never less than the site asked for", () => {
    expect(retryDelayMs(1, 1)).toBe(4_000);
    expect(retryDelayMs(50, 1)).toBe(300_000);
    expect(retryDelayMs(1, 0, 120)).toBe(120_000);
  });
});

describe("after an ambiguous submission", () => {
  it("adopts the job that carries our name, and the oldest of several", () => {
    expect(
      lookedUp(
        sent,
        { requestedAt: T0, conclusive: false, matches: [{ schedulerId: "10", state: "running", ran: true }] },
        0,
        T0,
      ),
    ).toEqual({ do: "adopt", schedulerId: "10", several: false });
    const two = [
      { schedulerId: "11", state: "queued", ran: false },
      { schedulerId: "9", state: "running", ran: true },
    ];
    expect(lookedUp(sent, { requestedAt: T0, conclusive: true, matches: two }, 0, T0)).toEqual({
      do: "adopt",
      schedulerId: "9",
      several: true,
    });
  });

  it("does not adopt a FAILED row that is only the refusal, but adopts a job that ran and failed", () => {
    const refusal = [{ schedulerId: "9", state: "failed", ran: false }];
    expect(lookedUp(sent, { requestedAt: T0, conclusive: true, matches: refusal }, 0, T0).do).toBe("wait");
    expect(
      lookedUp(
        sent,
        { requestedAt: T0, conclusive: true, matches: [{ schedulerId: "9", state: "failed", ran: true }] },
        0,
        T0,
      ).do,
    ).toBe("adopt");
  });

  it("looks at the timetable's offsets, then every minute", () => {
    let ambiguity = sent;
    const at: number[] = [];
    for (let now = T0 + LOOKUP_OFFSETS_MS[0]; at.length < 4; ) {
      const verdict = lookedUp(ambiguity, undefined, 0, now);
      if (verdict.do !== "wait") throw new Error("an unreadable site decides nothing");
      at.push(verdict.untilMs - T0);
      ambiguity = verdict.ambiguity;
      now = verdict.untilMs;
    }
    expect(at).toEqual([20_000, 60_000, 180_000, 240_000]);
  });

  it("counts 'not there' only after 180 s, from conclusive answers, twice, a minute apart", () => {
    const early = lookedUp(sent, none(T0 + ABSENCE_COUNTS_AFTER_MS - 1), 0, T0 + ABSENCE_COUNTS_AFTER_MS - 1);
    expect(early.do === "wait" && early.ambiguity.absentAt).toBeUndefined();
    const doubtful = lookedUp(sent, none(T0 + ABSENCE_COUNTS_AFTER_MS, false), 0, T0 + ABSENCE_COUNTS_AFTER_MS);
    expect(doubtful.do === "wait" && doubtful.ambiguity.absentAt).toBeUndefined();
    const first = lookedUp(sent, none(T0 + ABSENCE_COUNTS_AFTER_MS), 0, T0 + ABSENCE_COUNTS_AFTER_MS);
    if (first.do !== "wait") throw new Error("the first absence must not decide");
    const soon = lookedUp(first.ambiguity, none(T0 + ABSENCE_COUNTS_AFTER_MS + ABSENCE_APART_MS - 1), 0, T0);
    expect(soon.do).toBe("wait");
    expect(lookedUp(first.ambiguity, none(T0 + ABSENCE_COUNTS_AFTER_MS + ABSENCE_APART_MS), 0, T0).do).toBe("resend");
  });

  it("resends at most twice, then leaves it to a person", () => {
    const twice: Ambiguity = { sentAt: T0, lookups: 4, absentAt: T0 + ABSENCE_COUNTS_AFTER_MS };
    const again = none(T0 + ABSENCE_COUNTS_AFTER_MS + ABSENCE_APART_MS);
    expect(lookedUp(twice, again, RESEND_MAX - 1, T0).do).toBe("resend");
    expect(lookedUp(twice, again, RESEND_MAX, T0).do).toBe("give_up");
  });
});
