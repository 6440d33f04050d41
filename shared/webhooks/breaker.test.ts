import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  admission,
  type Circuit,
  type CircuitNews,
  CLOSED,
  DISABLE_AFTER_MS,
  FAILURES_TO_OPEN,
  failed,
  isOpen,
  PROBE_EVERY_MS,
  probeSent,
  succeeded,
} from "./breaker.ts";

const opened = (at: number): Circuit => {
  let circuit = CLOSED;
  for (let i = 0; i < FAILURES_TO_OPEN; i++) circuit = failed(circuit, at).circuit;
  return circuit;
};

describe("the circuit", () => {
  it("opens at the tenth failure in a row and not before", () => {
    let circuit = CLOSED;
    for (let i = 1; i < FAILURES_TO_OPEN; i++) {
      const step = failed(circuit, 0);
      expect(step.news).toBeUndefined();
      circuit = step.circuit;
      expect(admission(circuit, 0)).toEqual({ admit: "all" });
    }
    expect(failed(circuit, 5)).toEqual({
      circuit: { consecutiveFailures: 10, openedAt: 5, probeAt: 5 + PROBE_EVERY_MS, notified: 0 },
      news: "opened",
    });
  });

  it("forgets nine failures at one success", () => {
    let circuit = CLOSED;
    for (let i = 0; i < 9; i++) circuit = failed(circuit, 0).circuit;
    expect(succeeded(circuit)).toEqual({ circuit: CLOSED });
  });

  it("lets one probe out every five minutes", () => {
    let circuit = opened(0);
    expect(admission(circuit, PROBE_EVERY_MS - 1)).toEqual({ admit: "none", at: PROBE_EVERY_MS });
    expect(admission(circuit, PROBE_EVERY_MS)).toEqual({ admit: "probe" });
    circuit = probeSent(circuit, PROBE_EVERY_MS);
    expect(admission(circuit, PROBE_EVERY_MS)).toEqual({ admit: "none", at: 2 * PROBE_EVERY_MS });
    circuit = failed(circuit, PROBE_EVERY_MS + 20_000).circuit;
    expect(admission(circuit, 2 * PROBE_EVERY_MS)).toEqual({ admit: "none", at: 2 * PROBE_EVERY_MS + 20_000 });
  });

  it("sends another probe when one never came back", () => {
    const circuit = probeSent(opened(0), PROBE_EVERY_MS);
    expect(admission(circuit, 2 * PROBE_EVERY_MS)).toEqual({ admit: "probe" });
  });

  it("closes at one success and lets everything through again", () => {
    const step = succeeded(probeSent(opened(0), PROBE_EVERY_MS));
    expect(step).toEqual({ circuit: CLOSED, news: "closed" });
    expect(admission(step.circuit, 0)).toEqual({ admit: "all" });
  });

  it("tells its owner half-way, shortly before, and when the receiver is disabled after five days: once each", () => {
    let circuit = opened(0);
    const told: [CircuitNews, number][] = [];
    for (let now = PROBE_EVERY_MS; now <= DISABLE_AFTER_MS + 10 * PROBE_EVERY_MS; now += PROBE_EVERY_MS) {
      const step = failed(probeSent(circuit, now), now);
      circuit = step.circuit;
      if (step.news) told.push([step.news, now / DISABLE_AFTER_MS]);
    }
    expect(told).toEqual([
      ["failing_50", 0.5],
      ["failing_90", 0.9],
      ["disabled", 1],
    ]);
    expect(admission(circuit, DISABLE_AFTER_MS * 2)).toEqual({ admit: "none" });
  });

  it("says only the strongest when it was not looked at for long", () => {
    expect(failed(opened(0), DISABLE_AFTER_MS * 3).news).toBe("disabled");
    expect(failed(opened(0), DISABLE_AFTER_MS * 0.95).news).toBe("failing_90");
  });

  it("keeps its promises over any history", () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ ok: fc.boolean(), after: fc.integer({ min: 0, max: DISABLE_AFTER_MS / 20 }) }), {
          maxLength: 300,
        }),
        (history) => {
          let circuit = CLOSED;
          let now = 0;
          let inRow = 0;
          for (const { ok, after } of history) {
            now += after;
            const before = circuit;
            const step = ok ? succeeded(circuit) : failed(circuit, now);
            circuit = step.circuit;
            inRow = ok ? 0 : inRow + 1;
            expect(circuit.consecutiveFailures).toBe(inRow);
            expect(isOpen(circuit)).toBe(inRow >= FAILURES_TO_OPEN);
            if (step.news === "closed") expect(isOpen(before)).toBe(true);
            if (isOpen(circuit)) expect(circuit.probeAt).toBeGreaterThan(now);
            expect(circuit.notified).toBeGreaterThanOrEqual(isOpen(circuit) && isOpen(before) ? before.notified : 0);
          }
        },
      ),
    );
  });
});
