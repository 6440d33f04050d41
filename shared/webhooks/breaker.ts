/**
 * The circuit breaker of one receiver. Closed, everything is attempted. Ten failures in a row open it: deliveries then wait,
 * none is dropped, and one of them goes out as a probe every five minutes. One success closes it. A circuit that stays open
 * for five days disables the receiver; its owner is told half-way, shortly before, and then.
 *
 * A failed probe says something about the receiver, not about the message: it must not use up an attempt of the delivery
 * that it borrowed.
 */

export interface Circuit {
  consecutiveFailures: number;
  /** Since when it is open; absent while it is closed. Times in ms. */
  openedAt?: number;
  /** When the next probe may go out. */
  probeAt?: number;
  /** How much of the time to disabling the owner was told of last: percent. */
  notified: 0 | 50 | 90 | 100;
}

export type CircuitNews = "opened" | "failing_50" | "failing_90" | "disabled" | "closed";

export const CLOSED: Circuit = { consecutiveFailures: 0, notified: 0 };

export const FAILURES_TO_OPEN = 10;
export const PROBE_EVERY_MS = 5 * 60_000;
export const DISABLE_AFTER_MS = 5 * 24 * 3_600_000;

const NOTICES = [
  { percent: 100, news: "disabled" },
  { percent: 90, news: "failing_90" },
  { percent: 50, news: "failing_50" },
] as const;

export const isOpen = (circuit: Circuit): boolean => circuit.openedAt !== undefined;

/** How many deliveries may leave now: all, one as a probe, or none until `at`. A disabled receiver gets nothing more. */
export function admission(
  circuit: Circuit,
  nowMs: number,
): { admit: "all" } | { admit: "probe" } | { admit: "none"; at?: number } {
  if (circuit.notified === 100) return { admit: "none" };
  if (circuit.probeAt === undefined) return { admit: "all" };
  return nowMs >= circuit.probeAt ? { admit: "probe" } : { admit: "none", at: circuit.probeAt };
}

/** A probe has left. If its end is never reported, the next one is due after the same interval. */
export const probeSent = (circuit: Circuit, nowMs: number): Circuit => ({
  ...circuit,
  probeAt: nowMs + PROBE_EVERY_MS,
});

/** One attempt has succeeded: whatever was before is forgiven. `news` is `closed` only if it was open. */
export function succeeded(circuit: Circuit): { circuit: Circuit; news?: CircuitNews } {
  return { circuit: CLOSED, ...(isOpen(circuit) && { news: "closed" }) };
}

/** One attempt has failed. Each piece of news comes once; `disabled` is the last. */
export function failed(circuit: Circuit, nowMs: number): { circuit: Circuit; news?: CircuitNews } {
  const consecutiveFailures = circuit.consecutiveFailures + 1;
  const next: Circuit = { ...circuit, consecutiveFailures };
  if (circuit.openedAt === undefined) {
    if (consecutiveFailures < FAILURES_TO_OPEN) return { circuit: next };
    return { circuit: { ...next, openedAt: nowMs, probeAt: nowMs + PROBE_EVERY_MS }, news: "opened" };
  }
  const percentGone = ((nowMs - circuit.openedAt) / DISABLE_AFTER_MS) * 100;
  const notice = NOTICES.find(({ percent }) => percentGone >= percent);
  const waiting: Circuit = { ...next, probeAt: Math.max(circuit.probeAt ?? 0, nowMs + PROBE_EVERY_MS) };
  if (notice === undefined || notice.percent <= circuit.notified) return { circuit: waiting };
  return { circuit: { ...waiting, notified: notice.percent }, news: notice.news };
}

const RESTED_AFTER_MS = 24 * 3_600_000;

/**
 * A circuit that nothing was sent through for a day begins its five days anew: what happened long ago says little about a
 * receiver that nobody needed meanwhile.
 */
export function rested(circuit: Circuit, nowMs: number): Circuit {
  if (circuit.openedAt === undefined || nowMs - (circuit.probeAt ?? nowMs) < RESTED_AFTER_MS) return circuit;
  return { ...circuit, openedAt: nowMs, notified: 0 };
}
